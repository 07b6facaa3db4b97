//! Reading the journal: in order for consumers, and in numbers.

use billingwatch_core::time::Timestamp;
use diesel::dsl::{count_star, max, min};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

use super::{EntryKind, JournalEntry, codec};
use crate::connection::{AnyConn, both};
use crate::error::{Result, StoreError, instant};
use crate::schema::{journal, journal_types};
use crate::store::Store;
use crate::text;

/// The most entries one [`Store::read_after`] returns, whatever is asked for.
pub const READ_MAX: i64 = 10_000;

/// `journal.kind` of events.
const EVENT: &str = EntryKind::Event.as_str();

#[derive(Queryable, Selectable)]
#[diesel(table_name = journal)]
struct EntryRow {
    seq: i64,
    kind: String,
    source: String,
    event_id: Option<String>,
    event_type: String,
    object_id: Option<String>,
    customer_id: Option<String>,
    created_at: Option<i64>,
    received_at_ms: i64,
    account: Option<String>,
    livemode: bool,
    api_version: Option<String>,
    is_historical: bool,
    body: Vec<u8>,
    codec: i16,
}

impl Store {
    /// The entries after `seq`, in order: at most `limit`, and never more than [`READ_MAX`].
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn read_after(&self, seq: i64, limit: i64) -> Result<Vec<JournalEntry>> {
        self.read(|conn| {
            let rows: Vec<EntryRow> = journal::table
                .filter(journal::seq.gt(seq))
                .order(journal::seq.asc())
                .limit(limit.clamp(0, READ_MAX))
                .select(EntryRow::as_select())
                .load(conn)?;
            rows.into_iter().map(JournalEntry::try_from).collect()
        })
    }

    /// The first entry received at or after an instant; `None` when there is none.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn first_seq_since(&self, since: Timestamp) -> Result<Option<i64>> {
        self.read(|conn| first_seq_since(conn, since))
    }

    /// The event with this id: where several sources received it, the first.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn get_event(&self, event_id: &str) -> Result<Option<JournalEntry>> {
        self.read(|conn| {
            let row: Option<EntryRow> = journal::table
                .filter(journal::event_id.eq(text::key(event_id)))
                .order(journal::seq.asc())
                .select(EntryRow::as_select())
                .first(conn)
                .optional()?;
            row.map(JournalEntry::try_from).transpose()
        })
    }

    /// How many events are kept.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn count_events(&self) -> Result<i64> {
        self.read(|conn| {
            Ok(journal::table
                .filter(journal::kind.eq(EVENT))
                .select(count_star())
                .first(conn)?)
        })
    }

    /// How many events of each type were received at or after `since` (or ever), by type's name.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn counts_by_type(&self, since: Option<Timestamp>) -> Result<Vec<(String, i64)>> {
        self.read(|conn| Ok(counts_by_type(conn, since)?))
    }

    /// When the newest event was received.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn last_event_at(&self) -> Result<Option<Timestamp>> {
        self.read(|conn| {
            let at_ms: Option<i64> = journal::table
                .filter(journal::kind.eq(EVENT))
                .select(max(journal::received_at_ms))
                .first(conn)?;
            Ok(at_ms.map(instant))
        })
    }
}

pub(super) fn first_seq_since(conn: &mut AnyConn, since: Timestamp) -> Result<Option<i64>> {
    // In two questions that an index answers: receive times never decrease with the numbers, so the
    // first instant has the first number.
    let at_ms: Option<i64> = journal::table
        .filter(journal::received_at_ms.ge(since.as_millis()))
        .select(min(journal::received_at_ms))
        .first(conn)?;
    let Some(at_ms) = at_ms else { return Ok(None) };
    Ok(journal::table
        .filter(journal::received_at_ms.eq(at_ms))
        .select(min(journal::seq))
        .first(conn)?)
}

/// Left to itself SQLite goes by the index on types and fetches every row to look at its time.
const COUNTS_SINCE_SQLITE: &str = "SELECT event_type, count(*) AS count \
     FROM journal INDEXED BY journal_received_at \
     WHERE kind = 'event' AND received_at_ms >= ? GROUP BY event_type";
const COUNTS_SINCE_POSTGRESQL: &str = "SELECT event_type, count(*) AS count FROM journal \
     WHERE kind = 'event' AND received_at_ms >= $1 GROUP BY event_type";

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = diesel::sql_types::Text)]
    event_type: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn counts_by_type(conn: &mut AnyConn, since: Option<Timestamp>) -> QueryResult<Vec<(String, i64)>> {
    let mut counts: Vec<(String, i64)> = match since {
        None => journal_types::table
            .filter(journal_types::events.gt(0))
            .select((journal_types::event_type, journal_types::events))
            .load(conn)?,
        Some(since) => {
            let query = match conn {
                AnyConn::Sqlite(_) => COUNTS_SINCE_SQLITE,
                AnyConn::Postgresql(_) => COUNTS_SINCE_POSTGRESQL,
            };
            let rows: Vec<CountRow> = both!(conn, c => {
                sql_query(query).bind::<BigInt, _>(since.as_millis()).load(c)
            })?;
            rows.into_iter()
                .map(|row| (row.event_type, row.count))
                .collect()
        }
    };
    // Here rather than there: a PostgreSQL server sorts by its own collation.
    counts.sort();
    Ok(counts)
}

impl TryFrom<EntryRow> for JournalEntry {
    type Error = StoreError;

    fn try_from(row: EntryRow) -> Result<Self> {
        Ok(Self {
            seq: row.seq,
            kind: EntryKind::from_stored(&row.kind)?,
            source: row.source,
            event_id: row.event_id,
            event_type: row.event_type,
            object_id: row.object_id,
            customer_id: row.customer_id,
            created_at: row.created_at,
            received_at: instant(row.received_at_ms),
            account: row.account,
            livemode: row.livemode,
            api_version: row.api_version,
            is_historical: row.is_historical,
            body: codec::unpack(row.codec, row.body)?,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[derive(QueryableByName)]
    struct PlanRow {
        #[diesel(sql_type = diesel::sql_types::Text)]
        detail: String,
    }

    /// How SQLite would go about a query.
    pub(in crate::journal) fn plan(query: &str) -> String {
        let store = crate::testing::sqlite();
        let rows: Vec<PlanRow> = store
            .read(|conn| {
                let explain = format!("EXPLAIN QUERY PLAN {query}");
                Ok(both!(conn, c => sql_query(explain).load(c))?)
            })
            .unwrap();
        rows.into_iter().map(|row| row.detail + "\n").collect()
    }

    #[test]
    fn counts_of_a_window_are_answered_from_an_index_alone() {
        let since = plan(&COUNTS_SINCE_SQLITE.replace('?', "0"));
        assert!(
            since.contains("COVERING INDEX journal_received_at"),
            "{since}"
        );
    }
}
