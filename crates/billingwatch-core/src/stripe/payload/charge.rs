//! `charge`.

use serde::de::MapAccess;

use crate::event::EventData;
use crate::event::charge::{Card, Charge, ChargeStatus, Outcome, OutcomeKind};
use crate::ids::{ChargeId, CustomerId};

use super::lenient::{read, shape_of_map, shape_of_words, skip};
use super::object::Draft;
use super::values::{Metadata, Perhaps, TransferData, read_id};

pub(super) struct ChargeDraft {
    charge: Charge,
    captured: Option<bool>,
    paid: Option<bool>,
    customer_account: Option<CustomerId>,
    /// `source`, which was the card before `payment_method_details` (2018).
    source: CardSource,
}

impl Default for ChargeDraft {
    fn default() -> Self {
        Self {
            charge: Charge {
                id: ChargeId::from(""),
                created: None,
                amount: None,
                amount_captured: None,
                amount_refunded: None,
                currency: None,
                captured: false,
                status: ChargeStatus::Unknown,
                customer: None,
                payment_intent: None,
                invoice: None,
                failure_code: None,
                description: None,
                metadata: Vec::new(),
                outcome: Outcome::default(),
                card: None,
                payment_method_type: None,
                destination: None,
            },
            captured: None,
            paid: None,
            customer_account: None,
            source: CardSource::default(),
        }
    }
}

impl Draft for ChargeDraft {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &[u8], map: &mut A) -> Result<(), A::Error> {
        let charge = &mut self.charge;
        match key {
            b"created" => charge.created = read(map)?,
            b"amount" => charge.amount = read(map)?,
            b"amount_captured" => charge.amount_captured = read(map)?,
            b"amount_refunded" => charge.amount_refunded = read(map)?,
            b"currency" => charge.currency = read(map)?,
            b"captured" => self.captured = read(map)?,
            b"paid" => self.paid = read(map)?,
            b"status" => charge.status = read(map)?,
            b"customer" => charge.customer = read_id(map)?,
            b"customer_account" => self.customer_account = read_id(map)?,
            b"payment_intent" => charge.payment_intent = read_id(map)?,
            b"invoice" => charge.invoice = read_id(map)?,
            b"failure_code" => charge.failure_code = read(map)?,
            b"description" => charge.description = read(map)?,
            b"metadata" => charge.metadata = read::<Metadata, A>(map)?.0,
            b"outcome" => charge.outcome = read(map)?,
            b"payment_method_details" => {
                let details: MethodDetails = read(map)?;
                charge.payment_method_type = details.method_type;
                charge.card = details.card.or(details.card_present);
            }
            b"transfer_data" => {
                let to = read::<TransferData, A>(map)?.destination;
                charge.destination = to.or(charge.destination.take());
            }
            // What it was called before `transfer_data` (2018).
            b"destination" => charge.destination = charge.destination.take().or(read_id(map)?),
            b"source" => self.source = read(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(self, id: Option<Box<str>>) -> Option<EventData> {
        let mut charge = self.charge;
        charge.id = id?.into();
        if charge.status == ChargeStatus::Unknown && self.paid == Some(true) {
            charge.status = ChargeStatus::Succeeded;
        }
        // Stripe always says; a body put together by hand may leave it out, and then it is the
        // ordinary case, since only an authorisation held back on purpose is not captured.
        charge.captured = self
            .captured
            .or_else(|| charge.amount_captured.map(|amount| amount > 0))
            .unwrap_or(charge.status != ChargeStatus::Failed);
        charge.customer = charge.customer.or(self.customer_account);
        if charge.card.is_none() && self.source.object.as_deref() == Some("card") {
            charge.card = Some(self.source.card);
            charge.payment_method_type = charge.payment_method_type.or(self.source.object);
        }
        Some(EventData::Charge(Box::new(charge)))
    }
}

shape_of_words!(ChargeStatus {
    "succeeded" => Succeeded,
    "paid" => Succeeded,
    "pending" => Pending,
    "failed" => Failed,
});

shape_of_map!(Outcome {
    b"type" => |this, map| this.kind = read(map)?,
    b"reason" => |this, map| this.reason = read(map)?,
    b"risk_level" => |this, map| this.risk_level = read(map)?,
});

shape_of_words!(OutcomeKind {
    "authorized" => Authorized,
    "manual_review" => ManualReview,
    "issuer_declined" => IssuerDeclined,
    "blocked" => Blocked,
    "invalid" => Invalid,
});

#[derive(Default)]
struct MethodDetails {
    method_type: Option<Box<str>>,
    card: Option<Card>,
    card_present: Option<Card>,
}

shape_of_map!(MethodDetails {
    b"type" => |this, map| this.method_type = read(map)?,
    b"card" => |this, map| this.card = read::<Perhaps<Card>, A>(map)?.0,
    b"card_present" => |this, map| this.card_present = read::<Perhaps<Card>, A>(map)?.0,
});

shape_of_map!(Card {
    b"fingerprint" => |this, map| this.fingerprint = read(map)?,
    b"brand" => |this, map| this.brand = read(map)?,
    b"country" => |this, map| this.country = read(map)?,
    b"funding" => |this, map| this.funding = read(map)?,
});

#[derive(Default)]
struct CardSource {
    object: Option<Box<str>>,
    card: Card,
}

shape_of_map!(CardSource {
    b"object" => |this, map| this.object = read(map)?,
    b"fingerprint" => |this, map| this.card.fingerprint = read(map)?,
    b"brand" => |this, map| this.card.brand = read(map)?,
    b"country" => |this, map| this.card.country = read(map)?,
    b"funding" => |this, map| this.card.funding = read(map)?,
});
