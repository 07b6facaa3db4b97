//! Renewals that are written off before anybody was asked to pay.
//!
//! What is written off is settled as a rule: dunning ran, or somebody gave a debt up. But an invoice of a
//! renewal that is marked as uncollectible though nobody tried to collect it, while its subscription goes on,
//! is a customer who is served for nothing, as one whose invoice is void or was never made. A slip of the hand
//! does that, or a job that picks the wrong invoices. Where it happens as a matter of course it is the
//! merchant's way, and not spoken of: the account's own renewals say so. Nor is what was due for long before
//! it was written off, as a clean-up does, what was paid by another payment, or a subscription that is about
//! to end, or past due. (Status transitions of an invoice: Stripe docs: Status transitions and finalization.)

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Severity};
use crate::event::Event;
use crate::event::invoice::{BillingReason, Invoice, InvoiceStatus};
use crate::ids::{Key, KeyMap};
use crate::ledger::{Ledger, SubscriptionRecord};
use crate::money::Money;
use crate::time::{Span, Timestamp};

use super::{SETTLED, customer_of};

/// So many invoices must have been paid before one that is written off means anything.
const PAID_MIN: u32 = 10;

/// Of so many one may be written off untried, after the first: where more are it is the merchant's way.
const OFF_ONE_IN: u32 = 20;

/// The most written off at a time; of further ones nothing is said.
const WRITE_OFFS_MAX: usize = 20_000;

/// How it is named.
const TITLE: &str = "A renewal was written off, and nobody was asked to pay";

/// A renewal that was written off untried.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WriteOff {
    invoice: Box<str>,
    total: i64,
    /// When its period began.
    pub(super) turn: Timestamp,
    /// When it was written off.
    pub(super) at: Timestamp,
}

/// The renewals written off that nothing has settled since, by subscription.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WriteOffs {
    of: KeyMap<WriteOff>,
    /// How many invoices of subscriptions were paid, and how many were written off untried.
    paid: u32,
    untried: u32,
}

impl WriteOff {
    /// The renewal of a subscription that goes on, where it was written off before anybody tried to collect it.
    fn of(event: &Event, invoice: &Invoice, grace: Span, ledger: &Ledger) -> Option<(Key, Self)> {
        let is_renewal = invoice.billing_reason == BillingReason::SubscriptionCycle;
        let is_untried = invoice.attempt_count == Some(0);
        if invoice.status != InvoiceStatus::Uncollectible || !is_renewal || !is_untried {
            return None;
        }
        let subscription = invoice.subscription.as_ref()?.key();
        let id = invoice.id.as_ref()?;
        let total = invoice.amount_due.or(invoice.total)?;
        let known = ledger.invoice(id.key())?;
        let is_settled = known.is_paid || known.amount_paid > 0 || known.amount_credited > 0;
        if total <= 0 || is_settled || invoice.has_test_clock {
            return None;
        }
        let record = ledger.subscription(subscription)?;
        record.due_at().ok()?;
        let (turn, end) = record.period_start.zip(record.period_end)?;
        let slack = record.boundary_slack();
        let through = known.paid_through?;
        let is_of_period = (end - slack..=end + slack).contains(&through);
        // Later it was told as unpaid already, or as overdue: who writes it off then knows of it.
        let open_until = match record.payment_term() {
            Span::ZERO => turn + grace.max(SETTLED),
            term => turn + term,
        };
        let at = event.created;
        let write_off = Self {
            invoice: id.as_str().into(),
            total,
            turn,
            at,
        };
        (is_of_period && at <= open_until).then_some((subscription, write_off))
    }
}

impl WriteOffs {
    /// Takes in an invoice that may have been written off. Of several of one subscription the first stands.
    pub(super) fn note(&mut self, event: &Event, invoice: &Invoice, grace: Span, ledger: &Ledger) {
        if let Some((subscription, write_off)) = WriteOff::of(event, invoice, grace, ledger)
            && self.of.len() < WRITE_OFFS_MAX
            && !self.of.contains_key(&subscription)
        {
            self.of.insert(subscription, write_off);
        }
    }

    /// What was written off of this subscription.
    pub(super) fn get(&self, subscription: Key) -> Option<&WriteOff> {
        self.of.get(&subscription)
    }

    /// An invoice of this subscription was paid.
    pub(super) fn note_paid(&mut self, subscription: Key) {
        self.paid = self.paid.saturating_add(1);
        self.forget(subscription);
    }

    /// The subscription ended, or owes nothing, or nothing is to be said of it.
    pub(super) fn forget(&mut self, subscription: Key) {
        self.of.swap_remove(&subscription);
    }

    /// Why what was written off is not worth a word, if it is not.
    pub(super) fn excuse(
        &mut self,
        subscription: Key,
        record: &SubscriptionRecord,
        ledger: &Ledger,
    ) -> Option<&'static str> {
        let one_more = self.untried.saturating_add(1);
        let allowed = self.paid.saturating_add(OFF_ONE_IN);
        self.untried = one_more;
        if self.paid < PAID_MIN {
            return Some("too little is known of what is usual here");
        }
        if one_more.saturating_mul(OFF_ONE_IN) > allowed {
            return Some("that is usual here");
        }
        let WriteOff { total, turn, .. } = self.of.get(&subscription)?;
        let customer = customer_of(record)?;
        let since = *turn - record.boundary_slack();
        let is_paid = ledger.payments().any(|payment| {
            payment.customer == Some(customer)
                && payment.amount_collected == *total
                && payment.at >= since
                && payment.invoice.is_none()
        });
        is_paid.then_some("a payment of as much was made beside it")
    }

    /// A finding of an unpaid subscription, in the words for one written off.
    pub(super) fn reword(&self, mut finding: Finding, record: &SubscriptionRecord) -> Finding {
        let Some(write_off) = self.get(Key::of(&record.id)) else {
            return finding;
        };
        finding.severity = Severity::Medium;
        finding.title = TITLE.to_owned();
        finding.amount_at_stake = record.currency.map(|_| write_off.total);
        finding.currency = record.currency;
        let money = record
            .currency
            .map(|currency| Money::new(write_off.total, currency).to_string());
        finding.message = format!(
            "{} is active, yet {} due {} was written off {}, {}",
            record.id,
            money.unwrap_or_else(|| "what was".to_owned()),
            write_off.turn,
            write_off.at,
            if record.payment_term() > Span::ZERO {
                "before its time to pay was over"
            } else {
                "and no payment was tried"
            },
        );
        finding.evidence.reasons = vec![
            format!(
                "{} was marked as uncollectible after no attempt",
                write_off.invoice
            ),
            format!(
                "here {} invoices of subscriptions were paid, and {} written off untried",
                self.paid, self.untried
            ),
        ];
        let ids = &mut finding.evidence.object_ids;
        ids.push(write_off.invoice.to_string());
        finding
    }
}
