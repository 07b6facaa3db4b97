//! The database is away, and events are taken in all the same: durably, in order, each once.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::loops::{Loops, PumpLoop, WriterLoop};
use billingwatch_pipeline::spool::{SpoolLoop, SpoolStatus};
use billingwatch_pipeline::supervise::Next;
use billingwatch_pipeline::testing::{Fault, FaultyStore, MemorySpool, Op, probe_registry};
use billingwatch_pipeline::{
    Clock, Ingest, IngestError, ManualClock, PipelineStore, Receipt, Received, Runtime,
    RuntimeOptions, SpoolFile,
};
use billingwatch_store::{EntryKind, JournalEntry, NewEntry, Store, StoreOptions};

use crate::support::{START, entry, memory_store};

/// Writer, drain and pump of one process, a step at a time.
struct Process {
    store: Store,
    faulty: Arc<FaultyStore>,
    file: Arc<MemorySpool>,
    clock: Arc<ManualClock>,
    ingest: Ingest,
    writer: WriterLoop,
    drain: SpoolLoop,
    pump: PumpLoop,
}

impl Process {
    fn new() -> Self {
        Self::with(Arc::new(MemorySpool::new(1_000)))
    }

    fn with(file: Arc<MemorySpool>) -> Self {
        let store = memory_store();
        let clock = Arc::new(ManualClock::new(START));
        Self::start(store, file, clock)
    }

    /// A process on what an earlier one left.
    fn start(store: Store, file: Arc<MemorySpool>, clock: Arc<ManualClock>) -> Self {
        let faulty = FaultyStore::new(Arc::new(store.clone()));
        let options = RuntimeOptions {
            spool: Some(file.clone()),
            ..RuntimeOptions::default()
        };
        let loops = Loops::new(
            faulty.clone(),
            probe_registry(),
            clock.clone(),
            Vec::new(),
            &options,
        )
        .unwrap();
        Self {
            store,
            faulty,
            file,
            clock,
            ingest: loops.ingest,
            writer: loops.writer,
            drain: loops.spool.unwrap(),
            pump: loops.pump,
        }
    }

    fn submit(&mut self, entry: NewEntry) -> Result<Received, IngestError> {
        let receipt = self.ingest.submit(entry).unwrap();
        self.writer.write_queued();
        receipt.wait()
    }

    fn receive(&mut self, id: &str) -> Received {
        let entry = entry(id, "charge.failed", START);
        self.submit(entry).unwrap()
    }

    /// Takes the drain's steps until there is nothing to do.
    fn drain(&mut self) {
        for _ in 0..100 {
            match self.drain.step() {
                Next::Again => {}
                Next::Sleep(_) => return,
                next => panic!("{next:?}"),
            }
        }
        panic!("the drain comes to no end");
    }

    fn status(&self) -> SpoolStatus {
        self.drain.spooling().status(self.clock.now())
    }

    fn journal(&self) -> Vec<(String, Timestamp)> {
        let rows = PipelineStore::read_after(&self.store, 0, 1_000).unwrap();
        let place = |row: JournalEntry| (row.event_id.unwrap_or_default(), row.received_at);
        rows.into_iter().map(place).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.journal().into_iter().map(|(id, _)| id).collect()
    }
}

const SPOOLED: Received = Received {
    seq: None,
    is_duplicate: false,
};

#[test]
fn events_wait_and_go_into_the_journal_in_order_with_their_times() {
    let mut process = Process::new();
    assert_eq!(process.receive("evt_1").seq, Some(1));
    process.faulty.set_away(true);
    process.clock.advance(Span::secs(10));
    assert_eq!(process.receive("evt_2"), SPOOLED);
    // From here on the journal is not asked: a sender would wait for it in vain.
    let calls = process.faulty.calls();
    process.clock.advance(Span::secs(10));
    assert_eq!(process.receive("evt_3"), SPOOLED);
    let again = process.receive("evt_3");
    assert_eq!((again.seq, again.is_duplicate), (None, true));
    assert_eq!(process.faulty.calls(), calls);
    assert!(matches!(process.drain.step(), Next::Failed(_)));
    process.faulty.set_away(false);
    // It is there again, and what comes now goes behind what waits.
    process.clock.advance(Span::secs(10));
    assert_eq!(process.receive("evt_4"), SPOOLED);
    let status = process.status();
    assert_eq!(status.spooling_since, Some(START + Span::secs(10)));
    assert_eq!((status.usage.entries, status.spooled), (3, 4));

    process.drain();
    let at = |secs| START + Span::secs(secs);
    let expected = [("evt_1", 0), ("evt_2", 10), ("evt_3", 20), ("evt_4", 30)]
        .map(|(id, secs)| (id.to_owned(), at(secs)));
    assert_eq!(process.journal(), expected);
    let status = process.status();
    assert_eq!((status.spooling_since, status.drained), (None, 3));
    assert_eq!(status.usage.entries, 0);
    let outage = status.last_outage.unwrap();
    assert_eq!((outage.began_at, outage.ended_at), (at(10), at(30)));
    assert_eq!(process.receive("evt_5").seq, Some(5));
}

