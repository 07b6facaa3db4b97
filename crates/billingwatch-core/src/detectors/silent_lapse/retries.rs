//! Payments that failed and are to be tried again: the promise is broken when no attempt comes.
//!
//! After a failed attempt Stripe says when the next one will be (`next_payment_attempt`; Stripe API
//! reference: The Invoice object), and each attempt has its event. Some accounts' retries come without one,
//! or not at all where a card was declined for good; so an account's own promises say how often they
//! are kept, and one that is broken now and then as a matter of course is not spoken of.
//!
//! Where the first attempt names no next one, none is to come by Stripe's schedule; a merchant's own
//! programme may retry all the same. So the account's other invoices say whether a first attempt that
//! failed is followed by another here, and after how long: one that is not, where others are, was let fall
//! by everybody. What was tried again and then given up is dunning that ran: the merchant chose what comes
//! after it (Stripe docs: Automate payment retries). Nor is it silent that nobody retries a card that was
//! declined for good.

use serde::{Deserialize, Serialize};

use std::collections::VecDeque;

use crate::event::Event;
use crate::event::charge::{Charge, ChargeStatus};
use crate::event::invoice::{CollectionMethod, Invoice, InvoiceStatus};
use crate::ids::{Key, KeyMap};
use crate::ledger::{Generations, Ledger};
use crate::time::{Span, Timestamp};

use super::RECOVERY;

/// The most promises remembered; of further ones nothing is known.
const PROMISES_MAX: usize = 200_000;

/// So many promises must have been kept before one that is not means anything.
const KEPT_MIN: u32 = 3;

/// Of so many promises one may be broken as a matter of course, after the first.
const BROKEN_ONE_IN: u32 = 10;

/// So many first attempts must have been followed by another before one that is not means anything: how
/// long others take has to be known too, and the longest of ten waits is passed by the next in one
/// case of eleven; the grace comes on top.
const FOLLOWED_MIN: u32 = 10;

/// The newest waits for a second attempt that was not announced.
const WAITS: usize = 64;

/// The longest policy Stripe offers retries for so long (Stripe docs: Automate payment retries). What
/// comes later is no retry, and a decline is remembered for so long.
const POLICY_MAX: Span = Span::days(61);

/// The most customers in each half of the memory of declines.
const DECLINES_MAX: usize = 50_000;

/// After these Stripe retries no more on its own account, and says so: until there is another
/// payment method nothing is to be expected (Stripe docs: Automate payment retries).
const FINAL_DECLINES: [&str; 9] = [
    "authentication_required",
    "highest_risk_level",
    "incorrect_number",
    "lost_card",
    "pickup_card",
    "revocation_of_all_authorizations",
    "revocation_of_authorization",
    "stolen_card",
    "transaction_not_allowed",
];

/// The next attempt to collect an invoice.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Promise {
    invoice: Key,
    /// `None` where it is not tried again: remembered, so that an older word of it that comes later
    /// promises nothing.
    at: Option<Timestamp>,
    event_at: Timestamp,
    attempts: i64,
    /// When the last of these attempts was heard of.
    tried_at: Timestamp,
    /// A promise was taken back: somebody ended the retries.
    is_given_up: bool,
    /// The subscription was active after it: it stands only if its invoice is another than was paid.
    is_doubtful: bool,
    customer: Option<Key>,
}

/// An attempt that is to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) at: Timestamp,
    pub(super) tried_at: Timestamp,
    /// Stripe named the time; else it is what is usual here.
    pub(super) is_promised: bool,
}

/// What was promised, by subscription, and how often promises were kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Retries {
    promises: KeyMap<Promise>,
    kept: u32,
    broken: u32,
    /// First attempts that failed, and were followed by another, or by nothing.
    followed: u32,
    left: u32,
    /// How long those took that were not announced.
    waits: VecDeque<Span>,
    /// Customers whose last failed charge was a card's, and may be tried again.
    declined: Generations<()>,
    /// Whether failed charges of customers are told here.
    has_declines: bool,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            promises: KeyMap::default(),
            kept: 0,
            broken: 0,
            followed: 0,
            left: 0,
            waits: VecDeque::new(),
            declined: Generations::new(POLICY_MAX, DECLINES_MAX),
            has_declines: false,
        }
    }
}

impl Retries {
    /// When the next attempt of this subscription's invoice is to come: as promised, or, after a first
    /// one that names no next, as others do here. `None` when none is expected.
    pub(super) fn expected(&self, subscription: Key) -> Option<Expected> {
        let promise = self.promises.get(&subscription);
        let promise = promise.filter(|promise| !promise.is_doubtful)?;
        let tried_at = promise.tried_at;
        if let Some(at) = promise.at {
            return Some(Expected {
                at,
                tried_at,
                is_promised: true,
            });
        }
        let is_first = promise.attempts == 1 && !promise.is_given_up;
        is_first.then(|| Expected {
            at: tried_at + self.waits.iter().max().copied().unwrap_or_default(),
            tried_at,
            is_promised: false,
        })
    }

