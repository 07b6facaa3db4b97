//! Stripe's objects as JSON, each in the shape of the chosen API version.
//!
//! These files know where a field stands, not when an object comes to be.

pub(crate) mod charge;
pub(crate) mod credit_note;
pub(crate) mod customer;
pub(crate) mod dispute;
pub(crate) mod invoice;
pub(crate) mod misc;
pub(crate) mod payment_intent;
pub(crate) mod payout;
pub(crate) mod refund;
pub(crate) mod subscription;

use crate::config::ApiShape;
use crate::ids::{Id, Kind, mix};
use crate::merchant::Profile;
use crate::merchant::customer::{Card, Customer};
use crate::money::Currency;

/// What every object depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Env {
    pub(crate) shape: ApiShape,
    pub(crate) profile: &'static Profile,
}

impl Env {
    pub(crate) fn is_basil(&self) -> bool {
        self.shape == ApiShape::Basil
    }
}

/// A charge and all that its later events (refund, dispute) repeat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payment {
    pub(crate) charge: Id,
    pub(crate) intent: Id,
    pub(crate) customer: Option<Customer>,
    pub(crate) card: Card,
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    pub(crate) created_at: i64,
    pub(crate) captured: bool,
    pub(crate) refunded: i64,
    pub(crate) disputed: bool,
    pub(crate) invoice: Option<Id>,
    pub(crate) order: Option<u64>,
    pub(crate) description: &'static str,
}

/// Stripe makes the id of a charge's balance transaction and of its intent look alike; so do we.
impl Payment {
    pub(crate) fn balance_transaction(&self) -> Id {
        self.charge.part(Kind::BalanceTransaction, 1)
    }

    /// The order id a shop puts into its metadata.
    pub(crate) fn order_text(order: u64) -> String {
        format!("ORD-{:08}", mix(order) % 100_000_000)
    }
}

/// Why a card was declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decline {
    pub(crate) code: &'static str,
    pub(crate) decline_code: &'static str,
    pub(crate) network_code: &'static str,
    pub(crate) message: &'static str,
}

impl Decline {
    pub(crate) const INSUFFICIENT_FUNDS: Self = Self {
        code: "card_declined",
        decline_code: "insufficient_funds",
        network_code: "51",
        message: "Your card has insufficient funds.",
    };
    pub(crate) const GENERIC: Self = Self {
        code: "card_declined",
        decline_code: "generic_decline",
        network_code: "05",
        message: "Your card was declined.",
    };
    pub(crate) const DO_NOT_HONOR: Self = Self {
        code: "card_declined",
        decline_code: "do_not_honor",
        network_code: "05",
        message: "Your card was declined.",
    };
    pub(crate) const EXPIRED: Self = Self {
        code: "expired_card",
        decline_code: "expired_card",
        network_code: "54",
        message: "Your card has expired.",
    };
    pub(crate) const INCORRECT_CVC: Self = Self {
        code: "incorrect_cvc",
        decline_code: "incorrect_cvc",
        network_code: "N7",
        message: "Your card's security code is incorrect.",
    };
    pub(crate) const PROCESSING_ERROR: Self = Self {
        code: "processing_error",
        decline_code: "processing_error",
        network_code: "96",
        message: "An error occurred while processing your card. Try again in a little bit.",
    };
    pub(crate) const ISSUER_NOT_AVAILABLE: Self = Self {
        code: "card_declined",
        decline_code: "issuer_not_available",
        network_code: "91",
        message: "Your card was declined.",
    };
    /// What ordinary declines are made of, the commonest first.
    pub(crate) const ORDINARY: [Self; 8] = [
        Self::INSUFFICIENT_FUNDS,
        Self::INSUFFICIENT_FUNDS,
        Self::INSUFFICIENT_FUNDS,
        Self::GENERIC,
        Self::GENERIC,
        Self::DO_NOT_HONOR,
        Self::EXPIRED,
        Self::INCORRECT_CVC,
    ];
}

/// How an attempt to pay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Approved,
    Declined(Decline),
    /// By Radar, before the network saw it.
    Blocked,
}
