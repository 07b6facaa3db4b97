//! Charges and payment intents: attempts and payments, one of each per charge.

use crate::event::EventType;
use crate::event::charge::{Charge, ChargeStatus};
use crate::event::intent::PaymentIntent;
use crate::ids::Key;
use crate::money::Currency;
use crate::time::Timestamp;

use super::payment::{TOLD_FAILED, TOLD_PAYMENT, TOLD_SUCCEEDED};
use super::{AttemptFact, Fact, Ledger, Payment, PaymentFact};

impl Ledger {
    pub(super) fn learn_charge(
        &mut self,
        event_type: &EventType,
        charge: &Charge,
        event_at: Timestamp,
        facts: &mut Vec<Fact>,
    ) {
        if announces_payments(event_type) {
            self.charge_seen_at = self.charge_seen_at.max(Some(event_at));
        }
        let is_announced = self.has_charges(event_at);
        let Some(currency) = charge.currency else {
            return;
        };
        let key = charge.id.key();
        let intent = charge.payment_intent.as_ref().map(|id| id.key());
        let made_at = charge.created.unwrap_or(event_at).min(event_at);
        let customer = charge.customer.as_ref().map(|id| id.key());

        let payment = self.payments.entry(key, || Payment::new(made_at, currency));
        // A refund that was delivered first was made later, and may be in another currency.
        payment.at = payment.at.min(made_at);
        payment.currency = currency;
        payment.customer = customer.or(payment.customer);
        if let Some(brand) = charge.card.as_ref().and_then(|card| card.brand.as_deref()) {
            payment.set_brand(brand);
        }
        let early_tie = || {
            let ties = &self.early_ties;
            ties.get(key).or_else(|| ties.get(intent?)).copied()
        };
        payment.invoice = charge
            .invoice
            .as_ref()
            .map(|id| id.key())
            .or(payment.invoice)
            .or_else(early_tie);
        let refunded_before = payment.amount_refunded_total;
        payment.amount_refunded_total =
            refunded_before.max(charge.amount_refunded.unwrap_or_default());
        let is_failed = charge.status == ChargeStatus::Failed;
        let is_news = match charge.status {
            ChargeStatus::Failed => payment.tell(TOLD_FAILED),
            ChargeStatus::Succeeded => payment.tell(TOLD_SUCCEEDED),
            ChargeStatus::Pending | ChargeStatus::Unknown => false,
        };
        let collected = charge.amount_collected().filter(|amount| *amount > 0);
        // Where nothing else tells of charges, a refund of one is no word of its payment: an intent
        // or an invoice was.
        let is_payment = is_announced && collected.is_some() && payment.tell(TOLD_PAYMENT);
        if let Some(amount) = collected {
            payment.amount_collected = amount;
        }
        if collected.is_some()
            && let Some(intent) = intent
        {
            self.intents.insert(intent, key);
        }

        if is_news {
            let purchase = intent.unwrap_or(key);
            let is_retry = self.note_attempt(purchase, is_failed);
            let card = charge
                .card
                .as_ref()
                .and_then(|card| card.fingerprint.as_deref());
            self.attempt_seen_at = self.attempt_seen_at.max(Some(event_at));
            facts.push(Fact::Attempt(AttemptFact {
                charge: key,
                purchase,
                payer: card.map(Key::of).or(customer).unwrap_or(key),
                at: made_at,
                is_failed,
                is_blocked: charge.is_blocked(),
                is_retry,
                is_uncharged: false,
                amount: charge.amount.unwrap_or_default(),
                currency,
            }));
        }
        if *event_type == EventType::ChargeRefunded {
            self.learn_bare_refund(charge, refunded_before, event_at, facts);
        }
        if let (true, Some(amount)) = (is_payment, collected) {
            // A charge made days ago and captured now brings its money now.
            let at = if is_news { made_at } else { event_at };
            facts.push(Fact::Payment(PaymentFact {
                charge: key,
                at,
                amount,
                currency,
                customer,
            }));
        }
    }

