//! Chance: a seeded stream, in integers alone, so that a seed is the same story on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// Uniform in `0..n`; 0 when `n` is not positive.
    pub(crate) fn below(&mut self, n: i64) -> i64 {
        let n = u64::try_from(n).unwrap_or(0);
        let scaled = (u128::from(self.0.next_u64()) * u128::from(n)) >> 64;
        i64::try_from(scaled).unwrap_or(0)
    }

    /// Uniform in `low..=high`.
    pub(crate) fn range(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(high - low + 1)
    }

    /// True so many times in a thousand.
    pub(crate) fn chance(&mut self, permille: i64) -> bool {
        self.below(1000) < permille
    }

    /// In `low..=high`, every doubling as likely as the next: for spans from seconds to days.
    pub(crate) fn log(&mut self, low: i64, high: i64) -> i64 {
        let doublings = i64::from((high / low.max(1)).max(1).ilog2());
        let shift = self.below(doublings + 1);
        let base = low << shift;
        self.range(base, (base * 2).min(high.max(base)))
    }

    /// One of a list that is not empty.
    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        let len = i64::try_from(list.len()).unwrap_or(1);
        list[usize::try_from(self.below(len)).unwrap_or(0)]
    }
}
