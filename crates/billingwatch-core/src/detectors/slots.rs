//! How often five minutes bring any event at all, by hour of the week.

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

/// The length of a slot.
const SLOT: Span = Span::minutes(5);

/// Hours of a week.
const HOURS: usize = 168;

/// Slots that must be known before a silence is judged by the hour of the week: seven days, of
/// which some is forgotten by then. The first night and the first weekend must not look like an
/// outage.
const KNOWN_MIN: f64 = 1_850.0;

/// Until then only a silence of this length is judged, by the average of all slots: no weekend is
/// as long.
const COLD_SILENCE: Span = Span::hours(72);

/// Slots without which not even that can be judged.
const COLD_KNOWN_MIN: f64 = 144.0;

/// How much the average of all hours weighs against an hour's own record, in slots: an hour seen
/// in one week only (12 slots) is judged by a quarter of the average.
const POOL: f64 = 4.0;

/// What is kept of an hour's record from one week to the next.
const KEPT_A_WEEK: f64 = 0.85;

/// How much of a slot's word is its own: busy slots come together, as one renewal is told in
/// several (its turn, an hour later its invoice), so two empty slots say little more than one.
const INDEPENDENT: f64 = 0.5;

/// A pause longer than this teaches nothing: the stream was off.
const PAUSE_MAX: Span = Span::days(35);

/// Learned shares of busy slots.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Slots {
    /// Busy and all slots by hour of the week, decaying.
    hours: Vec<(f64, f64)>,
    all: (f64, f64),
    /// The slot being watched, and whether it had an event.
    slot: Timestamp,
    is_busy: bool,
    last_at: Option<Timestamp>,
    /// Logarithm of the chance that all slots since the last event stayed empty.
    quiet_log: f64,
    /// Historical: the slot of the newest event.
    taught: Timestamp,
}

impl Slots {
    /// An event arrived. The empty slots before it become part of what is usual only now, and not
    /// at all after a silence that was told: a silence is no yardstick for itself.
    pub(super) fn arrive(&mut self, now: Timestamp, is_after_silence: bool) {
        self.tick(now);
        let is_usual = |last_at: &Timestamp| !is_after_silence && now.since(*last_at) < PAUSE_MAX;
        if let Some(last_at) = self.last_at.filter(is_usual) {
            let mut empty = last_at.floor_to(SLOT) + SLOT;
            while empty < self.slot {
                self.count(empty, false);
                empty = empty + SLOT;
            }
        }
        self.is_busy = true;
        self.quiet_log = 0.0;
        self.last_at = self.last_at.max(Some(now));
    }

    /// Time passed.
    pub(super) fn tick(&mut self, now: Timestamp) {
        let slot = now.floor_to(SLOT);
        if slot <= self.slot {
            return;
        }
        if self.is_busy {
            self.count(self.slot, true);
        } else if self.slot > Timestamp::EPOCH && self.all.1 >= COLD_KNOWN_MIN {
            // The share of a handful of slots says nothing yet.
            self.quiet_log += (1.0 - self.usual_share(self.slot)).ln() * INDEPENDENT;
        }
        self.slot = slot;
        self.is_busy = false;
    }

    /// A historical event was made then: its slot was busy, and those since the newest were not.
    pub(super) fn teach(&mut self, made_at: Timestamp) {
        let slot = made_at.floor_to(SLOT);
        if slot <= self.taught {
            return;
        }
        if self.taught > Timestamp::EPOCH && slot.since(self.taught) < Span::days(3) {
            let mut empty = self.taught + SLOT;
            while empty < slot {
                self.count(empty, false);
                empty = empty + SLOT;
            }
        }
        self.count(slot, true);
        self.taught = slot;
    }

    /// Since when nothing arrived, and how likely that is by chance; `None` while too little is
    /// known.
    pub(super) fn silence(&self) -> Option<(Timestamp, f64)> {
        let last_at = self.last_at?;
        if self.all.1 < KNOWN_MIN {
            let is_long = self.slot.since(last_at) >= COLD_SILENCE;
            if !is_long || self.all.1 < COLD_KNOWN_MIN {
                return None;
            }
        }
        Some((last_at, self.quiet_log.exp()))
    }

    /// The usual share of busy slots at this hour of the week.
    pub(super) fn usual_share(&self, at: Timestamp) -> f64 {
        let (busy, known) = self
            .hours
            .get(at.hour_of_week())
            .copied()
            .unwrap_or_default();
        let average = self.all.0 / self.all.1.max(1.0);
        ((busy + POOL * average) / (known + POOL)).clamp(0.0, 0.995)
    }

    fn count(&mut self, slot: Timestamp, is_busy: bool) {
        if self.hours.is_empty() {
            self.hours.resize(HOURS, (0.0, 0.0));
        }
        let busy = f64::from(u8::from(is_busy));
        let hour = &mut self.hours[slot.hour_of_week() % HOURS];
        // Twelve slots an hour: a record decays by a week's share each time one is added.
        let kept = 1.0 - (1.0 - KEPT_A_WEEK) / 12.0;
        *hour = (hour.0 * kept + busy, hour.1 * kept + 1.0);
        let kept = 1.0 - (1.0 - KEPT_A_WEEK) / 2_016.0;
        self.all = (self.all.0 * kept + busy, self.all.1 * kept + 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn week_of_office_hours() -> Slots {
        let mut slots = Slots::default();
        for minute in 0..(4 * 7 * 24 * 60) {
            let now = Timestamp::from_secs(1_709_510_400) + Span::minutes(minute);
            let hour = now.hour_of_week() % 24;
            if (8..18).contains(&hour) && minute % 7 == 0 {
                slots.arrive(now, false);
            }
            slots.tick(now);
        }
        slots
    }

    /// The chance of no event from one hour of a Monday to another.
    fn chance_of_quiet(from_hour: i64, to_hour: i64) -> f64 {
        let mut slots = week_of_office_hours();
        let monday = Timestamp::from_secs(1_709_510_400) + Span::days(28);
        slots.arrive(monday + Span::hours(from_hour), false);
        for minute in 0..(to_hour - from_hour) * 60 {
            slots.tick(monday + Span::hours(from_hour) + Span::minutes(minute));
        }
        slots.silence().map_or(1.0, |(_, chance)| chance)
    }

    #[test]
    fn a_quiet_night_is_likely_and_a_quiet_noon_is_not() {
        let noon = chance_of_quiet(10, 13);
        assert!(noon < 1e-6, "{noon}");
        let night = chance_of_quiet(18, 23);
        assert!(night > 0.1, "{night}");
    }

    #[test]
    fn nothing_is_said_on_the_first_day() {
        let mut slots = Slots::default();
        slots.arrive(Timestamp::from_secs(1_709_510_400), false);
        for minute in 0..600 {
            slots.tick(Timestamp::from_secs(1_709_510_400) + Span::minutes(minute));
        }
        assert_eq!(slots.silence(), None);
    }
}
