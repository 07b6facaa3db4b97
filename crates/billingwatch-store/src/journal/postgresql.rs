//! Appending on PostgreSQL: begin and lock, ask, write, commit, each one way there and back.
//!
//! On a busy machine, or to a server that is another one, a batch waits more for these ways than for
//! the work done at their end, and while it waits no other begins. So there are four. Diesel prepares
//! what is written in its own words anew each time when it is an update, a statement of many rows or
//! raw SQL, which is one more way each: the two statements here always have the same text, take their
//! rows as one array a column, and are prepared once for each connection.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, SmallInt, Text};

use super::append::{NewRow, types_of, usage_of};
use super::{Head, NewEntry};
use crate::error::{Result, instant};
use crate::text;

/// What an append's transaction begins with: it takes the head, so that what is read next is all there
/// is. The second statement is for a journal that grows fast from nothing: what is prepared while it has
/// few rows would for a minute read all of them, rather than go by the index.
pub(super) const LOCK_HEAD: &str = "; SET LOCAL enable_seqscan = off; \
     SELECT 1 FROM journal_head WHERE id = 1 FOR UPDATE";

/// Rows of one statement.
const ROWS_MAX: usize = 1000;

/// Bytes of their bodies, as stored: PostgreSQL takes a value of up to 1 GB.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Events and where they stand, by id and source.
pub(super) type Known = HashMap<(String, String), i64>;

/// The head, which is ours, and which of these events are in the journal: nobody can add one meanwhile.
pub(super) fn head_and_known(c: &mut PgConnection, entries: &[NewEntry]) -> Result<(Head, Known)> {
    let event_ids = entries
        .iter()
        .filter_map(|entry| text::optional_key(entry.event_id.as_deref()))
        .collect();
    let rows: Vec<(i64, i64, Option<String>, Option<String>)> =
        HeadAndKnown { event_ids }.load(c)?;
    let mut head = None;
    let mut known = Known::with_capacity(entries.len());
    for (seq, at_ms, event_id, source) in rows {
        match event_id.zip(source) {
            Some(event) => {
                known.insert(event, seq);
            }
            None => {
                head = Some(Head {
                    last_seq: seq,
                    at: instant(at_ms),
                });
            }
        }
    }
    let head = head.ok_or(diesel::result::Error::NotFound)?;
    Ok((head, known))
}

/// The place of an event that is known; else that of its row, from now on.
pub(super) fn note_unless_known(known: &mut Known, row: &NewRow<'_>) -> Option<i64> {
    let event_id = row.event_id.as_ref()?;
    match known.entry((event_id.to_string(), row.source.to_string())) {
        Entry::Occupied(seq) => Some(*seq.get()),
        Entry::Vacant(place) => {
            place.insert(row.seq);
            None
        }
    }
}

/// Puts rows into the journal, and the last one's number and time into its head.
pub(super) fn insert(c: &mut PgConnection, rows: &[NewRow<'_>]) -> Result<()> {
    let mut rest = rows;
    while !rest.is_empty() {
        let mut size_bytes = 0_usize;
        let len = rest
            .iter()
            .take(ROWS_MAX)
            .take_while(|row| {
                size_bytes = size_bytes.saturating_add(row.body.len());
                size_bytes <= BODY_BYTES_MAX
            })
            .count()
            // One row always fits.
            .max(1);
        let (rows, after) = rest.split_at(len);
        InsertRows::of(rows).execute(c)?;
        rest = after;
    }
    Ok(())
}

#[derive(Debug)]
struct HeadAndKnown<'a> {
    event_ids: Vec<Cow<'a, str>>,
}

impl QueryId for HeadAndKnown<'_> {
    type QueryId = HeadAndKnown<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for HeadAndKnown<'_> {
    type SqlType = (BigInt, BigInt, Nullable<Text>, Nullable<Text>);
}

impl RunQueryDsl<PgConnection> for HeadAndKnown<'_> {}

impl QueryFragment<Pg> for HeadAndKnown<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "SELECT last_seq, at_ms, NULL::text, NULL::text FROM journal_head WHERE id = 1 \
             UNION ALL \
             SELECT seq, 0, event_id, source FROM journal WHERE event_id = ANY(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.event_ids)?;
        out.push_sql(")");
        Ok(())
    }
}

