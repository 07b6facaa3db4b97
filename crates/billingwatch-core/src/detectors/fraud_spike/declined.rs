//! Cards of a customer that were declined: beside those that paid, part of the same list.
//!
//! Who has a list of stolen cards finds half of them blocked. A buyer in trouble has declined cards as
//! well, and pays with one in the end; so at most as many count as paid. Nobody has eight cards to try, and goes on when the
//! second has paid: then all of them count.

use serde::{Deserialize, Serialize};

use crate::ids::Key;
use crate::ledger::Generations;
use crate::time::Timestamp;

use super::velocity::{PAIRS_MAX, Partners, WATCHED_MAX, WINDOW};

/// So many cards of one customer are a list of them,
const LISTED: usize = 8;

/// once so many have paid.
const LISTED_PAID: usize = 2;

/// Declined cards by customer: which, and when last.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Declined {
    customers: Generations<Vec<(Key, Timestamp)>>,
}

impl Default for Declined {
    fn default() -> Self {
        Self {
            customers: Generations::new(WINDOW, WATCHED_MAX),
        }
    }
}

impl Declined {
    /// A customer's card was declined.
    pub(super) fn take(&mut self, customer: Key, card: Key, at: Timestamp) {
        let cards = self.customers.entry(customer, || Vec::with_capacity(1));
        cards.retain(|(known, seen_at)| *known != card && at.since(*seen_at) <= WINDOW);
        if cards.len() < PAIRS_MAX {
            cards.push((card, at));
        }
    }

    /// How many declined cards count beside those that paid.
    pub(super) fn beside(&self, customer: Key, paid: &Partners, at: Timestamp) -> usize {
        let Some(cards) = self.customers.get(customer) else {
            return 0;
        };
        let has_paid = |card: Key| paid.iter().any(|(known, ..)| *known == card);
        let others = cards
            .iter()
            .filter(|(card, seen_at)| at.since(*seen_at) <= WINDOW && !has_paid(*card));
        let (others, paid) = (others.count(), paid.len());
        if paid >= LISTED_PAID && paid + others >= LISTED {
            others
        } else {
            others.min(paid)
        }
    }

    /// Forgets; when it does next.
    pub(super) fn advance_to(&mut self, now: Timestamp) -> Timestamp {
        self.customers.advance_to(now)
    }
}
