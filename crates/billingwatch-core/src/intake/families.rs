//! The rhythm of one family of events, beside that of the whole stream.

use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::event::Family;
use crate::ledger::{Awaited, Foretold, Renewals};
use crate::time::Timestamp;

use super::recurrence::Recurrence;
use super::rhythm::{Pause, Rhythm};
use super::trouble::{Trouble, TroubleKind};
use super::{FAMILY_PAUSE_MIN, Intake, WATCHED};

/// A family with fewer busy minutes a day than this has no rhythm worth the name: one renewal run a
/// month, say.
const FAMILY_MINUTES_A_DAY_MIN: f64 = 8.0;

/// A family's rhythm, and how lively the rest of the stream is since its last event.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct FamilyWatch {
    pub(super) rhythm: Rhythm,
    pub(super) others: (f64, f64),
    pub(super) open: Option<Trouble>,
    pub(super) foretold: Foretold,
    recurrence: Recurrence,
}

/// Where a family stands among those that are [`WATCHED`].
pub(super) const fn place_of(family: Family) -> Option<usize> {
    match family {
        Family::Charge => Some(0),
        Family::PaymentIntent => Some(1),
        Family::Invoice => Some(2),
        Family::Subscription => Some(3),
        Family::CheckoutSession => Some(4),
        _ => None,
    }
}

/// The events of this family that a period's turn foretells.
const fn awaited_of(family: Family) -> Option<Awaited> {
    match family {
        Family::Subscription => Some(Awaited::Turn),
        Family::Invoice => Some(Awaited::Invoice),
        _ => None,
    }
}

impl FamilyWatch {
    /// An event of it was made then, be it historical or not.
    pub(super) fn take(&mut self, made_at: Timestamp, calendar: &Calendar) {
        self.recurrence.take(made_at, calendar);
    }

    /// Its pause, held against how lively the rest of the stream was meanwhile; by what was foretold
    /// alone where the hours of the week say nothing of it.
    pub(super) fn pause(&self, ppm_a_day: i64) -> Option<Pause> {
        if self.rhythm.minutes_a_day() < FAMILY_MINUTES_A_DAY_MIN {
            return None;
        }
        let (seen, expected) = self.others;
        let others = ((seen + 1.0) / (expected + 1.0)).min(1.0);
        let silences = i64::try_from(WATCHED.len()).unwrap_or(1);
        let ppm_a_day = (ppm_a_day / silences).max(1);
        if self.recurrence.is_judged_by_week(self.rhythm.silent()) {
            self.rhythm.pause(others, ppm_a_day, self.foretold)
        } else {
            self.rhythm.foretold_pause(others, ppm_a_day, self.foretold)
        }
    }
}

impl Intake {
    /// The families that fell silent while the rest of the stream goes on, as bits.
    pub(crate) const fn silent_families(&self) -> u16 {
        self.silent
    }

    /// Notes them anew.
    pub(super) fn note_silent(&mut self) {
        let silent = self.family_troubles().map(|trouble| match trouble.kind {
            TroubleKind::FamilySilence(family) => family as u16,
            _ => 0,
        });
        self.silent = silent.fold(0, |bits, bit| bits | bit);
    }

    /// A point on the time grid, for each family.
    pub(super) fn tick_families(
        &mut self,
        (now, minute): (Timestamp, Timestamp),
        renewals: &Renewals,
        is_busy: bool,
        share: f64,
    ) {
        let is_judged = self.open.is_none()
            && self.criteria.is_family_watched
            && self.criteria.is_silence_watched;
        let ppm = self.criteria.silences_ppm_a_day;
        let busy = f64::from(u8::from(is_busy));
        let paused_from = now - FAMILY_PAUSE_MIN;
        for (family, watch) in WATCHED.into_iter().zip(&mut self.families) {
            watch.rhythm.turn_to(minute);
            watch.others.0 += busy;
            watch.others.1 += share;
            // Most pauses are too short to be weighed.
            let last_at = watch.rhythm.last_at();
            let Some(last_at) = last_at.filter(|last_at| *last_at <= paused_from) else {
                watch.foretold = Foretold::default();
                continue;
            };
            watch.foretold = match awaited_of(family) {
                Some(awaited) => renewals.foretold(awaited, last_at, now),
                None => Foretold::default(),
            };
            if !is_judged || watch.open.is_some() {
                continue;
            }
            if let Some(pause) = watch.pause(ppm)
                && pause.is_certain
            {
                let kind = TroubleKind::FamilySilence(family);
                watch.open = Some(Trouble::new(kind, pause.since, now));
                self.silent |= family as u16;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_stand_where_they_are_looked_for() {
        for (place, family) in WATCHED.into_iter().enumerate() {
            assert_eq!(place_of(family), Some(place));
        }
        assert_eq!(place_of(Family::InvoicePayment), None);
    }
}
