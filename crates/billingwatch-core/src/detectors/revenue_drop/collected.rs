//! Hour by hour: what renewals and sales should have brought, and what came.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::stats::{binomial_tail, negative_binomial_head};
use crate::time::{Span, Timestamp};

use super::renewals::Due;

/// An hour.
pub(super) const HOUR: Span = Span::hours(1);

/// Hours kept open: the longest window judged. They become part of what is usual when they leave.
const HOURS_MAX: usize = 72;

/// Hours of a week.
const WEEK: usize = 168;

/// Windows judged, in hours: an outage shows in six, a slow loss in three days.
const WINDOWS: [usize; 3] = [6, 24, 72];

/// Renewals paid within the time they are given, of all due, until the merchant's own share is
/// known.
const PRIOR: (f64, f64) = (46.0, 50.0);

/// What is allowed for beyond chance: renewals of one day fail together a little.
const PAID_SLACK: f64 = 0.03;

/// Weeks of sales that must be known before they are expected.
const SALES_WEEKS_MIN: f64 = 2.0;

/// How much an hour's newest week weighs in its average.
const SALES_WEIGHT: f64 = 0.25;

/// How far sales of a day stray from their average as a rule, squared: 20 % until known, and never
/// taken for less than 10 %.
const STRAY: (f64, f64) = (0.04, 0.01);

/// One hour.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Hour {
    due: u32,
    paid: u32,
    due_amount: i64,
    paid_amount: i64,
    /// Payments that no subscription foretold.
    sales: i64,
    sales_amount: i64,
    is_incident: bool,
}

/// Sales of one hour of the week, as they usually are.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Usual {
    weeks: f64,
    sales: f64,
    amount: f64,
}

/// One currency's hours.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Collected {
    /// Without gaps; the first is `first_hour` (hours since 1970).
    hours: VecDeque<Hour>,
    first_hour: i64,
    /// Hours before this one are closed: judged, or about to be.
    closed: i64,
    paid: (f64, f64),
    usual: Vec<Usual>,
    stray: Option<f64>,
}

/// What a window should have brought, and what it did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    pub(super) hours: usize,
    pub(super) expected: i64,
    pub(super) collected: i64,
    pub(super) due: u64,
    pub(super) paid: u64,
    pub(super) sales_expected: f64,
    pub(super) sales: i64,
    /// How likely so little is when nothing is wrong.
    pub(super) chance: f64,
}

impl Collected {
    /// A payment came in, foretold or not.
    pub(super) fn sale(&mut self, at: Timestamp, amount: i64, count: i64) {
        if let Some(hour) = self.hour_mut(at) {
            hour.sales += count;
            hour.sales_amount = hour.sales_amount.saturating_add(amount);
        }
    }

    /// The time given to a foretold payment is over.
    pub(super) fn settle(&mut self, at: Timestamp, due: Due) {
        if let Some(hour) = self.hour_mut(at) {
            hour.due += 1;
            hour.due_amount = hour.due_amount.saturating_add(due.amount);
            if due.is_paid {
                hour.paid += 1;
                hour.paid_amount = hour.paid_amount.saturating_add(due.amount);
            }
        }
    }

    /// Closes all hours before `hour`: what they brought is known.
    pub(super) fn close(&mut self, hour: i64) {
        self.reach(hour);
        self.closed = hour;
    }

    /// Marks the closed hours of a window as part of an incident: no yardstick.
    pub(super) fn mark(&mut self, hours: usize) {
        let end = self.end();
        for hour in self
            .hours
            .iter_mut()
            .take(end)
            .skip(end.saturating_sub(hours))
        {
            hour.is_incident = true;
        }
    }

