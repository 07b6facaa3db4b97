//! What a window of hours should have brought, what it did, and how likely so little is.

use serde::{Deserialize, Serialize};

use crate::stats::{binomial_tail, negative_binomial_head};

use super::super::words::{as_f64, bps_of, rounded};
use super::coupons::UsualOff;
use super::hours::{Hour, Hours, WINDOW_MAX};
use super::ordinary::ordinary;
use super::usage::{Usage, Used};
use super::usual::{Past, Usual, by_weeks, usual, usual_for};
use super::worth::{Sales, Worth};

/// Windows judged, in hours: an outage of who sells much shows in one, a slow loss in three days.
pub(super) const WINDOWS: [i64; 7] = [1, 2, 3, 6, 12, 24, WINDOW_MAX];

/// Of all renewals due, those that nobody asks for, until the merchant's own share is known: one in
/// a hundred. Changes of plan that are told late look like it.
const SILENT_PRIOR: (f64, f64) = (0.5, 50.0);

/// What is allowed for beyond it: such renewals come together a little.
const SILENT_SLACK: f64 = 0.01;

/// Renewals that must be known before one says anything by asking less than its price: who always asks less, for a
/// price by the dozen or in another currency, is known by then.
const SHORT_DUE_MIN: f64 = 50.0;

/// Of all renewals due, those asked for and not paid at once, until the merchant's own share is
/// known; and what is allowed for beyond it.
const ASKED_PRIOR: (f64, f64) = (4.0, 50.0);
const ASKED_SLACK: f64 = 0.03;

/// What is kept of the shares from one hour to the next: a memory of about six weeks.
pub(super) const KEPT_AN_HOUR: f64 = 1.0 - 1.0 / 1_008.0;

/// How far sales of a day stray from what is usual, squared, until it is known: 15 %.
const STRAY_PRIOR: f64 = 0.022_5;

/// Days that the prior counts for.
const STRAY_PRIOR_DAYS: f64 = 2.0;

/// The most one day may teach of it, in multiples of the variance that is known by now, chance included: a wild day must
/// not deafen the next month, and those who are often wild learn it all the same.
const STRAY_NEWS_MAX: f64 = 8.0;

/// What shortfalls that are cut so, doubled and squared, are of the true variance on average, for two to six weeks that say
/// what is usual: their lower median lies below the middle, and what is short of it is less. From 200,000 draws of
/// normal days each (`shortfalls_teach_how_far_days_stray` draws some again).
pub(super) const STRAY_SEEN: [f64; 5] = [0.40, 0.80, 0.59, 0.85, 0.67];

/// How much the newest day weighs in it, at least: a memory of four weeks.
const STRAY_WEIGHT: f64 = 1.0 / 28.0;

/// Weeks that what is known of straying counts for, when it is held together with how far the very weeks that say what is
/// usual stray: a Monday that brings much every other week is not missed in between.
const STRAY_KNOWN_WEEKS: f64 = 6.0;

/// How much the median of a few values knows of what their average would.
pub(super) const MEDIAN_EFFICIENCY: f64 = 0.64;

/// Sales a window must expect before its straying is learned from.
const STRAY_SALES_MIN: f64 = 5.0;

/// What a currency has taught of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Habits {
    /// Renewals that nobody asked for, of all due.
    silent: (f64, f64),
    /// What discounts that are new took off renewals, in whole ones, of all due.
    given: (f64, f64),
    /// What discounts take off renewals, new or not.
    off: UsualOff,
    /// What renewals asked less than their price, likewise.
    short: (f64, f64),
    /// Renewals asked for and not paid at once, of all due.
    asked: (f64, f64),
    /// By window, as in [`WINDOWS`].
    stray: [Stray; WINDOWS.len()],
    pub(super) worth: Worth,
    pub(super) usage: Usage,
}

/// What of a gap is the least likely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Cause {
    /// Fewer pay.
    #[default]
    Fewer,
    /// They pay less.
    Cheaper,
    /// Less was used by metered subscriptions.
    Used,
}

/// How far sales of a window stray from what is usual, beyond the chance of small numbers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Stray {
    /// The relative variance.
    pub(super) squared: f64,
    /// Days that taught it.
    pub(super) days: f64,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            silent: (0.0, 0.0),
            given: (0.0, 0.0),
            off: UsualOff::default(),
            short: (0.0, 0.0),
            asked: (0.0, 0.0),
            stray: [Stray {
                squared: STRAY_PRIOR,
                days: 0.0,
            }; WINDOWS.len()],
            worth: Worth::default(),
            usage: Usage::default(),
        }
    }
}

