//! One payment as the detector remembers it, and what tells it from an equal one.

use serde::{Deserialize, Serialize};

use crate::detector::Context;
use crate::event::charge::Charge;
use crate::event::{Event, EventData};
use crate::ids::Key;
use crate::ledger::PaymentFact;
use crate::money::Currency;
use crate::time::Timestamp;

/// Metadata that differs between two tries of one purchase as a matter of course.
const NOISE_WORDS: [&str; 9] = [
    "attempt", "request", "session", "time", "nonce", "trace", "idempot", "retry", "created",
];

/// One payment, and what tells it from another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Paid {
    pub(super) charge: Key,
    pub(super) charge_id: Box<str>,
    pub(super) event_id: Box<str>,
    pub(super) purchase: Option<Key>,
    pub(super) at: Timestamp,
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) payer_id: Box<str>,
    pub(super) card: Option<Key>,
    pub(super) description: Option<Key>,
    pub(super) metadata: Vec<(Box<str>, Key)>,
    pub(super) may_be_invoice: bool,
}

/// Why two equal payments are not one thing paid twice.
pub(super) fn difference(
    new: &Paid,
    other: &Paid,
    invoices: (Option<Key>, Option<Key>),
    ctx: &Context<'_>,
) -> Option<(&'static str, String)> {
    if new.purchase.is_some() && new.purchase == other.purchase {
        return Some((
            "same_purchase",
            "two charges of one payment intent".to_owned(),
        ));
    }
    if let (Some(a), Some(b)) = invoices
        && a != b
    {
        return Some((
            "different_invoices",
            "equal charges for different invoices".to_owned(),
        ));
    }
    for (name, value) in &new.metadata {
        let twin_value = other
            .metadata
            .iter()
            .find(|(other_name, _)| other_name == name);
        if twin_value.is_some_and(|(_, twin_value)| twin_value != value) {
            return Some(("different_metadata", format!("metadata `{name}` differs")));
        }
    }
    if let (Some(a), Some(b)) = (new.description, other.description)
        && a != b
    {
        return Some((
            "different_description",
            "equal charges described differently".to_owned(),
        ));
    }
    let (first, second) = if new.at < other.at {
        (new, other)
    } else {
        (other, new)
    };
    let is_refunded = ctx
        .ledger()
        .payment(first.charge)
        .is_some_and(crate::ledger::Payment::is_refunded);
    if is_refunded {
        let message = format!(
            "{} was refunded before {}",
            first.charge_id, second.charge_id
        );
        return Some(("charged_again_after_refund", message));
    }
    None
}

/// What the event at hand says of the payment.
pub(super) fn read(payment: &PaymentFact, event: &Event) -> Option<Paid> {
    let blank = |charge_id: &str, payer_id: &str| Paid {
        charge: payment.charge,
        charge_id: charge_id.into(),
        event_id: event.id.as_str().into(),
        purchase: None,
        at: payment.at,
        amount: payment.amount,
        currency: payment.currency,
        payer_id: payer_id.into(),
        card: None,
        description: None,
        metadata: Vec::new(),
        may_be_invoice: false,
    };
    match &event.data {
        EventData::Charge(charge) => {
            let card = charge
                .card
                .as_ref()
                .and_then(|card| card.fingerprint.as_deref());
            let payer = charge.customer.as_ref().map(|id| id.as_str()).or(card)?;
            let mut paid = blank(charge.id.as_str(), payer);
            paid.purchase = charge.payment_intent.as_ref().map(|id| id.key());
            paid.card = card.map(Key::of);
            paid.description = charge.description.as_deref().map(Key::of);
            paid.metadata = telling_metadata(charge);
            paid.may_be_invoice = charge.invoice.is_none() && speaks_of_invoice(charge);
            Some(paid)
        }
        EventData::PaymentIntent(intent) => {
            let charge = intent.latest_charge.as_ref()?;
            let mut paid = blank(charge.as_str(), intent.customer.as_ref()?.as_str());
            paid.purchase = Some(intent.id.key());
            Some(paid)
        }
        // Money known from invoices alone: each invoice is a purchase of its own.
        _ => None,
    }
}

/// Metadata by which two purchases can be told apart.
fn telling_metadata(charge: &Charge) -> Vec<(Box<str>, Key)> {
    let is_telling = |name: &str| {
        let name = name.to_ascii_lowercase();
        NOISE_WORDS.iter().all(|word| !name.contains(word))
    };
    let telling = charge.metadata.iter().filter(|(name, _)| is_telling(name));
    telling
        .map(|(name, value)| (name.clone(), Key::of(value)))
        .collect()
}

/// Stripe describes the charges of invoices in its own words.
fn speaks_of_invoice(charge: &Charge) -> bool {
    charge.description.as_deref().is_some_and(|text| {
        text.starts_with("Subscription ")
            || text.starts_with("Payment for Invoice")
            || text.starts_with("Invoice ")
    })
}
