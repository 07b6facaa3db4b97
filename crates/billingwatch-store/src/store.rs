//! The store itself: its connections, and the two ways to use one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::checkpoint::{Bounds, Checkpoints};
use crate::connection::{AnyConn, Manager, Role, begin, go_through, ping, transaction};
use crate::error::{Result, StoreError};
use crate::url::{Place, StoreOptions, Target};

/// Connections PostgreSQL gets beyond those for reading: ingest and the pump never wait for a page.
const WRITER_CONNECTIONS: u32 = 2;

/// A database with BillingWatch's tables. Cheap to clone; to be shared between threads.
///
/// Every call blocks until the database has answered.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    target: Target,
    /// SQLite's; PostgreSQL writes through the pool.
    writer: Option<OneWriter>,
    /// `None` for a database in memory, which lives in its one connection.
    pool: Option<r2d2::Pool<Manager>>,
    /// PostgreSQL's for appending, between one append and the next: one from the pool is asked for
    /// a sign of life first, and that is two more ways there and back.
    appending: Mutex<Option<r2d2::PooledConnection<Manager>>>,
}

/// SQLite has one writer at a time anyway: a mutex queues more fairly than its busy timeout.
struct OneWriter {
    /// Empty after a panic or a broken connection; the next writer opens it again.
    slot: Mutex<Option<AnyConn>>,
    manager: Manager,
    /// `None` for a database in memory, which has no log.
    checkpoints: Option<Checkpoints>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store")
            .field(&self.inner.target.name)
            .finish()
    }
}

impl Store {
    /// Connects; does not touch the schema.
    ///
    /// # Errors
    ///
    /// What the database or its client library says, sorted into [`StoreError`]'s variants, without
    /// the password.
    pub fn open(options: &StoreOptions) -> Result<Self> {
        Self::build(options, true)
    }

    /// As [`Store::open`], for a PostgreSQL server that may be away: the first connection is made when
    /// one is needed.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadUrl`]; for SQLite what [`Store::open`] says.
    pub fn open_later(options: &StoreOptions) -> Result<Self> {
        Self::build(options, false)
    }

    fn build(options: &StoreOptions, connects: bool) -> Result<Self> {
        let target = Target::parse(&options.url)?;
        let manager = |role| Manager {
            target: target.clone(),
            role,
            timeout: options.connect_timeout,
        };
        // The pool hides why it cannot connect and takes its whole timeout to say so: the first
        // connection is made by hand.
        let is_sqlite = matches!(target.place, Place::Sqlite(_));
        let first = (connects || is_sqlite)
            .then(|| manager(Role::Writer).open())
            .transpose()?;
        let readers = options.reader_connections.max(1);
        let (role, size) = if is_sqlite {
            (Role::Reader, readers)
        } else {
            (Role::Writer, readers.saturating_add(WRITER_CONNECTIONS))
        };
        let pool = (!target.is_memory()).then(|| {
            r2d2::Pool::builder()
                .max_size(size)
                .min_idle(Some(1))
                .connection_timeout(options.connect_timeout)
                .test_on_check_out(!is_sqlite)
                .error_handler(Box::new(r2d2::NopErrorHandler))
                .build_unchecked(manager(role))
        });
        let writer = is_sqlite.then(|| OneWriter {
            slot: Mutex::new(first),
            manager: manager(Role::Writer),
            checkpoints: pool
                .is_some()
                .then(|| Checkpoints::new(manager(Role::Writer), Bounds::default())),
        });
        Ok(Self {
            inner: Arc::new(Inner {
                target,
                writer,
                pool,
                appending: Mutex::default(),
            }),
        })
    }

