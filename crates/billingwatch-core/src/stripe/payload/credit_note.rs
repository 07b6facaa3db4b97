//! `credit_note`.

use std::borrow::Cow;

use serde::de::MapAccess;

use crate::event::EventData;
use crate::event::credit_note::CreditNote;
use crate::ids::{CreditNoteId, CustomerId, RefundId};

use super::lenient::{read, shape_of_map, skip};
use super::object::Draft;
use super::values::{Ref, read_id};

pub(super) struct CreditNoteDraft {
    note: CreditNote,
    amount: Option<i64>,
    customer_account: Option<CustomerId>,
    /// `refund`, one, until acacia.
    refund: Option<RefundId>,
    /// `refunds`, any number, from basil on.
    refunds: Vec<RefundShare>,
}

impl Default for CreditNoteDraft {
    fn default() -> Self {
        Self {
            note: CreditNote {
                id: CreditNoteId::from(""),
                created: None,
                invoice: None,
                customer: None,
                currency: None,
                total: None,
                reason: None,
                is_voided: false,
                refunds: Vec::new(),
            },
            amount: None,
            customer_account: None,
            refund: None,
            refunds: Vec::new(),
        }
    }
}

impl Draft for CreditNoteDraft {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &[u8], map: &mut A) -> Result<(), A::Error> {
        let note = &mut self.note;
        match key {
            b"created" => note.created = read(map)?,
            b"invoice" => note.invoice = read_id(map)?,
            b"customer" => note.customer = read_id(map)?,
            b"customer_account" => self.customer_account = read_id(map)?,
            b"currency" => note.currency = read(map)?,
            b"total" => note.total = read(map)?,
            b"amount" => self.amount = read(map)?,
            b"reason" => note.reason = read(map)?,
            b"status" => {
                note.is_voided = read::<Option<Cow<'de, str>>, A>(map)?.as_deref() == Some("void");
            }
            b"refund" => self.refund = read_id(map)?,
            b"refunds" => self.refunds = read(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(self, id: Option<Box<str>>) -> Option<EventData> {
        let mut note = self.note;
        note.id = id?.into();
        note.customer = note.customer.or(self.customer_account);
        note.total = note.total.or(self.amount);
        let shares = self.refunds.into_iter();
        note.refunds = shares
            .filter_map(|share| share.refund.into_id().or(share.id))
            .collect();
        if let Some(refund) = self.refund
            && !note.refunds.contains(&refund)
        {
            note.refunds.push(refund);
        }
        Some(EventData::CreditNote(Box::new(note)))
    }
}

/// How much of a refund a credit note accounts for; or, in a plain list, the refund itself.
#[derive(Default)]
struct RefundShare {
    id: Option<RefundId>,
    refund: Ref,
}

shape_of_map!(RefundShare {
    b"id" => |this, map| this.id = read_id(map)?,
    b"refund" => |this, map| this.refund = read(map)?,
});
