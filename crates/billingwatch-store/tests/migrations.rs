//! Up, down and up again on both backends; a schema from the future is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use billingwatch_store::{StoreError, testing};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};

use support::{at, entry};

/// Runs SQL behind the store's back.
fn run_sql(url: &str, sql: &str) {
    match url.strip_prefix("sqlite://") {
        Some(path) => SqliteConnection::establish(path)
            .unwrap()
            .batch_execute(sql)
            .unwrap(),
        None => PgConnection::establish(url)
            .unwrap()
            .batch_execute(sql)
            .unwrap(),
    }
}

#[test]
fn migrations_go_up_down_and_up_again() {
    testing::each_backend(|store| {
        // They are up already; running them again runs none.
        assert_eq!(store.migrate().unwrap(), Vec::<String>::new());
        store
            .append(&[entry("evt_1", "charge.failed")], at(0))
            .unwrap();
        let down = store.revert_all().unwrap();
        let error = store.head().unwrap_err();
        assert!(matches!(error, StoreError::NotMigrated { .. }), "{error}");
        let mut up = store.migrate().unwrap();
        up.reverse();
        assert_eq!(down, up);
        assert_eq!(store.head().unwrap().last_seq, 0);
        store
            .append(&[entry("evt_1", "charge.failed")], at(0))
            .unwrap();
    });
}

#[test]
fn both_backends_have_the_same_migrations() {
    let folder = |name: &str| -> Vec<String> {
        let path = format!("{}/../../migrations/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut names: Vec<String> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                for file in ["up.sql", "down.sql"] {
                    assert!(entry.path().join(file).is_file(), "{:?}", entry.path());
                }
                entry.file_name().into_string().unwrap()
            })
            .collect();
        names.sort();
        names
    };
    assert_eq!(folder("sqlite"), folder("postgresql"));
}

#[test]
fn a_newer_schema_is_refused() {
    testing::each_backend(|store| {
        run_sql(
            &store.options().url,
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000001')",
        );
        let error = store.another().migrate().unwrap_err();
        assert!(matches!(error, StoreError::NewerSchema { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("knows migration 29991231000001"), "{text}");
        assert!(text.contains("run that release"), "{text}");
    });
}

#[test]
fn two_that_migrate_at_once_take_turns() {
    testing::each_backend(|store| {
        let all = store.revert_all().unwrap().len();
        let others = [store.another(), store.another()];
        let run: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = others
                .iter()
                .map(|other| scope.spawn(|| other.migrate().unwrap().len()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(run, all, "each migration ran once");
    });
}
