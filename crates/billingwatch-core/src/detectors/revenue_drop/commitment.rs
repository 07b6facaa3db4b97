//! What one subscription is committed to: its price a month, and who brings it.

use serde::{Deserialize, Serialize};

use crate::money::Currency;

/// What one subscription is committed to. One is kept of every subscription, so it takes two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Commitment {
    pub(super) currency: Currency,
    /// Four times the amount, one more where invoices are sent, and two where a payment is overdue.
    packed: i64,
}

impl Commitment {
    /// Minor units a month; sent invoices, or charged automatically; past due or not.
    pub(super) fn new(currency: Currency, amount: i64, is_sent: bool, is_past_due: bool) -> Self {
        let amount = amount.clamp(i64::MIN / 4, i64::MAX / 4);
        Self {
            currency,
            packed: amount * 4 + i64::from(is_sent) + 2 * i64::from(is_past_due),
        }
    }

    /// Minor units a month.
    pub(super) const fn amount(self) -> i64 {
        self.packed.div_euclid(4)
    }

    /// Its customer is sent invoices, and not charged.
    pub(super) const fn is_sent(self) -> bool {
        self.packed % 2 != 0
    }

    /// A payment of it is overdue.
    pub(super) const fn is_past_due(self) -> bool {
        self.packed.rem_euclid(4) >= 2
    }

    /// The same, at the dearer of two prices.
    pub(super) fn at_least(self, other: Self) -> Self {
        Self::new(
            self.currency,
            self.amount().max(other.amount()),
            self.is_sent(),
            self.is_past_due(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_two_words_and_gives_back_what_it_took() {
        assert_eq!(size_of::<Commitment>(), 16);
        for amount in [0, 1, 4_900, -1, -4_900, i64::MAX / 4, i64::MIN / 4] {
            for (is_sent, is_due) in [(false, false), (true, false), (false, true), (true, true)] {
                let kept = Commitment::new(Currency::USD, amount, is_sent, is_due);
                let told = (kept.amount(), kept.is_sent(), kept.is_past_due());
                assert_eq!(told, (amount, is_sent, is_due));
            }
        }
        let most = Commitment::new(Currency::USD, i64::MAX, true, false);
        assert_eq!((most.amount(), most.is_sent()), (i64::MAX / 4, true));
    }
}
