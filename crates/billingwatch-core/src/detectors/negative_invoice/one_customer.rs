//! One customer who is given back payment after payment.
//!
//! Who returns an order gets one refund, or some of one day. Several payments of several days, all given back to
//! one customer within a day, are a friend of whoever refunds, an account that was taken over, or a
//! mistake; and too few to be a wave. So is who buys, is given it back, and buys again, within a week: that turns cards
//! into credits, or shows that what is bought does not work. Merchants differ: more than half as many again as
//! any customer was given back within as long of the last eight weeks is asked for. Who was told is no example of it, or
//! the first thief would hide the second; unless there are many, as where everybody is given a deposit back.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::detector::Context;
use crate::event::{Event, EventData};
use crate::ids::Key;
use crate::ledger::RefundFact;
use crate::money::{Currency, Money};
use crate::time::{Span, Timestamp};

/// What is asked of refunds of one customer that lie so close together.
#[derive(Clone, Copy, Debug)]
struct Window {
    within: Span,
    /// Payments that were given back, at least.
    count_min: usize,
    /// Days on which these were paid, at least: what was bought on one day is often one purchase.
    paid_days_min: usize,
    /// Payments of the same time alone count, and two of three must have been given back.
    is_round: bool,
}

const WINDOWS: [Window; 2] = [
    Window {
        within: Span::hours(24),
        count_min: 5,
        paid_days_min: 4,
        is_round: false,
    },
    Window {
        within: Span::days(7),
        count_min: 5,
        paid_days_min: 2,
        is_round: true,
    },
];

/// The longest of them.
const REMEMBERED: Span = Span::days(7);

/// How long after the last of them another is still part of it.
const GOES_ON: Span = Span::hours(48);

/// Days whose busiest customer is remembered.
const BUSIEST_DAYS: i64 = 56;

/// Customers told within these days from which on they are examples of what is usual here, and none before.
pub(super) const TOLD_MAX: usize = 4;

/// The most of them that are remembered.
const EXAMPLES_MAX: usize = 32;

/// Refunds remembered; the oldest falls out early beyond it.
const REFUNDS_MAX: usize = 20_000;

/// A payment that was given back.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Back {
    at: Timestamp,
    customer: Key,
    /// As Stripe wrote it, where an event says.
    customer_id: Option<Box<str>>,
    charge: Key,
    charge_id: Box<str>,
    paid_on: i64,
    amount: i64,
    currency: Currency,
}

/// Refunds of a day by customer, and how many the busiest ones had.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct OneCustomer {
    newest: VecDeque<Back>,
    /// Of each window by day, oldest first: whom most was given back, and how many payments.
    busiest: [VecDeque<(i64, Key, usize)>; WINDOWS.len()],
    /// The same of those that were told.
    examples: [VecDeque<(i64, Key, usize)>; WINDOWS.len()],
    /// Who was told of lately, when, and under which key.
    told: Vec<(Key, Timestamp, String)>,
}

impl OneCustomer {
    /// Takes in a refund; what is to be told of its customer, if anything.
    pub(super) fn take(
        &mut self,
        refund: &RefundFact,
        event: &Event,
        ctx: &Context<'_>,
    ) -> Option<Finding> {
        let charge = refund.charge?;
        let payment = ctx.ledger().payment(charge)?;
        let customer = payment.customer?;
        let (id, charge_id) = super::refund_ids(event)?;
        let from = refund.at - REMEMBERED;
        while self.newest.len() >= REFUNDS_MAX
            || self.newest.front().is_some_and(|one| one.at < from)
        {
            self.newest.pop_front();
        }
        if self.newest.iter().any(|one| one.charge == charge) {
            return None;
        }
        let customer_id = match &event.data {
            EventData::Charge(charge) => charge.customer.as_ref().map(|id| id.as_str().into()),
            _ => None,
        };
        self.newest.push_back(Back {
            at: refund.at,
            customer,
            customer_id,
            charge,
            charge_id: charge_id.unwrap_or(id).into(),
            paid_on: ctx.calendar().day(payment.at),
            amount: refund.amount,
            currency: refund.currency,
        });
        let of_customer: Vec<&Back> = (self.newest.iter())
            .filter(|one| one.customer == customer)
            .collect();
        let today = ctx.calendar().day(refund.at);
        let (mut finding, mut counts) = (None, [0; WINDOWS.len()]);
        let known = self.busiest.iter().zip(&self.examples);
        for ((window, (busiest, examples)), count) in WINDOWS.iter().zip(known).zip(&mut counts) {
            let from = refund.at - window.within;
            let paid_from = if window.is_round {
                ctx.calendar().day(from)
            } else {
                i64::MIN
            };
            let known = of_customer.iter().copied();
            let same: Vec<&Back> = known
                .filter(|one| one.at >= from && one.paid_on >= paid_from)
                .collect();
            *count = same.len();
            let mut most = most_of_others(busiest, customer, today);
            if examples.len() >= TOLD_MAX {
                most = most.max(most_of_others(examples, customer, today));
            }
            let mut paid_on: Vec<i64> = same.iter().map(|one| one.paid_on).collect();
            paid_on.sort_unstable();
            paid_on.dedup();
            let is_much = same.len() >= window.count_min
                && paid_on.len() >= window.paid_days_min
                && same.len() * 2 > most * 3;
            if finding.is_none()
                && is_much
                && (!window.is_round || are_most(&same, (customer, from), ctx))
            {
                finding = Some(describe(&same, window, (paid_on.len(), most)));
            }
        }
        let known = self.busiest.iter_mut().zip(&mut self.examples);
        for ((busiest, examples), count) in known.zip(counts) {
            let newest = (today, customer, count);
            if finding.is_some() {
                busiest.retain(|(_, known, _)| *known != customer);
                examples.retain(|(day, known, _)| *known != customer && today - day < BUSIEST_DAYS);
                examples.push_back(newest);
                if examples.len() > EXAMPLES_MAX {
                    examples.pop_front();
                }
            } else {
                note(busiest, newest);
            }
        }
        finding.map(|finding| self.named(finding, customer, refund.at))
    }

