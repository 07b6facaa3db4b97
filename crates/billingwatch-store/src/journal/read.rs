//! Reading the journal: in order for consumers, newest first for people.

use billingwatch_core::time::Timestamp;
use diesel::dsl::{count_star, max, min};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

use super::{EntryKind, EventRow, JournalEntry, codec};
use crate::connection::{AnyConn, both};
use crate::error::{Result, StoreError, instant};
use crate::page::{Page, PageOf};
use crate::schema::journal;
use crate::store::Store;
use crate::text;

/// The most entries one [`Store::read_after`] returns, whatever is asked for.
pub const READ_MAX: i64 = 10_000;

/// `journal.kind` of events.
const EVENT: &str = EntryKind::Event.as_str();

/// Which events to list. Everything absent is not asked about; instants are from (inclusive) to
/// (exclusive).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Any of these types; empty for all.
    pub types: Vec<String>,
    /// About this customer.
    pub customer: Option<String>,
    /// About this object.
    pub object: Option<String>,
    /// Of this connected account.
    pub account: Option<String>,
    /// Live or test.
    pub livemode: Option<bool>,
    /// Through this source.
    pub source: Option<String>,
    /// Created at Stripe at or after.
    pub created_from: Option<Timestamp>,
    /// Created at Stripe before.
    pub created_to: Option<Timestamp>,
    /// Received at or after.
    pub received_from: Option<Timestamp>,
    /// Received before.
    pub received_to: Option<Timestamp>,
}

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

#[derive(Queryable, Selectable)]
#[diesel(table_name = journal)]
struct ListedRow {
    seq: i64,
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

