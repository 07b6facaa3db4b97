//! One order paid under two names.
//!
//! A checkout that makes a customer anew for each try (Stripe Checkout with `customer_creation`, a guest's cart)
//! charges one card twice for one order, and each time as somebody else. So whoever pays an order first stands for all
//! who pay it with the same card. Only an order that is named makes two customers one: a card that a family or
//! an office shares buys the same thing twice every day.

use serde::{Deserialize, Serialize};

use crate::ids::Key;
use crate::ledger::{Generations, IdText};
use crate::money::Currency;
use crate::time::Timestamp;

use super::paid::{ORDER_WORDS, Paid};
use super::{MEMORY, MEMORY_MAX};

/// Who pays which order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// The first payer by card, order and amount.
    payers: Generations<IdText>,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            payers: Generations::new(MEMORY, MEMORY_MAX / 2),
        }
    }
}

impl Orders {
    /// Forgets; when it does next.
    pub(super) fn advance_to(&mut self, now: Timestamp) -> Timestamp {
        self.payers.advance_to(now)
    }

    /// Who stands for `own`, who paid: somebody else who paid this order with this card before.
    pub(super) fn payer(
        &mut self,
        own: &IdText,
        paid: &Paid,
        (amount, currency): (i64, Currency),
    ) -> Option<IdText> {
        let (card, order) = (paid.card?, order_of(paid)?);
        let key = Key::of_all([card, order, Key::of_bytes(currency.as_bytes())]).with([amount, 0]);
        let first = self.payers.entry(key, || own.clone());
        (first != own).then(|| first.clone())
    }
}

/// The order, cart or booking that metadata names; an invoice has rules of its own.
fn order_of(paid: &Paid) -> Option<Key> {
    let named = paid.metadata.iter().find(|(name, _)| {
        let name = name.as_bytes();
        (0..name.len()).any(|from| begins_with_order(&name[from..]))
    });
    named.map(|(_, value)| *value)
}

fn begins_with_order(name: &[u8]) -> bool {
    let first = name.first().map(u8::to_ascii_lowercase);
    ORDER_WORDS.iter().any(|word| {
        let word = word.as_bytes();
        let begin = || name.get(..word.len());
        // Nearly always the first letter says that it is not; the words are written in small ones.
        first.as_ref() == word.first()
            && begin().is_some_and(|begin| begin.eq_ignore_ascii_case(word))
    })
}
