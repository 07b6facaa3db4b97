//! What a payment is worth: as many may pay as ever, and each a tenth of the price.
//!
//! Counts say nothing of that, and amounts are too different from each other to be counted. So the
//! average of a window's payments is held against what it usually is, by how far it strays: in logarithms, as prices are
//! wrong by a factor, and so is what is usual of them.

use serde::{Deserialize, Serialize};

use crate::stats::normal_head;

use super::super::words::as_f64;
use super::gap::{STRAY_SEEN, WINDOWS};
use super::usual::by_weeks;

/// Payments whose average says anything: of a few dozen first payments, upgrades and prorations, the
/// yearly ones among them decide.
const SALES_MIN: f64 = 40.0;

/// The average must have fallen to this share of what is usual: a mixture of cheaper things is no fault.
pub(super) const FALLEN_TO: f64 = 0.4;

/// Windows of a day or longer, which are always many things.
const OF_DAYS: usize = 3;

/// A fall to this share is asked about, more than a quarter off or things that are cheaper by chance, unless sales are
/// more than so many times the usual ones: who sells cheaper wants to sell more, and a wrong price draws nobody.
pub(super) const MANY_FALLEN_TO: f64 = 0.75;

/// See [`MANY_FALLEN_TO`].
const DRAWN_MAX: f64 = 1.2;

/// Sales of such a window, and usual ones: the average of fewer depends on which of the dear things were among them.
const MANY_SALES_MIN: f64 = 100.0;

/// Weeks that must say what is usual then: of three, none is the middle by itself.
const MANY_WEEKS_MIN: f64 = 3.0;

/// Days whose windows of some hours must have shown how far their averages stray: what is sold in the morning is not
/// what is sold in the evening.
const HOURS_DAYS_MIN: f64 = 14.0;

/// At this share of what is usual it is back, as soon as so many payments say so.
pub(super) const BACK_AT: f64 = 0.85;
const BACK_SALES_MIN: f64 = 10.0;

/// Weeks that must say what is usual.
const WEEKS_MIN: f64 = 2.0;

/// How far the logarithm of an average strays, squared, until it is known: 30 %.
const STRAY_PRIOR: f64 = 0.09;

/// Days that the prior counts for.
const STRAY_PRIOR_DAYS: f64 = 2.0;

/// The least it is taken to stray, squared: 10 %.
const STRAY_MIN: f64 = 0.01;

/// The most one window may teach, in multiples of what is known.
const STRAY_NEWS_MAX: f64 = 6.0;

/// How much the newest day weighs, at least: a memory of four weeks.
const STRAY_WEIGHT: f64 = 1.0 / 28.0;

/// From so many payments on the older half of them counts half: what is sold changes.
const KNOWN_MAX: f64 = 20_000.0;

/// Until so many weeks say what is usual, whole days say what a payment is worth: so many of them, of so many sales each.
const DAYS_MIN: f64 = 7.0;
/// See [`DAYS_MIN`].
const DAY_SALES_MIN: f64 = 200.0;

/// Days that are remembered.
const DAYS_MAX: f64 = 28.0;

/// How far the logarithm of a day's average is taken to stray beyond what few days show, squared: 5 %, and twice what they show.
const DAY_STRAY_MIN: f64 = 0.002_5;
/// See [`DAY_STRAY_MIN`].
const DAY_STRAY_TIMES: f64 = 2.0;

/// How far the average payment strays, by window as in [`WINDOWS`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Worth {
    strays: [Stray; WINDOWS.len()],
    days: Days,
    /// Payments of late: their number, sum, and sum of squares.
    payments: (f64, f64, f64),
}

/// The averages of whole days, in logarithms (Welford's algorithm).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Days {
    known: f64,
    mean: f64,
    squares: f64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Stray {
    /// The variance of its logarithm beyond the chance of small numbers.
    squared: f64,
    /// Days that taught it.
    days: f64,
}

impl Default for Worth {
    fn default() -> Self {
        let stray = Stray {
            squared: STRAY_PRIOR,
            days: 0.0,
        };
        Self {
            strays: [stray; WINDOWS.len()],
            days: Days::default(),
            payments: (0.0, 0.0, 0.0),
        }
    }
}

