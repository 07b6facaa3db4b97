//! What an operator needs to know of the loops, as plain numbers. Rendering them is the server's.
//!
//! Counters count from the start of the process; they are for graphs, and no decision reads them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use billingwatch_core::alert::{AlertStatus, Severity};
use billingwatch_core::time::Timestamp;
use billingwatch_store::Appended;

use crate::spool::SpoolStatus;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, n: usize) {
        self.0
            .fetch_add(u64::try_from(n).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that may be set; starts at 0.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Sets it when that is more than it was.
    pub fn raise_to(&self, value: i64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    /// Its value.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of a [`Histogram`]'s buckets, in microseconds: 100 µs to 10 s.
pub const BUCKETS_MICROS: [u64; 12] = [
    100, 250, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_000_000, 10_000_000,
];

/// How long something takes, in fixed buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS_MICROS.len() + 1],
    sum_micros: AtomicU64,
}

/// A [`Histogram`] as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistogramReading {
    /// (Upper bound in microseconds, how many took at most that long): cumulative, as Prometheus
    /// has it, without the last, unbounded bucket.
    pub at_most: Vec<(u64, u64)>,
    /// How many were seen in all.
    pub count: u64,
    /// Their sum in microseconds.
    pub sum_micros: u64,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let index = BUCKETS_MICROS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Reads it.
    #[must_use]
    pub fn read(&self) -> HistogramReading {
        let mut count = 0;
        let mut at_most = Vec::with_capacity(BUCKETS_MICROS.len());
        for (index, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            if let Some(bound) = BUCKETS_MICROS.get(index) {
                at_most.push((*bound, count));
            }
        }
        HistogramReading {
            at_most,
            count,
            sum_micros: self.sum_micros.load(Ordering::Relaxed),
        }
    }
}

/// Refusals farther apart than this are no run: each may be the lock of a moment.
const RUN_GAP: Duration = Duration::from_secs(60);

/// Refusals by the store with nothing taken in between.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Option<(Duration, Duration)>>);

/// A run of [`Refusals`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalRun {
    /// From the first to the last of them.
    pub lasted: Duration,
    /// How long ago the last was.
    pub ago: Duration,
}

impl Refusals {
    /// The store refused; `now` is a clock's steady time.
    pub(crate) fn note_refused(&self, now: Duration) {
        let mut run = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = run.filter(|(_, last)| now.saturating_sub(*last) <= RUN_GAP);
        *run = Some((known.map_or(now, |(first, _)| first), now));
    }