    pub(super) fn learn_intent(
        &mut self,
        event_type: &EventType,
        intent: &PaymentIntent,
        event_at: Timestamp,
        facts: &mut Vec<Fact>,
    ) {
        let has_charges = self.has_charges(event_at);
        if *event_type == EventType::PaymentIntentSucceeded {
            self.intent_seen_at = self.intent_seen_at.max(Some(event_at));
        }
        let Some(currency) = intent.currency else {
            return;
        };
        let Some(charge) = intent.latest_charge.as_ref() else {
            if *event_type == EventType::PaymentIntentFailed {
                self.learn_uncharged(intent, currency, event_at, facts);
            }
            return;
        };
        let key = charge.key();
        let customer = intent.customer.as_ref().map(|id| id.key());
        let invoice = intent.invoice.as_ref().map(|id| id.key());
        let is_failed = match event_type {
            EventType::PaymentIntentSucceeded => false,
            EventType::PaymentIntentFailed => true,
            _ => return,
        };
        if !is_failed {
            self.intents.insert(intent.id.key(), key);
        }
        if has_charges {
            // The charge's own event tells it, now or in a moment, and with more detail.
            return;
        }
        let payment = self
            .payments
            .entry(key, || Payment::new(event_at, currency));
        payment.customer = customer.or(payment.customer);
        let early_tie = || {
            let ties = &self.early_ties;
            ties.get(key).or_else(|| ties.get(intent.id.key())).copied()
        };
        payment.invoice = invoice.or(payment.invoice).or_else(early_tie);
        let amount = if is_failed {
            intent.amount
        } else {
            intent
                .amount_received
                .filter(|amount| *amount > 0)
                .or(intent.amount)
        }
        .unwrap_or_default();
        let is_news = payment.tell(if is_failed {
            TOLD_FAILED
        } else {
            TOLD_SUCCEEDED
        });
        let is_payment = !is_failed && amount > 0 && payment.tell(TOLD_PAYMENT);
        if is_payment {
            payment.amount_collected = amount;
        }
        if is_news {
            let purchase = intent.id.key();
            let is_retry = self.note_attempt(purchase, is_failed);
            self.attempt_seen_at = self.attempt_seen_at.max(Some(event_at));
            facts.push(Fact::Attempt(AttemptFact {
                charge: key,
                purchase,
                payer: customer.unwrap_or(purchase),
                at: event_at,
                is_failed,
                is_blocked: false,
                is_retry,
                is_uncharged: false,
                amount,
                currency,
            }));
        }
        if is_payment {
            let at = event_at;
            facts.push(Fact::Payment(PaymentFact {
                charge: key,
                at,
                amount,
                currency,
                customer,
            }));
        }
    }

    /// An intent failed before any charge was made: its payer could not be authenticated, say. No
    /// charge will tell of it.
    fn learn_uncharged(
        &mut self,
        intent: &PaymentIntent,
        currency: Currency,
        event_at: Timestamp,
        facts: &mut Vec<Fact>,
    ) {
        let purchase = intent.id.key();
        let is_retry = self.note_attempt(purchase, true);
        self.attempt_seen_at = self.attempt_seen_at.max(Some(event_at));
        facts.push(Fact::Attempt(AttemptFact {
            charge: purchase,
            purchase,
            payer: intent.customer.as_ref().map_or(purchase, |id| id.key()),
            at: event_at,
            is_failed: true,
            is_blocked: false,
            is_retry,
            is_uncharged: true,
            amount: intent.amount.unwrap_or_default(),
            currency,
        }));
    }
}

/// Whether an account that is sent these events hears of its payments by charges. Who asks for
/// failures and refunds alone hears of the payments by intents or invoices.
const fn announces_payments(event_type: &EventType) -> bool {
    matches!(
        event_type,
        EventType::ChargeSucceeded
            | EventType::ChargeCaptured
            | EventType::ChargePending
            | EventType::ChargeUpdated
    )
}
