//! Subscriptions: where each stands, and when it should next pay.

use serde::{Deserialize, Serialize};

use crate::event::invoice::CollectionMethod;
use crate::event::subscription::{
    Discount, Interval, Subscription, SubscriptionItem, SubscriptionStatus,
};
use crate::money::Currency;
use crate::time::{Span, Timestamp};

use super::IdText;

/// Boundaries of periods this near are the same: invoices finalise an hour late, and calendars
/// round. Of short periods it is a quarter, or each day of a daily plan would be the one before.
const BOUNDARY_SLACK_MAX: Span = Span::days(1);

/// A subscription first met this soon after its period began has its payment still ahead: Stripe
/// finalises the renewal invoice about an hour after the period turns.
const FRESH_PERIOD: Span = Span::hours(12);

/// The events of a turn, or of a birth, come within so long of it. What was first listened for later
/// may have been invoiced and paid before.
const TURN_SLACK: Span = Span::minutes(1);

/// Stands for a price that cannot be known.
const UNKNOWN_PRICE: i64 = i64::MIN;

/// What is remembered of one subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionRecord {
    /// `sub_…`.
    pub id: IdText,
    /// `cus_…`.
    pub customer: Option<IdText<22>>,
    /// Where it stands.
    pub status: SubscriptionStatus,
    // See `amount()`: a number beyond all prices for none takes 8 bytes less than an option.
    price: i64,
    /// Its currency.
    pub currency: Option<Currency>,
    /// The current period.
    pub period_start: Option<Timestamp>,
    /// The end of the current period: when it should pay next.
    pub period_end: Option<Timestamp>,
    /// The unit of its period.
    pub interval: Interval,
    /// Intervals in a period: at most three years of days (Stripe's limit).
    pub interval_count: u16,
    /// The end of the service that paid invoices cover.
    pub paid_through: Option<Timestamp>,
    /// The largest invoice it ever paid, minor units.
    pub largest_paid: i64,
    /// When a trial ends.
    pub trial_end: Option<Timestamp>,
    /// When it will end.
    pub ends_at: Option<Timestamp>,
    /// Days to pay a sent invoice; zero when charged automatically.
    pub payment_term_days: u16,
    /// Collection is paused, beyond the end of the current period.
    pub is_paused: bool,
    /// It may be cancelled or paused when its trial ends, without a payment.
    pub may_end_with_trial: bool,
    /// Every price is by use.
    pub is_metered: bool,
    /// A schedule may change its price.
    pub has_schedule: bool,
    /// Something is taken off, nobody knows how much.
    pub has_opaque_discounts: bool,
    /// Nothing but bank debits can pay it: they take days.
    pub is_by_debit: bool,
    /// Runs on simulated time.
    pub has_test_clock: bool,
    /// Its period was seen to turn.
    is_renewed: bool,
    /// When an attempt to collect last failed, it last became active again, or a bank debit of it
    /// has had its time (which may lie ahead): its payment is no silent matter until then.
    pub unrest_at: Option<Timestamp>,
    /// The newest event that shaped it.
    pub seen_at: Timestamp,
}

/// A pause that ends so near to a turn, or later, covers it: somebody meant to skip that one.
const PAUSE_SLACK: Span = Span::days(1);

/// Why nothing is expected of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NothingDue {
    /// Its status is not active: Stripe itself says why.
    NotActive,
    /// Collection is paused.
    Paused,
    /// Free, or wholly discounted.
    Free,
    /// All by use: no use, no money.
    Metered,
    /// Its price cannot be known and it never paid anything.
    UnknownPrice,
    /// It ends before it would pay again.
    Ending,
    /// Simulated time.
    TestClock,
    /// Nothing is known of its periods.
    NoPeriod,
}

impl NothingDue {
    /// The word used for suppressed findings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotActive => "not_active",
            Self::Paused => "collection_paused",
            Self::Free => "free",
            Self::Metered => "metered",
            Self::UnknownPrice => "unknown_price",
            Self::Ending => "ending",
            Self::TestClock => "test_clock",
            Self::NoPeriod => "no_period",
        }
    }
}

