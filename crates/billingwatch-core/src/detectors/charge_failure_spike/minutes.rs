//! Attempts counted by the minute they were made in: what every window is summed from.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::invoice::BillingReason;
use crate::event::{Event, EventData};
use crate::time::{Span, Timestamp};

use super::super::words::is_for_invoice;

const MINUTE: Span = Span::minutes(1);

/// The most minutes kept: five hours of a merchant who is busy every minute, and days of a quiet
/// one. More than any window of a busy merchant needs.
const MINUTES_MAX: usize = 300;

/// Whose hand an attempt was made by: the two fail at different rates everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Hand {
    /// A buyer's, or the merchant's own call.
    Checkout,
    /// Stripe's automation: a renewal, which comes in batches, on cards that have aged.
    Renewal,
}

impl Hand {
    /// Stripe's automation names no request; of the charges without one, those for invoices are
    /// renewals. Stripe itself describes them, in every API version.
    pub(super) fn of(event: &Event) -> Self {
        let is_by_call = event
            .request
            .as_ref()
            .is_some_and(|request| request.id.is_some());
        if is_by_call {
            return Self::Checkout;
        }
        let is_for_invoice = match &event.data {
            EventData::Charge(charge) => is_for_invoice(charge),
            EventData::PaymentIntent(intent) => intent.invoice.is_some(),
            EventData::Invoice(invoice) => {
                invoice.billing_reason != BillingReason::SubscriptionCreate
            }
            _ => false,
        };
        if is_for_invoice {
            Self::Renewal
        } else {
            Self::Checkout
        }
    }
}

/// Attempts of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Attempts, of which those of one payer that failed count once.
    pub(super) all: u64,
    /// Payers that failed.
    pub(super) failed: u64,
    /// Of these, failures of machines rather than of cards.
    pub(super) technical: u64,
}

impl Counts {
    const NONE: Self = Self {
        all: 0,
        failed: 0,
        technical: 0,
    };

    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            all: self.all + other.all,
            failed: self.failed + other.failed,
            technical: self.technical + other.technical,
        }
    }

    /// What is left without a part of it.
    pub(super) const fn minus(self, part: Self) -> Self {
        Self {
            all: self.all.saturating_sub(part.all),
            failed: self.failed.saturating_sub(part.failed),
            technical: self.technical.saturating_sub(part.technical),
        }
    }
}

/// What a stretch of time brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sums {
    pub(super) checkout: Counts,
    pub(super) renewal: Counts,
    /// Cards tried in vain at a checkout, blocked ones and failed set-ups among them.
    pub(super) cards: u64,
    /// Of these, cards that bear a mark of card testing.
    pub(super) marked: u64,
    /// Of these, cards that Radar blocked.
    pub(super) blocked: u64,
    /// Of these, cards whose set-up failed.
    pub(super) setups: u64,
    /// Of these, cards tried with an amount far below the usual.
    pub(super) tiny: u64,
    /// Cards that paid such an amount.
    pub(super) tiny_paid: u64,
    /// Of the cards, those declined as guessed or reported cards are.
    pub(super) guessed: u64,
    /// Of the cards, those declined on a purchase that had had three others before.
    pub(super) of_one: u64,
    /// The most cards that one purchase had had by then, within a day.
    pub(super) most_of_one: u64,
}

impl Sums {
    pub(super) const fn of(&mut self, hand: Hand) -> &mut Counts {
        match hand {
            Hand::Checkout => &mut self.checkout,
            Hand::Renewal => &mut self.renewal,
        }
    }

    pub(super) const fn both(&self) -> Counts {
        self.checkout.plus(self.renewal)
    }

    /// Everything a card was tried with at a checkout, in vain or not.
    pub(super) const fn tries(&self) -> u64 {
        self.cards + (self.checkout.all - self.checkout.failed)
    }

