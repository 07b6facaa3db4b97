//! Payments that failed and are to be tried again: the promise is broken when no attempt comes.
//!
//! After a failed attempt Stripe says when the next one will be (`next_payment_attempt`; Stripe API
//! reference: The Invoice object), and each attempt has its event. Some accounts' retries come without one,
//! or not at all where a card was declined for good; so an account's own promises say how often they
//! are kept, and one that is broken now and then as a matter of course is not spoken of.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::event::invoice::{CollectionMethod, Invoice, InvoiceStatus};
use crate::ids::{Key, KeyMap};
use crate::ledger::Ledger;
use crate::time::Timestamp;

/// The most promises remembered; of further ones nothing is known.
const PROMISES_MAX: usize = 200_000;

/// So many promises must have been kept before one that is not means anything.
const KEPT_MIN: u32 = 3;

/// Of so many promises one may be broken as a matter of course, after the first.
const BROKEN_ONE_IN: u32 = 10;

/// The next attempt to collect an invoice.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Promise {
    invoice: Key,
    /// `None` where it is not tried again: remembered, so that an older word of it that comes later
    /// promises nothing.
    at: Option<Timestamp>,
    event_at: Timestamp,
    attempts: i64,
}

/// What was promised, by subscription, and how often promises were kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Retries {
    promises: KeyMap<Promise>,
    kept: u32,
    broken: u32,
}

impl Retries {
    /// When the next attempt of this subscription's invoice was promised.
    pub(super) fn promised_at(&self, subscription: Key) -> Option<Timestamp> {
        self.promises.get(&subscription)?.at
    }

    /// Takes in an invoice; the subscription whose promise changed, if one did. Words of it come in any
    /// order: one that is older than what is known, or of an invoice that is settled, changes nothing.
    pub(super) fn note(
        &mut self,
        event: &Event,
        invoice: &Invoice,
        ledger: &Ledger,
    ) -> Option<Key> {
        let subscription = invoice.subscription.as_ref()?.key();
        let id = invoice.id.as_ref()?.key();
        let attempts = invoice.attempt_count.unwrap_or_default();
        let known = self.promises.get(&subscription).copied();
        let is_known = known.is_some_and(|known| known.invoice == id);
        let is_over = ledger
            .invoice(id)
            .is_some_and(|record| record.is_paid || record.is_closed);
        let is_open = invoice.status == InvoiceStatus::Open
            && invoice.collection_method == CollectionMethod::ChargeAutomatically;
        // What is final is told in the second of its first attempt, and may come after that.
        let is_stale = |known: Promise| {
            event.created < known.event_at || known.invoice == id && attempts < known.attempts
        };
        let is_draft = invoice.status == InvoiceStatus::Draft;
        if !is_over && (is_draft || known.is_some_and(is_stale)) {
            return None;
        }
        if let Some(known) = known.filter(|_| is_known)
            && let Some(at) = known.at
            && (attempts > known.attempts || invoice.status == InvoiceStatus::Paid)
        {
            // An attempt was made: early, by hand, or as promised.
            self.kept += u32::from(event.created >= at);
        }
        let has_room = known.is_some() || self.promises.len() < PROMISES_MAX;
        if !is_over && is_open && attempts > 0 && has_room {
            let promise = Promise {
                invoice: id,
                at: invoice.next_payment_attempt,
                event_at: event.created,
                attempts,
            };
            self.promises.insert(subscription, promise);
        } else if is_known {
            self.promises.swap_remove(&subscription);
        } else {
            return None;
        }
        Some(subscription)
    }

    /// The subscription is active, as was seen then. A later promise stands: that it is past due may
    /// still be told.
    pub(super) fn settle(&mut self, subscription: Key, seen_at: Timestamp) {
        let known = self.promises.get(&subscription);
        if known.is_some_and(|promise| promise.event_at < seen_at) {
            self.forget(subscription);
        }
    }

    /// The subscription ended, or nothing is to be said of its promise.
    pub(super) fn forget(&mut self, subscription: Key) {
        self.promises.swap_remove(&subscription);
    }

    /// A promise is long over. Whether that is worth a word.
    pub(super) fn breaks(&mut self) -> bool {
        let is_odd = self.kept >= KEPT_MIN
            && (self.broken + 1) * BROKEN_ONE_IN <= self.kept + self.broken + BROKEN_ONE_IN;
        self.broken += 1;
        is_odd
    }
}
