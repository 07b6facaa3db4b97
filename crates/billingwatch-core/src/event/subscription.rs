//! A subscription: what should be paid, by whom, when.

use crate::ids::{CustomerId, InvoiceId, SubscriptionId};
use crate::money::Currency;
use crate::time::Timestamp;

use super::invoice::CollectionMethod;

/// A standing agreement to pay.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// `sub_…`.
    pub id: SubscriptionId,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// Who pays.
    pub customer: Option<CustomerId>,
    /// Its currency.
    pub currency: Option<Currency>,
    /// The start of the current period: the subscription's own (before basil), or the earliest of
    /// its items'.
    pub current_period_start: Option<Timestamp>,
    /// The end of the current period: the subscription's own (before basil), or the earliest of
    /// its items' (the next time it has to pay).
    pub current_period_end: Option<Timestamp>,
    /// When its billing cycle begins: ahead where no payment is asked for until then.
    pub billing_cycle_anchor: Option<Timestamp>,
    /// What it is made of (the embedded first page).
    pub items: Vec<SubscriptionItem>,
    /// Who collects.
    pub collection_method: CollectionMethod,
    /// Days to pay a sent invoice.
    pub days_until_due: Option<i64>,
    /// When the trial begins.
    pub trial_start: Option<Timestamp>,
    /// When the trial ends.
    pub trial_end: Option<Timestamp>,
    /// It is cancelled or paused when its trial ends, unless its customer has a payment method: it names
    /// none itself (`trial_settings.end_behavior.missing_payment_method`).
    pub may_end_with_trial: bool,
    /// When it will be cancelled.
    pub cancel_at: Option<Timestamp>,
    /// Whether it ends with this period.
    pub cancel_at_period_end: bool,
    /// When its cancellation was asked for.
    pub canceled_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it was cancelled: `cancellation_requested`, `payment_failed`, …
    pub cancellation_reason: Option<Box<str>>,
    /// Collection is paused while the status stays `active`.
    pub pause_collection: Option<PauseCollection>,
    /// Discounts that could be read.
    pub discounts: Vec<Discount>,
    /// One of them is taken off a single invoice, and then no more (a coupon's `duration` is `once`).
    pub has_passing_discount: bool,
    /// Discounts sent as bare ids: something is taken off, nobody knows how much.
    pub has_opaque_discounts: bool,
    /// Driven by a schedule, whose phases may change the price.
    pub has_schedule: bool,
    /// The newest invoice.
    pub latest_invoice: Option<InvoiceId>,
    /// The kinds of payment method its invoices may be paid by, `sepa_debit`, …
    /// (`payment_settings`); empty where the account's own settings decide.
    pub payment_method_types: Vec<Box<str>>,
    /// The merchant's own keys and values, at most 50 (Stripe's limit), in order of key.
    pub metadata: Vec<(Box<str>, Box<str>)>,
    /// Runs on a test clock: simulated time.
    pub has_test_clock: bool,
}

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum SubscriptionStatus {
    /// The first payment is not made yet (23 hours to do so).
    Incomplete,
    /// The first payment was never made.
    IncompleteExpired,
    /// In trial.
    Trialing,
    /// In good standing, as Stripe sees it.
    Active,
    /// The newest invoice is unpaid and being retried.
    PastDue,
    /// Ended.
    Canceled,
    /// Retries ended; invoices stay as drafts.
    Unpaid,
    /// A trial ended without a payment method, or paused by API.
    Paused,
    /// Unknown here, or none.
    #[default]
    Unknown,
}

/// `pause_collection`: invoices are still made, and never collected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PauseCollection {
    /// When collection goes on by itself.
    pub resumes_at: Option<Timestamp>,
}

/// One price of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionItem {
    /// Minor units for one; `None` when tiered or below a minor unit.
    pub unit_amount: Option<i64>,
    /// How many; `None` counts as one.
    pub quantity: Option<i64>,
    /// Billed by use, afterwards.
    pub is_metered: bool,
    /// `day`, `week`, `month` or `year`.
    pub interval: Interval,
    /// Every so many intervals.
    pub interval_count: i64,
    /// Start of this item's period (basil and later).
    pub current_period_start: Option<Timestamp>,
    /// End of this item's period (basil and later).
    pub current_period_end: Option<Timestamp>,
}

/// A unit of a billing period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Interval {
    /// A day.
    Day,
    /// A week.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
    /// Unknown here, or none.
    #[default]
    Unknown,
}

/// What a coupon takes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discount {
    /// Basis points of the price: 10,000 is all of it.
    PercentBps(i64),
    /// Minor units.
    Amount(i64),
}
