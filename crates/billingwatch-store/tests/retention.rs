//! What is old goes, a little at a time; what a restart, a rebuild or a kept alert needs stays.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use billingwatch_core::alert::AlertStatus;
use billingwatch_core::time::Span;
use billingwatch_store::testing::{self, TestStore};
use billingwatch_store::{Cursor, EntryKind, Keep, NewDelivery, NewEntry, Step, Store};

use support::{alert, at, change, entry};

const DAY: i64 = 86_400;

/// A day's event, with a body of a kilobyte that nothing makes smaller.
fn daily(n: i64, source: &str) -> NewEntry {
    let mut event = entry(&format!("evt_{source}_{n}"), "charge.failed");
    event.source = source.to_owned();
    event.object_id = Some(format!("ch_{source}_{n}"));
    event.body = (0..16)
        .flat_map(|k| billingwatch_store::token_hash(&format!("{source} {n} {k}")).into_bytes())
        .collect();
    event
}

/// 300 days of one event a day of each of two sources, with a change of settings on the first.
fn fill(store: &Store) {
    let settings = NewEntry {
        kind: EntryKind::Settings,
        event_id: None,
        event_type: "settings".to_owned(),
        body: br#"{"detector":"webhook_lag","source":null,"is_enabled":true,"values":{}}"#.to_vec(),
        ..entry("", "")
    };
    store.append(&[settings], at(0)).unwrap();
    for n in 0..300 {
        let both = [daily(n, "default"), daily(n, "eu")];
        store.append(&both, at(n * DAY)).unwrap();
    }
}

/// A consumer that has read everything, with a snapshot there.
fn read_all(store: &Store, seq: i64) {
    let cursor = Cursor {
        seq,
        at: store.head().unwrap().at,
    };
    let expected = store.cursor("engine").unwrap().unwrap_or(Cursor::START);
    let mut step = Step::new("engine", expected, cursor);
    step.snapshot = Some(b"state");
    store.commit_step(&step).unwrap();
}

fn run(store: &Store, source: &str, keep: Keep, day: i64) -> usize {
    let mut gone = 0;
    for _ in 0..100 {
        let deleted = store
            .delete_old_events(source, keep, at(day * DAY))
            .unwrap();
        gone += deleted.events;
        assert!(deleted.events <= 128, "a step is short");
        if deleted.is_done {
            return gone;
        }
    }
    panic!("a round without end");
}

fn days(days: i64) -> Keep {
    Keep {
        age: Some(Span::days(days)),
        size_bytes: None,
    }
}

fn kept(store: &Store, source: &str) -> Vec<String> {
    let rows = store.read_after(0, 10_000).unwrap();
    rows.into_iter()
        .filter(|row| row.source == source)
        .filter_map(|row| row.event_id)
        .collect()
}

fn usage(store: &Store, source: &str) -> (i64, i64) {
    let rows = store.usage().unwrap();
    let row = rows.iter().find(|row| row.source == source).unwrap();
    (row.events, row.size_bytes)
}

#[test]
fn events_go_by_age_each_source_by_its_own() {
    testing::each_backend(|store: &TestStore| {
        fill(store);
        read_all(store, 601);
        assert_eq!(run(store, "default", days(100), 300), 200);
        assert_eq!(run(store, "default", days(100), 300), 0);
        assert_eq!(kept(store, "default").len(), 100);
        assert_eq!(kept(store, "default")[0], "evt_default_200");
        assert_eq!(kept(store, "eu").len(), 300);
        assert_eq!(usage(store, "default").0, 100);
        assert_eq!(run(store, "eu", days(290), 300), 10);
        assert_eq!(run(store, "eu", Keep::default(), 300), 0);
        assert_eq!(
            store.counts_by_type(None).unwrap(),
            [("charge.failed".to_owned(), 390)]
        );
        // Settings are what a rebuilt engine begins with.
        assert_eq!(store.read_after(0, 1).unwrap()[0].kind, EntryKind::Settings);
    });
}

#[test]
fn events_go_by_size_and_the_count_is_right() {
    testing::each_backend(|store: &TestStore| {
        fill(store);
        read_all(store, 601);
        let (events, size_bytes) = usage(store, "eu");
        assert_eq!(events, 300);
        let most = size_bytes / 3;
        let keep = Keep {
            age: None,
            size_bytes: Some(most),
        };
        let gone = run(store, "eu", keep, 300);
        let (left, left_bytes) = usage(store, "eu");
        assert!(
            left_bytes <= most && left_bytes + 2_000 > most,
            "{left_bytes} of {most}"
        );
        assert_eq!(left, 300 - i64::try_from(gone).unwrap());
        let kept = kept(store, "eu");
        assert_eq!(i64::try_from(kept.len()).unwrap(), left);
        assert_eq!(kept[0], format!("evt_eu_{gone}"), "the oldest went");
        assert_eq!(usage(store, "default").0, 300);
    });
}