impl SubscriptionRecord {
    /// A record of a subscription met for the first time, by an event made then.
    /// Nothing is known of what was before `known_from`.
    pub(super) fn new(
        subscription: &Subscription,
        event_at: Timestamp,
        is_birth: bool,
        known_from: Timestamp,
    ) -> Self {
        let mut record = Self {
            id: subscription.id.as_str().into(),
            customer: None,
            status: SubscriptionStatus::Unknown,
            price: UNKNOWN_PRICE,
            currency: None,
            period_start: None,
            period_end: None,
            interval: Interval::Unknown,
            interval_count: 1,
            paid_through: None,
            largest_paid: 0,
            trial_end: None,
            ends_at: None,
            payment_term_days: 0,
            is_paused: false,
            may_end_with_trial: false,
            is_metered: false,
            has_schedule: false,
            has_opaque_discounts: false,
            is_by_debit: false,
            has_test_clock: false,
            is_renewed: false,
            unrest_at: None,
            seen_at: event_at,
        };
        record.take(subscription, event_at);
        let is_fresh = record.period_start.is_some_and(|start| {
            let age = event_at.since(start);
            (Span::ZERO..FRESH_PERIOD).contains(&age) && known_from <= start + TURN_SLACK
        });
        // Made before the period that it is met at the very beginning of: that was a turn.
        let made_before = subscription.created.zip(record.period_start);
        record.is_renewed = is_fresh
            && made_before.is_some_and(|(made, start)| made + record.boundary_slack() < start);
        // Begun without an invoice, to be billed from an anchor on: until then it is free (Stripe
        // docs: Set the subscription billing cycle; `proration_behavior=none`).
        let is_free_at_first = subscription.latest_invoice.is_none()
            && subscription
                .billing_cycle_anchor
                .is_some_and(|anchor| anchor > event_at + FRESH_PERIOD);
        // Met in mid-life: what came before is unknown, so the period at hand counts as paid.
        let is_due = (is_birth || is_fresh) && !is_free_at_first;
        record.paid_through = if is_due && !record.is_on_hold(subscription) {
            record.period_start
        } else {
            record.period_end
        };
        record
    }

    /// Whether an event is no older than what shaped the record. Events of one second are settled
    /// by content: the later period, then the more final status, is the newer.
    pub(super) fn is_newer(&self, subscription: &Subscription, event_at: Timestamp) -> bool {
        let rank = |end: Option<Timestamp>, status| (end, finality(status));
        (
            event_at,
            rank(subscription.current_period_end, subscription.status),
        ) >= (self.seen_at, rank(self.period_end, self.status))
    }

    /// Takes over the state an event shows.
    pub(super) fn take(&mut self, subscription: &Subscription, event_at: Timestamp) {
        let was_paused = self.is_paused;
        self.seen_at = event_at;
        self.customer = subscription.customer.as_ref().map(|id| id.as_str().into());
        let is_back = subscription.status == SubscriptionStatus::Active
            && !matches!(
                self.status,
                SubscriptionStatus::Active | SubscriptionStatus::Unknown
            );
        if is_back {
            self.unrest_at = self.unrest_at.max(Some(event_at));
        }
        self.is_renewed |= self
            .period_start
            .zip(subscription.current_period_start)
            .is_some_and(|(old, new)| old + self.boundary_slack() < new);
        self.status = subscription.status;
        self.currency = subscription.currency.or(self.currency);
        self.period_start = subscription.current_period_start.or(self.period_start);
        self.period_end = subscription.current_period_end.or(self.period_end);
        self.trial_end = subscription.trial_end;
        self.may_end_with_trial = subscription.may_end_with_trial;
        self.ends_at = end_of(subscription);
        self.payment_term_days = match subscription.collection_method {
            CollectionMethod::ChargeAutomatically => 0,
            CollectionMethod::SendInvoice => {
                let days = subscription.days_until_due.unwrap_or(30).clamp(0, 365);
                u16::try_from(days).unwrap_or_default()
            }
        };
        // A pause that ends before the next turn lets that turn pay; Stripe ends it at its time (Stripe docs: Pause
        // payment collection).
        self.is_paused = subscription.pause_collection.as_ref().is_some_and(|pause| {
            let ends_before = pause.resumes_at.zip(self.period_end);
            ends_before.is_none_or(|(at, turn)| at + PAUSE_SLACK > turn)
        });
        self.has_schedule = subscription.has_schedule;
        self.has_opaque_discounts = subscription.has_opaque_discounts;
        self.is_by_debit = are_debits(&subscription.payment_method_types);
        self.has_test_clock = subscription.has_test_clock;
        self.is_metered =
            !subscription.items.is_empty() && subscription.items.iter().all(|item| item.is_metered);
        if let Some(item) = subscription.items.first() {
            self.interval = item.interval;
            self.interval_count = u16::try_from(item.interval_count.max(1)).unwrap_or(u16::MAX);
        }
        if !subscription.items.is_empty() {
            self.price =
                price_of(&subscription.items, &subscription.discounts).unwrap_or(UNKNOWN_PRICE);
        }
        if (was_paused || self.is_on_hold(subscription)) && !self.is_paused {
            // What was due in the pause is forgiven; the next period is the first to be paid.
            self.paid_through = self.paid_through.max(self.period_end);
        }
    }

    /// Whether collection is paused in the current period. A pause that should have ended before it began is none of it.
    fn is_on_hold(&self, subscription: &Subscription) -> bool {
        let pause = subscription.pause_collection.as_ref();
        pause.is_some_and(|pause| {
            let ends = pause.resumes_at.zip(self.period_start);
            ends.is_none_or(|(at, start)| at > start)
        })
    }

