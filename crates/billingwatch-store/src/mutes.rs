//! What people muted.
//!
//! The truth is the journal, where a mute is met again at its place in every replay. This is a
//! projection of it for people to read, written by the append itself.

use billingwatch_core::engine::{LiftMute, Mute};
use billingwatch_core::time::Timestamp;
use diesel::prelude::*;

use crate::connection::{AnyConn, both};
use crate::error::{Result, StoreError, instant};
use crate::journal::{EntryKind, NewEntry};
use crate::page::{Page, PageOf};
use crate::schema::mutes;
use crate::store::Store;
use crate::text;

/// A mute, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MuteRow {
    /// What was said.
    pub mute: Mute,
    /// The journal entry that said it last.
    pub seq: i64,
    /// When.
    pub created_at: Timestamp,
    /// When somebody lifted it before its date.
    pub lifted_at: Option<Timestamp>,
    /// Who did.
    pub lifted_by: Option<String>,
}

impl MuteRow {
    /// Whether it holds anything back at this time.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.lifted_at.is_none() && now < self.mute.until
    }
}

/// Which to list. Everything absent is not asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MuteFilter {
    /// Of this detector's findings.
    pub detector: Option<String>,
    /// In force at this time.
    pub in_force_at: Option<Timestamp>,
}

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = mutes, treat_none_as_default_value = false, treat_none_as_null = true)]
struct NewRow<'a> {
    id: &'a str,
    seq: i64,
    alert_id: &'a str,
    detector: &'a str,
    created_at_ms: i64,
    until_ms: i64,
    lifted_at_ms: Option<i64>,
    lifted_by: Option<&'a str>,
    mute: &'a str,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = mutes)]
struct Row {
    seq: i64,
    created_at_ms: i64,
    lifted_at_ms: Option<i64>,
    lifted_by: Option<String>,
    mute: String,
}

impl NewEntry {
    /// The journal entry by which a person mutes something.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadEntry`] when it cannot be written as JSON.
    pub fn mute(mute: &Mute) -> Result<Self> {
        Self::by_operator(EntryKind::Mute, mute)
    }

    /// The journal entry by which a person lifts a mute.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadEntry`] when it cannot be written as JSON.
    pub fn lift(lift: &LiftMute) -> Result<Self> {
        Self::by_operator(EntryKind::Lift, lift)
    }
}

impl Store {
    /// Mutes, the newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadPage`] for a cursor of another list, or whatever keeps the database from
    /// answering.
    pub fn list_mutes(&self, filter: &MuteFilter, page: &Page) -> Result<PageOf<MuteRow>> {
        let below = page.below()?;
        self.read(|conn| {
            let mut query = mutes::table.filter(mutes::seq.lt(below)).into_boxed();
            if let Some(detector) = &filter.detector {
                query = query.filter(mutes::detector.eq(detector));
            }
            if let Some(at) = filter.in_force_at {
                query = query
                    .filter(mutes::lifted_at_ms.is_null())
                    .filter(mutes::until_ms.gt(at.as_millis()));
            }
            let rows: Vec<Row> = query
                .order(mutes::seq.desc())
                .limit(page.fetch())
                .select(Row::as_select())
                .load(conn)?;
            let page = page.cut(rows, |row| row.seq.to_string());
            Ok(PageOf {
                items: read_all(page.items)?,
                next: page.next,
            })
        })
    }

    /// The mute with this id.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn get_mute(&self, id: &str) -> Result<Option<MuteRow>> {
        self.read(|conn| {
            let row: Option<Row> = mutes::table
                .find(text::key(id))
                .select(Row::as_select())
                .first(conn)
                .optional()?;
            row.map(MuteRow::try_from).transpose()
        })
    }

    /// The mutes that were said of an alert, in the order they were said.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn alert_mutes(&self, alert_id: &str) -> Result<Vec<MuteRow>> {
        self.read(|conn| {
            let rows: Vec<Row> = mutes::table
                .filter(mutes::alert_id.eq(text::key(alert_id)))
                .order(mutes::seq.asc())
                .select(Row::as_select())
                .load(conn)?;
            read_all(rows)
        })
    }

    /// How many mutes are in force at this time.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn count_mutes(&self, in_force_at: Timestamp) -> Result<i64> {
        self.read(|conn| {
            Ok(mutes::table
                .filter(mutes::lifted_at_ms.is_null())
                .filter(mutes::until_ms.gt(in_force_at.as_millis()))
                .count()
                .get_result(conn)?)
        })
    }
}

/// Writes what a `mute` entry says. A body that is none leaves the table as it is: the engine will
/// refuse it too, and one bad entry must not take the batch with it.
pub(crate) fn project_mute(
    conn: &mut AnyConn,
    body: &[u8],
    seq: i64,
    created_at: Timestamp,
) -> Result<()> {
    let Some(mute) = read::<Mute>(body, seq) else {
        return Ok(());
    };
    let (id, alert_id) = (text::key(&mute.id), text::key(&mute.alert_id));
    let detector = text::key(&mute.detector);
    let json = serde_json::to_string(&mute).map_err(|error| StoreError::BadEntry {
        reason: error.to_string(),
    })?;
    let row = NewRow {
        id: &id,
        seq,
        alert_id: &alert_id,
        detector: &detector,
        created_at_ms: created_at.as_millis(),
        until_ms: mute.until.as_millis(),
        lifted_at_ms: None,
        lifted_by: None,
        mute: &json,
    };
    both!(conn, c => diesel::insert_into(mutes::table)
        .values(&row)
        .on_conflict(mutes::id)
        .do_update()
        .set(&row)
        .execute(c))?;
    Ok(())
}

/// Writes what a `lift` entry says; the first to lift a mute stays.
pub(crate) fn project_lift(
    conn: &mut AnyConn,
    body: &[u8],
    seq: i64,
    lifted_at: Timestamp,
) -> Result<()> {
    let Some(lift) = read::<LiftMute>(body, seq) else {
        return Ok(());
    };
    let row = mutes::table
        .filter(mutes::id.eq(text::key(&lift.mute_id)))
        .filter(mutes::lifted_at_ms.is_null());
    diesel::update(row)
        .set((
            mutes::lifted_at_ms.eq(lifted_at.as_millis()),
            mutes::lifted_by.eq(text::note(&lift.by)),
        ))
        .execute(conn)?;
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8], seq: i64) -> Option<T> {
    match serde_json::from_slice(body) {
        Ok(said) => Some(said),
        Err(error) => {
            tracing::warn!(journal.seq = seq, mute.error = %error,
                "journal entry {seq} is no mute, nor the end of one");
            None
        }
    }
}

fn read_all(rows: Vec<Row>) -> Result<Vec<MuteRow>> {
    rows.into_iter().map(MuteRow::try_from).collect()
}

impl TryFrom<Row> for MuteRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            mute: serde_json::from_str(&row.mute)
                .map_err(|error| StoreError::unreadable("a mute", &error))?,
            seq: row.seq,
            created_at: instant(row.created_at_ms),
            lifted_at: row.lifted_at_ms.map(instant),
            lifted_by: row.lifted_by,
        })
    }
}