#[test]
fn a_commit_that_was_reported_as_failed_counts_once() {
    let mut process = Process::new();
    process.faulty.fail_next(Op::Append, Fault::After);
    assert_eq!(process.receive("evt_1"), SPOOLED);
    process.drain();
    assert_eq!(process.ids(), ["evt_1"]);
    assert_eq!(process.ingest.counters().duplicates.get(), 1);
    // And so in the drain: it happened, nobody knew, and the process died over it.
    process.faulty.set_away(true);
    process.receive("evt_2");
    process.faulty.set_away(false);
    process.faulty.fail_next(Op::Append, Fault::After);
    assert!(matches!(process.drain.step(), Next::Failed(_)));
    assert_eq!(process.ids(), ["evt_1", "evt_2"]);
    let Process {
        store, file, clock, ..
    } = process;
    let mut process = Process::start(store, file, clock);
    // What an earlier process left goes first.
    assert_eq!(process.receive("evt_3"), SPOOLED);
    process.drain();
    assert_eq!(process.ids(), ["evt_1", "evt_2", "evt_3"]);
}

#[test]
fn a_full_spool_refuses_and_takes_again_when_there_is_room() {
    let mut process = Process::with(Arc::new(MemorySpool::new(2)));
    process.faulty.set_away(true);
    process.receive("evt_1");
    process.receive("evt_2");
    let refused = process.submit(entry("evt_3", "charge.failed", START));
    assert!(matches!(refused, Err(IngestError::Unavailable(_))));
    assert_eq!(process.ingest.counters().failed.get(), 1);
    process.faulty.set_away(false);
    process.drain();
    assert_eq!(process.receive("evt_3").seq, Some(3));
}

#[test]
fn a_spool_that_takes_nothing_keeps_nobody_out_once_the_journal_is_back() {
    let mut process = Process::with(Arc::new(MemorySpool::new(0)));
    process.faulty.set_away(true);
    let refused = process.submit(entry("evt_1", "charge.failed", START));
    assert!(refused.is_err());
    assert!(matches!(process.drain.step(), Next::Failed(_)));
    process.faulty.set_away(false);
    process.drain();
    assert_eq!(process.receive("evt_1").seq, Some(1));
}

#[test]
fn a_persons_word_does_not_wait_and_takes_nothing_with_it() {
    let mut process = Process::new();
    process.faulty.set_away(true);
    let word = NewEntry {
        kind: EntryKind::Resolve,
        event_id: None,
        ..entry("evt_x", "resolve", START)
    };
    let event = process
        .ingest
        .submit(entry("evt_1", "charge.failed", START))
        .unwrap();
    assert!(process.submit(word).is_err());
    assert_eq!(event.wait(), Ok(SPOOLED));
}

#[test]
fn an_event_that_the_journal_refuses_for_ever_holds_nothing_up() {
    let mut process = Process::new();
    process.faulty.set_away(true);
    for id in ["evt_1", "evt_2", "evt_3"] {
        process.receive(id);
    }
    process.faulty.set_away(false);
    process.faulty.refuse_event(Some("evt_2"));
    for _ in 0..2 {
        assert!(matches!(process.drain.step(), Next::Failed(_)));
    }
    process.drain();
    assert_eq!(process.ids(), ["evt_1", "evt_3"]);
    let usage = process.status().usage;
    assert_eq!((usage.entries, usage.set_aside), (0, 1));
    assert_eq!(process.status().spooling_since, None);
    assert_eq!(process.receive("evt_4").seq, Some(3));
}

/// By the plain clock the journal's time would pass what waits, and all of it would seem to have
/// come when the spool was emptied.
#[test]
fn time_stands_still_for_the_engine_while_events_wait() {
    let mut process = Process::new();
    process.receive("evt_1");
    process.faulty.fail_next(Op::Append, Fault::Before);
    process.clock.advance(Span::minutes(1));
    process.receive("evt_2");
    process.clock.advance(Span::minutes(30));
    while matches!(process.pump.step(), Next::Again | Next::Pause(_)) {}
    let waiting_since = START + Span::minutes(1);
    assert_eq!(process.store.head().unwrap().at, waiting_since);
    process.drain();
    assert_eq!(process.journal()[1].1, waiting_since);
    while matches!(process.pump.step(), Next::Again | Next::Pause(_)) {}
    assert_eq!(process.store.head().unwrap().at, START + Span::minutes(31));
}