#[test]
fn nothing_goes_that_a_restart_would_read_again() {
    testing::each_backend(|store: &TestStore| {
        fill(store);
        assert_eq!(run(store, "default", days(7), 300), 0, "no snapshot yet");
        read_all(store, 101);
        assert_eq!(run(store, "default", days(7), 300), 50);
        // Two snapshots are kept, and the older one counts.
        read_all(store, 201);
        assert_eq!(run(store, "default", days(7), 300), 0);
        read_all(store, 301);
        assert_eq!(run(store, "default", days(7), 300), 50);
        assert_eq!(store.read_after(201, 1).unwrap()[0].seq, 202);
    });
}

#[test]
fn what_a_kept_alert_names_stays_as_long_as_it_does() {
    testing::each_backend(|store: &TestStore| {
        fill(store);
        let mut ended = alert("al_1", "duplicate_charge", AlertStatus::Resolved, 1);
        ended.subjects = vec!["ch_default_5".to_owned()];
        ended.evidence.event_ids = vec!["evt_default_7".to_owned()];
        let cursor = Cursor {
            seq: 601,
            at: at(300 * DAY),
        };
        let changes = [change(&ended, 50)];
        let deliveries = [NewDelivery {
            channel: "webhook".to_owned(),
            alert_id: "al_1".to_owned(),
            revision: 1,
            body: "{}".to_owned(),
        }];
        let mut step = Step::new("engine", Cursor::START, cursor);
        step.changes = &changes;
        step.deliveries = &deliveries;
        step.snapshot = Some(b"state");
        store.commit_step(&step).unwrap();
        assert_eq!(run(store, "default", days(100), 300), 198);
        assert_eq!(
            kept(store, "default")[..2],
            ["evt_default_5", "evt_default_7"]
        );

        assert_eq!(store.delete_old_alerts(at(0)).unwrap(), 0);
        assert!(store.get_alert("al_1").unwrap().is_some());
        assert_eq!(store.delete_old_alerts(at(300 * DAY)).unwrap(), 1);
        assert!(store.get_alert("al_1").unwrap().is_none());
        assert_eq!(store.alert_deliveries("al_1").unwrap().len(), 0);
        assert_eq!(run(store, "default", days(100), 300), 2);
        assert_eq!(kept(store, "default").len(), 100);
    });
}

#[test]
fn an_open_alert_is_never_too_old() {
    testing::each_backend(|store: &TestStore| {
        let open = alert("al_1", "duplicate_charge", AlertStatus::Firing, 1);
        let changes = [change(&open, 50)];
        let mut step = Step::new("engine", Cursor::START, Cursor { seq: 0, at: at(60) });
        step.changes = &changes;
        store.commit_step(&step).unwrap();
        assert_eq!(store.delete_old_alerts(at(9_000 * DAY)).unwrap(), 0);
        assert!(store.get_alert("al_1").unwrap().is_some());
    });
}

#[test]
fn space_is_given_back_a_little_at_a_time() {
    let store = testing::sqlite();
    for n in 0..40 {
        let mut batch: Vec<NewEntry> = (0..8).map(|k| daily(n * 8 + k, "default")).collect();
        for event in &mut batch {
            event
                .body
                .extend((0..512).flat_map(|k| {
                    billingwatch_store::token_hash(&format!("{n} {k}")).into_bytes()
                }));
        }
        store.append(&batch, at(n * DAY)).unwrap();
    }
    read_all(&store, 320);
    let path = store
        .options()
        .url
        .trim_start_matches("sqlite://")
        .to_owned();
    let pages = || {
        let header = std::fs::read(&path).unwrap();
        u32::from_be_bytes([header[28], header[29], header[30], header[31]])
    };
    checkpoint(&path);
    let before = pages();
    assert!(!store.return_space().unwrap(), "nothing is free yet");
    run(&store, "default", days(7), 300);
    let mut steps = 0;
    while store.return_space().unwrap() {
        steps += 1;
    }
    assert!(steps > 2, "a little at a time: {steps} steps");
    checkpoint(&path);
    assert!(pages() < before / 2, "{} of {before} pages", pages());
}

/// Brings the log into the file, from a connection of its own.
fn checkpoint(path: &str) {
    use diesel::connection::{Connection, SimpleConnection};
    let mut conn = diesel::SqliteConnection::establish(path).unwrap();
    conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
}
