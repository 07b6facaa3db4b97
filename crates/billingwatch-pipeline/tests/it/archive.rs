//! The journal as lines and back: nothing lost, nothing twice, and the same alerts on the way.

use std::sync::Arc;
use std::time::Duration;

use billingwatch_core::alert::AlertChange;
use billingwatch_core::time::Span;
use billingwatch_pipeline::archive::{ImportReport, ImportSink, Importer, export_batch};
use billingwatch_pipeline::replay::BadLine;
use billingwatch_pipeline::testing::{event_body, probe_registry};
use billingwatch_pipeline::{ManualClock, PipelineStore, Replay, ReplayOptions};
use billingwatch_store::{EntryKind, JournalEntry, Store};

use crate::support::{START, World, entry_of, memory_store};

#[derive(Default)]
struct Sink {
    bad: Vec<String>,
    pauses: usize,
}

impl ImportSink for Sink {
    fn bad_line(&mut self, bad: &BadLine) {
        self.bad.push(bad.to_string());
    }

    fn progress(&mut self, _: u64, _: &ImportReport) {}

    fn pause(&mut self, _: Duration) {
        self.pauses += 1;
    }
}

fn export(store: &Store) -> Vec<u8> {
    let until = store.head().unwrap().last_seq;
    let (mut after, mut lines) = (0, Vec::new());
    while let Some(batch) = export_batch(store, after, until, &mut lines).unwrap() {
        after = batch.last_seq;
    }
    lines
}

fn import(store: &Store, lines: &[u8]) -> (ImportReport, Sink) {
    let clock = Arc::new(ManualClock::new(START + Span::days(900)));
    let shared: Arc<dyn PipelineStore> = Arc::new(store.clone());
    let mut importer = Importer::new(shared, clock, "default");
    let mut sink = Sink::default();
    let input = std::io::Cursor::new(lines.to_vec());
    importer.file("events.jsonl", input, &mut sink).unwrap();
    (importer.report(), sink)
}

fn events(store: &Store) -> Vec<JournalEntry> {
    let rows = store.read_after(0, 10_000).unwrap();
    rows.into_iter()
        .filter(|row| row.kind == EntryKind::Event)
        .collect()
}

/// A journal of two sources and every layout of bodies.
fn mixed() -> Store {
    let store = memory_store();
    for n in 0..600 {
        let at = START + Span::secs(n);
        let body = String::from_utf8(event_body(&format!("evt_{n}"), "charge.failed", at)).unwrap();
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        let body = match n % 4 {
            0 => body,
            1 => serde_json::to_string_pretty(&value).unwrap(),
            2 => serde_json::to_string_pretty(&value).unwrap() + "\r\n",
            _ => body.replace(':', ":\t"),
        };
        let mut entry = entry_of(body.as_bytes());
        if n % 3 == 0 {
            entry.source = "eu".to_owned();
        }
        store.append(&[entry], at).unwrap();
    }
    store
}

#[test]
fn a_journal_comes_back_byte_for_byte_as_history() {
    let store = mixed();
    let lines = export(&store);
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 600);
    let copy = memory_store();
    let (report, sink) = import(&copy, &lines);
    assert_eq!((report.imported, report.duplicates), (600, 0));
    assert_eq!(sink.bad, Vec::<String>::new());
    assert!(sink.pauses >= 2);
    let as_history: Vec<JournalEntry> = events(&store)
        .into_iter()
        .map(|row| JournalEntry {
            is_historical: true,
            ..row
        })
        .collect();
    assert_eq!(events(&copy), as_history);
    assert_eq!(export(&copy), lines);
}

#[test]
fn a_second_import_adds_nothing() {
    let store = mixed();
    let lines = export(&store);
    let (report, _) = import(&store, &lines);
    assert_eq!((report.imported, report.duplicates), (0, 600));
    assert_eq!(export(&store), lines);
}

