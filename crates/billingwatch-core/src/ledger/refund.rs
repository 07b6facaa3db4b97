//! Refunds: money given back, once per refund object.

use crate::event::EventType;
use crate::event::charge::Charge;
use crate::event::refund::{Refund, RefundStatus};
use crate::ids::Key;
use crate::time::{Span, Timestamp};

use super::{Fact, Ledger, Payment, RefundFact};

/// Charges are refunded for so long without a refund object before the endpoint is taken not to be sent any.
const BARE_AFTER: Span = Span::hours(1);

impl Ledger {
    /// `charge.refunded` where the endpoint is sent no refund objects: what its cumulative total grew by is the refund.
    /// `known` is the total of before.
    pub(super) fn learn_bare_refund(
        &mut self,
        charge: &Charge,
        known: i64,
        event_at: Timestamp,
        facts: &mut Vec<Fact>,
    ) {
        // An authorisation that is let go is no money given back, though its charge says "refunded".
        let Some(collected) = charge.amount_collected().filter(|amount| *amount > 0) else {
            return;
        };
        let total = charge.amount_refunded.unwrap_or_default();
        let (Some(currency), true) = (charge.currency, total > known) else {
            return;
        };
        let since = *self.bare_refunds_since.get_or_insert(event_at);
        if self.refund_seen_at.is_some() || event_at.since(since) < BARE_AFTER {
            return;
        }
        let id = charge.id.as_str();
        let key = Key::of_parts(&[id, "refunded", &total.to_string()]);
        if !self.told.tell_once(key) {
            return;
        }
        facts.push(Fact::Refund(RefundFact {
            refund: key,
            charge: Some(charge.id.key()),
            at: event_at,
            amount: total - known,
            currency,
            amount_collected: Some(collected),
            amount_refunded: total,
        }));
    }

    pub(super) fn learn_refund(
        &mut self,
        event_type: &EventType,
        refund: &Refund,
        event_at: Timestamp,
        facts: &mut Vec<Fact>,
    ) {
        if *event_type == EventType::RefundCreated {
            self.refund_seen_at = self.refund_seen_at.max(Some(event_at));
        }
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
