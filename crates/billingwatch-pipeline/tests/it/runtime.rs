//! The loops with their threads: who waits for whom, and how they end.

use std::sync::Arc;
use std::time::Duration;

use billingwatch_alert::Channel;
use billingwatch_core::alert::Severity;
use billingwatch_pipeline::testing::{FakeChannel, Fault, FaultyStore, Op, probe_registry};
use billingwatch_pipeline::{
    ManualClock, PipelineStatus, PipelineStore, Runtime, RuntimeOptions, StartError,
};
use billingwatch_store::Store;

use crate::support::{START, entry, memory_store, outcome};

fn start(
    store: &Arc<FaultyStore>,
    channels: Vec<Box<dyn Channel>>,
    grace: Duration,
) -> Result<Runtime, StartError> {
    let options = RuntimeOptions {
        grace,
        ..RuntimeOptions::default()
    };
    let clock = Arc::new(ManualClock::new(START));
    Runtime::start(store.clone(), probe_registry(), clock, channels, &options)
}

fn world() -> (Store, Arc<FaultyStore>) {
    let store = memory_store();
    (store.clone(), FaultyStore::new(Arc::new(store)))
}

fn receive(runtime: &Runtime, id: &str) {
    let entry = entry(id, "charge.failed", START);
    runtime.ingest().submit(entry).unwrap().wait().unwrap();
}

const LONG: Duration = Duration::from_secs(60);

/// The Python original sent alerts inside the webhook's request.
#[test]
fn a_hanging_channel_delays_neither_ingest_nor_another_channel() {
    let (_, store) = world();
    let (hanging, hung) = FakeChannel::boxed("hanging", Severity::Low);
    let (swift, sent) = FakeChannel::boxed("swift", Severity::Low);
    hung.set_hanging(true);
    let runtime = start(&store, vec![hanging, swift], LONG).unwrap();
    for n in 1..=3 {
        receive(&runtime, &format!("evt_{n}"));
    }
    // The one hangs in its send; the other is told, and events are still taken in.
    hung.wait_for(1);
    sent.wait_for(1);
    for n in 4..=5 {
        receive(&runtime, &format!("evt_{n}"));
    }
    sent.wait_for(2);
    assert_eq!(hung.messages().len(), 1);
    hung.set_hanging(false);
    hung.wait_for(2);
    assert_eq!(runtime.shutdown().abandoned, Vec::<String>::new());
}

#[test]
fn a_shutdown_drains_the_queue_the_pump_and_the_outbox() {
    let (store, faulty) = world();
    let (channel, sent) = FakeChannel::boxed("all", Severity::Low);
    let runtime = start(&faulty, vec![channel], LONG).unwrap();
    let receipts: Vec<_> = (0..500)
        .map(|n| {
            let entry = entry(&format!("evt_{n}"), "charge.failed", START);
            runtime.ingest().submit(entry).unwrap()
        })
        .collect();
    let report = runtime.shutdown();
    assert_eq!(report.abandoned, Vec::<String>::new());
    for receipt in receipts {
        assert!(receipt.wait().is_ok());
    }
    let cursor = PipelineStore::cursor(&store, "engine").unwrap().unwrap();
    assert_eq!(cursor.seq, 500);
    let snapshots = PipelineStore::snapshots(&store, "engine").unwrap();
    assert_eq!(snapshots[0].seq, 500, "nothing to read again");
    assert_eq!(outcome(&store).changes.len(), 2);
    assert_eq!(sent.messages().len(), 2);
}

#[test]
fn a_channel_that_hangs_does_not_keep_the_process_from_ending() {
    let (_, store) = world();
    let (channel, hung) = FakeChannel::boxed("hanging", Severity::Low);
    hung.set_hanging(true);
    let runtime = start(&store, vec![channel], Duration::from_millis(50)).unwrap();
    for n in 1..=3 {
        receive(&runtime, &format!("evt_{n}"));
    }
    hung.wait_for(1);
    assert_eq!(runtime.shutdown().abandoned, ["deliver:hanging"]);
    hung.set_hanging(false);
}

#[test]
fn a_loop_that_panics_starts_again_and_status_says_so() {
    let (store, faulty) = world();
    let (channel, sent) = FakeChannel::boxed("all", Severity::Low);
    let runtime = start(&faulty, vec![channel], LONG).unwrap();
    receive(&runtime, "evt_1");
    faulty.fail_next(Op::CommitStep, Fault::Panic);
    receive(&runtime, "evt_2");
    receive(&runtime, "evt_3");
    sent.wait_for(1);
    let status = runtime.status();
    let pump = status.loops.iter().find(|one| one.name == "pump").unwrap();
    assert_eq!((pump.restarts, pump.is_running), (1, true));
    assert_eq!(status.received, 3);
    runtime.shutdown();
    assert_eq!(outcome(&store).changes.len(), 1);
}

