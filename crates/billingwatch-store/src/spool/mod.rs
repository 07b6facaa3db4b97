//! Where events wait while the journal's database is away: a local SQLite file, durable and bounded.
//!
//! It keeps what came in as it came in, in order, each event of a source once. What is taken out of
//! it again is removed only after it is in the journal; whoever dies in between appends it twice, and
//! the journal knows it. No detector reads it and nothing is ever answered from it.
//!
//! One process at a time has a file open: it holds SQLite's own lock on it. Of several processes in
//! one folder each takes the first file that is free, so a second server finds the name of its own
//! (`NAME-2.db`) by itself, and what a process that never came back left in another file is taken
//! over by the next that starts. A file says which database its events are meant for, by the
//! database's name alone: after a restore on another host it must still go there.

mod carry;
mod heal;
mod rows;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use billingwatch_core::time::Timestamp;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::BigInt;
use diesel::{SqliteConnection, sql_query};

use crate::connection::{AnyConn, Manager, Role, transaction};
use crate::error::{Result, StoreError, instant};
use crate::journal::NewEntry;
use crate::journal::codec::{self, Packed};
use crate::url::Target;

use rows::{
    NewRow, Reached, Row, Size, Totals, essential, oldest, prepare, row_of, size_of, spool, totals,
};

/// Files that are looked at: so many processes may share a folder.
const FILES_MAX: u32 = 16;

/// How long another process's lock is waited for. It is held for as long as that process lives.
const LOCK_WAIT: Duration = Duration::from_millis(250);

/// The most bytes of bodies that are taken out at once, one event at least.
const TAKE_BYTES_MAX: i64 = 16 * 1024 * 1024;

/// Where a spool lies and how large it may become.
#[derive(Clone, Debug)]
pub struct SpoolOptions {
    /// The first file's path; further ones lie beside it.
    pub path: PathBuf,
    /// What may wait in it, in bytes as stored.
    pub size_bytes_max: u64,
    /// The name of the database that its events are meant for.
    pub database: String,
}

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolUsage {
    /// Events that wait for the journal.
    pub entries: u64,
    /// What they take, in bytes.
    pub size_bytes: u64,
    /// What they may take.
    pub size_bytes_max: u64,
    /// When the first of them was received.
    pub oldest_at: Option<Timestamp>,
    /// Events that the journal refuses, kept here all the same; tried again at the next start.
    pub set_aside: u64,
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooled {
    /// Its place in the spool: later events have higher ones.
    pub id: i64,
    /// The event, with the time it was received at.
    pub entry: NewEntry,
}

/// A spool this process has for itself.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    open: Mutex<Open>,
    usage: Mutex<SpoolUsage>,
}

struct Open {
    manager: Manager,
    /// Empty after a panic or an error that broke it; the next caller opens it again.
    conn: Option<AnyConn>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").finish_non_exhaustive()
    }
}

impl Spool {
    /// Opens the first file that is free and meant for this database (or empty), making it where
    /// there is none, and takes over what other such files hold that nobody has open.
    ///
    /// # Errors
    ///
    /// Whatever keeps the file from being opened and written; [`StoreError::Locked`] when all names
    /// are taken.
    pub fn open(options: &SpoolOptions) -> Result<Self> {
        let mut taken = None;
        for number in 1..=FILES_MAX {
            let path = numbered(&options.path, number);
            // What this process opened first is its own; further files are only taken over.
            if taken.is_some() && !path.exists() {
                continue;
            }
            let spool = match Self::open_file(&path, options) {
                Ok(Some(spool)) => spool,
                Ok(None) | Err(StoreError::Locked { .. }) => continue,
                Err(error) => return Err(error),
            };
            match &taken {
                None => taken = Some(spool),
                Some(ours) => ours.take_over(&spool)?,
            }
        }
        taken.ok_or_else(|| StoreError::Locked {
            database: name_of(&options.path),
        })
    }

