//! What the loops ask of a store: the seam at which tests inject failures.
//!
//! Implemented by [`Store`] and, in tests, by a store that fails on demand before or after a
//! commit. It names no new operation; what each promises is said in `billingwatch-store`.

use billingwatch_core::alert::Alert;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_store::page::PAGE_LIMIT_MAX;
use billingwatch_store::{
    AlertFilter, Appended, Attempt, Cursor, Delivery, DiskSpace, Happened, Head, JournalEntry,
    Lease, NewEntry, Page, SettingsOverride, Snapshot, Step, Store, StoreError,
};

/// What the loops ask of a store. Every method blocks.
#[expect(
    clippy::missing_errors_doc,
    reason = "each fails as the store's own method does"
)]
pub trait PipelineStore: Send + Sync {
    /// Appends entries in one durable transaction.
    fn append(&self, entries: &[NewEntry], now: Timestamp) -> Result<Vec<Appended>, StoreError>;
    /// Moves the journal's clock to `now`, unless it is past that.
    fn touch_head(&self, now: Timestamp) -> Result<Head, StoreError>;
    /// The journal's last row and clock.
    fn head(&self) -> Result<Head, StoreError>;
    /// Rows after a sequence number, in order.
    fn read_after(&self, seq: i64, limit: i64) -> Result<Vec<JournalEntry>, StoreError>;
    /// How far a consumer has committed.
    fn cursor(&self, consumer: &str) -> Result<Option<Cursor>, StoreError>;
    /// A consumer's snapshots, newest first.
    fn snapshots(&self, consumer: &str) -> Result<Vec<Snapshot>, StoreError>;
    /// Commits all of one step, or nothing.
    fn commit_step(&self, step: &Step<'_>) -> Result<(), StoreError>;
    /// Whether other processes may run engines on the same database, so that a lease decides.
    fn is_shared(&self) -> bool {
        false
    }
    /// Takes or renews a lease; `None` while another holds it.
    fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        ttl: Span,
    ) -> Result<Option<Lease>, StoreError> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        let _ = ttl;
        Ok(Some(Lease {
            name,
            holder,
            token: 0,
        }))
    }
    /// Gives a lease back.
    fn release_lease(&self, _lease: &Lease) -> Result<(), StoreError> {
        Ok(())
    }
    /// The settings in force.
    fn list_settings(&self) -> Result<Vec<SettingsOverride>, StoreError>;
    /// The channels that any revision of an alert was queued for.
    fn channels_told(&self, alert_id: &str) -> Result<Vec<String>, StoreError>;
    /// Alerts that have not ended, as recorded.
    fn open_alerts(&self) -> Result<Vec<Alert>, StoreError>;
    /// The highest revision recorded of an alert; 0 when there is none.
    fn last_revision(&self, alert_id: &str) -> Result<u32, StoreError>;
    /// Leases deliveries that are due.
    fn lease_due(
        &self,
        channel: &str,
        now: Timestamp,
        lease: Span,
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError>;
    /// The attempts recorded of a delivery, in order.
    fn attempts(&self, delivery: &Delivery) -> Result<Vec<Attempt>, StoreError>;
    /// Records an attempt and what follows from it.
    fn settle(
        &self,
        delivery_id: i64,
        attempt: &Attempt,
        next_attempt_at: Option<Timestamp>,
    ) -> Result<(), StoreError>;
    /// Sends nothing more to a channel.
    fn disable_channel(&self, name: &str, reason: &str, at: Timestamp) -> Result<(), StoreError>;
    /// When the next delivery of a channel is due.
    fn next_due_at(&self, channel: &str) -> Result<Option<Timestamp>, StoreError>;
    /// Room on the disk the store lies on, where that can be told.
    fn disk_space(&self) -> Option<DiskSpace> {
        None
    }
}

impl PipelineStore for Store {
    fn append(&self, entries: &[NewEntry], now: Timestamp) -> Result<Vec<Appended>, StoreError> {
        Self::append(self, entries, now)
    }

    fn touch_head(&self, now: Timestamp) -> Result<Head, StoreError> {
        Self::touch_head(self, now)
    }

    fn head(&self) -> Result<Head, StoreError> {
        Self::head(self)
    }

    fn read_after(&self, seq: i64, limit: i64) -> Result<Vec<JournalEntry>, StoreError> {
        Self::read_after(self, seq, limit)
    }

    fn cursor(&self, consumer: &str) -> Result<Option<Cursor>, StoreError> {
        Self::cursor(self, consumer)
    }

    fn snapshots(&self, consumer: &str) -> Result<Vec<Snapshot>, StoreError> {
        Self::snapshots(self, consumer)
    }

    fn commit_step(&self, step: &Step<'_>) -> Result<(), StoreError> {
        Self::commit_step(self, step)
    }

    fn is_shared(&self) -> bool {
        Self::is_shared(self)
    }

    fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        ttl: Span,
    ) -> Result<Option<Lease>, StoreError> {
        Self::acquire_lease(self, name, holder, ttl)
    }

    fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        Self::release_lease(self, lease)
    }

    fn list_settings(&self) -> Result<Vec<SettingsOverride>, StoreError> {
        Self::list_settings(self)
    }

    fn channels_told(&self, alert_id: &str) -> Result<Vec<String>, StoreError> {
        let deliveries = self.alert_deliveries(alert_id)?;
        Ok(deliveries.into_iter().map(|row| row.channel).collect())
    }

    fn open_alerts(&self) -> Result<Vec<Alert>, StoreError> {
        let filter = AlertFilter {
            open_only: true,
            ..AlertFilter::default()
        };
        let mut alerts = Vec::new();
        let mut page = Page::first(PAGE_LIMIT_MAX)?;
        loop {
            let listed = self.list_alerts(&filter, &page)?;
            alerts.extend(listed.items.into_iter().map(|row| row.alert));
            match listed.next {
                Some(next) => page = Page::new(Some(next), PAGE_LIMIT_MAX)?,
                None => return Ok(alerts),
            }
        }
    }

    fn last_revision(&self, alert_id: &str) -> Result<u32, StoreError> {
        let history = self.alert_history(alert_id)?;
        let revisions = history.into_iter().filter_map(|entry| match entry.what {
            Happened::Changed(alert) => Some(alert.revision),
            _ => None,
        });
        Ok(revisions.max().unwrap_or(0))
    }

    fn lease_due(
        &self,
        channel: &str,
        now: Timestamp,
        lease: Span,
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError> {
        Self::lease_due(self, channel, now, lease, limit)
    }

    fn attempts(&self, delivery: &Delivery) -> Result<Vec<Attempt>, StoreError> {
        let deliveries = self.alert_deliveries(&delivery.alert_id)?;
        let row = deliveries.into_iter().find(|row| row.id == delivery.id);
        Ok(row.map(|row| row.attempts).unwrap_or_default())
    }

    fn settle(
        &self,
        delivery_id: i64,
        attempt: &Attempt,
        next_attempt_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        Self::settle(self, delivery_id, attempt, next_attempt_at).map(drop)
    }

    fn disable_channel(&self, name: &str, reason: &str, at: Timestamp) -> Result<(), StoreError> {
        Self::disable_channel(self, name, reason, at).map(drop)
    }

    fn next_due_at(&self, channel: &str) -> Result<Option<Timestamp>, StoreError> {
        Self::next_due_at(self, channel)
    }

    fn disk_space(&self) -> Option<DiskSpace> {
        Self::disk_space(self)
    }
}
