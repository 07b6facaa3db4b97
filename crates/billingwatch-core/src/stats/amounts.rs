//! How large amounts usually are: a histogram over powers of two, each split in eight.

use serde::{Deserialize, Serialize};

/// Steps within one doubling: a quantile is right within an eighth.
const STEPS: u32 = 8;

/// One bucket for zero and eight for each of 63 doublings.
const BUCKETS_MAX: usize = 1 + 63 * STEPS as usize;

/// Counts of positive amounts by size; bounded, and right within an eighth of the amount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmountHistogram {
    counts: Vec<u32>,
    total: u64,
    largest: i64,
    #[serde(skip)]
    middle: Middle,
}

/// Where the middle was last looked for: a bucket, and how many lie below it. It moves little from one amount to the
/// next, so it is found in a step or two. It can be found anew, and so is no part of what is compared.
#[derive(Clone, Copy, Debug, Default)]
struct Middle {
    bucket: usize,
    below: u64,
}

impl PartialEq for Middle {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Middle {}

impl AmountHistogram {
    /// Takes in one amount, minor units; zero and less are ignored.
    pub fn add(&mut self, amount: i64) {
        let Some(bucket) = bucket_of(amount) else {
            return;
        };
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        let was_counted = self.counts[bucket];
        self.counts[bucket] = was_counted.saturating_add(1);
        if bucket < self.middle.bucket {
            self.middle.below += u64::from(self.counts[bucket] - was_counted);
        }
        self.total = self.total.saturating_add(1);
        self.largest = self.largest.max(amount);
    }

    /// How many were taken in.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The largest taken in; 0 for none.
    #[must_use]
    pub const fn largest(&self) -> i64 {
        self.largest
    }

    /// An amount that all but the `most` largest are not above, within an eighth; 0 for none.
    #[must_use]
    pub fn all_but(&self, most: u64) -> i64 {
        let mut above: u64 = 0;
        for (bucket, count) in self.counts.iter().enumerate().rev() {
            above += u64::from(*count);
            if above > most {
                return upper_edge(bucket).min(self.largest);
            }
        }
        0
    }

    /// An amount that `share_bps` of all are not above; never below the true quantile, and above
    /// it by an eighth at the most. 0 for none.
    #[must_use]
    pub fn quantile(&self, share_bps: u32) -> i64 {
        let wanted = (u128::from(self.total) * u128::from(share_bps.min(10_000))).div_ceil(10_000);
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX).max(1);
        let mut seen: u64 = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return upper_edge(bucket).min(self.largest);
            }
        }
        self.largest
    }

    /// The same of the half: asked of every payment.
    pub(crate) fn middle(&mut self) -> i64 {
        let wanted = self.total.div_ceil(2).max(1);
        let Middle {
            mut bucket,
            mut below,
        } = self.middle;
        while below >= wanted && bucket > 0 {
            bucket -= 1;
            below -= u64::from(self.counts[bucket]);
        }
        while let Some(count) = self.counts.get(bucket).copied().map(u64::from)
            && below + count < wanted
        {
            below += count;
            bucket += 1;
        }
        self.middle = Middle { bucket, below };
        if bucket < self.counts.len() {
            upper_edge(bucket).min(self.largest)
        } else {
            self.largest
        }
    }
}

fn bucket_of(amount: i64) -> Option<usize> {
    let amount = u64::try_from(amount).ok().filter(|amount| *amount > 0)?;
    let doubling = amount.ilog2();
    let step = if doubling >= 3 {
        (amount >> (doubling - 3)) & 7
    } else {
        (amount << (3 - doubling)) & 7
    };
    let bucket = 1 + doubling as usize * STEPS as usize + usize::try_from(step).ok()?;
    Some(bucket.min(BUCKETS_MAX - 1))
}

/// The largest amount that falls into a bucket.
fn upper_edge(bucket: usize) -> i64 {
    let steps = bucket.saturating_sub(1) as u64;
    let (doubling, step) = (steps / u64::from(STEPS), steps % u64::from(STEPS));
    let next = match doubling.checked_sub(3) {
        // At most 16 of them after 62 doublings: no overflow.
        Some(more) => (8 + step + 1) << more,
        None => ((8 + step + 1) << doubling).div_ceil(8),
    };
    i64::try_from(next - 1).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_an_eighth() {
        let mut histogram = AmountHistogram::default();
        for amount in 1..=10_000 {
            histogram.add(amount);
        }
        for (share, truth) in [(100, 100), (5_000, 5_000), (9_500, 9_500), (10_000, 10_000)] {
            let found = histogram.quantile(share);
            assert!(
                found >= truth && found <= truth + truth / 8 + 1,
                "{share}: {found}"
            );
        }
    }

    #[test]
    fn the_middle_is_the_half_whatever_moves_it() {
        let mut histogram = AmountHistogram::default();
        assert_eq!(histogram.middle(), histogram.quantile(5_000));
        for (step, amount) in [900, 5, 70_000, 71_000, 3, 2, 2, 1, 90_000, 12]
            .into_iter()
            .cycle()
            .take(400)
            .enumerate()
        {
            // A drift up, and down again.
            let drift = i64::try_from(200_usize.abs_diff(step)).unwrap_or_default();
            histogram.add(amount * (201 - drift));
            if step % 7 == 0 {
                let mut anew = histogram.clone();
                anew.middle = Middle::default();
                assert_eq!(anew.middle(), histogram.quantile(5_000));
                assert_eq!(histogram.middle(), histogram.quantile(5_000));
            }
        }
    }

    #[test]
    fn all_but_the_largest_are_not_above() {
        let mut histogram = AmountHistogram::default();
        for amount in [100, 100, 200, 5_000, 90_000] {
            histogram.add(amount);
        }
        assert_eq!(histogram.all_but(0), 90_000);
        let (second, third) = (histogram.all_but(1), histogram.all_but(2));
        assert!((5_000..5_626).contains(&second), "{second}");
        assert!((200..226).contains(&third), "{third}");
        assert_eq!(histogram.all_but(5), 0);
    }

    #[test]
    fn extremes_are_bounded() {
        let mut histogram = AmountHistogram::default();
        for amount in [i64::MIN, -1, 0, 1, i64::MAX] {
            histogram.add(amount);
        }
        assert_eq!(histogram.total(), 2);
        assert_eq!(histogram.largest(), i64::MAX);
        assert!(histogram.counts.len() <= BUCKETS_MAX);
        assert_eq!(AmountHistogram::default().quantile(5_000), 0);
    }
}
