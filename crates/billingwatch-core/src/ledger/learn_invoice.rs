//! Invoices, the ties to their payments, and credit notes.

use crate::event::EventType;
use crate::event::credit_note::CreditNote;
use crate::event::invoice::{BillingReason, Invoice, InvoiceLine, InvoicePayment, InvoiceStatus};
use crate::ids::Key;
use crate::time::{Span, Timestamp};

use super::subscription::are_debits;
use super::{Fact, InvoiceRecord, Ledger, PaymentFact};

/// How long a bank debit may be under way without a word, where neither its charge nor its intent is
/// told: six business days as a rule, with a holiday among them (Stripe docs: SEPA Direct Debit,
/// ACH, Bacs).
pub(super) const DEBIT_UNDER_WAY: Span = Span::days(9);

impl Ledger {
    pub(super) fn learn_invoice(
        &mut self,
        event_type: &EventType,
        invoice: &Invoice,
        event_at: Timestamp,
        facts: &mut Vec<Fact>,
    ) {
        let Some(id) = &invoice.id else { return };
        if invoice.has_test_clock {
            return;
        }
        let key = id.key();
        let customer = invoice.customer.as_ref().map(|id| id.key());
        let record = self.invoices.entry(key, InvoiceRecord::default);
        record.subscription = invoice
            .subscription
            .as_ref()
            .map(|id| id.key())
            .or(record.subscription);
        record.customer = customer.or(record.customer);
        // What is final changes no more: a draft that comes after it is an older word.
        record.total = if record.is_finalized_told && invoice.status == InvoiceStatus::Draft {
            record.total.or(invoice.total)
        } else {
            invoice.total.or(record.total)
        };
        record.paid_through = record.paid_through.max(service_end(invoice));
        record.is_proration_only |=
            !invoice.lines.is_empty() && invoice.lines.iter().all(|line| is_change(invoice, line));
        record.amount_paid = record
            .amount_paid
            .max(invoice.amount_paid.unwrap_or_default());
        let says_paid = matches!(
            event_type,
            EventType::InvoicePaid | EventType::InvoicePaymentSucceeded
        );
        record.is_paid |= says_paid || invoice.status == InvoiceStatus::Paid;
        record.is_closed |= matches!(
            invoice.status,
            InvoiceStatus::Void | InvoiceStatus::Uncollectible
        );
        let is_told_unpaid = invoice.status == InvoiceStatus::Uncollectible
            || *event_type == EventType::InvoiceOverdue;
        if is_told_unpaid
            && let Some(known) = record.subscription
            && let Some(known) = self.subscriptions.get_mut(&known)
        {
            // Written off: by the merchant, or after the last retry as he set it. Or Stripe says that it is
            // overdue. Not silently.
            known.forgive(record.paid_through);
        }
        let is_final = *event_type == EventType::InvoiceFinalized
            || invoice.finalized_at.is_some()
            || record.is_paid
            || invoice.status == InvoiceStatus::Open;
        if is_final && !record.is_finalized_told {
            record.is_finalized_told = true;
            let subscription = record.subscription;
            if let Some(known) = subscription.and_then(|key| self.subscriptions.get(&key)) {
                self.renewals.invoice(known, event_at);
            }
            facts.push(Fact::InvoiceFinalized { invoice: key });
        }
        let is_paid = record.is_paid;
        if is_final && !is_paid {
            self.open_seen_at = self.open_seen_at.max(Some(event_at));
        }
        if *event_type == EventType::InvoicePaymentFailed
            && let Some(subscription) = record.subscription
            && let Some(known) = self.subscriptions.get_mut(&subscription)
        {
            known.unrest_at = known.unrest_at.max(Some(event_at));
        }
        if is_final
            && !is_paid
            && are_debits(&invoice.payment_method_types)
            && let Some(subscription) = record.subscription
            && let Some(known) = self.subscriptions.get_mut(&subscription)
        {
            let asked_at = invoice.finalized_at.unwrap_or(event_at).min(event_at);
            known.unrest_at = known.unrest_at.max(Some(asked_at + DEBIT_UNDER_WAY));
        }
        let charge = invoice.charge.as_ref().map(|id| id.key());
        let intent = invoice.payment_intent.as_ref().map(|id| id.key());
        self.tie(charge, intent, key);
        self.learn_invoice_attempt(event_type, invoice, event_at, facts);
        if is_paid {
            self.settle_invoice(key, event_at, facts);
            self.count_invoice_money(key, invoice, event_at, facts);
        }
    }

