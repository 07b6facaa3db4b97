//! When periods turn, over all subscriptions of a scope: which events are foretold for which
//! minutes.
//!
//! A subscription's period turns at its `current_period_end`, to the second, and its events come
//! then: `customer.subscription.updated` (or `.deleted`) at once, the renewal's invoice at once or
//! an hour later. So a silence in which periods turn is no quiet hour. How soon the events come
//! after a turn, and how often they do not (an endpoint that is not subscribed to them), is
//! learned here; [`Intake`](crate::intake::Intake) asks what they say about a pause.
//!
//! Turns are counted in slots of five minutes, never one by one: memory grows with the time that
//! is foretold ([`AHEAD_MAX`]), not with subscriptions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

use super::SubscriptionRecord;

/// Turns that fall into the same five minutes say no more than one of them: they are one run.
const SLOT: Span = Span::minutes(5);

/// What turns later than this is not foretold yet: a year, and a month to spare.
const AHEAD_MAX: Span = Span::days(400);

/// How long a turn's events are awaited: Stripe delivers again for three days.
const AWAITED: Span = Span::days(4);

/// Clocks differ, and periods round: an event this long before a turn is the turn's own.
const EARLY: Span = Span::minutes(-1);

/// Events made so long after a turn are of something else.
const OWN_MAX: Span = Span::hours(6);

/// The delays that are told apart, in minutes after the turn.
const DELAYS: [i64; 9] = [2, 5, 10, 20, 40, 70, 90, 120, 360];

/// Events of turns that must have been seen to know when they come.
const KNOWN_MIN: f64 = 20.0;

/// Turns without events before any was seen: what is not known is not counted on.
const PRIOR_MISSED: f64 = 2.0;

/// What is kept of the learned delays from one turn to the next.
const KEPT: f64 = 0.998;

/// The most that one slot can miss: a chance of 5 %, however regular the turns were so far. Stripe
/// itself may be late with a run.
const SLOT_MISSING_MAX: f64 = 3.0;

/// Turns of one slot.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Slot {
    /// Still to come, or never came.
    ahead: u32,
    /// Turned.
    turned: u32,
    /// Invoiced.
    invoiced: u32,
}

/// How soon events of one kind follow a turn.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Delays {
    came: [f64; DELAYS.len()],
    missed: f64,
}

/// The turns of a scope's subscriptions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Renewals {
    slots: BTreeMap<Timestamp, Slot>,
    turns: Delays,
    invoices: Delays,
}

/// What the turns within a pause say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Foretold {
    /// Turns whose events should have come.
    pub(crate) count: u32,
    /// −ln of the chance that none of them came.
    pub(crate) missing: f64,
}

/// Which events of a turn are awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// The subscription's own.
    Turn,
    /// The renewal's invoice.
    Invoice,
}

impl Renewals {
    /// A subscription's next turn changed from one instant to another by an event made then.
    pub(super) fn change(
        &mut self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        event_at: Timestamp,
    ) {
        if from == to {
            return;
        }
        if let Some(turn) = from
            && let Some(slot) = self.slots.get_mut(&turn.floor_to(SLOT))
            && slot.ahead > 0
        {
            slot.ahead -= 1;
            let delay = event_at.since(turn);
            if (EARLY..OWN_MAX).contains(&delay) {
                slot.turned = slot.turned.saturating_add(1);
                self.turns.take(delay);
            }
        }
        if let Some(turn) = to.filter(|turn| turn.since(event_at) <= AHEAD_MAX) {
            let slot = self.slots.entry(turn.floor_to(SLOT)).or_default();
            slot.ahead = slot.ahead.saturating_add(1);
        }
    }

    /// An invoice of a subscription was finalised, by an event made then.
    pub(super) fn invoice(&mut self, record: &SubscriptionRecord, event_at: Timestamp) {
        let turns = [record.period_start, record.period_end];
        let is_own = |turn: &Timestamp| (EARLY..OWN_MAX).contains(&event_at.since(*turn));
        if let Some(turn) = turns.into_iter().flatten().find(is_own)
            && let Some(slot) = self.slots.get_mut(&turn.floor_to(SLOT))
        {
            slot.invoiced = slot.invoiced.saturating_add(1);
            self.invoices.take(event_at.since(turn));
        }
    }

    /// Forgets turns that are long past, and learns which never had events.
    pub(super) fn advance_to(&mut self, now: Timestamp) {
        while let Some(first) = self.slots.first_entry()
            && *first.key() < now - AWAITED
        {
            let slot = first.remove();
            let all = slot.ahead.saturating_add(slot.turned);
            self.turns.miss(slot.ahead);
            self.invoices.miss(all.saturating_sub(slot.invoiced));
        }
    }

    /// How likely an invoice of a turn is finalised between two instants; `None` while that is not
    /// known.
    pub(crate) fn invoiced_share(
        &self,
        turn: Timestamp,
        from: Timestamp,
        to: Timestamp,
    ) -> Option<f64> {
        self.invoices
            .share_between(from.since(turn), to.since(turn))
    }

