//! The names of events, and the families that detectors subscribe to.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! event_types {
    ($($variant:ident = $name:literal => $family:ident),+ $(,)?) => {
        /// What happened, by Stripe's name. A name unknown here is kept as it came.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum EventType {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant,
            )+
            /// Any other event.
            Other(Box<str>),
        }

        impl EventType {
            /// Stripe's name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Other(name) => name,
                }
            }

            /// The kind of object it is about.
            #[must_use]
            pub fn family(&self) -> Family {
                match self {
                    $(Self::$variant => Family::$family,)+
                    Self::Other(_) => Family::Other,
                }
            }
        }

        impl From<&str> for EventType {
            fn from(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)+
                    other => Self::Other(other.into()),
                }
            }
        }
    };
}

event_types! {
    ChargeSucceeded = "charge.succeeded" => Charge,
    ChargeFailed = "charge.failed" => Charge,
    ChargePending = "charge.pending" => Charge,
    ChargeCaptured = "charge.captured" => Charge,
    ChargeUpdated = "charge.updated" => Charge,
    ChargeExpired = "charge.expired" => Charge,
    ChargeRefunded = "charge.refunded" => Charge,
    PaymentIntentSucceeded = "payment_intent.succeeded" => PaymentIntent,
    PaymentIntentFailed = "payment_intent.payment_failed" => PaymentIntent,
    PaymentIntentCreated = "payment_intent.created" => PaymentIntent,
    PaymentIntentCanceled = "payment_intent.canceled" => PaymentIntent,
    SetupIntentFailed = "setup_intent.setup_failed" => SetupIntent,
    SetupIntentSucceeded = "setup_intent.succeeded" => SetupIntent,
    InvoiceCreated = "invoice.created" => Invoice,
    InvoiceFinalized = "invoice.finalized" => Invoice,
    InvoicePaid = "invoice.paid" => Invoice,
    InvoicePaymentSucceeded = "invoice.payment_succeeded" => Invoice,
    InvoicePaymentFailed = "invoice.payment_failed" => Invoice,
    InvoicePaymentActionRequired = "invoice.payment_action_required" => Invoice,
    InvoiceFinalizationFailed = "invoice.finalization_failed" => Invoice,
    InvoiceMarkedUncollectible = "invoice.marked_uncollectible" => Invoice,
    InvoiceVoided = "invoice.voided" => Invoice,
    InvoiceDeleted = "invoice.deleted" => Invoice,
    InvoiceUpdated = "invoice.updated" => Invoice,
    InvoiceOverdue = "invoice.overdue" => Invoice,
    InvoiceUpcoming = "invoice.upcoming" => Invoice,
    InvoicePaymentPaid = "invoice_payment.paid" => InvoicePayment,
    SubscriptionCreated = "customer.subscription.created" => Subscription,
    SubscriptionUpdated = "customer.subscription.updated" => Subscription,
    SubscriptionDeleted = "customer.subscription.deleted" => Subscription,
    SubscriptionPaused = "customer.subscription.paused" => Subscription,
    SubscriptionResumed = "customer.subscription.resumed" => Subscription,
    SubscriptionTrialWillEnd = "customer.subscription.trial_will_end" => Subscription,
    RefundCreated = "refund.created" => Refund,
    RefundUpdated = "refund.updated" => Refund,
    RefundFailed = "refund.failed" => Refund,
    ChargeRefundUpdated = "charge.refund.updated" => Refund,
    DisputeCreated = "charge.dispute.created" => Dispute,
    DisputeUpdated = "charge.dispute.updated" => Dispute,
    DisputeClosed = "charge.dispute.closed" => Dispute,
    DisputeFundsWithdrawn = "charge.dispute.funds_withdrawn" => Dispute,
    DisputeFundsReinstated = "charge.dispute.funds_reinstated" => Dispute,
    FraudWarningCreated = "radar.early_fraud_warning.created" => FraudWarning,
    FraudWarningUpdated = "radar.early_fraud_warning.updated" => FraudWarning,
    CreditNoteCreated = "credit_note.created" => CreditNote,
    CreditNoteUpdated = "credit_note.updated" => CreditNote,
    CreditNoteVoided = "credit_note.voided" => CreditNote,
    CheckoutCompleted = "checkout.session.completed" => CheckoutSession,
    CheckoutAsyncPaymentSucceeded = "checkout.session.async_payment_succeeded" => CheckoutSession,
    CheckoutAsyncPaymentFailed = "checkout.session.async_payment_failed" => CheckoutSession,
    CheckoutExpired = "checkout.session.expired" => CheckoutSession,
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A kind of object that events are about: what a detector listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u16)]
pub enum Family {
    /// `charge.*`, without refunds and disputes.
    Charge = 1,
    /// `payment_intent.*`.
    PaymentIntent = 1 << 1,
    /// `setup_intent.*`.
    SetupIntent = 1 << 2,
    /// `invoice.*`.
    Invoice = 1 << 3,
    /// `invoice_payment.*`.
    InvoicePayment = 1 << 4,
    /// `customer.subscription.*`.
    Subscription = 1 << 5,
    /// `refund.*` and `charge.refund.*`.
    Refund = 1 << 6,
    /// `charge.dispute.*`.
    Dispute = 1 << 7,
    /// `radar.early_fraud_warning.*`.
    FraudWarning = 1 << 8,
    /// `credit_note.*`.
    CreditNote = 1 << 9,
    /// Everything else.
    Other = 1 << 10,
    /// `checkout.session.*`.
    CheckoutSession = 1 << 11,
}

impl Family {
    /// What its event names begin with, such as `customer.subscription`.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::PaymentIntent => "payment_intent",
            Self::SetupIntent => "setup_intent",
            Self::Invoice => "invoice",
            Self::InvoicePayment => "invoice_payment",
            Self::Subscription => "customer.subscription",
            Self::Refund => "refund",
            Self::Dispute => "charge.dispute",
            Self::FraudWarning => "radar.early_fraud_warning",
            Self::CreditNote => "credit_note",
            Self::CheckoutSession => "checkout.session",
            Self::Other => "other",
        }
    }
}

/// A set of [`Family`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilySet(u16);

impl FamilySet {
    /// No event at all: a detector that works on ticks alone.
    pub const NONE: Self = Self(0);
    /// Every event.
    pub const ALL: Self = Self(u16::MAX);

    /// The set of these families.
    #[must_use]
    pub const fn of(families: &[Family]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < families.len() {
            bits |= families[index] as u16;
            index += 1;
        }
        Self(bits)
    }

    /// Whether it has this family.
    #[must_use]
    pub const fn contains(self, family: Family) -> bool {
        self.0 & family as u16 != 0
    }
}
