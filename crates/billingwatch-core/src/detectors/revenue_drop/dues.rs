//! Payments foretold by subscriptions, and what became of each: expected against collected, free
//! of weekdays and calendars, because every subscription says itself when it pays next and how
//! much.
//!
//! Kept in order of time, so that a tick touches only those that fall due.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::subscription::SubscriptionStatus;
use crate::ids::{Key, KeyMap};
use crate::ledger::SubscriptionRecord;
use crate::money::Currency;
use crate::time::{Span, Timestamp};

use super::coupons::Coupons;

/// The time a payment is given after it is due. Stripe finalises a renewal invoice about an hour
/// after the period turns, and charges it at once.
pub(super) const SETTLE: Span = Span::hours(2);

/// A payment this long before it is due is the one that was due.
const EARLY: Span = Span::hours(12);

/// The event that a period turned comes within this time of its turn, before its invoice is finalised.
const TURN_TOLD: Span = Span::hours(1);

/// So many payments of subscriptions must have been told before a turn without one says anything: an
/// endpoint may be sent no invoices.
const PAID_MIN: u32 = 10;

/// How long a due payment is remembered after it was booked: what is delivered late corrects it.
const KEPT: Span = Span::days(4);

/// All of an amount, in the parts that are given away of it: amounts below a thousand million minor units
/// are told to the unit, larger ones to a thousand millionth.
const WHOLE: u32 = 1_000_000_000;

/// What became of a foretold payment in the time that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// Nothing at all: no invoice was finalised, no attempt failed. Money that nobody asks for.
    Silent,
    /// Invoiced and not paid yet: a bank debit that takes days, or declined and tried again.
    Asked,
    /// Paid.
    Paid,
}

/// A payment foretold by a subscription.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Due {
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) outcome: Outcome,
    /// What its invoice asks less, because of a discount that came since, or for no reason: of the amount, in parts of
    /// [`WHOLE`]. There is one of these for each live subscription, and this fits where nothing was.
    less_part: u32,
    /// A discount came since.
    is_cut: bool,
    /// Nothing explains what its invoice asks less.
    is_short: bool,
    is_booked: bool,
}

/// What an invoice asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Billed {
    /// Before discounts.
    pub(super) subtotal: i64,
    /// What they take off.
    pub(super) off: i64,
    /// How much less it asks than was ever paid.
    pub(super) below_paid: i64,
    /// What it should ask for at least by what is known of its subscription, and what it asks for so.
    pub(super) price: Option<Price>,
}

/// The price of a renewal, as its invoice has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Price {
    /// The most that may be held against it.
    pub(super) most: i64,
    /// What it asks for its period.
    pub(super) asked: i64,
}

/// What to write into the hour in which the time of a due payment was over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Booking {
    pub(super) at: Timestamp,
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) outcome: Outcome,
    /// What of the amount is given away.
    pub(super) given: i64,
    /// What discounts take off it, new or not.
    pub(super) off: i64,
    /// What of the amount is not asked for, and nothing says why.
    pub(super) short: i64,
    /// 1 to write it in, −1 to take it back.
    pub(super) sign: i32,
}

/// Foretold payments in order of time; one or two for each subscription that will pay.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Dues {
    by_time: BTreeMap<(Timestamp, Key), Due>,
    /// The newest due time of each subscription.
    next_of: KeyMap<Timestamp>,
    /// All that is due before this is booked.
    booked_until: Timestamp,
    /// Payments told, as far as they need to be counted.
    paid: u32,
    coupons: Coupons,
}

impl Dues {
    /// Takes in what is now known of a subscription, by an event made at `event_at`.
    pub(super) fn look(
        &mut self,
        key: Key,
        record: Option<&SubscriptionRecord>,
        is_discounted: bool,
        event_at: Timestamp,
        bookings: &mut Vec<Booking>,
    ) {
        let next = record.and_then(foretell);
        self.coupons.look(key, record);
        if let Some(record) = record {
            self.explain(key, record, bookings);
        }
        if let Some(old_at) = self.next_of.get(&key).copied() {
            let due = next.filter(|(at, _)| *at == old_at);
            let is_there = due.is_some()
                || is_discounted && record.is_some_and(|record| would_renew(record, old_at));
            if is_there {
                if let Some(known) = self.by_time.get_mut(&(old_at, key))
                    && !known.is_booked
                {
                    known.change(due.map(|(_, due)| due), is_discounted);
                }
                return;
            }
            let is_failing = record.is_some_and(|record| {
                matches!(
                    record.status,
                    SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid
                )
            });
            if is_failing && old_at - EARLY <= event_at {
                self.turn_out(key, old_at, (Outcome::Asked, None), event_at, bookings);
            } else if old_at > event_at || record.is_none_or(|record| record.is_paused) {
                // Called off or moved: nothing was to be expected.
                self.call_off(key, old_at, bookings);
            }
            if next.is_none() {
                return;
            }
            self.next_of.swap_remove(&key);
        }
        self.foretell(key, next, event_at, bookings);
    }

