//! Appending: one durable transaction a batch.

use std::borrow::Cow;
use std::collections::BTreeMap;

use billingwatch_core::time::Timestamp;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, SqliteConnection, sql_query};

use super::codec::{self, Packed};
use super::postgresql::{self, Known};
use super::{Appended, EntryKind, Head, NewEntry, sqlite};
use crate::connection::{AnyConn, both};
use crate::error::{Result, StoreError, instant};
use crate::schema::{journal, journal_head};
use crate::store::Store;
use crate::text;
use crate::{mutes, retention, settings};

/// The most entries an append takes.
pub const APPEND_MAX: usize = 4096;

#[derive(Insertable)]
#[diesel(table_name = journal, treat_none_as_default_value = false)]
pub(super) struct NewRow<'a> {
    pub(super) seq: i64,
    pub(super) kind: &'static str,
    pub(super) source: Cow<'a, str>,
    pub(super) event_id: Option<Cow<'a, str>>,
    pub(super) event_type: Cow<'a, str>,
    pub(super) object_id: Option<Cow<'a, str>>,
    pub(super) customer_id: Option<Cow<'a, str>>,
    pub(super) created_at: Option<i64>,
    pub(super) received_at_ms: i64,
    pub(super) account: Option<Cow<'a, str>>,
    pub(super) livemode: bool,
    pub(super) api_version: Option<Cow<'a, str>>,
    pub(super) is_historical: bool,
    pub(super) body: &'a [u8],
    pub(super) codec: i16,
}

#[derive(QueryableByName)]
struct HeadRow {
    #[diesel(sql_type = BigInt)]
    last_seq: i64,
    #[diesel(sql_type = BigInt)]
    at_ms: i64,
}

impl Store {
    /// Appends entries in one durable transaction and says of each where it stands.
    ///
    /// An event that is there already, from the same source under the same id, is not written
    /// again; nor is the second of two in one batch. A `settings` entry also changes the current
    /// overrides ([`Store::list_settings`]).
    ///
    /// An error means that nothing was written, except when the connection broke during the commit
    /// itself: then all may have been. Appending the same events again is right in both cases.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadEntry`] for an event without id, another entry with one, or more than
    /// [`APPEND_MAX`] entries; otherwise whatever keeps the database from committing.
    pub fn append(&self, entries: &[NewEntry], now: Timestamp) -> Result<Vec<Appended>> {
        check(entries)?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        // Before the transaction: whoever waits for the journal need not wait for this.
        let packed: Vec<Packed<'_>> = entries.iter().map(codec::pack_entry).collect();
        self.write_often(postgresql::LOCK_HEAD, |conn| {
            append(conn, entries, &packed, now)
        })
    }

    /// Brings the journal's time up to `now`, if it is behind, and returns its end.
    ///
    /// Whatever is appended from here on is received at or after the time returned, so a consumer
    /// that has applied everything up to `last_seq` may advance to it.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from committing.
    pub fn touch_head(&self, now: Timestamp) -> Result<Head> {
        self.write(|conn| touch(conn, now))
    }

    /// The journal's end as it stands.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn head(&self) -> Result<Head> {
        self.read(read_head)
    }
}

fn check(entries: &[NewEntry]) -> Result<()> {
    let bad = |reason: String| Err(StoreError::BadEntry { reason });
    if entries.len() > APPEND_MAX {
        return bad(format!(
            "{} entries at once, at most {APPEND_MAX} are taken",
            entries.len()
        ));
    }
    for entry in entries {
        let is_event = entry.kind == EntryKind::Event;
        if is_event != entry.event_id.is_some() {
            return bad(format!(
                "an entry of kind {} {} an event id",
                entry.kind.as_str(),
                if is_event { "needs" } else { "cannot have" }
            ));
        }
    }
    Ok(())
}

/// Takes the head's lock (on SQLite the transaction holds it already) and moves its time on.
fn touch(conn: &mut AnyConn, now: Timestamp) -> Result<Head> {
    let greatest = match conn {
        AnyConn::Postgresql(_) => {
            "UPDATE journal_head SET at_ms = GREATEST(at_ms, $1) WHERE id = 1 \
             RETURNING last_seq, at_ms"
        }
        AnyConn::Sqlite(_) => {
            "UPDATE journal_head SET at_ms = max(at_ms, ?) WHERE id = 1 RETURNING last_seq, at_ms"
        }
    };
    let row: HeadRow = both!(conn, c => {
        sql_query(greatest).bind::<BigInt, _>(now.as_millis()).get_result(c)
    })?;
    Ok(Head {
        last_seq: row.last_seq,
        at: instant(row.at_ms),
    })
}