/// Payments of a window: how many, and their sum in minor units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sales {
    pub(super) count: f64,
    pub(super) amount: f64,
}

impl Sales {
    /// What one is worth, against what one usually is.
    fn against(&self, usual: &Self, sales_min: f64) -> Option<f64> {
        let is_enough = self.count.min(usual.count) >= sales_min;
        let ratio = self.amount * usual.count / (self.count * usual.amount);
        // Less than nothing is money taken back, and says nothing of prices.
        let is_told = self.amount > 0.0 && usual.amount > 0.0 && ratio.is_finite();
        (is_enough && is_told).then_some(ratio)
    }

    /// What one is worth of what one usually is; all of it where that cannot be said.
    pub(super) fn part_of(&self, usual: &Self) -> f64 {
        self.against(usual, SALES_MIN).unwrap_or(1.0)
    }

    /// Whether one is worth what it usually is.
    pub(super) fn is_worth(&self, usual: &Self) -> bool {
        self.against(usual, BACK_SALES_MIN)
            .is_some_and(|ratio| ratio >= BACK_AT)
    }
}

/// How likely it is that none comes of what counts as so many payments alike: of ten terms of a school that bring most of its
/// money, none is paid on a day now and then, and a law of the logarithm of the sum knows nothing of that.
pub(super) fn of_none(alike: f64) -> f64 {
    (-alike.max(0.0)).exp()
}

impl Worth {
    /// A payment came in, or is taken back (-1).
    pub(super) fn note(&mut self, amount: i64, count: i32) {
        let (count, amount) = (f64::from(count), as_f64(amount.unsigned_abs()));
        let (number, sum, squares) = &mut self.payments;
        if *number >= KNOWN_MAX {
            (*number, *sum, *squares) = (*number / 2.0, *sum / 2.0, *squares / 2.0);
        }
        *number += count;
        *sum += count * amount;
        *squares += count * amount * amount;
    }

    /// How far the average of so many payments strays by chance alone, relative and squared: much, where
    /// a few dear things bring most of the money, as the terms of a school that sells lunches.
    fn by_chance(&self, payments: f64) -> f64 {
        let (number, sum, squares) = self.payments;
        if number < 1.0 || sum <= 0.0 || payments <= 0.0 {
            return 0.0;
        }
        (squares * number / (sum * sum) - 1.0).max(0.0) / payments
    }

    /// How likely it is that payments are worth so little; `None` where they are not worth much
    /// less, or too few are known.
    pub(super) fn chance(
        &self,
        index: usize,
        sales: &Sales,
        usual: &Sales,
        weeks: f64,
    ) -> Option<f64> {
        let ratio = sales.against(usual, SALES_MIN)?;
        let known = self.strays.get(index)?;
        let draws_nobody = sales.count <= usual.count * DRAWN_MAX;
        if weeks < MANY_WEEKS_MIN && index >= OF_DAYS && draws_nobody && ratio <= MANY_FALLEN_TO {
            let by_chance = self.by_chance(sales.count);
            if let Some(chance) = self.days.chance(sales, by_chance) {
                return Some(chance);
            }
        }
        let are_many = sales.count.min(usual.count) >= MANY_SALES_MIN && weeks >= MANY_WEEKS_MIN;
        let is_known = index >= OF_DAYS || known.days >= HOURS_DAYS_MIN;
        let fallen_to = if are_many && draws_nobody && is_known {
            MANY_FALLEN_TO
        } else {
            FALLEN_TO
        };
        if weeks < WEEKS_MIN || ratio > fallen_to {
            return None;
        }
        let by_chance = self.by_chance(sales.count) + self.by_chance(usual.count * weeks);
        let stray = (known.squared + by_chance).max(STRAY_MIN);
        let chance = normal_head(ratio.ln() / stray.sqrt());
        let alike = sales.count.min(usual.count) / (1.0 + self.by_chance(1.0));
        Some(chance.max(of_none(alike)))
    }

    /// Learns what a payment is worth from a whole day that is no part of an incident.
    pub(super) fn learn_day(&mut self, sales: &Sales) {
        self.days.learn(sales);
    }

