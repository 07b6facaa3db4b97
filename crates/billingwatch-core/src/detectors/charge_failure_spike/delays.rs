//! How long bank debits take to come back, and of how many it was due to be known.
//!
//! What goes wrong at the bank's end (a mandate's format, a sort code, an account that was moved) hits what
//! settles on some days, and of each day's debits only those: no day of making shows it clearly. So it is
//! known as well after how many days debits come back; it follows of how many that was due in the last days.

use serde::{Deserialize, Serialize};

/// Beyond so many days no more comes back.
const DAYS: usize = 15;

/// Returns without which it is not known how long they take.
const KNOWN_MIN: f64 = 10.0;

/// How many came back after how many days; decaying.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Delays {
    after: [f64; DAYS],
}

impl Delays {
    pub(super) fn note(&mut self, days: i64) {
        let days = usize::try_from(days).unwrap_or(0).min(DAYS - 1);
        self.after[days] += 1.0;
    }

    pub(super) fn fade(&mut self, kept: f64) {
        for count in &mut self.after {
            *count *= kept;
        }
    }

    pub(super) fn are_known(&self) -> bool {
        self.after.iter().sum::<f64>() >= KNOWN_MIN
    }

    /// The share of them that comes back after so many days, from the first to the last of these.
    pub(super) fn between(&self, from: i64, to: i64) -> f64 {
        let sum = self.after.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let days = self.after.iter().zip(0_i64..);
        let days = days.filter(|(_, days)| (from..=to).contains(days));
        days.map(|(count, _)| count).sum::<f64>() / sum
    }
}