    /// Whether tiny amounts are a mark of those who try cards: of the cards that are tried with one
    /// most fail. Where two of three pay, prices are what is small.
    pub(super) const fn is_tiny_a_mark(&self) -> bool {
        self.tiny_paid <= 2 * self.tiny
    }

    /// Cards with a mark, without those whose amount is none.
    pub(super) const fn truly_marked(&self) -> u64 {
        if self.is_tiny_a_mark() {
            self.marked
        } else {
            self.blocked + self.setups + self.of_one
        }
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            checkout: self.checkout.plus(other.checkout),
            renewal: self.renewal.plus(other.renewal),
            cards: self.cards + other.cards,
            marked: self.marked + other.marked,
            blocked: self.blocked + other.blocked,
            setups: self.setups + other.setups,
            tiny: self.tiny + other.tiny,
            tiny_paid: self.tiny_paid + other.tiny_paid,
            guessed: self.guessed + other.guessed,
            of_one: self.of_one + other.of_one,
            most_of_one: if self.most_of_one > other.most_of_one {
                self.most_of_one
            } else {
                other.most_of_one
            },
        }
    }
}

/// One minute that brought anything.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Minute {
    pub(super) at: Timestamp,
    pub(super) sums: Sums,
    /// Part of an incident: nothing to learn from.
    pub(super) is_tainted: bool,
    /// Part of a card testing attack: its checkouts are no measure of payments.
    pub(super) is_attack: bool,
}

/// The newest minutes, oldest first; those that brought nothing have no entry.
///
/// Bounded: [`MINUTES_MAX`] of them; the oldest leave early beyond it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Minutes {
    minutes: VecDeque<Minute>,
    newest_at: Timestamp,
    /// When the last spike was over: what belongs to it makes no second one.
    floor_at: Timestamp,
    /// What came before each minute, and before the end, as far as it is added up; see [`add_up`](Self::add_up).
    #[serde(skip)]
    briefs: VecDeque<Brief>,
}

/// What shows that a window holds nothing of interest, as nearly all do.
#[derive(Clone, Copy, Debug, Default)]
struct Brief {
    /// Attempts that can belong to a spike.
    all: u64,
    failed: u64,
    /// See [`Sums::marked`].
    marked: u64,
}

impl Brief {
    const fn and(self, minute: &Minute) -> Self {
        let counts = minute.spike_sums().both();
        Self {
            all: self.all + counts.all,
            failed: self.failed + counts.failed,
            marked: self.marked + minute.sums.marked,
        }
    }
}

impl Minute {
    /// What of it can belong to a spike: of an attack only renewals.
    const fn spike_sums(&self) -> Sums {
        if !self.is_attack {
            return self.sums;
        }
        Sums {
            checkout: Counts::NONE,
            renewal: self.sums.renewal,
            cards: 0,
            marked: 0,
            blocked: 0,
            setups: 0,
            tiny: 0,
            tiny_paid: 0,
            guessed: 0,
            of_one: 0,
            most_of_one: 0,
        }
    }
}

impl Minutes {
    /// Adds up what changed since this was called last: nearly always the newest minutes alone.
    pub(super) fn add_up(&mut self) {
        let mut sum = self.briefs.back().copied().unwrap_or_default();
        if self.briefs.is_empty() {
            self.briefs.push_back(sum);
        }
        let from = self.briefs.len() - 1;
        for minute in self.minutes.range(from.min(self.minutes.len())..) {
            sum = sum.and(minute);
            self.briefs.push_back(sum);
        }
    }

    /// Attempts of a window that can belong to a spike, and how many of them failed; `None` where they are not added up.
    pub(super) fn spike_brief(&self, window: Span) -> Option<(u64, u64)> {
        let (before, all) = self.briefs_since(self.spike_since(window))?;
        Some((all.all - before.all, all.failed - before.failed))
    }

    /// See [`Sums::marked`].
    pub(super) fn marked_brief(&self, window: Span) -> Option<u64> {
        let (before, all) = self.briefs_since(self.newest_at - window)?;
        Some(all.marked - before.marked)
    }

