//! What a step of the pump commits.

use billingwatch_core::alert::{Alert, AlertChange, AlertStatus};
use billingwatch_store::cursors::SNAPSHOTS_MAX;
use billingwatch_store::{Cursor, Snapshot, Step, StoreError};

use super::Tables;

impl Tables {
    /// Everything is checked before anything is written: a step happens whole or not at all.
    pub(super) fn commit_step(&mut self, step: &Step<'_>) -> Result<(), StoreError> {
        let found = self.cursors.get(step.consumer).copied();
        if found.unwrap_or(Cursor::START) != step.expected {
            return Err(StoreError::CursorMoved {
                consumer: step.consumer.to_owned(),
                expected: step.expected,
                found: found.unwrap_or(Cursor::START),
            });
        }
        self.check_changes(step.changes)?;
        self.cursors.insert(step.consumer.to_owned(), step.cursor);
        self.record_alerts(step.changes, step.updates);
        self.suppressed.extend_from_slice(step.suppressed);
        self.enqueue(step.deliveries, step.cursor.at);
        if let Some(bytes) = step.snapshot {
            self.keep_snapshot(step.consumer, step.cursor, bytes);
        }
        Ok(())
    }

    /// The history's key: a revision of an alert is recorded once.
    fn check_changes(&self, changes: &[AlertChange]) -> Result<(), StoreError> {
        let mut keys: Vec<(&str, u32)> = changes
            .iter()
            .map(|change| (change.alert.id.as_str(), change.alert.revision))
            .collect();
        keys.sort_unstable();
        let is_twice = keys.windows(2).any(|pair| pair[0] == pair[1]);
        let is_known = keys
            .iter()
            .any(|(id, revision)| self.history.contains_key(&((*id).to_owned(), *revision)));
        if is_twice || is_known {
            return Err(StoreError::Database {
                database: "memory".to_owned(),
                reason: "a revision of an alert is recorded already".to_owned(),
            });
        }
        Ok(())
    }

    fn record_alerts(&mut self, changes: &[AlertChange], updates: &[Alert]) {
        let mut newest: Vec<&Alert> = Vec::new();
        for alert in changes.iter().map(|change| &change.alert).chain(updates) {
            match newest.iter_mut().find(|known| known.id == alert.id) {
                Some(known) if known.revision <= alert.revision => *known = alert,
                Some(_) => {}
                None => newest.push(alert),
            }
        }
        for alert in newest {
            self.alerts.insert(alert.id.clone(), alert.clone());
        }
        for change in changes {
            let key = (change.alert.id.clone(), change.alert.revision);
            self.recorded.push(key.clone());
            self.history.insert(key, change.clone());
        }
    }

    pub(super) fn keep_snapshot(&mut self, consumer: &str, cursor: Cursor, bytes: &[u8]) {
        let kept = self.snapshots.entry(consumer.to_owned()).or_default();
        kept.retain(|one| (one.seq, one.at) != (cursor.seq, cursor.at));
        kept.push(Snapshot {
            seq: cursor.seq,
            at: cursor.at,
            bytes: bytes.to_vec(),
        });
        kept.sort_by_key(|one| std::cmp::Reverse((one.seq, one.at)));
        kept.truncate(SNAPSHOTS_MAX);
    }

    pub(super) fn open_alerts(&self) -> Vec<Alert> {
        let mut open: Vec<Alert> = self
            .alerts
            .values()
            .filter(|alert| alert.status != AlertStatus::Resolved)
            .cloned()
            .collect();
        // The order of the real store's list: newest first.
        open.sort_by(|a, b| (b.fired_at, b.id.as_str()).cmp(&(a.fired_at, a.id.as_str())));
        open
    }

    pub(super) fn last_revision(&self, alert_id: &str) -> u32 {
        let of_alert = (alert_id.to_owned(), 0)..=(alert_id.to_owned(), u32::MAX);
        let newest = self.history.range(of_alert).next_back();
        newest.map_or(0, |((_, revision), _)| *revision)
    }
}
