//! A journal row as the engine takes it. Live, restart and replay all read rows here.

use std::collections::BTreeMap;
use std::sync::Arc;

use billingwatch_core::engine::{Input, LiftMute, Mute, Record, ResolveAlert, SettingsChange};
use billingwatch_core::stripe::payload;
use billingwatch_core::time::Timestamp;
use billingwatch_store::{EntryKind, JournalEntry};

/// Most source names kept shared; beyond it a name is copied for each row. Far more than anyone
/// configures.
const SOURCES_MAX: usize = 1024;

/// What the engine sees of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    /// Where it stands.
    pub(crate) seq: i64,
    /// What it is.
    pub(crate) kind: EntryKind,
    /// The configured Stripe endpoint it came through.
    pub(crate) source: &'a str,
    /// When it was received.
    pub(crate) received_at: Timestamp,
    /// From a backfill or import.
    pub(crate) is_historical: bool,
    /// The input as it came.
    pub(crate) body: &'a [u8],
}

impl<'a> From<&'a JournalEntry> for Row<'a> {
    fn from(entry: &'a JournalEntry) -> Self {
        Self {
            seq: entry.seq,
            kind: entry.kind,
            source: &entry.source,
            received_at: entry.received_at,
            is_historical: entry.is_historical,
            body: &entry.body,
        }
    }
}

/// Turns rows into records.
#[derive(Debug, Default)]
pub(crate) struct Records {
    sources: BTreeMap<Box<str>, Arc<str>>,
}

impl Records {
    /// The record of a row.
    ///
    /// # Errors
    /// Why its body cannot be read, in words that quote none of it.
    pub(crate) fn read(&mut self, row: Row<'_>) -> Result<Record, String> {
        let input = match row.kind {
            EntryKind::Event => Input::Event(Box::new(
                payload::parse_event(row.body, row.received_at)
                    .map_err(|error| error.to_string())?,
            )),
            EntryKind::Settings => Input::Settings(read_json::<SettingsChange>(row.body)?),
            EntryKind::Resolve => Input::Resolve(read_json::<ResolveAlert>(row.body)?),
            EntryKind::Mute => Input::Mute(read_json::<Mute>(row.body)?),
            EntryKind::Lift => Input::Lift(read_json::<LiftMute>(row.body)?),
            EntryKind::Canary => Input::Canary,
        };
        Ok(Record {
            received_at: row.received_at,
            source: self.source(row.source),
            is_historical: row.is_historical,
            input,
        })
    }

    /// The shared copy of a source's name.
    pub(crate) fn source(&mut self, name: &str) -> Arc<str> {
        if let Some(source) = self.sources.get(name) {
            return Arc::clone(source);
        }
        let source: Arc<str> = name.into();
        if self.sources.len() < SOURCES_MAX {
            self.sources.insert(name.into(), Arc::clone(&source));
        }
        source
    }
}

fn read_json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}
