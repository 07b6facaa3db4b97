//! The object an event is about.

use super::charge::Charge;
use super::checkout_session::CheckoutSession;
use super::credit_note::CreditNote;
use super::dispute::{Dispute, FraudWarning};
use super::intent::{PaymentIntent, SetupIntent};
use super::invoice::{Invoice, InvoicePayment};
use super::refund::Refund;
use super::subscription::Subscription;

/// `data.object` of an event, typed for the kinds that detectors use.
#[derive(Clone, Debug, PartialEq)]
pub enum EventData {
    /// A charge.
    Charge(Box<Charge>),
    /// A payment intent.
    PaymentIntent(Box<PaymentIntent>),
    /// A setup intent.
    SetupIntent(Box<SetupIntent>),
    /// An invoice.
    Invoice(Box<Invoice>),
    /// The tie between an invoice and its payment (basil and later).
    InvoicePayment(Box<InvoicePayment>),
    /// A subscription.
    Subscription(Box<Subscription>),
    /// A refund.
    Refund(Box<Refund>),
    /// A dispute, or an inquiry.
    Dispute(Box<Dispute>),
    /// An early fraud warning.
    FraudWarning(Box<FraudWarning>),
    /// A credit note.
    CreditNote(Box<CreditNote>),
    /// A checkout session.
    CheckoutSession(Box<CheckoutSession>),
    /// An object no detector here looks into.
    Other(Box<OtherObject>),
}

/// What is known of an object without a type of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherObject {
    /// Stripe's word for it, such as `payout`.
    pub object: Option<Box<str>>,
    /// Its id.
    pub id: Option<Box<str>>,
    /// A thin event (`v2.core.event`), which carries no object.
    pub is_thin: bool,
    /// Why a kind that has a type here could not be read into it.
    pub unreadable: Option<Box<str>>,
}
