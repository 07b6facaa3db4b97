//! A spool whose file was damaged: it is refused, or healed without losing a row that SQLite itself
//! still reads in the damaged file.
//!
//! The input is damage, not a file: four bytes a time, of which three say where and one what stands
//! there then; a run of the same place and value writes on behind it. Where the first byte is odd, the
//! file is cut off at the end of the input's first place.
#![no_main]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use billingwatch_core::time::Timestamp;
use billingwatch_store::{EntryKind, NewEntry, Spool, SpoolOptions};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Text};
use libfuzzer_sys::fuzz_target;

const START: Timestamp = Timestamp::from_secs(1_790_000_000);

/// So many events wait in the file before it is damaged.
const EVENTS: i64 = 60;

/// A healthy file, made once.
static HEALTHY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = Spool::open(&options(folder.path())).expect("a new spool");
    let entries: Vec<NewEntry> = (1..=EVENTS).map(event).collect();
    spool
        .put(&entries.iter().collect::<Vec<_>>(), START)
        .expect("room");
    spool.note_reached().expect("a new spool");
    drop(spool);
    std::fs::read(folder.path().join("spool.db")).expect("the file")
});

#[derive(QueryableByName, PartialEq, Eq)]
struct Read {
    #[diesel(sql_type = Text)]
    source: String,
    #[diesel(sql_type = Text)]
    event_id: String,
    #[diesel(sql_type = Text)]
    event_type: String,
    #[diesel(sql_type = BigInt)]
    received_at_ms: i64,
    #[diesel(sql_type = Binary)]
    body: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    codec: i64,
}

fuzz_target!(|damage: &[u8]| {
    let mut bytes = HEALTHY.clone();
    hurt(&mut bytes, damage);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spool.db");
    std::fs::write(&path, &bytes).expect("a file");
    let readable = readable(folder.path(), &bytes);
    let spool = match Spool::open(&options(folder.path())) {
        // Taken for another database's: it is left as it is, and another file is used.
        Ok(spool) if spool.path() != path => {
            drop(spool);
            assert!(path.exists());
            return;
        }
        Ok(spool) => spool,
        // Refused: an operator decides, and the file is still there.
        Err(_) => {
            assert!(path.exists());
            return;
        }
    };
    let mut drained = BTreeSet::new();
    let mut before = 0;
    loop {
        let Ok(waiting) = spool.first(16) else { break };
        let Some(last) = waiting.last().map(|one| one.id) else {
            break;
        };
        for one in &waiting {
            assert!(one.id > before, "out of order");
            before = one.id;
            drained.insert(one.entry.event_id.clone().unwrap_or_default());
        }
        if spool.remove(last).is_err() {
            break;
        }
    }
    for event_id in &readable {
        assert!(
            drained.contains(event_id),
            "{event_id} can be read and was lost"
        );
    }
    // It takes events again.
    assert!(spool.put(&[&event(EVENTS + 1)], START).is_ok());
});

fn hurt(bytes: &mut Vec<u8>, damage: &[u8]) {
    let place = |wound: &[u8]| {
        usize::from(wound[0]) << 16 | usize::from(wound[1]) << 8 | usize::from(wound[2])
    };
    let len = bytes.len();
    let mut run = 0;
    let mut before: Option<&[u8]> = None;
    for wound in damage.get(1..).unwrap_or_default().chunks_exact(4) {
        run = if before == Some(wound) { run + 1 } else { 0 };
        before = Some(wound);
        bytes[(place(wound) + run) % len] = wound[3];
    }
    if let [1, wound @ ..] = damage
        && wound.len() >= 4
    {
        bytes.truncate(place(wound) % len);
    }
}

/// The events whose rows SQLite still reads, as they were written, one by one.
fn readable(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let copy = folder.join("copy.db");
    std::fs::write(&copy, bytes).expect("a file");
    let Ok(mut conn) = SqliteConnection::establish(&copy.display().to_string()) else {
        return Vec::new();
    };
    // Where a page's list of rows is broken SQLite may read beyond the page, and what it finds there
    // differs from one connection to the next. Such a page is not counted on.
    if conn.batch_execute("PRAGMA cell_size_check = ON").is_err() {
        return Vec::new();
    }
    let healthy = folder.join("healthy.db");
    std::fs::write(&healthy, &*HEALTHY).expect("a file");
    let mut whole = SqliteConnection::establish(&healthy.display().to_string()).expect("healthy");
    let row = |conn: &mut SqliteConnection, id: i64| -> QueryResult<Read> {
        diesel::sql_query(
            "SELECT source, event_id, event_type, received_at_ms, body, codec FROM spool WHERE id = ?",
        )
        .bind::<BigInt, _>(id)
        .get_result(conn)
    };
    (1..=EVENTS)
        .filter(|id| {
            let found = row(&mut conn, *id);
            let written = row(&mut whole, *id).expect("healthy");
            found.is_ok_and(|found| found == written)
        })
        .map(|n| format!("evt_{n}"))
        .collect()
}

fn options(folder: &Path) -> SpoolOptions {
    SpoolOptions {
        path: folder.join("spool.db"),
        size_bytes_max: 10_000_000,
        database: "billing".to_owned(),
    }
}

fn event(n: i64) -> NewEntry {
    // Nothing that compresses, so that rows fill pages.
    let noise: String = (0..n % 7 * 90 + 40)
        .map(|at| {
            char::from(b'a' + u8::try_from((at * at * 31 + n * 7919 + at * n) % 26).unwrap_or(0))
        })
        .collect();
    NewEntry {
        kind: EntryKind::Event,
        source: "default".to_owned(),
        event_id: Some(format!("evt_{n}")),
        event_type: "charge.failed".to_owned(),
        object_id: Some(format!("ch_{n}")),
        customer_id: None,
        created_at: Some(1_790_000_000),
        account: None,
        livemode: true,
        api_version: None,
        is_historical: false,
        received_at: None,
        body: format!(r#"{{"id":"evt_{n}","noise":"{noise}"}}"#).into_bytes(),
        packed: None,
    }
}
