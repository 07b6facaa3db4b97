//! What time it is, as an argument: every loop is given a clock and none reads the machine's.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use billingwatch_core::time::{Span, Timestamp};

use crate::system_clock;

/// Says what time it is.
pub trait Clock: Send + Sync {
    /// The current instant. May stand still; loops bear it going back.
    fn now(&self) -> Timestamp;

    /// Time since some instant of this process's life: no step of the clock moves it. For durations
    /// on which something depends, such as a lease's.
    fn steady(&self) -> Duration {
        system_clock::steady()
    }

    /// Hears when an event that has just come in was signed, by the sender's clock: evidence for
    /// those that doubt their own.
    fn note_signed(&self, _signed_at: Timestamp) {}

    /// How long a thread sleeps for `span` of this clock to pass.
    fn real_duration(&self, span: Span) -> Duration {
        Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(0))
    }
}

/// A clock that moves when it is told to.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_millis()))
    }

    /// Puts it to an instant, which may lie in the past.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }

    /// Moves it on.
    pub fn advance(&self, span: Span) {
        self.set(self.now() + span);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}
