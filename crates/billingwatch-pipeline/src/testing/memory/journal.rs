//! The journal and the settings in force.

use billingwatch_core::engine::SettingsChange;
use billingwatch_core::time::Timestamp;
use billingwatch_store::journal::{APPEND_MAX, READ_MAX};
use billingwatch_store::{
    Appended, EntryKind, Head, JournalEntry, NewEntry, SettingsOverride, StoreError,
};

use super::Tables;

impl Tables {
    pub(super) fn head(&self) -> Head {
        Head {
            last_seq: self.last_seq,
            at: self.head_at,
        }
    }

    pub(super) fn append(
        &mut self,
        entries: &[NewEntry],
        now: Timestamp,
    ) -> Result<Vec<Appended>, StoreError> {
        check(entries)?;
        let mut appended = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(seq) = self.known_seq(entry) {
                appended.push(Appended {
                    seq,
                    received_at: self.head_at,
                    is_duplicate: true,
                });
                continue;
            }
            self.last_seq += 1;
            let seq = self.last_seq;
            self.head_at = self.head_at.max(arrival(entry, now));
            if let Some(event_id) = &entry.event_id {
                self.known
                    .insert((event_id.clone(), entry.source.clone()), seq);
            }
            if entry.kind == EntryKind::Settings {
                self.set(&entry.body, seq);
            }
            self.journal.push(row(entry, seq, self.head_at));
            appended.push(Appended {
                seq,
                received_at: self.head_at,
                is_duplicate: false,
            });
        }
        Ok(appended)
    }

    fn known_seq(&self, entry: &NewEntry) -> Option<i64> {
        let event_id = entry.event_id.as_ref()?;
        let place = (event_id.clone(), entry.source.clone());
        self.known.get(&place).copied()
    }

    /// A body that sets nothing leaves the settings as they are: the engine refuses it too.
    fn set(&mut self, body: &[u8], seq: i64) {
        let Ok(change) = serde_json::from_slice::<SettingsChange>(body) else {
            return;
        };
        let source = change.source.clone().unwrap_or_default();
        let place = (change.detector.clone(), source);
        let changed_at = self.head_at;
        self.settings.insert(
            place,
            SettingsOverride {
                change,
                seq,
                changed_at,
            },
        );
    }

    pub(super) fn read_after(&self, seq: i64, limit: i64) -> Vec<JournalEntry> {
        let from = self.journal.partition_point(|entry| entry.seq <= seq);
        let limit = usize::try_from(limit.clamp(0, READ_MAX)).unwrap_or(0);
        self.journal[from..].iter().take(limit).cloned().collect()
    }
}

fn check(entries: &[NewEntry]) -> Result<(), StoreError> {
    let is_sound = |entry: &NewEntry| (entry.kind == EntryKind::Event) == entry.event_id.is_some();
    if entries.len() > APPEND_MAX || !entries.iter().all(is_sound) {
        return Err(StoreError::BadEntry {
            reason: "too many, or an event without an id, or an id without an event".to_owned(),
        });
    }
    Ok(())
}

/// An entry arrived when it says, but not in the future; else now.
fn arrival(entry: &NewEntry, now: Timestamp) -> Timestamp {
    entry.received_at.map_or(now, |given| given.min(now))
}

fn row(entry: &NewEntry, seq: i64, received_at: Timestamp) -> JournalEntry {
    JournalEntry {
        seq,
        kind: entry.kind,
        source: entry.source.clone(),
        event_id: entry.event_id.clone(),
        event_type: entry.event_type.clone(),
        object_id: entry.object_id.clone(),
        customer_id: entry.customer_id.clone(),
        created_at: entry.created_at,
        received_at,
        account: entry.account.clone(),
        livemode: entry.livemode,
        api_version: entry.api_version.clone(),
        is_historical: entry.is_historical,
        body: entry.body.clone(),
    }
}
