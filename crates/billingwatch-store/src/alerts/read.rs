//! Listing alerts, and all there is to know about one.

use billingwatch_core::alert::AlertStatus;
use diesel::dsl::count_star;
use diesel::prelude::*;

use super::{
    ACKNOWLEDGED, AlertCount, AlertFilter, AlertRow, CHANGED, Happened, HistoryEntry, JUDGED,
    Verdict, VerdictCount, alert_of_json, severity_of_rank, severity_rank, status_of_name,
};
use crate::connection::AnyConn;
use crate::error::{Result, StoreError, instant};
use crate::page::{Page, PageOf, instant_cursor};
use crate::schema::{alert_history, alert_subjects, alerts};
use crate::store::Store;
use crate::text;

#[derive(Queryable, Selectable)]
#[diesel(table_name = alerts)]
pub(super) struct Row {
    pub(super) id: String,
    fired_at_ms: i64,
    alert: String,
    pub(super) acknowledged_at_ms: Option<i64>,
    acknowledged_by: Option<String>,
    acknowledged_note: Option<String>,
    pub(super) verdict: Option<String>,
    verdict_at_ms: Option<i64>,
    verdict_by: Option<String>,
    verdict_note: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = alert_history)]
struct HistoryRow {
    kind: String,
    at_ms: i64,
    alert: Option<String>,
    actor: Option<String>,
    note: Option<String>,
    verdict: Option<String>,
}

type Query<'a> = alerts::BoxedQuery<'a, <AnyConn as diesel::Connection>::Backend>;

/// The most alerts that a page looks at: some 20 ms' worth.
const PASSED_MAX: i64 = 5_000;

/// Alerts below a place, in order, by what an index knows.
fn reached<'a>(filter: &'a AlertFilter, below: Option<(i64, &'a str)>) -> Query<'a> {
    let mut query = alerts::table.into_boxed();
    if let Some((at_ms, id)) = below {
        // The first half alone is what an index is entered by: an "or" of two halves SQLite finds in
        // two parts, each to its end, and sorts them.
        query = query
            .filter(alerts::fired_at_ms.le(at_ms))
            .filter(alerts::fired_at_ms.lt(at_ms).or(alerts::id.lt(id)));
    }
    if let Some(detector) = &filter.detector {
        query = query.filter(alerts::detector.eq(detector));
    }
    if let Some(subject) = &filter.subject {
        let about = alert_subjects::table
            .filter(alert_subjects::subject.eq(text::key(subject)))
            .select(alert_subjects::alert_id);
        query = query.filter(alerts::id.eq_any(about));
    }
    if filter.open_only {
        query = query.filter(alerts::resolved_at_ms.is_null());
    }
    if let Some(since) = filter.since {
        query = query.filter(alerts::fired_at_ms.ge(since.as_millis()));
    }
    if let Some(until) = filter.until {
        query = query.filter(alerts::fired_at_ms.lt(until.as_millis()));
    }
    query.order((alerts::fired_at_ms.desc(), alerts::id.desc()))
}

/// Of these those that have what no index knows.
fn sifted<'a>(mut query: Query<'a>, filter: &'a AlertFilter) -> Query<'a> {
    if let Some(status) = filter.status {
        query = query.filter(alerts::status.eq(status.as_str()));
    }
    if let Some(severity) = filter.severity_min {
        query = query.filter(alerts::severity.ge(severity_rank(severity)));
    }
    if let Some(source) = &filter.source {
        query = query.filter(alerts::source.eq(source));
    }
    if let Some(account) = &filter.account {
        query = query.filter(alerts::account.eq(account));
    }
    if let Some(livemode) = filter.livemode {
        query = query.filter(alerts::livemode.eq(livemode));
    }
    if let Some(verdict) = filter.verdict {
        query = query.filter(alerts::verdict.eq(verdict.as_str()));
    }
    query
}

/// Whether a filter asks for what no index knows. (A subject has few alerts, whatever else is asked.)
fn asks_more(filter: &AlertFilter) -> bool {
    filter.subject.is_none()
        && (filter.status.is_some()
            || filter.severity_min.is_some()
            || filter.source.is_some()
            || filter.account.is_some()
            || filter.livemode.is_some()
            || filter.verdict.is_some())
}

/// The last alert that a page may look at; `None` where it may look at all.
fn end(
    conn: &mut AnyConn,
    filter: &AlertFilter,
    below: Option<(i64, &str)>,
) -> QueryResult<Option<(i64, String)>> {
    let last_and_next: Vec<(i64, String)> = reached(filter, below)
        .offset(PASSED_MAX - 1)
        .limit(2)
        .select((alerts::fired_at_ms, alerts::id))
        .load(conn)?;
    let has_next = last_and_next.len() > 1;
    Ok(last_and_next.into_iter().next().filter(|_| has_next))
}

impl Store {
    /// Alerts, the newest to fire first.
    ///
    /// Where more is asked of an alert than an index knows, a page looks at 5,000 and then ends: it may
    /// hold fewer than its limit, even none, and still name a next one.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadPage`] for a cursor of another list, or whatever keeps the database from
    /// answering.
    pub fn list_alerts(&self, filter: &AlertFilter, page: &Page) -> Result<PageOf<AlertRow>> {
        let below = page.below_instant()?;
        self.read(|conn| {
            let end = if asks_more(filter) {
                end(conn, filter, below)?
            } else {
                None
            };
            let mut query = sifted(reached(filter, below), filter);
            if let Some((at_ms, id)) = &end {
                query = query
                    .filter(alerts::fired_at_ms.ge(at_ms))
                    .filter(alerts::fired_at_ms.gt(at_ms).or(alerts::id.ge(id)));
            }
            let rows: Vec<Row> = query
                .limit(page.fetch())
                .select(Row::as_select())
                .load(conn)?;
            let page = page.cut(rows, |row| instant_cursor(row.fired_at_ms, &row.id));
            Ok(PageOf {
                items: page
                    .items
                    .into_iter()
                    .map(AlertRow::try_from)
                    .collect::<Result<_>>()?,
                next: page
                    .next
                    .or(end.map(|(at_ms, id)| instant_cursor(at_ms, &id))),
            })
        })
    }

    /// The alert with this id.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn get_alert(&self, id: &str) -> Result<Option<AlertRow>> {
        self.read(|conn| {
            let row: Option<Row> = alerts::table
                .find(text::key(id))
                .select(Row::as_select())
                .first(conn)
                .optional()?;
            row.map(AlertRow::try_from).transpose()
        })
    }

    /// What happened to an alert, in the order it was recorded; empty for an unknown id.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn alert_history(&self, id: &str) -> Result<Vec<HistoryEntry>> {
        self.read(|conn| {
            let rows: Vec<HistoryRow> = alert_history::table
                .filter(alert_history::alert_id.eq(text::key(id)))
                .order(alert_history::id.asc())
                .select(HistoryRow::as_select())
                .load(conn)?;
            rows.into_iter().map(HistoryEntry::try_from).collect()
        })
    }

    /// How many alerts there are, by detector, status and severity.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn alert_counts(&self) -> Result<Vec<AlertCount>> {
        self.read(|conn| {
            let mut rows: Vec<(String, String, i64, i64)> = alerts::table
                .group_by((alerts::detector, alerts::status, alerts::severity))
                .select((
                    alerts::detector,
                    alerts::status,
                    alerts::severity,
                    count_star(),
                ))
                .load(conn)?;
            rows.sort();
            rows.into_iter()
                .map(|(detector, status, severity, count)| {
                    let status: AlertStatus = status_of_name(&status)?;
                    Ok(AlertCount {
                        detector,
                        status,
                        severity: severity_of_rank(severity)?,
                        count,
                    })
                })
                .collect()
        })
    }
}

