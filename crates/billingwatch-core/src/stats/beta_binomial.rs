//! Hits among trials when their chance is itself only nearly known.

use statrs::function::beta::ln_beta;
use statrs::function::factorial::ln_binomial;

/// The probability of `hits` or more among `trials` when the chance of each is about `share`,
/// known as well as from `weight` earlier trials (beta-binomial).
///
/// A rate that was learned from few trials, or that strays from hour to hour, makes surprises more
/// likely than the binomial distribution of its mean says. With a large weight the two agree.
///
/// ```
/// use billingwatch_core::stats::{beta_binomial_tail, binomial_tail};
/// let known_well = beta_binomial_tail(8, 20, 0.05, 1e9);
/// assert!((known_well / binomial_tail(8, 20, 0.05) - 1.0).abs() < 1e-3);
/// assert!(beta_binomial_tail(8, 20, 0.05, 50.0) > 10.0 * known_well);
/// assert_eq!(beta_binomial_tail(0, 20, 0.05, 50.0), 1.0);
/// ```
#[must_use]
pub fn beta_binomial_tail(hits: u64, trials: u64, share: f64, weight: f64) -> f64 {
    if hits == 0 {
        return 1.0;
    }
    if hits > trials {
        return 0.0;
    }
    let share = share.clamp(1e-9, 1.0 - 1e-9);
    let a = share * weight.max(1e-3);
    let b = (1.0 - share) * weight.max(1e-3);
    let as_f64 = super::as_f64;
    let (all, first) = (as_f64(trials), as_f64(hits));
    let mut term =
        (ln_binomial(trials, hits) + ln_beta(first + a, all - first + b) - ln_beta(a, b)).exp();
    let mut sum = 0.0;
    let mut hit = first;
    // Each term is the one before times a ratio; past the mode the rest is negligible soon.
    loop {
        sum += term;
        if hit >= all {
            break;
        }
        let ratio = (all - hit) / (hit + 1.0) * (hit + a) / (all - hit - 1.0 + b);
        term *= ratio;
        hit += 1.0;
        if ratio < 1.0 && term < sum * 1e-12 {
            break;
        }
    }
    sum.clamp(0.0, 1.0)
}

/// How much better `hits` among `trials` are explained by one belief about their chance than by
/// another; a belief is hits and trials that were seen before.
///
/// ```
/// use billingwatch_core::stats::beta_binomial_odds;
/// let (many, few) = ((8.0, 20.0), (4.0, 40.0));
/// assert!(beta_binomial_odds((10.0, 20.0), many, few) > 30.0);
/// assert!(beta_binomial_odds((1.0, 20.0), many, few) < 0.1);
/// assert!((beta_binomial_odds((0.0, 0.0), many, few) - 1.0).abs() < 1e-9);
/// ```
#[must_use]
pub fn beta_binomial_odds(seen: (f64, f64), one: (f64, f64), other: (f64, f64)) -> f64 {
    let hits = seen.0.clamp(0.0, seen.1.max(0.0));
    let misses = (seen.1 - hits).max(0.0);
    let evidence = |(hit, all): (f64, f64)| {
        let (a, b) = (hit.max(1e-3), (all - hit).max(1e-3));
        ln_beta(a + hits, b + misses) - ln_beta(a, b)
    };
    (evidence(one) - evidence(other)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_outcomes_together_are_certain() {
        for (share, weight) in [(0.05, 40.0), (0.5, 3.0), (0.001, 400.0)] {
            let whole = beta_binomial_tail(1, 30, share, weight);
            let none = (ln_beta(share * weight, (1.0 - share) * weight + 30.0)
                - ln_beta(share * weight, (1.0 - share) * weight))
            .exp();
            assert!((whole + none - 1.0).abs() < 1e-9, "{share}, {weight}");
        }
    }

    #[test]
    fn more_hits_are_never_more_likely() {
        let mut before = 1.0;
        for hits in 0..=60 {
            let tail = beta_binomial_tail(hits, 60, 0.07, 150.0);
            assert!(tail <= before + 1e-12, "{hits}: {tail} after {before}");
            before = tail;
        }
        assert!(before > 0.0);
    }

    #[test]
    fn extremes_are_numbers() {
        for (hits, trials) in [(1, 1), (100_000, 100_000), (20_000, 100_000), (5, 3)] {
            for share in [0.0, 1e-12, 0.3, 1.0] {
                for weight in [0.0, 1.0, 1e12] {
                    let tail = beta_binomial_tail(hits, trials, share, weight);
                    assert!(
                        (0.0..=1.0).contains(&tail),
                        "{hits} {trials} {share} {weight}"
                    );
                }
            }
        }
    }
}
