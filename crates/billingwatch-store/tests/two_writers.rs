//! Two appenders and a reader at once: nothing is skipped, nothing is half there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use billingwatch_core::alert::AlertStatus;
use billingwatch_store::testing::{self, TestStore};
use billingwatch_store::{Cursor, NewDelivery, NewEntry, Step, Store, StoreError};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

use support::{alert, at, change, entry};

const BATCHES: i64 = 60;
const BATCH: i64 = 7;

/// Appends its batches; its clock jumps back and forth.
fn write(store: &Store, name: &str) {
    for batch in 0..BATCHES {
        let entries: Vec<NewEntry> = (0..BATCH)
            .map(|n| entry(&format!("evt_{name}_{batch}_{n}"), "charge.failed"))
            .collect();
        let now = at(batch + if batch % 3 == 0 { -50 } else { 0 });
        let appended = store.append(&entries, now).unwrap();
        assert!(appended.iter().all(|one| !one.is_duplicate));
        // Within a batch the numbers are consecutive: nobody came in between.
        assert!(appended.windows(2).all(|two| two[1].seq == two[0].seq + 1));
    }
}

/// Follows the journal as a consumer does, until both writers are done and nothing is left.
fn follow(store: &Store, is_done: &AtomicBool) -> i64 {
    let (mut last, mut received_at) = (0, at(-1000));
    loop {
        let was_done = is_done.load(Ordering::SeqCst);
        let head = store.touch_head(at(-1000)).unwrap();
        let entries = store.read_after(last, 50).unwrap();
        for entry in &entries {
            assert_eq!(entry.seq, last + 1, "no gap, and nothing was skipped");
            assert!(entry.received_at >= received_at, "time never goes back");
            last = entry.seq;
            received_at = entry.received_at;
        }
        // The pump's promise: with everything up to the head applied it may act as of the head's
        // time, for what comes later is not received before it.
        if last == head.last_seq {
            received_at = received_at.max(head.at);
        }
        if entries.is_empty() && was_done {
            return last;
        }
    }
}

#[test]
fn a_reader_that_follows_two_writers_misses_nothing() {
    testing::each_backend(|store| {
        let (one, two, reader) = (store.another(), store.another(), store.another());
        let is_done = AtomicBool::new(false);
        let read = std::thread::scope(|scope| {
            let following = scope.spawn(|| follow(&reader, &is_done));
            let writers = [
                scope.spawn(|| write(&one, "one")),
                scope.spawn(|| write(&two, "two")),
            ];
            for writer in writers {
                writer.join().unwrap();
            }
            is_done.store(true, Ordering::SeqCst);
            following.join().unwrap()
        });
        assert_eq!(read, 2 * BATCHES * BATCH);
        assert_eq!(store.count_events().unwrap(), read);
    });
}

#[test]
fn the_same_events_from_two_writers_are_kept_once() {
    testing::each_backend(|store| {
        let stores = [store.another(), store.another()];
        let entries: Vec<NewEntry> = (0..50)
            .map(|n| entry(&format!("evt_{n}"), "charge.failed"))
            .collect();
        let new: usize = std::thread::scope(|scope| {
            let writers: Vec<_> = stores
                .iter()
                .map(|store| {
                    scope.spawn(|| {
                        let mut new = 0;
                        for batch in entries.chunks(5) {
                            let appended = store.append(batch, at(0)).unwrap();
                            new += appended.iter().filter(|one| !one.is_duplicate).count();
                        }
                        new
                    })
                })
                .collect();
            writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .sum()
        });
        assert_eq!(new, 50);
        assert_eq!(store.head().unwrap().last_seq, 50);
    });
}

/// A transaction of another process that took numbers and has not committed.
enum Slow {
    Sqlite(SqliteConnection),
    Postgresql(PgConnection),
}

impl Slow {
    fn begin(store: &TestStore) -> Self {
        let url = &store.options().url;
        let begin = "UPDATE journal_head SET last_seq = last_seq + 1; \
                     INSERT INTO journal (seq, kind, source, event_type, received_at_ms, livemode, \
                     is_historical, body) VALUES (1, 'settings', 'operator', 'settings', 0, \
                     FALSE, FALSE, 'x');";
        if let Some(path) = url.strip_prefix("sqlite://") {
            let mut conn = SqliteConnection::establish(path).unwrap();
            conn.batch_execute(&format!("BEGIN IMMEDIATE; {begin}"))
                .unwrap();
            Self::Sqlite(conn)
        } else {
            let mut conn = PgConnection::establish(url).unwrap();
            conn.batch_execute(&format!("BEGIN; {begin}")).unwrap();
            Self::Postgresql(conn)
        }
    }

