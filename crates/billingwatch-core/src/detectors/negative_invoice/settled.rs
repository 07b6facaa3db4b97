//! What each subscription paid so far: no proration can rightly give back more.

use serde::{Deserialize, Serialize};

use crate::event::invoice::{Invoice, InvoiceStatus};
use crate::ids::Key;
use crate::ledger::Generations;
use crate::time::{Span, Timestamp};

/// How long a subscription that pays nothing is remembered, at least: a yearly one pays once in it.
const MEMORY: Span = Span::days(400);

/// At most twice so many subscriptions are remembered, and invoices counted.
const MEMORY_MAX: usize = 500_000;

/// Invoices settled, positive and negative, by subscription.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Settled {
    subscriptions: Generations<Account>,
    /// Invoices that were counted, and for how much.
    counted: Generations<i64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Account {
    /// Minor units: invoices settled, by money or credit, less those below zero.
    sum: i64,
    /// Known from its birth, or through a renewal since: nothing it can get back is unknown.
    is_whole: bool,
}

impl Default for Settled {
    fn default() -> Self {
        Self {
            subscriptions: Generations::new(MEMORY, MEMORY_MAX),
            // Within this time all events of an invoice's settlement have come.
            counted: Generations::new(Span::days(35), MEMORY_MAX),
        }
    }
}

impl Settled {
    /// Forgets; when it does next.
    pub(super) fn advance_to(&mut self, now: Timestamp) -> Timestamp {
        let subscriptions = self.subscriptions.advance_to(now);
        self.counted.advance_to(now).min(subscriptions)
    }

    /// A subscription was seen.
    pub(super) fn meet(&mut self, subscription: Key, is_birth: bool) {
        if is_birth {
            let account = self.subscriptions.entry(subscription, Account::default);
            account.is_whole = true;
        }
    }

    /// Counts an invoice once it is settled, whichever events say so.
    pub(super) fn hear_of_invoice(&mut self, invoice: &Invoice) {
        let (Some(id), Some(subscription), Some(total)) =
            (&invoice.id, &invoice.subscription, invoice.total)
        else {
            return;
        };
        let is_settled = invoice.status == InvoiceStatus::Paid
            || (total < 0 && invoice.finalized_at.is_some())
            || invoice.paid_at.is_some();
        if !is_settled || total == 0 || invoice.has_test_clock {
            return;
        }
        let counted = self.counted.entry(id.key(), || 0);
        let news = total.saturating_sub(*counted);
        if news == 0 {
            return;
        }
        *counted = total;
        let account = self
            .subscriptions
            .entry(subscription.key(), Account::default);
        account.sum = account.sum.saturating_add(news);
        // A regular invoice pays a period whole: whatever came before it is used up.
        account.is_whole |= total > 0 && invoice.lines.iter().any(|line| !line.is_proration);
    }

    /// What a subscription had settled before an invoice, minor units; `None` while what it paid
    /// before it was met may still be given back.
    pub(super) fn before(&self, subscription: Key, invoice: Key) -> Option<i64> {
        let account = self.subscriptions.get(subscription)?;
        let own = self.counted.get(invoice).copied().unwrap_or_default();
        account.is_whole.then(|| account.sum.saturating_sub(own))
    }
}
