//! What waits comes out as it went in, once, in order, and no more of it than may wait.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::journal::EntryKind;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn options(&self, database: &str) -> SpoolOptions {
        SpoolOptions {
            path: self.0.path().join("spool.db"),
            size_bytes_max: 1_000_000,
            database: database.to_owned(),
        }
    }

    fn open(&self) -> Spool {
        Spool::open(&self.options("billing")).unwrap()
    }
}

fn event(n: i64) -> NewEntry {
    NewEntry {
        kind: EntryKind::Event,
        source: "default".to_owned(),
        event_id: Some(format!("evt_{n}")),
        event_type: "charge.failed".to_owned(),
        object_id: Some("ch_1".to_owned()),
        customer_id: None,
        created_at: Some(1_700_000_000),
        account: Some("acct_1".to_owned()),
        livemode: true,
        api_version: Some("2025-08-27.basil".to_owned()),
        is_historical: false,
        received_at: None,
        body: format!(r#"{{"id":"evt_{n}","padding":"{}"}}"#, "x".repeat(300)).into_bytes(),
    }
}

fn put(spool: &Spool, numbers: std::ops::Range<i64>, now: Timestamp) -> Vec<bool> {
    let entries: Vec<NewEntry> = numbers.map(event).collect();
    let entries: Vec<&NewEntry> = entries.iter().collect();
    spool.put(&entries, now).unwrap()
}

fn ids(waiting: &[Spooled]) -> Vec<String> {
    let id = |one: &Spooled| one.entry.event_id.clone().unwrap();
    waiting.iter().map(id).collect()
}

#[test]
fn what_waits_survives_the_process_and_comes_out_as_it_went_in() {
    let folder = Folder::new();
    let spool = folder.open();
    assert_eq!(put(&spool, 1..4, START), [false; 3]);
    let later = START + billingwatch_core::time::Span::secs(7);
    // The same id again is the same event, whenever it comes.
    assert_eq!(put(&spool, 3..5, later), [true, false]);
    let usage = spool.usage();
    drop(spool);
    let spool = folder.open();
    assert_eq!(spool.usage(), usage, "counted as it went, and counted anew");
    assert_eq!((usage.entries, usage.oldest_at), (4, Some(START)));
    let waiting = spool.first(100).unwrap();
    assert_eq!(ids(&waiting), ["evt_1", "evt_2", "evt_3", "evt_4"]);
    let expected = NewEntry {
        received_at: Some(later),
        ..event(4)
    };
    assert_eq!(waiting[3].entry, expected);
    spool.remove(waiting[2].id).unwrap();
    assert_eq!(spool.usage().entries, 1);
    assert_eq!(spool.usage().oldest_at, Some(later));
    spool.remove(waiting[3].id).unwrap();
    let empty = SpoolUsage {
        size_bytes_max: 1_000_000,
        ..SpoolUsage::default()
    };
    assert_eq!(spool.usage(), empty);
    assert_eq!(spool.first(100).unwrap(), []);
}

#[test]
fn it_is_taken_out_in_portions() {
    let folder = Folder::new();
    let spool = folder.open();
    put(&spool, 1..10, START);
    assert_eq!(spool.first(4).unwrap().len(), 4);
    assert_eq!(spool.first(0).unwrap().len(), 0);
}

#[test]
fn beyond_its_bound_nothing_goes_in_and_room_comes_back() {
    let folder = Folder::new();
    let options = SpoolOptions {
        size_bytes_max: 5_000,
        ..folder.options("billing")
    };
    let spool = Spool::open(&options).unwrap();
    let mut kept = 0;
    let refused = loop {
        match spool.put(&[&event(kept)], START) {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Full { .. }), "{refused}");
    assert!(kept > 3, "{kept}");
    assert!(spool.usage().size_bytes <= 5_000);
    // All or none of a batch.
    let waiting = spool.first(2).unwrap();
    spool.remove(waiting[0].id).unwrap();
    let entries: Vec<NewEntry> = (100..110).map(event).collect();
    assert!(
        spool
            .put(&entries.iter().collect::<Vec<_>>(), START)
            .is_err()
    );
    assert_eq!(spool.usage().entries, u64::try_from(kept - 1).unwrap());
    spool.put(&[&event(100)], START).unwrap();
}

#[test]
fn what_the_journal_cannot_know_again_does_not_go_in() {
    let folder = Folder::new();
    let spool = folder.open();
    let word = NewEntry {
        kind: EntryKind::Resolve,
        event_id: None,
        ..event(1)
    };
    let error = spool.put(&[&event(1), &word], START).unwrap_err();
    assert!(matches!(error, StoreError::BadEntry { .. }), "{error}");
    assert_eq!(spool.usage().entries, 0);
}

#[test]
fn what_is_set_aside_holds_nothing_up_and_is_tried_again_after_a_start() {
    let folder = Folder::new();
    let spool = folder.open();
    put(&spool, 1..4, START);
    let first = spool.first(1).unwrap();
    spool
        .set_aside(first[0].id, "the journal refuses it")
        .unwrap();
    assert_eq!((spool.usage().entries, spool.usage().set_aside), (2, 1));
    let waiting = spool.first(9).unwrap();
    assert_eq!(ids(&waiting), ["evt_2", "evt_3"]);
    spool.remove(waiting[1].id).unwrap();
    assert_eq!((spool.usage().entries, spool.usage().set_aside), (0, 1));
    drop(spool);
    assert_eq!(ids(&folder.open().first(9).unwrap()), ["evt_1"]);
}

#[test]
fn two_servers_in_one_folder_have_a_file_each_and_nothing_is_left_behind() {
    let folder = Folder::new();
    let one = folder.open();
    let two = folder.open();
    assert_ne!(one.path(), two.path());
    assert!(two.path().ends_with("spool-2.db"));
    put(&one, 1..3, START);
    put(&two, 3..5, START);
    drop(two);
    // While the first lives, its file is its own.
    let again = folder.open();
    assert_eq!(ids(&again.first(9).unwrap()), ["evt_3", "evt_4"]);
    drop((one, again));
    let alone = folder.open();
    let waiting = alone.first(9).unwrap();
    assert_eq!(ids(&waiting), ["evt_1", "evt_2", "evt_3", "evt_4"]);
    drop(alone);
    assert_eq!(folder.open().usage().entries, 4);
}

#[test]
fn events_of_another_database_are_left_alone() {
    let folder = Folder::new();
    put(&folder.open(), 1..3, START);
    let other = Spool::open(&folder.options("staging")).unwrap();
    assert!(other.path().ends_with("spool-2.db"));
    assert_eq!(other.usage().entries, 0);
    drop(other);
    assert_eq!(folder.open().usage().entries, 2);
}

#[test]
fn it_remembers_that_its_database_was_there() {
    let folder = Folder::new();
    let spool = folder.open();
    assert!(!spool.was_reached().unwrap());
    spool.note_reached().unwrap();
    drop(spool);
    assert!(folder.open().was_reached().unwrap());
    let other = Spool::open(&folder.options("staging")).unwrap();
    assert!(!other.was_reached().unwrap(), "another database");
}

#[test]
fn a_file_that_is_no_spool_is_refused_by_name() {
    let folder = Folder::new();
    let options = folder.options("billing");
    std::fs::write(&options.path, "Dear diary, ".repeat(1_000)).unwrap();
    let error = Spool::open(&options).unwrap_err();
    assert!(matches!(error, StoreError::NotADatabase { .. }), "{error}");
    assert!(error.to_string().contains("spool.db"), "{error}");
}