    /// A subscription paid, by an event made at `event_at`.
    pub(super) fn pay(
        &mut self,
        key: Key,
        record: Option<&SubscriptionRecord>,
        billed: Option<Billed>,
        event_at: Timestamp,
        bookings: &mut Vec<Booking>,
    ) {
        self.paid = self.paid.saturating_add(1).min(PAID_MIN);
        let next = record.and_then(foretell);
        if let Some(old_at) = self.next_of.get(&key).copied() {
            if old_at - EARLY <= event_at {
                self.turn_out(key, old_at, (Outcome::Paid, billed), event_at, bookings);
            } else if next.is_none_or(|(at, _)| at != old_at) {
                self.call_off(key, old_at, bookings);
            }
            if next.is_some_and(|(at, _)| at == old_at) {
                return;
            }
            self.next_of.swap_remove(&key);
        }
        self.foretell(key, next, event_at, bookings);
    }

    /// An invoice of this subscription was finalised: whatever happens to it, billing went on.
    pub(super) fn invoice(
        &mut self,
        key: Key,
        billed: Option<Billed>,
        event_at: Timestamp,
        bookings: &mut Vec<Booking>,
    ) {
        if let Some(at) = self.next_of.get(&key).copied()
            && at - EARLY <= event_at
        {
            self.turn_out(key, at, (Outcome::Asked, billed), event_at, bookings);
        }
    }

    /// Whether a payment of this subscription is foretold, or was.
    pub(super) fn knows(&self, key: Key) -> bool {
        self.next_of.contains_key(&key)
    }

    /// The period of a subscription turned, of which no payment was foretold: who pays by the year is first
    /// heard of at its turn, and so is the end of a trial. The turn foretells its own payment, whose
    /// invoice is finalised an hour later. Deliveries keep no order, so the invoice may have been told
    /// before it.
    pub(super) fn turned(
        &mut self,
        key: Key,
        record: &SubscriptionRecord,
        is_asked: bool,
        event_at: Timestamp,
        bookings: &mut Vec<Booking>,
    ) {
        let turn = record.period_start;
        let turn = turn.filter(|turn| (Span::ZERO..TURN_TOLD).contains(&event_at.since(*turn)));
        let Some((turn, (next_at, mut due))) = turn.zip(foretell(record)) else {
            return;
        };
        let is_paid = next_at > turn + record.boundary_slack();
        // Until it is paid it is kept under the time that is foretold from now on, so that its payment finds it.
        let at = if is_paid { turn } else { next_at };
        if self.paid < PAID_MIN || next_at < turn || self.by_time.contains_key(&(at, key)) {
            return;
        }
        due.outcome = match (is_paid, is_asked) {
            (true, _) => Outcome::Paid,
            (false, true) => Outcome::Asked,
            (false, false) => Outcome::Silent,
        };
        self.put(key, at, due, bookings);
        if !is_paid {
            self.next_of.insert(key, at);
        }
    }

    /// Books everything whose time is over at `horizon`, and forgets what is old.
    pub(super) fn book_until(&mut self, horizon: Timestamp, bookings: &mut Vec<Booking>) {
        let due_before = horizon - SETTLE;
        if due_before <= self.booked_until {
            return;
        }
        let none = Key::of("");
        let range = (self.booked_until, none)..(due_before, none);
        for ((at, key), due) in self.by_time.range_mut(range) {
            if !due.is_booked {
                due.is_booked = true;
                let off = self.coupons.off(*key, *at);
                bookings.push(due.booking(*at, off, 1));
            }
        }
        self.booked_until = due_before;
        while let Some(first) = self.by_time.first_entry()
            && first.key().0 < due_before - KEPT
        {
            first.remove();
        }
    }