/// What a window should have brought, and what it did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    pub(super) hours: i64,
    /// Of these, the hours that count.
    pub(super) counted: i64,
    pub(super) expected: i64,
    /// The same, were sales those of the poorest of the weeks: what is below that, too, is missing.
    pub(super) least: i64,
    pub(super) collected: i64,
    pub(super) due: u64,
    pub(super) paid: u64,
    pub(super) silent: u64,
    pub(super) silent_amount: i64,
    /// What discounts that are new took off renewals, in whole ones and in minor units.
    pub(super) given: u64,
    pub(super) given_amount: i64,
    /// What invoices ask less than the price of renewals: of how many, in whole ones and in minor units.
    pub(super) short_count: u64,
    pub(super) short: u64,
    pub(super) short_amount: i64,
    pub(super) sales_expected: f64,
    pub(super) sales: u64,
    /// Their amount, and what is usual.
    pub(super) sales_amount: i64,
    pub(super) usual_amount: i64,
    /// Invoices of metered subscriptions, what they ask for and what is usual.
    pub(super) used: Used,
    pub(super) used_amount: i64,
    pub(super) used_usual: i64,
    /// How likely so little is on any one day when nothing is wrong.
    pub(super) chance: f64,
    pub(super) cause: Cause,
    /// It was found because nobody pays at all.
    pub(super) is_standstill: bool,
}

impl Gap {
    pub(super) fn missing(&self) -> i64 {
        self.expected.saturating_sub(self.collected)
    }

    /// The shares of renewals and of sales that are missing, in basis points.
    pub(super) fn lost_bps(&self) -> (i64, i64) {
        let share = |lost: f64, of: f64| {
            if of > 0.0 {
                bps_of(lost / of).max(0)
            } else {
                0
            }
        };
        let sales = self.sales_expected - as_f64(self.sales);
        (
            share(as_f64(self.unasked()), as_f64(self.due)),
            share(sales, self.sales_expected),
        )
    }

    /// Sales, and what is usual of them.
    pub(super) fn sales_and_usual(&self) -> (Sales, Sales) {
        let sales = |count: f64, amount: i64| Sales {
            count,
            amount: as_f64(amount.max(0).unsigned_abs()),
        };
        (
            sales(as_f64(self.sales), self.sales_amount),
            sales(self.sales_expected, self.usual_amount),
        )
    }

    /// Whether it is about nearly all of its hours: what a few hours after an incident brought is not
    /// what a day did.
    pub(super) const fn is_nearly_whole(&self) -> bool {
        self.counted * 4 >= self.hours * 3
    }

    /// Renewals that nobody asks for, and what is given away or not asked of others, in whole ones.
    pub(super) const fn unasked(&self) -> u64 {
        self.silent + self.given + self.short
    }

    /// Payments that were to be expected.
    pub(super) fn payments(&self) -> f64 {
        self.sales_expected + as_f64(self.due)
    }
}

/// What the hours of a window say by themselves.
struct Counted {
    /// With the renewals alone.
    gap: Gap,
    due_amount: i64,
    sales: i64,
    sales_amount: i64,
}

impl Counted {
    fn of(hours: &Hours, (end, len): (i64, i64), counts: impl Fn(&Hour) -> bool) -> Self {
        let mut gap = Gap {
            hours: len,
            counted: 0,
            expected: 0,
            least: 0,
            collected: 0,
            due: 0,
            paid: 0,
            silent: 0,
            silent_amount: 0,
            given: 0,
            given_amount: 0,
            short_count: 0,
            short: 0,
            short_amount: 0,
            sales_expected: 0.0,
            sales: 0,
            sales_amount: 0,
            usual_amount: 0,
            used: Used::default(),
            used_amount: 0,
            used_usual: 0,
            chance: 1.0,
            cause: Cause::Fewer,
            is_standstill: false,
        };
        let mut due_amount = 0_i64;
        let (mut sales, mut sales_amount) = (0_i64, 0_i64);
        let (mut given_bps, mut short_bps) = (0_i64, 0_i64);
        let window = (end - len..end).map(|hour| hours.hour(hour));
        for hour in window.filter(|hour| counts(hour)) {
            gap.counted += 1;
            gap.due += u64::try_from(hour.due).unwrap_or_default();
            gap.paid += u64::try_from(hour.paid).unwrap_or_default();
            gap.silent += u64::try_from(hour.silent).unwrap_or_default();
            due_amount = due_amount.saturating_add(hour.due_amount);
            gap.silent_amount = gap.silent_amount.saturating_add(hour.silent_amount);
            given_bps += hour.given_bps;
            gap.given_amount = gap.given_amount.saturating_add(hour.given_amount);
            gap.short_count += u64::try_from(hour.short).unwrap_or_default();
            short_bps += hour.short_bps;
            gap.short_amount = gap.short_amount.saturating_add(hour.short_amount);
            sales += i64::from(hour.sales);
            sales_amount = sales_amount.saturating_add(hour.sales_amount);
        }
        gap.given = u64::try_from(given_bps / 10_000).unwrap_or_default();
        gap.short = u64::try_from(short_bps / 10_000).unwrap_or_default();
        Self {
            gap,
            due_amount,
            sales,
            sales_amount,
        }
    }
}