    /// One file; `None` when what it holds is meant for another database.
    fn open_file(path: &Path, options: &SpoolOptions) -> Result<Option<Self>> {
        let manager = Manager {
            target: target_of(path)?,
            role: Role::Writer,
            timeout: LOCK_WAIT,
        };
        heal::finish(path)?;
        let refused = |error: StoreError| beyond_healing(error).on(&manager.target.name);
        let mut conn = open_conn(&manager).map_err(refused)?;
        match heal::check(sqlite(&mut conn)?) {
            Ok(()) => {}
            Err(error @ StoreError::Damaged { .. }) => {
                drop(conn);
                tracing::warn!(error = %error, "{} is damaged: {error}", name_of(path));
                heal::heal(path, &manager, options).map_err(refused)?;
                conn = open_conn(&manager)?;
            }
            // Not known to be whole: what waits in it might never be found.
            Err(error) => return Err(refused(error)),
        }
        let prepared = transaction(&mut conn, |conn| prepare(sqlite(conn)?, &options.database))
            .map_err(|error| error.on(&manager.target.name))?;
        let Some(totals) = prepared else {
            tracing::warn!(
                spool.path = %path.display(),
                "{} holds events of another database: start a server with that one, or move the file away",
                name_of(path)
            );
            return Ok(None);
        };
        let spool = Self {
            path: path.to_owned(),
            open: Mutex::new(Open {
                manager,
                conn: Some(conn),
            }),
            usage: Mutex::new(SpoolUsage {
                size_bytes_max: options.size_bytes_max,
                ..SpoolUsage::default()
            }),
        };
        spool.recount(&totals);
        Ok(Some(spool))
    }