    /// Events, newest arrival first, without their bodies.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadPage`] for a cursor of another list, or whatever keeps the database from
    /// answering.
    pub fn list_events(&self, filter: &EventFilter, page: &Page) -> Result<PageOf<EventRow>> {
        let below = page.below()?;
        self.read(|conn| {
            let Some((from, to)) = places(conn, filter)? else {
                return Ok(page.cut(Vec::new(), |row: &EventRow| row.seq.to_string()));
            };
            let mut query = journal::table
                .filter(journal::seq.lt(below.min(to)))
                .into_boxed();
            if from > 0 {
                query = query.filter(journal::seq.ge(from));
            }
            if filter.types.is_empty() {
                // Only events have an id. By their kind SQLite would go where it is all that is
                // asked about: to an index that has all of them, to sort them.
                query = query.filter(journal::event_id.is_not_null());
            } else {
                query = query.filter(journal::kind.eq(EVENT));
                let types: Vec<String> = filter
                    .types
                    .iter()
                    .map(|t| text::key(t).into_owned())
                    .collect();
                query = query.filter(journal::event_type.eq_any(types));
            }
            if let Some(customer) = &filter.customer {
                query = query.filter(journal::customer_id.eq(text::key(customer)));
            }
            if let Some(object) = &filter.object {
                query = query.filter(journal::object_id.eq(text::key(object)));
            }
            if let Some(account) = &filter.account {
                query = query.filter(journal::account.eq(text::key(account)));
            }
            if let Some(livemode) = filter.livemode {
                query = query.filter(journal::livemode.eq(livemode));
            }
            if let Some(source) = &filter.source {
                query = query.filter(journal::source.eq(text::key(source)));
            }
            if let Some(from) = filter.created_from {
                query = query.filter(journal::created_at.ge(ceil_secs(from)));
            }
            if let Some(to) = filter.created_to {
                query = query.filter(journal::created_at.lt(ceil_secs(to)));
            }
            let rows: Vec<ListedRow> = query
                .order(journal::seq.desc())
                .limit(page.fetch())
                .select(ListedRow::as_select())
                .load(conn)?;
            let rows = rows.into_iter().map(EventRow::from).collect();
            Ok(page.cut(rows, |row| row.seq.to_string()))
        })
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

fn first_seq_since(conn: &mut AnyConn, since: Timestamp) -> Result<Option<i64>> {
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

/// From which number on (inclusive) to which (exclusive) a filter's receive times reach; `None` when
/// nothing was received so late. A list goes by number, and would pass over all that came later.
fn places(conn: &mut AnyConn, filter: &EventFilter) -> Result<Option<(i64, i64)>> {
    let from = match filter.received_from {
        None => 0,
        Some(from) => match first_seq_since(conn, from)? {
            Some(seq) => seq,
            None => return Ok(None),
        },
    };
    let to = match filter.received_to {
        None => None,
        Some(to) => {
            // Before the question, so that what comes meanwhile is not in the list.
            let last: Option<i64> = journal::table.select(max(journal::seq)).first(conn)?;
            let first_later = first_seq_since(conn, to)?;
            first_later.or(last.map(|last| last.saturating_add(1)))
        }
    };
    Ok(Some((from, to.unwrap_or(i64::MAX))))
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
        None => journal::table
            .filter(journal::kind.eq(EVENT))
            .group_by(journal::event_type)
            .select((journal::event_type, count_star()))
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

/// The first whole second at or after an instant: `created` has no milliseconds.
const fn ceil_secs(at: Timestamp) -> i64 {
    let secs = at.as_secs();
    if Timestamp::from_secs(secs).as_millis() < at.as_millis() {
        secs + 1
    } else {
        secs
    }
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

impl From<ListedRow> for EventRow {
    fn from(row: ListedRow) -> Self {
        Self {
            seq: row.seq,
            source: row.source,
            event_id: row.event_id.unwrap_or_default(),
            event_type: row.event_type,
            object_id: row.object_id,
            customer_id: row.customer_id,
            created_at: row.created_at,
            received_at: instant(row.received_at_ms),
            account: row.account,
            livemode: row.livemode,
            api_version: row.api_version,
            is_historical: row.is_historical,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(QueryableByName)]
    struct PlanRow {
        #[diesel(sql_type = diesel::sql_types::Text)]
        detail: String,
    }

    /// How SQLite would go about a query.
    fn plan(query: &str) -> String {
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
    fn counts_are_answered_from_an_index_alone() {
        let since = plan(&COUNTS_SINCE_SQLITE.replace('?', "0"));
        assert!(
            since.contains("COVERING INDEX journal_received_at"),
            "{since}"
        );
        let all = plan(
            "SELECT event_type, count(*) FROM journal WHERE kind = 'event' \
             GROUP BY event_type",
        );
        assert!(all.contains("COVERING INDEX"), "{all}");
    }

    #[test]
    fn lists_go_by_their_index() {
        for (column, index) in [
            ("event_type", "journal_event_type"),
            ("object_id", "journal_object_id"),
            ("customer_id", "journal_customer_id"),
        ] {
            let is_event = match column {
                "event_type" => "kind = 'event'",
                _ => "event_id IS NOT NULL",
            };
            let plan = plan(&format!(
                "SELECT * FROM journal WHERE seq < 9 AND seq >= 1 AND {is_event} \
                 AND {column} = 'x' ORDER BY seq DESC LIMIT 50"
            ));
            assert!(plan.contains(index) && !plan.contains("TEMP"), "{plan}");
        }
    }

    #[test]
    fn a_list_of_all_goes_from_the_newest_back_and_sorts_nothing() {
        for more in [
            "",
            "AND source = 'x'",
            "AND livemode",
            "AND created_at >= 5",
        ] {
            let plan = plan(&format!(
                "SELECT * FROM journal WHERE event_id IS NOT NULL AND seq < 9 AND seq >= 1 {more} \
                 ORDER BY seq DESC LIMIT 50"
            ));
            assert!(
                plan.contains("USING INTEGER PRIMARY KEY") && !plan.contains("TEMP"),
                "{plan}"
            );
        }
    }
}