    /// As long as it goes on it is one incident.
    fn named(&mut self, mut finding: Finding, customer: Key, at: Timestamp) -> Finding {
        self.told
            .retain(|(_, told_at, _)| at.since(*told_at) < GOES_ON);
        let known = self
            .told
            .iter_mut()
            .find(|(known, _, _)| *known == customer);
        if let Some((_, told_at, key)) = known {
            *told_at = at;
            finding.key.clone_from(key);
        } else {
            self.told.push((customer, at, finding.key.clone()));
        }
        finding
    }
}

/// The most that any other customer was given back within as long.
fn most_of_others(busiest: &VecDeque<(i64, Key, usize)>, customer: Key, today: i64) -> usize {
    let known = busiest.iter();
    let others = known.filter(|(day, one, _)| *one != customer && today - day < BUSIEST_DAYS);
    others.map(|(_, _, count)| *count).max().unwrap_or(0)
}

fn note(busiest: &mut VecDeque<(i64, Key, usize)>, newest: (i64, Key, usize)) {
    let (today, _, count) = newest;
    while (busiest.front()).is_some_and(|(day, _, _)| today - day >= BUSIEST_DAYS) {
        busiest.pop_front();
    }
    match busiest.iter_mut().find(|(day, _, _)| *day == today) {
        Some(known) if known.2 < count => *known = newest,
        Some(_) => {}
        None => busiest.push_back(newest),
    }
}

/// Whether these are two of three payments, or more, that the customer has made since then. Who pays every day is given
/// something back now and then. Payments are looked through only when so many were given back.
fn are_most(same: &[&Back], (customer, since): (Key, Timestamp), ctx: &Context<'_>) -> bool {
    let made = ctx.ledger().payments();
    let made = made.filter(|payment| {
        payment.customer == Some(customer) && payment.amount_collected > 0 && payment.at >= since
    });
    same.len() * 3 >= made.count() * 2
}

fn describe(same: &[&Back], window: &Window, (days, most): (usize, usize)) -> Finding {
    let within = window.within;
    let known = same.iter().find_map(|one| one.customer_id.as_deref());
    let first = same.first();
    let name = known
        .or(first.map(|one| &*one.charge_id))
        .unwrap_or_default();
    let title = "One customer is refunded again and again";
    // The first refund names the incident: the customer's id may be heard of later.
    let key = first.map_or_else(String::new, |one| format!("customer:{}", one.charge_id));
    let mut finding = Finding::new(key, Severity::Medium, title);
    let currency = first.map(|one| one.currency);
    let of_currency = same.iter().filter(|one| Some(one.currency) == currency);
    let sum = of_currency.fold(0_i64, |sum, one| sum.saturating_add(one.amount));
    let whose = match known {
        Some(customer) => customer.to_owned(),
        None => format!("the customer of {name}"),
    };
    finding.message = format!(
        "{whose} was given back {} payments of {days} days within {within}{}",
        same.len(),
        if window.is_round {
            ", most of what it paid in that time"
        } else {
            ""
        }
    );
    if let Some(currency) = currency {
        finding.message += &format!(", {}", Money::new(sum, currency));
        finding.currency = Some(currency);
        finding.amount_at_stake = Some(sum);
    }
    finding.subject = Some(name.to_owned());
    let charges = same
        .iter()
        .rev()
        .take(20)
        .map(|one| one.charge_id.to_string());
    finding.subjects = known
        .map(str::to_owned)
        .into_iter()
        .chain(charges)
        .collect();
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    finding.evidence.measures = vec![
        Measure::new("payments_given_back", count(same.len()), Unit::Count)
            .expected(count(most))
            .threshold(count((most * 3 / 2 + 1).max(window.count_min))),
        Measure::new("days_paid_on", count(days), Unit::Count),
    ];
    finding.evidence.reasons.push(format!(
        "no other customer was given back more than {most} payments within {within} of the last {BUSIEST_DAYS} days"
    ));
    finding
}
