//! Ends of subscriptions: those that came with the contract, and those that are words of cancellation.
//!
//! An instalment plan ends when its schedule says (`cancel_at`), as everybody knew for months: that is no news on the day it
//! happens. That a subscription which had no end gets one soon is, on the day it is said.

use serde::{Deserialize, Serialize};

use crate::event::subscription::SubscriptionStatus;
use crate::ids::{Key, KeyMap};
use crate::ledger::SubscriptionRecord;
use crate::time::{Span, Timestamp};

/// What is given to a subscription this soon after it began is part of its contract: a schedule is made from it, and says
/// how it ends.
const CONTRACT: Span = Span::days(1);

/// An end no farther off than this is a notice; a farther one is a term, as when contracts are brought over.
const NOTICE_MAX: Span = Span::days(93);

/// Ends that differ less are one.
const SAME_END: Span = Span::days(1);

/// When a subscription ends that still renews until then.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Term {
    ends_at: Timestamp,
    /// It is the word of a cancellation.
    is_notice: bool,
}

/// One scope's subscriptions that have an end beyond their period.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Terms(KeyMap<Term>);

/// An event, as far as the ends of its subscription go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) at: Timestamp,
    /// When the subscription was created, where the event says so.
    pub(super) created: Option<Timestamp>,
    /// Nothing was known of the subscription before.
    pub(super) is_first: bool,
    /// It ended as it could not be collected.
    pub(super) is_unpaid: bool,
}

impl Terms {
    /// Takes in the end of a subscription that will renew, or that it has none: whether it was given up by that. `is_known` if it
    /// was committed before.
    pub(super) fn is_given_up(
        &mut self,
        key: Key,
        record: Option<&SubscriptionRecord>,
        is_known: bool,
        told: Told,
    ) -> bool {
        let Some(ends_at) = record.and_then(|record| record.ends_at) else {
            if !self.0.is_empty() {
                self.0.swap_remove(&key);
            }
            return false;
        };
        let is_of_contract = || {
            let created = told.created;
            !is_known || created.is_some_and(|created| told.at < created + CONTRACT)
        };
        let is_news = match self.0.get(&key) {
            Some(term) => term.is_notice || ends_at + SAME_END < term.ends_at,
            None => !is_of_contract(),
        };
        let is_notice = is_news && ends_at < told.at + NOTICE_MAX;
        self.0.insert(key, Term { ends_at, is_notice });
        is_notice
    }

    /// A subscription will not renew any more: whether that was foretold from its beginning, or long before.
    pub(super) fn has_foretold(
        &mut self,
        key: Key,
        record: Option<&SubscriptionRecord>,
        told: Told,
    ) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Some(term) = self.0.swap_remove(&key) else {
            return false;
        };
        // One that is gone before its time was cancelled.
        let is_live = |record: &&SubscriptionRecord| {
            use SubscriptionStatus::{Active, PastDue};
            matches!(record.status, Active | PastDue)
        };
        let ends_at = record.filter(is_live).and_then(|record| record.ends_at);
        ends_at.unwrap_or(told.at) + SAME_END >= term.ends_at
    }
}
