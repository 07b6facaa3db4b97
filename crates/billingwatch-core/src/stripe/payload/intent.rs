//! `payment_intent` and `setup_intent`.

use serde::de::MapAccess;

use crate::event::EventData;
use crate::event::charge::Card;
use crate::event::intent::{PaymentIntent, SetupIntent};
use crate::ids::{ChargeId, CustomerId, PaymentIntentId, SetupIntentId};

use super::lenient::{read, shape_of_map, skip};
use super::object::Draft;
use super::values::{List, Metadata, Perhaps, Ref, TransferData, read_id};

pub(super) struct PaymentIntentDraft {
    intent: PaymentIntent,
    customer_account: Option<CustomerId>,
    /// `charges`, newest first, which `latest_charge` replaced in 2022-11-15.
    charges: List<Ref>,
    /// The charge that failed, if any was made.
    error_charge: Option<ChargeId>,
}

impl Default for PaymentIntentDraft {
    fn default() -> Self {
        Self {
            intent: PaymentIntent {
                id: PaymentIntentId::from(""),
                amount: None,
                amount_received: None,
                currency: None,
                customer: None,
                latest_charge: None,
                invoice: None,
                description: None,
                metadata: Vec::new(),
                error_code: None,
                destination: None,
            },
            customer_account: None,
            charges: List::default(),
            error_charge: None,
        }
    }
}

impl Draft for PaymentIntentDraft {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &[u8], map: &mut A) -> Result<(), A::Error> {
        let intent = &mut self.intent;
        match key {
            b"amount" => intent.amount = read(map)?,
            b"amount_received" => intent.amount_received = read(map)?,
            b"currency" => intent.currency = read(map)?,
            b"customer" => intent.customer = read_id(map)?,
            b"customer_account" => self.customer_account = read_id(map)?,
            b"latest_charge" => intent.latest_charge = read_id(map)?,
            b"charges" => self.charges = read(map)?,
            b"invoice" => intent.invoice = read_id(map)?,
            b"description" => intent.description = read(map)?,
            b"metadata" => intent.metadata = read::<Metadata, A>(map)?.0,
            b"transfer_data" => intent.destination = read::<TransferData, A>(map)?.destination,
            b"last_payment_error" => {
                let mut error = read::<LastError, A>(map)?;
                self.error_charge = error.charge.take();
                intent.error_code = error.into_code();
            }
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(self, id: Option<Box<str>>) -> Option<EventData> {
        let mut intent = self.intent;
        intent.id = id?.into();
        intent.customer = intent.customer.or(self.customer_account);
        let newest = || -> Option<ChargeId> { self.charges.data.into_iter().next()?.into_id() };
        intent.latest_charge = intent.latest_charge.or_else(newest).or(self.error_charge);
        Some(EventData::PaymentIntent(Box::new(intent)))
    }
}

pub(super) struct SetupIntentDraft {
    intent: SetupIntent,
    customer_account: Option<CustomerId>,
    error: LastError,
    method: Method,
}

impl Default for SetupIntentDraft {
    fn default() -> Self {
        Self {
            intent: SetupIntent {
                id: SetupIntentId::from(""),
                customer: None,
                error_code: None,
                card_fingerprint: None,
            },
            customer_account: None,
            error: LastError::default(),
            method: Method::default(),
        }
    }
}

impl Draft for SetupIntentDraft {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &[u8], map: &mut A) -> Result<(), A::Error> {
        match key {
            b"customer" => self.intent.customer = read_id(map)?,
            b"customer_account" => self.customer_account = read_id(map)?,
            b"last_setup_error" => self.error = read(map)?,
            b"payment_method" => self.method = read(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(mut self, id: Option<Box<str>>) -> Option<EventData> {
        let mut intent = self.intent;
        intent.id = id?.into();
        intent.customer = intent.customer.or(self.customer_account);
        // A failed method is detached from the intent and stays with the error.
        let card = self.error.method.card.take().or(self.method.card);
        intent.card_fingerprint = card.and_then(|card| card.fingerprint);
        intent.error_code = self.error.into_code();
        Some(EventData::SetupIntent(Box::new(intent)))
    }
}

/// `last_payment_error` or `last_setup_error`.
#[derive(Default)]
struct LastError {
    code: Option<Box<str>>,
    decline_code: Option<Box<str>>,
    charge: Option<ChargeId>,
    method: Method,
}

impl LastError {
    fn into_code(self) -> Option<Box<str>> {
        self.code.or(self.decline_code)
    }
}

shape_of_map!(LastError {
    b"code" => |this, map| this.code = read(map)?,
    b"decline_code" => |this, map| this.decline_code = read(map)?,
    b"charge" => |this, map| this.charge = read_id(map)?,
    b"payment_method" => |this, map| this.method = read(map)?,
});

/// A payment method, when it is expanded.
#[derive(Default)]
struct Method {
    card: Option<Card>,
}

shape_of_map!(Method {
    b"card" => |this, map| this.card = read::<Perhaps<Card>, A>(map)?.0,
});
