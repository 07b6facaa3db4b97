//! An invoice, its lines, and from basil on its payments.

use crate::ids::{
    ChargeId, CustomerId, InvoiceId, InvoicePaymentId, PaymentIntentId, SubscriptionId,
};
use crate::money::Currency;
use crate::time::Timestamp;

/// A bill. The subscription and the payment are found wherever the API version puts them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Invoice {
    /// `in_…`; absent on `invoice.upcoming`.
    pub id: Option<InvoiceId>,
    /// `517B5DEC-0007`: its name on paper, from finalisation on.
    pub number: Option<Box<str>>,
    /// The memo on it.
    pub description: Option<Box<str>>,
    /// The merchant's own keys and values: of the invoice itself.
    pub metadata: Vec<(Box<str>, Box<str>)>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Where it stands.
    pub status: InvoiceStatus,
    /// Why it was made.
    pub billing_reason: BillingReason,
    /// Who collects.
    pub collection_method: CollectionMethod,
    /// Its currency.
    pub currency: Option<Currency>,
    /// Who owes it.
    pub customer: Option<CustomerId>,
    /// The subscription it is for: `subscription`, `parent.subscription_details.subscription`, or
    /// that of a line.
    pub subscription: Option<SubscriptionId>,
    /// The charge that paid it (before basil, or from expanded `payments`).
    pub charge: Option<ChargeId>,
    /// The intent that paid it (before basil, or from expanded `payments`).
    pub payment_intent: Option<PaymentIntentId>,
    /// After discounts and taxes, minor units; may be negative.
    pub total: Option<i64>,
    /// Before discounts and taxes, minor units.
    pub subtotal: Option<i64>,
    /// What the customer is asked for, minor units; never negative.
    pub amount_due: Option<i64>,
    /// What was paid, minor units; never negative.
    pub amount_paid: Option<i64>,
    /// What is left to pay, minor units.
    pub amount_remaining: Option<i64>,
    /// The customer's balance before; negative is a credit to the customer.
    pub starting_balance: Option<i64>,
    /// The customer's balance after; `None` until finalised.
    pub ending_balance: Option<i64>,
    /// The sum of `total_discount_amounts`, minor units.
    pub discount_amount: i64,
    /// Whether Stripe finalises it and collects by itself; `None` where the event does not say.
    pub auto_advance: Option<bool>,
    /// How often its schedule tried to collect.
    pub attempt_count: Option<i64>,
    /// When Stripe tries next.
    pub next_payment_attempt: Option<Timestamp>,
    /// When it has to be paid, for `send_invoice`.
    pub due_date: Option<Timestamp>,
    /// Marked paid by hand: no money came through Stripe.
    pub is_paid_out_of_band: bool,
    /// When it was finalised.
    pub finalized_at: Option<Timestamp>,
    /// When it was paid.
    pub paid_at: Option<Timestamp>,
    /// The kinds of payment method it may be paid by, `sepa_debit`, … (`payment_settings`); empty
    /// where the account's own settings decide.
    pub payment_method_types: Vec<Box<str>>,
    /// Made on a test clock: simulated time.
    pub has_test_clock: bool,
    /// The first page of its lines.
    pub lines: Vec<InvoiceLine>,
    /// Whether there are lines beyond the first page.
    pub has_more_lines: bool,
}

/// One line of an invoice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InvoiceLine {
    /// Minor units; negative for a credit.
    pub amount: i64,
    /// What it says: Stripe's own words for a subscription's line, the merchant's for another.
    pub description: Option<Box<str>>,
    /// Whether it settles a change in mid-period.
    pub is_proration: bool,
    /// When the service it bills begins.
    pub period_start: Option<Timestamp>,
    /// When the service it bills ends.
    pub period_end: Option<Timestamp>,
    /// The subscription it bills.
    pub subscription: Option<SubscriptionId>,
    /// The price, or the plan it was called before.
    pub price: Option<Box<str>>,
    /// How many.
    pub quantity: Option<i64>,
    /// The merchant's own keys and values: of a subscription's line, those of the subscription.
    pub metadata: Vec<(Box<str>, Box<str>)>,
}

/// Where an invoice stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InvoiceStatus {
    /// Can still change.
    Draft,
    /// Final and unpaid.
    Open,
    /// Paid.
    Paid,
    /// Given up.
    Uncollectible,
    /// Cancelled.
    Void,
    /// Unknown here, or none.
    #[default]
    Unknown,
}

/// Why an invoice was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BillingReason {
    /// By hand.
    Manual,
    /// A subscription began.
    SubscriptionCreate,
    /// A subscription renewed.
    SubscriptionCycle,
    /// A subscription changed in mid-period: prorations, credits.
    SubscriptionUpdate,
    /// Usage passed a threshold.
    SubscriptionThreshold,
    /// Another reason, or none.
    #[default]
    Other,
}

/// Who collects the money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CollectionMethod {
    /// Stripe charges the stored payment method.
    #[default]
    ChargeAutomatically,
    /// The customer gets the bill and days to pay it.
    SendInvoice,
}

/// The tie between an invoice and a payment (basil and later).
#[derive(Clone, Debug, PartialEq)]
pub struct InvoicePayment {
    /// `inpay_…`.
    pub id: InvoicePaymentId,
    /// The invoice paid.
    pub invoice: Option<InvoiceId>,
    /// Minor units paid so far.
    pub amount_paid: Option<i64>,
    /// Its currency.
    pub currency: Option<Currency>,
    /// Whether it is paid.
    pub is_paid: bool,
    /// The charge that paid.
    pub charge: Option<ChargeId>,
    /// The intent that paid.
    pub payment_intent: Option<PaymentIntentId>,
}
