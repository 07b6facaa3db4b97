//! Journal → engine → alerts, outbox and cursor, one transaction a batch.
//!
//! The pump owns the engine and is driven a [`step`](Pump::step) at a time; threads are the
//! runtime's. What makes it safe to stop anywhere:
//!
//! - The cursor is committed **with** the alerts and deliveries that the rows before it caused, and
//!   only from the place this pump believes it stands at (compare and set).
//! - After any doubt (a failed commit, somebody else's commit, a panic in a detector) the engine in
//!   memory is thrown away and rebuilt from snapshot and journal up to the *committed* cursor, with
//!   its output dropped. Whether a commit reported as failed had happened is thus read, not guessed.
//! - Time comes from the journal's clock, which no later row can be before: see [`idle`](Pump).

mod collect;
mod rebuild;
mod reconcile;

use std::sync::Arc;

use billingwatch_alert::Route;
use billingwatch_core::alert::AlertChange;
use billingwatch_core::engine::{Applied, Engine, Registry, TICK};
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_store::{Cursor, EntryKind, Head, Lease, Step, StoreError};
use tokio::sync::broadcast;

pub(crate) use self::collect::Collected;
use self::rebuild::CatchUp;
use crate::clock::Clock;
use crate::error::PumpError;
use crate::planted::{Planted, is_planted};
use crate::ports::PipelineStore;
use crate::record::{Records, Row};
use crate::status::PumpCounters;
use crate::system_clock::Stopwatch;
use crate::tail::{Tail, TailRow};

/// The name of the engine's cursor and snapshots in the store.
pub const CONSUMER: &str = "engine";

/// Changes a slow subscriber may be behind before it loses the oldest.
const SUBSCRIBER_LAG_MAX: usize = 1024;

/// How much at a time, and how often a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct PumpOptions {
    /// Most rows a transaction.
    pub batch_rows: u16,
    /// Rows after which a snapshot is due: bounds what a restart reads again.
    pub snapshot_rows: u32,
    /// Time after which a snapshot is due, when any row came.
    pub snapshot_interval: Span,
    /// Time between two snapshots, however many rows came: a large state must not be written
    /// again and again while a backlog is read.
    pub snapshot_pause: Span,
}

impl Default for PumpOptions {
    fn default() -> Self {
        Self {
            batch_rows: 512,
            snapshot_rows: 20_000,
            snapshot_interval: Span::minutes(5),
            snapshot_pause: Span::secs(30),
        }
    }
}

/// What a step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Rows read and committed, or read again.
    pub rows: usize,
    /// Alert changes committed.
    pub changes: usize,
    /// Deliveries put into the outbox.
    pub deliveries: usize,
    /// The engine is being rebuilt: nothing new was applied.
    pub is_rebuilding: bool,
    /// There is nothing more to do before the next row or tick.
    pub is_idle: bool,
}

/// The engine's keeper.
pub struct Pump {
    store: Arc<dyn PipelineStore>,
    clock: Arc<dyn Clock>,
    registry: Registry,
    routes: Vec<Route>,
    options: PumpOptions,
    records: Records,
    state: State,
    counters: Arc<PumpCounters>,
    subscribers: broadcast::Sender<AlertChange>,
    /// What a failed commit would have published, and the cursor that tells whether it happened.
    doubtful: Option<(Cursor, Vec<AlertChange>)>,
    /// A commit was refused in a way that a change recorded before explains: numbers are looked up
    /// from then on.
    is_renumbering: bool,
    /// Under which the steps are, where the database is shared.
    lease: Option<Lease>,
    /// What this process's own writer has just committed.
    tail: Arc<Tail>,
}

enum State {
    /// No engine: to be loaded.
    Cold,
    /// An engine that has not reached the committed cursor yet.
    CatchingUp(Box<CatchUp>),
    /// An engine that stands at the committed cursor.
    Ready(Box<Ready>),
}