fn append(
    conn: &mut AnyConn,
    entries: &[NewEntry],
    packed: &[Packed<'_>],
    now: Timestamp,
) -> Result<Vec<Appended>> {
    let (head, mut known) = match conn {
        AnyConn::Postgresql(c) => postgresql::head_and_known(c, entries)?,
        // The transaction holds the whole file.
        AnyConn::Sqlite(_) => (read_head(conn)?, Known::new()),
    };
    let mut at = head.at;
    let mut appended = Vec::with_capacity(entries.len());
    let mut rows = Vec::with_capacity(entries.len());
    let mut last_seq = head.last_seq;
    for (entry, packed) in entries.iter().zip(packed) {
        let received_at = at.max(arrival(entry, now));
        let row = NewRow::of(entry, packed, last_seq + 1, received_at);
        let earlier_seq = match conn {
            AnyConn::Sqlite(c) => insert_unless_known(c, &row)?,
            AnyConn::Postgresql(_) => postgresql::note_unless_known(&mut known, &row),
        };
        if let Some(seq) = earlier_seq {
            appended.push(Appended {
                seq,
                received_at: at,
                is_duplicate: true,
            });
            continue;
        }
        last_seq = row.seq;
        at = received_at;
        appended.push(Appended {
            seq: last_seq,
            received_at: at,
            is_duplicate: false,
        });
        project(conn, entry, last_seq, at)?;
        rows.push(row);
    }
    if !rows.is_empty() {
        match conn {
            AnyConn::Postgresql(c) => postgresql::insert(c, &rows)?,
            AnyConn::Sqlite(c) => sqlite::note(c, &rows, Head { last_seq, at })?,
        }
    }
    Ok(appended)
}

fn read_head(conn: &mut AnyConn) -> Result<Head> {
    let (last_seq, at_ms): (i64, i64) = journal_head::table
        .find(1)
        .select((journal_head::last_seq, journal_head::at_ms))
        .first(conn)?;
    Ok(Head {
        last_seq,
        at: instant(at_ms),
    })
}

/// Keeps the tables that show what is in force in step with the journal.
fn project(conn: &mut AnyConn, entry: &NewEntry, seq: i64, at: Timestamp) -> Result<()> {
    match entry.kind {
        EntryKind::Event | EntryKind::Resolve | EntryKind::Canary => Ok(()),
        EntryKind::Settings => settings::project(conn, &entry.body, seq, at),
        EntryKind::Mute => mutes::project_mute(conn, &entry.body, seq, at),
        EntryKind::Lift => mutes::project_lift(conn, &entry.body, seq, at),
    }
}

/// How many events each source gains, and what they take.
pub(super) fn usage_of<'a>(rows: &'a [NewRow<'_>]) -> BTreeMap<&'a str, (i64, i64)> {
    let mut usage: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.event_id.is_some()) {
        let body_bytes = i64::try_from(row.body.len()).unwrap_or(i64::MAX);
        let (events, size_bytes) = usage.entry(&row.source).or_default();
        *events += 1;
        *size_bytes = size_bytes.saturating_add(body_bytes + retention::ROW_OVERHEAD_BYTES);
    }
    usage
}

/// How many events of each type there are among rows.
pub(super) fn types_of<'a>(rows: &'a [NewRow<'_>]) -> BTreeMap<&'a str, i64> {
    let mut types: BTreeMap<&str, i64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.event_id.is_some()) {
        *types.entry(&row.event_type).or_default() += 1;
    }
    types
}

/// When an entry arrived: when it says, but not in the future; else now.
fn arrival(entry: &NewEntry, now: Timestamp) -> Timestamp {
    entry.received_at.map_or(now, |given| given.min(now))
}

/// The place of an event that is in the journal; else puts the row there. The index that the row
/// goes into finds the duplicate, so nobody looks twice.
fn insert_unless_known(c: &mut SqliteConnection, row: &NewRow<'_>) -> Result<Option<i64>> {
    if sqlite::InsertUnlessKnown(row).execute(c)? > 0 {
        return Ok(None);
    }
    let known = journal::table
        .filter(journal::event_id.eq(row.event_id.as_deref()))
        .filter(journal::source.eq(row.source.as_ref()))
        .select(journal::seq)
        .first(c)
        .optional()?;
    if known.is_none() {
        // Not the event is there but its number, which a sound journal never sees: an error.
        diesel::insert_into(journal::table).values(row).execute(c)?;
    }
    Ok(known)
}

impl<'a> NewRow<'a> {
    fn of(entry: &'a NewEntry, packed: &'a Packed<'_>, seq: i64, received_at: Timestamp) -> Self {
        Self {
            seq,
            kind: entry.kind.as_str(),
            source: text::key(&entry.source),
            event_id: text::optional_key(entry.event_id.as_deref()),
            event_type: text::key(&entry.event_type),
            object_id: text::optional_key(entry.object_id.as_deref()),
            customer_id: text::optional_key(entry.customer_id.as_deref()),
            created_at: entry.created_at,
            received_at_ms: received_at.as_millis(),
            account: text::optional_key(entry.account.as_deref()),
            livemode: entry.livemode,
            api_version: text::optional_key(entry.api_version.as_deref()),
            is_historical: entry.is_historical,
            body: &packed.bytes,
            codec: packed.codec,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::testing::each_backend;

    fn entry(kind: EntryKind, event_id: Option<&str>) -> NewEntry {
        NewEntry {
            kind,
            source: "default".to_owned(),
            event_id: event_id.map(str::to_owned),
            event_type: "charge.failed".to_owned(),
            object_id: None,
            customer_id: None,
            created_at: None,
            account: None,
            livemode: true,
            api_version: None,
            is_historical: false,
            received_at: None,
            body: b"{}".to_vec(),
            packed: None,
        }
    }

    #[test]
    fn a_number_that_is_taken_is_an_error_and_no_repeat() {
        each_backend(|store| {
            let first = [entry(EntryKind::Event, Some("evt_1"))];
            store.append(&first, Timestamp::EPOCH).unwrap();
            let set_back = diesel::update(journal_head::table).set(journal_head::last_seq.eq(0));
            store.write(|conn| Ok(set_back.execute(conn)?)).unwrap();
            for other in [
                entry(EntryKind::Event, Some("evt_2")),
                entry(EntryKind::Canary, None),
            ] {
                store.append(&[other], Timestamp::EPOCH).unwrap_err();
            }
            let again = store.append(&first, Timestamp::EPOCH).unwrap();
            assert!(again[0].is_duplicate);
        });
    }

    #[test]
    fn an_append_of_several_statements_is_counted_whole() {
        each_backend(|store| {
            let ids: Vec<String> = (0..2_500).map(|n| format!("evt_{n}")).collect();
            let events: Vec<NewEntry> = ids
                .iter()
                .map(|id| entry(EntryKind::Event, Some(id)))
                .collect();
            store.append(&events[..10], Timestamp::EPOCH).unwrap();
            let appended = store.append(&events, Timestamp::EPOCH).unwrap();
            assert_eq!(appended.iter().filter(|row| row.is_duplicate).count(), 10);
            assert_eq!(store.head().unwrap().last_seq, 2_500);
            assert_eq!(store.usage().unwrap()[0].events, 2_500);
            let by_type = store.counts_by_type(None).unwrap();
            assert_eq!(by_type, [("charge.failed".to_owned(), 2_500)]);
        });
    }

    #[test]
    fn a_connection_that_was_lost_since_the_last_append_is_replaced() {
        each_backend(|store| {
            let event = |id| [entry(EntryKind::Event, Some(id))];
            store.append(&event("evt_1"), Timestamp::EPOCH).unwrap();
            if store.is_shared() {
                let mut conn = diesel::PgConnection::establish(&store.options().url).unwrap();
                sql_query(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
                     WHERE datname = current_database() AND pid <> pg_backend_pid()",
                )
                .execute(&mut conn)
                .unwrap();
            }
            let second = store.append(&event("evt_2"), Timestamp::EPOCH).unwrap();
            assert_eq!(second[0].seq, 2);
        });
    }
}