impl Habits {
    /// The gap of the `len` hours before `end`, against the same hours of the weeks before or those
    /// `shift` hours earlier; with `only_calm`, without hours of incidents.
    pub(super) fn gap(
        &self,
        hours: &Hours,
        past: Past<'_>,
        window: (i64, i64, i64),
        only_calm: bool,
    ) -> Gap {
        let (gap, usual) = self.weighed(hours, past, window, only_calm);
        self.judged(gap, usual.as_ref())
    }

    /// The same without hours of incidents, if so much `is_missing` that its chance is worth reckoning.
    pub(super) fn calm_gap_if(
        &self,
        hours: &Hours,
        past: Past<'_>,
        window: (i64, i64, i64),
        is_missing: impl Fn(&Gap) -> bool,
    ) -> Option<Gap> {
        let (gap, usual) = self.weighed(hours, past, window, true);
        is_missing(&gap).then(|| self.judged(gap, usual.as_ref()))
    }

    /// A gap as it is against what was ordinary before a peak, if that is less than what is usual; `None` where it is not
    /// known, and where sales are not fewer but cheaper.
    pub(super) fn ordinary_gap(
        &self,
        hours: &Hours,
        past: Past<'_>,
        end: i64,
        gap: &Gap,
    ) -> Option<Gap> {
        if gap.cause != Cause::Fewer || gap.sales_expected <= 0.0 {
            return None;
        }
        let counts = |hour: &Hour| !hour.is_incident;
        let window = (end, gap.hours);
        let mut usual = usual(hours, past, (end, gap.hours, 0), counts)?;
        let sales = ordinary(hours, past, window, usual.holiday_bps, counts)?;
        let sales = sales.min(gap.sales_expected);
        usual.sales = sales;
        let mut gap = *gap;
        let share = sales / gap.sales_expected;
        let amount = scaled(gap.usual_amount, share);
        gap.expected = gap
            .expected
            .saturating_sub(gap.usual_amount.saturating_sub(amount));
        (gap.sales_expected, gap.usual_amount) = (sales, amount);
        (gap.chance, gap.cause) = self.chance(&gap, Some(&usual));
        Some(gap)
    }

    /// The renewals alone of the `len` hours before `end`.
    pub(super) fn renewals(hours: &Hours, end: i64, len: i64) -> Gap {
        Counted::of(hours, (end, len), |_| true).gap
    }

    /// What should have come and what did, without how likely that is.
    pub(super) fn weighed(
        &self,
        hours: &Hours,
        past: Past<'_>,
        (end, len, shift): (i64, i64, i64),
        only_calm: bool,
    ) -> (Gap, Option<Usual>) {
        let counts = |hour: &Hour| !only_calm || !hour.is_incident;
        let counted = Counted::of(hours, (end, len), counts);
        let mut gap = counted.gap;
        let usual = usual_for(hours, past, (end, len, shift), counted.sales, counts);
        let mut lost_share = self.silent_share();
        if past.is_gift_told {
            (gap.given, gap.given_amount) = (0, 0);
        } else {
            lost_share += self.given_share();
        }
        if self.short.1 < SHORT_DUE_MIN {
            (gap.short_count, gap.short, gap.short_amount) = (0, 0, 0);
        } else {
            lost_share += self.short.0 / self.short.1;
        }
        gap.expected = scaled(counted.due_amount, (1.0 - lost_share).max(0.0));
        gap.least = gap.expected;
        let lost = gap.silent_amount.saturating_add(gap.given_amount);
        let lost = lost.saturating_add(gap.short_amount);
        gap.collected = counted.due_amount.saturating_sub(lost);
        if let Some(usual) = usual {
            gap.sales = u64::try_from(counted.sales).unwrap_or_default();
            gap.sales_expected = usual.sales;
            gap.sales_amount = counted.sales_amount;
            gap.usual_amount = rounded(usual.amount);
            gap.collected = gap.collected.saturating_add(counted.sales_amount);
            gap.expected = gap.expected.saturating_add(gap.usual_amount);
            gap.least = gap
                .least
                .saturating_add(scaled(gap.usual_amount, usual.least_share));
        }
        let of_hour = |hour: i64| !only_calm || !hours.hour(hour).is_incident;
        if let Some((used, usual)) = self.usage.of((end, len), of_hour) {
            (gap.used_amount, gap.used_usual) = (rounded(used.asked), rounded(usual));
            gap.used = used;
            gap.collected = gap.collected.saturating_add(gap.used_amount);
            gap.expected = gap.expected.saturating_add(gap.used_usual);
            gap.least = gap.least.saturating_add(gap.used_usual);
        }
        (gap, usual)
    }