    /// The database's name for messages: without the password.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.target.name
    }

    /// Whether other processes are expected to work on the same database: PostgreSQL, yes; SQLite is
    /// this process's own.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.inner.writer.is_none()
    }

    /// The database's file, where it has one.
    pub(crate) fn file(&self) -> Option<std::path::PathBuf> {
        self.inner.target.file()
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from answering.
    pub fn ping(&self) -> Result<()> {
        self.read(ping)
    }

    /// Runs `work` on a connection for reading, each statement by itself.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&mut AnyConn) -> Result<T>) -> Result<T> {
        match &self.inner.pool {
            Some(pool) => self.pooled(pool, work),
            None => self.with_writer(work),
        }
    }

    /// Runs `work` in one durable transaction.
    ///
    /// When this answers with an error the transaction may, rarely, have happened all the same (the
    /// connection broke while the commit was on its way). Whatever is written must bear that: the
    /// journal finds duplicates, a step compares its cursor.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&mut AnyConn) -> Result<T>) -> Result<T> {
        self.with_writer(|conn| transaction(conn, work))
    }

    /// As [`Store::write`], beginning on PostgreSQL with what `and_first` says (a `;` and
    /// statements), on a connection that is kept for this.
    pub(crate) fn write_often<T>(
        &self,
        and_first: &str,
        work: impl FnOnce(&mut AnyConn) -> Result<T>,
    ) -> Result<T> {
        let (None, Some(pool)) = (&self.inner.writer, &self.inner.pool) else {
            return self.write(work);
        };
        let on_it = |error: StoreError| error.on(self.name());
        let mut begun = None;
        if let Some(mut conn) = self.kept_for_appending().take() {
            match begin(&mut conn, and_first) {
                Ok(()) => begun = Some(conn),
                // Nothing has happened yet: when the connection was lost meanwhile, another will do.
                Err(_) if ping(&mut conn).is_err() => {}
                Err(error) => return Err(on_it(error)),
            }
        }
        let mut conn = match begun {
            Some(conn) => conn,
            None => {
                let mut conn = self.take_from_pool(pool)?;
                begin(&mut conn, and_first).map_err(on_it)?;
                conn
            }
        };
        let done = go_through(&mut conn, work).map_err(on_it)?;
        self.kept_for_appending().get_or_insert(conn);
        Ok(done)
    }

    fn kept_for_appending(&self) -> MutexGuard<'_, Option<r2d2::PooledConnection<Manager>>> {
        let slot = self.inner.appending.lock();
        slot.unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to the SQLite file besides all others; `None` where there is no file.
    pub(crate) fn separate(&self) -> Result<Option<AnyConn>> {
        if self.inner.target.is_memory() {
            return Ok(None);
        }
        self.inner
            .writer
            .as_ref()
            .map(|writer| writer.manager.open())
            .transpose()
    }

    /// Runs `work` on the connection that writes, each statement by itself.
    pub(crate) fn with_writer<T>(&self, work: impl FnOnce(&mut AnyConn) -> Result<T>) -> Result<T> {
        match (&self.inner.writer, &self.inner.pool) {
            (Some(writer), _) => self.exclusive(writer, work),
            (None, Some(pool)) => self.pooled(pool, work),
            (None, None) => Err(self.busy("it has no connection")),
        }
    }

    fn exclusive<T>(
        &self,
        writer: &OneWriter,
        work: impl FnOnce(&mut AnyConn) -> Result<T>,
    ) -> Result<T> {
        let mut slot = writer.slot.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out for the while: a panic in `work` must not leave a half-done transaction behind
        // for the next caller to commit.
        let mut conn = match slot.take() {
            Some(conn) => conn,
            None => writer.manager.open()?,
        };
        let done = work(&mut conn);
        if let Some(checkpoints) = &writer.checkpoints {
            checkpoints.after_write(&mut conn);
        }
        if !r2d2::ManageConnection::has_broken(&writer.manager, &mut conn) {
            *slot = Some(conn);
        }
        done.map_err(|error| error.on(self.name()))
    }

    fn pooled<T>(
        &self,
        pool: &r2d2::Pool<Manager>,
        work: impl FnOnce(&mut AnyConn) -> Result<T>,
    ) -> Result<T> {
        let mut conn = self.take_from_pool(pool)?;
        work(&mut conn).map_err(|error| error.on(self.name()))
    }

    fn take_from_pool(
        &self,
        pool: &r2d2::Pool<Manager>,
    ) -> Result<r2d2::PooledConnection<Manager>> {
        pool.get().map_err(|error| {
            // The pool keeps the last failure's words after a colon, and none when every
            // connection is merely in use.
            match error.to_string().split_once(": ") {
                Some((_, reason)) => StoreError::Unreachable {
                    database: self.name().to_owned(),
                    reason: self.bare(reason).to_owned(),
                },
                None => self.busy("all its connections are in use"),
            }
        })
    }

    /// What the pool's last failure says besides what every such failure says.
    fn bare<'a>(&self, failure: &'a str) -> &'a str {
        let (before, after) = (
            format!("cannot reach {}: ", self.name()),
            "; check DATABASE_URL",
        );
        let reason = failure.strip_prefix(&before).unwrap_or(failure);
        reason
            .split_once(after)
            .map_or(reason, |(reason, _)| reason)
    }

    fn busy(&self, reason: &str) -> StoreError {
        StoreError::Busy {
            database: self.name().to_owned(),
            reason: reason.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::*;

    #[test]
    fn a_panic_in_a_transaction_leaves_nothing_and_the_store_goes_on() {
        let store = crate::testing::sqlite();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _: Result<()> = store.write(|conn| {
                if let AnyConn::Sqlite(c) = conn {
                    c.batch_execute("UPDATE journal_head SET last_seq = 99")?;
                }
                panic!("in the middle of it");
            });
        }));
        assert!(panicked.is_err());
        assert_eq!(store.head().unwrap().last_seq, 0);
        let touched = store.touch_head(billingwatch_core::time::Timestamp::EPOCH);
        assert_eq!(touched.unwrap().last_seq, 0);
    }

    #[test]
    fn a_connection_has_its_settings() {
        #[derive(diesel::QueryableByName)]
        struct Settings {
            #[diesel(sql_type = diesel::sql_types::Text)]
            seen: String,
        }
        let store = crate::testing::sqlite();
        let query = "SELECT page_size || ' ' || journal_mode || ' ' || synchronous || ' ' \
                     || foreign_keys || ' ' || timeout AS seen \
                     FROM pragma_page_size, pragma_journal_mode, pragma_synchronous, \
                     pragma_foreign_keys, pragma_busy_timeout";
        let seen = |conn: &mut AnyConn| -> Result<String> {
            let AnyConn::Sqlite(c) = conn else {
                return Ok(String::new());
            };
            let row: Settings = diesel::RunQueryDsl::get_result(diesel::sql_query(query), c)?;
            Ok(row.seen)
        };
        assert_eq!(store.with_writer(seen).unwrap(), "4096 wal 2 1 5000");
        assert_eq!(store.read(seen).unwrap(), "4096 wal 2 1 5000");
    }
}
