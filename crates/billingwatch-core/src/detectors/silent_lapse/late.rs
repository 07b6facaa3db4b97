//! Subscriptions that pay days after their turn as a matter of course.
//!
//! A bank debit takes days, and where no event of charges is sent, and the subscription does not name its ways of paying, nothing says
//! that one is under way. Who paid so late once, without a failed attempt, is given as long again.

use serde::{Deserialize, Serialize};

use crate::ids::{Key, KeyMap};
use crate::time::Span;

/// What takes no longer is nothing to be learned.
const PROMPT: Span = Span::days(1);

/// What becomes of a bank debit is told within so many days as a rule: six business days, with a holiday among them (Stripe
/// docs: SEPA Direct Debit, ACH, Bacs). What took longer was mended, and is no way of paying.
const LATE_MAX: Span = Span::days(9);

/// A weekend may come between.
const SPARE: Span = Span::days(2);

/// The most subscriptions remembered; of further ones nothing is learned.
const MAX: usize = 200_000;

/// How long who pays late takes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Late {
    of: KeyMap<Span>,
}

impl Late {
    /// A turn was paid so long after it.
    pub(super) fn note(&mut self, key: Key, waited: Span) {
        let is_late = (PROMPT..=LATE_MAX).contains(&waited);
        if is_late && (self.of.len() < MAX || self.of.contains_key(&key)) {
            let longest = self.of.get(&key).copied().unwrap_or(waited);
            self.of.insert(key, longest.max(waited));
        }
    }

    /// How long it is waited for; zero where it was never late.
    pub(super) fn patience(&self, key: Key) -> Span {
        let longest = self.of.get(&key).copied();
        longest.map_or(Span::ZERO, |longest| longest + SPARE)
    }

    pub(super) fn forget(&mut self, key: Key) {
        if !self.of.is_empty() {
            self.of.swap_remove(&key);
        }
    }
}
