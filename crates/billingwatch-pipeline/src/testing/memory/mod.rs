//! The store as a model in memory: the same answers as `billingwatch-store` gives, without a
//! database.
//!
//! Each call is one transaction: it checks first and writes then, so that it happens whole or not
//! at all. Texts are kept as they are given (the real store cuts keys beyond 255 bytes), and the
//! wall clock is nowhere. `tests/it/contract.rs` holds the model against the real backends: whoever
//! changes one of them changes both.

mod journal;
mod outbox;
mod steps;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use billingwatch_core::alert::{Alert, AlertChange, Suppressed};
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_store::{
    Appended, Attempt, Cursor, Delivery, DeliveryRow, Head, JournalEntry, NewEntry,
    SettingsOverride, Snapshot, Step, StoreError,
};

use self::outbox::Row;
use crate::ports::PipelineStore;

/// A store in memory. Clones share what is in it, as connections share a database.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
}

/// Everything that is committed.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    journal: Vec<JournalEntry>,
    /// (Event id, source) to the place in the journal.
    known: BTreeMap<(String, String), i64>,
    head_at: Timestamp,
    last_seq: i64,
    settings: BTreeMap<(String, String), SettingsOverride>,
    cursors: BTreeMap<String, Cursor>,
    /// Newest first.
    snapshots: BTreeMap<String, Vec<Snapshot>>,
    alerts: BTreeMap<String, Alert>,
    /// The engine's changes, by alert and revision.
    history: BTreeMap<(String, u32), AlertChange>,
    /// The same keys in the order in which they were recorded.
    recorded: Vec<(String, u32)>,
    suppressed: Vec<Suppressed>,
    deliveries: BTreeMap<i64, Row>,
    last_delivery_id: i64,
    /// (Alert, channel, revision) to the delivery.
    delivery_keys: BTreeMap<(String, String, u32), i64>,
    /// Channels that are switched off, and why.
    disabled: BTreeMap<String, String>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal, whole.
    #[must_use]
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.tables().journal.clone()
    }

    /// Where an event of a source stands in the journal.
    #[must_use]
    pub fn seq_of(&self, source: &str, event_id: &str) -> Option<i64> {
        let place = (event_id.to_owned(), source.to_owned());
        self.tables().known.get(&place).copied()
    }

    /// Every alert change in the order in which it was recorded.
    #[must_use]
    pub fn recorded_changes(&self) -> Vec<AlertChange> {
        let tables = self.tables();
        let changes = tables.recorded.iter().map(|key| &tables.history[key]);
        changes.cloned().collect()
    }

    /// Every alert as it stands.
    #[must_use]
    pub fn alerts(&self) -> Vec<Alert> {
        self.tables().alerts.values().cloned().collect()
    }

    /// Suppressed findings in the order in which they were recorded.
    #[must_use]
    pub fn suppressed(&self) -> Vec<Suppressed> {
        self.tables().suppressed.clone()
    }

    /// Every delivery with its alert, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> Vec<(String, DeliveryRow)> {
        let tables = self.tables();
        let rows = tables.deliveries.values();
        rows.map(|row| (row.alert_id.clone(), row.listed()))
            .collect()
    }

    /// Switches a channel on again, as a start of the server does.
    pub fn enable_channel(&self, name: &str) {
        self.tables().disabled.remove(name);
    }

    /// What an auditor, or a bug planted in a store, works on: the tables, one transaction long.
    pub fn with_tables<T>(&self, work: impl FnOnce(&mut Surgery<'_>) -> T) -> T {
        work(&mut Surgery(&mut self.tables()))
    }
}

/// Parts of transactions, for stores with planted bugs.
#[derive(Debug)]
pub struct Surgery<'a>(&'a mut Tables);

