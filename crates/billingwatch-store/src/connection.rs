//! SQLite or PostgreSQL behind one connection type, and how a connection is opened and set up.
//!
//! The variant is chosen by the URL's scheme, here. Diesel's own `AnyConn::establish` tries one
//! backend after the other and swallows the errors: with PostgreSQL down, a wrong URL silently
//! becomes an SQLite file with the password in its name. So nothing calls it.

#![allow(
    unreachable_pub,
    reason = "the derive's own types are public; nothing of this module leaves the crate"
)]

use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::r2d2::R2D2Connection;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};

use crate::error::{Result, StoreError};
use crate::url::{Place, Target};

/// One connection to either backend.
#[derive(diesel::MultiConnection)]
pub enum AnyConn {
    /// PostgreSQL, through libpq.
    Postgresql(PgConnection),
    /// SQLite, built in.
    Sqlite(SqliteConnection),
}

/// Runs one text against the concrete connection of either backend: `ON CONFLICT`, batch inserts
/// and `as_returning` do not compile on the enum.
macro_rules! both {
    ($conn:expr, $concrete:ident => $body:expr) => {
        match $conn {
            $crate::connection::AnyConn::Postgresql($concrete) => $body,
            $crate::connection::AnyConn::Sqlite($concrete) => $body,
        }
    };
}
pub(crate) use both;

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Writer,
    /// Reading alone: SQLite refuses anything else on it.
    Reader,
}

/// Opens connections, for the pool and for the one writer.
#[derive(Clone)]
pub struct Manager {
    /// Where to.
    pub target: Target,
    /// What for.
    pub role: Role,
    /// How long to wait for the server, and on SQLite for another process's lock.
    pub timeout: Duration,
}

impl Manager {
    /// Opens one and sets it up.
    pub fn open(&self) -> Result<AnyConn> {
        let opened = match &self.target.place {
            Place::Sqlite(path) => self.check_file().and_then(|()| self.open_sqlite(path)),
            Place::Postgresql(url) => self.open_postgresql(url),
        };
        opened.map_err(|error| error.on(&self.target.name))
    }

    /// What SQLite would only call "unable to open database file".
    fn check_file(&self) -> Result<()> {
        let Some(file) = self.target.file() else {
            return Ok(());
        };
        if file.is_dir() {
            return Err(StoreError::NotADatabase {
                database: String::new(),
            });
        }
        match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                Err(StoreError::NoSuchFolder {
                    database: String::new(),
                    folder: folder.display().to_string(),
                })
            }
            _ => Ok(()),
        }
    }

    fn open_sqlite(&self, path: &str) -> Result<AnyConn> {
        let mut conn = SqliteConnection::establish(path)
            .map_err(|error| StoreError::classify(&error.to_string()))?;
        // The timeout first, for the rest may have to wait; the page size before the first table
        // and before WAL (4 KiB: every new id dirties a page of an index, so that with the rows of
        // compressed bodies a third less is written than with 8 KiB, for 3 % more disk; a file that
        // has another size keeps it); FULL because NORMAL may lose the last commits on power loss,
        // and Stripe does not send again what was answered 200.
        let wait_ms = self.timeout.as_millis().min(600_000);
        conn.batch_execute(&format!("PRAGMA busy_timeout = {wait_ms};"))?;
        if self.role == Role::Writer {
            let_give_back(&mut conn)?;
            // The default cache of 2 MB is 500 such pages, fewer than a batch touches in the
            // indexes: 8 MB appends a tenth faster, and fills only when there is much to write.
            // No checkpoint at the end of a commit: see `checkpoint.rs`.
            conn.batch_execute(
                "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA cache_size = -8000;
                 PRAGMA wal_autocheckpoint = 0;",
            )?;
        }
        conn.batch_execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
        // Reads the file's first page: what is no database is found out here, not at the first
        // request.
        conn.batch_execute("SELECT count(*) FROM sqlite_master;")?;
        if self.role == Role::Reader {
            conn.batch_execute("PRAGMA query_only = ON;")?;
        }
        Ok(AnyConn::Sqlite(conn))
    }

    fn open_postgresql(&self, url: &str) -> Result<AnyConn> {
        let url = with_parameters(url, self.timeout);
        let mut conn = PgConnection::establish(&url).map_err(|error| {
            let reason = self.target.scrub(&error.to_string());
            match StoreError::classify(&reason) {
                StoreError::Database { database, reason } => {
                    StoreError::Unreachable { database, reason }
                }
                known => known,
            }
        })?;
        // A server or role may have `synchronous_commit = off`: an answer of 200 would then
        // promise what a power cut can take back. The lock timeout bounds the wait for the
        // journal's head; and a process that stalls in the middle of a transaction (stopped, or its
        // machine frozen) must not hold it for ever against the others.
        conn.batch_execute(
            "SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '3s';
             SET standard_conforming_strings = on;
             SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') = 'off';",
        )?;
        Ok(AnyConn::Postgresql(conn))
    }
}

