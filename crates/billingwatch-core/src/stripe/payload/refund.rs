//! `refund`.

use serde::de::MapAccess;

use crate::event::EventData;
use crate::event::refund::{Refund, RefundStatus};
use crate::ids::RefundId;

use super::lenient::{read, shape_of_words, skip};
use super::object::Draft;
use super::values::read_id;

pub(super) struct RefundDraft(Refund);

impl Default for RefundDraft {
    fn default() -> Self {
        Self(Refund {
            id: RefundId::from(""),
            created: None,
            amount: None,
            currency: None,
            charge: None,
            payment_intent: None,
            reason: None,
            status: RefundStatus::Unknown,
        })
    }
}

impl Draft for RefundDraft {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &[u8], map: &mut A) -> Result<(), A::Error> {
        let refund = &mut self.0;
        match key {
            b"created" => refund.created = read(map)?,
            b"amount" => refund.amount = read(map)?,
            b"currency" => refund.currency = read(map)?,
            b"charge" => refund.charge = read_id(map)?,
            b"payment_intent" => refund.payment_intent = read_id(map)?,
            b"reason" => refund.reason = read(map)?,
            b"status" => refund.status = read(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(self, id: Option<Box<str>>) -> Option<EventData> {
        let mut refund = self.0;
        refund.id = id?.into();
        Some(EventData::Refund(Box::new(refund)))
    }
}

shape_of_words!(RefundStatus {
    "pending" => Pending,
    "requires_action" => RequiresAction,
    "succeeded" => Succeeded,
    "failed" => Failed,
    "canceled" => Canceled,
});
