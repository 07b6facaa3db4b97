//! What an append changes on SQLite beside its rows: statements of which each is prepared once for a
//! connection, as diesel does not for what updates.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, SmallInt, Text};
use diesel::sqlite::Sqlite;

use super::Head;
use super::append::{NewRow, types_of, usage_of};

/// Counts rows that are in the journal now, and moves its head to the last of them.
pub(super) fn note(c: &mut SqliteConnection, rows: &[NewRow<'_>], head: Head) -> QueryResult<()> {
    for (source, (events, size_bytes)) in usage_of(rows) {
        CountUsage {
            source,
            events,
            size_bytes,
        }
        .execute(c)?;
    }
    for (event_type, events) in types_of(rows) {
        CountType { event_type, events }.execute(c)?;
    }
    MoveHead {
        last_seq: head.last_seq,
        at_ms: head.at.as_millis(),
    }
    .execute(c)?;
    Ok(())
}

/// Puts a row there unless its event is there already. Diesel's own insert is written out for every
/// row, to be found among the prepared ones by its text.
pub(super) struct InsertUnlessKnown<'a>(pub(super) &'a NewRow<'a>);

impl QueryId for InsertUnlessKnown<'_> {
    type QueryId = InsertUnlessKnown<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for InsertUnlessKnown<'_> {}

impl QueryFragment<Sqlite> for InsertUnlessKnown<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let row = self.0;
        out.push_sql(
            "INSERT INTO journal (seq, kind, source, event_id, event_type, object_id, customer_id, \
             created_at, received_at_ms, account, livemode, api_version, is_historical, body, codec) \
             VALUES (",
        );
        out.push_bind_param::<BigInt, _>(&row.seq)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(row.kind)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&row.source)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&row.event_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&row.event_type)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&row.object_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&row.customer_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<BigInt>, _>(&row.created_at)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&row.received_at_ms)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&row.account)?;
        out.push_sql(", ");
        out.push_bind_param::<Bool, _>(&row.livemode)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&row.api_version)?;
        out.push_sql(", ");
        out.push_bind_param::<Bool, _>(&row.is_historical)?;
        out.push_sql(", ");
        out.push_bind_param::<Binary, _>(row.body)?;
        out.push_sql(", ");
        out.push_bind_param::<SmallInt, _>(&row.codec)?;
        out.push_sql(") ON CONFLICT DO NOTHING");
        Ok(())
    }
}

struct CountUsage<'a> {
    source: &'a str,
    events: i64,
    size_bytes: i64,
}

impl QueryId for CountUsage<'_> {
    type QueryId = CountUsage<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for CountUsage<'_> {}

impl QueryFragment<Sqlite> for CountUsage<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("INSERT INTO journal_usage (source, events, size_bytes, passed_seq) VALUES (");
        out.push_bind_param::<Text, _>(self.source)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.events)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.size_bytes)?;
        out.push_sql(
            ", 0) ON CONFLICT (source) DO UPDATE SET \
             events = journal_usage.events + excluded.events, \
             size_bytes = journal_usage.size_bytes + excluded.size_bytes",
        );
        Ok(())
    }
}

struct CountType<'a> {
    event_type: &'a str,
    events: i64,
}

impl QueryId for CountType<'_> {
    type QueryId = CountType<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for CountType<'_> {}

impl QueryFragment<Sqlite> for CountType<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("INSERT INTO journal_types (event_type, events) VALUES (");
        out.push_bind_param::<Text, _>(self.event_type)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.events)?;
        out.push_sql(
            ") ON CONFLICT (event_type) DO UPDATE SET \
             events = journal_types.events + excluded.events",
        );
        Ok(())
    }
}

struct MoveHead {
    last_seq: i64,
    at_ms: i64,
}

impl QueryId for MoveHead {
    type QueryId = Self;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for MoveHead {}

impl QueryFragment<Sqlite> for MoveHead {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("UPDATE journal_head SET last_seq = ");
        out.push_bind_param::<BigInt, _>(&self.last_seq)?;
        out.push_sql(", at_ms = ");
        out.push_bind_param::<BigInt, _>(&self.at_ms)?;
        out.push_sql(" WHERE id = 1");
        Ok(())
    }
}