    /// Learns from a complete window that is no part of an incident, and how many weeks say what is usual of it.
    pub(super) fn learn(
        &mut self,
        index: usize,
        sales: &Sales,
        usual: &Sales,
        (weeks, days): (f64, f64),
    ) {
        let by_chance = self.by_chance(sales.count) + self.by_chance(usual.count * weeks);
        let Some((ratio, stray)) = sales
            .against(usual, SALES_MIN)
            .zip(self.strays.get_mut(index))
        else {
            return;
        };
        // A dear day says nothing of how far prices fall; a cheap one stands for both.
        let short = (-ratio.ln()).max(0.0);
        let most = STRAY_NEWS_MAX * (stray.squared + by_chance).max(STRAY_MIN);
        let seen = (2.0 * short * short).min(most) / by_weeks(STRAY_SEEN, weeks);
        stray.days += days;
        let weight = (days / (stray.days + STRAY_PRIOR_DAYS)).max(STRAY_WEIGHT * days);
        // What small numbers do, as at night, is reckoned for each window anew.
        stray.squared += weight.min(1.0) * (seen - by_chance - stray.squared);
        stray.squared = stray.squared.max(0.0);
    }
}

impl Days {
    fn learn(&mut self, sales: &Sales) {
        if sales.count < DAY_SALES_MIN || sales.amount <= 0.0 {
            return;
        }
        if self.known >= DAYS_MAX {
            (self.known, self.squares) = (self.known / 2.0, self.squares / 2.0);
        }
        let value = (sales.amount / sales.count).ln();
        self.known += 1.0;
        let off = value - self.mean;
        self.mean += off / self.known;
        self.squares += off * (value - self.mean);
    }