    fn foretell(
        &mut self,
        key: Key,
        next: Option<(Timestamp, Due)>,
        event_at: Timestamp,
        bookings: &mut Vec<Booking>,
    ) {
        // What is due at the very moment it is told is a first payment: nobody foretold it.
        if let Some((at, due)) = next.filter(|(at, _)| *at > event_at) {
            self.put(key, at, due, bookings);
            self.next_of.insert(key, at);
        }
    }

    fn put(&mut self, key: Key, at: Timestamp, mut due: Due, bookings: &mut Vec<Booking>) {
        if at < self.booked_until {
            due.is_booked = true;
            bookings.push(due.booking(at, self.coupons.off(key, at), 1));
        }
        self.by_time.insert((at, key), due);
    }

    /// Sets the outcome, if it came in time.
    fn turn_out(
        &mut self,
        key: Key,
        at: Timestamp,
        (outcome, billed): (Outcome, Option<Billed>),
        event_at: Timestamp,
        bookings: &mut Vec<Booking>,
    ) {
        let Some(due) = self.by_time.get_mut(&(at, key)) else {
            return;
        };
        // By event time: what is delivered late was in time all the same.
        if event_at > at + SETTLE || due.outcome == Outcome::Paid {
            return;
        }
        if due.is_booked {
            bookings.push(due.booking(at, self.coupons.off(key, at), -1));
        }
        due.outcome = outcome;
        if let Some(billed) = billed {
            due.bill(billed, |part| self.coupons.note(key, at, part));
        }
        if due.is_booked {
            bookings.push(due.booking(at, self.coupons.off(key, at), 1));
        }
    }

    /// A lower price that is heard of after the invoice was explains why it asks for less: deliveries keep no order.
    fn explain(&mut self, key: Key, record: &SubscriptionRecord, bookings: &mut Vec<Booking>) {
        let turn = record.period_start;
        let turn = turn.filter(|turn| *turn >= self.booked_until - KEPT);
        let due = turn.and_then(|turn| Some((turn, self.by_time.get_mut(&(turn, key))?)));
        let Some((at, due)) = due.filter(|(_, due)| due.is_short) else {
            return;
        };
        let asked = due.amount - due.short();
        let price = record.amount().unwrap_or(0);
        if price >= due.amount {
            return;
        }
        let off = self.coupons.off(key, at);
        if due.is_booked {
            bookings.push(due.booking(at, off, -1));
        }
        due.fall_short(price.saturating_sub(asked));
        if due.is_booked {
            bookings.push(due.booking(at, off, 1));
        }
    }

    /// Takes a foretold payment off, unless it was invoiced: then it was due indeed.
    fn call_off(&mut self, key: Key, at: Timestamp, bookings: &mut Vec<Booking>) {
        self.next_of.swap_remove(&key);
        let is_silent = |due: &Due| due.outcome == Outcome::Silent;
        if self.by_time.get(&(at, key)).is_some_and(is_silent)
            && let Some(due) = self.by_time.remove(&(at, key))
            && due.is_booked
        {
            bookings.push(due.booking(at, self.coupons.off(key, at), -1));
        }
    }
}

impl Due {
    /// What is now known of the subscription. A price that changed is what will be paid; what a discount takes off it is
    /// held against what was foretold when the invoice says so: a coupon for everybody must not talk its loss away.
    fn change(&mut self, due: Option<Self>, is_discounted: bool) {
        let is_less = |due: Self| due.amount < self.amount;
        let is_cut = is_discounted && due.is_none_or(is_less);
        if let (Some(due), false) = (due, is_cut) {
            let short = self.short();
            (self.amount, self.currency) = (due.amount, due.currency);
            if self.is_short {
                self.fall_short(short);
            }
        }
        self.is_cut = is_cut;
    }

    /// Its invoice came. A discount of the subscription, new since it was foretold, is what it gives away; one of which the
    /// subscription says nothing is as far as it pays less than it ever did. `new_of` says what of a part is new.
    fn bill(&mut self, billed: Billed, new_of: impl FnOnce(u32) -> u32) {
        let mut given = new_of(self.given_away(billed));
        if !self.is_cut {
            given = given.min(self.part(billed.below_paid));
        }
        let is_given = given > 0 && !(self.is_short && given < self.less_part);
        if self.is_cut || is_given {
            (self.less_part, self.is_short) = (given, false);
        } else if let Some(price) = billed.price {
            self.fall_short(self.amount.min(price.most).saturating_sub(price.asked));
        }
    }

