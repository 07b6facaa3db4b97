//! What a payment is worth: as many may pay as ever, and each a tenth of the price.
//!
//! Counts say nothing of that, and amounts are too different from each other to be counted. So the
//! average of a window's payments is held against what it usually is, by how far it strays.

use serde::{Deserialize, Serialize};

use crate::stats::normal_head;

use super::gap::WINDOWS;

/// Payments whose average says anything: of a few dozen first payments, upgrades and prorations, the
/// yearly ones among them decide.
const SALES_MIN: f64 = 40.0;

/// The average must have fallen to this share of what is usual: a mixture of cheaper things, or half
/// price on everything, is no fault.
const FALLEN_TO: f64 = 0.4;

/// At this share of what is usual it is back, as soon as so many payments say so.
const BACK_AT: f64 = 0.85;
const BACK_SALES_MIN: f64 = 10.0;

/// Weeks that must say what is usual.
const WEEKS_MIN: f64 = 2.0;

/// How far an average strays, squared, until it is known: 30 %.
const STRAY_PRIOR: f64 = 0.09;

/// Days that the prior counts for.
const STRAY_PRIOR_DAYS: f64 = 3.0;

/// The least it is taken to stray, squared: 10 %.
const STRAY_MIN: f64 = 0.01;

/// The most one window may teach, in multiples of what is known.
const STRAY_NEWS_MAX: f64 = 6.0;

/// How much the newest day weighs, at least: a memory of four weeks.
const STRAY_WEIGHT: f64 = 1.0 / 28.0;

/// How far the average payment strays, by window as in [`WINDOWS`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Worth([Stray; WINDOWS.len()]);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Stray {
    /// The relative variance.
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
        Self([stray; WINDOWS.len()])
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

    /// Whether one is worth what it usually is.
    pub(super) fn is_worth(&self, usual: &Self) -> bool {
        self.against(usual, BACK_SALES_MIN)
            .is_some_and(|ratio| ratio >= BACK_AT)
    }
}

impl Worth {
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
        if weeks < WEEKS_MIN || ratio > FALLEN_TO {
            return None;
        }
        let stray = self.0.get(index)?.squared.max(STRAY_MIN);
        Some(normal_head((ratio - 1.0) / stray.sqrt()))
    }

    /// Learns from a complete window that is no part of an incident.
    pub(super) fn learn(&mut self, index: usize, sales: &Sales, usual: &Sales, days: f64) {
        let Some((ratio, stray)) = sales.against(usual, SALES_MIN).zip(self.0.get_mut(index))
        else {
            return;
        };
        // A dear day says nothing of how far prices fall; a cheap one stands for both.
        let short = (1.0 - ratio).max(0.0);
        let seen = 2.0 * short * short;
        let most = STRAY_NEWS_MAX * stray.squared.max(STRAY_MIN);
        stray.days += days;
        let weight = (days / (stray.days + STRAY_PRIOR_DAYS)).max(STRAY_WEIGHT * days);
        stray.squared += weight.min(1.0) * (seen.min(most) - stray.squared);
        stray.squared = stray.squared.max(0.0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const USUAL: Sales = Sales {
        count: 60.0,
        amount: 300_000.0,
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
            known.learn(3, &worth(share), &USUAL, 1.0);
        }
        let chance = |share: f64| known.chance(3, &worth(share), &USUAL, 3.0);
        assert!(chance(0.1).unwrap() < 1e-9);
        assert_eq!(chance(0.5), None);
        assert_eq!(known.chance(3, &worth(0.1), &USUAL, 1.0), None, "one week");
        let few = Sales {
            count: 39.0,
            amount: 19_500.0,
        };
        assert_eq!(known.chance(3, &few, &USUAL, 3.0), None);
    }

    #[test]
    fn who_sells_dear_and_cheap_things_is_not_told_of_a_cheap_day() {
        let mut known = Worth::default();
        for day in 0..28_u32 {
            let share = if day % 4 == 0 { 0.3 } else { 1.2 };
            known.learn(3, &worth(share), &USUAL, 1.0);
        }
        assert!(known.chance(3, &worth(0.3), &USUAL, 4.0).unwrap() > 1e-3);
    }
}