    /// Takes over what an event says that is older than what is known; whether that changed what is due.
    pub(super) fn take_older(&mut self, subscription: &Subscription) -> bool {
        self.is_renewed |= subscription
            .current_period_start
            .zip(self.period_start)
            .is_some_and(|(old, new)| old + self.boundary_slack() < new);
        // Each turn in a pause is told, so the periods of its events are all that were forgiven.
        let forgiven = subscription.pause_collection.as_ref();
        let forgiven = forgiven.and(subscription.current_period_end);
        let known = self.paid_through;
        self.paid_through = known.max(forgiven);
        self.paid_through != known
    }

    /// Takes in that service up to `through` is paid.
    pub(super) fn pay(&mut self, through: Option<Timestamp>, amount_paid: i64) {
        let through = through.or(self.period_end);
        self.paid_through = self.paid_through.max(through);
        self.largest_paid = self.largest_paid.max(amount_paid);
    }

    /// The same subscription, paid up to `through` at least.
    pub(crate) fn paid_up_to(&self, through: Timestamp) -> Self {
        let mut paid = self.clone();
        paid.forgive(Some(through));
        paid
    }

    /// What service up to `through` costs is not to be paid any more.
    pub(super) fn forgive(&mut self, through: Option<Timestamp>) {
        self.paid_through = self.paid_through.max(through);
    }

    /// The price of one period, minor units, discounts off; `None` when it cannot be known
    /// (tiers, amounts below a minor unit, discounts sent as bare ids).
    #[must_use]
    pub fn amount(&self) -> Option<i64> {
        Some(self.price).filter(|price| *price != UNKNOWN_PRICE)
    }

    /// Time to pay a sent invoice; zero when charged automatically.
    #[must_use]
    pub fn payment_term(&self) -> Span {
        Span::days(i64::from(self.payment_term_days))
    }

    /// When its next payment should arrive, or why none is expected.
    ///
    /// # Errors
    /// The first reason for expecting nothing.
    pub fn due_at(&self) -> Result<Timestamp, NothingDue> {
        if self.status != SubscriptionStatus::Active {
            return Err(NothingDue::NotActive);
        }
        self.owes_at()
    }

    /// When a subscription in trial should pay for the first time, or why nothing is expected.
    ///
    /// # Errors
    /// The first reason for expecting nothing: among others that no payment method is known, where the
    /// trial ends in a cancellation or a pause without one, or that an attempt to collect failed.
    pub fn trial_due_at(&self) -> Result<Timestamp, NothingDue> {
        let is_in_trial = self.status == SubscriptionStatus::Trialing;
        let trial_end = self.trial_end.filter(|_| is_in_trial);
        let trial_end = trial_end.ok_or(NothingDue::NotActive)?;
        if self.unrest_at.is_some_and(|at| at > trial_end) {
            return Err(NothingDue::NotActive);
        }
        if self.may_end_with_trial {
            return Err(NothingDue::Ending);
        }
        self.owes_at()
    }

    /// When something is owed next, whatever its status.
    fn owes_at(&self) -> Result<Timestamp, NothingDue> {
        if self.has_test_clock {
            return Err(NothingDue::TestClock);
        }
        if self.is_paused {
            return Err(NothingDue::Paused);
        }
        if self.is_metered {
            return Err(NothingDue::Metered);
        }
        if self.price == 0 {
            return Err(NothingDue::Free);
        }
        let is_price_known = self.amount().is_some() && !self.has_opaque_discounts;
        let may_be_free = self.has_schedule && !self.has_turned_unpaid();
        if self.largest_paid <= 0 && (!is_price_known || may_be_free) {
            return Err(NothingDue::UnknownPrice);
        }
        let turn = self.next_unpaid_turn().ok_or(NothingDue::NoPeriod)?;
        let turn = turn.max(self.trial_end.unwrap_or(turn));
        if self
            .ends_at
            .is_some_and(|end| end <= turn + self.boundary_slack())
        {
            return Err(NothingDue::Ending);
        }
        Ok(turn + self.payment_term())
    }

    /// Whether its period was seen to turn and no invoice was paid for it, not even one of zero. What a schedule makes free of
    /// charge for a phase is invoiced all the same: Stripe makes an invoice at every turn, and one that asks for nothing is
    /// paid at once (Stripe API reference: The Invoice object). So what its items show then is what it owes.
    fn has_turned_unpaid(&self) -> bool {
        let start = self.period_start.filter(|_| self.is_renewed);
        start.is_some_and(|start| {
            let paid = self.paid_through.unwrap_or(start);
            paid <= start + self.boundary_slack()
        })
    }