struct Ready {
    engine: Engine,
    cursor: Cursor,
    rows_since_snapshot: u32,
    snapshot_at: Timestamp,
}

impl std::fmt::Debug for Pump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pump").finish_non_exhaustive()
    }
}

impl Pump {
    /// A pump that has not looked at the store yet.
    #[must_use]
    pub fn new(
        store: Arc<dyn PipelineStore>,
        clock: Arc<dyn Clock>,
        registry: Registry,
        routes: Vec<Route>,
        options: PumpOptions,
    ) -> Self {
        Self {
            store,
            clock,
            registry,
            routes,
            options,
            records: Records::default(),
            state: State::Cold,
            counters: Arc::default(),
            subscribers: broadcast::Sender::new(SUBSCRIBER_LAG_MAX),
            doubtful: None,
            is_renumbering: false,
            lease: None,
            tail: Arc::default(),
        }
    }

    /// Takes the newest rows from here, as far as they are here.
    pub(crate) fn follow(&mut self, tail: Arc<Tail>) {
        self.tail = tail;
    }

    /// Alert changes as they are committed, from now on. A subscriber that falls behind by 1,024
    /// loses the oldest: the outbox is what must not lose any.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<AlertChange> {
        self.subscribers.subscribe()
    }

    /// Where changes are published, for subscribing after the pump has moved to its thread.
    #[must_use]
    pub fn publisher(&self) -> broadcast::Sender<AlertChange> {
        self.subscribers.clone()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Arc<PumpCounters> {
        Arc::clone(&self.counters)
    }

    /// Whether an engine stands at the committed cursor.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// Whether a lease decides who pumps.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    /// The store it works on.
    pub(crate) fn store(&self) -> Arc<dyn PipelineStore> {
        Arc::clone(&self.store)
    }

    /// The lease under which the next steps are committed; `None` where one process has the database
    /// to itself.
    pub fn set_lease(&mut self, lease: Option<Lease>) {
        self.counters.is_following.set(0);
        self.lease = lease;
    }

    /// Reads how far another process's engine has come, for those who ask this one.
    ///
    /// # Errors
    /// When the store fails.
    pub fn observe(&mut self) -> Result<(), PumpError> {
        self.state = State::Cold;
        self.tail.clear();
        let head = self.store.head()?;
        self.counters.head_seq.raise_to(head.last_seq);
        if let Some(cursor) = self.store.cursor(CONSUMER)? {
            self.note_cursor(cursor);
        }
        self.counters.is_ready.set(1);
        self.counters.is_following.set(1);
        Ok(())
    }

    /// Forgets the engine; the next steps rebuild it from snapshot and journal.
    pub fn reset(&mut self) {
        self.state = State::Cold;
    }

    /// Does one thing: load, read some rows again, apply some new rows, or pass some ticks.
    ///
    /// # Errors
    /// When the store fails. Nothing is lost or repeated: call it again.
    pub fn step(&mut self) -> Result<StepReport, PumpError> {
        // The state is taken out and put back only on success, so that an error or a panic on the
        // way leaves none: a half-applied engine is never used again.
        let outcome = match std::mem::replace(&mut self.state, State::Cold) {
            State::Cold => self.load(),
            State::CatchingUp(catch_up) => self.catch_up(catch_up),
            State::Ready(ready) => self.advance(ready),
        };
        if outcome.is_err() {
            self.counters.failures.add(1);
        }
        self.counters.is_ready.set(i64::from(self.is_ready()));
        outcome
    }

    /// Keeps a snapshot of where the pump stands, so that the next start has little to read.
    ///
    /// # Errors
    /// As [`step`](Pump::step).
    pub fn flush(&mut self) -> Result<(), PumpError> {
        let State::Ready(mut ready) = std::mem::replace(&mut self.state, State::Cold) else {
            return Ok(());
        };
        if ready.rows_since_snapshot > 0 {
            let cursor = ready.cursor;
            self.commit(&mut ready, cursor, Collected::default(), true)?;
        }
        self.state = State::Ready(ready);
        Ok(())
    }

    fn advance(&mut self, mut ready: Box<Ready>) -> Result<StepReport, PumpError> {
        let limit = self.options.batch_rows.max(1);
        let fresh = self.tail.take_after(ready.cursor.seq, limit.into());
        let stored = if fresh.is_empty() {
            match self.store.read_after(ready.cursor.seq, limit.into()) {
                Ok(rows) => rows,
                Err(error) => {
                    // Nothing was applied: the engine is still good.
                    self.state = State::Ready(ready);
                    return Err(error.into());
                }
            }
        } else {
            Vec::new()
        };
        let fresh = fresh.iter().filter_map(TailRow::row);
        let rows: Vec<Row<'_>> = fresh.chain(stored.iter().map(Row::from)).collect();
        let Some(last) = rows.last() else {
            return self.idle(ready);
        };
        let cursor = Cursor {
            seq: last.seq,
            at: rows
                .iter()
                .fold(ready.cursor.at, |at, row| at.max(row.received_at)),
        };
        let stopwatch = Stopwatch::start();
        let collected = self.apply(&mut ready.engine, &rows);
        let changes = collected.changes.len();
        self.counters.engine_time.observe(stopwatch.elapsed());
        ready.rows_since_snapshot = ready
            .rows_since_snapshot
            .saturating_add(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        let is_due = self.is_snapshot_due(&ready);
        let deliveries = self.commit(&mut ready, cursor, collected, is_due)?;
        self.counters.rows.add(rows.len());
        let report = StepReport {
            rows: rows.len(),
            changes,
            deliveries,
            ..StepReport::default()
        };
        self.state = State::Ready(ready);
        Ok(report)
    }

    /// Lets time pass when no row waits.
    ///
    /// "Now" is first written into the journal's clock: from then on no row can be received before
    /// it, so ticks up to now are crossed in the same place by any replay. Skipped while no tick
    /// lies between engine time and now, since then nothing could happen.
    fn idle(&mut self, mut ready: Box<Ready>) -> Result<StepReport, PumpError> {
        let idle = StepReport {
            is_idle: true,
            ..StepReport::default()
        };
        let now = self.clock.now();
        if now.floor_to(TICK) <= ready.engine.now().floor_to(TICK) {
            self.state = State::Ready(ready);
            return Ok(idle);
        }
        let touched = if is_planted(Planted::TimePassedUnwritten) {
            let head = self.store.head();
            head.map(|head| Head { at: now, ..head })
        } else {
            self.store.touch_head(now)
        };
        let head = match touched {
            Ok(head) => head,
            Err(error) => {
                self.state = State::Ready(ready);
                return Err(error.into());
            }
        };
        self.counters.head_seq.raise_to(head.last_seq);
        if head.last_seq > ready.cursor.seq {
            // Rows came in between: they are before `head.at` and go first.
            self.state = State::Ready(ready);
            return Ok(StepReport::default());
        }
        let stopwatch = Stopwatch::start();
        ready.engine.advance_to(head.at);
        let collected = Collected::take(&mut ready.engine);
        self.counters.engine_time.observe(stopwatch.elapsed());
        let cursor = Cursor {
            seq: ready.cursor.seq,
            at: ready.cursor.at.max(head.at),
        };
        let is_due = self.is_snapshot_due(&ready);
        let changes = collected.changes.len();
        let deliveries = self.commit(&mut ready, cursor, collected, is_due)?;
        let report = StepReport {
            changes,
            deliveries,
            ..idle
        };
        self.state = State::Ready(ready);
        Ok(report)
    }

    /// Applies rows and gathers what comes of them.
    fn apply(&mut self, engine: &mut Engine, rows: &[Row<'_>]) -> Collected {
        for row in rows.iter().copied() {
            self.apply_row(engine, row, true);
        }
        Collected::take(engine)
    }

    /// Applies one row; one that nobody can read is passed over, and time still passes.
    fn apply_row(&mut self, engine: &mut Engine, row: Row<'_>, is_counted: bool) {
        let record = match self.records.read(row) {
            Ok(record) => record,
            Err(reason) => {
                if is_counted {
                    self.counters.unreadable.add(1);
                    tracing::warn!(
                        seq = row.seq,
                        reason,
                        "journal row {} cannot be read",
                        row.seq
                    );
                }
                engine.advance_to(row.received_at);
                return;
            }
        };
        let applied = engine.apply(&record);
        if !is_counted {
            return;
        }
        if row.kind == EntryKind::Event {
            self.counters
                .last_event_at_ms
                .raise_to(row.received_at.as_millis());
        }
        match applied {
            Applied::Duplicate => self.counters.duplicates.add(1),
            Applied::Refused(reason) => {
                self.counters.rejected.add(1);
                tracing::warn!(
                    seq = row.seq,
                    reason,
                    "journal row {} was refused by the engine",
                    row.seq
                );
            }
            Applied::New => {}
        }
    }

    /// Commits everything at once; the number of deliveries queued.
    fn commit(
        &mut self,
        ready: &mut Ready,
        cursor: Cursor,
        mut collected: Collected,
        with_snapshot: bool,
    ) -> Result<usize, PumpError> {
        if self.is_renumbering {
            collected.renumber(self.store.as_ref())?;
        }
        let deliveries = collected.deliveries(&self.routes, self.store.as_ref())?;
        let snapshot = if with_snapshot {
            Some(ready.engine.snapshot()?)
        } else {
            None
        };
        let stopwatch = Stopwatch::start();
        let outcome = self.store.commit_step(&Step {
            consumer: CONSUMER,
            expected: ready.cursor,
            cursor,
            lease: self.lease.as_ref(),
            changes: &collected.changes,
            updates: &collected.updates,
            suppressed: &collected.suppressed,
            deliveries: &deliveries,
            snapshot: snapshot.as_deref(),
        });
        self.counters.commit_time.observe(stopwatch.elapsed());
        if let Err(error) = outcome {
            // Neither the store's weather nor a rival: perhaps a change it has already.
            self.is_renumbering |= !error.is_transient()
                && !matches!(
                    error,
                    StoreError::CursorMoved { .. } | StoreError::LeaseLost { .. }
                );
            self.doubtful = Some((cursor, collected.changes));
            if is_planted(Planted::EngineKeptAfterFailure) {
                return Ok(0);
            }
            return Err(error.into());
        }
        ready.cursor = cursor;
        if with_snapshot {
            ready.rows_since_snapshot = 0;
            ready.snapshot_at = self.clock.now();
            self.counters.snapshots.add(1);
        }
        self.counters.deliveries.add(deliveries.len());
        self.counters.suppressed.add(collected.suppressed.len());
        self.note_cursor(cursor);
        self.publish(&collected.changes);
        Ok(deliveries.len())
    }

    fn is_snapshot_due(&self, ready: &Ready) -> bool {
        let age = self.clock.now().since(ready.snapshot_at);
        let rows = ready.rows_since_snapshot;
        (rows >= self.options.snapshot_rows.max(1) && age >= self.options.snapshot_pause)
            || (rows > 0 && age >= self.options.snapshot_interval)
    }

    fn note_cursor(&self, cursor: Cursor) {
        self.counters.cursor_seq.set(cursor.seq);
        self.counters.head_seq.raise_to(cursor.seq);
        self.counters.cursor_at_ms.set(cursor.at.as_millis());
    }

    fn publish(&self, changes: &[AlertChange]) {
        for change in changes {
            let alert = &change.alert;
            self.counters
                .count_change(&alert.detector, alert.status, alert.severity);
            // Nobody listening is not an error.
            let _ = self.subscribers.send(change.clone());
        }
    }
}
