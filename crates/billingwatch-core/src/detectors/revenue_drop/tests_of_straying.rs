//! What shortfalls of normal days and weeks teach of how far sales stray: the tables of it are drawn again.

use super::gap::{MEDIAN_EFFICIENCY, Stray};
use super::usual::{Usual, short_squared, typical};

const DRAWS: u32 = 100_000;

/// Sales of a usual day, and how far days stray from it beyond chance.
const SALES: f64 = 260.0;
/// See [`SALES`].
const STRAY: f64 = 0.12;

/// Normal values of mean 1 (Box and Muller), from a seed.
struct Draws {
    state: u64,
    deviation: f64,
}

impl Draws {
    /// Even in (0, 1).
    fn even(&mut self) -> f64 {
        // Knuth's MMIX; its upper half is good enough here.
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let upper = u32::try_from(self.state >> 32).unwrap_or_default();
        (f64::from(upper) + 0.5) / (f64::from(u32::MAX) + 1.0)
    }

    fn value(&mut self) -> f64 {
        let length = (-2.0 * self.even().ln()).sqrt();
        1.0 + self.deviation * length * (std::f64::consts::TAU * self.even()).cos()
    }

    fn weeks(&mut self, weeks: u32) -> Vec<f64> {
        (0..weeks).map(|_| self.value()).collect()
    }
}

/// Where it is known already how far days stray, further days change it neither way on average.
#[test]
fn shortfalls_teach_how_far_days_stray() {
    for weeks in 2..=6 {
        let mut draws = Draws {
            state: u64::from(weeks),
            deviation: STRAY.mul_add(STRAY, 1.0 / SALES).sqrt(),
        };
        let of_average = 1.0 / (MEDIAN_EFFICIENCY * f64::from(weeks));
        // What is usual is itself known from so few weeks.
        let known = Stray {
            squared: STRAY * STRAY * (1.0 + of_average),
            days: 0.0,
        };
        let mut sum = 0.0;
        for _ in 0..DRAWS {
            let usual = Usual {
                weeks: f64::from(weeks),
                sales: SALES * typical(&mut draws.weeks(weeks), weeks),
                amount: 0.0,
                holiday_bps: 10_000,
                least_share: 1.0,
                short_squared: 0.0,
            };
            let mut taught = known;
            taught.learn(&usual, SALES * draws.value(), 1.0);
            sum += taught.squared;
        }
        // A first day weighs a third.
        let taught = known.squared + 3.0 * (sum / f64::from(DRAWS) - known.squared);
        let all = known.squared + (1.0 + of_average) / SALES;
        let off = (taught - known.squared) / all;
        assert!(off.abs() < 0.04, "{weeks} weeks: off by {off:.3}");
    }
}

/// So do the very weeks that say what is usual. They stray a little only: that what is typical of them is itself above or
/// below the middle is no part of the table.
#[test]
fn weeks_tell_how_far_they_stray_themselves() {
    let deviation = 0.01;
    for weeks in 3..=6 {
        let mut draws = Draws {
            state: u64::from(weeks),
            deviation,
        };
        let mut sum = 0.0;
        for _ in 0..DRAWS {
            let mut totals = draws.weeks(weeks);
            for total in &mut totals {
                *total *= SALES;
            }
            sum += short_squared(&mut totals, weeks);
        }
        let seen = sum / f64::from(DRAWS) / (deviation * deviation);
        assert!((seen - 1.0).abs() < 0.05, "{weeks} weeks: {seen:.3}");
    }
}
