//! Which detector settings are overridden now.
//!
//! The truth is the journal, where a change is met again at its place in every replay. This is a
//! projection of it for people to read, written by the append itself.

use billingwatch_core::engine::SettingsChange;
use billingwatch_core::time::Timestamp;
use diesel::prelude::*;

use crate::connection::{AnyConn, both};
use crate::error::{Result, StoreError, instant};
use crate::journal::{Appended, EntryKind, NewEntry};
use crate::schema::settings_overrides as overrides;
use crate::store::Store;
use crate::text;

/// The source under which a change made by a person is journalled.
const OPERATOR: &str = "operator";

/// One detector's overrides, for one source or for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsOverride {
    /// What was set.
    pub change: SettingsChange,
    /// The journal entry that set it.
    pub seq: i64,
    /// When.
    pub changed_at: Timestamp,
}

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = overrides, treat_none_as_default_value = false)]
struct Row<'a> {
    detector: &'a str,
    source: &'a str,
    seq: i64,
    changed_at_ms: i64,
    change: &'a str,
}

impl NewEntry {
    /// The journal entry of a settings change.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadEntry`] when it cannot be written as JSON.
    pub fn settings(change: &SettingsChange) -> Result<Self> {
        Self::by_operator(EntryKind::Settings, change)
    }

    /// The journal entry by which a person declares an alert over.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadEntry`] when it cannot be written as JSON.
    pub fn resolve(resolve: &billingwatch_core::engine::ResolveAlert) -> Result<Self> {
        Self::by_operator(EntryKind::Resolve, resolve)
    }

    pub(crate) fn by_operator(kind: EntryKind, input: &impl serde::Serialize) -> Result<Self> {
        let body = serde_json::to_vec(input).map_err(|error| StoreError::BadEntry {
            reason: error.to_string(),
        })?;
        Ok(Self::of_ours(kind, body))
    }

    /// An entry that changes nothing: it goes the way of every event, and is timed on it.
    #[must_use]
    pub fn canary() -> Self {
        Self::of_ours(EntryKind::Canary, Vec::new())
    }

    fn of_ours(kind: EntryKind, body: Vec<u8>) -> Self {
        Self {
            kind,
            source: OPERATOR.to_owned(),
            event_id: None,
            event_type: kind.as_str().to_owned(),
            object_id: None,
            customer_id: None,
            created_at: None,
            account: None,
            livemode: false,
            api_version: None,
            is_historical: false,
            received_at: None,
            body,
            packed: None,
        }
    }
}

impl Store {
    /// Appends a settings change to the journal; the current overrides change with it. Whether the
    /// detector accepts it is for the caller to find out before.
    ///
    /// # Errors
    ///
    /// As [`Store::append`].
    pub fn change_settings(&self, change: &SettingsChange, now: Timestamp) -> Result<Appended> {
        let appended = self.append(&[NewEntry::settings(change)?], now)?;
        appended
            .into_iter()
            .next()
            .ok_or_else(|| StoreError::BadEntry {
                reason: "nothing was appended".to_owned(),
            })
    }

    /// The current overrides, by detector and source.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn list_settings(&self) -> Result<Vec<SettingsOverride>> {
        self.read(|conn| {
            let rows: Vec<(i64, i64, String)> = overrides::table
                .select((overrides::seq, overrides::changed_at_ms, overrides::change))
                .load(conn)?;
            let mut found = rows
                .into_iter()
                .map(|(seq, changed_at_ms, change)| {
                    Ok(SettingsOverride {
                        change: serde_json::from_str(&change)
                            .map_err(|error| StoreError::unreadable("a settings change", &error))?,
                        seq,
                        changed_at: instant(changed_at_ms),
                    })
                })
                .collect::<Result<Vec<SettingsOverride>>>()?;
            // Here rather than there: a PostgreSQL server sorts by its own collation.
            found
                .sort_by_cached_key(|one| (one.change.detector.clone(), one.change.source.clone()));
            Ok(found)
        })
    }
}

/// Writes what a `settings` entry sets. A body that is none leaves the overrides as they are: the
/// engine will refuse it too, and one bad entry must not take the batch with it.
pub(crate) fn project(
    conn: &mut AnyConn,
    body: &[u8],
    seq: i64,
    changed_at: Timestamp,
) -> Result<()> {
    let change: SettingsChange = match serde_json::from_slice(body) {
        Ok(change) => change,
        Err(error) => {
            tracing::warn!(journal.seq = seq, settings.error = %error,
                "journal entry {seq} is no settings change");
            return Ok(());
        }
    };
    let detector = text::key(&change.detector);
    let source = text::key(change.source.as_deref().unwrap_or_default());
    let json = serde_json::to_string(&change).map_err(|error| StoreError::BadEntry {
        reason: error.to_string(),
    })?;
    let row = Row {
        detector: &detector,
        source: &source,
        seq,
        changed_at_ms: changed_at.as_millis(),
        change: &json,
    };
    both!(conn, c => diesel::insert_into(overrides::table)
        .values(&row)
        .on_conflict((overrides::detector, overrides::source))
        .do_update()
        .set(&row)
        .execute(c))?;
    Ok(())
}
