//! The only reader of the machine's clocks: the wall clock for "now", the steady one for durations.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use billingwatch_core::time::{Span, Timestamp};

use crate::clock::Clock;

/// The wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
    fn now(&self) -> Timestamp {
        // A clock before 1970 reads as 1970: nothing here can be done about it.
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Timestamp::from_millis(millis(since.unwrap_or_default()))
    }
}

/// Time since the first call in this process, by the machine's steady clock.
pub(crate) fn steady() -> Duration {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    FIRST.elapsed()
}

/// A clock that starts at a given instant and runs a number of times as fast as the real one.
#[derive(Clone, Debug)]
pub struct ScaledClock {
    starts_at: Timestamp,
    factor: u32,
    started: Instant,
}

impl ScaledClock {
    /// A clock that shows `starts_at` now; a factor of 0 counts as 1.
    #[must_use]
    pub fn new(starts_at: Timestamp, factor: u32) -> Self {
        Self {
            starts_at,
            factor: factor.max(1),
            started: Instant::now(),
        }
    }
}

impl Clock for ScaledClock {
    fn now(&self) -> Timestamp {
        let elapsed = millis(self.started.elapsed());
        self.starts_at + Span::millis(elapsed.saturating_mul(i64::from(self.factor)))
    }

    fn real_duration(&self, span: Span) -> Duration {
        Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(0)) / self.factor
    }
}

/// How long something took, for counters and attempts; never part of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Milliseconds since the start; saturates.
    #[must_use]
    pub fn elapsed_ms(&self) -> i64 {
        millis(self.0.elapsed())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_clock_starts_where_it_is_told_and_sleeps_less() {
        let start = Timestamp::from_secs(1_700_000_000);
        let clock = ScaledClock::new(start, 600);
        assert!(clock.now() >= start);
        assert_eq!(
            clock.real_duration(Span::minutes(10)),
            Duration::from_secs(1)
        );
        assert_eq!(ScaledClock::new(start, 0).factor, 1);
    }
}
