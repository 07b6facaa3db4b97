//! Different cards that were tried in vain on one purchase.
//!
//! One payment is tried again by its buyer, with a second card and perhaps a third; so all tries of a
//! purchase count as one attempt. Nobody has cards by the dozen: who tries so many on one intent tries
//! the cards, and the purchase is only what they are tried on (Stripe docs: Protect yourself from card
//! testing).

use serde::{Deserialize, Serialize};

use crate::ids::Key;
use crate::ledger::Generations;
use crate::time::Timestamp;

use super::KEPT;

/// From this card on a purchase's cards bear a mark of card testing: a buyer who is declined takes his
/// second card, and then one of the household.
pub(super) const MARKED_FROM: u64 = 4;

/// So many more are card testing and nothing else, however low the setting is.
pub(super) const PLAIN_MIN: u64 = 6;

/// At most twice so many purchases are remembered.
const PURCHASES_HALF_MAX: usize = 20_000;

/// The most cards kept of one: far beyond every line that is drawn.
const CARDS_MAX: usize = 100;

/// The cards that were declined on the purchases of a day.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Purchases {
    tried: Generations<Vec<(Key, Timestamp)>>,
}

impl Default for Purchases {
    fn default() -> Self {
        Self {
            tried: Generations::new(KEPT, PURCHASES_HALF_MAX),
        }
    }
}

impl Purchases {
    /// A card was declined on a purchase: the how manieth different one it is within a day. Where no
    /// card is named nothing is known of it.
    pub(super) fn declined(&mut self, purchase: Key, card: Option<Key>, at: Timestamp) -> u64 {
        let Some(card) = card else {
            return 0;
        };
        let cards = self.tried.entry(purchase, || Vec::with_capacity(1));
        cards.retain(|(known, tried_at)| *known != card && at.since(*tried_at) < KEPT);
        if cards.len() < CARDS_MAX {
            cards.push((card, at));
        }
        cards.len() as u64
    }

    pub(super) fn advance_to(&mut self, now: Timestamp) {
        self.tried.advance_to(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    const START: Timestamp = Timestamp::from_secs(1_709_510_400);

    #[test]
    fn a_card_counts_once_and_for_a_day() {
        let mut purchases = Purchases::default();
        let mut declined = |card: &str, hours| {
            let at = START + Span::hours(hours);
            purchases.declined(Key::of("pi_1"), Some(Key::of(card)), at)
        };
        let counts =
            [("a", 0), ("b", 1), ("a", 2), ("c", 3), ("d", 25)].map(|(c, h)| declined(c, h));
        assert_eq!(counts, [1, 2, 2, 3, 3]);
        assert_eq!(
            purchases.declined(Key::of("pi_2"), Some(Key::of("a")), START),
            1
        );
        assert_eq!(purchases.declined(Key::of("pi_2"), None, START), 0);
    }

    #[test]
    fn the_bound_holds() {
        let mut purchases = Purchases::default();
        for number in 0..100_000 {
            let key = Key::of(&format!("{number}"));
            purchases.declined(key, Some(key), START);
            purchases.declined(Key::of("pi_1"), Some(key), START);
        }
        assert!(purchases.tried.len() <= 2 * PURCHASES_HALF_MAX);
        let most = purchases.tried.values().map(Vec::len).max();
        assert_eq!(most, Some(CARDS_MAX));
    }
}
