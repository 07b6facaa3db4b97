//! One card that pays again and again: each time as a guest, so that no customer tells the payments
//! apart, or for several customers.
//!
//! Where a card pays for several customers, purchases of theirs on which it was declined count as well: who uses up a
//! stolen card goes on until it is blocked, and every other try fails. A purchase tried again is one.
//!
//! Vending, donations and top-ups have such cards every day, and so has who sells to companies. So what
//! counts is how often the busiest card of eight weeks paid within three hours. What one customer pays
//! by one card is [another matter](super::one_buyer).

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::event::Event;
use crate::event::charge::Charge;
use crate::few::Few;
use crate::ids::Key;
use crate::ledger::{Generations, IdText};
use crate::money::{Currency, Money};
use crate::time::{Span, Timestamp};

use super::busiest::Busiest;
use super::one_buyer::OneBuyer;

/// How long payments of a card are counted together.
pub(super) const WINDOW: Span = Span::hours(3);

/// At most twice so many cards are watched.
const WATCHED_MAX: usize = 100_000;

/// The most payments kept of one card.
const PAYMENTS_MAX: usize = 100;

/// The same amount so soon again is a purchase sent twice, which `duplicate_charge` tells.
const REPEAT: Span = Span::minutes(5);

/// Days that must be known before the busiest card says what is usual.
pub(super) const DAYS_MIN: i64 = 7;

/// A couple shares a card, and a family may: from so many customers on it is one card with many names.
const CUSTOMERS_MIN: usize = 3;

/// How often cards pay in one scope: those of guests, or those of customers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CardRate {
    cards: Generations<Few<Paid>>,
    /// The most purchases of a card within the window.
    busiest: Busiest,
    one_buyer: OneBuyer,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Paid {
    at: Timestamp,
    pub(super) charge: IdText,
    pub(super) customer: Option<Key>,
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) is_declined: bool,
    /// It is the first that is known of its customer.
    pub(super) is_first: bool,
}

impl Default for CardRate {
    fn default() -> Self {
        Self {
            cards: Generations::new(WINDOW, WATCHED_MAX),
            busiest: Busiest::default(),
            one_buyer: OneBuyer::default(),
        }
    }
}

impl CardRate {
    /// Forgets; when it does next.
    pub(super) fn advance_to(&mut self, now: Timestamp) -> Timestamp {
        self.cards.advance_to(now)
    }

    /// Takes in a payment by card, made on a local day, the first of its customer or not; what is to be
    /// told of the card or the customer, if it is so many.
    pub(super) fn take(
        &mut self,
        (charge, card, fingerprint): (&Charge, Key, &str),
        event: &Event,
        (at, day, is_first): (Timestamp, i64, bool),
        (count_min, customer_min): (i64, i64),
    ) -> Option<Finding> {
        // A tab at a counter is paid in parts by somebody who is there.
        let kind = charge.payment_method_type.as_deref();
        if kind.is_some_and(|kind| kind.ends_with("_present")) {
            return None;
        }
        let (amount, currency) = charge.amount_collected().zip(charge.currency)?;
        self.busiest.start_day(day);
        let payments = self.cards.entry(card, Few::default);
        payments.retain(|paid| at.since(paid.at) <= WINDOW);
        let customer = charge.customer.as_ref().map(|id| id.key());
        let paid = Paid {
            at,
            charge: charge.id.as_str().into(),
            customer,
            amount,
            currency,
            is_declined: false,
            is_first,
        };
        // It went through at last.
        if let Some(declined) = payments.iter_mut().find(|known| known.is_tried_by(&paid)) {
            *declined = paid;
        } else {
            let is_known = |known: &Paid| {
                let is_again = known.is_same_purchase(&paid)
                    && at.since(known.at).as_millis().abs() <= REPEAT.as_millis();
                is_again || known.charge == paid.charge
            };
            if payments.len() >= PAYMENTS_MAX || payments.iter().any(is_known) {
                return None;
            }
            payments.push(paid);
        }
        let payments = &*payments;
        let of_card = judge(
            payments,
            &mut self.busiest,
            (card, fingerprint),
            event,
            (day, count_min),
        );
        of_card.or_else(|| {
            let of = (day, customer_min);
            (self.one_buyer).judge((charge, fingerprint), payments, event, of)
        })
    }