    /// A gap with how likely it is.
    pub(super) fn judged(&self, mut gap: Gap, usual: Option<&Usual>) -> Gap {
        (gap.chance, gap.cause) = self.chance(&gap, usual);
        if gap.cause == Cause::Cheaper {
            gap.least = gap.expected;
        }
        gap
    }

    /// How likely so few renewals and so few or so cheap sales are together (Fisher's method), times
    /// the looks of this length that a day has; and what is so unlikely about it.
    fn chance(&self, gap: &Gap, usual: Option<&Usual>) -> (f64, Cause) {
        let weeks = usual.map_or(1.0, |usual| usual.weeks);
        let renewals = self.renewals_chance(gap);
        let mut cause = Cause::Fewer;
        let sales = if gap.sales_expected < 0.5 {
            None
        } else {
            let index = window_of(gap.hours);
            // What is usual is itself an average of few weeks, and a median at that.
            let of_average = 1.0 / (MEDIAN_EFFICIENCY * weeks * gap.sales_expected);
            let mut stray = self.stray(gap.hours);
            if let Some(usual) = usual {
                let by_chance = 1.0 / usual.sales.max(1.0);
                let seen = (usual.short_squared - by_chance).max(0.0);
                stray = (stray * STRAY_KNOWN_WEEKS + seen * weeks) / (STRAY_KNOWN_WEEKS + weeks);
            }
            stray += of_average;
            let few = negative_binomial_head(gap.sales, gap.sales_expected, stray);
            let (now, usual) = gap.sales_and_usual();
            // Two questions are asked of them.
            let cheap = self.worth.chance(index, &now, &usual, weeks);
            let cheap = cheap.map(|chance| 2.0 * chance).filter(|c| *c < few);
            if cheap.is_some() {
                cause = Cause::Cheaper;
            }
            Some(cheap.unwrap_or(few))
        };
        let mut chance = match (gap.due, sales) {
            (0, None) => 1.0,
            (_, None) => renewals,
            (0, Some(sales)) => sales,
            (_, Some(sales)) => {
                let product = (renewals * sales).max(1e-300);
                product * (1.0 - product.ln())
            }
        };
        // Invoices are no payments, and are asked about by themselves.
        let used = self
            .usage
            .chance(&gap.used, as_f64(gap.used_usual.max(0).unsigned_abs()));
        if let Some(used) = used.map(|used| 2.0 * used).filter(|used| *used < chance) {
            (chance, cause) = (used, Cause::Used);
        }
        let looks = (24.0 / as_f64(gap.hours.unsigned_abs().max(1))).max(1.0);
        ((chance * looks).min(1.0), cause)
    }

    /// How far sales of so many hours stray, squared and relative.
    pub(super) fn stray(&self, hours: i64) -> f64 {
        self.stray[window_of(hours)].squared.max(stray_min(hours))
    }

    /// How likely it is that so many renewals are not even asked for, or given away.
    pub(super) fn renewals_chance(&self, gap: &Gap) -> f64 {
        let given = if gap.given > 0 {
            self.given_share().max(self.off.share())
        } else {
            0.0
        };
        let short = if gap.short > 0 {
            self.short_share()
        } else {
            0.0
        };
        let usual = (self.silent_share() + given + short + SILENT_SLACK).min(0.98);
        binomial_tail(gap.unasked(), gap.due, usual)
    }

    /// How likely it is that so many renewals are asked for and not paid at once.
    pub(super) fn dunning_chance(&self, gap: &Gap) -> f64 {
        let asked = gap.due.saturating_sub(gap.paid + gap.silent);
        let usual = (self.asked.0 + ASKED_PRIOR.0) / (self.asked.1 + ASKED_PRIOR.1);
        binomial_tail(asked, gap.due, (usual + ASKED_SLACK).min(0.98))
    }

    fn silent_share(&self) -> f64 {
        (self.silent.0 + SILENT_PRIOR.0) / (self.silent.1 + SILENT_PRIOR.1)
    }