    fn briefs_since(&self, from: Timestamp) -> Option<(&Brief, &Brief)> {
        if self.briefs.len() != self.minutes.len() + 1 {
            return None;
        }
        let place = self.minutes.partition_point(|minute| minute.at <= from);
        self.briefs.get(place).zip(self.briefs.back())
    }

    /// The minute of this instant, made when it is missing.
    pub(super) fn entry(&mut self, at: Timestamp) -> &mut Minute {
        let minute = at.floor_to(MINUTE);
        self.newest_at = self.newest_at.max(at);
        // Nearly always the last one: events come nearly in order.
        let after = self.minutes.iter().rev();
        let later = after.take_while(|known| known.at > minute).count();
        let mut index = self.minutes.len() - later;
        if index > 0 && self.minutes[index - 1].at == minute {
            index -= 1;
            self.briefs.truncate(index + 1);
        } else {
            self.briefs.truncate(index + 1);
            self.minutes.insert(
                index,
                Minute {
                    at: minute,
                    ..Minute::default()
                },
            );
        }
        &mut self.minutes[index]
    }

    /// Whether anybody failed in the day that is remembered, or tried a card in vain.
    pub(super) fn has_failures(&self) -> bool {
        let mut sums = self.minutes.iter().map(|minute| minute.sums);
        sums.any(|sums| sums.cards > 0 || sums.both().failed > 0)
    }

    /// When the newest attempt was made: where windows end.
    pub(super) const fn newest_at(&self) -> Timestamp {
        self.newest_at
    }

    /// A spike is over: from here on windows look no farther back.
    pub(super) const fn begin_anew(&mut self) {
        self.floor_at = self.newest_at;
    }

    /// The same from an instant on, if that is later than what is known.
    pub(super) fn begin_anew_from(&mut self, at: Timestamp) {
        self.floor_at = self.floor_at.max(at);
    }

    /// Everything that the window of this length up to the newest attempt brought.
    pub(super) fn sums(&self, window: Span) -> Sums {
        let mut sums = Sums::default();
        for minute in self.since(self.newest_at - window) {
            sums = sums.plus(minute.sums);
        }
        sums
    }

    /// Where a window begins, as far as it can belong to a spike.
    pub(super) fn spike_since(&self, window: Span) -> Timestamp {
        self.floor_at.max(self.newest_at - window)
    }

    /// What of it can belong to a spike: not the last spike's own, and of an attack only renewals.
    pub(super) fn spike_sums(&self, window: Span) -> Sums {
        let [sums] = self.spike_sums_of([window]);
        sums
    }

    /// The same for several windows at once, the shortest first.
    pub(super) fn spike_sums_of<const N: usize>(&self, windows: [Span; N]) -> [Sums; N] {
        let mut minutes = self.since(self.floor_at).peekable();
        let mut sums = Sums::default();
        windows.map(|window| {
            let from = self.newest_at - window;
            while let Some(minute) = minutes.next_if(|minute| minute.at > from) {
                sums = sums.plus(minute.spike_sums());
            }
            sums
        })
    }

    /// What was seen before a window, as far as it is no part of an incident.
    pub(super) fn calm_before(&self, window: Span) -> Sums {
        let until = self.newest_at - window;
        let before = self.minutes.iter().take_while(|minute| minute.at <= until);
        let calm = before.filter(|minute| !minute.is_tainted);
        calm.fold(Sums::default(), |sums, minute| sums.plus(minute.sums))
    }

    fn since(&self, from: Timestamp) -> impl Iterator<Item = &Minute> {
        let newest_first = self.minutes.iter().rev();
        newest_first.take_while(move |minute| minute.at > from)
    }

    /// The minutes since then.
    pub(super) fn since_mut(&mut self, from: Timestamp) -> impl Iterator<Item = &mut Minute> {
        self.briefs.clear();
        let minutes = self.minutes.iter_mut().rev();
        minutes.take_while(move |minute| minute.at > from)
    }