    /// Whether it is active, and no invoice is known to pay for the period that it is in.
    pub(crate) fn is_untold(&self) -> bool {
        self.status == SubscriptionStatus::Active
            && self.period_start.is_some_and(|start| {
                let paid = self.paid_through.unwrap_or(start);
                paid <= start + self.boundary_slack()
            })
    }

    /// Whether its period was seen to turn.
    pub(crate) const fn has_renewed(&self) -> bool {
        self.is_renewed
    }

    /// When its current period began, where that was a renewal and is paid.
    pub(crate) fn renewed_at(&self) -> Option<Timestamp> {
        let (start, paid) = self.period_start.zip(self.paid_through)?;
        (self.is_renewed && paid > start + self.boundary_slack()).then_some(start)
    }

    /// How near two boundaries of its periods are to each other to be the same.
    pub(crate) fn boundary_slack(&self) -> Span {
        let period = self.period_start.zip(self.period_end);
        let quarter = period.map(|(start, end)| Span::millis(end.since(start).as_millis() / 4));
        quarter.map_or(BOUNDARY_SLACK_MAX, |quarter| {
            quarter.clamp(Span::ZERO, BOUNDARY_SLACK_MAX)
        })
    }

    /// Whether it is in a trial that has run out when an event says otherwise that was made then.
    pub(super) fn runs_out_at(&self, event_at: Timestamp) -> bool {
        let trial_end = self.trial_end.map(|end| end - TURN_SLACK);
        self.status == SubscriptionStatus::Trialing && trial_end.is_some_and(|end| end <= event_at)
    }

    /// When its period turns next, with events that say so; `None` where that cannot be said.
    pub(super) fn turns_at(&self) -> Option<Timestamp> {
        let is_running = matches!(
            self.status,
            SubscriptionStatus::Trialing
                | SubscriptionStatus::Active
                | SubscriptionStatus::PastDue
                | SubscriptionStatus::Unpaid
        );
        self.period_end
            .filter(|_| is_running && !self.has_test_clock)
    }

    /// The first turn of a period that no payment covers.
    fn next_unpaid_turn(&self) -> Option<Timestamp> {
        let (Some(start), Some(end)) = (self.period_start, self.period_end) else {
            return self.paid_through;
        };
        let paid = self.paid_through.unwrap_or(start);
        let slack = self.boundary_slack();
        if paid + slack >= end {
            Some(paid.max(end))
        } else if paid > start + slack {
            // Paid into the middle: the period was moved, and its end is the next turn.
            Some(end)
        } else {
            Some(paid)
        }
    }
}

/// Whether all of these kinds of payment method are bank debits, which take days to come in, or to
/// fail; false where none is named.
pub(super) fn are_debits(kinds: &[Box<str>]) -> bool {
    let is_debit = |kind: &str| kind.ends_with("_debit") || kind == "us_bank_account";
    !kinds.is_empty() && kinds.iter().all(|kind| is_debit(kind))
}

/// Whether the status can still change: of two in one second the more final is the later.
const fn finality(status: SubscriptionStatus) -> u8 {
    match status {
        SubscriptionStatus::Unknown => 0,
        SubscriptionStatus::Incomplete => 1,
        SubscriptionStatus::Trialing => 2,
        SubscriptionStatus::Active => 3,
        SubscriptionStatus::PastDue => 4,
        SubscriptionStatus::Paused => 5,
        SubscriptionStatus::Unpaid => 6,
        SubscriptionStatus::IncompleteExpired => 7,
        SubscriptionStatus::Canceled => 8,
    }
}

fn end_of(subscription: &Subscription) -> Option<Timestamp> {
    let at_period_end = subscription
        .cancel_at_period_end
        .then_some(subscription.current_period_end)
        .flatten();
    [subscription.ended_at, subscription.cancel_at, at_period_end]
        .into_iter()
        .flatten()
        .min()
}

/// The price of one period: unit times quantity, less percentages, less amounts.
fn price_of(items: &[SubscriptionItem], discounts: &[Discount]) -> Option<i64> {
    let mut sum: i64 = 0;
    for item in items.iter().filter(|item| !item.is_metered) {
        sum = sum.checked_add(item.unit_amount?.checked_mul(item.quantity.unwrap_or(1))?)?;
    }
    for discount in discounts {
        sum = match discount {
            Discount::PercentBps(bps) => {
                let kept = i128::from(sum) * i128::from(10_000 - (*bps).clamp(0, 10_000));
                i64::try_from(kept / 10_000).ok()?
            }
            Discount::Amount(amount) => sum.saturating_sub((*amount).max(0)),
        };
    }
    Some(sum.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_takes_no_more_memory_than_it_needs() {
        // There is one for each live subscription: `benches/ledger_memory.rs` says what all of it takes.
        assert_eq!(size_of::<SubscriptionRecord>(), 152);
    }
}
