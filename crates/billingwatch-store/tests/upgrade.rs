//! A database as the first release left it, with rows in it, brought up to date: everything it held
//! is read as it was, and it goes on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::collections::BTreeMap;

use billingwatch_store::{AlertFilter, Page, Store, testing};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};

use support::{at, entry};

const SQLITE: &str = include_str!("fixtures/first_release.sqlite.sql");
const POSTGRESQL: &str = include_str!("fixtures/first_release.postgresql.sql");

/// The bodies in the fixture's own text, by event id.
fn bodies() -> BTreeMap<String, Vec<u8>> {
    SQLITE
        .lines()
        .filter(|line| line.starts_with("INSERT INTO journal ("))
        .map(|line| {
            let hex_at = line.find("X'").unwrap() + 2;
            let hex_end = hex_at + line[hex_at..].find('\'').unwrap();
            let id_at = line.find("'evt_").unwrap() + 1;
            let id_end = id_at + line[id_at..].find('\'').unwrap();
            let body = (hex_at..hex_end)
                .step_by(2)
                .map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap())
                .collect();
            (line[id_at..id_end].to_owned(), body)
        })
        .collect()
}

/// Puts the fixture where an empty schema was.
fn restore(store: &testing::TestStore) -> Store {
    store.revert_all().unwrap();
    let url = &store.options().url;
    match url.strip_prefix("sqlite://") {
        Some(path) => {
            let mut conn = SqliteConnection::establish(path).unwrap();
            conn.batch_execute("DROP TABLE __diesel_schema_migrations")
                .unwrap();
            conn.batch_execute(SQLITE).unwrap();
        }
        None => {
            let mut conn = PgConnection::establish(url).unwrap();
            conn.batch_execute("DROP TABLE __diesel_schema_migrations")
                .unwrap();
            conn.batch_execute(POSTGRESQL).unwrap();
        }
    }
    store.another()
}

#[test]
fn the_first_release_is_brought_up_to_date_and_everything_is_readable() {
    let expected = bodies();
    assert_eq!(expected.len(), 26);
    testing::each_backend(|made| {
        let store = restore(made);
        assert!(store.head().unwrap().last_seq == 26);
        let run = store.migrate().unwrap();
        assert!(!run.is_empty());
        assert_eq!(store.migrate().unwrap(), Vec::<String>::new());

        let rows = store.read_after(0, 100).unwrap();
        let found: BTreeMap<String, Vec<u8>> = rows
            .iter()
            .map(|row| (row.event_id.clone().unwrap(), row.body.clone()))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(store.count_events().unwrap(), 26);
        let by_type = store.counts_by_type(None).unwrap();
        assert_eq!(by_type.iter().map(|(_, events)| events).sum::<i64>(), 26);
        for (id, body) in &expected {
            assert_eq!(store.get_event(id).unwrap().unwrap().body, *body);
        }
        let alerts = store
            .list_alerts(&AlertFilter::default(), &Page::first(50).unwrap())
            .unwrap();
        assert_eq!(alerts.items.len(), 2);
        for row in &alerts.items {
            assert!(!store.alert_history(&row.alert.id).unwrap().is_empty());
            assert_eq!(store.alert_deliveries(&row.alert.id).unwrap().len(), 1);
        }
        assert_eq!(store.cursor("engine").unwrap().unwrap().seq, 26);

        // It goes on where it was: what is there is known, what is new is the next.
        let later = at(400_000_000);
        let known = entry(expected.keys().next().unwrap(), "charge.failed");
        let appended = store.append(&[known, entry("evt_new", "charge.failed")], later);
        let appended = appended.unwrap();
        assert!(appended[0].is_duplicate);
        assert_eq!((appended[1].seq, appended[1].is_duplicate), (27, false));
    });
}