#[test]
fn a_bad_line_is_named_and_the_rest_is_imported() {
    let good = |n: i64| {
        let body = event_body(&format!("evt_{n}"), "charge.failed", START + Span::secs(n));
        String::from_utf8(body).unwrap()
    };
    let lines = format!("{}\n{{\"torn\": \n{}\n{{\"id\": 5}}\n", good(1), good(2));
    let store = memory_store();
    let (report, sink) = import(&store, lines.as_bytes());
    assert_eq!((report.lines, report.imported, report.bad_lines), (4, 2, 2));
    assert!(
        sink.bad[0].starts_with("events.jsonl:2: "),
        "{}",
        sink.bad[0]
    );
    assert!(
        sink.bad[1].starts_with("events.jsonl:4: "),
        "{}",
        sink.bad[1]
    );
    assert_eq!(events(&store).len(), 2);
}

#[test]
fn a_row_of_a_table_is_the_event_in_it() {
    let event = String::from_utf8(event_body("evt_1", "charge.failed", START)).unwrap();
    let at = START.as_secs();
    let row = format!(
        "{{\"id\":\"row_1\",\"type\":\"charge.failed\",\"created\":{at},\"event\":{event}}}"
    );
    let store = memory_store();
    let (report, sink) = import(&store, row.as_bytes());
    assert_eq!(report.imported, 1);
    assert_eq!(sink.bad, Vec::<String>::new());
    let [kept] = &events(&store)[..] else {
        panic!("one event")
    };
    assert_eq!(kept.event_id.as_deref(), Some("evt_1"));
    assert_eq!(kept.body, event.as_bytes());
}

#[test]
fn a_list_page_goes_in_oldest_first() {
    let body = |n: i64| {
        let body = event_body(&format!("evt_{n}"), "charge.failed", START + Span::secs(n));
        String::from_utf8(body).unwrap()
    };
    let page = format!(
        "{{\"object\":\"list\",\"data\":[{},{},{}]}}\n",
        body(3),
        body(2),
        body(1)
    );
    let store = memory_store();
    assert_eq!(import(&store, page.as_bytes()).0.imported, 3);
    let rows = events(&store);
    let ids: Vec<_> = rows.iter().filter_map(|row| row.event_id.clone()).collect();
    assert_eq!(ids, ["evt_1", "evt_2", "evt_3"]);
    assert_eq!(rows[2].received_at, START + Span::secs(3));
}

#[test]
fn imported_events_teach_and_page_nobody() {
    let store = mixed();
    let lines = export(&store);
    let found: Vec<AlertChange> = {
        let mut changes = Vec::new();
        let mut replay = Replay::new(probe_registry(), &[], &ReplayOptions::default()).unwrap();
        let input = std::io::Cursor::new(lines.clone());
        replay.file("events.jsonl", input, &mut changes).unwrap();
        changes
    };
    assert!(!found.is_empty(), "there is something to be told of");

    let mut world = World::new();
    let (report, _) = import(&world.store, &lines);
    assert_eq!(report.imported, 600);
    while !world.pump.step().unwrap().is_idle {}
    assert_eq!(PipelineStore::open_alerts(&world.store).unwrap(), []);
}

/// Lines of several sources are judged apart, as live.
#[test]
fn a_replay_keeps_sources_apart() {
    let line = |n: i64, source: &str| {
        let at = START + Span::secs(n);
        let body = event_body(&format!("evt_{n}"), "charge.failed", at);
        let mut entry = entry_of(&body);
        entry.source = source.to_owned();
        let store = memory_store();
        store.append(&[entry], at).unwrap();
        String::from_utf8(export(&store)).unwrap()
    };
    let scopes = |lines: &str| {
        let mut changes: Vec<AlertChange> = Vec::new();
        let mut replay = Replay::new(probe_registry(), &[], &ReplayOptions::default()).unwrap();
        let input = std::io::Cursor::new(lines.as_bytes().to_vec());
        replay.file("events.jsonl", input, &mut changes).unwrap();
        replay.finish(&mut changes).unwrap().scopes
    };
    assert_eq!(scopes(&(line(1, "default") + &line(2, "default"))), 1);
    assert_eq!(scopes(&(line(1, "default") + &line(2, "eu"))), 2);
}