#[test]
fn status_says_how_far_everything_is() {
    let (_, store) = world();
    let (channel, sent) = FakeChannel::boxed("all", Severity::Low);
    let runtime = start(&store, vec![channel], LONG).unwrap();
    let mut changes = runtime.alert_changes();
    for id in ["evt_1", "evt_2", "evt_2", "evt_3"] {
        receive(&runtime, id);
    }
    sent.wait_for(1);
    assert_eq!(changes.blocking_recv().unwrap().alert.detector, "probe");
    let status = runtime.status();
    assert_eq!((status.received, status.duplicates), (3, 1));
    assert_eq!((status.last_seq, status.cursor_seq), (3, 3));
    assert_eq!((status.lag_rows, status.lag_secs), (0, 0));
    assert_eq!(status.last_event_at, Some(START));
    assert!(status.is_caught_up);
    assert_eq!(status.changes.values().sum::<u64>(), 1);
    assert_eq!(status.loops.len(), 3);
    runtime.shutdown();
}

#[test]
fn two_channels_of_one_name_are_refused() {
    let (_, store) = world();
    let (one, _) = FakeChannel::boxed("mail", Severity::Low);
    let (two, _) = FakeChannel::boxed("mail", Severity::Low);
    let refused = start(&store, vec![one, two], LONG);
    assert!(matches!(refused, Err(StartError::ChannelTwice(name)) if name == "mail"));
}

/// Two processes on one database: each entry is kept once, each alert recorded once, each delivery
/// sent once. On PostgreSQL too, where the environment names a server.
#[test]
fn two_runtimes_on_one_store_do_everything_once() {
    billingwatch_store::testing::each_backend(|store| {
        let mut runtimes = Vec::new();
        let mut boxes = Vec::new();
        for _ in 0..2 {
            let (channel, sent) = FakeChannel::boxed("all", Severity::Low);
            let store = FaultyStore::new(Arc::new(store.another()));
            runtimes.push(start(&store, vec![channel], LONG).unwrap());
            boxes.push(sent);
        }
        // Every event goes to both, as Stripe's repeats may.
        let receipts: Vec<_> = (0..40)
            .flat_map(|n| runtimes.iter().map(move |runtime| (n, runtime)))
            .map(|(n, runtime)| {
                let entry = entry(&format!("evt_{n}"), "charge.failed", START);
                runtime.ingest().submit(entry).unwrap()
            })
            .collect();
        let mut duplicates = 0;
        for receipt in receipts {
            duplicates += usize::from(receipt.wait().unwrap().is_duplicate);
        }
        assert_eq!(duplicates, 40, "{}", store.name());
        for runtime in runtimes {
            assert_eq!(runtime.shutdown().abandoned, Vec::<String>::new());
        }
        let recorded = outcome(store);
        assert_eq!(recorded.changes.len(), 2, "{}: {recorded:#?}", store.name());
        let mut ids: Vec<String> = boxes.iter().flat_map(|sent| sent.delivery_ids()).collect();
        ids.sort();
        assert_eq!(ids.len(), 2, "{}: {ids:?}", store.name());
        assert_ne!(ids[0], ids[1]);
    });
}

/// What each of two processes saw of the other: one pumps, and when it goes the other takes over with
/// nothing skipped or told again.
#[test]
fn one_of_two_processes_pumps_and_the_other_takes_over() {
    billingwatch_store::testing::each_backend(|store| {
        let mut runtimes = Vec::new();
        let mut boxes = Vec::new();
        for _ in 0..2 {
            let (channel, sent) = FakeChannel::boxed("all", Severity::Low);
            let faulty = FaultyStore::new(Arc::new(store.another()));
            faulty.share();
            let runtime = start(&faulty, vec![channel], LONG).unwrap();
            if runtimes.is_empty() {
                // Certain to be the first to ask for the lease, and to hold it.
                receive(&runtime, "evt_1");
                wait_until(&runtime, |status| status.rows == 1);
            }
            runtimes.push(runtime);
            boxes.push(sent);
        }
        let second = runtimes.pop().unwrap();
        let first = runtimes.pop().unwrap();
        receive(&second, "evt_2");
        receive(&second, "evt_3");
        wait_until(&first, |status| status.rows == 3);
        assert_eq!(second.status().rows, 0, "it follows: {}", store.name());
        assert_eq!(first.shutdown().abandoned, Vec::<String>::new());
        receive(&second, "evt_4");
        wait_until(&second, |status| status.rows == 1);
        second.shutdown();
        let cursor = store.cursor("engine").unwrap().unwrap();
        assert_eq!(cursor.seq, 4);
        let told: usize = boxes.iter().map(|sent| sent.messages().len()).sum();
        assert_eq!((outcome(store).changes.len(), told), (1, 1));
    });
}

fn wait_until(runtime: &Runtime, is_so: impl Fn(&PipelineStatus) -> bool) {
    let waiting = std::time::Instant::now();
    while !is_so(&runtime.status()) {
        assert!(waiting.elapsed() < LONG, "{:?}", runtime.status());
        std::thread::sleep(Duration::from_millis(5));
    }
}
