//! A damaged file is healed: what can still be read of it goes into a new one, and it is kept beside
//! under another name. A disk that lies, or a copy made at the wrong moment, must not stop a start,
//! and what was acknowledged must not be left behind as long as any of it can be read.
//!
//! Only damage that the file's own structure shows is healed here, at a start. A row that is whole for
//! SQLite and makes no sense is set aside when it is taken out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use diesel::prelude::*;
use diesel::sql_types::{Binary, Text};
use diesel::{QueryableByName, SqliteConnection, sql_query};

use super::carry::carry;
use super::rows::{FORMAT, Head, MeantFor, Reached, TABLES, prepare};
use super::{FILES_MAX, SpoolOptions, name_of, open_conn, sqlite, target_of};
use crate::connection::{Manager, transaction};
use crate::error::{Result, StoreError};

/// What can be done about one that cannot be healed.
pub(super) const MOVE_AWAY: &str = "what waits in it cannot be taken over; keep it for whoever can, and move it away to \
                                    start with an empty one";

#[derive(QueryableByName)]
struct Said {
    #[diesel(sql_type = Text)]
    integrity_check: String,
}

#[derive(QueryableByName)]
struct Made {
    // As bytes: damaged, it may be no text.
    #[diesel(sql_type = Binary)]
    sql: Vec<u8>,
}

/// Sees whether the file is whole.
///
/// # Errors
///
/// [`StoreError::Damaged`] when it is not.
pub(super) fn check(conn: &mut SqliteConnection) -> Result<()> {
    let said: Said = sql_query("PRAGMA integrity_check(1)").get_result(conn)?;
    if said.integrity_check != "ok" {
        return Err(damaged(said.integrity_check));
    }
    let head: Head = sql_query("SELECT user_version FROM pragma_user_version").get_result(conn)?;
    if head.user_version != FORMAT {
        return Ok(());
    }
    check_tables(conn)
}

/// Sees whether the tables are as they were made. Where a column has lost its name nothing can be
/// read by it, though every page is whole.
fn check_tables(conn: &mut SqliteConnection) -> Result<()> {
    let made: Vec<Made> = sql_query(
        "SELECT CAST(sql AS BLOB) AS sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid",
    )
    .load(conn)?;
    // SQLite keeps its own table of numbers beside ours.
    let made: Vec<String> = made
        .iter()
        .map(|one| words(&String::from_utf8_lossy(&one.sql)))
        .filter(|sql| !sql.starts_with("CREATE TABLE sqlite_sequence"))
        .collect();
    let wanted: Vec<String> = TABLES
        .split(';')
        .map(words)
        .filter(|sql| sql.starts_with("CREATE"))
        .collect();
    if made == wanted {
        return Ok(());
    }
    Err(damaged("its tables are not as they were made".to_owned()))
}

/// As SQLite tells words apart: to it a blank beyond ASCII is part of a name.
fn words(sql: &str) -> String {
    sql.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// Puts a whole file in the place of a damaged one, if its events are meant for this database.
///
/// # Errors
///
/// Whatever keeps it from being read at all or a new one from being written. The damaged file stays
/// where it is then.
pub(super) fn heal(path: &Path, manager: &Manager, options: &SpoolOptions) -> Result<()> {
    let new_path = beside(path, "healing");
    // What an earlier attempt left: the damaged file is still there, so it was not finished.
    forget(&new_path).map_err(|error| on_disk(path, &error))?;
    let mut conn = open_conn(manager)?;
    let old = sqlite(&mut conn)?;
    // Whatever format it says: that number may be what was damaged.
    check_tables(old)?;
    // Whose it is must be known: another database's events would be told to the wrong one.
    let meant_for: Vec<MeantFor> = sql_query("SELECT database FROM meant_for").load(old)?;
    if meant_for.iter().any(|one| one.database != options.database) {
        return Err(
            damaged("and it holds events of another database".to_owned()).on(&name_of(path)),
        );
    }
    let reached: Result<Reached, _> =
        sql_query("SELECT count(*) AS was_reached FROM meant_for WHERE was_reached")
            .get_result(old);
    let was_reached = reached.is_ok_and(|reached| reached.was_reached > 0);
    let new_manager = Manager {
        target: target_of(&new_path)?,
        ..manager.clone()
    };
    let mut new_conn = open_conn(&new_manager)?;
    let (kept, lost) = transaction(&mut new_conn, |new| {
        let new = sqlite(new)?;
        prepare(new, &options.database)?;
        if was_reached {
            sql_query("UPDATE meant_for SET was_reached = TRUE").execute(new)?;
        }
        carry(old, new)
    })?;
    drop((conn, new_conn));
    let aside = put_aside(path).map_err(|error| on_disk(path, &error))?;
    rename(&new_path, path).map_err(|error| on_disk(path, &error))?;
    tracing::error!(
        spool.path = %path.display(),
        spool.entries = kept,
        "{} is damaged: {kept} of its events could be read and wait in a new file, {lost} places \
         could not; the damaged file is kept as {}",
        name_of(path),
        aside.display()
    );
    Ok(())
}

/// Takes up a healing that a death interrupted between its last two steps: the damaged file was put
/// aside, and the whole one is not in its place yet.
///
/// # Errors
///
/// Whatever keeps the file from being renamed.
pub(super) fn finish(path: &Path) -> Result<()> {
    let new_path = beside(path, "healing");
    if !path.exists() && new_path.exists() {
        rename(&new_path, path).map_err(|error| on_disk(path, &error))?;
    }
    Ok(())
}

/// Gives the damaged file, and its log, a name that nobody opens.
fn put_aside(path: &Path) -> io::Result<PathBuf> {
    for number in 1..=FILES_MAX {
        let aside = beside(path, &format!("damaged-{number}"));
        if aside.exists() {
            continue;
        }
        let log = beside(path, "wal");
        if log.exists() {
            fs::rename(log, beside(&aside, "wal"))?;
        }
        rename(path, &aside)?;
        return Ok(aside);
    }
    Err(io::Error::other(format!(
        "{FILES_MAX} damaged ones lie beside it already: look at them, then move them away"
    )))
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn forget(path: &Path) -> io::Result<()> {
    for file in [path.to_owned(), beside(path, "wal")] {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// `NAME-what`, as SQLite names its log.
fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-");
    name.push(what);
    PathBuf::from(name)
}

fn damaged(reason: String) -> StoreError {
    StoreError::Damaged {
        database: String::new(),
        reason,
        remedy: MOVE_AWAY,
    }
}

fn on_disk(path: &Path, error: &io::Error) -> StoreError {
    damaged(format!("and cannot be replaced: {error}")).on(&name_of(path))
}
