//! Names of things: one type for each kind of Stripe id, and the scope that keeps merchants apart.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// The id as Stripe wrote it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// A fixed-size stand-in for maps.
            #[must_use]
            pub fn key(&self) -> Key {
                Key::of(&self.0)
            }
        }

        impl<T: Into<Box<str>>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(text.into())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

ids! {
    /// An event, `evt_…`.
    EventId,
    /// A Connect account, `acct_…`.
    AccountId,
    /// A customer, `cus_…` (or `acct_…` under Accounts v2).
    CustomerId,
    /// A charge, `ch_…` or `py_…`.
    ChargeId,
    /// A payment intent, `pi_…`.
    PaymentIntentId,
    /// A setup intent, `seti_…`.
    SetupIntentId,
    /// An invoice, `in_…`.
    InvoiceId,
    /// The tie between an invoice and a payment, `inpay_…`.
    InvoicePaymentId,
    /// A subscription, `sub_…`.
    SubscriptionId,
    /// A refund, `re_…` or `pyr_…`.
    RefundId,
    /// A dispute, `dp_…` or `du_…`.
    DisputeId,
    /// An early fraud warning, `issfr_…`.
    FraudWarningId,
    /// A credit note, `cn_…`.
    CreditNoteId,
    /// A payout, `po_…`.
    PayoutId,
}

/// A 64-bit XXH3 of an id: what windows and ledgers remember instead of 30 bytes of text.
///
/// Among ten million ids the chance that any two share a key is about 3 in a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(u64);

impl Key {
    /// The key of a text; the same on every machine and in every release.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(XxHash3_64::oneshot(text.as_bytes()))
    }

    /// The key of several parts, kept apart from any other division of the same text.
    #[must_use]
    pub fn of_parts(parts: &[&str]) -> Self {
        let mut hasher = XxHash3_64::new();
        for part in parts {
            hasher.write(part.as_bytes());
            hasher.write(&[0xff]);
        }
        Self(hasher.finish())
    }

    /// The number itself.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// Passes a [`Key`] through: it is a hash already.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = XxHash3_64::oneshot(bytes);
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// A map by [`Key`] whose order depends on nothing but what was done to it.
pub type KeyMap<V> = IndexMap<Key, V, BuildHasherDefault<KeyHasher>>;

/// What detectors never mix: one endpoint's one account in one mode.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The configured Stripe endpoint the events came through.
    pub source: Arc<str>,
    /// The connected account, when Stripe names one.
    pub account: Option<Arc<str>>,
    /// Live money, or test mode.
    pub livemode: bool,
}

impl Scope {
    /// A scope of a source's own account.
    #[must_use]
    pub fn new(source: &str, account: Option<&str>, livemode: bool) -> Self {
        Self {
            source: source.into(),
            account: account.map(Into::into),
            livemode,
        }
    }
}

impl fmt::Display for Scope {
    /// `source/account/live`, with `-` for no account.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.livemode { "live" } else { "test" };
        write!(
            f,
            "{}/{}/{mode}",
            self.source,
            self.account.as_deref().unwrap_or("-")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fixed_for_ever() {
        // Snapshots hold keys: a changed hash would silently forget everything in them.
        assert_eq!(Key::of("ch_1").as_u64(), Key::of("ch_1").as_u64());
        assert_ne!(Key::of_parts(&["a", "bc"]), Key::of_parts(&["ab", "c"]));
        assert_eq!(Key::of("").as_u64(), 0x2d06_8005_38d3_94c2);
    }
}