#[derive(QueryableByName)]
struct PageCount {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    page_count: i64,
}

/// Makes a new file one that can give unused pages back: possible before the first table alone, and
/// said to a file with tables it would be a write.
fn let_give_back(conn: &mut SqliteConnection) -> Result<()> {
    let file: PageCount = sql_query("PRAGMA page_count").get_result(conn)?;
    if file.page_count == 0 {
        conn.batch_execute("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;")?;
    }
    Ok(())
}

impl r2d2::ManageConnection for Manager {
    type Connection = AnyConn;
    type Error = StoreError;

    fn connect(&self) -> Result<AnyConn> {
        self.open()
    }

    fn is_valid(&self, conn: &mut AnyConn) -> Result<()> {
        both!(conn, c => c.ping()).map_err(|error| StoreError::from(error).on(&self.target.name))
    }

    fn has_broken(&self, conn: &mut AnyConn) -> bool {
        both!(conn, c => c.is_broken())
    }
}

/// Adds what libpq should know and the user did not say.
fn with_parameters(url: &str, timeout: Duration) -> String {
    let mut url = url.to_owned();
    // libpq waits for ever by default, and takes 1 for 2.
    let wait_secs = timeout.as_secs().clamp(2, 600);
    for (name, value) in [
        ("connect_timeout", wait_secs.to_string()),
        ("application_name", "billingwatch".to_owned()),
        // A server whose machine is gone says nothing, and the kernel would wait a quarter of an
        // hour for it with data on the way, and two hours without.
        ("tcp_user_timeout", "10000".to_owned()),
        ("keepalives_idle", "10".to_owned()),
        ("keepalives_interval", "5".to_owned()),
        ("keepalives_count", "3".to_owned()),
    ] {
        if !url.contains(&format!("{name}=")) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{name}={value}"));
        }
    }
    url
}

/// Runs `work` in one transaction that holds the right to write from its start.
///
/// On SQLite that is `BEGIN IMMEDIATE`: a deferred transaction that reads and then writes fails
/// with "database is locked" whatever the busy timeout, as soon as two do it. On PostgreSQL the
/// level is said, for a server's default may be another, under which we would see failures to
/// serialize.
pub fn transaction<T>(
    conn: &mut AnyConn,
    work: impl FnOnce(&mut AnyConn) -> Result<T>,
) -> Result<T> {
    begin(conn, "")?;
    go_through(conn, work)
}

/// Begins a transaction. What PostgreSQL is to do first of all goes the same way: `and_first` is
/// empty, or a `;` and statements.
pub fn begin(conn: &mut AnyConn, and_first: &str) -> Result<()> {
    match conn {
        AnyConn::Postgresql(c) => {
            let sql = format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE{and_first}");
            AnsiTransactionManager::begin_transaction_sql(c, &sql).inspect_err(|_| {
                // The transaction itself may have begun. Where this fails too, the connection is
                // lost, and with it the transaction.
                let _ = c.batch_execute("ROLLBACK");
            })?;
        }
        AnyConn::Sqlite(c) => AnsiTransactionManager::begin_transaction_sql(c, "BEGIN IMMEDIATE")?,
    }
    Ok(())
}

/// Runs `work` in the transaction that has begun, and ends it.
pub fn go_through<T>(
    conn: &mut AnyConn,
    work: impl FnOnce(&mut AnyConn) -> Result<T>,
) -> Result<T> {
    match work(conn) {
        Ok(done) => match both!(conn, c => AnsiTransactionManager::commit_transaction(c)) {
            Ok(()) => Ok(done),
            Err(error) => {
                roll_back(conn);
                Err(error.into())
            }
        },
        Err(error) => {
            roll_back(conn);
            Err(error)
        }
    }
}

/// Best effort: where it fails, the connection counts as broken and is thrown away.
fn roll_back(conn: &mut AnyConn) {
    let rolled_back = both!(conn, c => {
        let state = AnsiTransactionManager::transaction_manager_status_mut(c);
        if state.transaction_depth().ok().flatten().is_some() {
            AnsiTransactionManager::rollback_transaction(c)
        } else {
            Ok(())
        }
    });
    if let Err(error) = rolled_back {
        tracing::warn!(store.error = %error, "could not roll back a transaction");
    }
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    answer: i32,
}

/// Asks the database for a sign of life.
pub fn ping(conn: &mut AnyConn) -> Result<()> {
    let answer: Answer = both!(conn, c => sql_query("SELECT 1 AS answer").get_result(c))?;
    debug_assert_eq!(answer.answer, 1);
    Ok(())
}
