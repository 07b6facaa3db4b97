//! A refund: money given back.

use crate::ids::{ChargeId, PaymentIntentId, RefundId};
use crate::money::Currency;
use crate::time::Timestamp;

/// Money given back for one charge; a charge may have several.
#[derive(Clone, Debug, PartialEq)]
pub struct Refund {
    /// `re_…`.
    pub id: RefundId,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Minor units.
    pub amount: Option<i64>,
    /// Its currency.
    pub currency: Option<Currency>,
    /// The charge given back.
    pub charge: Option<ChargeId>,
    /// The intent given back.
    pub payment_intent: Option<PaymentIntentId>,
    /// `duplicate`, `fraudulent`, `requested_by_customer`, `expired_uncaptured_charge`.
    pub reason: Option<Box<str>>,
    /// Where it stands.
    pub status: RefundStatus,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefundStatus {
    /// On its way.
    Pending,
    /// Waits for the customer.
    RequiresAction,
    /// Done.
    Succeeded,
    /// It came back.
    Failed,
    /// Called off.
    Canceled,
    /// Unknown here, or none.
    #[default]
    Unknown,
}

impl Refund {
    /// The release of an authorisation that was never captured: no money moved.
    #[must_use]
    pub fn is_auth_release(&self) -> bool {
        self.reason.as_deref() == Some("expired_uncaptured_charge")
    }
}
