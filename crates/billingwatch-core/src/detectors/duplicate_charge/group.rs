//! Charges that are taken for one, as an open alert: what it says and what is at stake.

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::detector::Context;
use crate::few::Few;
use crate::ids::{Digits, Key};
use crate::ledger::IdText;
use crate::money::{Currency, Money};
use crate::time::{Span, Timestamp};

use super::paid::Paid;

/// Payments of one payer, amount and currency, in order of time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Set {
    pub(super) payer_id: IdText,
    pub(super) amount: i64,
    pub(super) currency: Currency,
    /// Nearly all stay alone.
    pub(super) paid: Few<Paid>,
}

impl Set {
    /// The place of a charge.
    pub(super) fn place(&self, charge: Key) -> Option<usize> {
        self.paid.iter().position(|paid| paid.charge == charge)
    }

    /// Takes a payment in at its place in time.
    pub(super) fn insert(&mut self, paid: Paid) {
        let is_before = |known: &Paid| known.place_in_time() < paid.place_in_time();
        let place = self.paid.partition_point(is_before);
        self.paid.insert(place, paid);
    }

    /// What makes two duplicates of one payer one incident: who, how much, and the UTC day of the
    /// first charge. It does not depend on which charge arrived first.
    pub(super) fn alert_key(&self, first_at: Timestamp) -> String {
        let day = first_at
            .to_utc()
            .map_or_else(String::new, |at| at.format("%Y-%m-%d").to_string());
        alert_key_begin(&self.payer_id, self.amount, self.currency) + &day
    }
}

/// What payments of one payer, amount and currency are kept under.
pub(super) fn key_of(payer: &[u8], amount: i64, currency: Currency) -> Key {
    let digits = Digits::of(amount);
    Key::of_byte_parts(&[payer, digits.as_bytes(), currency.as_bytes()])
}

/// How the keys of all alerts of one payer and amount begin.
pub(super) fn alert_key_begin(payer_id: &str, amount: i64, currency: Currency) -> String {
    format!("{payer_id}:{amount}{}:", currency.as_str())
}

/// A charge of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) charge: Key,
    pub(super) charge_id: IdText,
    /// Not the first of those that are taken for one.
    pub(super) is_surplus: bool,
}

/// Charges that are taken for one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Group {
    /// In order of time.
    pub(super) members: Vec<Member>,
    pub(super) surplus: i64,
    pub(super) currency: Currency,
    pub(super) payer_id: IdText,
    /// When the first of its charges was made.
    pub(super) at: Timestamp,
    pub(super) opened_at: Timestamp,
    pub(super) kind: Kind,
}

/// What was paid twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// One purchase, as far as anything says.
    Purchase,
    /// The first invoices of different subscriptions.
    Signup,
    /// Different invoices that bill the same for this time.
    Service { from: Timestamp, to: Timestamp },
}

impl Group {
    /// What was given back of its charges so far, whichever account of it is ahead. An invoice that
    /// credit notes take back as a whole gives back all that paid it: as a refund, to the
    /// customer's balance, or by other means.
    pub(super) fn refunded(&self, ctx: &Context<'_>) -> i64 {
        let is_credited = |invoice: Key| {
            let invoice = ctx.ledger().invoice(invoice);
            invoice.is_some_and(|known| {
                let total = known.total.unwrap_or(0);
                total > 0 && known.amount_credited >= total
            })
        };
        let refunded = |member: &Member| {
            ctx.ledger().payment(member.charge).map_or(0, |payment| {
                if payment.invoice.is_some_and(is_credited) {
                    return payment.amount_collected;
                }
                payment.amount_refunded.max(payment.amount_refunded_total)
            })
        };
        self.members
            .iter()
            .map(refunded)
            .fold(0, i64::saturating_add)
    }
}

