//! How far each consumer has read, and the state that goes with it.

use std::fmt;

use billingwatch_core::time::Timestamp;
use diesel::prelude::*;

use crate::connection::AnyConn;
use crate::error::{Result, instant};
use crate::schema::{cursors, snapshots};
use crate::store::Store;

/// How many snapshots of each consumer are kept: should the newest be unreadable, the one before
/// still spares most of the journal.
pub const SNAPSHOTS_MAX: usize = 2;

/// How far a consumer has come: the last entry applied, and the time it has been advanced to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The last journal entry applied; 0 before the first.
    pub seq: i64,
    /// The time the consumer has been advanced to.
    pub at: Timestamp,
}

impl Cursor {
    /// Where every consumer begins.
    pub const START: Self = Self {
        seq: 0,
        at: Timestamp::EPOCH,
    };
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.seq, self.at)
    }
}

/// A consumer's state as of a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last journal entry in it.
    pub seq: i64,
    /// The time it had been advanced to.
    pub at: Timestamp,
    /// The state, as the consumer wrote it; it carries its own version.
    pub bytes: Vec<u8>,
}

impl Store {
    /// Where a consumer's last committed step ended; `None` before its first.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn cursor(&self, consumer: &str) -> Result<Option<Cursor>> {
        self.read(|conn| find(conn, consumer))
    }

    /// A consumer's newest snapshot.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn snapshot(&self, consumer: &str) -> Result<Option<Snapshot>> {
        Ok(self.snapshots(consumer)?.into_iter().next())
    }

    /// A consumer's snapshots, newest first, at most [`SNAPSHOTS_MAX`].
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn snapshots(&self, consumer: &str) -> Result<Vec<Snapshot>> {
        self.read(|conn| {
            let rows: Vec<(i64, i64, Vec<u8>)> = snapshots::table
                .filter(snapshots::name.eq(consumer))
                .order((snapshots::seq.desc(), snapshots::at_ms.desc()))
                .select((snapshots::seq, snapshots::at_ms, snapshots::bytes))
                .load(conn)?;
            Ok(rows
                .into_iter()
                .map(|(seq, at_ms, bytes)| Snapshot {
                    seq,
                    at: instant(at_ms),
                    bytes,
                })
                .collect())
        })
    }
}

/// The committed cursor, if any.
pub(crate) fn find(conn: &mut AnyConn, consumer: &str) -> Result<Option<Cursor>> {
    let row: Option<(i64, i64)> = cursors::table
        .find(consumer)
        .select((cursors::seq, cursors::at_ms))
        .first(conn)
        .optional()?;
    Ok(row.map(|(seq, at_ms)| Cursor {
        seq,
        at: instant(at_ms),
    }))
}
