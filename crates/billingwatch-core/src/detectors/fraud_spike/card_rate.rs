//! One card that pays again and again: each time as a guest, so that no customer tells the payments
//! apart, or for several customers.
//!
//! Vending, donations and top-ups have such cards every day, and so has who sells to companies. So what
//! counts is how often the busiest card of eight weeks paid within three hours. What one customer pays
//! by one card is that customer's business, however often it is.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::event::Event;
use crate::event::charge::Charge;
use crate::ids::Key;
use crate::ledger::{Generations, IdText};
use crate::money::{Currency, Money};
use crate::time::{Span, Timestamp};

/// How long payments of a card are counted together.
const WINDOW: Span = Span::hours(3);

/// At most twice so many cards are watched.
const WATCHED_MAX: usize = 100_000;

/// The most payments kept of one card.
const PAYMENTS_MAX: usize = 100;

/// The same amount so soon again is a purchase sent twice, which `duplicate_charge` tells.
const REPEAT: Span = Span::minutes(5);

/// Days of which the busiest card is known.
const DAYS: usize = 56;

/// Days that must be known before the busiest card says what is usual.
const DAYS_MIN: i64 = 7;

/// A couple shares a card, and a family may: from so many customers on it is one card with many names.
const CUSTOMERS_MIN: usize = 3;

/// How often cards pay in one scope: those of guests, or those of customers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CardRate {
    cards: Generations<Vec<Paid>>,
    /// The most payments of a card within the window, by day, as far as they were not told.
    busiest: VecDeque<(i64, usize)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Paid {
    at: Timestamp,
    charge: IdText,
    customer: Option<Key>,
    amount: i64,
    currency: Currency,
}

impl Default for CardRate {
    fn default() -> Self {
        Self {
            cards: Generations::new(WINDOW, WATCHED_MAX),
            busiest: VecDeque::new(),
        }
    }
}

impl CardRate {
    pub(super) fn advance_to(&mut self, now: Timestamp) {
        self.cards.advance_to(now);
    }

    /// Takes in a payment by card, made on a local day; what is to be told of the card.
    pub(super) fn take(
        &mut self,
        (charge, fingerprint): (&Charge, &str),
        event: &Event,
        (at, day): (Timestamp, i64),
        count_min: i64,
    ) -> Option<Finding> {
        // A tab at a counter is paid in parts by somebody who is there.
        let kind = charge.payment_method_type.as_deref();
        if kind.is_some_and(|kind| kind.ends_with("_present")) {
            return None;
        }
        let (amount, currency) = charge.amount_collected().zip(charge.currency)?;
        self.start_day(day);
        let usual = self.busiest_before(day);
        let payments = self
            .cards
            .entry(Key::of(fingerprint), || Vec::with_capacity(1));
        payments.retain(|paid| at.since(paid.at) <= WINDOW);
        let customer = charge.customer.as_ref().map(|id| id.key());
        let is_known = |paid: &Paid| {
            let is_again = paid.customer == customer
                && paid.amount == amount
                && paid.currency == currency
                && at.since(paid.at).as_millis().abs() <= REPEAT.as_millis();
            is_again || *paid.charge == *charge.id.as_str()
        };
        if payments.len() >= PAYMENTS_MAX || payments.iter().any(is_known) {
            return None;
        }
        payments.push(Paid {
            at,
            charge: charge.id.as_str().into(),
            customer,
            amount,
            currency,
        });
        let count = payments.len();
        if customer.is_some() && customers_of(payments) < CUSTOMERS_MIN {
            return None;
        }
        let count_min = usize::try_from(count_min).unwrap_or(usize::MAX);
        // A newcomer's busiest card is not known: what is odd anywhere is told.
        let limit = match usual {
            Some(busiest) => count_min.max(busiest * 2 + 1),
            None => count_min * 2,
        };
        if count < limit {
            if let Some(today) = self.busiest.back_mut() {
                today.1 = today.1.max(count);
            }
            return None;
        }
        Some(describe(fingerprint, payments, event, (usual, limit)))
    }

    fn start_day(&mut self, day: i64) {
        if self.busiest.back().is_none_or(|(newest, _)| day > *newest) {
            self.busiest.push_back((day, 0));
            while self.busiest.len() > DAYS {
                self.busiest.pop_front();
            }
        }
    }

    /// The most payments of a card within the window on any day before; `None` while too few days are
    /// known.
    fn busiest_before(&self, day: i64) -> Option<usize> {
        let (first, _) = self.busiest.front()?;
        let before = self.busiest.iter().filter(|(known, _)| *known < day);
        let busiest = before.map(|(_, count)| *count).max()?;
        (day - first >= DAYS_MIN).then_some(busiest)
    }
}

/// How many customers a card paid for.
fn customers_of(payments: &[Paid]) -> usize {
    let customers: BTreeSet<Key> = payments.iter().filter_map(|paid| paid.customer).collect();
    customers.len()
}

fn describe(
    fingerprint: &str,
    payments: &[Paid],
    event: &Event,
    (usual, limit): (Option<usize>, usize),
) -> Finding {
    let count = payments.len();
    let severity = if count >= limit.saturating_mul(2) {
        Severity::High
    } else {
        Severity::Medium
    };
    let customers = customers_of(payments);
    let (key, title, of_whom) = match customers {
        0 => (
            format!("guest:{fingerprint}"),
            "One guest's card pays again and again",
            "without a customer".to_owned(),
        ),
        // The alert that tells of many new customers is about the same card.
        _ => (
            format!("card:{fingerprint}"),
            "One card pays again and again for several customers",
            format!("for {customers} customers"),
        ),
    };
    let mut finding = Finding::new(key, severity, title);
    let newest = || payments.iter().rev();
    let currency = newest().next().map(|paid| paid.currency);
    let same = newest().filter(|paid| Some(paid.currency) == currency);
    let sum = same.fold(0_i64, |sum, paid| sum.saturating_add(paid.amount));
    finding.message = format!("card {fingerprint} paid {count} times {of_whom} within {WINDOW}");
    if let Some(currency) = currency {
        finding.message += &format!(", {}", Money::new(sum, currency));
        finding.currency = Some(currency);
        finding.amount_at_stake = Some(sum);
    }
    let reason = match usual {
        Some(busiest) => format!("the busiest such card of the days before paid {busiest} times"),
        None => "no such card is known here for a week yet: twice the minimum counts".to_owned(),
    };
    finding.evidence.reasons.push(reason);
    finding.subject = Some(fingerprint.to_owned());
    finding.subjects.push(fingerprint.to_owned());
    let charges = newest().take(20).map(|paid| paid.charge.to_string());
    finding.subjects.extend(charges);
    finding.evidence.object_ids = finding.subjects.clone();
    finding.evidence.event_ids.push(event.id.to_string());
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    finding.evidence.measures =
        vec![Measure::new("payments", number(count), Unit::Count).threshold(number(limit))];
    finding
}
