//! Names of things: one type for each kind of Stripe id, and the scope that keeps merchants apart.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

pub(crate) use crate::key::Digits;
pub use crate::key::{Entry, Key, KeyMap};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        // The key is made with the id, while its text is at hand: the engine asks for it several
        // times, when the text has long left the cache.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(from = "Box<str>")]
        pub struct $name {
            text: Box<str>,
            key: Key,
        }

        impl $name {
            /// The id as Stripe wrote it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.text
            }

            /// A fixed-size stand-in for maps.
            #[must_use]
            pub const fn key(&self) -> Key {
                self.key
            }
        }

        impl<T: Into<Box<str>>> From<T> for $name {
            fn from(text: T) -> Self {
                let text = text.into();
                let key = Key::of(&text);
                Self { text, key }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.text)
            }
        }

        // As the text alone, since it may be borrowed as such.
        impl Hash for $name {
            fn hash<H: Hasher>(&self, hasher: &mut H) {
                self.text.hash(hasher);
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
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
    /// A checkout session, `cs_…`.
    CheckoutSessionId,
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
