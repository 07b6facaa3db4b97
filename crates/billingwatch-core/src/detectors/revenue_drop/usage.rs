//! What metered subscriptions bring at their renewals.
//!
//! Nobody foretells what a customer uses. But what all who renew on a day used, of the most that each of them ever paid, hardly
//! changes from one renewal to the next: so much is expected of them together, by how far single customers and whole days stray from
//! it. A meter that sends nothing leaves invoices of zero, and Stripe marks these as paid; one customer who uses nothing is one of
//! many.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::invoice::BillingReason;
use crate::event::{Event, EventData};
use crate::ledger::SubscriptionRecord;
use crate::stats::{binomial_tail, normal_head};
use crate::time::Timestamp;

use super::super::words::{as_f64, rounded};
use super::RevenueDrop;
use super::hours::WINDOW_MAX;
use super::worth::{BACK_AT, of_none};

/// Invoices that must be known, as far as they are remembered, before others say anything.
const KNOWN_MIN: f64 = 50.0;

/// Invoices of a window that say anything.
const COUNT_MIN: f64 = 20.0;

/// Invoices that show that it is over.
const BACK_COUNT_MIN: f64 = 10.0;

/// Of the most that a subscription ever paid, what is next to nothing: the standing charge, say.
const LITTLE: f64 = 0.25;

/// Of those who renew, the part that asks for next to nothing may be so many times the usual one, and so much more, on any day.
const LITTLE_TIMES: f64 = 2.0;
/// See [`LITTLE_TIMES`].
const LITTLE_SLACK: f64 = 0.1;

/// How far the logarithm of what a day's customers use strays beyond what single ones do, squared, until it is known: 30 %.
const STRAY_PRIOR: f64 = 0.09;

/// Days that the prior counts for.
const STRAY_PRIOR_DAYS: f64 = 2.0;

/// The least it is taken to stray, squared: 10 %.
const STRAY_MIN: f64 = 0.01;

/// The most one day may teach, in multiples of what is known.
const STRAY_NEWS_MAX: f64 = 6.0;

/// How much the newest day weighs, at least: of those who bill once a month a year, of others four weeks.
const STRAY_WEIGHT: f64 = 1.0 / 28.0;

/// A smaller part than this is taken for it: a logarithm of nothing says no more.
const LEAST_RATIO: f64 = 1e-3;

/// Hours of which it is kept: the longest window, and those whose events come late.
const HOURS_MAX: i64 = WINDOW_MAX + 8;

/// What invoices ask for use, held against the most that each of their subscriptions ever paid.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Used {
    pub(super) count: f64,
    /// Minor units.
    pub(super) asked: f64,
    most: f64,
    /// Sums of squares, and of products.
    asked_squared: f64,
    most_squared: f64,
    product: f64,
    /// Those that ask for [next to nothing](LITTLE) of it.
    little: f64,
}

/// One currency's use.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Usage {
    /// Without gaps, the newest last.
    hours: VecDeque<Used>,
    /// Hours since 1970 of the first.
    first: i64,
    /// Of late.
    known: Used,
    /// A day that is being learned.
    day: Used,
    stray: f64,
    stray_days: f64,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            hours: VecDeque::new(),
            first: 0,
            known: Used::default(),
            day: Used::default(),
            stray: STRAY_PRIOR,
            stray_days: 0.0,
        }
    }
}

impl Used {
    fn of(asked: i64, most: i64) -> Self {
        let number = |amount: i64| as_f64(amount.max(0).unsigned_abs());
        let (asked, most) = (number(asked), number(most));
        Self {
            count: 1.0,
            asked,
            most,
            asked_squared: asked * asked,
            most_squared: most * most,
            product: asked * most,
            little: if asked < LITTLE * most { 1.0 } else { 0.0 },
        }
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.asked += other.asked;
        self.most += other.most;
        self.asked_squared += other.asked_squared;
        self.most_squared += other.most_squared;
        self.product += other.product;
        self.little += other.little;
    }

    fn keep(&mut self, part: f64) {
        self.count *= part;
        self.asked *= part;
        self.most *= part;
        self.asked_squared *= part;
        self.most_squared *= part;
        self.product *= part;
        self.little *= part;
    }

    /// What is asked of the most that was ever paid.
    fn share(&self) -> f64 {
        self.asked / self.most.max(1.0)
    }

    /// How far the use of a single customer strays from what is usual, relative and squared.
    fn stray_of_one(&self) -> f64 {
        let share = self.share();
        let left =
            self.asked_squared - 2.0 * share * self.product + share * share * self.most_squared;
        let usual = share * share * self.most_squared;
        if usual > 0.0 {
            (left / usual).max(0.0)
        } else {
            0.0
        }
    }

    /// Whether so many ask for what is usual again.
    pub(super) fn is_back(&self, usual: i64) -> bool {
        let usual = as_f64(usual.max(0).unsigned_abs());
        self.count >= BACK_COUNT_MIN && self.asked >= BACK_AT * usual
    }

    /// As how many customers who use alike those of these invoices count.
    fn alike(&self) -> f64 {
        if self.most_squared > 0.0 {
            self.most * self.most / self.most_squared
        } else {
            0.0
        }
    }
}

