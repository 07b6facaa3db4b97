//! What is remembered of invoices, to tell a signup sent twice and an invoice paid again.

use serde::{Deserialize, Serialize};

use crate::event::invoice::{BillingReason, Invoice};
use crate::event::subscription::Subscription;
use crate::ids::Key;
use crate::ledger::Generations;
use crate::time::Timestamp;

use super::paid::{Paid, is_telling};
use super::{MEMORY, MEMORY_MAX};

/// The invoices of the newest hours.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Bills {
    invoices: Generations<Bill>,
    /// The metadata of subscriptions that have any.
    subscriptions: Generations<Key>,
}

/// What is remembered of an invoice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Bill {
    /// Its number on paper.
    number: Option<Key>,
    /// Of the first invoice of a subscription: the prices, how many of each, and metadata.
    signup: Option<Key>,
    subscription: Option<Key>,
}

impl Default for Bills {
    fn default() -> Self {
        Self {
            invoices: Generations::new(MEMORY, MEMORY_MAX / 2),
            subscriptions: Generations::new(MEMORY, MEMORY_MAX / 2),
        }
    }
}

impl Bills {
    /// Whether two invoices begin two subscriptions of which nothing differs.
    pub(super) fn are_one_signup(&self, a: Key, b: Key) -> bool {
        let (Some(a), Some(b)) = (self.invoices.get(a), self.invoices.get(b)) else {
            return false;
        };
        let metadata = |bill: &Bill| self.subscriptions.get(bill.subscription?);
        a.signup.is_some()
            && a.signup == b.signup
            && a.subscription != b.subscription
            && metadata(a) == metadata(b)
    }

    /// Whether a payment names this invoice: its id or number in the metadata or the description.
    pub(super) fn are_named(&self, invoice: Key, paid: &Paid) -> bool {
        let number = self.invoices.get(invoice).and_then(|bill| bill.number);
        let is_name = |word: Key| word == invoice || Some(word) == number;
        paid.words.iter().any(|word| is_name(*word))
            || paid.metadata.iter().any(|(_, value)| is_name(*value))
    }

    pub(super) fn advance_to(&mut self, now: Timestamp) {
        self.invoices.advance_to(now);
        self.subscriptions.advance_to(now);
    }

    /// Remembers an invoice under its key.
    pub(super) fn hear_of_invoice(&mut self, key: Key, invoice: &Invoice) {
        self.invoices.insert(key, Bill::of(invoice));
    }

    /// Remembers what tells a subscription from another, if anything does.
    pub(super) fn hear_of_subscription(&mut self, subscription: &Subscription) {
        if let Some(metadata) = metadata_of(subscription) {
            self.subscriptions.insert(subscription.id.key(), metadata);
        }
    }
}

impl Bill {
    fn of(invoice: &Invoice) -> Self {
        let prices = || {
            let mut parts: Vec<String> = Vec::new();
            for line in &invoice.lines {
                let quantity = line.quantity.unwrap_or(1);
                parts.push(format!("{} {quantity}", line.price.as_deref()?));
            }
            parts.sort_unstable();
            let metadata = invoice.lines.iter().flat_map(|line| &line.metadata);
            let telling = metadata.filter(|(name, _)| is_telling(name));
            parts.extend(telling.map(|(name, value)| format!("{name}={value}")));
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            Some(Key::of_parts(&parts))
        };
        let is_signup = invoice.billing_reason == BillingReason::SubscriptionCreate
            && !invoice.lines.is_empty()
            && !invoice.has_more_lines;
        Self {
            number: invoice.number.as_deref().map(Key::of),
            signup: is_signup.then(prices).flatten(),
            subscription: invoice.subscription.as_ref().map(|id| id.key()),
        }
    }
}

/// The metadata of a subscription by which two can be told apart, if there is any.
fn metadata_of(subscription: &Subscription) -> Option<Key> {
    let telling = subscription.metadata.iter();
    let telling: Vec<&str> = telling
        .filter(|(name, _)| is_telling(name))
        .flat_map(|(name, value)| [&**name, &**value])
        .collect();
    (!telling.is_empty()).then(|| Key::of_parts(&telling))
}
