//! One new customer who pays by one card again and again.
//!
//! A stolen card is emptied while it works: somebody opens an account and buys whatever is easily sold,
//! every few minutes. A customer of whom nothing was known three hours ago buys once or twice elsewhere;
//! where accounts are filled and played empty, ten times in an hour may be an evening like any other. So
//! what counts is how often the busiest customers of eight weeks paid by one card within three hours.
//! Who is known is never told: what a customer makes of an old account is the customer's business.

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::event::Event;
use crate::event::charge::Charge;
use crate::ids::CustomerId;
use crate::money::Money;

use super::busiest::Busiest;
use super::card_rate::{DAYS_MIN, Paid, WINDOW};
use crate::detectors::words::is_for_invoice;

/// What came on so many days is usual; on fewer, an exception, such as the day a shop was opened.
const USUAL_DAYS: usize = 3;

/// How often customers pay by one card.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct OneBuyer {
    /// The most purchases of a customer by one card within the window.
    busiest: Busiest,
}

impl OneBuyer {
    /// What is to be told of the customer of a payment, of those a card made within the window.
    pub(super) fn judge(
        &mut self,
        (charge, fingerprint): (&Charge, &str),
        payments: &[Paid],
        event: &Event,
        (day, count_min): (i64, i64),
    ) -> Option<Finding> {
        let id = charge.customer.as_ref()?;
        // What the merchant billed is no purchase of somebody who helps himself.
        if is_for_invoice(charge) {
            return None;
        }
        self.busiest.start_day(day);
        let customer = id.key();
        let of_customer = |paid: &&Paid| paid.customer == Some(customer) && !paid.is_declined;
        let own = || payments.iter().filter(of_customer);
        let count = own().count();
        let count_min = usize::try_from(count_min).unwrap_or(usize::MAX);
        // Nearly always.
        if count < count_min {
            self.busiest.note(customer, count);
            return None;
        }
        // Everybody is new to a record that has just begun: nothing is told of its first week.
        let is_known = self.busiest.known_days(day) >= DAYS_MIN;
        let (most, usual) = self.busiest.before_on(day, USUAL_DAYS);
        let limit = count_min.max(usual * 2 + 1).max(most + 1);
        if !is_known || count < limit || !own().any(|paid| paid.is_first) {
            self.busiest.note(customer, count);
            return None;
        }
        self.busiest.told(customer);
        let own: Vec<&Paid> = own().collect();
        Some(describe(id, fingerprint, &own, event, (most, usual, limit)))
    }
}

fn describe(
    id: &CustomerId,
    fingerprint: &str,
    own: &[&Paid],
    event: &Event,
    (most, usual, limit): (usize, usize, usize),
) -> Finding {
    let count = own.len();
    let severity = if count >= limit.saturating_mul(2) {
        Severity::High
    } else {
        Severity::Medium
    };
    // The alert that tells of this customer's many cards is about the same person.
    let title = "A new customer pays again and again";
    let mut finding = Finding::new(format!("customer:{id}"), severity, title);
    finding.message =
        format!("{id}, who is new, paid {count} times by card {fingerprint} within {WINDOW}");
    if let Some(currency) = own.last().map(|paid| paid.currency) {
        let same = own.iter().filter(|paid| paid.currency == currency);
        let sum = same.fold(0_i64, |sum, paid| sum.saturating_add(paid.amount));
        finding.message += &format!(", {}", Money::new(sum, currency));
        finding.currency = Some(currency);
        finding.amount_at_stake = Some(sum);
    }
    let reason = format!(
        "the busiest customer of the days before paid {most} times, and on {USUAL_DAYS} days one paid {usual} times \
         or more"
    );
    finding.evidence.reasons.push(reason);
    finding.subject = Some(id.to_string());
    finding.subjects = vec![id.to_string(), fingerprint.to_owned()];
    let charges = own.iter().rev().take(20);
    finding
        .subjects
        .extend(charges.map(|paid| paid.charge.to_string()));
    finding.evidence.object_ids = finding.subjects.clone();
    finding.evidence.event_ids.push(event.id.to_string());
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    finding.evidence.measures =
        vec![Measure::new("purchases", number(count), Unit::Count).threshold(number(limit))];
    finding
}
