//! What people add to an alert: that they have seen it, and whether it was right.

use billingwatch_core::time::Timestamp;
use diesel::prelude::*;

use super::read::Row;
use super::{ACKNOWLEDGED, JUDGED, Outcome, Verdict};
use crate::connection::AnyConn;
use crate::error::Result;
use crate::schema::{alert_history, alerts};
use crate::store::Store;
use crate::text;

#[derive(Insertable)]
#[diesel(table_name = alert_history, treat_none_as_default_value = false)]
struct MarkRow<'a> {
    alert_id: &'a str,
    kind: &'static str,
    at_ms: i64,
    actor: &'a str,
    note: Option<&'a str>,
    verdict: Option<&'static str>,
}

impl Store {
    /// Notes that somebody has seen an alert and takes care of it. The first to do so stays.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from committing.
    pub fn acknowledge(
        &self,
        id: &str,
        by: &str,
        note: Option<&str>,
        at: Timestamp,
    ) -> Result<Outcome> {
        let (by, note) = (text::note(by), note.map(text::note));
        self.write(|conn| {
            let Some(row) = find(conn, id)? else {
                return Ok(Outcome::NotFound);
            };
            if row.acknowledged_at_ms.is_some() {
                return Ok(Outcome::AlreadySo);
            }
            diesel::update(alerts::table.find(&row.id))
                .set((
                    alerts::acknowledged_at_ms.eq(at.as_millis()),
                    alerts::acknowledged_by.eq(by.as_ref()),
                    alerts::acknowledged_note.eq(note.as_deref()),
                ))
                .execute(conn)?;
            remember(
                conn,
                &MarkRow {
                    alert_id: &row.id,
                    kind: ACKNOWLEDGED,
                    at_ms: at.as_millis(),
                    actor: &by,
                    note: note.as_deref(),
                    verdict: None,
                },
            )
        })
    }

    /// Judges whether an alert was right. A later verdict replaces an earlier one; the history
    /// keeps both.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from committing.
    pub fn set_verdict(
        &self,
        id: &str,
        verdict: Verdict,
        by: &str,
        note: Option<&str>,
        at: Timestamp,
    ) -> Result<Outcome> {
        let (by, note) = (text::note(by), note.map(text::note));
        self.write(|conn| {
            let Some(row) = find(conn, id)? else {
                return Ok(Outcome::NotFound);
            };
            if row.verdict.as_deref() == Some(verdict.as_str()) {
                return Ok(Outcome::AlreadySo);
            }
            diesel::update(alerts::table.find(&row.id))
                .set((
                    alerts::verdict.eq(verdict.as_str()),
                    alerts::verdict_at_ms.eq(at.as_millis()),
                    alerts::verdict_by.eq(by.as_ref()),
                    alerts::verdict_note.eq(note.as_deref()),
                ))
                .execute(conn)?;
            remember(
                conn,
                &MarkRow {
                    alert_id: &row.id,
                    kind: JUDGED,
                    at_ms: at.as_millis(),
                    actor: &by,
                    note: note.as_deref(),
                    verdict: Some(verdict.as_str()),
                },
            )
        })
    }
}

/// The alert, kept from changing meanwhile: by SQLite's one writer, or by a row lock.
fn find(conn: &mut AnyConn, id: &str) -> Result<Option<Row>> {
    let query = alerts::table.find(text::key(id));
    let row = match conn {
        AnyConn::Sqlite(c) => query.select(Row::as_select()).first(c),
        AnyConn::Postgresql(c) => query.select(Row::as_select()).for_update().first(c),
    };
    Ok(row.optional()?)
}

fn remember(conn: &mut AnyConn, mark: &MarkRow<'_>) -> Result<Outcome> {
    diesel::insert_into(alert_history::table)
        .values(mark)
        .execute(conn)?;
    Ok(Outcome::Done)
}