    fn given_share(&self) -> f64 {
        // Who was never seen to give anything away is not taken to.
        self.given.0 / (self.given.1 + SILENT_PRIOR.1)
    }

    /// No prior holds it down: it matters once enough renewals are known, and who always asks less must not be told.
    fn short_share(&self) -> f64 {
        (self.short.0 + 1.0) / (self.short.1 + 1.0)
    }

    /// Learns from an hour that is no longer judged.
    pub(super) fn learn_hour(&mut self, hour: &Hour) {
        if hour.is_incident {
            return;
        }
        let kept = |old: f64, new: i32| old * KEPT_AN_HOUR + f64::from(new.max(0));
        let given = as_f64(hour.given_bps.max(0).unsigned_abs()) / 10_000.0;
        self.off.learn(hour);
        self.given = (
            self.given.0 * KEPT_AN_HOUR + given,
            kept(self.given.1, hour.due),
        );
        let short = as_f64(hour.short_bps.max(0).unsigned_abs()) / 10_000.0;
        self.short = (
            self.short.0 * KEPT_AN_HOUR + short,
            kept(self.short.1, hour.due),
        );
        self.silent = (
            kept(self.silent.0, hour.silent),
            kept(self.silent.1, hour.due),
        );
        let asked = hour.due - hour.paid - hour.silent;
        self.asked = (kept(self.asked.0, asked), kept(self.asked.1, hour.due));
    }

    /// Learns how far sales fall short, when a window of one of the lengths is complete.
    pub(super) fn learn_stray(&mut self, hours: &Hours, past: Past<'_>, end: i64) {
        for (index, len) in WINDOWS.into_iter().enumerate() {
            let every = len.min(24);
            if !past.is_whole(end, every)
                || (end - len..end).any(|hour| hours.hour(hour).is_incident)
            {
                continue;
            }
            let window = || (end - len..end).map(|hour| hours.hour(hour));
            let sales: i32 = window().map(|hour| hour.sales).sum();
            let amount: i64 = window().map(|hour| hour.sales_amount).sum();
            let now = Sales {
                count: f64::from(sales),
                amount: as_f64(amount.max(0).unsigned_abs()),
            };
            if len == 24 && end - len >= past.known_from {
                self.worth.learn_day(&now);
            }
            let Some(usual) = usual(hours, past, (end, len, 0), |_| true) else {
                continue;
            };
            // A single week says nothing of its weekdays.
            if usual.sales < STRAY_SALES_MIN || usual.weeks < 2.0 {
                continue;
            }
            let days = as_f64(every.unsigned_abs()) / 24.0;
            self.stray[index].learn(&usual, f64::from(sales), days);
            let then = Sales {
                count: usual.sales,
                amount: usual.amount,
            };
            self.worth.learn(index, &now, &then, (usual.weeks, days));
        }
    }
}

impl Stray {
    /// A peak says nothing of how far sales fall; a shortfall stands for both halves.
    pub(super) fn learn(&mut self, usual: &Usual, sales: f64, days: f64) {
        let short = (usual.sales - sales).max(0.0) / usual.sales;
        let by_chance = (1.0 + 1.0 / (MEDIAN_EFFICIENCY * usual.weeks)) / usual.sales;
        let known = self.squared + by_chance;
        let share = by_weeks(STRAY_SEEN, usual.weeks);
        let seen = (2.0 * short * short).min(STRAY_NEWS_MAX * known) / share;
        self.days += days;
        let weight = (days / (self.days + STRAY_PRIOR_DAYS)).max(STRAY_WEIGHT * days);
        self.squared += weight * (seen - by_chance - self.squared);
        self.squared = self.squared.max(0.0);
    }
}

/// Which of [`WINDOWS`] has so many hours at least.
fn window_of(hours: i64) -> usize {
    let index = WINDOWS.iter().position(|window| *window >= hours);
    index.unwrap_or(WINDOWS.len() - 1)
}

/// The least that sales are taken to stray, squared: 17 % over an hour, 14 % over three, 4 % over a day. Nobody's
/// days are more alike, holidays and weather included.
const fn stray_min(hours: i64) -> f64 {
    match hours {
        ..=1 => 0.03,
        2 => 0.025,
        3 => 0.02,
        4..=6 => 0.01,
        7..=12 => 0.004,
        _ => 0.001_6,
    }
}

/// An amount times a share of one, in integers.
fn scaled(amount: i64, share: f64) -> i64 {
    let bps = i128::from(bps_of(share));
    i64::try_from(i128::from(amount) * bps / 10_000).unwrap_or(amount)
}