impl Usage {
    /// An invoice was finalised in an hour.
    pub(super) fn note(&mut self, hour: i64, asked: i64, most: i64) {
        if self.hours.is_empty() {
            self.first = hour;
        }
        if hour >= self.end() + HOURS_MAX {
            self.hours.clear();
            self.first = hour;
        }
        while self.end() <= hour {
            self.hours.push_back(Used::default());
        }
        while self.end() - self.first > HOURS_MAX {
            self.hours.pop_front();
            self.first += 1;
        }
        let index = usize::try_from(hour - self.first).ok();
        if let Some(known) = index.and_then(|index| self.hours.get_mut(index)) {
            known.add(&Used::of(asked, most));
        }
    }

    /// The hour after the last that is kept.
    fn end(&self) -> i64 {
        self.first + i64::try_from(self.hours.len()).unwrap_or_default()
    }

    fn hour(&self, hour: i64) -> Option<&Used> {
        let index = usize::try_from(hour - self.first).ok()?;
        self.hours.get(index)
    }

    /// What the hours that count of a window asked for, and what was to be expected; `None` where too little is known.
    pub(super) fn of(
        &self,
        (end, len): (i64, i64),
        counts: impl Fn(i64) -> bool,
    ) -> Option<(Used, f64)> {
        if self.hours.is_empty() || self.known.count < KNOWN_MIN {
            return None;
        }
        let mut sum = Used::default();
        for hour in (end - len..end).filter(|hour| counts(*hour)) {
            if let Some(used) = self.hour(hour) {
                sum.add(used);
            }
        }
        (sum.count > 0.0).then_some((sum, sum.most * self.known.share()))
    }

    /// How likely so little is; `None` where it is not less than usual, or too few say so.
    pub(super) fn chance(&self, used: &Used, usual: f64) -> Option<f64> {
        let ratio = used.asked / usual.max(1.0);
        if used.count < COUNT_MIN || usual < 1.0 || ratio >= 1.0 {
            return None;
        }
        let stray = self.stray.max(STRAY_MIN);
        let of_one = self.known.stray_of_one();
        let by_chance = of_one / used.alike().max(1.0) + of_one / self.known.alike().max(1.0);
        let spread = (stray + by_chance).sqrt();
        let chance = normal_head(ratio.max(LEAST_RATIO).ln() / spread);
        let chance = chance.max(of_none(used.alike() / (1.0 + of_one)));
        Some(chance.min(self.chance_of_little(used)))
    }

    /// How likely it is that so many ask for next to nothing. A season or a price makes all customers ask for less, and a meter that
    /// sends nothing some of them.
    fn chance_of_little(&self, used: &Used) -> f64 {
        let usual = (self.known.little + 1.0) / (self.known.count + 1.0);
        let usual = (LITTLE_TIMES * usual + LITTLE_SLACK).min(1.0);
        binomial_tail(whole(used.little), whole(used.count), usual)
    }

    /// Learns from an hour that is no longer judged: what single customers use, and by the day how all do together.
    pub(super) fn learn(&mut self, hour: i64, is_incident: bool, kept: f64) {
        self.known.keep(kept);
        if self.hours.is_empty() {
            return;
        }
        if let Some(used) = self.hour(hour).copied().filter(|_| !is_incident) {
            self.day.add(&used);
        }
        if hour % 24 != 23 {
            return;
        }
        let day = std::mem::take(&mut self.day);
        if day.count >= COUNT_MIN && self.known.count >= KNOWN_MIN && self.known.share() > 0.0 {
            let ratio = day.share() / self.known.share();
            // A day of much use says nothing of how far it falls; one of little stands for both.
            let short = (-ratio.max(LEAST_RATIO).ln()).max(0.0);
            let most = STRAY_NEWS_MAX * self.stray.max(STRAY_MIN);
            self.stray_days += 1.0;
            let weight = (1.0 / (self.stray_days + STRAY_PRIOR_DAYS)).max(STRAY_WEIGHT);
            self.stray += weight * ((2.0 * short * short).min(most) - self.stray);
        }
        self.known.add(&day);
    }
}

/// A count that no memory has faded.
fn whole(count: f64) -> u64 {
    u64::try_from(rounded(count)).unwrap_or_default()
}
impl RevenueDrop {
    /// An invoice of a renewal that bills nothing but use: what it asks for, before discounts and the customer's balance, held
    /// against the most that was ever paid.
    pub(super) fn take_used(
        &mut self,
        record: Option<&SubscriptionRecord>,
        event: &Event,
        at: Timestamp,
    ) {
        let EventData::Invoice(invoice) = &event.data else {
            return;
        };
        let metered = record.filter(|record| record.is_metered && record.largest_paid > 0);
        if invoice.billing_reason == BillingReason::SubscriptionCycle
            && let Some((record, asked)) = metered.zip(invoice.subtotal.or(invoice.total))
            && let Some(watched) = record.currency.and_then(|currency| self.watched(currency))
        {
            watched.used(at, asked, record.largest_paid);
        }
    }
}
