//! What the engine knows from the journal: payments, invoices, subscriptions and when each should
//! next pay.
//!
//! The ledger turns events into [`Fact`]s: things of the world, each told once, however many
//! events announce it, in whatever order and API shape. Detectors read facts and ask the ledger
//! for the rest; none of them joins or de-duplicates by itself.
//!
//! Memory grows with live subjects, not with events: payments and invoices are remembered for
//! [`MEMORY_HALF_LIFE`] to twice that, and at most [`MEMORY_HALF_MAX`] of each to twice that;
//! subscriptions while they live. What falls out is treated as never seen: a refund of a
//! forgotten charge has no known payment.

mod dispute;
mod fact;
mod generations;
mod id_text;
mod invoice;
mod learn_charge;
mod learn_invoice;
mod learn_invoice_attempt;
mod learn_session;
mod learn_subscription;
mod payment;
mod refund;
mod renewals;
mod subscription;

pub use fact::{AttemptFact, DisputeFact, Fact, PaymentFact, RefundFact};
pub(crate) use generations::Generations;
pub use id_text::IdText;
pub use invoice::InvoiceRecord;
pub use payment::Payment;
pub(crate) use renewals::{Awaited, Foretold, Renewals};
pub use subscription::{NothingDue, SubscriptionRecord};

use serde::{Deserialize, Serialize};

use crate::event::{Event, EventData};
use crate::ids::{Key, KeyMap};
use crate::time::{Span, Timestamp};

/// The least time a payment or invoice is remembered: disputes come up to 120 days late (card
/// network rules), refunds up to 180.
pub const MEMORY_HALF_LIFE: Span = Span::days(120);

/// At most twice so many payments, and invoices, are remembered.
pub const MEMORY_HALF_MAX: usize = 5_000_000;

/// While charges were announced within this time, intents and invoices announce no payments of
/// their own: one payment is one charge.
const WITNESS_SPAN: Span = Span::days(7);

/// An endpoint to which no final, unpaid invoice came for so long is not subscribed to them.
const ANNOUNCED_SPAN: Span = Span::days(35);

/// What is known of one scope.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ledger {
    payments: Generations<Payment>,
    /// Intent → its successful charge.
    intents: Generations<Key>,
    /// Purchases that failed at least once.
    failed_purchases: Generations<()>,
    invoices: Generations<InvoiceRecord>,
    /// Refunds, disputes, warnings and credit notes that were told.
    told: Generations<()>,
    subscriptions: KeyMap<SubscriptionRecord>,
    /// Ended subscriptions, so that a stale event does not bring one back.
    ended: Generations<()>,
    /// Payments for subscriptions not met yet: paid through when, and how much.
    early_payments: Generations<(Option<Timestamp>, i64)>,
    /// Ties to invoices that arrived before the payment: its charge or intent → the invoice.
    early_ties: Generations<Key>,
    /// When periods turn.
    renewals: Renewals,
    /// When the oldest event known was made.
    known_from: Option<Timestamp>,
    charge_seen_at: Option<Timestamp>,
    /// When a charge or an intent last told of an attempt.
    attempt_seen_at: Option<Timestamp>,
    intent_seen_at: Option<Timestamp>,
    paid_invoice_seen_at: Option<Timestamp>,
    /// When an invoice was last announced that was final and not paid.
    open_seen_at: Option<Timestamp>,
    /// When a refund object was last announced as made, and since when charges are refunded without.
    refund_seen_at: Option<Timestamp>,
    bare_refunds_since: Option<Timestamp>,
    /// When the first of its memories is due to forget; the epoch while that was not asked.
    #[serde(skip)]
    forgets_at: Timestamp,
}

impl Default for Ledger {
    fn default() -> Self {
        fn half<V>(max: usize) -> Generations<V> {
            Generations::new(MEMORY_HALF_LIFE, max)
        }
        Self {
            payments: half(MEMORY_HALF_MAX),
            intents: half(MEMORY_HALF_MAX),
            failed_purchases: Generations::new(Span::days(30), MEMORY_HALF_MAX / 5),
            invoices: half(MEMORY_HALF_MAX),
            told: half(MEMORY_HALF_MAX / 5),
            subscriptions: KeyMap::default(),
            ended: Generations::new(Span::days(35), MEMORY_HALF_MAX / 5),
            early_payments: Generations::new(Span::days(35), MEMORY_HALF_MAX / 50),
            early_ties: Generations::new(Span::days(1), MEMORY_HALF_MAX / 50),
            renewals: Renewals::default(),
            known_from: None,
            charge_seen_at: None,
            attempt_seen_at: None,
            intent_seen_at: None,
            paid_invoice_seen_at: None,
            open_seen_at: None,
            refund_seen_at: None,
            bare_refunds_since: None,
            forgets_at: Timestamp::EPOCH,
        }
    }
}

impl Ledger {
    /// The payment of a charge.
    #[must_use]
    pub fn payment(&self, charge: Key) -> Option<&Payment> {
        self.payments.get(charge)
    }

    /// All payments that are remembered, in an order that depends on their history alone: for what
    /// is rare.
    pub(crate) fn payments(&self) -> impl Iterator<Item = &Payment> {
        self.payments.values()
    }

    /// What all payments of an invoice collected, minor units. Looks at every payment: for what is
    /// rare.
    pub(crate) fn collected_for(&self, invoice: Key) -> i64 {
        let own = self
            .payments
            .values()
            .filter(|payment| payment.invoice == Some(invoice));
        own.fold(0, |sum, payment| {
            sum.saturating_add(payment.amount_collected)
        })
    }