    /// What of the amount the discounts of an invoice take off: no more than all of it, and nothing of what was off already
    /// when it was foretold.
    fn given_away(&self, billed: Billed) -> u32 {
        let asked = billed.subtotal.saturating_sub(billed.off);
        let less = self.amount.saturating_sub(asked);
        self.part(less.min(billed.off))
    }

    /// What part of the amount another one is: none of it at least, and no more than all.
    fn part(&self, amount: i64) -> u32 {
        let amount = amount.clamp(0, self.amount.max(0));
        let part = rounded_ratio(amount, i64::from(WHOLE), self.amount);
        u32::try_from(part).map_or(WHOLE, |part| part.min(WHOLE))
    }

    /// Its invoice asks so much less than its price, and nothing says why.
    fn fall_short(&mut self, by: i64) {
        (self.less_part, self.is_short) = (self.part(by), by > 0);
    }

    /// A part of the amount.
    fn of(&self, part: u32) -> i64 {
        rounded_ratio(self.amount, i64::from(part), i64::from(WHOLE))
    }

    fn less(&self) -> i64 {
        self.of(self.less_part)
    }

    fn short(&self) -> i64 {
        if self.is_short { self.less() } else { 0 }
    }

    fn given(&self) -> i64 {
        self.less() - self.short()
    }

    fn booking(&self, at: Timestamp, off: u32, sign: i32) -> Booking {
        Booking {
            at: at + SETTLE,
            amount: self.amount,
            currency: self.currency,
            outcome: self.outcome,
            given: self.given(),
            off: self.of(off),
            short: self.short(),
            sign,
        }
    }
}

/// When a subscription charged automatically pays next, and how much, if that can be said.
fn foretell(record: &SubscriptionRecord) -> Option<(Timestamp, Due)> {
    let at = record.due_at().ok()?;
    let is_certain = record.payment_term_days == 0 && !record.has_opaque_discounts;
    let amount = record.amount().filter(|amount| *amount > 0)?;
    let currency = record.currency.filter(|_| is_certain)?;
    let due = Due {
        amount,
        currency,
        outcome: Outcome::Silent,
        less_part: 0,
        is_short: false,
        is_cut: false,
        is_booked: false,
    };
    Some((at, due))
}

/// Whether a subscription is billed at this turn, for whatever it may be: one that is wholly discounted is, too.
fn would_renew(record: &SubscriptionRecord, turn: Timestamp) -> bool {
    let is_ending = record
        .ends_at
        .is_some_and(|end| end <= turn + record.boundary_slack());
    let turns = [record.period_start, record.period_end];
    record.status == SubscriptionStatus::Active
        && record.payment_term_days == 0
        && !(record.is_paused || record.is_metered || record.has_test_clock || is_ending)
        && turns.contains(&Some(turn))
}

/// The first number times the second, over the third, rounded; none of them is negative.
fn rounded_ratio(number: i64, times: i64, over: i64) -> i64 {
    let over = i128::from(over.max(1));
    let product = i128::from(number) * i128::from(times);
    i64::try_from((product + over / 2) / over).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(amount: i64) -> Due {
        Due {
            amount,
            currency: Currency::USD,
            outcome: Outcome::Silent,
            less_part: 0,
            is_short: false,
            is_cut: true,
            is_booked: false,
        }
    }

    #[test]
    fn a_foretold_payment_takes_no_more_memory_than_it_needs() {
        // A million subscriptions have one each.
        assert_eq!(size_of::<Due>(), 24);
    }

    #[test]
    fn what_is_given_away_is_known_to_the_minor_unit() {
        for amount in [1, 3, 99, 4_900, 999_983, 999_999_999] {
            for off in [0, 1, amount / 3, amount / 2, amount - 1, amount, amount + 7] {
                let mut due = due(amount);
                let subtotal = amount;
                due.less_part = due.given_away(Billed {
                    subtotal,
                    off,
                    below_paid: 0,
                    price: None,
                });
                assert_eq!(due.given(), off.clamp(0, amount), "{off} of {amount}");
            }
        }
        let mut due = due(i64::MAX);
        let (subtotal, off) = (i64::MAX, i64::MAX);
        due.less_part = due.given_away(Billed {
            subtotal,
            off,
            below_paid: 0,
            price: None,
        });
        assert_eq!(due.given(), i64::MAX);
    }
}
