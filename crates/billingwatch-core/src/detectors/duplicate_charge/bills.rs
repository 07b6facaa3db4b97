//! What is remembered of invoices, to tell a signup sent twice, an invoice paid again, and two
//! invoices that bill one thing.

use serde::{Deserialize, Serialize};

use crate::event::invoice::{BillingReason, Invoice, InvoiceLine};
use crate::event::subscription::Subscription;
use crate::ids::Key;
use crate::ledger::Generations;
use crate::time::Timestamp;

use super::paid::{Paid, is_telling};
use super::{MEMORY, MEMORY_MAX};

/// The most metadata of an invoice that is remembered.
const METADATA_MAX: usize = 16;

/// The invoices of the newest hours.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Bills {
    invoices: Generations<Bill>,
    /// The metadata of subscriptions that have any.
    subscriptions: Generations<Key>,
}

/// What is remembered of an invoice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Bill {
    /// Its number on paper.
    number: Option<Key>,
    /// Of the first invoice of a subscription: the prices, how many of each, and metadata.
    signup: Option<Key>,
    subscription: Option<Key>,
    /// The service it bills, if it bills any for a time.
    service: Option<Service>,
    memo: Option<Key>,
    /// What the merchant says of it and its lines, by which two can be told apart: sorted pairs of
    /// name and value.
    metadata: Box<[(Key, Key)]>,
}

/// What an invoice bills, and for which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Service {
    /// What all lines say, each with its period.
    described: Option<Key>,
    /// The prices of all lines, each with its period.
    priced: Option<Key>,
    /// The period of the first line that has one.
    from: Timestamp,
    to: Timestamp,
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

    /// The service period for which two invoices bill the same things, if they do.
    ///
    /// Lines of the same words, or of the same prices, for periods that are the same to the second;
    /// and neither the subscriptions nor the memos nor the metadata differ.
    pub(super) fn billed_twice(&self, a: Key, b: Key) -> Option<(Timestamp, Timestamp)> {
        let (a, b) = (self.invoices.get(a)?, self.invoices.get(b)?);
        let (of_a, of_b) = (a.service?, b.service?);
        let is_same = |a: Option<Key>, b: Option<Key>| a.is_some() && a == b;
        let is_other = |a: Option<Key>, b: Option<Key>| a.is_some() && b.is_some() && a != b;
        // A price says less than words: it may be for another seat.
        let is_by_price = is_same(of_a.priced, of_b.priced)
            && (!is_other(of_a.described, of_b.described)
                || is_same(a.subscription, b.subscription));
        let is_one = (is_same(of_a.described, of_b.described) || is_by_price)
            && !is_other(a.subscription, b.subscription)
            && !is_other(a.memo, b.memo)
            && !a.contradicts(b);
        is_one.then_some((of_a.from, of_a.to))
    }

    /// Whether a payment names this invoice: its id or number in the metadata or the description.
    pub(super) fn are_named(&self, invoice: Key, paid: &Paid) -> bool {
        let number = self.invoices.get(invoice).and_then(|bill| bill.number);
        let is_name = |word: Key| word == invoice || Some(word) == number;
        paid.words.iter().any(|word| is_name(*word))
            || paid.metadata.iter().any(|(_, value)| is_name(*value))
    }

    /// Forgets; when it does next.
    pub(super) fn advance_to(&mut self, now: Timestamp) -> Timestamp {
        let invoices = self.invoices.advance_to(now);
        self.subscriptions.advance_to(now).min(invoices)
    }

    /// Remembers an invoice under its key.
    pub(super) fn hear_of_invoice(&mut self, key: Key, invoice: &Invoice) {
        let number = invoice.number.as_deref().map(Key::of);
        // The lines of a final invoice change no more: once is enough for its many events.
        let is_known = |bill: &mut Bill| bill.service.is_some() && bill.number == number;
        if !self.invoices.get_mut(key).is_some_and(is_known) {
            self.invoices.insert(key, Bill::of(invoice, number));
        }
    }

    /// Remembers what tells a subscription from another, if anything does.
    pub(super) fn hear_of_subscription(&mut self, subscription: &Subscription) {
        if let Some(metadata) = metadata_of(subscription) {
            self.subscriptions.insert(subscription.id.key(), metadata);
        }
    }
}

impl Bill {
    fn of(invoice: &Invoice, number: Option<Key>) -> Self {
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
        let service = Service::of(invoice);
        Self {
            number,
            signup: is_signup.then(prices).flatten(),
            subscription: invoice.subscription.as_ref().map(|id| id.key()),
            memo: service.and(invoice.description.as_deref()).map(Key::of),
            metadata: service.map_or_else(Box::default, |_| metadata_of_invoice(invoice)),
            service,
        }
    }

    /// Whether metadata that both have differs.
    fn contradicts(&self, other: &Self) -> bool {
        let values = |bill: &Self, name: Key| -> Vec<Key> {
            let own = bill.metadata.iter().filter(|(known, _)| *known == name);
            own.map(|(_, value)| *value).collect()
        };
        self.metadata.iter().any(|(name, _)| {
            let others = values(other, *name);
            !others.is_empty() && others != values(self, *name)
        })
    }
}

impl Service {
    /// Nothing where no line is for a time, as those made by hand are unless they say so; where it
    /// settles changes in mid-period; and where usage is billed whenever it passes a threshold.
    fn of(invoice: &Invoice) -> Option<Self> {
        let lines = || invoice.lines.iter().filter(|line| line.amount != 0);
        if lines().any(|line| line.is_proration)
            || invoice.billing_reason == BillingReason::SubscriptionThreshold
        {
            return None;
        }
        let (from, to) = lines().find_map(period_of)?;
        // Compared as far as it is known, with others of which no more is known.
        let more = invoice.has_more_lines.then(|| Key::of("more"));
        let key_of = |what: fn(&InvoiceLine) -> Option<&str>| {
            let is_known = lines().all(|line| what(line).is_some());
            let keys = lines().filter_map(|line| {
                let key = Key::of(what(line)?);
                Some(match period_of(line) {
                    Some((from, to)) => key.with([from.as_secs(), to.as_secs()]),
                    None => key,
                })
            });
            is_known.then(|| Key::of_all(keys.chain(more)))
        };
        Some(Self {
            described: key_of(|line| line.description.as_deref()),
            priced: key_of(|line| line.price.as_deref()),
            from,
            to,
        })
    }
}

/// The time a line is for. One made by hand is for an instant, unless it says otherwise.
fn period_of(line: &InvoiceLine) -> Option<(Timestamp, Timestamp)> {
    let period = line.period_start.zip(line.period_end);
    period.filter(|(from, to)| from < to)
}

/// The metadata of an invoice and its lines by which two can be told apart.
fn metadata_of_invoice(invoice: &Invoice) -> Box<[(Key, Key)]> {
    let of_lines = invoice.lines.iter().flat_map(|line| &line.metadata);
    let telling = invoice.metadata.iter().chain(of_lines);
    let telling = telling.filter(|(name, _)| is_telling(name));
    let mut pairs: Vec<(Key, Key)> = telling
        .map(|(name, value)| (Key::of(name), Key::of(value)))
        .take(METADATA_MAX)
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs.into_boxed_slice()
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
