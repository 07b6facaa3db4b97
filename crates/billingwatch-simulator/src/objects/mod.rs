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
use crate::json::Writer;
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
    /// By bank debit rather than by card.
    pub(crate) debit: bool,
    pub(crate) order: Option<Order>,
    pub(crate) description: &'static str,
}

/// Stripe makes the id of a charge's balance transaction and of its intent look alike; so do we.
impl Payment {
    /// The card's, or the bank account's.
    pub(crate) fn method(&self) -> Id {
        if self.debit {
            self.card.bank_account()
        } else {
            self.card.payment_method()
        }
    }

    /// The merchant may charge the same card again without its owner.
    pub(crate) const fn is_on_file(&self) -> bool {
        self.invoice.is_some() || matches!(self.order, Some(Order::Booking(..) | Order::Session(_)))
    }

    pub(crate) const fn method_type(&self) -> &'static str {
        if self.debit { "sepa_debit" } else { "card" }
    }

    pub(crate) fn balance_transaction(&self) -> Id {
        self.charge.part(Kind::BalanceTransaction, 1)
    }
}

/// What a payment is for in the merchant's own books, as its metadata says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// A shop's order.
    Shop(u64),
    /// A stay, and which part of its price.
    Booking(u64, Part),
    /// A parking or charging session, numbered as they come.
    Session(u64),
}

/// Which part of a booking's price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Deposit,
    Balance,
    Security,
}

impl Order {
    /// The fields of `metadata`.
    pub(crate) fn write(self, w: &mut Writer) {
        let scattered = |n: u64| format!("{:08}", mix(n) % 100_000_000);
        match self {
            Self::Shop(n) => w.text("order_id", &["ORD-", &scattered(n)]),
            Self::Booking(n, part) => {
                w.text("booking", &["LV-", &scattered(n)]);
                w.field(
                    "part",
                    match part {
                        Part::Deposit => "deposit",
                        Part::Balance => "balance",
                        Part::Security => "security",
                    },
                );
            }
            Self::Session(n) => w.text("session", &[&n.to_string()]),
        }
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
    /// A bank debit that comes back unpaid, with the bank's own reason.
    pub(crate) const DEBIT_FUNDS: Self = Self {
        code: "insufficient_funds",
        decline_code: "insufficient_funds",
        network_code: "AM04",
        message: "The customer's account has insufficient funds to cover this payment.",
    };
    pub(crate) const DEBIT_REFUSED: Self = Self {
        code: "debit_not_authorized",
        decline_code: "debit_not_authorized",
        network_code: "MD01",
        message: "The customer has notified their bank that this payment was unauthorized.",
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
    /// The bank was asked and has days to answer.
    Pending,
}