    /// Moves another file's events behind ours. What does not fit stays where it is.
    fn take_over(&self, other: &Self) -> Result<()> {
        loop {
            let waiting = other.first(512)?;
            let Some(last) = waiting.last() else {
                return Ok(());
            };
            let entries: Vec<&NewEntry> = waiting.iter().map(|one| &one.entry).collect();
            match self.put(&entries, last.entry.received_at.unwrap_or(Timestamp::EPOCH)) {
                Err(StoreError::Full { .. }) => return Ok(()),
                done => done?,
            };
            other.remove(last.id)?;
            tracing::info!(
                spool.path = %other.path.display(),
                entries = waiting.len(),
                "took over what an earlier server left in {}",
                name_of(&other.path)
            );
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its database was ever there: one that is away now may then come back, and is not
    /// merely misspelt.
    ///
    /// # Errors
    ///
    /// Whatever keeps the file from being read.
    pub fn was_reached(&self) -> Result<bool> {
        let reached: Reached = self.with(|conn| {
            let query = "SELECT count(*) AS was_reached FROM meant_for WHERE was_reached";
            Ok(sql_query(query).get_result(conn)?)
        })?;
        Ok(reached.was_reached > 0 || self.usage().entries > 0)
    }

    /// Remembers that its database is there.
    ///
    /// # Errors
    ///
    /// Whatever keeps the file from being written.
    pub fn note_reached(&self) -> Result<()> {
        self.write(|conn| {
            sql_query("UPDATE meant_for SET was_reached = TRUE WHERE NOT was_reached")
                .execute(conn)?;
            Ok(())
        })
    }

    /// What waits in it. Costs no query.
    #[must_use]
    pub fn usage(&self) -> SpoolUsage {
        *self.lock_usage()
    }

    /// Keeps events in one durable transaction, all or none, and says of each whether it waited there
    /// already. Each keeps the time it was received at, or is received `now`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`] beyond the bound; [`StoreError::BadEntry`] for what is no event, as the
    /// journal could not tell its repeat; otherwise what keeps the file from being written.
    pub fn put(&self, entries: &[&NewEntry], now: Timestamp) -> Result<Vec<bool>> {
        let packed: Vec<Packed<'_>> = entries
            .iter()
            .map(|entry| codec::pack_entry(entry))
            .collect();
        let rows: Vec<NewRow<'_>> = entries
            .iter()
            .zip(&packed)
            .map(|(entry, packed)| row_of(entry, packed, now))
            .collect::<Result<_>>()?;
        let usage = self.usage();
        let size_bytes: u64 = rows.iter().map(|row| size_of(row.body.len())).sum();
        if usage.size_bytes.saturating_add(size_bytes) > usage.size_bytes_max {
            return Err(StoreError::Full {
                database: name_of(&self.path),
                reason: format!("{} events wait in it", usage.entries),
            });
        }
        let was_there = self.write(|conn| {
            let mut was_there = Vec::with_capacity(rows.len());
            for row in &rows {
                let inserted = diesel::insert_or_ignore_into(spool::table)
                    .values(row)
                    .execute(conn)?;
                was_there.push(inserted == 0);
            }
            Ok(was_there)
        })?;
        let mut usage = self.lock_usage();
        for (row, _) in rows.iter().zip(&was_there).filter(|(_, was)| !**was) {
            usage.entries += 1;
            usage.size_bytes += size_of(row.body.len());
            usage.oldest_at.get_or_insert(instant(row.received_at_ms));
        }
        Ok(was_there)
    }

    /// The events that have waited longest, in order: at most so many, and 16 MiB. One that can no
    /// longer be read is set aside.
    ///
    /// # Errors
    ///
    /// Whatever keeps the file from being read.
    pub fn first(&self, limit: usize) -> Result<Vec<Spooled>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (rows, unreadable) = self.with(|conn| {
            let sizes: Vec<Size> = sql_query(
                "SELECT id, coalesce(length(body), 0) AS size_bytes FROM spool WHERE set_aside IS NULL \
                 ORDER BY id LIMIT ?",
            )
            .bind::<BigInt, _>(limit)
            .load(conn)?;
            let mut left_bytes = TAKE_BYTES_MAX;
            let mut ids = Vec::with_capacity(sizes.len());
            for size in sizes {
                left_bytes = left_bytes.saturating_sub(size.size_bytes);
                if left_bytes < 0 && !ids.is_empty() {
                    break;
                }
                ids.push(size.id);
            }
            let Some(last_id) = ids.last().copied() else {
                return Ok((Vec::new(), Vec::new()));
            };
            let rows = spool::table
                .filter(spool::set_aside.is_null())
                .filter(spool::id.le(last_id))
                .order(spool::id)
                .select(Row::as_select())
                .load(conn);
            match rows {
                // One of them is no row: the others must not wait for it.
                Err(DieselError::DeserializationError(_)) => {}
                rows => return Ok((rows?, Vec::new())),
            }
            one_by_one(conn, &ids)
        })?;
        for (id, reason) in unreadable {
            self.set_aside(id, &reason)?;
        }
        let mut waiting = Vec::with_capacity(rows.len());
        for row in rows {
            let id = row.id;
            match row.into_spooled() {
                Ok(spooled) => waiting.push(spooled),
                // Damaged: the others must not wait for it.
                Err(error) => self.set_aside(id, &error.to_string())?,
            }
        }
        Ok(waiting)
    }

    /// Removes what [`first`](Self::first) gave, up to this place: it is in the journal.
    ///
    /// # Errors
    ///
    /// Whatever keeps the file from being written; nothing is removed then.
    pub fn remove(&self, last_id: i64) -> Result<()> {
        let (gone, totals_at) = self.write(|conn| {
            let gone: Vec<Size> = sql_query(
                "DELETE FROM spool WHERE set_aside IS NULL AND id <= ? \
                 RETURNING id, coalesce(length(body), 0) AS size_bytes",
            )
            .bind::<BigInt, _>(last_id)
            .load(conn)?;
            Ok((gone, oldest(conn)?))
        })?;
        let mut usage = self.lock_usage();
        for size in gone {
            usage.entries = usage.entries.saturating_sub(1);
            let size_bytes = size_of(usize::try_from(size.size_bytes).unwrap_or(0));
            usage.size_bytes = usage.size_bytes.saturating_sub(size_bytes);
        }
        usage.oldest_at = totals_at;
        Ok(())
    }

    /// Takes an event out of the order, and keeps it: the journal refuses it, and those behind it
    /// must not wait for that.
    ///
    /// # Errors
    ///
    /// Whatever keeps the file from being written.
    pub fn set_aside(&self, id: i64, reason: &str) -> Result<()> {
        let (changed, oldest_at) = self.write(|conn| {
            let changed = diesel::update(spool::table.find(id))
                .filter(spool::set_aside.is_null())
                .set(spool::set_aside.eq(reason))
                .execute(conn)?;
            Ok((changed, oldest(conn)?))
        })?;
        let mut usage = self.lock_usage();
        if changed > 0 {
            usage.entries = usage.entries.saturating_sub(1);
            usage.set_aside += 1;
        }
        usage.oldest_at = oldest_at;
        Ok(())
    }

    fn recount(&self, totals: &Totals) {
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let mut usage = self.lock_usage();
        usage.entries = count(totals.entries);
        usage.set_aside = count(totals.set_aside);
        usage.size_bytes = count(totals.size_bytes);
        usage.oldest_at = totals.oldest_at_ms.map(instant);
    }

    fn lock_usage(&self) -> MutexGuard<'_, SpoolUsage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in one durable transaction. After a failure what is there is counted anew: a
    /// commit that was reported as failed may have happened.
    fn write<T>(&self, work: impl FnOnce(&mut SqliteConnection) -> Result<T>) -> Result<T> {
        let done = self.on_conn(|conn| transaction(conn, |conn| work(sqlite(conn)?)));
        if done.is_err()
            && let Ok(totals) = self.with(totals)
        {
            self.recount(&totals);
        }
        done
    }

    fn with<T>(&self, work: impl FnOnce(&mut SqliteConnection) -> Result<T>) -> Result<T> {
        self.on_conn(|conn| work(sqlite(conn)?))
    }

    fn on_conn<T>(&self, work: impl FnOnce(&mut AnyConn) -> Result<T>) -> Result<T> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out for the while, as the store's writer does it, and for its reason.
        let mut conn = match open.conn.take() {
            Some(conn) => conn,
            None => open_conn(&open.manager)?,
        };
        let done = work(&mut conn);
        if !r2d2::ManageConnection::has_broken(&open.manager, &mut conn) {
            open.conn = Some(conn);
        }
        done.map_err(|error| error.on(&name_of(&self.path)))
    }
}

