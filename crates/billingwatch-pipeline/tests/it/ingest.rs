//! Bytes → one durable journal row, once; group commit, bounds and refusals.

use std::sync::Arc;

use billingwatch_pipeline::testing::{Fault, FaultyStore, Op};
use billingwatch_pipeline::wake::Wake;
use billingwatch_pipeline::{
    Ingest, IngestError, IngestOptions, IngestWriter, ManualClock, PipelineStore, Received,
};

use crate::support::{START, World, entry, memory_store};

fn ingest(options: IngestOptions) -> (Ingest, IngestWriter, Arc<FaultyStore>, Arc<Wake>) {
    let store = FaultyStore::new(Arc::new(memory_store()));
    let wake: Arc<Wake> = Arc::default();
    let clock = Arc::new(ManualClock::new(START));
    let (ingest, writer) = Ingest::new(store.clone(), clock, options, wake.clone());
    (ingest, writer, store, wake)
}

fn event(n: usize) -> billingwatch_store::NewEntry {
    entry(&format!("evt_{n}"), "charge.failed", START)
}

#[test]
fn many_requests_share_one_transaction_and_each_has_its_answer() {
    let (ingest, mut writer, store, wake) = ingest(IngestOptions::default());
    let receipts: Vec<_> = (0..100)
        .map(|n| ingest.submit(event(n % 60)).unwrap())
        .collect();
    assert_eq!(ingest.queue_len(), 100);
    assert_eq!(writer.step(), 100);
    assert_eq!(store.calls(), 1);
    assert!(
        wake.wait(std::time::Duration::ZERO),
        "the pump was not woken"
    );
    for (n, receipt) in receipts.into_iter().enumerate() {
        let seq = Some(i64::try_from(n % 60).unwrap() + 1);
        let is_duplicate = n >= 60;
        assert_eq!(receipt.wait(), Ok(Received { seq, is_duplicate }));
    }
    let counters = ingest.counters();
    assert_eq!(counters.received.get(), 60);
    assert_eq!(counters.duplicates.get(), 40);
    assert_eq!(store.head().unwrap().last_seq, 60);
}

#[test]
fn an_answer_can_be_awaited() {
    let (ingest, mut writer, _store, _wake) = ingest(IngestOptions::default());
    let receipt = ingest.submit(event(1)).unwrap();
    writer.step();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let received = runtime.block_on(receipt).unwrap();
    assert_eq!(received.seq, Some(1));
}

#[test]
fn a_batch_has_a_bound() {
    let (ingest, mut writer, _store, _wake) = ingest(IngestOptions {
        batch_max: 3,
        ..IngestOptions::default()
    });
    let _receipts: Vec<_> = (0..7).map(|n| ingest.submit(event(n)).unwrap()).collect();
    let batches: Vec<usize> = (0..4).map(|_| writer.step()).collect();
    assert_eq!(batches, [3, 3, 1, 0]);
}

#[test]
fn a_full_queue_refuses_at_once_and_takes_again_when_written() {
    let (ingest, mut writer, _store, _wake) = ingest(IngestOptions {
        queue_len: 2,
        ..IngestOptions::default()
    });
    let _one = ingest.submit(event(1)).unwrap();
    let _two = ingest.submit(event(2)).unwrap();
    assert_eq!(ingest.submit(event(3)).unwrap_err(), IngestError::Full);
    assert_eq!(ingest.counters().refused.get(), 1);
    writer.step();
    assert!(ingest.submit(event(3)).is_ok());
}

#[test]
fn a_queue_full_of_bytes_refuses_too_but_one_entry_always_fits() {
    let (ingest, mut writer, _store, _wake) = ingest(IngestOptions {
        queue_size_bytes: 10,
        ..IngestOptions::default()
    });
    let _one = ingest.submit(event(1)).unwrap();
    assert_eq!(ingest.submit(event(2)).unwrap_err(), IngestError::Full);
    writer.step();
    assert!(ingest.submit(event(2)).is_ok());
}

