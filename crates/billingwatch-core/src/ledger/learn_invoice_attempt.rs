//! Attempts to pay invoices, where neither charges nor intents tell of them.

use crate::event::EventType;
use crate::event::invoice::{CollectionMethod, Invoice};
use crate::time::Timestamp;

use super::payment::{TOLD_FAILED, TOLD_SUCCEEDED};
use super::{AttemptFact, Fact, Ledger, Payment, WITNESS_SPAN};

impl Ledger {
    /// Counts a try to collect an invoice. Who is sent a bill pays when he likes, by whatever means: that tries nothing.
    pub(super) fn learn_invoice_attempt(
        &mut self,
        event_type: &EventType,
        invoice: &Invoice,
        event_at: Timestamp,
        facts: &mut Vec<Fact>,
    ) {
        let is_failed = match event_type {
            EventType::InvoicePaymentFailed => true,
            EventType::InvoicePaid | EventType::InvoicePaymentSucceeded => false,
            _ => return,
        };
        let is_told =
            |seen: Option<Timestamp>| seen.is_some_and(|seen| event_at.since(seen) < WITNESS_SPAN);
        if is_told(self.attempt_seen_at)
            || invoice.is_paid_out_of_band
            || invoice.collection_method != CollectionMethod::ChargeAutomatically
        {
            return;
        }
        let amount = if is_failed {
            invoice.amount_due.or(invoice.total)
        } else {
            invoice.amount_paid
        };
        let amount = amount.filter(|amount| *amount > 0);
        let (Some(id), Some(amount), Some(currency)) = (&invoice.id, amount, invoice.currency)
        else {
            return;
        };
        let intent = invoice.payment_intent.as_ref().map(|id| id.key());
        let purchase = intent.unwrap_or_else(|| id.key());
        let charge = invoice.charge.as_ref().map(|id| id.key());
        // Where its charge is not named, each failure is one of its own, and one payment is the last of them.
        let known = charge.or((!is_failed).then_some(purchase));
        let told = if is_failed {
            TOLD_FAILED
        } else {
            TOLD_SUCCEEDED
        };
        if let Some(known) = known {
            let payment = self
                .payments
                .entry(known, || Payment::new(event_at, currency));
            if !payment.tell(told) {
                return;
            }
        }
        let is_retry = self.note_attempt(purchase, is_failed);
        let customer = invoice.customer.as_ref().map(|id| id.key());
        facts.push(Fact::Attempt(AttemptFact {
            charge: charge.unwrap_or(purchase),
            purchase,
            payer: customer.unwrap_or(purchase),
            at: event_at,
            is_failed,
            is_blocked: false,
            is_retry,
            is_uncharged: true,
            amount,
            currency,
        }));
    }
}
