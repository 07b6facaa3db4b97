//! Brings the schema up to date: `migrations/` is embedded in the binary.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::connection::{AnyConn, both};
use crate::error::{Result, StoreError};
use crate::store::Store;

const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
const POSTGRESQL: EmbeddedMigrations = embed_migrations!("../../migrations/postgresql");

/// Any number, the same in every process: two that start together take turns.
const POSTGRESQL_LOCK: &str = "SELECT pg_advisory_xact_lock(7220517461934851)";

impl Store {
    /// Runs the migrations that have not run yet, all in one transaction, and returns their names.
    ///
    /// # Errors
    ///
    /// [`StoreError::NewerSchema`] when the database knows a migration that this program does not;
    /// [`StoreError::Migration`] when one fails, which leaves the schema as it was.
    pub fn migrate(&self) -> Result<Vec<String>> {
        self.write(|conn| {
            lock(conn)?;
            check_known(conn)?;
            match conn {
                AnyConn::Sqlite(c) => run(c, SQLITE),
                AnyConn::Postgresql(c) => run(c, POSTGRESQL),
            }
        })
    }

    /// Undoes every migration, and with them everything that is stored.
    ///
    /// # Errors
    ///
    /// As [`Store::migrate`].
    #[cfg(feature = "testing")]
    pub fn revert_all(&self) -> Result<Vec<String>> {
        self.write(|conn| {
            lock(conn)?;
            let reverted = match conn {
                AnyConn::Sqlite(c) => c.revert_all_migrations(SQLITE),
                AnyConn::Postgresql(c) => c.revert_all_migrations(POSTGRESQL),
            };
            names(reverted)
        })
    }
}

fn lock(conn: &mut AnyConn) -> Result<()> {
    if let AnyConn::Postgresql(c) = conn {
        c.batch_execute(POSTGRESQL_LOCK)?;
    }
    Ok(())
}

fn run<C, DB>(conn: &mut C, known: EmbeddedMigrations) -> Result<Vec<String>>
where
    C: MigrationHarness<DB>,
    DB: diesel::backend::Backend,
    EmbeddedMigrations: MigrationSource<DB>,
{
    names(conn.run_pending_migrations(known))
}

/// Refuses a schema from the future: its tables may mean something else by now.
fn check_known(conn: &mut AnyConn) -> Result<()> {
    let applied: Vec<String> = both!(conn, c => c.applied_migrations())
        .map_err(|error| failed(&error))?
        .iter()
        .map(ToString::to_string)
        .collect();
    let known = match conn {
        AnyConn::Sqlite(_) => known_versions::<diesel::sqlite::Sqlite>(&SQLITE)?,
        AnyConn::Postgresql(_) => known_versions::<diesel::pg::Pg>(&POSTGRESQL)?,
    };
    match applied
        .into_iter()
        .filter(|version| !known.contains(version))
        .max()
    {
        Some(unknown) => Err(StoreError::NewerSchema {
            database: String::new(),
            unknown,
            newest_known: known.last().cloned().unwrap_or_default(),
        }),
        None => Ok(()),
    }
}

fn known_versions<DB>(known: &EmbeddedMigrations) -> Result<BTreeSet<String>>
where
    DB: diesel::backend::Backend,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let migrations: Vec<Box<dyn Migration<DB>>> =
        known.migrations().map_err(|error| failed(&error))?;
    Ok(migrations
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect())
}

type MigrationError = Box<dyn std::error::Error + Send + Sync>;

fn names(
    run: std::result::Result<Vec<diesel::migration::MigrationVersion<'_>>, MigrationError>,
) -> Result<Vec<String>> {
    let versions = run.map_err(|error| failed(&error))?;
    Ok(versions.iter().map(ToString::to_string).collect())
}

/// A failure the database explains in words of its own keeps them: locked, read-only, full.
fn failed(error: &MigrationError) -> StoreError {
    let text = error.to_string();
    match StoreError::classify(&text) {
        StoreError::Database { database, reason } => StoreError::Migration { database, reason },
        StoreError::NotMigrated { database } => StoreError::Migration {
            database,
            reason: text,
        },
        known => known,
    }
}