    /// Takes out the oldest minute if it is from before then, or there are too many.
    pub(super) fn pop_before(&mut self, then: Timestamp) -> Option<Minute> {
        let is_old = self.minutes.front().is_some_and(|oldest| oldest.at < then);
        let is_full = self.minutes.len() > MINUTES_MAX;
        if !is_old && !is_full {
            return None;
        }
        self.briefs.pop_front();
        self.minutes.pop_front()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_709_510_400 + secs)
    }

    #[test]
    fn stragglers_find_their_minute() {
        let mut minutes = Minutes::default();
        for secs in [30, 600, 45, 90, 610, 31] {
            minutes.entry(at(secs)).sums.checkout.all += 1;
        }
        let counts: Vec<u64> = minutes
            .minutes
            .iter()
            .map(|m| m.sums.checkout.all)
            .collect();
        assert_eq!(counts, [3, 1, 2]);
        assert_eq!(minutes.newest_at(), at(610));
    }

    #[test]
    fn a_window_ends_at_the_newest_attempt() {
        let mut minutes = Minutes::default();
        for minute in 0..10 {
            minutes.entry(at(minute * 60)).sums.renewal.all += 1;
        }
        let sums = |window| minutes.sums(window).renewal.all;
        assert_eq!(sums(Span::minutes(3)), 3);
        assert_eq!(sums(Span::hours(1)), 10);
    }

    #[test]
    fn what_is_added_up_in_brief_is_what_the_sums_say() {
        let mut minutes = Minutes::default();
        let mut state = 7_u64;
        for step in 0..2_000_i64 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let draw = state >> 33;
            let back = i64::try_from(draw % 400).unwrap();
            let minute = minutes.entry(at(
                step * 30 - if draw.is_multiple_of(9) { back * 60 } else { 0 }
            ));
            minute.sums.renewal.all += 1;
            minute.sums.checkout.all += draw % 3;
            minute.sums.checkout.failed += draw % 2;
            minute.sums.marked += draw % 5;
            if draw.is_multiple_of(50) {
                let from = minutes.newest_at() - Span::minutes(back);
                minutes
                    .since_mut(from)
                    .for_each(|minute| minute.is_attack = true);
            }
            if draw.is_multiple_of(70) {
                minutes.begin_anew_from(at(step * 30) - Span::minutes(20));
            }
            let oldest = at(step * 30) - Span::hours(3);
            while minutes.pop_before(oldest).is_some() {}
            if draw.is_multiple_of(4) {
                minutes.add_up();
            }
            for window in [1, 15, 60, 1_440].map(Span::minutes) {
                let counts = minutes.spike_sums(window).both();
                let brief = minutes.spike_brief(window);
                assert!(brief.is_none_or(|brief| brief == (counts.all, counts.failed)));
                let marked = minutes.marked_brief(window);
                assert!(marked.is_none_or(|marked| marked == minutes.sums(window).marked));
                assert!(!draw.is_multiple_of(4) || brief.is_some() && marked.is_some());
            }
        }
    }

    #[test]
    fn old_minutes_leave_one_by_one() {
        let mut minutes = Minutes::default();
        minutes.entry(at(0));
        minutes.entry(at(60));
        assert_eq!(minutes.pop_before(at(60)).unwrap().at, at(0));
        assert!(minutes.pop_before(at(60)).is_none());
    }

    #[test]
    fn the_bound_holds_and_the_newest_stay() {
        let mut minutes = Minutes::default();
        for minute in 0..1_000 {
            minutes.entry(at(minute * 60)).sums.checkout.all += 1;
            let left = minutes.pop_before(at(0));
            assert_eq!(left.is_some(), minute >= 300);
        }
        assert_eq!(minutes.sums(Span::days(1)).checkout.all, 300);
    }
}