/// Rows, as one array a column, and what they change elsewhere.
#[derive(Debug, Default)]
struct InsertRows<'a> {
    seq: Vec<i64>,
    kind: Vec<&'a str>,
    source: Vec<&'a str>,
    event_id: Vec<Option<&'a str>>,
    event_type: Vec<&'a str>,
    object_id: Vec<Option<&'a str>>,
    customer_id: Vec<Option<&'a str>>,
    created_at: Vec<Option<i64>>,
    received_at_ms: Vec<i64>,
    account: Vec<Option<&'a str>>,
    livemode: Vec<bool>,
    api_version: Vec<Option<&'a str>>,
    is_historical: Vec<bool>,
    body: Vec<&'a [u8]>,
    codec: Vec<i16>,
    usage_source: Vec<&'a str>,
    usage_events: Vec<i64>,
    usage_size_bytes: Vec<i64>,
    types: Vec<&'a str>,
    types_events: Vec<i64>,
    last_seq: i64,
    at_ms: i64,
}

impl<'a> InsertRows<'a> {
    fn of(rows: &'a [NewRow<'a>]) -> Self {
        let mut it = Self::default();
        for row in rows {
            it.seq.push(row.seq);
            it.kind.push(row.kind);
            it.source.push(&row.source);
            it.event_id.push(row.event_id.as_deref());
            it.event_type.push(&row.event_type);
            it.object_id.push(row.object_id.as_deref());
            it.customer_id.push(row.customer_id.as_deref());
            it.created_at.push(row.created_at);
            it.received_at_ms.push(row.received_at_ms);
            it.account.push(row.account.as_deref());
            it.livemode.push(row.livemode);
            it.api_version.push(row.api_version.as_deref());
            it.is_historical.push(row.is_historical);
            it.body.push(row.body);
            it.codec.push(row.codec);
            it.last_seq = row.seq;
            it.at_ms = row.received_at_ms;
        }
        for (source, (events, size_bytes)) in usage_of(rows) {
            it.usage_source.push(source);
            it.usage_events.push(events);
            it.usage_size_bytes.push(size_bytes);
        }
        for (event_type, events) in types_of(rows) {
            it.types.push(event_type);
            it.types_events.push(events);
        }
        it
    }
}

impl QueryId for InsertRows<'_> {
    type QueryId = InsertRows<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<PgConnection> for InsertRows<'_> {}

impl QueryFragment<Pg> for InsertRows<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Statements in WITH are carried out whether or not anybody reads from them.
        out.push_sql(
            "WITH added_usage AS (\
             INSERT INTO journal_usage (source, events, size_bytes, passed_seq) \
             SELECT source, events, size_bytes, 0 FROM unnest(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.usage_source)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.usage_events)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.usage_size_bytes)?;
        out.push_sql(
            ") AS added (source, events, size_bytes) \
             ON CONFLICT (source) DO UPDATE SET \
             events = journal_usage.events + excluded.events, \
             size_bytes = journal_usage.size_bytes + excluded.size_bytes\
             ), added_types AS (\
             INSERT INTO journal_types (event_type, events) SELECT * FROM unnest(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.types)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.types_events)?;
        out.push_sql(
            ") AS added (event_type, events) \
             ON CONFLICT (event_type) DO UPDATE SET \
             events = journal_types.events + excluded.events\
             ), moved_head AS (UPDATE journal_head SET last_seq = ",
        );
        out.push_bind_param::<BigInt, _>(&self.last_seq)?;
        out.push_sql(", at_ms = ");
        out.push_bind_param::<BigInt, _>(&self.at_ms)?;
        out.push_sql(
            " WHERE id = 1) \
             INSERT INTO journal (seq, kind, source, event_id, event_type, object_id, customer_id, \
             created_at, received_at_ms, account, livemode, api_version, is_historical, body, codec) \
             SELECT * FROM unnest(",
        );
        out.push_bind_param::<Array<BigInt>, _>(&self.seq)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.kind)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.source)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.event_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.event_type)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.object_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.customer_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<BigInt>>, _>(&self.created_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.received_at_ms)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.account)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Bool>, _>(&self.livemode)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.api_version)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Bool>, _>(&self.is_historical)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.body)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<SmallInt>, _>(&self.codec)?;
        out.push_sql(")");
        Ok(())
    }
}
