//! A store that fails on demand: before a call, or after it has happened.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use billingwatch_core::alert::Alert;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_store::{
    Appended, Attempt, Cursor, Delivery, Head, JournalEntry, Lease, NewEntry, SettingsOverride,
    Snapshot, Step, StoreError,
};

use crate::ports::PipelineStore;

/// A call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of that name")]
pub enum Op {
    Append,
    TouchHead,
    Head,
    ReadAfter,
    Cursor,
    Snapshots,
    CommitStep,
    AcquireLease,
    ReleaseLease,
    ListSettings,
    ChannelsTold,
    OpenAlerts,
    LastRevision,
    Attempts,
    LeaseDue,
    Settle,
    DisableChannel,
    NextDueAt,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails and nothing happened.
    Before,
    /// It happened, and is reported as failed.
    After,
    /// The thread panics before it.
    Panic,
}

type Interlude = Box<dyn FnOnce() + Send>;

/// A store that fails on demand.
pub struct FaultyStore {
    inner: Arc<dyn PipelineStore>,
    interlude: Mutex<Option<(Op, Interlude)>>,
    planned: Mutex<VecDeque<(Op, Fault)>>,
    at_call: Mutex<Option<(usize, Fault)>>,
    calls: AtomicUsize,
    is_shared: AtomicBool,
    is_away: AtomicBool,
    refused: Mutex<Option<String>>,
}

impl std::fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultyStore").finish_non_exhaustive()
    }
}

impl FaultyStore {
    /// A store that works, until told otherwise.
    #[must_use]
    pub fn new(inner: Arc<dyn PipelineStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            interlude: Mutex::default(),
            planned: Mutex::default(),
            at_call: Mutex::default(),
            calls: AtomicUsize::new(0),
            is_shared: AtomicBool::new(false),
            is_away: AtomicBool::new(false),
            refused: Mutex::default(),
        })
    }

    /// The next call of this operation that has no earlier fault planned fails, once.
    pub fn fail_next(&self, op: Op, fault: Fault) {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.push_back((op, fault));
    }

    /// From now on other processes are taken to work on it too.
    pub fn share(&self) {
        self.is_shared.store(true, Ordering::SeqCst);
    }

    /// From now on every call fails, or none does.
    pub fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    /// From now on an append with this event fails for a reason that does not pass.
    pub fn refuse_event(&self, event_id: Option<&str>) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = event_id.map(str::to_owned);
    }

    fn check_refused(&self, entries: &[NewEntry]) -> Result<(), StoreError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |event_id: &String| {
            entries
                .iter()
                .any(|e| e.event_id.as_ref() == Some(event_id))
        };
        match refused.as_ref().filter(|event_id| has(event_id)) {
            Some(event_id) => Err(StoreError::Database {
                database: "test".to_owned(),
                reason: format!("it will never take {event_id}"),
            }),
            None => Ok(()),
        }
    }

    /// What happens elsewhere right after the next call of this operation, before its caller goes
    /// on: the order that a busy machine brings once in a thousand runs.
    pub fn after_next(&self, op: Op, interlude: impl FnOnce() + Send + 'static) {
        *self
            .interlude
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some((op, Box::new(interlude)));
    }

    fn play_interlude(&self, op: Op) {
        let interlude = self
            .interlude
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_if(|(planned, _)| *planned == op);
        if let Some((_, interlude)) = interlude {
            interlude();
        }
    }

    /// The call of this number (from 0, of any operation) fails, once.
    pub fn fail_at_call(&self, call: usize, fault: Fault) {
        *self.at_call.lock().unwrap_or_else(PoisonError::into_inner) = Some((call, fault));
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn take_fault(&self, op: Op) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let mut at_call = self.at_call.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, fault)) = at_call.take_if(|(planned, _)| *planned == call) {
            return Some(fault);
        }
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let index = planned.iter().position(|(planned, _)| *planned == op)?;
        planned.remove(index).map(|(_, fault)| fault)
    }

    #[expect(clippy::panic, reason = "asked for by the test")]
    fn call<T>(
        &self,
        op: Op,
        work: impl FnOnce(&dyn PipelineStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.take_fault(op) {
            None if self.is_away.load(Ordering::SeqCst) => Err(failure(op)),
            None => {
                let outcome = work(self.inner.as_ref());
                self.play_interlude(op);
                outcome
            }
            Some(Fault::Panic) => panic!("a planned panic in {op:?}"),
            Some(Fault::Before) => Err(failure(op)),
            Some(Fault::After) => {
                work(self.inner.as_ref())?;
                Err(failure(op))
            }
        }
    }
}