    /// Returns once somebody waits for this transaction; SQLite cannot tell.
    fn wait_for_another(&mut self) {
        #[derive(QueryableByName)]
        struct Waiting {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        if let Self::Postgresql(conn) = self {
            let query = "SELECT count(*) AS count FROM pg_locks l JOIN pg_stat_activity a \
                         USING (pid) WHERE NOT l.granted AND a.datname = current_database()";
            while sql_query(query).get_result::<Waiting>(conn).unwrap().count == 0 {
                std::thread::yield_now();
            }
        }
    }

    fn commit(mut self) {
        match &mut self {
            Self::Sqlite(conn) => conn.batch_execute("COMMIT").unwrap(),
            Self::Postgresql(conn) => conn.batch_execute("COMMIT").unwrap(),
        }
    }
}

#[test]
fn an_append_waits_for_a_slow_one_that_has_the_lower_numbers() {
    testing::each_backend(|store| {
        let mut slow = Slow::begin(store);
        let other = store.another();
        std::thread::scope(|scope| {
            let append = scope.spawn(|| {
                other
                    .append(&[entry("evt_1", "charge.failed")], at(0))
                    .unwrap()
            });
            slow.wait_for_another();
            assert!(!append.is_finished());
            assert_eq!(store.read_after(0, 10).unwrap(), [], "neither can be seen");
            slow.commit();
            assert_eq!(append.join().unwrap()[0].seq, 2);
        });
        let seqs: Vec<i64> = store
            .read_after(0, 10)
            .unwrap()
            .iter()
            .map(|entry| entry.seq)
            .collect();
        assert_eq!(seqs, [1, 2]);
    });
}

#[test]
fn a_process_that_dies_before_its_commit_leaves_nothing() {
    testing::each_backend(|store| {
        drop(Slow::begin(store));
        let appended = store
            .append(&[entry("evt_1", "charge.failed")], at(0))
            .unwrap();
        assert_eq!(appended[0].seq, 1, "the number was given back");
    });
}

#[test]
fn a_step_that_fails_leaves_nothing() {
    testing::each_backend(|store| {
        let fired = alert("al_1", "duplicate_charge", AlertStatus::Firing, 1);
        // The same change twice violates the history's key, after all else was written.
        let changes = [change(&fired, 1), change(&fired, 2)];
        let step = Step {
            changes: &changes,
            snapshot: Some(b"state"),
            deliveries: &[NewDelivery {
                channel: "email".to_owned(),
                alert_id: "al_1".to_owned(),
                revision: 1,
                body: "{}".to_owned(),
            }],
            ..Step::new("pump", Cursor::START, Cursor { seq: 1, at: at(2) })
        };
        store.commit_step(&step).unwrap_err();
        assert_eq!(store.cursor("pump").unwrap(), None);
        assert_eq!(store.snapshot("pump").unwrap(), None);
        assert_eq!(store.get_alert("al_1").unwrap(), None);
        assert_eq!(store.alert_deliveries("al_1").unwrap(), []);
    });
}

#[test]
fn of_two_pumps_one_wins_each_step() {
    testing::each_backend(|store| {
        let stores = [store.another(), store.another()];
        let committed: usize = std::thread::scope(|scope| {
            let pumps: Vec<_> = stores
                .iter()
                .map(|store| {
                    scope.spawn(|| {
                        let mut committed = 0;
                        for seq in 0..40 {
                            let cursor = |seq| Cursor { seq, at: at(seq) };
                            let expected = if seq == 0 { Cursor::START } else { cursor(seq) };
                            let step = Step::new("pump", expected, cursor(seq + 1));
                            match store.commit_step(&step) {
                                Ok(()) => committed += 1,
                                Err(StoreError::CursorMoved { .. }) => {}
                                Err(error) => panic!("{error}"),
                            }
                        }
                        committed
                    })
                })
                .collect();
            pumps.into_iter().map(|pump| pump.join().unwrap()).sum()
        });
        assert_eq!(committed, 40);
    });
}
