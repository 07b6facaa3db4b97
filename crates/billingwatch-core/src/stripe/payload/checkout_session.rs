//! `checkout.session`.

use serde::de::MapAccess;

use crate::event::EventData;
use crate::event::checkout_session::CheckoutSession;
use crate::ids::{CheckoutSessionId, CustomerId};

use super::lenient::{read, skip};
use super::object::Draft;
use super::values::read_id;

pub(super) struct CheckoutSessionDraft {
    session: CheckoutSession,
    customer_account: Option<CustomerId>,
}

impl Default for CheckoutSessionDraft {
    fn default() -> Self {
        Self {
            session: CheckoutSession {
                id: CheckoutSessionId::from(""),
                amount_total: None,
                currency: None,
                customer: None,
                payment_intent: None,
                invoice: None,
                is_paid: false,
            },
            customer_account: None,
        }
    }
}

impl Draft for CheckoutSessionDraft {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &[u8], map: &mut A) -> Result<(), A::Error> {
        let session = &mut self.session;
        match key {
            b"amount_total" => session.amount_total = read(map)?,
            b"currency" => session.currency = read(map)?,
            b"customer" => session.customer = read_id(map)?,
            b"customer_account" => self.customer_account = read_id(map)?,
            b"payment_intent" => session.payment_intent = read_id(map)?,
            b"invoice" => session.invoice = read_id(map)?,
            b"payment_status" => {
                let status = read::<Option<Box<str>>, A>(map)?;
                session.is_paid = status.as_deref() == Some("paid");
            }
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(self, id: Option<Box<str>>) -> Option<EventData> {
        let mut session = self.session;
        session.id = id?.into();
        session.customer = session.customer.or(self.customer_account);
        Some(EventData::CheckoutSession(Box::new(session)))
    }
}
