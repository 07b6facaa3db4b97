//! Chance: a seeded ChaCha stream, mapped to ranges in integers alone.
//!
//! The mapping is our own and free of floats, so that the same seed yields the same bytes on every
//! machine and with every later version of the random number crates.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Whole of a chance given in parts per million.
const MILLION: i64 = 1_000_000;
/// The natural logarithm of two, times 2^16.
const LN2_Q16: u64 = 45_426;

/// A stream of chance. Each part of the world throws its own, so that one does not move another.
#[derive(Clone, Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..n`; 0 when `n` is not positive.
    pub(crate) fn below(&mut self, n: i64) -> i64 {
        let n = u64::try_from(n).unwrap_or(0);
        let scaled = (u128::from(self.bits()) * u128::from(n)) >> 64;
        i64::try_from(scaled).unwrap_or(0)
    }

    /// Uniform in `low..=high`.
    pub(crate) fn range(&mut self, low: i64, high: i64) -> i64 {
        low.saturating_add(self.below(high.saturating_sub(low).saturating_add(1)))
    }

    /// True with a chance of `ppm` in a million.
    pub(crate) fn chance(&mut self, ppm: i64) -> bool {
        self.below(MILLION) < ppm
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(i64::try_from(len).unwrap_or(i64::MAX))).unwrap_or(0)
    }

    /// One of a list that is not empty.
    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.index(list.len())]
    }

    /// An index, each as likely as its weight.
    pub(crate) fn weighted(&mut self, weights: impl Iterator<Item = i64> + Clone) -> usize {
        let mut left = self.below(weights.clone().sum());
        for (index, weight) in weights.enumerate() {
            if left < weight {
                return index;
            }
            left -= weight;
        }
        0
    }

    /// A waiting time with this mean, exponentially distributed.
    pub(crate) fn wait(&mut self, mean: i64) -> i64 {
        let draw = u32::try_from(self.bits() >> 32).unwrap_or(u32::MAX).max(1);
        let scaled = (u128::from(neg_ln_q16(draw)) * u128::try_from(mean).unwrap_or(0)) >> 16;
        i64::try_from(scaled).unwrap_or(i64::MAX)
    }
}

/// `-ln(u / 2^32)` times 2^16, by repeated squaring.
fn neg_ln_q16(u: u32) -> u64 {
    let zeros = u.leading_zeros();
    let mut mantissa = u64::from(u) << zeros;
    let mut fraction = 0_u64;
    for _ in 0..16 {
        mantissa = (mantissa * mantissa) >> 31;
        fraction <<= 1;
        if mantissa >> 32 != 0 {
            fraction |= 1;
            mantissa >>= 1;
        }
    }
    let neg_log2_q16 = ((u64::from(zeros) + 1) << 16) - fraction;
    (neg_log2_q16 * LN2_Q16) >> 16
}

#[cfg(test)]
mod tests {
    use super::{Dice, neg_ln_q16};

    #[test]
    fn logarithm_is_right_to_three_digits() {
        for (u, expected_milli) in [
            (u32::MAX, 0),
            (1 << 31, 693),
            (1 << 30, 1386),
            (42_949_673, 4605),
        ] {
            let milli = neg_ln_q16(u) * 1000 / 65_536;
            assert!(milli.abs_diff(expected_milli) <= 1, "{u}: {milli}");
        }
    }

    #[test]
    fn waits_have_their_mean() {
        let mut dice = Dice::new(1, 0);
        let sum: i64 = (0..20_000).map(|_| dice.wait(1_000)).sum();
        assert!((950..1_050).contains(&(sum / 20_000)), "{sum}");
    }

    #[test]
    fn weights_are_kept() {
        let mut dice = Dice::new(2, 0);
        let firsts = (0..10_000)
            .filter(|_| dice.weighted([1, 0, 3].into_iter()) == 0)
            .count();
        assert!((2_300..2_700).contains(&firsts), "{firsts}");
    }

    #[test]
    fn ranges_are_inclusive_and_survive_nonsense() {
        let mut dice = Dice::new(3, 0);
        let seen: std::collections::BTreeSet<_> = (0..200).map(|_| dice.range(-1, 1)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [-1, 0, 1]);
        assert_eq!(dice.below(0), 0);
        assert_eq!(dice.below(-5), 0);
    }
}