/// A file of which nothing can be taken over; there is no backup of a spool to restore.
fn beyond_healing(error: StoreError) -> StoreError {
    match error {
        StoreError::Damaged {
            database, reason, ..
        } => StoreError::Damaged {
            database,
            reason,
            remedy: heal::MOVE_AWAY,
        },
        other => other,
    }
}

/// Rows, and those that cannot be read: where they are, and why.
type Portion = (Vec<Row>, Vec<(i64, String)>);

/// Rows of which at least one cannot be read: those that can, and what is wrong with the others.
fn one_by_one(conn: &mut SqliteConnection, ids: &[i64]) -> Result<Portion> {
    let (mut rows, mut unreadable) = (Vec::new(), Vec::new());
    for id in ids {
        let row = spool::table.find(*id).select(Row::as_select());
        match row.first(conn) {
            Ok(row) => rows.push(row),
            Err(error @ DieselError::DeserializationError(_)) => match essential(conn, *id) {
                Some(row) => rows.push(row),
                None => unreadable.push((*id, error.to_string())),
            },
            Err(error) => return Err(error.into()),
        }
    }
    Ok((rows, unreadable))
}

/// A connection that keeps every other process out from its first transaction on. So nobody else can
/// bring the log into the file: commits do it themselves, every four megabytes.
fn open_conn(manager: &Manager) -> Result<AnyConn> {
    let mut conn = manager.open()?;
    sqlite(&mut conn)?
        .batch_execute(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA wal_autocheckpoint = 1000; \
             PRAGMA journal_size_limit = 4194304; BEGIN IMMEDIATE; COMMIT;",
        )
        .map_err(|error| StoreError::from(error).on(&manager.target.name))?;
    Ok(conn)
}

fn sqlite(conn: &mut AnyConn) -> Result<&mut SqliteConnection> {
    match conn {
        AnyConn::Sqlite(conn) => Ok(conn),
        AnyConn::Postgresql(_) => Err(StoreError::Database {
            database: String::new(),
            reason: "a spool is an SQLite file".to_owned(),
        }),
    }
}

fn target_of(path: &Path) -> Result<Target> {
    let mut target = Target::parse(&format!("sqlite://{}", path.display()))?;
    target.name = name_of(path);
    Ok(target)
}

fn name_of(path: &Path) -> String {
    format!("the spool {}", path.display())
}

/// `NAME.db`, `NAME-2.db`, `NAME-3.db`, …
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}-{number}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{number}"),
    };
    path.with_file_name(name)
}

#[cfg(test)]
mod tests;