    /// Takes in a purchase on which a card was declined; what is to be told of the card. Only a card
    /// that pays is of interest: those that never do are card testing.
    pub(super) fn take_declined(
        &mut self,
        (charge, card, fingerprint): (&Charge, Key, &str),
        event: &Event,
        (at, day): (Timestamp, i64),
        count_min: i64,
    ) -> Option<Finding> {
        let payments = self.cards.get_mut(card)?;
        let (amount, currency) = charge.amount.zip(charge.currency)?;
        payments.retain(|paid| at.since(paid.at) <= WINDOW);
        let declined = Paid {
            at,
            charge: charge.id.as_str().into(),
            customer: charge.customer.as_ref().map(|id| id.key()),
            amount,
            currency,
            is_declined: true,
            is_first: false,
        };
        let is_known = |known: &Paid| known.is_same_purchase(&declined);
        if payments.len() >= PAYMENTS_MAX || payments.iter().any(is_known) {
            return None;
        }
        payments.push(declined);
        let payments = &*payments;
        judge(
            payments,
            &mut self.busiest,
            (card, fingerprint),
            event,
            (day, count_min),
        )
    }

    /// Another alert tells of this card.
    pub(super) fn told(&mut self, card: Key) {
        self.busiest.told(card);
    }
}

/// What is to be told of a card that was used.
fn judge(
    payments: &[Paid],
    busiest: &mut Busiest,
    (card, fingerprint): (Key, &str),
    event: &Event,
    (day, count_min): (i64, i64),
) -> Option<Finding> {
    let is_of_customers = payments.iter().any(|paid| paid.customer.is_some());
    if is_of_customers && customers_of(payments) < CUSTOMERS_MIN {
        return None;
    }
    let count = payments.len();
    let count_min = usize::try_from(count_min).unwrap_or(usize::MAX);
    // Most cards pay once, whatever the busiest does.
    if count < count_min {
        busiest.note(card, count);
        return None;
    }
    // A newcomer's busiest card is not known: what is odd anywhere is told.
    let usual = (busiest.known_days(day) >= DAYS_MIN).then(|| busiest.before(day));
    let limit = match usual {
        Some(busiest) => count_min.max(busiest * 2 + 1),
        None => count_min * 2,
    };
    if count < limit {
        busiest.note(card, count);
        return None;
    }
    busiest.told(card);
    Some(describe(fingerprint, payments, event, (usual, limit)))
}

impl Paid {
    fn is_same_purchase(&self, other: &Self) -> bool {
        (self.customer, self.amount, self.currency)
            == (other.customer, other.amount, other.currency)
    }

    /// It was declined, and is what the other paid.
    fn is_tried_by(&self, other: &Self) -> bool {
        self.is_declined && self.is_same_purchase(other)
    }
}

/// How many customers a card paid for.
fn customers_of(payments: &[Paid]) -> usize {
    let customer_of = |paid: &Paid| paid.customer.filter(|_| !paid.is_declined);
    let is_first = |(place, paid): &(usize, &Paid)| {
        let customer = customer_of(paid);
        let mut before = payments.iter().take(*place);
        customer.is_some() && before.all(|other| customer_of(other) != customer)
    };
    payments.iter().enumerate().filter(is_first).count()
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
    let newest = || payments.iter().rev().filter(|paid| !paid.is_declined);
    let declined = count - newest().count();
    let currency = newest().next().map(|paid| paid.currency);
    let same = newest().filter(|paid| Some(paid.currency) == currency);
    let sum = same.fold(0_i64, |sum, paid| sum.saturating_add(paid.amount));
    let paid = count - declined;
    let and_declined = match declined {
        0 => String::new(),
        _ => format!(", and was declined {declined} times,"),
    };
    finding.message =
        format!("card {fingerprint} paid {paid} times{and_declined} {of_whom} within {WINDOW}");
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
    let charges = payments
        .iter()
        .rev()
        .take(20)
        .map(|paid| paid.charge.to_string());
    finding.subjects.extend(charges);
    finding.evidence.object_ids = finding.subjects.clone();
    finding.evidence.event_ids.push(event.id.to_string());
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    finding.evidence.measures =
        vec![Measure::new("purchases", number(count), Unit::Count).threshold(number(limit))];
    if declined > 0 {
        let measure = Measure::new("declined", number(declined), Unit::Count);
        finding.evidence.measures.push(measure);
    }
    finding
}
