//! A copy of an SQLite file while it is in use.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, sql_query};

use crate::connection::AnyConn;
use crate::error::{RESTORE, Result, StoreError};
use crate::store::Store;

/// What became of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backup {
    /// It is there, and whole.
    Written,
    /// This is no SQLite file: PostgreSQL has tools of its own.
    NotAFile,
}

#[derive(QueryableByName)]
struct Mode {
    #[diesel(sql_type = BigInt)]
    auto_vacuum: i64,
}

#[derive(QueryableByName)]
struct Finding {
    #[diesel(sql_type = Text)]
    integrity_check: String,
}

impl Store {
    /// Writes a copy of the database as it is now to a file that is not there yet, and checks it.
    ///
    /// Goes by a connection of its own, in one reading transaction: whoever writes goes on, and
    /// what is written meanwhile is not in the copy. The copy holds no unused pages.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from being read or the file from being written;
    /// [`StoreError::Damaged`] when the copy does not pass SQLite's own check.
    pub fn backup(&self, to: &Path) -> Result<Backup> {
        let Some(mut conn) = self.separate()? else {
            return Ok(Backup::NotAFile);
        };
        let AnyConn::Sqlite(source) = &mut conn else {
            return Ok(Backup::NotAFile);
        };
        // A file that cannot give unused pages back: its copy can.
        let mode: Mode = sql_query("PRAGMA auto_vacuum").get_result(source)?;
        if mode.auto_vacuum == 0 {
            source.batch_execute("PRAGMA auto_vacuum = INCREMENTAL")?;
        }
        let path = to.display().to_string();
        sql_query("VACUUM INTO ?")
            .bind::<Text, _>(&path)
            .execute(source)?;
        let mut copy = SqliteConnection::establish(&path)
            .map_err(|error| StoreError::classify(&error.to_string()).on(&path))?;
        let findings: Vec<Finding> = sql_query("PRAGMA integrity_check").load(&mut copy)?;
        match findings.as_slice() {
            [one] if one.integrity_check == "ok" => Ok(Backup::Written),
            found => Err(StoreError::Damaged {
                database: path,
                reason: found
                    .first()
                    .map_or_else(String::new, |finding| finding.integrity_check.clone()),
                remedy: RESTORE,
            }),
        }
    }
}