    /// What the turns from `from` to `to` say of a pause in which none of their events came.
    pub(crate) fn foretold(&self, awaited: Awaited, from: Timestamp, to: Timestamp) -> Foretold {
        let delays = match awaited {
            Awaited::Turn => &self.turns,
            Awaited::Invoice => &self.invoices,
        };
        let mut foretold = Foretold::default();
        let first = from.floor_to(SLOT) + SLOT;
        if first >= to || delays.is_unknown() {
            return foretold;
        }
        for (begin, slot) in self.slots.range(first..to) {
            let all = match awaited {
                Awaited::Turn => slot.ahead,
                Awaited::Invoice => slot.ahead.saturating_add(slot.turned),
            };
            let share = delays.share(to.since(*begin + SLOT));
            if all == 0 || share <= 0.0 {
                continue;
            }
            foretold.count = foretold.count.saturating_add(all);
            foretold.missing += (-(1.0 - share).ln()).min(SLOT_MISSING_MAX);
        }
        foretold
    }
}

impl Delays {
    fn take(&mut self, delay: Span) {
        let bin = DELAYS.iter().position(|most| delay <= Span::minutes(*most));
        self.decay();
        if let Some(count) = bin.and_then(|bin| self.came.get_mut(bin)) {
            *count += 1.0;
        }
    }

    fn miss(&mut self, count: u32) {
        for _ in 0..count.min(1_000) {
            self.decay();
            self.missed += 1.0;
        }
    }

    fn decay(&mut self) {
        for count in &mut self.came {
            *count *= KEPT;
        }
        self.missed *= KEPT;
    }

    fn is_unknown(&self) -> bool {
        self.came.iter().sum::<f64>() < 1.0
    }

    /// Of the events that came, the share that came with a delay between the two; `None` while few
    /// are known. What is known to the bin counts in whole bins.
    fn share_between(&self, from: Span, to: Span) -> Option<f64> {
        let all = self.came.iter().sum::<f64>();
        if all < KNOWN_MIN {
            return None;
        }
        let begins = std::iter::once(EARLY).chain(DELAYS.map(Span::minutes));
        let bins = begins.zip(DELAYS.map(Span::minutes)).zip(&self.came);
        let within = bins.filter(|((begin, end), _)| *begin < to && *end > from);
        Some(within.map(|(_, count)| count).sum::<f64>() / all)
    }

    /// The share of turns whose events came within this time.
    fn share(&self, age: Span) -> f64 {
        let all = self.came.iter().sum::<f64>() + self.missed + PRIOR_MISSED;
        let within = DELAYS.iter().zip(&self.came);
        let within = within.filter(|(most, _)| Span::minutes(**most) <= age);
        within.map(|(_, count)| count).sum::<f64>() / all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_709_553_600);

    /// Turns an hour apart: as many with events half a minute later, then as many without.
    fn turned(with: i64, without: i64) -> Renewals {
        let mut renewals = Renewals::default();
        let turn = |n: i64| NOON + Span::hours(n);
        for n in 0..with + without {
            renewals.change(None, Some(turn(n)), NOON - Span::days(1));
        }
        for n in 0..with {
            let at = turn(n) + Span::secs(30);
            renewals.change(Some(turn(n)), Some(turn(n + 10_000)), at);
        }
        renewals
    }

    fn missing(renewals: &Renewals, from_hour: i64, to_hour: i64) -> Foretold {
        let at = |hour| NOON + Span::hours(hour) - Span::minutes(30);
        renewals.foretold(Awaited::Turn, at(from_hour), at(to_hour))
    }

    #[test]
    fn turns_without_events_are_missed_where_all_had_some() {
        let renewals = turned(100, 5);
        let foretold = missing(&renewals, 100, 105);
        assert_eq!(foretold.count, 5);
        assert!((foretold.missing - 15.0).abs() < 0.1, "{foretold:?}");
        // Those that had theirs are no more missed, and later ones not yet.
        assert_eq!(missing(&renewals, 90, 100), Foretold::default());
        assert_eq!(missing(&renewals, 103, 104).count, 1);
    }

    #[test]
    fn nothing_is_missed_where_turns_never_have_events() {
        let mut renewals = turned(0, 100);
        assert_eq!(missing(&renewals, 0, 100), Foretold::default());
        // Nor where most had none.
        renewals.advance_to(NOON + Span::days(9));
        let late = NOON + Span::days(8);
        renewals.change(None, Some(late), NOON);
        renewals.change(Some(late), None, late);
        renewals.change(None, Some(late + Span::hours(1)), late);
        let foretold = renewals.foretold(Awaited::Turn, late, late + Span::hours(2));
        assert!(foretold.missing < 0.05, "{foretold:?}");
    }

    #[test]
    fn turns_of_one_run_say_no_more_than_one() {
        let mut renewals = turned(100, 0);
        let run = NOON + Span::hours(200);
        for _ in 0..50 {
            renewals.change(None, Some(run), NOON);
        }
        let foretold = renewals.foretold(Awaited::Turn, run - SLOT, run + Span::hours(1));
        assert_eq!(foretold.count, 50);
        assert!(foretold.missing < 3.1, "{foretold:?}");
    }

    #[test]
    fn memory_is_bounded_by_what_is_awaited() {
        let mut renewals = Renewals::default();
        for n in 0..10_000 {
            renewals.change(None, Some(NOON + Span::days(n)), NOON);
        }
        assert_eq!(renewals.slots.len(), 401);
        renewals.advance_to(NOON + Span::days(1_000));
        assert_eq!(renewals.slots.len(), 0);
    }
}
