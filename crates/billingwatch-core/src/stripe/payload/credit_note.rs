//! `credit_note`.

use std::borrow::Cow;

use serde::de::MapAccess;

use crate::event::EventData;
use crate::event::credit_note::CreditNote;
use crate::ids::{CreditNoteId, CustomerId, RefundId};

use super::lenient::{read, shape_of_map, skip};
use super::object::Draft;
use super::values::{Presence, Ref, read_id};

pub(super) struct CreditNoteDraft {
    note: CreditNote,
    amount: Option<i64>,
    post_payment_amount: Option<i64>,
    out_of_band_amount: Option<i64>,
    has_balance_transaction: bool,
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
                amount_beside_refunds: 0,
                reason: None,
                is_voided: false,
                refunds: Vec::new(),
            },
            amount: None,
            post_payment_amount: None,
            out_of_band_amount: None,
            has_balance_transaction: false,
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
            b"post_payment_amount" => self.post_payment_amount = read(map)?,
            b"out_of_band_amount" => self.out_of_band_amount = read(map)?,
            b"customer_balance_transaction" => {
                self.has_balance_transaction = read::<Presence, A>(map)?.0;
            }
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
        let beside_refunds = self.amount_beside_refunds().max(0);
        let mut note = self.note;
        note.amount_beside_refunds = beside_refunds;
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

impl CreditNoteDraft {
    /// Before `post_payment_amount` came, a transaction on the balance says that all went there.
    fn amount_beside_refunds(&self) -> i64 {
        let off_stripe = self.out_of_band_amount.unwrap_or_default();
        let post_payment = self.post_payment_amount.or_else(|| {
            let total = self.note.total;
            total.filter(|_| self.has_balance_transaction)
        });
        let Some(post_payment) = post_payment else {
            return off_stripe;
        };
        let shares = self.refunds.iter().map(|share| share.amount);
        match shares.sum::<Option<i64>>() {
            Some(refunded) if self.refund.is_none() || !self.refunds.is_empty() => {
                post_payment.saturating_sub(refunded)
            }
            // How much of it was refunded is not said.
            _ => off_stripe,
        }
    }
}

/// How much of a refund a credit note accounts for; or, in a plain list, the refund itself.
#[derive(Default)]
struct RefundShare {
    id: Option<RefundId>,
    refund: Ref,
    amount: Option<i64>,
}

shape_of_map!(RefundShare {
    b"id" => |this, map| this.id = read_id(map)?,
    b"refund" => |this, map| this.refund = read(map)?,
    b"amount_refunded" => |this, map| this.amount = read(map)?,
});