fn failure(op: Op) -> StoreError {
    StoreError::Unreachable {
        database: "test".to_owned(),
        reason: format!("a planned failure of {op:?}"),
    }
}

impl PipelineStore for FaultyStore {
    fn append(&self, entries: &[NewEntry], now: Timestamp) -> Result<Vec<Appended>, StoreError> {
        self.check_refused(entries)?;
        self.call(Op::Append, |store| store.append(entries, now))
    }

    fn touch_head(&self, now: Timestamp) -> Result<Head, StoreError> {
        self.call(Op::TouchHead, |store| store.touch_head(now))
    }

    fn head(&self) -> Result<Head, StoreError> {
        self.call(Op::Head, |store| store.head())
    }

    fn read_after(&self, seq: i64, limit: i64) -> Result<Vec<JournalEntry>, StoreError> {
        self.call(Op::ReadAfter, |store| store.read_after(seq, limit))
    }

    fn cursor(&self, consumer: &str) -> Result<Option<Cursor>, StoreError> {
        self.call(Op::Cursor, |store| store.cursor(consumer))
    }

    fn snapshots(&self, consumer: &str) -> Result<Vec<Snapshot>, StoreError> {
        self.call(Op::Snapshots, |store| store.snapshots(consumer))
    }

    fn commit_step(&self, step: &Step<'_>) -> Result<(), StoreError> {
        self.call(Op::CommitStep, |store| store.commit_step(step))
    }

    fn is_shared(&self) -> bool {
        self.is_shared.load(Ordering::SeqCst) || self.inner.is_shared()
    }

    fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        ttl: Span,
    ) -> Result<Option<Lease>, StoreError> {
        self.call(Op::AcquireLease, |store| {
            store.acquire_lease(name, holder, ttl)
        })
    }

    fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        self.call(Op::ReleaseLease, |store| store.release_lease(lease))
    }

    fn list_settings(&self) -> Result<Vec<SettingsOverride>, StoreError> {
        self.call(Op::ListSettings, |store| store.list_settings())
    }

    fn channels_told(&self, alert_id: &str) -> Result<Vec<String>, StoreError> {
        self.call(Op::ChannelsTold, |store| store.channels_told(alert_id))
    }

    fn open_alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.call(Op::OpenAlerts, |store| store.open_alerts())
    }

    fn last_revision(&self, alert_id: &str) -> Result<u32, StoreError> {
        self.call(Op::LastRevision, |store| store.last_revision(alert_id))
    }

    fn attempts(&self, delivery: &Delivery) -> Result<Vec<Attempt>, StoreError> {
        self.call(Op::Attempts, |store| store.attempts(delivery))
    }

    fn lease_due(
        &self,
        channel: &str,
        now: Timestamp,
        lease: Span,
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.call(Op::LeaseDue, |store| {
            store.lease_due(channel, now, lease, limit)
        })
    }

    fn settle(
        &self,
        delivery_id: i64,
        attempt: &Attempt,
        next_attempt_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.call(Op::Settle, |store| {
            store.settle(delivery_id, attempt, next_attempt_at)
        })
    }

    fn disable_channel(&self, name: &str, reason: &str, at: Timestamp) -> Result<(), StoreError> {
        self.call(Op::DisableChannel, |store| {
            store.disable_channel(name, reason, at)
        })
    }

    fn next_due_at(&self, channel: &str) -> Result<Option<Timestamp>, StoreError> {
        self.call(Op::NextDueAt, |store| store.next_due_at(channel))
    }
}
