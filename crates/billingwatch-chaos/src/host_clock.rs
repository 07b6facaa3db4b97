//! What time it is for a process, and how long its sleeps are by the world's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::Clock;

/// A process's clock: the world's, and how far it is off.
#[derive(Debug)]
pub(crate) struct HostClock {
    pub(crate) now_ms: Arc<AtomicI64>,
    pub(crate) skew_ms: AtomicI64,
    /// As `skew_ms`, for minutes.
    pub(crate) leap_ms: AtomicI64,
}

impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        let now = self.now_ms.load(Ordering::SeqCst);
        let off = self.skew_ms.load(Ordering::SeqCst) + self.leap_ms.load(Ordering::SeqCst);
        Timestamp::from_millis(now + off)
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now_ms.load(Ordering::SeqCst)).unwrap_or(0))
    }
}

/// A machine's duration, so many times over, within a month.
pub(crate) fn span_of(duration: Duration, times: i64) -> Span {
    let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Span::millis(millis.saturating_mul(times).clamp(1, 86_400_000 * 30))
}
