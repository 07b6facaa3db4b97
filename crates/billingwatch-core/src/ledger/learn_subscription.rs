//! Subscriptions: the newest state of each, and what is paid for them.

use crate::event::EventType;
use crate::event::subscription::{Subscription, SubscriptionStatus};
use crate::ids::Key;
use crate::time::Timestamp;

use super::{Fact, Ledger, SubscriptionRecord};

impl Ledger {
    pub(super) fn learn_subscription(
        &mut self,
        event_type: &EventType,
        subscription: &Subscription,
        event_at: Timestamp,
        facts: &mut Vec<Fact>,
    ) {
        let key = subscription.id.key();
        if self.ended.contains(key) {
            // An end is for ever (Stripe API reference: Subscription, `status`): whatever else is told of it
            // is an older word, or a change of what is over.
            return;
        }
        let is_over = *event_type == EventType::SubscriptionDeleted
            || matches!(
                subscription.status,
                SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired
            );
        if is_over {
            let record = self.subscriptions.swap_remove(&key);
            if record.as_ref().is_some_and(|it| it.runs_out_at(event_at)) {
                facts.push(Fact::TrialEnded { subscription: key });
            }
            let turn = record.and_then(|record| record.turns_at());
            self.renewals.change(turn, None, event_at);
            self.ended.insert(key, ());
            facts.push(Fact::SubscriptionChanged { subscription: key });
            return;
        }
        if let Some(record) = self.subscriptions.get_mut(&key) {
            if !record.is_newer(subscription, event_at) {
                if record.take_older(subscription) {
                    facts.push(Fact::SubscriptionChanged { subscription: key });
                }
                return;
            }
            let turn = record.turns_at();
            if subscription.status != SubscriptionStatus::Trialing && record.runs_out_at(event_at) {
                facts.push(Fact::TrialEnded { subscription: key });
            }
            record.take(subscription, event_at);
            self.renewals.change(turn, record.turns_at(), event_at);
        } else {
            let is_birth = *event_type == EventType::SubscriptionCreated;
            let mut record = SubscriptionRecord::new(
                subscription,
                event_at,
                is_birth,
                self.known_from.unwrap_or(event_at),
            );
            if let Some((through, amount)) = self.early_payments.get(key) {
                record.pay(*through, *amount);
            }
            self.renewals.change(None, record.turns_at(), event_at);
            self.subscriptions.insert(key, record);
            facts.push(Fact::SubscriptionMet { subscription: key });
        }
        facts.push(Fact::SubscriptionChanged { subscription: key });
    }

    /// Takes in that a subscription's service is paid up to `through`.
    pub(super) fn pay_subscription(
        &mut self,
        key: Key,
        through: Option<Timestamp>,
        amount: i64,
        event_at: Timestamp,
    ) {
        // Without lines the invoice does not say what it covers: its own day at least.
        match self.subscriptions.get_mut(&key) {
            Some(record) => record.pay(through, amount),
            None => {
                let early = self.early_payments.entry(key, || (None, 0));
                early.0 = early.0.max(through).max(Some(event_at));
                early.1 = early.1.max(amount);
            }
        }
    }
}
