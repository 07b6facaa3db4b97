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
        packed: None,
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

/// Bytes that do not compress, so that rows fill pages.
fn noise(n: i64, len: usize) -> String {
    let mut state = u64::try_from(n).unwrap() + 1;
    let mut text = String::with_capacity(len);
    while text.len() < len {
        // Knuth's MMIX constants.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        text.push(char::from(b'a' + u8::try_from((state >> 40) % 26).unwrap()));
    }
    text
}

fn noisy(n: i64, len: usize) -> NewEntry {
    NewEntry {
        body: format!(r#"{{"id":"evt_{n}","noise":"{}"}}"#, noise(n, len)).into_bytes(),
        ..event(n)
    }
}

fn put_noisy(spool: &Spool, numbers: std::ops::Range<i64>, len: usize) {
    for n in numbers {
        spool.put(&[&noisy(n, len)], START).unwrap();
    }
}

/// Numbers of the events that come out, all of them, in order.
fn drained(spool: &Spool) -> Vec<i64> {
    let mut numbers = Vec::new();
    loop {
        let waiting = spool.first(64).unwrap();
        let Some(last) = waiting.last() else {
            return numbers;
        };
        for id in ids(&waiting) {
            numbers.push(id.strip_prefix("evt_").unwrap().parse().unwrap());
        }
        spool.remove(last.id).unwrap();
    }
}

#[test]
fn its_log_stays_short_however_much_goes_through() {
    let folder = Folder::new();
    let options = SpoolOptions {
        size_bytes_max: 100_000_000,
        ..folder.options("billing")
    };
    let spool = Spool::open(&options).unwrap();
    for round in 0..20 {
        put_noisy(&spool, round * 10..round * 10 + 10, 100_000);
        let last = spool.first(100).unwrap().last().unwrap().id;
        spool.remove(last).unwrap();
    }
    let log = std::fs::metadata(folder.0.path().join("spool.db-wal")).unwrap();
    // Four megabytes, and the transaction with which they are reached.
    assert!(log.len() < 6_000_000, "{}", log.len());
}

#[test]
fn what_can_be_read_of_a_damaged_file_is_carried_over_and_the_file_is_kept() {
    let folder = Folder::new();
    let path = folder.options("billing").path;
    let spool = folder.open();
    put_noisy(&spool, 1..301, 500);
    spool.note_reached().unwrap();
    // No text: the row cannot be read as a whole, and what it lacks is in its body.
    let damage = "UPDATE spool SET api_version = CAST(x'ff' AS TEXT) WHERE id = 300";
    spool
        .write(|conn| Ok(sql_query(damage).execute(conn)?))
        .unwrap();
    drop(spool);
    let mut bytes = std::fs::read(&path).unwrap();
    let pages = bytes.len() / 4096;
    assert!(pages > 40, "{pages}");
    for page in [pages / 3, pages / 2] {
        bytes[page * 4096..(page + 1) * 4096].fill(0xa5);
    }
    std::fs::write(&path, &bytes).unwrap();
    let spool = folder.open();
    let kept = drained(&spool);
    assert!(kept.is_sorted());
    // Two pages of some seven rows each, or pages of the index, which hold none.
    assert!(kept.len() >= 300 - 2 * 8, "{}", kept.len());
    assert!(kept.contains(&1) && kept.contains(&300));
    assert!(spool.was_reached().unwrap());
    put(&spool, 1..2, START);
    drop(spool);
    let aside = folder.0.path().join("spool.db-damaged-1");
    assert_eq!(std::fs::read(aside).unwrap(), bytes);
    assert_eq!(drained(&folder.open()), [1], "it is whole now");
}

#[test]
fn a_healing_that_was_cut_short_is_finished_or_begun_anew() {
    let folder = Folder::new();
    let path = folder.options("billing").path;
    let healing = folder.0.path().join("spool.db-healing");
    put_noisy(&folder.open(), 1..101, 500);
    // The damaged file was put aside, and then the process died.
    std::fs::rename(&path, &healing).unwrap();
    assert_eq!(folder.open().usage().entries, 100);
    assert!(!healing.exists());
    // It died while the new file was being written: the damaged one is still in its place.
    std::fs::write(&healing, "half a file").unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let page = bytes.len() / 4096 / 2 * 4096;
    bytes[page..page + 4096].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    let spool = folder.open();
    assert!(!healing.exists());
    put(&spool, 200..201, START);
    let kept = drained(&spool);
    assert!(kept.len() > 80 && kept.ends_with(&[100, 200]), "{kept:?}");
}

#[test]
fn tables_that_lost_a_name_are_refused_and_left() {
    let folder = Folder::new();
    let path = folder.options("billing").path;
    put(&folder.open(), 1..6, START);
    let mut bytes = std::fs::read(&path).unwrap();
    let name = b"object_id TEXT";
    let at = bytes
        .windows(name.len())
        .position(|window| window == name)
        .unwrap();
    bytes[at + 3] = b'x';
    std::fs::write(&path, &bytes).unwrap();
    let error = Spool::open(&folder.options("billing")).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("move it away"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);

    // Nor is the number of its format to be believed, once a page is broken as well.
    bytes[60] = 136;
    let last_page = bytes.len() - 4096;
    bytes[last_page..].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    let error = Spool::open(&folder.options("billing")).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn damage_to_the_database_of_another_is_left_to_it() {
    let folder = Folder::new();
    let path = folder.options("billing").path;
    put_noisy(&folder.open(), 1..101, 500);
    let mut bytes = std::fs::read(&path).unwrap();
    let page = bytes.len() / 4096 / 2 * 4096;
    bytes[page..page + 4096].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    let error = Spool::open(&folder.options("staging")).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_row_that_makes_no_sense_holds_nothing_up_and_stays() {
    let folder = Folder::new();
    let path = folder.options("billing").path;
    put(&folder.open(), 1..6, START);
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    conn.batch_execute(
        "UPDATE spool SET codec = 7 WHERE id = 1; UPDATE spool SET codec = 70000 WHERE id = 3;
         UPDATE spool SET codec = 1, body = x'00' WHERE id = 4;",
    )
    .unwrap();
    drop(conn);
    let spool = folder.open();
    assert_eq!(drained(&spool), [2, 5]);
    assert_eq!(spool.usage().set_aside, 3);
    drop(spool);
    assert_eq!(folder.open().usage().entries, 3, "tried again");
}

#[test]
fn a_file_whose_tables_lost_their_words_is_refused_as_damaged() {
    let folder = Folder::new();
    let path = folder.options("billing").path;
    put(&folder.open(), 1..4, START);
    let healthy = std::fs::read(&path).unwrap();
    let begins = b"CREATE TABLE spool";
    let at = healthy
        .windows(begins.len())
        .position(|bytes| bytes == begins)
        .unwrap();
    let blanks = (at..4096).filter(|place| healthy[*place].is_ascii_whitespace());
    let mut refused = 0;
    // A blank that became half a letter: SQLite takes it for a part of the name beside it.
    for place in blanks {
        let mut bytes = healthy.clone();
        bytes[place] = 0xa0;
        std::fs::write(&path, &bytes).unwrap();
        match Spool::open(&folder.options("billing")) {
            Ok(spool) => assert_eq!(drained(&spool), [1, 2, 3], "byte {place}"),
            Err(error) => {
                assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
                assert_eq!(std::fs::read(&path).unwrap(), bytes);
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_row_of_which_only_the_event_can_be_read_goes_out_with_what_the_event_says() {
    let folder = Folder::new();
    let spool = folder.open();
    put(&spool, 1..4, START);
    let damage = "UPDATE spool SET object_id = CAST(x'ff' AS TEXT) WHERE id = 2";
    spool
        .write(|conn| Ok(sql_query(damage).execute(conn)?))
        .unwrap();
    let waiting = spool.first(10).unwrap();
    assert_eq!(ids(&waiting), ["evt_1", "evt_2", "evt_3"]);
    assert_eq!(waiting[1].entry.body, event(2).body);
    assert_eq!(waiting[1].entry.object_id, None, "the body names none");
    assert_eq!(spool.usage().set_aside, 0);
}

/// Where in the file the page begins that holds this event's row.
fn leaf_of(bytes: &[u8], event_id: &str) -> usize {
    let needle = format!("default{event_id}charge.failed");
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle.as_bytes())
        .unwrap();
    let page = at / 4096 * 4096;
    assert_eq!(bytes[page], 0x0d, "a leaf of the table");
    page
}

#[test]
fn a_page_whose_list_of_rows_is_broken_loses_that_row_alone() {
    let folder = Folder::new();
    let path = folder.options("billing").path;
    put_noisy(&folder.open(), 1..61, 200);
    let mut bytes = std::fs::read(&path).unwrap();
    let page = leaf_of(&bytes, "evt_60");
    // Its first row is said to begin with the page's last byte: its number lies beyond the page.
    bytes[page + 8..page + 10].copy_from_slice(&[0x0f, 0xff]);
    std::fs::write(&path, &bytes).unwrap();
    let kept = drained(&folder.open());
    assert_eq!(kept.len(), 59, "{kept:?}");
    assert!(kept.is_sorted() && kept.ends_with(&[60]), "{kept:?}");
}

#[test]
fn a_row_with_anothers_number_takes_nobodys_place() {
    let folder = Folder::new();
    let path = folder.options("billing").path;
    put_noisy(&folder.open(), 1..61, 200);
    let mut bytes = std::fs::read(&path).unwrap();
    let page = leaf_of(&bytes, "evt_60");
    let first = usize::from(bytes[page + 8]) << 8 | usize::from(bytes[page + 9]);
    // Two bytes say how long the row is, and the next which one it is.
    let number = i64::from(bytes[page + first + 2]);
    assert!((2..60).contains(&number), "{number}");
    bytes[page + first + 2] = 58;
    std::fs::write(&path, &bytes).unwrap();
    let mut kept = drained(&folder.open());
    kept.sort_unstable();
    assert_eq!(kept, (1..61).collect::<Vec<i64>>());
}