    /// How likely payments of a day or more are worth so little by these days; `None` where too few are known.
    fn chance(&self, sales: &Sales, by_chance: f64) -> Option<f64> {
        if self.known < DAYS_MIN || sales.count < DAY_SALES_MIN || sales.amount <= 0.0 {
            return None;
        }
        let seen = DAY_STRAY_TIMES * self.squares / (self.known - 1.0);
        let stray = (seen + by_chance).max(DAY_STRAY_MIN);
        let off = (sales.amount / sales.count).ln() - self.mean;
        Some(normal_head(off / stray.sqrt()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const USUAL: Sales = Sales {
        count: 120.0,
        amount: 600_000.0,
    };

    fn worth(share: f64) -> Sales {
        Sales {
            amount: USUAL.amount * share,
            ..USUAL
        }
    }

    #[test]
    fn a_tenth_of_the_price_is_certain_once_days_are_known_and_a_sale_is_nothing() {
        let mut known = Worth::default();
        for day in 0..21_u32 {
            let share = 1.0 + 0.1 * f64::from(day % 3) - 0.1;
            known.learn(3, &worth(share), &USUAL, (4.0, 1.0));
        }
        let chance = |share: f64, weeks: f64| known.chance(3, &worth(share), &USUAL, weeks);
        assert!(chance(0.1, 3.0).unwrap() < 1e-9);
        assert!(chance(0.5, 3.0).unwrap() < 5e-5);
        assert_eq!(chance(0.8, 3.0), None, "a sale");
        assert_eq!(chance(0.5, 2.0), None, "two weeks");
        assert_eq!(chance(0.1, 1.0), None, "one week");
        let few = Sales {
            count: 39.0,
            amount: 19_500.0,
        };
        assert_eq!(known.chance(3, &few, &USUAL, 3.0), None);
    }

    #[test]
    fn half_the_price_is_a_sale_where_it_draws_customers_and_for_some_hours_until_these_are_known()
    {
        let taught = |days: u32| {
            let mut known = Worth::default();
            for _ in 0..days {
                for index in 0..WINDOWS.len() {
                    known.learn(index, &worth(1.0), &USUAL, (4.0, 1.0));
                }
            }
            known
        };
        let chance = |days: u32, index: usize, drawn: f64| {
            let sales = Sales {
                count: USUAL.count * drawn,
                amount: USUAL.amount * drawn * 0.5,
            };
            taught(days).chance(index, &sales, &USUAL, 4.0)
        };
        assert_eq!(chance(13, 2, 1.0), None);
        assert!(chance(21, 2, 1.0).unwrap() < 1e-5);
        assert!(chance(21, 3, 1.0).unwrap() < 1e-5);
        assert!(chance(21, 4, 1.2).unwrap() < 1e-5);
        assert_eq!(chance(21, 3, 1.21), None);
        assert_eq!(chance(21, 2, 1.21), None);
        assert_eq!(chance(21, 3, 0.8), None, "too few");
    }

    #[test]
    fn half_the_price_is_certain_after_a_week_of_like_days() {
        let day = |share: f64, count: f64| Sales {
            count,
            amount: count * 5_000.0 * share,
        };
        let chance = |days: u32, stray: f64, now: Sales| {
            let mut known = Worth::default();
            for n in 0..days {
                known.note(5_000, 1);
                let share = if n % 2 == 0 { 1.0 + stray } else { 1.0 - stray };
                known.learn_day(&day(share, 400.0));
            }
            known.chance(3, &now, &day(1.0, 400.0), 1.0)
        };
        assert!(chance(7, 0.05, day(0.5, 400.0)).unwrap() < 1e-9);
        assert!(chance(7, 0.05, day(0.7, 400.0)).unwrap() < 1e-4);
        assert!(
            chance(7, 0.4, day(0.5, 400.0)).unwrap() > 1e-3,
            "days differ"
        );
        assert_eq!(chance(6, 0.05, day(0.5, 400.0)), None, "six days");
        assert_eq!(chance(7, 0.05, day(0.8, 400.0)), None, "a sale");
        assert_eq!(chance(7, 0.05, day(0.5, 500.0)), None, "it draws customers");
        assert_eq!(chance(7, 0.05, day(0.5, 190.0)), None, "few");
    }

    #[test]
    fn who_sells_dear_and_cheap_things_is_not_told_of_a_cheap_day() {
        let mut known = Worth::default();
        for day in 0..28_u32 {
            let share = if day % 4 == 0 { 0.3 } else { 1.2 };
            known.learn(3, &worth(share), &USUAL, (4.0, 1.0));
        }
        assert!(known.chance(3, &worth(0.3), &USUAL, 4.0).unwrap() > 1e-3);
    }

    #[test]
    fn where_a_few_dear_things_bring_most_of_the_money_a_day_without_them_is_chance() {
        let taught = |dear: i64| {
            let mut known = Worth::default();
            for n in 0..2_000 {
                known.note(if n % 40 == 0 { dear } else { 2_000 }, 1);
            }
            for _ in 0..21 {
                known.learn(4, &worth(1.0), &USUAL, (4.0, 1.0));
            }
            known.chance(4, &worth(0.3), &USUAL, 4.0).unwrap()
        };
        assert!(taught(4_000) < 1e-9, "{}", taught(4_000));
        assert!(taught(500_000) > 1e-3, "{}", taught(500_000));
    }

    #[test]
    fn a_few_terms_of_a_school_that_nobody_pays_on_some_day_are_chance_and_many_are_not() {
        // Of forty payments seven bring nearly all.
        let chance = |payments: f64| {
            let mut known = Worth::default();
            for n in 0..1_000 {
                known.note(if n % 6 == 0 { 170_000 } else { 2_500 }, 1);
            }
            for _ in 0..28 {
                known.learn(4, &worth(1.0), &USUAL, (4.0, 1.0));
            }
            let usual = Sales {
                count: payments,
                amount: payments * 30_000.0,
            };
            let sales = Sales {
                amount: usual.amount * 0.085,
                ..usual
            };
            known.chance(4, &sales, &usual, 4.0).unwrap()
        };
        assert!(chance(40.0) > 1e-4);
        assert!(chance(400.0) < 1e-12);
    }

    #[test]
    fn a_payment_taken_back_leaves_nothing() {
        let mut known = Worth::default();
        known.note(2_000, 1);
        known.note(900_000, 1);
        known.note(-900_000, -1);
        assert!(known.by_chance(1.0).abs() < 1e-12);
    }
}
