//! One customer who is given back payment after payment.
//!
//! Who returns an order gets one refund, or some of one day. Several payments of several days, all given back to
//! one customer within a day, are a friend of whoever refunds, an account that was taken over, or a
//! mistake; and too few to be a wave. Merchants differ: more than half as many again as any customer was given
//! back within a day of the last eight weeks is asked for.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::detector::Context;
use crate::event::{Event, EventData};
use crate::ids::Key;
use crate::ledger::RefundFact;
use crate::money::{Currency, Money};
use crate::time::{Span, Timestamp};

/// Refunds of one customer that lie closer together are one story.
const WITHIN: Span = Span::hours(24);

/// How long after the last of them another is still part of it.
const GOES_ON: Span = Span::hours(48);

/// Payments that were given back to one customer, at least.
const COUNT_MIN: usize = 5;

/// Days on which these were paid, at least: what was bought on one day is often one purchase.
const PAID_DAYS_MIN: usize = 4;

/// Days whose busiest customer is remembered.
const BUSIEST_DAYS: i64 = 56;

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
    /// By day, oldest first: whom most was given back, and how many payments.
    busiest: VecDeque<(i64, Key, usize)>,
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
        let from = refund.at - WITHIN;
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
        let same: Vec<&Back> = (self.newest.iter())
            .filter(|one| one.customer == customer && one.at >= from)
            .collect();
        let today = ctx.calendar().day(refund.at);
        let most = self.most_of_others(customer, today);
        let mut paid_on: Vec<i64> = same.iter().map(|one| one.paid_on).collect();
        paid_on.sort_unstable();
        paid_on.dedup();
        let is_much =
            same.len() >= COUNT_MIN && paid_on.len() >= PAID_DAYS_MIN && same.len() * 2 > most * 3;
        let finding = is_much.then(|| describe(&same, paid_on.len(), most));
        let count = same.len();
        self.note(customer, today, count);
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

    /// The most that any other customer was given back within a day.
    fn most_of_others(&self, customer: Key, today: i64) -> usize {
        let known = self.busiest.iter();
        let others = known.filter(|(day, one, _)| *one != customer && today - day < BUSIEST_DAYS);
        others.map(|(_, _, count)| *count).max().unwrap_or(0)
    }

    fn note(&mut self, customer: Key, today: i64, count: usize) {
        while self
            .busiest
            .front()
            .is_some_and(|(day, _, _)| today - day >= BUSIEST_DAYS)
        {
            self.busiest.pop_front();
        }
        match self.busiest.iter_mut().find(|(day, _, _)| *day == today) {
            Some(known) if known.2 < count => *known = (today, customer, count),
            Some(_) => {}
            None => self.busiest.push_back((today, customer, count)),
        }
    }
}

fn describe(same: &[&Back], days: usize, most: usize) -> Finding {
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
        "{whose} was given back {} payments of {days} days within {WITHIN}",
        same.len()
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
            .threshold(count((most * 3 / 2 + 1).max(COUNT_MIN))),
        Measure::new("days_paid_on", count(days), Unit::Count),
    ];
    finding.evidence.reasons.push(format!(
        "no other customer was given back more than {most} payments within a day of the last {BUSIEST_DAYS} days"
    ));
    finding
}
