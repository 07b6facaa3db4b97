//! Refunds: money given back, once per refund object.

use crate::event::refund::{Refund, RefundStatus};
use crate::ids::Key;
use crate::time::Timestamp;

use super::{Fact, Ledger, Payment, RefundFact};

impl Ledger {
    pub(super) fn learn_refund(
        &mut self,
        refund: &Refund,
        event_at: Timestamp,
        facts: &mut Vec<Fact>,
    ) {
        let (Some(amount), Some(currency)) = (refund.amount, refund.currency) else {
            return;
        };
        if refund.is_auth_release() || amount <= 0 {
            return;
        }
        let key = refund.id.key();
        let charge = match (&refund.charge, &refund.payment_intent) {
            (Some(charge), _) => Some(charge.key()),
            (None, Some(intent)) => self.charge_of_intent(intent.key()),
            (None, None) => None,
        };
        let is_off = matches!(refund.status, RefundStatus::Failed | RefundStatus::Canceled);
        let is_news = if is_off {
            // Told as given back before: now told as reversed, once.
            self.told.contains(key)
                && self
                    .told
                    .tell_once(Key::of_parts(&[refund.id.as_str(), "reversed"]))
        } else {
            self.told.tell_once(key)
        };
        if !is_news {
            return;
        }
        let at = refund.created.unwrap_or(event_at).min(event_at);
        // Delivered before its charge, it is remembered for it all the same.
        let payment =
            charge.map(|charge| self.payments.entry(charge, || Payment::new(at, currency)));
        let (amount_collected, amount_refunded) = match payment {
            Some(payment) => {
                let delta = if is_off { -amount } else { amount };
                if is_off {
                    let total = payment.amount_refunded_total.saturating_sub(amount);
                    payment.amount_refunded_total = total.max(0);
                }
                payment.amount_refunded = payment.amount_refunded.saturating_add(delta).max(0);
                let collected = (payment.amount_collected > 0).then_some(payment.amount_collected);
                (collected, payment.amount_refunded)
            }
            None => (None, amount),
        };
        let fact = RefundFact {
            refund: key,
            charge,
            at,
            amount,
            currency,
            amount_collected,
            amount_refunded,
        };
        facts.push(if is_off {
            Fact::RefundReversed(fact)
        } else {
            Fact::Refund(fact)
        });
    }
}
