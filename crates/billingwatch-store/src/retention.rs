//! Deleting what is old, a little at a time, and giving the space back.
//!
//! What stays, whatever the policy says: settings and resolutions, which a rebuilt engine needs;
//! every row that the oldest kept snapshot or any consumer has not passed, so that a restart never
//! misses one; and the events that a kept alert names, as its subject or its evidence.

use std::collections::{BTreeMap, BTreeSet};

use billingwatch_core::time::{Span, Timestamp};
use diesel::connection::SimpleConnection;
use diesel::dsl::{min, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, sql_query};

use crate::connection::AnyConn;
use crate::error::Result;
use crate::journal::EntryKind;
use crate::schema::{
    alert_history, alert_subjects, alerts, cursors, deliveries, delivery_attempts, journal,
    journal_types, journal_usage, snapshots,
};
use crate::store::Store;

/// What a row takes beside its body: keys, indexes and what pages leave empty, rounded from
/// `benches/disk`.
pub const ROW_OVERHEAD_BYTES: i64 = 450;

/// Rows looked at in one transaction: each that goes dirties a page in each of three indexes, so
/// this bounds how long ingest waits.
const STEP_ROWS: i64 = 128;

/// Alerts deleted in one transaction.
const STEP_ALERTS: i64 = 16;

/// Pages given back in one transaction.
const STEP_PAGES: i64 = 128;

/// Free pages that SQLite keeps for what comes next, at least; else a twentieth of the file.
const RESERVE_PAGES_MIN: i64 = 512;

/// How long and how much to keep of one source's events. `None` is without end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Events received longer ago go.
    pub age: Option<Span>,
    /// Beyond so many bytes the oldest go.
    pub size_bytes: Option<i64>,
}

/// What one source's events take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceUsage {
    /// The source.
    pub source: String,
    /// Its events in the journal.
    pub events: i64,
    /// What they take: bodies as stored, and [`ROW_OVERHEAD_BYTES`] each.
    pub size_bytes: i64,
}

/// What a step of deleting did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Events that are gone.
    pub events: usize,
    /// There is no more to look at now.
    pub is_done: bool,
}

impl Store {
    /// What each source's events take, by name.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn usage(&self) -> Result<Vec<SourceUsage>> {
        self.read(|conn| {
            let rows: Vec<(String, i64, i64)> = journal_usage::table
                .order(journal_usage::source.asc())
                .select((
                    journal_usage::source,
                    journal_usage::events,
                    journal_usage::size_bytes,
                ))
                .load(conn)?;
            Ok(rows
                .into_iter()
                .map(|(source, events, size_bytes)| SourceUsage {
                    source,
                    events,
                    size_bytes,
                })
                .collect())
        })
    }

    /// Looks at the next hundred-odd of the oldest rows and deletes those of a source that are too
    /// old or too many, in one short transaction.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from committing.
    pub fn delete_old_events(&self, source: &str, keep: Keep, now: Timestamp) -> Result<Deleted> {
        if keep == Keep::default() {
            return Ok(Deleted {
                events: 0,
                is_done: true,
            });
        }
        self.write(|conn| delete_events(conn, source, keep, now))
    }

    /// Deletes some alerts that ended before an instant, with their history and deliveries; how
    /// many. The events they named are then looked at again.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from committing.
    pub fn delete_old_alerts(&self, before: Timestamp) -> Result<usize> {
        self.write(|conn| delete_alerts(conn, before))
    }

    /// Gives a few unused pages back to the file system; whether there are more. Keeps a twentieth
    /// of the file for what comes next. Does nothing on PostgreSQL, whose autovacuum makes the
    /// space of deleted rows usable again, nor in an SQLite file of an earlier version, where
    /// unused pages are only used again.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn return_space(&self) -> Result<bool> {
        self.with_writer(|conn| match conn {
            AnyConn::Postgresql(_) => Ok(false),
            AnyConn::Sqlite(c) => {
                let pages: Pages = sql_query(
                    "SELECT page_count AS total, freelist_count AS free, auto_vacuum AS mode \
                     FROM pragma_page_count, pragma_freelist_count, pragma_auto_vacuum",
                )
                .get_result(c)?;
                let reserve = (pages.total / 20).max(RESERVE_PAGES_MIN);
                if pages.mode != INCREMENTAL || pages.free <= reserve {
                    return Ok(false);
                }
                let step = STEP_PAGES.min(pages.free - reserve);
                c.batch_execute(&format!("PRAGMA incremental_vacuum({step});"))?;
                Ok(pages.free - step > reserve)
            }
        })
    }
}

/// `PRAGMA auto_vacuum` of a file that can give pages back.
const INCREMENTAL: i64 = 2;

#[derive(QueryableByName)]
struct Pages {
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = BigInt)]
    free: i64,
    #[diesel(sql_type = BigInt)]
    mode: i64,
}

#[derive(Queryable)]
struct Candidate {
    seq: i64,
    kind: String,
    source: String,
    event_id: Option<String>,
    event_type: String,
    object_id: Option<String>,
    received_at_ms: i64,
    body_bytes: i64,
}

impl Candidate {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.event_id
            .iter()
            .chain(&self.object_id)
            .map(String::as_str)
    }
}

