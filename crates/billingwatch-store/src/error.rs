//! What can go wrong with the store, named so that a caller can act on it.
//!
//! A message says what is the matter and what to do about it. None ever holds a password: the
//! database is named by [`Target`](crate::url::Target)'s redacted text, and what a client library
//! says is scrubbed before it gets here.

use billingwatch_core::time::Timestamp;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::cursors::Cursor;

/// What can be done about a damaged journal.
pub(crate) const RESTORE: &str = "stop the server and restore the newest backup";

/// Why the store could not do what it was asked.
///
/// `database` names the database without its password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// `DATABASE_URL` names no database this program knows.
    #[error(
        "DATABASE_URL is not understood ({reason}): set it to sqlite://PATH, such as \
         sqlite://billingwatch.db, or to postgres://USER:PASSWORD@HOST/DATABASE"
    )]
    BadUrl {
        /// What is wrong with it, without quoting it.
        reason: String,
    },
    /// The folder that should hold the SQLite file does not exist.
    #[error("cannot open {database}: the folder {folder} does not exist; create it first")]
    NoSuchFolder {
        /// The database.
        database: String,
        /// The folder.
        folder: String,
    },
    /// The database cannot be opened or connected to, or the connection was lost.
    #[error(
        "cannot reach {database}: {reason}; check DATABASE_URL, that it is up, and that it may be \
         used from here"
    )]
    Unreachable {
        /// The database.
        database: String,
        /// What the client library says.
        reason: String,
    },
    /// The URL asks for TLS and this program was built without.
    #[error(
        "cannot connect to {database}: its sslmode asks for TLS and this program was built \
         without; build with `--features postgres-tls`, or use sslmode=disable on a network you trust"
    )]
    TlsUnavailable {
        /// The database.
        database: String,
    },
    /// Someone else holds the database, or every connection of the pool is in use.
    #[error("{database} is busy: {reason}; try again")]
    Busy {
        /// The database.
        database: String,
        /// What is being waited for.
        reason: String,
    },
    /// Another process keeps the SQLite file locked for longer than we wait.
    #[error(
        "{database} is locked by another process: stop the other program that has it open \
         (a second server, or a database browser with an unfinished transaction)"
    )]
    Locked {
        /// The database.
        database: String,
    },
    /// The database may be read and not written.
    #[error(
        "{database} is read-only: give the user that runs this program write permission to the \
         file and its folder (SQLite), or connect to the primary (PostgreSQL)"
    )]
    ReadOnly {
        /// The database.
        database: String,
    },
    /// The file is not an SQLite database.
    #[error(
        "{database} is not an SQLite database: name another path in DATABASE_URL, or move the \
         file away"
    )]
    NotADatabase {
        /// The database.
        database: String,
    },
    /// The database file is damaged.
    #[error("{database} is damaged ({reason}): {remedy}")]
    Damaged {
        /// The database.
        database: String,
        /// What the database says.
        reason: String,
        /// What can be done.
        remedy: &'static str,
    },
    /// The disk, or the database's quota, is full.
    #[error("{database} is full: {reason}; free some disk space")]
    Full {
        /// The database.
        database: String,
        /// What the database says.
        reason: String,
    },
    /// A newer release has changed the schema.
    #[error(
        "{database} was written by a newer release: it knows migration {unknown}, the newest known \
         here is {newest_known}; run that release, or restore the backup made before the upgrade"
    )]
    NewerSchema {
        /// The database.
        database: String,
        /// The newest migration of the database that is unknown here.
        unknown: String,
        /// The newest migration known here.
        newest_known: String,
    },
    /// The tables are not there.
    #[error("{database} has not been set up: run `billingwatch migrate`, or start the server")]
    NotMigrated {
        /// The database.
        database: String,
    },
    /// A migration failed; the schema is as it was.
    #[error("cannot bring the schema of {database} up to date: {reason}")]
    Migration {
        /// The database.
        database: String,
        /// What failed.
        reason: String,
    },
    /// Somebody else committed for this consumer: two pumps run on one database.
    #[error(
        "consumer {consumer} stands at {found}, not at {expected} where this process left it: \
         another process works on the same database; stop one of them"
    )]
    CursorMoved {
        /// The consumer.
        consumer: String,
        /// What the caller believed.
        expected: Cursor,
        /// What is there.
        found: Cursor,
    },
    /// Another process has taken over what this one did.
    #[error(
        "the lease `{name}` is held by another process: it took over while this one did not answer"
    )]
    LeaseLost {
        /// The right to what.
        name: String,
    },
    /// A page was asked for with a cursor that is not ours or a limit out of range.
    #[error("{reason}")]
    BadPage {
        /// What is wrong with it.
        reason: String,
    },
    /// An entry to append contradicts itself.
    #[error("cannot append to the journal: {reason}")]
    BadEntry {
        /// What is wrong with it.
        reason: String,
    },
    /// A stored value cannot be read back.
    #[error("{what} in the database cannot be read: {reason}")]
    Unreadable {
        /// Which value.
        what: String,
        /// Why.
        reason: String,
    },
    /// Anything else the database says.
    #[error("{database}: {reason}")]
    Database {
        /// The database.
        database: String,
        /// What it says.
        reason: String,
    },
}

