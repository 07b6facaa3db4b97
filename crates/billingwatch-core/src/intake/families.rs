//! The rhythm of one family of events, beside that of the whole stream.

use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::event::Family;
use crate::ledger::{Awaited, Foretold};
use crate::time::Timestamp;

use super::WATCHED;
use super::recurrence::Recurrence;
use super::rhythm::{Pause, Rhythm};
use super::trouble::Trouble;

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

/// The events of this family that a period's turn foretells.
pub(super) const fn awaited_of(family: Family) -> Option<Awaited> {
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
