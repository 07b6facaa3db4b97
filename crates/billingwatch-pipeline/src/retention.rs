//! Retention as a loop of low priority: each step is one short transaction, and then it rests four
//! times as long as that took, so that ingest has the journal for most of the time.
//!
//! What is deleted, and what never is, is said in `billingwatch-store`'s `retention`. A round begins
//! with the alerts, as the events they named may go with them, looks at one source after the other,
//! and ends with giving space back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use billingwatch_core::time::Span;
use billingwatch_store::retention::Keep;
use billingwatch_store::{Store, StoreError};

use crate::clock::Clock;
use crate::status::Counter;
use crate::supervise::{LoopControl, Next};
use crate::system_clock::Stopwatch;

/// Time between two rounds.
const ROUND: Duration = Duration::from_secs(600);

/// How many times as long as a step took the loop rests after it.
const REST: u32 = 4;

/// What is kept, and how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Events of sources that are not named.
    pub events: Keep,
    /// Events of one source, by its name.
    pub sources: BTreeMap<String, Keep>,
    /// Alerts that have ended, counted from their end; `None` is for ever.
    pub alerts_age: Option<Span>,
}

impl RetentionPolicy {
    fn of(&self, source: &str) -> Keep {
        self.sources.get(source).copied().unwrap_or(self.events)
    }
}

/// What retention counts.
#[derive(Debug, Default)]
pub struct RetentionCounters {
    /// Events deleted.
    pub events: Counter,
    /// Alerts deleted.
    pub alerts: Counter,
}

/// The loop.
pub struct RetentionLoop {
    store: Store,
    clock: Arc<dyn Clock>,
    policy: RetentionPolicy,
    control: Arc<LoopControl>,
    counters: Arc<RetentionCounters>,
    work: Work,
}

/// What is next in a round.
enum Work {
    Alerts,
    Events(Vec<String>),
    Space,
}

impl std::fmt::Debug for RetentionLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RetentionLoop")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl RetentionLoop {
    /// A loop that has done nothing yet.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, policy: RetentionPolicy) -> Self {
        Self {
            store,
            clock,
            policy,
            control: LoopControl::new("retention", Arc::default()),
            counters: Arc::default(),
            work: Work::Alerts,
        }
    }

    /// What it shares with those who watch and stop it.
    #[must_use]
    pub fn control(&self) -> Arc<LoopControl> {
        Arc::clone(&self.control)
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Arc<RetentionCounters> {
        Arc::clone(&self.counters)
    }

    /// One short transaction, or the end of a round.
    pub fn step(&mut self) -> Next {
        if self.control.is_stopping() {
            return Next::Done;
        }
        let stopwatch = Stopwatch::start();
        match self.work() {
            Ok(true) => Next::Pause(stopwatch.elapsed() * REST),
            Ok(false) => Next::Sleep(ROUND),
            Err(error) => Next::Failed(error.to_string()),
        }
    }

    /// Does one thing; whether the round goes on.
    fn work(&mut self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        match &mut self.work {
            Work::Alerts => {
                let gone = match self.policy.alerts_age {
                    Some(age) => self.store.delete_old_alerts(now - age)?,
                    None => 0,
                };
                self.counters.alerts.add(gone);
                if gone == 0 {
                    let usage = self.store.usage()?;
                    self.work = Work::Events(usage.into_iter().map(|row| row.source).collect());
                }
                Ok(true)
            }
            Work::Events(sources) => {
                let Some(source) = sources.last() else {
                    self.work = Work::Space;
                    return Ok(true);
                };
                let keep = self.policy.of(source);
                let deleted = self.store.delete_old_events(source, keep, now)?;
                self.counters.events.add(deleted.events);
                if deleted.is_done {
                    sources.pop();
                }
                Ok(true)
            }
            Work::Space => {
                let is_more = self.store.return_space()?;
                if !is_more {
                    self.work = Work::Alerts;
                }
                Ok(is_more)
            }
        }
    }
}