#[test]
fn when_the_store_fails_every_request_of_the_batch_is_told() {
    let (ingest, mut writer, store, wake) = ingest(IngestOptions::default());
    store.fail_next(Op::Append, Fault::Before);
    let receipts: Vec<_> = (0..3).map(|n| ingest.submit(event(n)).unwrap()).collect();
    writer.step();
    for receipt in receipts {
        assert!(matches!(receipt.wait(), Err(IngestError::Unavailable(_))));
    }
    assert!(!wake.wait(std::time::Duration::ZERO));
    assert_eq!(ingest.counters().failed.get(), 3);
    assert_eq!(store.head().unwrap().last_seq, 0);
}

#[test]
fn an_append_reported_as_failed_that_happened_is_a_duplicate_the_next_time() {
    let (ingest, mut writer, store, _wake) = ingest(IngestOptions::default());
    store.fail_next(Op::Append, Fault::After);
    let receipt = ingest.submit(event(1)).unwrap();
    writer.step();
    assert!(receipt.wait().is_err());
    let receipt = ingest.submit(event(1)).unwrap();
    writer.step();
    let expected = Received {
        seq: Some(1),
        is_duplicate: true,
    };
    assert_eq!(receipt.wait(), Ok(expected));
}

#[test]
fn one_entry_that_cannot_be_written_does_not_take_its_batch_with_it() {
    let (ingest, mut writer, store, _wake) = ingest(IngestOptions::default());
    let good = ingest.submit(event(1)).unwrap();
    let mut poison = event(2);
    poison.event_id = None;
    let bad = ingest.submit(poison).unwrap();
    let other = ingest.submit(event(3)).unwrap();
    writer.step();
    assert!(good.wait().is_ok());
    assert!(matches!(bad.wait(), Err(IngestError::Unavailable(_))));
    assert!(other.wait().is_ok());
    assert_eq!(store.head().unwrap().last_seq, 2);
}

#[test]
fn closing_writes_and_answers_what_is_queued_and_takes_no_more() {
    let (ingest, mut writer, _store, _wake) = ingest(IngestOptions {
        batch_max: 1,
        ..IngestOptions::default()
    });
    let receipts: Vec<_> = (0..3).map(|n| ingest.submit(event(n)).unwrap()).collect();
    ingest.close();
    assert_eq!(ingest.submit(event(9)).unwrap_err(), IngestError::Closed);
    let mut runs = 0;
    while writer.run_once() {
        runs += 1;
    }
    assert_eq!(runs, 3);
    for receipt in receipts {
        assert!(receipt.wait().is_ok());
    }
}

/// While one half is written the other is answered and comes again.
#[test]
fn of_many_under_way_half_are_written_at_a_time() {
    for (entries, left) in [
        (63, &[0][..]),
        (64, &[32, 0]),
        (200, &[100, 0]),
        (1_200, &[688, 176, 0]),
    ] {
        let (ingest, mut writer, _store, _wake) = ingest(IngestOptions::default());
        let receipts: Vec<_> = (0..entries)
            .map(|n| ingest.submit(event(n)).unwrap())
            .collect();
        ingest.close();
        let mut seen = Vec::new();
        while writer.run_once() {
            seen.push(ingest.queue_len());
        }
        assert_eq!(seen, left, "of {entries}");
        assert!(receipts.into_iter().all(|receipt| receipt.wait().is_ok()));
    }
}

#[test]
fn a_writer_that_dies_leaves_nobody_waiting() {
    let mut world = World::new();
    world.faulty.fail_next(Op::Append, Fault::Panic);
    let outcome = world.try_receive("evt_1", "charge.failed");
    assert!(matches!(outcome, Err(IngestError::Unavailable(_))));
    assert_eq!(world.receive("evt_1", "charge.failed").seq, Some(1));
}

#[test]
fn a_writer_that_goes_leaves_nobody_waiting() {
    let (ingest, writer, _store, _wake) = ingest(IngestOptions::default());
    let receipt = ingest.submit(event(1)).unwrap();
    drop(writer);
    assert!(matches!(receipt.wait(), Err(IngestError::Unavailable(_))));
    assert_eq!(ingest.submit(event(2)).unwrap_err(), IngestError::Closed);
}
