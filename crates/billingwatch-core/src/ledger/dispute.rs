//! Disputes and early fraud warnings, joined to the payment they are about.

use crate::event::dispute::{Dispute, FraudWarning};
use crate::ids::Key;
use crate::time::Timestamp;

use super::payment::TOLD_DISPUTED;
use super::{DisputeFact, Fact, Ledger};

impl Ledger {
    pub(super) fn learn_dispute(
        &mut self,
        dispute: &Dispute,
        event_at: Timestamp,
        facts: &mut Vec<Fact>,
    ) {
        if dispute.is_inquiry() || !self.told.tell_once(dispute.id.key()) {
            return;
        }
        let charge = dispute.charge.as_ref().map(|id| id.key());
        let intent = dispute.payment_intent.as_ref().map(|id| id.key());
        let mut fact = self.against(charge, intent, dispute.id.key(), event_at);
        fact.at = dispute.created.unwrap_or(event_at).min(event_at);
        fact.amount = dispute.amount.unwrap_or(fact.amount);
        fact.currency = dispute.currency.or(fact.currency);
        facts.push(Fact::Dispute(fact));
    }

    pub(super) fn learn_warning(
        &mut self,
        warning: &FraudWarning,
        event_at: Timestamp,
        facts: &mut Vec<Fact>,
    ) {
        if !self.told.tell_once(warning.id.key()) {
            return;
        }
        let charge = warning.charge.as_ref().map(|id| id.key());
        let intent = warning.payment_intent.as_ref().map(|id| id.key());
        let mut fact = self.against(charge, intent, warning.id.key(), event_at);
        fact.at = warning.created.unwrap_or(event_at).min(event_at);
        facts.push(Fact::FraudWarning(fact));
    }

    /// What is known of the payment that something is held against.
    fn against(
        &mut self,
        charge: Option<Key>,
        intent: Option<Key>,
        itself: Key,
        event_at: Timestamp,
    ) -> DisputeFact {
        let charge = charge.or_else(|| intent.and_then(|intent| self.charge_of_intent(intent)));
        let mut fact = DisputeFact {
            charge: charge.unwrap_or(itself),
            at: event_at,
            amount: 0,
            currency: None,
            paid_at: None,
            is_known_charge: false,
        };
        if let Some(payment) = charge.and_then(|charge| self.payments.get_mut(charge)) {
            fact.amount = payment.amount_collected;
            fact.currency = Some(payment.currency);
            // A charge known by its refund alone has no time of its own yet.
            fact.paid_at = (payment.amount_collected > 0).then_some(payment.at);
            fact.is_known_charge = payment.is_told(TOLD_DISPUTED);
            payment.tell(TOLD_DISPUTED);
        } else if let Some(charge) = charge {
            let mark = Key::of_parts(&[&charge.as_u64().to_string(), "against"]);
            fact.is_known_charge = !self.told.tell_once(mark);
        }
        fact
    }
}