    /// Takes in how a charge went.
    pub(super) fn note_charge(&mut self, charge: &Charge) {
        let Some(customer) = charge.customer.as_ref().map(|id| id.key()) else {
            return;
        };
        if charge.status != ChargeStatus::Failed {
            return;
        }
        self.has_declines = true;
        // Bank debits that came back may be presented again in a few cases only, by the rules of their
        // schemes, so that one failure may be the last.
        let kind = charge.payment_method_type.as_deref();
        let is_card = charge.card.is_some() || kind.is_none_or(|kind| kind == "card");
        let words = [&charge.outcome.reason, &charge.failure_code];
        let mut words = words.into_iter().flatten();
        if !is_card || words.any(|word| FINAL_DECLINES.contains(&&**word)) {
            self.declined.remove(customer);
        } else {
            self.declined.renew(customer);
        }
    }

    pub(super) fn advance_to(&mut self, now: Timestamp) {
        self.declined.advance_to(now);
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
        if invoice.has_test_clock {
            return None;
        }
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
        if let Some(known) = known.filter(|_| is_known) {
            let is_tried = attempts > known.attempts;
            if let Some(at) = known.at
                && (is_tried || invoice.status == InvoiceStatus::Paid)
            {
                // An attempt was made: early, by hand, or as promised.
                self.kept += u32::from(event.created >= at);
            }
            if is_tried && known.attempts == 1 {
                self.note_second(known, event.created);
            }
        }
        let has_room = known.is_some() || self.promises.len() < PROMISES_MAX;
        if !is_over && is_open && attempts > 0 && has_room {
            let same = known.filter(|known| is_known && known.attempts == attempts);
            let at = invoice.next_payment_attempt;
            let promise = Promise {
                invoice: id,
                at,
                event_at: event.created,
                attempts,
                tried_at: same.map_or(event.created, |known| known.tried_at),
                is_given_up: at.is_none()
                    && same.is_some_and(|known| known.is_given_up || known.at.is_some()),
                is_doubtful: false,
                customer: invoice.customer.as_ref().map(|id| id.key()),
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
    /// still be told. An earlier one may be that of another invoice than the one whose payment made it
    /// active: until its time it may be kept, and nothing is made of it if it is not.
    pub(super) fn settle(&mut self, subscription: Key, seen_at: Timestamp, now: Timestamp) {
        let Some(promise) = self.promises.get_mut(&subscription) else {
            return;
        };
        if promise.event_at >= seen_at {
            return;
        }
        if promise.at.is_some_and(|at| at + RECOVERY > now) {
            promise.is_doubtful = true;
        } else {
            self.forget(subscription);
        }
    }

    /// When an unpaid invoice of this subscription is tried next, as Stripe said with the last attempt.
    pub(super) fn next_at(&self, subscription: Key) -> Option<Timestamp> {
        let promise = self.promises.get(&subscription)?;
        promise
            .at
            .filter(|at| at.since(promise.tried_at) <= POLICY_MAX)
    }

    /// The subscription ended, or nothing is to be said of its promise.
    pub(super) fn forget(&mut self, subscription: Key) {
        self.promises.swap_remove(&subscription);
    }

    /// A second attempt was made.
    fn note_second(&mut self, first: Promise, at: Timestamp) {
        let wait = at.since(first.tried_at);
        if wait > POLICY_MAX {
            return;
        }
        self.followed = self.followed.saturating_add(1);
        if first.at.is_none() {
            self.waits.truncate(WAITS - 1);
            self.waits.push_front(wait);
        }
    }

    /// Whether a first attempt is known to be followed by others here.
    pub(super) const fn are_followed(&self) -> bool {
        self.followed >= FOLLOWED_MIN
    }

    /// Whether the last charge of this subscription's customer was declined for good, or none was made for
    /// want of a payment method; unknown, and so false, where failed charges are not told.
    pub(super) fn is_hopeless(&self, subscription: Key) -> bool {
        let promise = self.promises.get(&subscription);
        let customer = promise.and_then(|promise| promise.customer);
        self.has_declines && customer.is_none_or(|customer| !self.declined.contains(customer))
    }

    /// A first attempt is followed by nothing. Whether that is worth a word: where most of them are left
    /// like that it is the merchant's policy.
    pub(super) const fn is_left(&mut self) -> bool {
        let one_more = self.left.saturating_add(1);
        let allowed = self.followed.saturating_add(self.left);
        let allowed = allowed.saturating_add(BROKEN_ONE_IN);
        self.left = one_more;
        one_more.saturating_mul(BROKEN_ONE_IN) <= allowed
    }

    /// How many first attempts were followed by another, of all that could be.
    pub(super) const fn known(&self) -> (u32, u32) {
        (self.followed, self.followed.saturating_add(self.left))
    }

    /// A promise is long over. Whether that is worth a word.
    pub(super) fn breaks(&mut self) -> bool {
        let is_odd = self.kept >= KEPT_MIN
            && (self.broken + 1) * BROKEN_ONE_IN <= self.kept + self.broken + BROKEN_ONE_IN;
        self.broken += 1;
        is_odd
    }
}
