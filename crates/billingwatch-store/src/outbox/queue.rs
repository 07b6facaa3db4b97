//! Leasing, settling and listing deliveries.

use billingwatch_core::time::{Span, Timestamp};
use diesel::dsl::{exists, min, not};
use diesel::prelude::*;

use super::rows::{AttemptRow, NewRow, Row};
use super::{
    Attempt, AttemptOutcome, Delivery, DeliveryRow, DeliveryState, LEASE_MAX, NewDelivery,
};
use crate::alerts::Outcome;
use crate::connection::{AnyConn, both};
use crate::error::{Result, instant};
use crate::schema::{channels, deliveries, delivery_attempts};
use crate::store::Store;
use crate::text;

/// The same table again, for "no earlier change of this alert is unsettled".
mod alias {
    diesel::alias!(crate::schema::deliveries as earlier: Earlier);
}
use alias::earlier;

/// A channel's deliveries that are unsettled and not behind an earlier change of the same alert.
macro_rules! unblocked {
    ($channel:expr) => {{
        let blocking = earlier
            .filter(earlier.field(deliveries::alert_id).eq(deliveries::alert_id))
            .filter(earlier.field(deliveries::channel).eq(deliveries::channel))
            .filter(earlier.field(deliveries::revision).lt(deliveries::revision))
            .filter(earlier.field(deliveries::settled_at_ms).is_null());
        deliveries::table
            .filter(deliveries::channel.eq($channel))
            .filter(deliveries::settled_at_ms.is_null())
            .filter(not(exists(blocking)))
    }};
}

impl Store {
    /// Takes up to `limit` deliveries of a channel that are due, and keeps them from everybody else
    /// until `now + lease`. Each lease counts as an attempt, for a process that dies while sending
    /// may have sent. Nothing for a channel that is disabled.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from committing.
    pub fn lease_due(
        &self,
        channel: &str,
        now: Timestamp,
        lease: Span,
        limit: i64,
    ) -> Result<Vec<Delivery>> {
        self.write(|conn| {
            if is_disabled(conn, channel)? {
                return Ok(Vec::new());
            }
            let query = unblocked!(channel)
                .filter(deliveries::due_at_ms.le(now.as_millis()))
                .order((deliveries::due_at_ms.asc(), deliveries::id.asc()))
                .limit(limit.clamp(0, LEASE_MAX));
            // Two that lease at once get different rows: SQLite has one writer, PostgreSQL passes
            // over rows that somebody else is just leasing.
            let rows: Vec<Row> = match conn {
                AnyConn::Sqlite(c) => query.select(Row::as_select()).load(c)?,
                AnyConn::Postgresql(c) => query
                    .select(Row::as_select())
                    .for_update()
                    .skip_locked()
                    .load(c)?,
            };
            let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
            diesel::update(deliveries::table.filter(deliveries::id.eq_any(ids)))
                .set((
                    deliveries::due_at_ms.eq((now + lease).as_millis()),
                    deliveries::attempts.eq(deliveries::attempts + 1),
                ))
                .execute(conn)?;
            rows.into_iter().map(Delivery::try_from).collect()
        })
    }