/// The result of everything in this crate.
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    /// Whether the same call may succeed later without anybody changing the configuration.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Busy { .. }
                | Self::Locked { .. }
                | Self::ReadOnly { .. }
                | Self::Full { .. }
        )
    }

    /// A stored value that is not what was once written.
    pub(crate) fn unreadable(what: &str, reason: &(impl ToString + ?Sized)) -> Self {
        Self::Unreadable {
            what: what.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// Names the database in an error that arose below the place where its name is known.
    pub(crate) fn on(mut self, name: &str) -> Self {
        match &mut self {
            Self::NoSuchFolder { database, .. }
            | Self::Unreachable { database, .. }
            | Self::TlsUnavailable { database }
            | Self::Busy { database, .. }
            | Self::Locked { database }
            | Self::ReadOnly { database }
            | Self::NotADatabase { database }
            | Self::Damaged { database, .. }
            | Self::Full { database, .. }
            | Self::NewerSchema { database, .. }
            | Self::NotMigrated { database }
            | Self::Migration { database, .. }
            | Self::Database { database, .. } => name.clone_into(database),
            Self::BadUrl { .. }
            | Self::CursorMoved { .. }
            | Self::LeaseLost { .. }
            | Self::BadPage { .. }
            | Self::BadEntry { .. }
            | Self::Unreadable { .. } => {}
        }
        self
    }

    /// What a database's own words mean. `text` must already be free of secrets.
    ///
    /// Both client libraries give little more than a message (diesel maps nearly all of SQLite's
    /// codes to `Unknown`), so the message decides. PostgreSQL speaks its `lc_messages`; in other
    /// languages than English most of these become [`StoreError::Database`], with its own words.
    pub(crate) fn classify(text: &str) -> Self {
        let database = String::new();
        let reason = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let says = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
        if says(&["SSL support is not compiled in"]) {
            Self::TlsUnavailable { database }
        } else if says(&["database is locked", "database table is locked"]) {
            Self::Locked { database }
        } else if says(&["readonly database", "read-only transaction"]) {
            Self::ReadOnly { database }
        } else if says(&["file is not a database", "file is encrypted"]) {
            Self::NotADatabase { database }
        } else if says(&["disk image is malformed", "malformed database schema"]) {
            Self::Damaged {
                database,
                reason,
                remedy: RESTORE,
            }
        } else if says(&[
            "disk is full",
            "No space left",
            "could not extend file",
            "disk full",
        ]) {
            Self::Full { database, reason }
        } else if says(&["no such table", "no such column", "relation \""])
            && !says(&["already exists"])
        {
            Self::NotMigrated { database }
        } else if says(&["lock timeout", "too many clients", "connection slots"]) {
            Self::Busy { database, reason }
        } else if says(&[
            "unable to open database file",
            "the database system is",
            "terminating connection",
            "server closed the connection",
            "could not receive data",
            "could not send data",
            "no connection to the server",
            "connection to server",
        ]) {
            Self::Unreachable { database, reason }
        } else {
            Self::Database { database, reason }
        }
    }
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match &error {
            DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, info) => {
                Self::Unreachable {
                    database: String::new(),
                    reason: info.message().trim().to_owned(),
                }
            }
            DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => {
                Self::ReadOnly {
                    database: String::new(),
                }
            }
            DieselError::DatabaseError(_, info) => Self::classify(info.message()),
            DieselError::BrokenTransactionManager => Self::Unreachable {
                database: String::new(),
                reason: "the connection was lost in the middle of a transaction".to_owned(),
            },
            _ => Self::classify(&error.to_string()),
        }
    }
}

/// An instant as it is stored.
pub(crate) const fn instant(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}
