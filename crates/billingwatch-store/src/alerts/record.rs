//! Writing what the engine found; called within a step's transaction.

use std::borrow::Cow;
use std::collections::BTreeSet;

use billingwatch_core::alert::{Alert, AlertChange};
use diesel::prelude::*;

use super::{CHANGED, json_of_alert, severity_rank};
use crate::connection::{AnyConn, both};
use crate::error::Result;
use crate::schema::{alert_history, alert_subjects, alerts};
use crate::step::newest;
use crate::text;

/// The columns the engine owns; people's marks are not among them.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = alerts, treat_none_as_default_value = false, treat_none_as_null = true)]
struct AlertColumns<'a> {
    id: &'a str,
    detector: &'a str,
    source: &'a str,
    account: Option<&'a str>,
    livemode: bool,
    status: &'static str,
    severity: i64,
    revision: i64,
    fired_at_ms: i64,
    last_seen_at_ms: i64,
    resolved_at_ms: Option<i64>,
    alert: &'a str,
}

#[derive(Insertable)]
#[diesel(table_name = alert_history, treat_none_as_default_value = false)]
struct ChangeRow<'a> {
    alert_id: &'a str,
    kind: &'static str,
    at_ms: i64,
    revision: i64,
    status: &'static str,
    alert: String,
}

#[derive(Insertable)]
#[diesel(table_name = alert_subjects, treat_none_as_default_value = false)]
struct SubjectRow<'a> {
    subject: Cow<'a, str>,
    alert_id: &'a str,
}

/// Writes a step's alerts: each one's newest state, and each change into its history.
///
/// The same change twice violates the history's key and fails the step: with the cursor compared
/// first that cannot happen, and if it did it would be a bug to hear of.
pub(crate) fn record(conn: &mut AnyConn, changes: &[AlertChange], updates: &[Alert]) -> Result<()> {
    for alert in newest(changes, updates) {
        upsert(conn, alert)?;
        add_subjects(conn, alert)?;
    }
    for change in changes {
        let row = ChangeRow {
            alert_id: &change.alert.id,
            kind: CHANGED,
            at_ms: change.at.as_millis(),
            revision: i64::from(change.alert.revision),
            status: change.alert.status.as_str(),
            alert: json_of_alert(&change.alert)?,
        };
        diesel::insert_into(alert_history::table)
            .values(row)
            .execute(conn)?;
    }
    Ok(())
}

fn upsert(conn: &mut AnyConn, alert: &Alert) -> Result<()> {
    let json = json_of_alert(alert)?;
    let row = AlertColumns {
        id: &alert.id,
        detector: &alert.detector,
        source: &alert.scope.source,
        account: alert.scope.account.as_deref(),
        livemode: alert.scope.livemode,
        status: alert.status.as_str(),
        severity: severity_rank(alert.severity),
        revision: i64::from(alert.revision),
        fired_at_ms: alert.fired_at.as_millis(),
        last_seen_at_ms: alert.last_seen_at.as_millis(),
        resolved_at_ms: alert.resolved_at.map(|at| at.as_millis()),
        alert: &json,
    };
    both!(conn, c => diesel::insert_into(alerts::table)
        .values(&row)
        .on_conflict(alerts::id)
        .do_update()
        .set(&row)
        .execute(c))?;
    Ok(())
}

fn add_subjects(conn: &mut AnyConn, alert: &Alert) -> Result<()> {
    let subjects: BTreeSet<&str> = alert
        .subject
        .iter()
        .chain(&alert.subjects)
        // So that an alert is found by the events that show it, and they are kept as long as it is.
        .chain(&alert.evidence.event_ids)
        .map(String::as_str)
        .collect();
    let rows: Vec<SubjectRow<'_>> = subjects
        .into_iter()
        .map(|subject| SubjectRow {
            subject: text::key(subject),
            alert_id: &alert.id,
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    both!(conn, c => diesel::insert_into(alert_subjects::table)
        .values(&rows)
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(())
}
