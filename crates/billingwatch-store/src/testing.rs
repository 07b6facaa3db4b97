//! Throw-away stores for tests of this and other crates (feature `testing`).

#![expect(
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot have its database must say so and fail"
)]

use std::fmt::Display;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

use crate::connection::AnyConn;
use crate::error::Result;
use crate::store::Store;
use crate::url::StoreOptions;

/// Names the server on which PostgreSQL tests make their databases: an URL of a user who may.
pub const POSTGRES_URL_VARIABLE: &str = "BILLINGWATCH_TEST_POSTGRES_URL";

/// A migrated store of its own, gone when dropped.
#[derive(Debug)]
pub struct TestStore {
    store: Store,
    options: StoreOptions,
    // After the store: a database is dropped once nobody is connected to it.
    _place: Place,
}

#[derive(Debug)]
enum Place {
    Folder(#[expect(dead_code, reason = "removed when dropped")] tempfile::TempDir),
    Database { server: String, name: String },
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl TestStore {
    fn new(options: StoreOptions, place: Place) -> Self {
        let store = or_fail(Store::open(&options), "open the test database");
        or_fail(store.migrate(), "migrate the test database");
        Self {
            store,
            options,
            _place: place,
        }
    }

    /// What it was opened with.
    #[must_use]
    pub const fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// A second store on the same database, with connections of its own: another process, as far
    /// as the database can tell.
    #[must_use]
    pub fn another(&self) -> Store {
        or_fail(Store::open(&self.options), "open the test database again")
    }
}

/// A store in a fresh SQLite file.
#[must_use]
pub fn sqlite() -> TestStore {
    let folder = or_fail(tempfile::tempdir(), "make a temporary folder");
    let path = folder.path().join("billingwatch.db");
    TestStore::new(
        StoreOptions::new(format!("sqlite://{}", path.display())),
        Place::Folder(folder),
    )
}

/// A store in a fresh PostgreSQL database; `None` where the environment names no server.
#[must_use]
pub fn postgresql() -> Option<TestStore> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let Ok(server) = std::env::var(POSTGRES_URL_VARIABLE) else {
        eprintln!("skipped on PostgreSQL: {POSTGRES_URL_VARIABLE} is not set");
        return None;
    };
    let name = format!(
        "billingwatch_test_{}_{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    on_server(
        &server,
        &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
    );
    on_server(&server, &format!("CREATE DATABASE {name}"));
    let mut options = StoreOptions::new(with_database(&server, &name));
    // Tests of the whole workspace share one server's connection slots.
    options.reader_connections = 2;
    options.connect_timeout = Duration::from_secs(30);
    Some(TestStore::new(options, Place::Database { server, name }))
}

/// Runs a test on SQLite, and on PostgreSQL where there is one.
pub fn each_backend(test: impl Fn(&TestStore)) {
    test(&sqlite());
    if let Some(store) = postgresql() {
        test(&store);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Database { server, name } = self {
            on_server(
                server,
                &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            );
        }
    }
}

impl Store {
    /// Lets an SQLite database grow to so many pages and no further: a full disk, for tests.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn limit_pages(&self, pages: u32) -> Result<()> {
        self.write(|conn| match conn {
            AnyConn::Sqlite(c) => {
                Ok(c.batch_execute(&format!("PRAGMA max_page_count = {pages};"))?)
            }
            AnyConn::Postgresql(_) => Ok(()),
        })
    }
}

fn on_server(server: &str, sql: &str) {
    let mut conn = or_fail(
        PgConnection::establish(server),
        "connect to the test server",
    );
    or_fail(conn.batch_execute(sql), sql);
}

/// The same server, another database.
fn with_database(server: &str, name: &str) -> String {
    let (scheme, rest) = server.split_once("://").unwrap_or(("postgres", server));
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = place.split('/').next().unwrap_or(place);
    let question = if parameters.is_empty() { "" } else { "?" };
    format!("{scheme}://{authority}/{name}{question}{parameters}")
}

fn or_fail<T, E: Display>(result: Result<T, E>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("cannot {what}: {error}"),
    }
}
