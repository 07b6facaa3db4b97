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
    pub(super) fn advance_to(&mut self, now: Timestamp) {
        self.payers.advance_to(now);
    }

    /// Who stands for `own`, who paid: somebody who paid this order with this card before, or `own`.
    pub(super) fn payer(
        &mut self,
        own: &IdText,
        paid: &Paid,
        (amount, currency): (i64, Currency),
    ) -> IdText {
        let Some((card, order)) = paid.card.zip(order_of(paid)) else {
            return own.clone();
        };
        let key = Key::of_all([card, order, Key::of(currency.as_str())]).with([amount, 0]);
        self.payers.entry(key, || own.clone()).clone()
    }
}

/// The order, cart or booking that metadata names; an invoice has rules of its own.
fn order_of(paid: &Paid) -> Option<Key> {
    let is_order = |name: &str| {
        let name = name.as_bytes();
        ORDER_WORDS.iter().any(|word| {
            let word = word.as_bytes();
            name.windows(word.len())
                .any(|part| part.eq_ignore_ascii_case(word))
        })
    };
    let named = paid.metadata.iter().find(|(name, _)| is_order(name));
    named.map(|(_, value)| *value)
}