    /// Records an attempt and what follows from it: delivered, given up, or tried again at
    /// `next_attempt_at` (a `Retry` without one is given up).
    ///
    /// An attempt whose lease ran out is recorded all the same. When it was delivered or given up
    /// that settles the delivery; a `Retry` then changes nothing, for the next attempt is under way.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from committing.
    pub fn settle(
        &self,
        id: i64,
        attempt: &Attempt,
        next_attempt_at: Option<Timestamp>,
    ) -> Result<Outcome> {
        self.write(|conn| {
            let query = deliveries::table.find(id);
            let row: QueryResult<Row> = match conn {
                AnyConn::Sqlite(c) => query.select(Row::as_select()).first(c),
                AnyConn::Postgresql(c) => query.select(Row::as_select()).for_update().first(c),
            };
            let Some(row) = row.optional()? else {
                return Ok(Outcome::NotFound);
            };
            diesel::insert_into(delivery_attempts::table)
                .values(AttemptRow::of(id, attempt))
                .execute(conn)?;
            if row.settled_at_ms.is_some() {
                return Ok(Outcome::AlreadySo);
            }
            let ended_at_ms = (attempt.at + Span::millis(attempt.duration_ms)).as_millis();
            let state = match (attempt.outcome, next_attempt_at) {
                (AttemptOutcome::Retry, Some(next)) => {
                    if row.attempts == i64::from(attempt.number) {
                        diesel::update(deliveries::table.find(id))
                            .set(deliveries::due_at_ms.eq(next.as_millis()))
                            .execute(conn)?;
                    }
                    return Ok(Outcome::Done);
                }
                (AttemptOutcome::Delivered, _) => DeliveryState::Delivered,
                (AttemptOutcome::GaveUp, _) | (AttemptOutcome::Retry, None) => {
                    DeliveryState::GaveUp
                }
            };
            diesel::update(deliveries::table.find(id))
                .set((
                    deliveries::state.eq(state.as_str()),
                    deliveries::settled_at_ms.eq(ended_at_ms),
                ))
                .execute(conn)?;
            Ok(Outcome::Done)
        })
    }

    /// When [`Store::lease_due`] may next find something for a channel; `None` when nothing is
    /// waiting, or the channel is disabled.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn next_due_at(&self, channel: &str) -> Result<Option<Timestamp>> {
        self.read(|conn| {
            if is_disabled(conn, channel)? {
                return Ok(None);
            }
            let due_at_ms: Option<i64> = unblocked!(channel)
                .select(min(deliveries::due_at_ms))
                .first(conn)?;
            Ok(due_at_ms.map(instant))
        })
    }

    /// Whom an alert was told to, in the order the deliveries were made, with every attempt.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn alert_deliveries(&self, alert_id: &str) -> Result<Vec<DeliveryRow>> {
        self.read(|conn| {
            let rows: Vec<Row> = deliveries::table
                .filter(deliveries::alert_id.eq(text::key(alert_id)))
                .order(deliveries::id.asc())
                .select(Row::as_select())
                .load(conn)?;
            let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
            let attempts: Vec<AttemptRow> = delivery_attempts::table
                .filter(delivery_attempts::delivery_id.eq_any(ids))
                .order(delivery_attempts::id.asc())
                .select(AttemptRow::as_select())
                .load(conn)?;
            let mut found = rows
                .into_iter()
                .map(DeliveryRow::try_from)
                .collect::<Result<Vec<_>>>()?;
            for attempt in attempts {
                let id = attempt.delivery_id;
                if let Some(delivery) = found.iter_mut().find(|delivery| delivery.id == id) {
                    delivery.attempts.push(Attempt::try_from(attempt)?);
                }
            }
            Ok(found)
        })
    }
}

fn is_disabled(conn: &mut AnyConn, channel: &str) -> Result<bool> {
    let disabled_at: Option<Option<i64>> = channels::table
        .find(channel)
        .select(channels::disabled_at_ms)
        .first(conn)
        .optional()?;
    Ok(disabled_at.flatten().is_some())
}

/// Puts deliveries into the outbox, due at once. One that is there already stays as it is.
///
/// "At once" is the beginning of time rather than the step's: should the wall clock be set back,
/// nobody has to wait for it to catch up with the journal's.
pub(crate) fn enqueue(
    conn: &mut AnyConn,
    new: &[NewDelivery],
    created_at: Timestamp,
) -> Result<()> {
    for delivery in new {
        let row = NewRow {
            channel: &delivery.channel,
            alert_id: &delivery.alert_id,
            revision: i64::from(delivery.revision),
            body: &delivery.body,
            state: DeliveryState::Pending.as_str(),
            attempts: 0,
            created_at_ms: created_at.as_millis(),
            due_at_ms: 0,
        };
        both!(conn, c => diesel::insert_into(deliveries::table)
            .values(&row)
            .on_conflict_do_nothing()
            .execute(c))?;
    }
    Ok(())
}