impl Store {
    /// How many alerts people judged, by detector and verdict.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn verdict_counts(&self) -> Result<Vec<VerdictCount>> {
        self.read(|conn| {
            let mut rows: Vec<(String, Option<String>, i64)> = alerts::table
                .filter(alerts::verdict.is_not_null())
                .group_by((alerts::detector, alerts::verdict))
                .select((alerts::detector, alerts::verdict, count_star()))
                .load(conn)?;
            rows.sort();
            rows.into_iter()
                .map(|(detector, verdict, count)| {
                    Ok(VerdictCount {
                        detector,
                        verdict: Verdict::from_stored(&verdict.unwrap_or_default())?,
                        count,
                    })
                })
                .collect()
        })
    }
}

impl TryFrom<Row> for AlertRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            alert: alert_of_json(&row.alert)?,
            acknowledged_at: row.acknowledged_at_ms.map(instant),
            acknowledged_by: row.acknowledged_by,
            acknowledged_note: row.acknowledged_note,
            verdict: row
                .verdict
                .as_deref()
                .map(Verdict::from_stored)
                .transpose()?,
            verdict_at: row.verdict_at_ms.map(instant),
            verdict_by: row.verdict_by,
            verdict_note: row.verdict_note,
        })
    }
}

impl TryFrom<HistoryRow> for HistoryEntry {
    type Error = StoreError;

    fn try_from(row: HistoryRow) -> Result<Self> {
        let by = row.actor.unwrap_or_default();
        let what = match (row.kind.as_str(), row.alert, row.verdict) {
            (CHANGED, Some(alert), _) => Happened::Changed(Box::new(alert_of_json(&alert)?)),
            (ACKNOWLEDGED, ..) => Happened::Acknowledged { by, note: row.note },
            (JUDGED, _, Some(verdict)) => Happened::Judged {
                verdict: Verdict::from_stored(&verdict)?,
                by,
                note: row.note,
            },
            (kind, ..) => return Err(StoreError::unreadable("an alert's history", kind)),
        };
        Ok(Self {
            at: instant(row.at_ms),
            what,
        })
    }
}
