//! Each way a database can be unusable has an answer of its own, which says what to do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use billingwatch_store::{Store, StoreError, StoreOptions, token_hash};
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};

use support::{at, entry};

fn options(url: impl Into<String>) -> StoreOptions {
    let mut options = StoreOptions::new(url);
    options.connect_timeout = Duration::from_millis(100);
    options
}

fn sqlite(path: &Path) -> StoreOptions {
    options(format!("sqlite://{}", path.display()))
}

/// The variant's name and the message, the folder replaced.
fn shown(error: &StoreError, folder: &Path) -> String {
    let debug = format!("{error:?}");
    let variant = debug.split([' ', '{', '(']).next().unwrap_or_default();
    let folder = folder.display().to_string();
    format!("{variant}: {}", error.to_string().replace(&folder, "DIR"))
}

#[test]
fn a_missing_folder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = Store::open(&sqlite(&dir.path().join("none/b.db"))).unwrap_err();
    insta::assert_snapshot!(shown(&error, dir.path()), @"NoSuchFolder: cannot open the SQLite database DIR/none/b.db: the folder DIR/none does not exist; create it first");
}

#[test]
fn a_folder_is_no_database() {
    let dir = tempfile::tempdir().unwrap();
    let error = Store::open(&sqlite(dir.path())).unwrap_err();
    insta::assert_snapshot!(shown(&error, dir.path()), @"NotADatabase: the SQLite database DIR is not an SQLite database: name another path in DATABASE_URL, or move the file away");
}

#[test]
fn another_file_is_no_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    fs::write(&path, "Not a database, whatever its name. ".repeat(100)).unwrap();
    let error = Store::open(&sqlite(&path)).unwrap_err();
    insta::assert_snapshot!(shown(&error, dir.path()), @"NotADatabase: the SQLite database DIR/notes.txt is not an SQLite database: name another path in DATABASE_URL, or move the file away");
    assert!(
        fs::read_to_string(&path).unwrap().starts_with("Not a"),
        "it was left alone"
    );
}

#[test]
fn a_locked_file_is_said_to_be_locked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.db");
    let store = Store::open(&sqlite(&path)).unwrap();
    store.migrate().unwrap();
    let mut other = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let error = store
        .append(&[entry("evt_1", "charge.failed")], at(0))
        .unwrap_err();
    insta::assert_snapshot!(shown(&error, dir.path()), @"Locked: the SQLite database DIR/b.db is locked by another process: stop the other program that has it open (a second server, or a database browser with an unfinished transaction)");
    assert!(error.is_transient());
    other.batch_execute("COMMIT").unwrap();
    store
        .append(&[entry("evt_1", "charge.failed")], at(0))
        .unwrap();
    // While another process holds the file for itself, it cannot even be opened.
    drop(store);
    other
        .batch_execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT;")
        .unwrap();
    let error = Store::open(&sqlite(&path)).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
}

#[test]
fn a_read_only_file_can_be_read_and_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.db");
    let store = Store::open(&sqlite(&path)).unwrap();
    store.migrate().unwrap();
    // Kept open, so that the write-ahead log stays and the file can be read without being written.
    let read_only = options(format!("sqlite://file:{}?mode=ro", path.display()));
    let second = Store::open(&read_only).unwrap();
    assert_eq!(second.count_events().unwrap(), 0);
    let error = second
        .append(&[entry("evt_1", "charge.failed")], at(0))
        .unwrap_err();
    insta::assert_snapshot!(shown(&error, dir.path()), @"ReadOnly: the SQLite database file:DIR/b.db?mode=ro is read-only: give the user that runs this program write permission to the file and its folder (SQLite), or connect to the primary (PostgreSQL)");
}

#[test]
#[cfg(unix)]
fn a_file_without_write_permission_is_said_to_be_read_only() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.db");
    Store::open(&sqlite(&path)).unwrap().migrate().unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    if fs::OpenOptions::new().append(true).open(&path).is_ok() {
        // The superuser may write anything: there is nothing to see here.
        return;
    }
    let error = match Store::open(&sqlite(&path)) {
        Ok(store) => store
            .append(&[entry("evt_1", "charge.failed")], at(0))
            .unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
}

#[test]
fn a_full_disk_is_said_to_be_full_and_keeps_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.db");
    let store = Store::open(&sqlite(&path)).unwrap();
    store.migrate().unwrap();
    store
        .append(&[entry("evt_1", "charge.failed")], at(0))
        .unwrap();
    // A quota of SQLite's own stands in for the disk's; it holds for the connection that sets it,
    // so the test goes by a connection of the store's making.
    store.limit_pages(60).unwrap();
    let mut large = entry("evt_2", "charge.failed");
    // Noise, which stays as large as it is.
    large.body = (0..120_000_u32)
        .flat_map(|n| token_hash(&n.to_string()).into_bytes())
        .collect();
    let error = store.append(&[large], at(1)).unwrap_err();
    insta::assert_snapshot!(shown(&error, dir.path()), @"Full: the SQLite database DIR/b.db is full: database or disk is full; free some disk space");
    assert_eq!(store.head().unwrap().last_seq, 1);
    store
        .append(&[entry("evt_3", "charge.failed")], at(2))
        .unwrap();
}

#[test]
fn an_unmigrated_database_says_so() {
    let store = Store::open(&options("sqlite::memory:")).unwrap();
    store.ping().unwrap();
    let error = store.head().unwrap_err();
    insta::assert_snapshot!(shown(&error, Path::new("/nowhere")), @"NotMigrated: the SQLite database :memory: has not been set up: run `billingwatch migrate`, or start the server");
}

#[test]
fn an_unreachable_server_is_said_to_be_so_without_the_password() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    let url = format!("postgres://bw:s3cret@127.0.0.1:{port}/billing");
    let error = Store::open(&options(url)).unwrap_err();
    let text = shown(&error, Path::new("/nowhere")).replace(&port.to_string(), "PORT");
    insta::assert_snapshot!(text, @r#"Unreachable: cannot reach the PostgreSQL database postgres://bw:***@127.0.0.1:PORT/billing: connection to server at "127.0.0.1", port PORT failed: Connection refused Is the server running on that host and accepting TCP/IP connections?; check DATABASE_URL, that it is up, and that it may be used from here"#);
}

#[test]
#[cfg(not(feature = "postgres-tls"))]
fn tls_that_was_not_built_in_names_the_feature() {
    let url = "postgres://bw:s3cret@127.0.0.1:1/billing?sslmode=require";
    let error = Store::open(&options(url)).unwrap_err();
    insta::assert_snapshot!(shown(&error, Path::new("/nowhere")), @"TlsUnavailable: cannot connect to the PostgreSQL database postgres://bw:***@127.0.0.1:1/billing?sslmode=require: its sslmode asks for TLS and this program was built without; build with `--features postgres-tls`, or use sslmode=disable on a network you trust");
}

#[test]
fn a_wrong_password_or_database_is_said_in_the_servers_words() {
    let Some(store) = billingwatch_store::testing::postgresql() else {
        return;
    };
    let url = store
        .options()
        .url
        .replace("billingwatch_test_", "no_such_");
    let error = Store::open(&options(url)).unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("does not exist"), "{error}");
}
