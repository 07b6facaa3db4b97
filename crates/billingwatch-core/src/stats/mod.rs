//! Small exact tests: how surprising is what was seen, when nothing is wrong?
//!
//! Bare ratios cry wolf where numbers are small: two declines of three attempts are 67 % and mean
//! nothing. The distributions are those of the `statrs` crate.

mod amounts;
mod beta_binomial;
mod hourly_share;

pub use amounts::AmountHistogram;
pub use beta_binomial::{beta_binomial_odds, beta_binomial_tail};
pub use hourly_share::HourlyShare;

use statrs::distribution::{Binomial, DiscreteCDF, Poisson};

/// The probability of `hits` or more among `trials`, each with probability `p`.
///
/// ```
/// use billingwatch_core::stats::binomial_tail;
/// assert!(binomial_tail(2, 3, 0.05) > 0.005); // two declines of three: it happens
/// assert!(binomial_tail(20, 30, 0.05) < 1e-18); // twenty of thirty: it does not
/// assert_eq!(binomial_tail(0, 10, 0.5), 1.0);
/// ```
#[must_use]
pub fn binomial_tail(hits: u64, trials: u64, p: f64) -> f64 {
    if hits == 0 {
        return 1.0;
    }
    if hits > trials {
        return 0.0;
    }
    Binomial::new(p.clamp(0.0, 1.0), trials).map_or(1.0, |binomial| binomial.sf(hits - 1))
}

/// The probability of `count` or more when `mean` are usual.
///
/// ```
/// use billingwatch_core::stats::poisson_tail;
/// assert!(poisson_tail(5, 4.0) > 0.3);
/// assert!(poisson_tail(40, 4.0) < 1e-20);
/// ```
#[must_use]
pub fn poisson_tail(count: u64, mean: f64) -> f64 {
    if count == 0 {
        return 1.0;
    }
    if mean <= 0.0 {
        return 0.0;
    }
    Poisson::new(mean).map_or(1.0, |poisson| poisson.sf(count - 1))
}

/// The nearest whole number.
#[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
pub(crate) fn rounded(value: f64) -> i64 {
    value.round() as i64
}

/// The median; 0 for nothing. Sorts in place.
#[must_use]
pub fn median(values: &mut [i64]) -> i64 {
    values.sort_unstable();
    match values.len() {
        0 => 0,
        len if len % 2 == 1 => values[len / 2],
        len => values[len / 2 - 1].midpoint(values[len / 2]),
    }
}

/// The probability of a deviation of `distance` or more when `deviation` is the standard one and
/// the sum is normal: a rough guide, as sums of a day are only nearly so.
#[must_use]
pub fn normal_tail(distance: i64, deviation: i64) -> f64 {
    use statrs::distribution::{ContinuousCDF, Normal};
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio for a score of three decimals"
    )]
    let ratio = distance as f64 / deviation.max(1) as f64;
    Normal::new(0.0, 1.0).map_or(1.0, |normal| normal.sf(ratio))
}

/// The probability of so many standard deviations or less, where what is below is negative.
#[must_use]
pub fn normal_head(deviations: f64) -> f64 {
    use statrs::distribution::{ContinuousCDF, Normal};
    Normal::new(0.0, 1.0).map_or(1.0, |normal| normal.cdf(deviations))
}

/// The probability of `count` or fewer when `mean` are usual and the mean itself strays by a
/// relative variance of `stray` (negative binomial: a Poisson whose rate varies).
///
/// ```
/// use billingwatch_core::stats::negative_binomial_head;
/// assert!(negative_binomial_head(80, 100.0, 0.04) > 0.1); // 20 % less, where days stray by 20 %
/// assert!(negative_binomial_head(10, 100.0, 0.04) < 1e-8);
/// ```
#[must_use]
pub fn negative_binomial_head(count: u64, mean: f64, stray: f64) -> f64 {
    use statrs::distribution::NegativeBinomial;
    if mean <= 0.0 {
        return 1.0;
    }
    let shape = 1.0 / stray.max(1e-6);
    NegativeBinomial::new(shape, shape / (shape + mean))
        .map_or(1.0, |distribution| distribution.cdf(count))
}

/// The probability of `count` or more when about `mean` are usual and the mean itself strays, or is
/// only known, to a relative variance of `stray` (negative binomial).
///
/// ```
/// use billingwatch_core::stats::{negative_binomial_tail, poisson_tail};
/// assert!(negative_binomial_tail(8, 0.9, 0.1) > 5.0 * poisson_tail(8, 0.9)); // hardly known
/// assert!((negative_binomial_tail(8, 0.9, 1e-6) / poisson_tail(8, 0.9) - 1.0).abs() < 1e-3);
/// ```
#[must_use]
pub fn negative_binomial_tail(count: u64, mean: f64, stray: f64) -> f64 {
    use statrs::distribution::NegativeBinomial;
    if count == 0 {
        return 1.0;
    }
    if mean <= 0.0 {
        return 0.0;
    }
    let shape = 1.0 / stray.max(1e-6);
    NegativeBinomial::new(shape, shape / (shape + mean))
        .map_or(1.0, |distribution| distribution.sf(count - 1))
}

/// A count for arithmetic with probabilities; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
const fn as_f64(count: u64) -> f64 {
    count as f64
}
