//! Checkout sessions: a page of Stripe's on which somebody pays.

use crate::ids::{CheckoutSessionId, CustomerId, InvoiceId, PaymentIntentId};
use crate::money::Currency;

/// A visit to a payment page. One payment at most comes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckoutSession {
    /// `cs_…`.
    pub id: CheckoutSessionId,
    /// What is to be paid on it, taxes and discounts included, minor units.
    pub amount_total: Option<i64>,
    /// Its currency.
    pub currency: Option<Currency>,
    /// Who pays.
    pub customer: Option<CustomerId>,
    /// The intent that pays it, where something is sold once.
    pub payment_intent: Option<PaymentIntentId>,
    /// The invoice it pays, where a subscription begins, or one was asked for.
    pub invoice: Option<InvoiceId>,
    /// `payment_status` is `paid`: bank debits and vouchers are so days after `checkout.session.completed`.
    pub is_paid: bool,
}