    /// Every window's gap, the least likely first, without hours of earlier incidents.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        let gap_of = |hours: &usize| self.sum(*hours, |hour| !hour.is_incident);
        let mut gaps: Vec<Gap> = WINDOWS.iter().filter_map(gap_of).collect();
        gaps.sort_by(|a, b| a.chance.total_cmp(&b.chance));
        gaps
    }

    /// The gap of the newest closed hours, all of them.
    pub(super) fn gap(&self, hours: usize) -> Option<Gap> {
        self.sum(hours, |_| true)
    }

    fn sum(&self, hours: usize, counts: impl Fn(&Hour) -> bool) -> Option<Gap> {
        let end = self.end();
        let start = end.checked_sub(hours)?;
        let mut gap = Gap {
            hours,
            expected: 0,
            collected: 0,
            due: 0,
            paid: 0,
            sales_expected: 0.0,
            sales: 0,
            chance: 1.0,
        };
        let paid_share = self.paid_share();
        let (mut due_amount, mut sales_amount) = (0_i64, 0.0);
        let knows_sales = self.knows_sales();
        let window = self.hours.iter().enumerate().take(end).skip(start);
        for (index, hour) in window.filter(|(_, hour)| counts(hour)) {
            gap.due += u64::from(hour.due);
            gap.paid += u64::from(hour.paid);
            due_amount = due_amount.saturating_add(hour.due_amount);
            gap.collected = gap.collected.saturating_add(hour.paid_amount);
            if let Some(usual) = self.usual_at(index).filter(|_| knows_sales) {
                gap.sales_expected += usual.sales;
                sales_amount += usual.amount;
                gap.sales += hour.sales;
                gap.collected = gap.collected.saturating_add(hour.sales_amount);
            }
        }
        gap.expected = scaled(due_amount, paid_share)
            .saturating_add(super::super::words::rounded(sales_amount));
        gap.chance = self.chance(&gap, paid_share);
        Some(gap)
    }

    /// How likely so few renewals and so few sales are together (Fisher's method).
    fn chance(&self, gap: &Gap, paid_share: f64) -> f64 {
        let failed = gap.due.saturating_sub(gap.paid);
        let renewals = binomial_tail(failed, gap.due, (1.0 - paid_share + PAID_SLACK).min(0.9));
        if gap.sales_expected < 1.0 {
            return renewals;
        }
        let sold = u64::try_from(gap.sales).unwrap_or(0);
        let stray = self.stray.unwrap_or(STRAY.0).max(STRAY.1);
        let sales = negative_binomial_head(sold, gap.sales_expected, stray);
        if gap.due == 0 {
            return sales;
        }
        let product = (renewals * sales).max(1e-300);
        product * (1.0 - product.ln())
    }

    fn paid_share(&self) -> f64 {
        ((self.paid.0 + PRIOR.0) / (self.paid.1 + PRIOR.1)).clamp(0.3, 0.99)
    }

    fn knows_sales(&self) -> bool {
        let weeks: f64 = self.usual.iter().map(|usual| usual.weeks).sum();
        weeks >= SALES_WEEKS_MIN * 168.0
    }

    fn usual_at(&self, index: usize) -> Option<&Usual> {
        let hour = self.first_hour + i64::try_from(index).ok()?;
        self.usual.get(week_hour(hour))
    }

    /// How many hours are closed.
    fn end(&self) -> usize {
        usize::try_from(self.closed - self.first_hour)
            .unwrap_or(0)
            .min(self.hours.len())
    }

    fn hour_mut(&mut self, at: Timestamp) -> Option<&mut Hour> {
        let hour = at.as_millis().div_euclid(HOUR.as_millis());
        self.reach(hour);
        self.hours
            .get_mut(usize::try_from(hour - self.first_hour).ok()?)
    }

    /// Opens hours up to and including this one; those that leave are learned from.
    fn reach(&mut self, hour: i64) {
        let keep = i64::try_from(HOURS_MAX).unwrap_or_default();
        if self.hours.is_empty() || hour - self.first_hour > 60 * 24 {
            self.hours.clear();
            self.first_hour = hour;
        }
        while self.first_hour + i64::try_from(self.hours.len()).unwrap_or_default() <= hour {
            self.hours.push_back(Hour::default());
        }
        // Only closed hours may leave; open ones are few: the time that payments are given.
        while self.hours.len() > HOURS_MAX && self.first_hour + keep <= self.closed.max(hour - keep)
        {
            self.learn();
        }
    }

    fn learn(&mut self) {
        let Some(hour) = self.hours.pop_front() else {
            return;
        };
        let place = week_hour(self.first_hour);
        self.first_hour += 1;
        if hour.is_incident {
            return;
        }
        // A memory of about four weeks of hours.
        let kept = 1.0 - 1.0 / 672.0;
        self.paid = (
            self.paid.0 * kept + f64::from(hour.paid),
            self.paid.1 * kept + f64::from(hour.due),
        );
        if self.usual.is_empty() {
            self.usual.resize(WEEK, Usual::default());
        }
        let usual = &mut self.usual[place];
        let weight = SALES_WEIGHT.max(1.0 / (usual.weeks + 1.0));
        let towards = |old: f64, new: i64| old + weight * (as_f64(new) - old);
        usual.sales = towards(usual.sales, hour.sales.max(0));
        usual.amount = towards(usual.amount, hour.sales_amount.max(0));
        usual.weeks += 1.0;
        if place.is_multiple_of(24) {
            self.learn_stray();
        }
    }

    /// Once a day: how far the sales of a day strayed from what was expected, beyond chance.
    fn learn_stray(&mut self) {
        let Some(gap) = self.gap(24).filter(|gap| gap.sales_expected >= 5.0) else {
            return;
        };
        let off = as_f64(gap.sales) - gap.sales_expected;
        let beyond_chance = (off * off - gap.sales_expected) / gap.sales_expected.powi(2);
        // One wild day, an incident perhaps, must not deafen the next month.
        let seen = beyond_chance.clamp(0.0, 0.16);
        let old = self.stray.unwrap_or(STRAY.0);
        self.stray = Some(old + (seen - old) / 14.0);
    }
}

fn week_hour(hour: i64) -> usize {
    usize::try_from(hour.rem_euclid(168)).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "estimates of averages")]
const fn as_f64(value: i64) -> f64 {
    value as f64
}

/// An amount times a share of one, in integers.
fn scaled(amount: i64, share: f64) -> i64 {
    let bps = i128::from(super::super::words::bps_of(share));
    i64::try_from(i128::from(amount) * bps / 10_000).unwrap_or(amount)
}
