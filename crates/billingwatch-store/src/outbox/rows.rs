//! Deliveries and attempts as rows, and back.

use diesel::prelude::*;

use super::{Attempt, AttemptOutcome, Delivery, DeliveryRow, DeliveryState};
use crate::error::{Result, StoreError, instant};
use crate::schema::{deliveries, delivery_attempts};
use crate::text;

#[derive(Insertable)]
#[diesel(table_name = deliveries, treat_none_as_default_value = false)]
pub(super) struct NewRow<'a> {
    pub(super) channel: &'a str,
    pub(super) alert_id: &'a str,
    pub(super) revision: i64,
    pub(super) body: &'a str,
    pub(super) state: &'static str,
    pub(super) attempts: i64,
    pub(super) created_at_ms: i64,
    pub(super) due_at_ms: i64,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = deliveries)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) channel: String,
    pub(super) alert_id: String,
    pub(super) revision: i64,
    pub(super) body: String,
    pub(super) state: String,
    pub(super) attempts: i64,
    pub(super) created_at_ms: i64,
    pub(super) due_at_ms: i64,
    pub(super) settled_at_ms: Option<i64>,
}

#[derive(Insertable, Queryable, Selectable)]
#[diesel(table_name = delivery_attempts, treat_none_as_default_value = false)]
pub(super) struct AttemptRow {
    pub(super) delivery_id: i64,
    pub(super) number: i64,
    pub(super) at_ms: i64,
    pub(super) duration_ms: i64,
    pub(super) outcome: String,
    pub(super) status_code: Option<i64>,
    pub(super) detail: String,
}

fn small(what: &str, number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| StoreError::unreadable(what, &number))
}

impl TryFrom<Row> for Delivery {
    type Error = StoreError;

    /// A row as it was before this lease was counted.
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id,
            channel: row.channel,
            alert_id: row.alert_id,
            revision: small("a revision", row.revision)?,
            attempt: small("an attempt's number", row.attempts + 1)?,
            created_at: instant(row.created_at_ms),
            body: row.body,
        })
    }
}

impl TryFrom<Row> for DeliveryRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let is_waiting = row.settled_at_ms.is_none() && row.due_at_ms > 0;
        Ok(Self {
            id: row.id,
            channel: row.channel,
            revision: small("a revision", row.revision)?,
            state: DeliveryState::from_stored(&row.state)?,
            created_at: instant(row.created_at_ms),
            next_attempt_at: is_waiting.then(|| instant(row.due_at_ms)),
            settled_at: row.settled_at_ms.map(instant),
            attempts: Vec::new(),
        })
    }
}

impl AttemptRow {
    pub(super) fn of(delivery_id: i64, attempt: &Attempt) -> Self {
        Self {
            delivery_id,
            number: i64::from(attempt.number),
            at_ms: attempt.at.as_millis(),
            duration_ms: attempt.duration_ms,
            outcome: attempt.outcome.as_str().to_owned(),
            status_code: attempt.status_code.map(i64::from),
            detail: text::note(&attempt.detail).into_owned(),
        }
    }
}

impl TryFrom<AttemptRow> for Attempt {
    type Error = StoreError;

    fn try_from(row: AttemptRow) -> Result<Self> {
        Ok(Self {
            number: small("an attempt's number", row.number)?,
            at: instant(row.at_ms),
            duration_ms: row.duration_ms,
            outcome: AttemptOutcome::from_stored(&row.outcome)?,
            status_code: row.status_code.and_then(|code| u16::try_from(code).ok()),
            detail: row.detail,
        })
    }
}
