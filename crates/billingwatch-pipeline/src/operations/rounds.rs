//! The loop that looks at the others, records what goes wrong, and tells it: through the outbox, or
//! past it while nothing can be recorded.

use std::sync::Arc;
use std::time::Duration;

use billingwatch_alert::Route;
use billingwatch_core::alert::AlertChange;

use super::record::record;
use super::{Operations, Reading};
use crate::clock::Clock;
use crate::direct::{self, Direct};
use crate::error::PumpError;
use crate::ports::PipelineStore;
use crate::status::PipelineStatus;
use crate::supervise::Next;
use crate::wake::Wake;

/// How long recording must have failed before anybody is told past the outbox: a lock that another
/// process holds for a moment is no reason.
const DIRECT_PATIENCE: Duration = Duration::from_secs(5);

/// Changes that wait to be recorded at most. A condition begins and ends with minutes between.
const UNRECORDED_MAX: usize = 64;

/// The ways to the channels, in one order.
pub(crate) struct Telling {
    pub(crate) routes: Vec<Route>,
    pub(crate) wakes: Vec<Arc<Wake>>,
    pub(crate) direct: Vec<Arc<Direct>>,
}

struct Unrecorded {
    change: AlertChange,
    /// Past the outbox.
    is_told: bool,
}

/// Looks at how the others fare, now and then, and tells what goes wrong.
pub(crate) struct OperationsLoop {
    store: Arc<dyn PipelineStore>,
    clock: Arc<dyn Clock>,
    telling: Telling,
    status: Box<dyn Fn() -> PipelineStatus + Send>,
    interval: Duration,
    operations: Operations,
    /// What is open agrees with what is recorded: not so at the start, when an earlier process may
    /// have left some, nor after a failed commit, which may have happened all the same.
    is_agreed: bool,
    /// Found, and not recorded yet.
    unrecorded: Vec<Unrecorded>,
    /// Since when recording fails, by the clock's steady time.
    failing_since: Option<Duration>,
}

impl OperationsLoop {
    pub(crate) fn new(
        store: Arc<dyn PipelineStore>,
        clock: Arc<dyn Clock>,
        telling: Telling,
        status: Box<dyn Fn() -> PipelineStatus + Send>,
        interval: Duration,
    ) -> Self {
        Self {
            store,
            clock,
            telling,
            status,
            interval,
            operations: Operations::default(),
            is_agreed: false,
            unrecorded: Vec::new(),
            failing_since: None,
        }
    }

    /// One look; the next comes an interval later.
    pub(crate) fn step(&mut self) -> Next {
        let status = (self.status)();
        // Of several processes on one database one speaks: else each would end what another began.
        if !status.is_leader {
            self.is_agreed = false;
            return Next::Sleep(self.interval);
        }
        match self.look(status) {
            Ok(()) => {
                self.failing_since = None;
                Next::Sleep(self.interval)
            }
            Err(error) => {
                self.is_agreed = false;
                self.tell_past_the_outbox();
                Next::Failed(error.to_string())
            }
        }
    }

    fn look(&mut self, status: PipelineStatus) -> Result<(), PumpError> {
        // What waits to be recorded is open, and the store knows nothing of it.
        let taken_up = if self.is_agreed || !self.unrecorded.is_empty() {
            Ok(())
        } else {
            self.store.open_alerts().map(|open| {
                self.operations.take_up(open);
                self.is_agreed = true;
            })
        };
        let at = self.clock.now();
        if self.unrecorded.len() < UNRECORDED_MAX {
            let changes = self.operations.look(&Reading {
                at,
                status,
                disk: self.store.disk_space(),
            });
            for change in &changes {
                let alert = &change.alert;
                tracing::warn!(
                    alert.key,
                    alert.status = alert.status.as_str(),
                    "{}",
                    alert.message
                );
            }
            self.unrecorded
                .extend(changes.into_iter().map(|change| Unrecorded {
                    change,
                    is_told: false,
                }));
        }
        taken_up?;
        self.record()
    }

    /// Records what waits for it.
    fn record(&mut self) -> Result<(), PumpError> {
        if self.failing_since.is_some() {
            // A commit that was reported as failed may have happened.
            for one in std::mem::take(&mut self.unrecorded) {
                let alert = &one.change.alert;
                let last_revision = self.store.last_revision(&alert.id);
                if !matches!(last_revision, Ok(last) if last >= alert.revision) {
                    self.unrecorded.push(one);
                }
            }
        }
        if self.unrecorded.is_empty() {
            return Ok(());
        }
        let changes = self.unrecorded.iter().map(|one| one.change.clone());
        let (store, at) = (self.store.as_ref(), self.clock.now());
        let deliveries = record(store, &self.telling.routes, changes.collect(), at)?;
        self.unrecorded.clear();
        if deliveries > 0 {
            self.telling.wakes.iter().for_each(|wake| wake.notify());
        }
        Ok(())
    }

    fn tell_past_the_outbox(&mut self) {
        let now = self.clock.steady();
        let since = *self.failing_since.get_or_insert(now);
        if now.saturating_sub(since) < DIRECT_PATIENCE {
            return;
        }
        let untold = self.unrecorded.iter_mut().filter(|one| !one.is_told);
        let untold: Vec<&AlertChange> = untold
            .map(|one| {
                one.is_told = true;
                &one.change
            })
            .collect();
        if untold.is_empty() {
            return;
        }
        let Telling {
            routes,
            wakes,
            direct,
        } = &self.telling;
        direct::tell(routes, direct, &untold);
        wakes.iter().for_each(|wake| wake.notify());
    }
}

#[cfg(test)]
mod tests;
