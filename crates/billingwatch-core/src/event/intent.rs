//! Payment and setup intents: what a customer means to pay, and cards being saved.

use crate::ids::{AccountId, ChargeId, CustomerId, InvoiceId, PaymentIntentId, SetupIntentId};
use crate::money::Currency;

/// What a customer means to pay; one or more charges try to.
#[derive(Clone, Debug, PartialEq)]
pub struct PaymentIntent {
    /// `pi_…`.
    pub id: PaymentIntentId,
    /// What is to be paid, minor units.
    pub amount: Option<i64>,
    /// What came in, minor units.
    pub amount_received: Option<i64>,
    /// Its currency.
    pub currency: Option<Currency>,
    /// Who pays.
    pub customer: Option<CustomerId>,
    /// The newest charge, failed or not.
    pub latest_charge: Option<ChargeId>,
    /// The invoice it pays; gone from basil on.
    pub invoice: Option<InvoiceId>,
    /// What it is for, in the merchant's words.
    pub description: Option<Box<str>>,
    /// The merchant's own keys and values, at most 50 (Stripe's limit), in order of key.
    pub metadata: Vec<(Box<str>, Box<str>)>,
    /// `last_payment_error.code` or its decline code.
    pub error_code: Option<Box<str>>,
    /// The connected account that the money goes to (`acct_…`), of a destination charge.
    pub destination: Option<AccountId>,
}

/// A card being saved without a payment.
#[derive(Clone, Debug, PartialEq)]
pub struct SetupIntent {
    /// `seti_…`.
    pub id: SetupIntentId,
    /// Whose card.
    pub customer: Option<CustomerId>,
    /// `last_setup_error.code` or its decline code.
    pub error_code: Option<Box<str>>,
    /// The card tried.
    pub card_fingerprint: Option<Box<str>>,
}