#[test]
fn a_stop_drains_what_it_can_and_leaves_the_rest_for_the_next_start() {
    let mut process = Process::new();
    process.faulty.set_away(true);
    process.receive("evt_1");
    process.drain.control().stop();
    assert!(matches!(process.drain.step(), Next::Done));
    assert_eq!(process.file.usage().entries, 1);
    process.faulty.set_away(false);
    assert!(matches!(process.drain.step(), Next::Again));
    assert!(matches!(process.drain.step(), Next::Done));
    assert_eq!(process.ids(), ["evt_1"]);
}

fn run(faulty: &Arc<FaultyStore>, file: Arc<dyn SpoolFile>) -> Runtime {
    let options = RuntimeOptions {
        spool: Some(file),
        ..RuntimeOptions::default()
    };
    let clock = Arc::new(ManualClock::new(START));
    Runtime::start(
        faulty.clone(),
        probe_registry(),
        clock,
        Vec::new(),
        &options,
    )
    .unwrap()
}

fn submit(runtime: &Runtime, id: &str) -> Receipt {
    let entry = entry(id, "charge.failed", START);
    runtime.ingest().submit(entry).unwrap()
}

/// The append neither fails nor comes back: the sender is answered all the same.
#[test]
fn nobody_waits_for_a_database_that_hangs() {
    let store = memory_store();
    let faulty = FaultyStore::new(Arc::new(store.clone()));
    let runtime = run(&faulty, Arc::new(MemorySpool::new(1_000)));
    let (go_on, hanging) = mpsc::channel::<()>();
    faulty.after_next(Op::Append, move || {
        let _ = hanging.recv();
    });
    let receipts = [submit(&runtime, "evt_1"), submit(&runtime, "evt_2")];
    for receipt in receipts {
        assert_eq!(receipt.wait(), Ok(SPOOLED));
    }
    go_on.send(()).unwrap();
    assert_eq!(runtime.shutdown().abandoned, Vec::<String>::new());
    let rows = PipelineStore::read_after(&store, 0, 10).unwrap();
    assert_eq!(rows.len(), 2);
}

/// Threads, a real file, and a database that comes and goes: what was taken in is in the journal
/// once, in the order in which it was sent, and steady load does not keep the spool from its end.
#[test]
fn the_order_of_receipt_is_kept_through_outages_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let store = {
        let url = format!("sqlite://{}/journal.db", folder.path().display());
        let store = Store::open(&StoreOptions::new(url)).unwrap();
        store.migrate().unwrap();
        store
    };
    let spool = billingwatch_store::Spool::open(&billingwatch_store::SpoolOptions {
        path: folder.path().join("spool.db"),
        size_bytes_max: 100_000_000,
        database: String::new(),
    })
    .unwrap();
    let faulty = FaultyStore::new(Arc::new(store.clone()));
    let runtime = run(&faulty, Arc::new(spool));
    let mut sent = Vec::new();
    let mut send = |count: usize| {
        let from = sent.len();
        let ids = (from..from + count).map(|n| format!("evt_{n}"));
        sent.extend(ids);
        let receipts: Vec<_> = sent[from..].iter().map(|id| submit(&runtime, id)).collect();
        receipts
            .into_iter()
            .all(|one| one.wait().unwrap().seq.is_some())
    };
    for _ in 0..3 {
        // A journal that takes events, none, and again while more come in.
        send(20);
        faulty.set_away(true);
        assert!(!send(20));
        faulty.set_away(false);
        while !send(5) {
            std::thread::yield_now();
        }
    }
    let spool = runtime.status().spool.unwrap();
    assert!(spool.spooled >= 60, "{spool:?}");
    assert_eq!(runtime.shutdown().abandoned, Vec::<String>::new());
    let mut kept = Vec::new();
    loop {
        let rows =
            PipelineStore::read_after(&store, kept.len().try_into().unwrap(), 1_000).unwrap();
        if rows.is_empty() {
            break;
        }
        kept.extend(rows.into_iter().filter_map(|row| row.event_id));
    }
    assert_eq!(kept, sent);
}

#[test]
fn a_wait_for_the_loops_is_short() {
    // The drain is woken by what goes into the spool, not by its timer.
    let store = memory_store();
    let faulty = FaultyStore::new(Arc::new(store));
    let runtime = run(&faulty, Arc::new(MemorySpool::new(10)));
    faulty.fail_next(Op::Append, Fault::Before);
    assert_eq!(submit(&runtime, "evt_1").wait(), Ok(SPOOLED));
    let begun = std::time::Instant::now();
    while runtime.status().spool.unwrap().drained == 0 {
        assert!(begun.elapsed() < Duration::from_secs(50));
        std::thread::yield_now();
    }
    runtime.shutdown();
}