    pub(super) fn learn_invoice_payment(
        &mut self,
        payment: &InvoicePayment,
        event_at: Timestamp,
        facts: &mut Vec<Fact>,
    ) {
        let Some(invoice) = payment.invoice.as_ref().map(|id| id.key()) else {
            return;
        };
        let charge = payment.charge.as_ref().map(|id| id.key());
        let intent = payment.payment_intent.as_ref().map(|id| id.key());
        self.tie(charge, intent, invoice);
        if !payment.is_paid {
            return;
        }
        let paid = payment.amount_paid.unwrap_or_default();
        let record = self.invoices.entry(invoice, InvoiceRecord::default);
        record.amount_paid = record.amount_paid.max(paid);
        // A part payment does not settle an invoice; without its total the tie itself is the word.
        record.is_paid |= record.total.is_none_or(|total| record.amount_paid >= total);
        if record.is_paid {
            self.settle_invoice(invoice, event_at, facts);
        }
    }

    pub(super) fn learn_credit_note(&mut self, note: &CreditNote, facts: &mut Vec<Fact>) {
        let key = note.id.key();
        if note.is_voided || !self.told.tell_once(key) {
            return;
        }
        if let Some(invoice) = &note.invoice {
            let record = self.invoices.entry(invoice.key(), InvoiceRecord::default);
            let amount = note.total.unwrap_or_default().max(0);
            record.amount_credited = record.amount_credited.saturating_add(amount);
        }
        facts.push(Fact::CreditNote { credit_note: key });
    }

    /// Tells once that a subscription's invoice is paid, as soon as both are known.
    fn settle_invoice(&mut self, key: Key, event_at: Timestamp, facts: &mut Vec<Fact>) {
        let Some(record) = self.invoices.get_mut(key) else {
            return;
        };
        let Some(subscription) = record.subscription else {
            return;
        };
        if record.is_paid_told {
            return;
        }
        record.is_paid_told = true;
        if record.is_proration_only {
            return;
        }
        let (through, amount) = (record.paid_through, record.amount_paid);
        self.pay_subscription(subscription, through, amount, event_at);
        facts.push(Fact::SubscriptionPaid {
            subscription,
            invoice: key,
        });
    }

    /// Counts an invoice's money where neither charges nor intents announce it.
    fn count_invoice_money(
        &mut self,
        key: Key,
        invoice: &Invoice,
        event_at: Timestamp,
        facts: &mut Vec<Fact>,
    ) {
        self.paid_invoice_seen_at = self.paid_invoice_seen_at.max(Some(event_at));
        if self.has_charges(event_at) || self.has_intents(event_at) || invoice.is_paid_out_of_band {
            return;
        }
        let amount = invoice.amount_paid.unwrap_or_default();
        let (true, Some(currency)) = (amount > 0, invoice.currency) else {
            return;
        };
        let charge = invoice.charge.as_ref().map_or(key, |id| id.key());
        let customer = invoice.customer.as_ref().map(|id| id.key());
        let at = invoice.paid_at.unwrap_or(event_at).min(event_at);
        let payment = self
            .payments
            .entry(charge, || super::Payment::new(at, currency));
        if payment.tell(super::payment::TOLD_PAYMENT) {
            payment.amount_collected = amount;
            payment.customer = customer;
            payment.invoice = Some(key);
            facts.push(Fact::Payment(PaymentFact {
                charge,
                at,
                amount,
                currency,
                customer,
            }));
        }
    }

    /// Ties a payment to the invoice it pays, now or when it arrives.
    fn tie(&mut self, charge: Option<Key>, intent: Option<Key>, invoice: Key) {
        let known = charge.or_else(|| self.charge_of_intent(intent?));
        if let Some(payment) = known.and_then(|charge| self.payments.get_mut(charge)) {
            payment.invoice = Some(invoice);
        } else if let Some(early) = charge.or(intent) {
            self.early_ties.insert(early, invoice);
        }
    }
}

/// The end of the service an invoice bills: `period_end` of the invoice itself is something else.
///
/// Of items with different intervals the one that has to pay again first counts. Lines that end
/// where the invoice begins bill use of the past.
fn service_end(invoice: &Invoice) -> Option<Timestamp> {
    let lines = invoice.lines.iter();
    let regular = lines.filter(|line| !is_change(invoice, line));
    let ends = regular.filter_map(|line| line.period_end);
    let made_at = invoice.created.unwrap_or(Timestamp::MAX);
    let ahead = ends.clone().filter(|end| *end > made_at + Span::days(1));
    ahead.min().or_else(|| ends.max())
}

/// Whether a line settles a change in mid-period. The first invoice of a subscription that begins
/// between two billing dates bills a part of a period, and that is its first one (Stripe docs: Set
/// the subscription billing cycle; `proration_behavior=create_prorations`).
fn is_change(invoice: &Invoice, line: &InvoiceLine) -> bool {
    line.is_proration && invoice.billing_reason != BillingReason::SubscriptionCreate
}