impl Surgery<'_> {
    /// Forgets journal rows beyond a number, as a disk does that never synced them.
    pub fn lose_rows_after(&mut self, seq: i64) {
        let tables = &mut *self.0;
        tables.journal.retain(|entry| entry.seq <= seq);
        tables.known.retain(|_, known| *known <= seq);
        tables.last_seq = tables.last_seq.min(seq);
    }

    /// Takes the last so many rows out; with [`put_back`](Self::put_back), rows that become visible
    /// later than their numbers say.
    pub fn take_out_after(&mut self, seq: i64) -> Vec<JournalEntry> {
        let at = self.0.journal.partition_point(|entry| entry.seq <= seq);
        self.0.journal.split_off(at)
    }

    /// Makes rows visible at the places their numbers say.
    pub fn put_back(&mut self, rows: Vec<JournalEntry>) {
        self.0.journal.extend(rows);
        self.0.journal.sort_by_key(|entry| entry.seq);
    }

    /// Forgets which events the journal has.
    pub fn forget_known(&mut self) {
        self.0.known.clear();
    }

    /// Moves a consumer's cursor, whatever it was.
    pub fn force_cursor(&mut self, consumer: &str, cursor: Cursor) {
        self.0.cursors.insert(consumer.to_owned(), cursor);
    }

    /// Keeps a snapshot as of a cursor.
    pub fn keep_snapshot(&mut self, consumer: &str, cursor: Cursor, bytes: &[u8]) {
        self.0.keep_snapshot(consumer, cursor, bytes);
    }

    /// Settles a delivery as delivered, sent or not.
    pub fn settle_unsent(&mut self, delivery_id: i64) {
        if let Some(row) = self.0.deliveries.get_mut(&delivery_id) {
            row.settle(billingwatch_store::DeliveryState::Delivered, row.created_at);
        }
    }

    /// Makes a delivery due at an instant.
    pub fn set_due(&mut self, delivery_id: i64, due_at: Timestamp) {
        if let Some(row) = self.0.deliveries.get_mut(&delivery_id) {
            row.due_at = due_at;
        }
    }

    /// Leases without a look at earlier changes of the same alert.
    pub fn lease_out_of_order(
        &mut self,
        channel: &str,
        now: Timestamp,
        lease: Span,
    ) -> Vec<Delivery> {
        self.0.lease(channel, now, lease, 1, false)
    }
}

impl PipelineStore for MemoryStore {
    fn append(&self, entries: &[NewEntry], now: Timestamp) -> Result<Vec<Appended>, StoreError> {
        self.tables().append(entries, now)
    }

    fn touch_head(&self, now: Timestamp) -> Result<Head, StoreError> {
        let mut tables = self.tables();
        tables.head_at = tables.head_at.max(now);
        Ok(tables.head())
    }

    fn head(&self) -> Result<Head, StoreError> {
        Ok(self.tables().head())
    }

    fn read_after(&self, seq: i64, limit: i64) -> Result<Vec<JournalEntry>, StoreError> {
        Ok(self.tables().read_after(seq, limit))
    }

    fn cursor(&self, consumer: &str) -> Result<Option<Cursor>, StoreError> {
        Ok(self.tables().cursors.get(consumer).copied())
    }

    fn snapshots(&self, consumer: &str) -> Result<Vec<Snapshot>, StoreError> {
        let tables = self.tables();
        Ok(tables.snapshots.get(consumer).cloned().unwrap_or_default())
    }

    fn commit_step(&self, step: &Step<'_>) -> Result<(), StoreError> {
        self.tables().commit_step(step)
    }

    fn list_settings(&self) -> Result<Vec<SettingsOverride>, StoreError> {
        Ok(self.tables().settings.values().cloned().collect())
    }

    fn channels_told(&self, alert_id: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.tables().channels_told(alert_id))
    }

    fn open_alerts(&self) -> Result<Vec<Alert>, StoreError> {
        Ok(self.tables().open_alerts())
    }

    fn last_revision(&self, alert_id: &str) -> Result<u32, StoreError> {
        Ok(self.tables().last_revision(alert_id))
    }

    fn lease_due(
        &self,
        channel: &str,
        now: Timestamp,
        lease: Span,
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError> {
        Ok(self.tables().lease(channel, now, lease, limit, true))
    }

    fn attempts(&self, delivery: &Delivery) -> Result<Vec<Attempt>, StoreError> {
        let tables = self.tables();
        let row = tables.deliveries.get(&delivery.id);
        Ok(row.map(|row| row.attempts_made.clone()).unwrap_or_default())
    }

    fn settle(
        &self,
        delivery_id: i64,
        attempt: &Attempt,
        next_attempt_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.tables().settle(delivery_id, attempt, next_attempt_at);
        Ok(())
    }

    fn disable_channel(&self, name: &str, reason: &str, _at: Timestamp) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let known = tables.disabled.entry(name.to_owned());
        known.or_insert_with(|| reason.to_owned());
        Ok(())
    }

    fn next_due_at(&self, channel: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.tables().next_due_at(channel))
    }
}
