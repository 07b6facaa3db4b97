//! Disputes, inquiries and early fraud warnings: what a card issuer says against a charge.

use crate::ids::{ChargeId, DisputeId, FraudWarningId, PaymentIntentId};
use crate::money::Currency;
use crate::time::Timestamp;

/// A dispute. It names no customer: join it through its charge.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispute {
    /// `dp_…` or `du_…`.
    pub id: DisputeId,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Minor units in dispute.
    pub amount: Option<i64>,
    /// Their currency.
    pub currency: Option<Currency>,
    /// The charge disputed.
    pub charge: Option<ChargeId>,
    /// The intent disputed.
    pub payment_intent: Option<PaymentIntentId>,
    /// `fraudulent`, `product_not_received`, …
    pub reason: Option<Box<str>>,
    /// `needs_response`, `warning_needs_response`, `won`, …
    pub status: Option<Box<str>>,
    /// `chargeback`, `inquiry`, `compliance`, `block`, `resolution`.
    pub case_type: Option<Box<str>>,
    /// `visa`, `mastercard`, …
    pub network: Option<Box<str>>,
}

impl Dispute {
    /// A question from the issuer: no money moved and no network counts it, unless it escalates.
    #[must_use]
    pub fn is_inquiry(&self) -> bool {
        self.status
            .as_deref()
            .is_some_and(|status| status.starts_with("warning_"))
            || self.case_type.as_deref() == Some("inquiry")
    }
}

/// An issuer's early word of fraud. It names neither amount nor customer: join through its charge.
#[derive(Clone, Debug, PartialEq)]
pub struct FraudWarning {
    /// `issfr_…`.
    pub id: FraudWarningId,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The charge it is about.
    pub charge: Option<ChargeId>,
    /// The intent it is about.
    pub payment_intent: Option<PaymentIntentId>,
    /// `unauthorized_use_of_card`, `made_with_stolen_card`, …
    pub fraud_type: Option<Box<str>>,
    /// Neither disputed nor fully refunded yet.
    pub is_actionable: bool,
}
