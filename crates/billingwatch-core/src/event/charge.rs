//! A charge: one attempt to take money.

use crate::ids::{AccountId, ChargeId, CustomerId, InvoiceId, PaymentIntentId};
use crate::money::Currency;
use crate::time::Timestamp;

/// One attempt to take money. A payment intent has at most one that succeeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Charge {
    /// `ch_…`.
    pub id: ChargeId,
    /// When the charge was made (not the event).
    pub created: Option<Timestamp>,
    /// What was asked for, minor units.
    pub amount: Option<i64>,
    /// What was captured, minor units.
    pub amount_captured: Option<i64>,
    /// What was given back so far, minor units: a running total.
    pub amount_refunded: Option<i64>,
    /// Its currency.
    pub currency: Option<Currency>,
    /// Whether the money was taken, not merely reserved.
    pub captured: bool,
    /// How it went.
    pub status: ChargeStatus,
    /// Who pays.
    pub customer: Option<CustomerId>,
    /// The intent it belongs to.
    pub payment_intent: Option<PaymentIntentId>,
    /// The invoice it pays; gone from basil on.
    pub invoice: Option<InvoiceId>,
    /// `card_declined`, … when it failed.
    pub failure_code: Option<Box<str>>,
    /// What it was for, in the merchant's words.
    pub description: Option<Box<str>>,
    /// The merchant's own keys and values, at most 50 (Stripe's limit), in order of key.
    pub metadata: Vec<(Box<str>, Box<str>)>,
    /// What issuer and Radar said.
    pub outcome: Outcome,
    /// The card, when it was one.
    pub card: Option<Card>,
    /// `card`, `sepa_debit`, …
    pub payment_method_type: Option<Box<str>>,
    /// The connected account that the money goes to (`acct_…`), of a destination charge.
    pub destination: Option<AccountId>,
}

/// How a charge went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChargeStatus {
    /// The issuer said yes.
    Succeeded,
    /// A bank debit that takes days: neither success nor failure.
    Pending,
    /// It failed.
    Failed,
    /// A status unknown here, or none.
    #[default]
    Unknown,
}

/// What issuer and Radar said of a charge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How it was decided.
    pub kind: OutcomeKind,
    /// `highest_risk_level`, `rule`, or the decline code.
    pub reason: Option<Box<str>>,
    /// `normal`, `elevated`, `highest`, …
    pub risk_level: Option<Box<str>>,
}

/// `outcome.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutcomeKind {
    /// The issuer authorised it.
    Authorized,
    /// Authorised, and waiting for a person's review.
    ManualReview,
    /// The issuer declined it.
    IssuerDeclined,
    /// Radar stopped it before the network saw it.
    Blocked,
    /// The API call was wrong.
    Invalid,
    /// Unknown here, or none.
    #[default]
    Unknown,
}

/// The card of a charge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// The same for one card number wherever it is used.
    pub fingerprint: Option<Box<str>>,
    /// `visa`, `mastercard`, …
    pub brand: Option<Box<str>>,
    /// Where it was issued, two letters.
    pub country: Option<Box<str>>,
    /// `credit`, `debit`, `prepaid`, …
    pub funding: Option<Box<str>>,
}

impl Charge {
    /// Radar stopped it before any issuer saw it.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.outcome.kind == OutcomeKind::Blocked
    }

    /// The money that moved, minor units: what was captured, or the amount where Stripe says no
    /// more than that it was captured.
    #[must_use]
    pub fn amount_collected(&self) -> Option<i64> {
        if self.status != ChargeStatus::Succeeded || !self.captured {
            return None;
        }
        self.amount_captured
            .filter(|amount| *amount > 0)
            .or(self.amount)
    }
}
