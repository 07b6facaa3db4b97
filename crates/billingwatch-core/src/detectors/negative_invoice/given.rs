//! Refunded in full, and credited in full as well: what an invoice gave back in two ways.
//!
//! Stripe refuses a refund beyond its charge, and a credit note beyond its invoice; it does not
//! hold one against the other. A refund that a credit note made is a refund, and counts once.

use serde::{Deserialize, Serialize};

use crate::detector::Context;
use crate::event::credit_note::CreditNote;
use crate::ids::Key;
use crate::ledger::Generations;
use crate::time::{Span, Timestamp};

/// How long what an invoice gave back is remembered, at least: refunds come up to 180 days late.
const MEMORY: Span = Span::days(180);

/// At most twice so many invoices, and credit notes, are remembered.
const MEMORY_MAX: usize = 100_000;

/// The most refunded charges of one invoice that are remembered.
const CHARGES_MAX: usize = 8;

/// What invoices gave back.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Given {
    invoices: Generations<Back>,
    /// Credit notes: their invoice, and what they gave back beside refunds.
    notes: Generations<(Key, i64)>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Back {
    /// Known from its credit note.
    invoice_id: Option<Box<str>>,
    /// Charges that paid it and were refunded, in part or whole.
    charges: Vec<Key>,
    /// Minor units given back by credit notes, beside refunds.
    credited: i64,
}

/// More than an invoice was for.
pub(super) struct Excess {
    pub(super) invoice_id: Box<str>,
    pub(super) charges: Vec<Key>,
    pub(super) refunded: i64,
    pub(super) credited: i64,
    pub(super) billed: i64,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            invoices: Generations::new(MEMORY, MEMORY_MAX),
            notes: Generations::new(MEMORY, MEMORY_MAX),
        }
    }
}

impl Given {
    /// Forgets; when it does next.
    pub(super) fn advance_to(&mut self, now: Timestamp) -> Timestamp {
        let invoices = self.invoices.advance_to(now);
        self.notes.advance_to(now).min(invoices)
    }

    /// A charge was refunded, or a refund came back: the invoice it paid, if one is known.
    pub(super) fn hear_of_refund(&mut self, charge: Key, ctx: &Context<'_>) -> Option<Key> {
        let payment = ctx.ledger().payment(charge)?;
        let invoice = payment.invoice?;
        if payment.amount_refunded.max(payment.amount_refunded_total) == 0
            && !self.invoices.contains(invoice)
        {
            return None;
        }
        let back = self.invoices.entry(invoice, Back::default);
        if back.charges.len() < CHARGES_MAX && !back.charges.contains(&charge) {
            back.charges.push(charge);
        }
        Some(invoice)
    }

    /// A credit note was made or withdrawn: its invoice.
    pub(super) fn hear_of_note(&mut self, note: &CreditNote) -> Option<Key> {
        let invoice = note.invoice.as_ref()?;
        let amount = if note.is_voided {
            0
        } else {
            note.amount_beside_refunds
        };
        let known = self.notes.get(note.id.key()).map(|(_, amount)| *amount);
        if known.unwrap_or(0) == amount {
            return None;
        }
        // A stale event does not bring back what was withdrawn.
        if known == Some(0) {
            return None;
        }
        self.notes.insert(note.id.key(), (invoice.key(), amount));
        let back = self.invoices.entry(invoice.key(), Back::default);
        back.invoice_id = Some(invoice.as_str().into());
        back.credited = back
            .credited
            .saturating_sub(known.unwrap_or(0))
            .saturating_add(amount);
        Some(invoice.key())
    }

    /// The id of an invoice with credit notes.
    pub(super) fn id_of(&self, invoice: Key) -> Option<&str> {
        self.invoices.get(invoice)?.invoice_id.as_deref()
    }

    /// Whether an invoice gave back more than it was for, by refunds and credits together. What
    /// either does alone is told of the object itself.
    pub(super) fn excess(&self, invoice: Key, ctx: &Context<'_>) -> Option<Excess> {
        let back = self.invoices.get(invoice)?;
        let record = ctx.ledger().invoice(invoice)?;
        // What the customer's balance paid is in the total alone.
        let billed = record.total?.max(record.amount_paid);
        let refunded = |charge: &Key| {
            let payment = ctx.ledger().payment(*charge);
            payment.map_or(0, |payment| {
                payment.amount_refunded.max(payment.amount_refunded_total)
            })
        };
        let refunded = back
            .charges
            .iter()
            .map(refunded)
            .fold(0, i64::saturating_add);
        let is_by_both = refunded > 0 && back.credited > 0;
        let is_each_right = refunded <= billed && back.credited <= billed;
        let sum = refunded.saturating_add(back.credited);
        if !is_by_both || !is_each_right || sum <= billed {
            return None;
        }
        // Paid twice, by two charges: one refunded and the other credited is right.
        let billed = billed.max(ctx.ledger().collected_for(invoice));
        (sum > billed).then(|| Excess {
            invoice_id: back.invoice_id.clone().unwrap_or_default(),
            charges: back.charges.clone(),
            refunded,
            credited: back.credited,
            billed,
        })
    }
}
