//! A clock that stands still while events wait.

use std::sync::Arc;
use std::time::Duration;

use billingwatch_core::time::{Span, Timestamp};

use super::Spooling;
use crate::clock::Clock;
use crate::planted::{Planted, is_planted};

/// The time up to which everything that was received here is in the journal. The pump writes its
/// time into the journal's head, and no row can be received before that: by the plain clock, events
/// that waited in the spool would seem to have come only when it was emptied.
pub(crate) struct HeldClock {
    clock: Arc<dyn Clock>,
    spool: Arc<Spooling>,
}

impl HeldClock {
    pub(crate) fn new(clock: Arc<dyn Clock>, spool: Arc<Spooling>) -> Self {
        Self { clock, spool }
    }
}

impl Clock for HeldClock {
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        if is_planted(Planted::SpoolOutrun) {
            return now;
        }
        let oldest_at = self.spool.file.usage().oldest_at;
        oldest_at.map_or(now, |oldest_at| now.min(oldest_at))
    }

    fn steady(&self) -> Duration {
        self.clock.steady()
    }

    fn real_duration(&self, span: Span) -> Duration {
        self.clock.real_duration(span)
    }
}
