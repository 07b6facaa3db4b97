//! The spool's table: what a row holds, how it is made of an entry and becomes one again.

use billingwatch_core::stripe::payload::read_envelope;
use billingwatch_core::time::Timestamp;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{QueryableByName, SqliteConnection, sql_query};

use super::Spooled;
use crate::error::{Result, StoreError, instant};
use crate::journal::codec::{self, Packed};
use crate::journal::{EntryKind, NewEntry};

/// What a row takes beside its body: its columns, the index of ids, and what pages leave empty.
const ROW_OVERHEAD_BYTES: u64 = 450;

/// `user_version` of a file this program understands.
pub(super) const FORMAT: i64 = 1;

diesel::table! {
    spool (id) {
        id -> BigInt,
        source -> Text,
        event_id -> Text,
        event_type -> Text,
        object_id -> Nullable<Text>,
        customer_id -> Nullable<Text>,
        created_at -> Nullable<BigInt>,
        received_at_ms -> BigInt,
        account -> Nullable<Text>,
        livemode -> Bool,
        api_version -> Nullable<Text>,
        body -> Binary,
        codec -> SmallInt,
        set_aside -> Nullable<Text>,
    }
}

pub(super) const TABLES: &str = "
    CREATE TABLE spool (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        source TEXT NOT NULL,
        event_id TEXT NOT NULL,
        event_type TEXT NOT NULL,
        object_id TEXT,
        customer_id TEXT,
        created_at BIGINT,
        received_at_ms BIGINT NOT NULL,
        account TEXT,
        livemode BOOLEAN NOT NULL,
        api_version TEXT,
        body BLOB NOT NULL,
        codec SMALLINT NOT NULL,
        set_aside TEXT,
        UNIQUE (source, event_id)
    );
    CREATE TABLE meant_for (database TEXT NOT NULL, was_reached BOOLEAN NOT NULL);
    PRAGMA user_version = 1;
";

#[derive(Insertable)]
#[diesel(table_name = spool, treat_none_as_default_value = false)]
pub(super) struct NewRow<'a> {
    pub(super) source: &'a str,
    pub(super) event_id: &'a str,
    pub(super) event_type: &'a str,
    pub(super) object_id: Option<&'a str>,
    pub(super) customer_id: Option<&'a str>,
    pub(super) created_at: Option<i64>,
    pub(super) received_at_ms: i64,
    pub(super) account: Option<&'a str>,
    pub(super) livemode: bool,
    pub(super) api_version: Option<&'a str>,
    pub(super) body: &'a [u8],
    pub(super) codec: i16,
}

/// A row as it is: to be taken out, or carried from one file into another.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = spool, treat_none_as_default_value = false)]
pub(super) struct Row {
    pub(super) id: i64,
    source: String,
    event_id: String,
    event_type: String,
    object_id: Option<String>,
    customer_id: Option<String>,
    created_at: Option<i64>,
    received_at_ms: i64,
    account: Option<String>,
    livemode: bool,
    api_version: Option<String>,
    body: Vec<u8>,
    codec: i16,
    set_aside: Option<String>,
}

/// What a row cannot do without. The other columns repeat what the body says.
#[derive(Queryable, Selectable)]
#[diesel(table_name = spool)]
struct Essential {
    id: i64,
    source: String,
    event_id: String,
    received_at_ms: i64,
    body: Vec<u8>,
    codec: i16,
}

#[derive(QueryableByName)]
pub(super) struct Size {
    #[diesel(sql_type = BigInt)]
    pub(super) id: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) size_bytes: i64,
}

#[derive(QueryableByName)]
pub(super) struct Totals {
    #[diesel(sql_type = BigInt)]
    pub(super) entries: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) size_bytes: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) set_aside: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub(super) oldest_at_ms: Option<i64>,
}

#[derive(QueryableByName)]
pub(super) struct Head {
    #[diesel(sql_type = BigInt)]
    pub(super) user_version: i64,
}

#[derive(QueryableByName)]
pub(super) struct Reached {
    #[diesel(sql_type = BigInt)]
    pub(super) was_reached: i64,
}

#[derive(QueryableByName)]
pub(super) struct MeantFor {
    #[diesel(sql_type = Text)]
    pub(super) database: String,
}

/// Makes the tables where there are none, and claims the file; `None` when it is another's.
pub(super) fn prepare(conn: &mut SqliteConnection, database: &str) -> Result<Option<Totals>> {
    let head: Head = sql_query("SELECT user_version FROM pragma_user_version").get_result(conn)?;
    if head.user_version == 0 {
        conn.batch_execute(TABLES)?;
    } else if head.user_version != FORMAT {
        return Err(StoreError::NewerSchema {
            database: String::new(),
            unknown: format!("format {}", head.user_version),
            newest_known: format!("format {FORMAT}"),
        });
    }
    let meant_for: Vec<MeantFor> = sql_query("SELECT database FROM meant_for").load(conn)?;
    let before = totals(conn)?;
    let is_ours = meant_for.iter().all(|one| one.database == database);
    if !is_ours && before.entries + before.set_aside > 0 {
        return Ok(None);
    }
    if !is_ours || meant_for.is_empty() {
        sql_query("DELETE FROM meant_for").execute(conn)?;
        sql_query("INSERT INTO meant_for (database, was_reached) VALUES (?, FALSE)")
            .bind::<Text, _>(database)
            .execute(conn)?;
    }
    // A start is the operator's word that what stood in the way may be gone.
    sql_query("UPDATE spool SET set_aside = NULL WHERE set_aside IS NOT NULL").execute(conn)?;
    Ok(Some(totals(conn)?))
}