    /// The store took something.
    pub(crate) fn note_taken(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The run that nothing has ended yet.
    pub(crate) fn read(&self, now: Duration) -> Option<RefusalRun> {
        let run = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        run.map(|(first, last)| RefusalRun {
            lasted: last.saturating_sub(first),
            ago: now.saturating_sub(last),
        })
    }
}

/// What ingest counts.
#[derive(Debug, Default)]
pub struct IngestCounters {
    /// Entries now in the journal.
    pub received: Counter,
    /// Entries that were there already.
    pub duplicates: Counter,
    /// Entries refused because the queue was full.
    pub refused: Counter,
    /// Entries the store could not take.
    pub failed: Counter,
    /// When that was, until it took one.
    pub refusals: Refusals,
    /// Transactions that succeeded.
    pub batches: Counter,
    /// The last sequence number written by this process.
    pub last_seq: Gauge,
    /// How long a transaction takes.
    pub commit_time: Histogram,
    /// How long the last few that succeeded took, in microseconds, the oldest first.
    recent_micros: Mutex<VecDeque<u64>>,
    bad_signatures: Mutex<BTreeMap<String, u64>>,
}

/// Commits that are remembered to know what is usual.
const RECENT_COMMITS: usize = 8;

impl IngestCounters {
    /// Counts a transaction.
    pub(crate) fn note_commit(&self, duration: Duration, is_well: bool) {
        self.commit_time.observe(duration);
        if is_well {
            let mut recent = self
                .recent_micros
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if recent.len() == RECENT_COMMITS {
                recent.pop_front();
            }
            recent.push_back(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// What a transaction usually takes: the quickest of the last few, so that one which waited for
    /// another process's lock is not taken for a slow disk.
    #[must_use]
    pub fn usual_commit(&self) -> Duration {
        let recent = self
            .recent_micros
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Duration::from_micros(recent.iter().copied().min().unwrap_or(0))
    }

    /// Counts what an append did; whether anything was new.
    pub(crate) fn note_appended(&self, appended: &[Appended]) -> bool {
        let mut is_new = false;
        for row in appended {
            if row.is_duplicate {
                self.duplicates.add(1);
            } else {
                is_new = true;
                self.received.add(1);
                self.last_seq.raise_to(row.seq);
            }
        }
        is_new
    }

    /// Counts a post to a source whose signature did not verify. Sources are those configured, so
    /// this is bounded by them.
    pub fn count_bad_signature(&self, source: &str) {
        let mut counts = self
            .bad_signatures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(source) {
            Some(count) => *count += 1,
            None => {
                counts.insert(source.to_owned(), 1);
            }
        }
    }

    /// Posts whose signature did not verify, by source.
    #[must_use]
    pub fn bad_signatures(&self) -> BTreeMap<String, u64> {
        self.bad_signatures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// One kind of alert change, for counting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeKind {
    /// The detector.
    pub detector: String,
    /// What happened.
    pub status: &'static str,
    /// How bad it was.
    pub severity: Severity,
}

/// What the pump counts.
#[derive(Debug, Default)]
pub struct PumpCounters {
    /// Journal rows applied and committed.
    pub rows: Counter,
    /// Rows that told the engine nothing: the same change under another event id.
    pub duplicates: Counter,
    /// Rows whose body could not be read; kept, and passed over.
    pub unreadable: Counter,
    /// Settings entries and resolutions the engine refused.
    pub rejected: Counter,
    /// Findings recognised as harmless.
    pub suppressed: Counter,
    /// Deliveries put into the outbox.
    pub deliveries: Counter,
    /// Snapshots kept.
    pub snapshots: Counter,
    /// Times the engine was rebuilt from snapshot and journal.
    pub rebuilds: Counter,
    /// Steps that failed.
    pub failures: Counter,
    /// When they failed in the store, until one succeeded.
    pub refusals: Refusals,
    /// The last row committed.
    pub cursor_seq: Gauge,
    /// The last row known to be in the journal.
    pub head_seq: Gauge,
    /// Engine time as committed, milliseconds.
    pub cursor_at_ms: Gauge,
    /// 1 while another process on the same database runs the engine.
    pub is_following: Gauge,
    /// 1 while an engine stands at the committed cursor, 0 while it is rebuilt.
    pub is_ready: Gauge,
    /// When the newest event arrived, milliseconds; 0 before the first.
    pub last_event_at_ms: Gauge,
    /// How long a batch takes to parse and apply.
    pub engine_time: Histogram,
    /// How long the transaction of a batch takes.
    pub commit_time: Histogram,
    changes: Mutex<BTreeMap<ChangeKind, u64>>,
}

impl PumpCounters {
    /// Counts a change. Bounded by the number of detectors.
    pub(crate) fn count_change(&self, detector: &str, status: AlertStatus, severity: Severity) {
        let kind = ChangeKind {
            detector: detector.to_owned(),
            status: status.as_str(),
            severity,
        };
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        *changes.entry(kind).or_default() += 1;
    }

    /// Alert changes by kind.
    #[must_use]
    pub fn changes(&self) -> BTreeMap<ChangeKind, u64> {
        self.changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What one channel's deliverer counts.
#[derive(Debug, Default)]
pub struct DeliveryCounters {
    /// Attempts that were accepted.
    pub delivered: Counter,
    /// Attempts to be repeated.
    pub retried: Counter,
    /// Deliveries given up.
    pub gave_up: Counter,
    /// Steps that failed in the store.
    pub failures: Counter,
    /// Attempts that failed since the last that was accepted.
    pub failures_in_row: Gauge,
    /// When the first of those was made, milliseconds; 0 while there is none.
    pub failing_since_ms: Gauge,
    /// 1 once its target said that it is gone.
    pub is_disabled: Gauge,
    /// How long an attempt takes.
    pub send_time: Histogram,
}

impl DeliveryCounters {
    /// An attempt was accepted.
    pub(crate) fn note_accepted(&self) {
        self.failures_in_row.set(0);
        self.failing_since_ms.set(0);
    }

    /// An attempt failed.
    pub(crate) fn note_failed(&self, at: Timestamp) {
        // One thread writes: the channel's own.
        let failures = self.failures_in_row.get();
        if failures == 0 {
            self.failing_since_ms.set(at.as_millis());
        }
        self.failures_in_row.set(failures.saturating_add(1));
    }
}

/// What the canary counts.
#[derive(Debug, Default)]
pub struct CanaryCounters {
    passed: Counter,
    failed: Counter,
    latency: Histogram,
    last_latency_micros: Gauge,
    last_passed_at_ms: Gauge,
    is_failing: Gauge,
}

impl CanaryCounters {
    pub(crate) fn note_passed(&self, latency: Duration, at: Timestamp) {
        self.passed.add(1);
        self.latency.observe(latency);
        self.last_latency_micros
            .set(i64::try_from(latency.as_micros()).unwrap_or(i64::MAX));
        self.last_passed_at_ms.set(at.as_millis());
        self.is_failing.set(0);
    }

    pub(crate) fn note_failed(&self) {
        self.failed.add(1);
        self.is_failing.set(1);
    }

    pub(crate) fn read(&self) -> CanaryStatus {
        CanaryStatus {
            passed: self.passed.get(),
            failed: self.failed.get(),
            is_failing: self.is_failing.get() == 1,
            last_passed_at: instant(self.last_passed_at_ms.get()),
            last_latency_micros: self.last_latency_micros.get(),
            latency: self.latency.read(),
        }
    }
}

/// How the canaries fare.
#[derive(Clone, Debug, Default)]
pub struct CanaryStatus {
    /// Those that came through.
    pub passed: u64,
    /// Those that were refused, or took longer than a minute.
    pub failed: u64,
    /// The newest was one of those.
    pub is_failing: bool,
    /// When the newest came through that did.
    pub last_passed_at: Option<Timestamp>,
    /// How long it took; 0 before the first.
    pub last_latency_micros: i64,
    /// How long they take.
    pub latency: HistogramReading,
}

/// An instant kept as milliseconds, where 0 is none.
pub(crate) fn instant(millis: i64) -> Option<Timestamp> {
    (millis > 0).then(|| Timestamp::from_millis(millis))
}

/// How one loop fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopStatus {
    /// `ingest`, `pump` or `deliver:<channel>`.
    pub name: String,
    /// It runs, or sleeps until there is something to do.
    pub is_running: bool,
    /// Times it was started again after a panic.
    pub restarts: u64,
    /// The newest failure, until a step succeeds again.
    pub last_error: Option<String>,
}

/// How one channel fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelStatus {
    /// The channel.
    pub name: String,
    /// Attempts that were accepted.
    pub delivered: u64,
    /// Attempts to be repeated.
    pub retried: u64,
    /// Deliveries given up.
    pub gave_up: u64,
    /// Attempts that failed since the last that was accepted.
    pub failures_in_row: i64,
    /// When the first of those was made.
    pub failing_since: Option<Timestamp>,
    /// Its target said that it is gone: nothing is sent until the next start.
    pub is_disabled: bool,
    /// How long an attempt takes.
    pub send_time: HistogramReading,
}

/// Everything at one look. Costs no query.
#[derive(Clone, Debug, Default)]
pub struct PipelineStatus {
    /// Events and other entries taken in.
    pub received: u64,
    /// Entries that were there already.
    pub duplicates: u64,
    /// Entries refused because the queue was full.
    pub refused: u64,
    /// Entries the store could not take.
    pub failed: u64,
    /// The run of those that nothing has ended yet.
    pub events_refused: Option<RefusalRun>,
    /// The same of the engine's steps.
    pub steps_refused: Option<RefusalRun>,
    /// Posts whose signature did not verify, by source.
    pub bad_signatures: BTreeMap<String, u64>,
    /// Entries waiting to be written.
    pub queue_len: usize,
    /// What waits for the database to come back, where there is a spool.
    pub spool: Option<SpoolStatus>,
    /// How long a journal transaction takes.
    pub ingest_commit_time: HistogramReading,
    /// The last row known to be in the journal.
    pub last_seq: i64,
    /// The last row the engine has committed.
    pub cursor_seq: i64,
    /// Rows the engine has still to see.
    pub lag_rows: i64,
    /// How far engine time is behind the clock while rows wait; 0 when none do.
    pub lag_secs: i64,
    /// Engine time as committed.
    pub engine_now: Timestamp,
    /// When the newest event arrived that the engine has seen, in this process or before.
    pub last_event_at: Option<Timestamp>,
    /// Whether the engine is there, rather than being rebuilt.
    pub is_caught_up: bool,
    /// Whether this process runs the engine, rather than another one on the same database.
    pub is_leader: bool,
    /// Rows applied.
    pub rows: u64,
    /// The same change under another event id.
    pub duplicate_changes: u64,
    /// Rows whose body could not be read.
    pub unreadable: u64,
    /// Settings entries and resolutions the engine refused.
    pub rejected: u64,
    /// Findings recognised as harmless.
    pub suppressed: u64,
    /// Times the engine was rebuilt.
    pub rebuilds: u64,
    /// Snapshots kept.
    pub snapshots: u64,
    /// Alert changes by kind.
    pub changes: BTreeMap<ChangeKind, u64>,
    /// How long a batch takes to parse and apply.
    pub engine_time: HistogramReading,
    /// How long the transaction of a batch takes.
    pub pump_commit_time: HistogramReading,
    /// Each channel.
    pub channels: Vec<ChannelStatus>,
    /// Events deleted for their age or number.
    pub deleted_events: u64,
    /// Alerts deleted for their age.
    pub deleted_alerts: u64,
    /// The canaries; all zeros where none are sent.
    pub canary: CanaryStatus,
    /// Beats of the heartbeat, as (sent, failed, withheld); `None` where there is none.
    pub heartbeat: Option<(u64, u64, u64)>,
    /// Each loop.
    pub loops: Vec<LoopStatus>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_the_last_is_unbounded() {
        let histogram = Histogram::default();
        for micros in [100, 101, 3_000, 60_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let reading = histogram.read();
        assert_eq!(reading.at_most[0], (100, 1));
        assert_eq!(reading.at_most[1], (250, 2));
        assert_eq!(reading.at_most.last(), Some(&(10_000_000, 3)));
        assert_eq!((reading.count, reading.sum_micros), (4, 60_003_201));
    }
}
