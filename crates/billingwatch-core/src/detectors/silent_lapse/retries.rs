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
    at: Timestamp,
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
        self.promises.get(&subscription).map(|promise| promise.at)
    }

    /// Takes in an invoice; the subscription whose promise changed, if one did.
    pub(super) fn note(&mut self, event: &Event, invoice: &Invoice) -> Option<Key> {
        let subscription = invoice.subscription.as_ref()?.key();
        let id = invoice.id.as_ref()?.key();
        let attempts = invoice.attempt_count.unwrap_or_default();
        let known = self.promises.get(&subscription).copied();
        let is_known = known.is_some_and(|known| known.invoice == id);
        let is_open = invoice.status == InvoiceStatus::Open
            && invoice.collection_method == CollectionMethod::ChargeAutomatically;
        let next_at = invoice
            .next_payment_attempt
            .filter(|_| is_open && attempts > 0);
        // What is final is told in the second of its first attempt, and may come after that.
        let is_stale = |known: Promise| {
            event.created < known.event_at || known.invoice == id && attempts < known.attempts
        };
        if is_open && known.is_some_and(is_stale) {
            return None;
        }
        if let Some(known) = known.filter(|known| is_known && attempts > known.attempts) {
            // An attempt was made: early, by hand, or as promised.
            self.kept += u32::from(event.created >= known.at);
        } else if let Some(known) =
            known.filter(|_| is_known && invoice.status == InvoiceStatus::Paid)
        {
            self.kept += u32::from(event.created >= known.at);
        }
        match next_at {
            Some(at) if is_known || self.promises.len() < PROMISES_MAX => {
                let promise = Promise {
                    invoice: id,
                    at,
                    event_at: event.created,
                    attempts,
                };
                self.promises.insert(subscription, promise);
            }
            _ if is_known => {
                self.promises.swap_remove(&subscription);
            }
            _ => return None,
        }
        Some(subscription)
    }

    /// The subscription pays again, or ended.
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