    /// The successful charge of a payment intent.
    #[must_use]
    pub fn charge_of_intent(&self, intent: Key) -> Option<Key> {
        self.intents.get(intent).copied()
    }

    /// An invoice.
    #[must_use]
    pub fn invoice(&self, invoice: Key) -> Option<&InvoiceRecord> {
        self.invoices.get(invoice)
    }

    /// A subscription that has not ended.
    #[must_use]
    pub fn subscription(&self, subscription: Key) -> Option<&SubscriptionRecord> {
        self.subscriptions.get(&subscription)
    }

    /// Whether a subscription is said to have ended.
    #[must_use]
    pub(crate) fn has_ended(&self, subscription: Key) -> bool {
        self.ended.contains(subscription)
    }

    /// The end of the service that is paid for a subscription that was not met yet.
    #[must_use]
    pub(crate) fn paid_early(&self, subscription: Key) -> Option<Timestamp> {
        self.early_payments.get(subscription)?.0
    }

    /// All subscriptions that have not ended, in an order that depends on their history alone.
    pub fn subscriptions(&self) -> impl Iterator<Item = (Key, &SubscriptionRecord)> {
        self.subscriptions
            .iter()
            .map(|(key, record)| (*key, record))
    }

    /// How long a debit of this subscription may be under way without a word: where invoices are
    /// announced before they are paid, each says so itself.
    #[must_use]
    pub(crate) fn unannounced_debit(&self, record: &SubscriptionRecord, now: Timestamp) -> Span {
        let is_announced = |seen_at: Timestamp| now.since(seen_at) < ANNOUNCED_SPAN;
        if record.is_by_debit && !self.open_seen_at.is_some_and(is_announced) {
            learn_invoice::DEBIT_UNDER_WAY
        } else {
            Span::ZERO
        }
    }

    /// When periods turn, and how soon the events of it come.
    pub(crate) const fn renewals(&self) -> &Renewals {
        &self.renewals
    }

    /// How many payments, invoices and subscriptions are remembered.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize, usize) {
        (
            self.payments.len(),
            self.invoices.len(),
            self.subscriptions.len(),
        )
    }

    /// Forgets what is old.
    pub(crate) fn advance_to(&mut self, now: Timestamp) {
        self.renewals.advance_to(now);
        if now < self.forgets_at {
            return;
        }
        let due = [
            self.payments.advance_to(now),
            self.intents.advance_to(now),
            self.failed_purchases.advance_to(now),
            self.invoices.advance_to(now),
            self.told.advance_to(now),
            self.ended.advance_to(now),
            self.early_payments.advance_to(now),
            self.early_ties.advance_to(now),
        ];
        self.forgets_at = due.into_iter().fold(Timestamp::MAX, Timestamp::min);
    }

    /// Takes in one event, made at `event_at`, and adds what it newly teaches to `facts`.
    pub(crate) fn learn(&mut self, event: &Event, event_at: Timestamp, facts: &mut Vec<Fact>) {
        self.known_from = Some(
            self.known_from
                .map_or(event_at, |known| known.min(event_at)),
        );
        match &event.data {
            EventData::Charge(charge) => {
                self.learn_charge(&event.event_type, charge, event_at, facts);
            }
            EventData::PaymentIntent(intent) => {
                self.learn_intent(&event.event_type, intent, event_at, facts);
            }
            EventData::Invoice(invoice) => {
                self.learn_invoice(&event.event_type, invoice, event_at, facts);
            }
            EventData::InvoicePayment(payment) => {
                self.learn_invoice_payment(payment, event_at, facts);
            }
            EventData::Subscription(subscription) => {
                self.learn_subscription(&event.event_type, subscription, event_at, facts);
            }
            EventData::Refund(refund) => {
                self.learn_refund(&event.event_type, refund, event_at, facts);
            }
            EventData::Dispute(dispute) => self.learn_dispute(dispute, event_at, facts),
            EventData::FraudWarning(warning) => self.learn_warning(warning, event_at, facts),
            EventData::CreditNote(note) => self.learn_credit_note(note, facts),
            EventData::CheckoutSession(session) => self.learn_session(session, event_at, facts),
            EventData::SetupIntent(_) | EventData::Other(_) => {}
        }
    }

    /// Whether an attempt at this purchase is a retry of one that failed. A first failure is remembered.
    fn note_attempt(&mut self, purchase: Key, is_failed: bool) -> bool {
        let is_retry = self.failed_purchases.contains(purchase);
        if is_failed && !is_retry {
            self.failed_purchases.insert(purchase, ());
        }
        is_retry
    }

    /// Whether charges announce the payments of this scope.
    fn has_charges(&self, at: Timestamp) -> bool {
        self.charge_seen_at
            .is_some_and(|seen| at.since(seen) < WITNESS_SPAN)
    }

    /// Whether intents do, where charges do not.
    fn has_intents(&self, at: Timestamp) -> bool {
        self.intent_seen_at
            .is_some_and(|seen| at.since(seen) < WITNESS_SPAN)
    }

    /// Whether invoices tell when they are paid.
    fn has_invoices(&self, at: Timestamp) -> bool {
        self.paid_invoice_seen_at
            .is_some_and(|seen| at.since(seen) < WITNESS_SPAN)
    }
}
