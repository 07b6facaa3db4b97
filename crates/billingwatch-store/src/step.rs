//! One step of a consumer, committed whole: how far it read, what it found, whom to tell.

use std::collections::HashMap;

use billingwatch_core::alert::{Alert, AlertChange, Suppressed};
use diesel::prelude::*;

use crate::connection::{AnyConn, both};
use crate::cursors::{Cursor, SNAPSHOTS_MAX, find};
use crate::error::{Result, StoreError};
use crate::leases::{self, Lease};
use crate::outbox::{self, NewDelivery};
use crate::schema::{cursors, snapshots};
use crate::store::Store;
use crate::{alerts, suppressed};

/// Everything that came of applying some journal entries.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Whose step it is.
    pub consumer: &'a str,
    /// Where the consumer's last committed step ended, as far as the caller knows;
    /// [`Cursor::START`] before the first.
    pub expected: Cursor,
    /// Where this one ends.
    pub cursor: Cursor,
    /// Under which lease, where several processes share a database.
    pub lease: Option<&'a Lease>,
    /// Alerts that fired, escalated or resolved, in order.
    pub changes: &'a [AlertChange],
    /// Open alerts that grew without such a change, as they are now.
    pub updates: &'a [Alert],
    /// What was recognised as harmless.
    pub suppressed: &'a [Suppressed],
    /// Whom to tell of the changes.
    pub deliveries: &'a [NewDelivery],
    /// The consumer's state as of `cursor`, when it is time to keep one.
    pub snapshot: Option<&'a [u8]>,
}

impl<'a> Step<'a> {
    /// A step that only moves on.
    #[must_use]
    pub const fn new(consumer: &'a str, expected: Cursor, cursor: Cursor) -> Self {
        Self {
            consumer,
            expected,
            cursor,
            lease: None,
            changes: &[],
            updates: &[],
            suppressed: &[],
            deliveries: &[],
            snapshot: None,
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = snapshots, treat_none_as_default_value = false)]
struct SnapshotRow<'a> {
    name: &'a str,
    seq: i64,
    at_ms: i64,
    bytes: &'a [u8],
}

impl Store {
    /// Commits a step: all of it or nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::CursorMoved`] when the consumer does not stand where the caller believes: then
    /// another process works on this database, or an earlier commit that answered with an error did
    /// happen. In both cases the right thing is to start again from [`Store::cursor`].
    /// [`StoreError::LeaseLost`] when another process holds the step's lease.
    pub fn commit_step(&self, step: &Step<'_>) -> Result<()> {
        self.write(|conn| {
            if let Some(lease) = step.lease {
                leases::check(conn, lease)?;
            }
            move_cursor(conn, step)?;
            alerts::record(conn, step.changes, step.updates)?;
            suppressed::record(conn, step.suppressed)?;
            outbox::enqueue(conn, step.deliveries, step.cursor.at)?;
            match step.snapshot {
                Some(bytes) => keep_snapshot(conn, step, bytes),
                None => Ok(()),
            }
        })
    }
}

/// Compares and sets: the filter on the old values is what makes two pumps harmless.
fn move_cursor(conn: &mut AnyConn, step: &Step<'_>) -> Result<()> {
    let (expected, cursor) = (step.expected, step.cursor);
    let moved = diesel::update(
        cursors::table
            .filter(cursors::name.eq(step.consumer))
            .filter(cursors::seq.eq(expected.seq))
            .filter(cursors::at_ms.eq(expected.at.as_millis())),
    )
    .set((
        cursors::seq.eq(cursor.seq),
        cursors::at_ms.eq(cursor.at.as_millis()),
    ))
    .execute(conn)?;
    if moved == 1 {
        return Ok(());
    }
    let inserted = if expected == Cursor::START {
        both!(conn, c => diesel::insert_into(cursors::table)
            .values((
                cursors::name.eq(step.consumer),
                cursors::seq.eq(cursor.seq),
                cursors::at_ms.eq(cursor.at.as_millis()),
            ))
            .on_conflict_do_nothing()
            .execute(c))?
    } else {
        0
    };
    if inserted == 1 {
        return Ok(());
    }
    Err(StoreError::CursorMoved {
        consumer: step.consumer.to_owned(),
        expected,
        found: find(conn, step.consumer)?.unwrap_or(Cursor::START),
    })
}

fn keep_snapshot(conn: &mut AnyConn, step: &Step<'_>, bytes: &[u8]) -> Result<()> {
    let row = SnapshotRow {
        name: step.consumer,
        seq: step.cursor.seq,
        at_ms: step.cursor.at.as_millis(),
        bytes,
    };
    both!(conn, c => diesel::insert_into(snapshots::table)
        .values(&row)
        .on_conflict((snapshots::name, snapshots::seq, snapshots::at_ms))
        .do_update()
        .set(snapshots::bytes.eq(bytes))
        .execute(c))?;
    let kept: Vec<(i64, i64)> = snapshots::table
        .filter(snapshots::name.eq(step.consumer))
        .order((snapshots::seq.desc(), snapshots::at_ms.desc()))
        .select((snapshots::seq, snapshots::at_ms))
        .load(conn)?;
    for (seq, at_ms) in kept.into_iter().skip(SNAPSHOTS_MAX) {
        diesel::delete(snapshots::table.find((step.consumer, seq, at_ms))).execute(conn)?;
    }
    Ok(())
}

/// The newest state of every alert a step touches.
pub(crate) fn newest<'a>(changes: &'a [AlertChange], updates: &'a [Alert]) -> Vec<&'a Alert> {
    let mut order: Vec<&Alert> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for alert in changes.iter().map(|change| &change.alert).chain(updates) {
        match places.get(alert.id.as_str()) {
            // An update is the state after all changes of the step, so of two with the same
            // revision the later one stands; of two revisions the higher.
            Some(at) if order[*at].revision <= alert.revision => order[*at] = alert,
            Some(_) => {}
            None => {
                places.insert(&alert.id, order.len());
                order.push(alert);
            }
        }
    }
    order
}
