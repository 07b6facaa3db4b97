//! Checkout sessions: payments, where nothing else announces them.

use crate::event::checkout_session::CheckoutSession;
use crate::time::Timestamp;

use super::payment::TOLD_PAYMENT;
use super::{Fact, Ledger, Payment, PaymentFact};

impl Ledger {
    /// Counts a session's money where neither charges, intents nor its invoice tell of it.
    pub(super) fn learn_session(
        &mut self,
        session: &CheckoutSession,
        event_at: Timestamp,
        facts: &mut Vec<Fact>,
    ) {
        if !session.is_paid || self.has_charges(event_at) || self.has_intents(event_at) {
            return;
        }
        let invoice = session.invoice.as_ref().map(|id| id.key());
        if invoice.is_some() && self.has_invoices(event_at) {
            return;
        }
        let amount = session.amount_total.unwrap_or_default();
        let (true, Some(currency)) = (amount > 0, session.currency) else {
            return;
        };
        let intent = session.payment_intent.as_ref().map(|id| id.key());
        let known = intent.and_then(|intent| self.charge_of_intent(intent));
        let charge = known.or(invoice).or(intent);
        let charge = charge.unwrap_or_else(|| session.id.key());
        let customer = session.customer.as_ref().map(|id| id.key());
        let payment = self
            .payments
            .entry(charge, || Payment::new(event_at, currency));
        if payment.tell(TOLD_PAYMENT) {
            payment.amount_collected = amount;
            payment.customer = customer;
            payment.invoice = invoice.or(payment.invoice);
            facts.push(Fact::Payment(PaymentFact {
                charge,
                at: event_at,
                amount,
                currency,
                customer,
            }));
        }
    }
}