fn delete_events(conn: &mut AnyConn, source: &str, keep: Keep, now: Timestamp) -> Result<Deleted> {
    let done = Deleted {
        events: 0,
        is_done: true,
    };
    let usage: Option<(i64, i64)> = journal_usage::table
        .find(source)
        .select((journal_usage::size_bytes, journal_usage::passed_seq))
        .first(conn)
        .optional()?;
    let (Some((mut size_bytes, passed_seq)), Some(bound)) = (usage, bound(conn)?) else {
        return Ok(done);
    };
    let rows: Vec<Candidate> = journal::table
        .filter(journal::seq.gt(passed_seq))
        .filter(journal::seq.le(bound))
        .order(journal::seq.asc())
        .limit(STEP_ROWS)
        .select((
            journal::seq,
            journal::kind,
            journal::source,
            journal::event_id,
            journal::event_type,
            journal::object_id,
            journal::received_at_ms,
            sql::<BigInt>("CAST(length(body) AS BIGINT)"),
        ))
        .load(conn)?;
    let named = named_by_alerts(conn, &rows)?;
    let oldest = keep.age.map(|age| (now - age).as_millis());
    let is_full = i64::try_from(rows.len()).is_ok_and(|len| len == STEP_ROWS);
    let mut at = passed_seq;
    let mut gone = Vec::new();
    let mut events = 0;
    let mut types: BTreeMap<&str, i64> = BTreeMap::new();
    let mut is_done = !is_full;
    let before_bytes = size_bytes;
    for row in &rows {
        let is_old = oldest.is_some_and(|oldest| row.received_at_ms < oldest);
        let is_too_much = keep.size_bytes.is_some_and(|most| size_bytes > most);
        if !is_old && !is_too_much {
            is_done = true;
            break;
        }
        at = row.seq;
        let is_deletable = row.source == source
            && row.kind == EntryKind::Event.as_str()
            && !row.names().any(|name| named.contains(name));
        if is_deletable {
            size_bytes -= row.body_bytes + ROW_OVERHEAD_BYTES;
            events += 1;
            *types.entry(&row.event_type).or_default() += 1;
            gone.push(row.seq);
        } else if row.kind == EntryKind::Canary.as_str() {
            gone.push(row.seq);
        }
    }
    if !gone.is_empty() {
        // An append holds it, too, while it counts: else each could wait for what the other has counted.
        lock_head(conn)?;
        diesel::delete(journal::table.filter(journal::seq.eq_any(&gone))).execute(conn)?;
        for (event_type, events) in types {
            diesel::update(journal_types::table.find(event_type))
                .set(journal_types::events.eq(journal_types::events - events))
                .execute(conn)?;
        }
    }
    if at > passed_seq {
        diesel::update(journal_usage::table.find(source))
            .set((
                journal_usage::events.eq(journal_usage::events - events),
                journal_usage::size_bytes
                    .eq(journal_usage::size_bytes - (before_bytes - size_bytes)),
                journal_usage::passed_seq.eq(at),
            ))
            .execute(conn)?;
    }
    Ok(Deleted {
        events: usize::try_from(events).unwrap_or(usize::MAX),
        is_done,
    })
}

/// Takes the journal's head on PostgreSQL; on SQLite the transaction has it.
fn lock_head(conn: &mut AnyConn) -> Result<()> {
    if let AnyConn::Postgresql(c) = conn {
        c.batch_execute("SELECT 1 FROM journal_head WHERE id = 1 FOR UPDATE")?;
    }
    Ok(())
}

/// The last row that nobody will read again after a restart; `None` before the first snapshot.
fn bound(conn: &mut AnyConn) -> Result<Option<i64>> {
    let snapshot: Option<i64> = snapshots::table.select(min(snapshots::seq)).first(conn)?;
    let cursor: Option<i64> = cursors::table.select(min(cursors::seq)).first(conn)?;
    Ok(snapshot
        .zip(cursor)
        .map(|(snapshot, cursor)| snapshot.min(cursor)))
}

/// Which of these rows' ids a kept alert names.
fn named_by_alerts(conn: &mut AnyConn, rows: &[Candidate]) -> Result<BTreeSet<String>> {
    let names: BTreeSet<&str> = rows.iter().flat_map(Candidate::names).collect();
    let found: Vec<String> = alert_subjects::table
        .filter(alert_subjects::subject.eq_any(names))
        .select(alert_subjects::subject)
        .distinct()
        .load(conn)?;
    Ok(found.into_iter().collect())
}

fn delete_alerts(conn: &mut AnyConn, before: Timestamp) -> Result<usize> {
    let ids: Vec<String> = alerts::table
        // What fired before it ended before, too: the index on that is what keeps this short.
        .filter(alerts::fired_at_ms.lt(before.as_millis()))
        .filter(alerts::resolved_at_ms.lt(before.as_millis()))
        .order(alerts::fired_at_ms.asc())
        .limit(STEP_ALERTS)
        .select(alerts::id)
        .load(conn)?;
    if ids.is_empty() {
        return Ok(0);
    }
    let sent: Vec<i64> = deliveries::table
        .filter(deliveries::alert_id.eq_any(&ids))
        .select(deliveries::id)
        .load(conn)?;
    diesel::delete(delivery_attempts::table.filter(delivery_attempts::delivery_id.eq_any(&sent)))
        .execute(conn)?;
    diesel::delete(deliveries::table.filter(deliveries::alert_id.eq_any(&ids))).execute(conn)?;
    diesel::delete(alert_history::table.filter(alert_history::alert_id.eq_any(&ids)))
        .execute(conn)?;
    diesel::delete(alert_subjects::table.filter(alert_subjects::alert_id.eq_any(&ids)))
        .execute(conn)?;
    diesel::delete(alerts::table.filter(alerts::id.eq_any(&ids))).execute(conn)?;
    // Their events may go now: they stand among rows that were passed.
    diesel::update(journal_usage::table)
        .set(journal_usage::passed_seq.eq(0))
        .execute(conn)?;
    Ok(ids.len())
}