/// Puts a group into words.
pub(super) fn describe(key: &str, group: &Group, set: &Set, members: &[&Paid]) -> Finding {
    let count = members.len();
    let severity = match count {
        // Likely a form sent twice, and yet somebody may want two of one thing.
        2 if group.kind == Kind::Signup => Severity::Medium,
        ..=2 => Severity::High,
        _ => Severity::Critical,
    };
    let mut finding = Finding::new(key, severity, "A customer was charged more than once");
    let apart = match (members.first(), members.last()) {
        (Some(first), Some(last)) => last.at.since(first.at),
        _ => Span::ZERO,
    };
    let what = match group.kind {
        Kind::Purchase => "with nothing that tells the purchases apart",
        Kind::Signup => "for subscriptions to one price that were begun at once",
        Kind::Service { .. } => "by different invoices that bill the same for the same period",
    };
    finding.message = format!(
        "{} was charged {} {count} times within {apart}, {what}",
        set.payer_id,
        Money::new(set.amount, set.currency),
    );
    finding.subject = Some(set.payer_id.to_string());
    finding.subjects.push(set.payer_id.to_string());
    let ids = members.iter().map(|paid| paid.charge_id.to_string());
    finding.subjects.extend(ids.clone());
    finding.currency = Some(set.currency);
    finding.amount_at_stake = Some(group.surplus);
    let evidence = &mut finding.evidence;
    evidence.event_ids = members
        .iter()
        .map(|paid| paid.event_id.to_string())
        .collect();
    evidence.object_ids = ids.collect();
    let charges = i64::try_from(count).unwrap_or(i64::MAX);
    evidence.measures = vec![
        Measure::new("charges", charges, Unit::Count).expected(1),
        Measure::new("seconds_apart", apart.as_secs(), Unit::Seconds),
        Measure::new("surplus", group.surplus, Unit::MinorUnits).expected(0),
    ];
    evidence.reasons = reasons(members, group.kind);
    match group.kind {
        Kind::Purchase => {}
        Kind::Signup => {
            let reason = "different subscriptions to the same prices, with the same metadata: each \
                          will be charged again every period";
            evidence.reasons.push(reason.to_owned());
        }
        Kind::Service { from, to } => {
            evidence.reasons.push(format!(
                "different invoices, and yet the same lines for the same period, {from} to {to}, \
                 and no other subscription, memo or metadata"
            ));
        }
    }
    finding
}

/// What speaks for one thing paid twice.
fn reasons(members: &[&Paid], kind: Kind) -> Vec<String> {
    let mut reasons = vec!["different charges of different purchases".to_owned()];
    let cards: Vec<Option<Key>> = members.iter().map(|paid| paid.card).collect();
    reasons.push(match cards.split_first() {
        Some((Some(first), rest)) if rest.iter().all(|card| *card == Some(*first)) => {
            "the same card".to_owned()
        }
        _ if cards.iter().all(Option::is_some) => "different cards of the same customer".to_owned(),
        _ => "no card to compare".to_owned(),
    });
    if members.iter().any(|paid| paid.is_as_other) {
        reasons.push("one order, paid in part as another customer".to_owned());
    }
    let is_same = |word: fn(&Paid) -> Option<Key>| {
        let first = members.first().and_then(|paid| word(paid));
        first.is_some() && members.iter().all(|paid| word(paid) == first)
    };
    if is_same(|paid| paid.description) {
        reasons.push("the same description".to_owned());
    } else if !matches!(kind, Kind::Service { .. }) {
        reasons.push("no description that differs".to_owned());
    }
    let shared = |(name, value): &&(IdText<22>, Key)| {
        let has = |paid: &Paid| {
            paid.metadata
                .iter()
                .any(|pair| pair == &(name.clone(), *value))
        };
        members.iter().all(|paid| has(paid))
    };
    if let Some(first) = members.first() {
        for (name, _) in first.metadata.iter().filter(shared).take(3) {
            reasons.push(format!("the same metadata `{name}`"));
        }
    }
    let keys: Vec<&str> = members
        .iter()
        .filter_map(|paid| paid.idempotency_key.as_deref())
        .collect();
    if keys.len() == members.len() {
        let is_one = keys.windows(2).all(|pair| pair[0] == pair[1]);
        reasons.push(if is_one {
            "the same idempotency key".to_owned()
        } else {
            "different idempotency keys, none of which names an order: each was a call of its own"
                .to_owned()
        });
    }
    reasons
}