/// A row that can only be read in part, when that part is the event.
pub(super) fn essential(conn: &mut SqliteConnection, id: i64) -> Option<Row> {
    let row = spool::table.find(id).select(Essential::as_select());
    row.first(conn).ok()?.into_row()
}

pub(super) fn totals(conn: &mut SqliteConnection) -> Result<Totals> {
    Ok(sql_query(format!(
        "SELECT count(*) FILTER (WHERE set_aside IS NULL) AS entries, \
         coalesce(sum(coalesce(length(body), 0) + {ROW_OVERHEAD_BYTES}), 0) AS size_bytes, \
         count(*) FILTER (WHERE set_aside IS NOT NULL) AS set_aside, \
         (SELECT received_at_ms FROM spool WHERE set_aside IS NULL ORDER BY id LIMIT 1) \
         AS oldest_at_ms FROM spool"
    ))
    .get_result(conn)?)
}

pub(super) fn oldest(conn: &mut SqliteConnection) -> Result<Option<Timestamp>> {
    let at_ms: Option<i64> = spool::table
        .filter(spool::set_aside.is_null())
        .order(spool::id)
        .select(spool::received_at_ms)
        .first(conn)
        .optional()?;
    Ok(at_ms.map(instant))
}

pub(super) fn row_of<'a>(
    entry: &'a NewEntry,
    packed: &'a Packed<'_>,
    now: Timestamp,
) -> Result<NewRow<'a>> {
    let event_id = entry
        .event_id
        .as_deref()
        .filter(|_| entry.kind == EntryKind::Event && !entry.is_historical)
        .ok_or_else(|| StoreError::BadEntry {
            reason: "only live events wait in a spool".to_owned(),
        })?;
    Ok(NewRow {
        source: &entry.source,
        event_id,
        event_type: &entry.event_type,
        object_id: entry.object_id.as_deref(),
        customer_id: entry.customer_id.as_deref(),
        created_at: entry.created_at,
        received_at_ms: entry.received_at.unwrap_or(now).as_millis(),
        account: entry.account.as_deref(),
        livemode: entry.livemode,
        api_version: entry.api_version.as_deref(),
        body: &packed.bytes,
        codec: packed.codec,
    })
}

impl Essential {
    /// The whole row; `None` where the body is not that event's.
    fn into_row(self) -> Option<Row> {
        let body = codec::unpack(self.codec, self.body.clone()).ok()?;
        let envelope = read_envelope(&body)
            .ok()
            .filter(|envelope| envelope.id == self.event_id)?;
        Some(Row {
            id: self.id,
            source: self.source,
            event_id: self.event_id,
            event_type: envelope.event_type,
            object_id: envelope.object_id,
            customer_id: envelope.customer_id,
            created_at: envelope.created.map(Timestamp::as_secs),
            received_at_ms: self.received_at_ms,
            account: envelope.account,
            livemode: envelope.livemode,
            api_version: envelope.api_version,
            body: self.body,
            codec: self.codec,
            set_aside: None,
        })
    }
}

impl Row {
    /// Whether the body is that event's. What a damaged page gives for a row may be anything.
    pub(super) fn is_sound(&self) -> bool {
        codec::unpack(self.codec, self.body.clone())
            .ok()
            .and_then(|body| read_envelope(&body).ok())
            .is_some_and(|envelope| envelope.id == self.event_id)
    }

    /// Whose event it is: its source, and its id there.
    pub(super) fn event(&self) -> (&str, &str) {
        (&self.source, &self.event_id)
    }

    pub(super) fn into_spooled(self) -> Result<Spooled> {
        Ok(Spooled {
            id: self.id,
            entry: NewEntry {
                kind: EntryKind::Event,
                source: self.source,
                event_id: Some(self.event_id),
                event_type: self.event_type,
                object_id: self.object_id,
                customer_id: self.customer_id,
                created_at: self.created_at,
                account: self.account,
                livemode: self.livemode,
                api_version: self.api_version,
                is_historical: false,
                received_at: Some(instant(self.received_at_ms)),
                body: codec::unpack(self.codec, self.body)?,
                packed: None,
            },
        })
    }
}

pub(super) fn size_of(body_len: usize) -> u64 {
    u64::try_from(body_len)
        .unwrap_or(u64::MAX)
        .saturating_add(ROW_OVERHEAD_BYTES)
}
