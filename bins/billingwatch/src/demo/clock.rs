//! Simulated time: it stands where the show has put it, and runs with the real clock afterwards.
//!
//! Events are posted one after another, each when the clock has been set to its moment, so what the
//! detectors see does not depend on how fast this machine is.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::Clock;

/// The clock of the whole demo: server, ingest and engine read it.
#[derive(Debug)]
pub(super) struct DemoClock(Mutex<State>);

#[derive(Clone, Copy, Debug)]
struct State {
    at: Timestamp,
    running_since: Option<Instant>,
}

impl DemoClock {
    /// A clock that stands.
    pub(super) fn new(at: Timestamp) -> Self {
        Self(Mutex::new(State {
            at,
            running_since: None,
        }))
    }

    /// Puts it forward; never back.
    pub(super) fn advance_to(&self, at: Timestamp) {
        let mut state = self.lock();
        state.at = state.at.max(at);
    }

    /// Lets it run from here on, a second a second.
    pub(super) fn run(&self) {
        self.lock().running_since = Some(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for DemoClock {
    fn now(&self) -> Timestamp {
        let state = *self.lock();
        let run = state
            .running_since
            .map(|since| since.elapsed().as_millis())
            .unwrap_or_default();
        state.at + Span::millis(i64::try_from(run).unwrap_or(i64::MAX))
    }
}
