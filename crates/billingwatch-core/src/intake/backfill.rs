//! Old events that no delivery by Stripe explains: an import, or a resend by hand.
//!
//! Stripe tries to deliver an event for three days (Stripe docs: Receive Stripe events in your
//! webhook endpoint). One that arrives for the first time long after that was sent again by
//! somebody: it says nothing about how late deliveries are. An import goes on up to the present,
//! so the late events that come with many old ones are part of it.
//!
//! Neither was anything to be delivered to an endpoint before it was there: what was made before the
//! first event that ever came, and comes after it, is history that somebody imports, or what gathered
//! while things were set up. Lists of Stripe's API begin with the newest, so an import of the last
//! weeks begins with events of minutes ago.

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

use super::Intake;

/// An event that is older than this at its first arrival is no delivery of Stripe's: its three days
/// of tries, and half a day for the last of them and for clocks.
pub(crate) const RETRIED: Span = Span::hours(84);

/// So many old events make an import of which younger ones are part; fewer are resent by hand.
const IMPORT_MIN: u64 = 10;

/// An import is over when nothing of it came for so long.
const PAUSE_MAX: Span = Span::minutes(10);

/// How long after the last old event late ones are part of the import: a real lag that begins
/// meanwhile is told then.
const TAIL_MAX: Span = Span::hours(1);

/// How long an import may last before nothing waits for it any more.
const IMPORT_MAX: Span = Span::days(1);

/// The newest run of old events.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Backfill {
    since: Timestamp,
    /// The newest arrival of any part of it, and of one that is old.
    last_at: Timestamp,
    old_at: Timestamp,
    /// When the oldest of it was made.
    made_from: Timestamp,
    count: u64,
    /// The newest event of all is part of it.
    is_newest: bool,
    /// When the first event ever came, of any kind.
    first_at: Option<Timestamp>,
}

impl Backfill {
    /// An event arrived for the first time: whether it is part of a backfill.
    pub(super) fn takes(&mut self, now: Timestamp, made_at: Timestamp, is_late: bool) -> bool {
        self.first_at.get_or_insert(now);
        self.is_newest = is_late && self.takes_late(now, made_at);
        self.is_newest
    }

    fn takes_late(&mut self, now: Timestamp, made_at: Timestamp) -> bool {
        let is_before_all = self.first_at.is_some_and(|first_at| made_at < first_at);
        let is_old = is_before_all || now.since(made_at) > RETRIED;
        if now.since(self.last_at) > PAUSE_MAX {
            *self = Self {
                since: now,
                made_from: Timestamp::MAX,
                first_at: self.first_at,
                ..Self::default()
            };
        }
        if !is_old && (self.count < IMPORT_MIN || now.since(self.old_at) > TAIL_MAX) {
            return false;
        }
        if is_old {
            self.old_at = now;
            self.count += 1;
        }
        self.last_at = now;
        self.made_from = self.made_from.min(made_at);
        true
    }

    /// When the oldest event was made of an import that is under way: others are still to come.
    pub(super) fn running(&self, now: Timestamp) -> Option<Timestamp> {
        let is_running = self.count >= IMPORT_MIN
            && now.since(self.last_at) <= PAUSE_MAX
            && now.since(self.since) <= IMPORT_MAX;
        is_running.then_some(self.made_from)
    }
}

impl Intake {
    /// The newest event is no delivery of Stripe's, but imported or resent by hand: when the run of
    /// such events began.
    pub(crate) fn backfill_since(&self) -> Option<Timestamp> {
        self.backfill.is_newest.then_some(self.backfill.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_709_510_400);

    /// Old events, one a second.
    fn import(count: i64) -> Backfill {
        let mut backfill = Backfill::default();
        for second in 0..count {
            let now = NOW + Span::secs(second);
            assert!(backfill.takes_late(now, now - Span::days(9)));
        }
        backfill
    }

    #[test]
    fn what_stripe_still_tries_to_deliver_is_none() {
        let mut backfill = Backfill::default();
        assert!(!backfill.takes_late(NOW, NOW - Span::days(3)));
        assert!(!backfill.takes_late(NOW, NOW - RETRIED));
        assert!(backfill.takes_late(NOW, NOW - RETRIED - Span::secs(1)));
    }

    #[test]
    fn what_was_made_before_the_first_event_ever_came_is_no_delivery() {
        let mut backfill = Backfill::default();
        assert!(!backfill.takes(NOW, NOW - Span::secs(2), false));
        let later = NOW + Span::minutes(30);
        assert!(backfill.takes(later, NOW - Span::hours(1), true));
        assert!(!backfill.takes(later, NOW + Span::minutes(1), true));
        // It is remembered for as long as it matters.
        let later = NOW + Span::days(2);
        assert!(backfill.takes(later, NOW - Span::hours(1), true));
    }

    #[test]
    fn late_events_are_part_of_an_import_and_not_of_a_resend_by_hand() {
        let mut by_hand = import(9);
        assert!(!by_hand.takes_late(NOW + Span::minutes(1), NOW - Span::hours(2)));
        let mut import = import(10);
        assert!(import.takes_late(NOW + Span::minutes(1), NOW - Span::hours(2)));
    }

    #[test]
    fn an_import_ends_by_a_pause() {
        let mut import = import(60);
        assert!(import.running(NOW + Span::minutes(10)).is_some());
        assert!(import.running(NOW + Span::minutes(12)).is_none());
        assert!(!import.takes_late(NOW + Span::minutes(12), NOW - Span::hours(2)));
    }

    #[test]
    fn late_events_are_part_of_it_for_an_hour_and_no_longer() {
        let mut import = import(60);
        let is_part: Vec<bool> = (1..=70)
            .map(|minute| {
                let now = NOW + Span::minutes(minute);
                import.takes_late(now, now - Span::hours(1))
            })
            .collect();
        assert_eq!(is_part.iter().filter(|is_part| **is_part).count(), 60);
        assert!(!is_part.last().is_some_and(|is_part| *is_part));
    }

    #[test]
    fn nothing_waits_for_more_than_a_day() {
        let mut backfill = Backfill::default();
        let mut waited = 0;
        for minute in 0..3_000 {
            let now = NOW + Span::minutes(minute);
            backfill.takes_late(now, now - Span::days(9));
            waited += i64::from(backfill.running(now).is_some());
        }
        assert_eq!(waited, 24 * 60 + 1 - 9);
    }
}
