//! Payments: one per charge, however many events announce it.

use serde::{Deserialize, Serialize};

use crate::ids::Key;
use crate::money::Currency;
use crate::time::Timestamp;

/// What is remembered of one charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// When it was made.
    pub at: Timestamp,
    /// Minor units taken; 0 while only tried or authorised.
    pub amount_collected: i64,
    /// Minor units given back, by refund objects.
    pub amount_refunded: i64,
    /// Minor units given back, by the running total of the charge: told apart, as either may come
    /// first, and each alone is the whole truth.
    pub amount_refunded_total: i64,
    /// Their currency.
    pub currency: Currency,
    /// Who paid.
    pub customer: Option<Key>,
    /// The invoice it pays, once anything says so.
    pub invoice: Option<Key>,
    pub(super) flags: u8,
}

/// A failed attempt was told.
pub(super) const TOLD_FAILED: u8 = 1;
/// A successful attempt was told.
pub(super) const TOLD_SUCCEEDED: u8 = 1 << 1;
/// A payment was told.
pub(super) const TOLD_PAYMENT: u8 = 1 << 2;
/// A dispute or warning was told.
pub(super) const TOLD_DISPUTED: u8 = 1 << 3;
/// Paid by a Visa card.
const IS_VISA: u8 = 1 << 4;
/// Paid by a Mastercard.
const IS_MASTERCARD: u8 = 1 << 5;

impl Payment {
    pub(super) const fn new(at: Timestamp, currency: Currency) -> Self {
        Self {
            at,
            amount_collected: 0,
            amount_refunded: 0,
            amount_refunded_total: 0,
            currency,
            customer: None,
            invoice: None,
            flags: 0,
        }
    }

    /// Whether all that was taken was given back, by whichever account of it came first.
    #[must_use]
    pub fn is_refunded(&self) -> bool {
        self.amount_collected > 0
            && self.amount_refunded.max(self.amount_refunded_total) >= self.amount_collected
    }

    /// The card's brand, as far as it is remembered: `visa` or `mastercard`.
    #[must_use]
    pub const fn brand(&self) -> Option<&'static str> {
        match self.flags & (IS_VISA | IS_MASTERCARD) {
            IS_VISA => Some("visa"),
            IS_MASTERCARD => Some("mastercard"),
            _ => None,
        }
    }

    pub(super) fn set_brand(&mut self, brand: &str) {
        self.flags |= match brand {
            "visa" => IS_VISA,
            "mastercard" => IS_MASTERCARD,
            _ => 0,
        };
    }

    /// Sets a flag; false when it was set already.
    pub(super) const fn tell(&mut self, flag: u8) -> bool {
        let is_new = self.flags & flag == 0;
        self.flags |= flag;
        is_new
    }

    pub(super) const fn is_told(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}
