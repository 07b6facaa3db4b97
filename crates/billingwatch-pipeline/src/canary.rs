//! A canary: now and then an entry of our own goes the way of every event — queue, durable commit,
//! engine, the transaction of what was found — and is timed on it.
//!
//! It tells apart "no event came" and "events no longer get through". It changes nothing: to the
//! engine it is time passing.

use std::sync::Arc;
use std::time::Duration;

use billingwatch_store::NewEntry;

use crate::clock::Clock;
use crate::ingest::{Ingest, Receipt};
use crate::status::{CanaryCounters, PumpCounters};
use crate::supervise::{LoopControl, Next};
use crate::system_clock::Stopwatch;

/// A canary that is not through by then has failed: what takes so long, takes an alert as long.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// How long after the start the first is sent, and how soon after one that failed the next.
const SOON: Duration = Duration::from_secs(60);

/// How often to look whether one on its way is through; its latency is known this exactly.
const LOOK: Duration = Duration::from_millis(5);

/// Sends canaries, one at a time.
pub(crate) struct CanaryLoop {
    ingest: Ingest,
    pump: Arc<PumpCounters>,
    clock: Arc<dyn Clock>,
    counters: Arc<CanaryCounters>,
    control: Arc<LoopControl>,
    interval: Duration,
    stage: Stage,
}

/// Where the canary is.
enum Stage {
    /// At home: the process has just begun.
    Fresh,
    /// At home.
    Home,
    /// On its way into the journal.
    Queued(Receipt, Stopwatch),
    /// In the journal, at this place; the engine has not committed it yet.
    Kept(i64, Stopwatch),
}

impl CanaryLoop {
    pub(crate) fn new(
        ingest: Ingest,
        pump: Arc<PumpCounters>,
        clock: Arc<dyn Clock>,
        counters: Arc<CanaryCounters>,
        interval: Duration,
    ) -> Self {
        Self {
            ingest,
            pump,
            clock,
            counters,
            control: LoopControl::new("canary", Arc::default()),
            interval,
            stage: Stage::Fresh,
        }
    }

    pub(crate) fn control(&self) -> Arc<LoopControl> {
        Arc::clone(&self.control)
    }

    /// Sends one, or looks where it is.
    pub(crate) fn step(&mut self) -> Next {
        if self.control.is_stopping() {
            return Next::Done;
        }
        match std::mem::replace(&mut self.stage, Stage::Home) {
            Stage::Fresh => Next::Sleep(self.interval.min(SOON)),
            Stage::Home => match self.ingest.submit(NewEntry::canary()) {
                Ok(receipt) => self.fly(Stage::Queued(receipt, Stopwatch::start())),
                Err(error) => self.fail(&error.to_string()),
            },
            Stage::Queued(mut receipt, since) => match receipt.poll_now() {
                Some(Ok(received)) => match received.seq {
                    Some(seq) => self.look(seq, since),
                    None => self.fail("the journal is away"),
                },
                Some(Err(error)) => self.fail(&error.to_string()),
                None if since.elapsed() >= TIME_LIMIT => {
                    self.fail("the journal did not take it within a minute")
                }
                None => self.fly(Stage::Queued(receipt, since)),
            },
            Stage::Kept(seq, since) => self.look(seq, since),
        }
    }

    fn fly(&mut self, stage: Stage) -> Next {
        self.stage = stage;
        Next::Sleep(LOOK)
    }

    fn look(&mut self, seq: i64, since: Stopwatch) -> Next {
        if self.pump.cursor_seq.get() >= seq {
            self.counters.note_passed(since.elapsed(), self.clock.now());
            return Next::Sleep(self.interval);
        }
        if since.elapsed() >= TIME_LIMIT {
            return self.fail("the detectors did not get to it within a minute");
        }
        self.fly(Stage::Kept(seq, since))
    }

    fn fail(&self, reason: &str) -> Next {
        self.counters.note_failed();
        tracing::warn!(reason, "a canary did not come through: {reason}");
        Next::Sleep(self.interval.min(SOON))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use billingwatch_core::time::Timestamp;
    use billingwatch_store::{EntryKind, Store, StoreOptions};

    use super::*;
    use crate::clock::ManualClock;
    use crate::ingest::{IngestOptions, IngestWriter};
    use crate::pump::{Pump, PumpOptions};
    use crate::testing::probe_registry;

    struct Path {
        store: Store,
        writer: IngestWriter,
        pump: Pump,
        canary: CanaryLoop,
        ingest: Ingest,
    }

    fn path() -> Path {
        let store = Store::open(&StoreOptions::new("sqlite::memory:")).unwrap();
        store.migrate().unwrap();
        let shared = Arc::new(store.clone());
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
        let (ingest, writer) = Ingest::new(
            shared.clone(),
            Arc::clone(&clock),
            IngestOptions::default(),
            Arc::default(),
        );
        let pump = Pump::new(
            shared,
            Arc::clone(&clock),
            probe_registry(),
            Vec::new(),
            PumpOptions::default(),
        );
        let canary = CanaryLoop::new(
            ingest.clone(),
            pump.counters(),
            clock,
            Arc::default(),
            Duration::from_secs(3600),
        );
        Path {
            store,
            writer,
            pump,
            canary,
            ingest,
        }
    }

    fn sleeps(next: &Next, duration: Duration) -> bool {
        matches!(next, Next::Sleep(slept) if *slept == duration)
    }

    #[test]
    fn it_is_through_only_when_the_engine_has_committed_it() {
        let mut path = path();
        let counters = Arc::clone(&path.canary.counters);
        assert!(sleeps(&path.canary.step(), SOON));
        assert!(sleeps(&path.canary.step(), LOOK), "queued");
        assert!(sleeps(&path.canary.step(), LOOK), "nobody has written it");
        assert!(path.writer.run_once());
        assert!(sleeps(&path.canary.step(), LOOK), "nobody has pumped it");
        assert_eq!(counters.read().passed, 0);
        while !path.pump.step().unwrap().is_idle {}
        assert!(sleeps(&path.canary.step(), Duration::from_secs(3600)));
        let reading = counters.read();
        assert_eq!((reading.passed, reading.failed), (1, 0));
        assert!(reading.last_passed_at.is_some());
        let rows = path.store.read_after(0, 10).unwrap();
        assert_eq!(rows[0].kind, EntryKind::Canary);
        assert_eq!(
            path.pump.counters().last_event_at_ms.get(),
            0,
            "a canary is no event"
        );
    }

    #[test]
    fn one_that_is_refused_has_failed_and_the_next_comes_soon() {
        let mut path = path();
        path.ingest.close();
        let _first = path.canary.step();
        assert!(sleeps(&path.canary.step(), SOON));
        let reading = path.canary.counters.read();
        assert!(reading.is_failing);
        assert_eq!((reading.passed, reading.failed), (0, 1));
    }
}
