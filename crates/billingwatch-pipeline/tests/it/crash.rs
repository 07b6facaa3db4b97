//! Stop anywhere: no alert lost, none recorded twice.

use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::testing::{Fault, Op};
use billingwatch_pipeline::{Clock, PipelineStore, PumpError, PumpOptions};
use billingwatch_store::StoreError;

use crate::support::{START, World, make_pump, memory_store};

fn small() -> PumpOptions {
    PumpOptions {
        batch_rows: 2,
        snapshot_rows: 5,
        snapshot_interval: Span::minutes(20),
        snapshot_pause: Span::ZERO,
    }
}

/// Every single call of the store fails once: before it happened, after it happened, or with the
/// process dying. The journal, the alerts, their history and the outbox must come out the same.
#[test]
fn a_failure_at_any_call_changes_nothing() {
    let mut undisturbed = World::with(memory_store(), small());
    undisturbed.play_live();
    let expected = undisturbed.outcome();
    let calls = undisturbed.faulty.calls();
    assert!(expected.changes.len() >= 6, "{expected:#?}");
    for fault in [Fault::Before, Fault::After, Fault::Panic] {
        for call in 0..calls {
            let mut world = World::with(memory_store(), small());
            world.faulty.fail_at_call(call, fault);
            world.play_live();
            assert_eq!(world.outcome(), expected, "{fault:?} at call {call}");
            assert_eq!(world.head_seq(), undisturbed.head_seq());
        }
    }
}

#[test]
fn a_commit_reported_as_failed_that_happened_is_not_repeated_and_is_still_published() {
    let mut world = World::new();
    let mut changes = world.pump.subscribe();
    for n in 1..=3 {
        world.receive(&format!("evt_{n}"), "charge.failed");
    }
    while !world.pump.is_ready() {
        world.pump.step().unwrap();
    }
    world.faulty.fail_next(Op::CommitStep, Fault::After);
    assert!(matches!(world.pump.step(), Err(PumpError::Store(_))));
    assert!(!world.pump.is_ready(), "the engine in doubt was kept");
    world.pump_until_idle();
    assert_eq!(world.outcome().changes.len(), 1);
    assert_eq!(changes.try_recv().unwrap().alert.revision, 1);
    assert!(changes.try_recv().is_err(), "published twice");
}

#[test]
fn two_pumps_on_one_store_record_each_alert_once() {
    let mut undisturbed = World::new();
    undisturbed.play_live();

    let mut world = World::new();
    let mut rival = make_pump(&world.faulty, &world.clock, &world.registry, world.options);
    let mut has_moved = false;
    world.play(|world| {
        for _ in 0..6 {
            for outcome in [world.pump.step(), rival.step()] {
                has_moved |= matches!(
                    outcome,
                    Err(PumpError::Store(StoreError::CursorMoved { .. }))
                );
            }
        }
    });
    world.pump_until_idle();
    assert!(has_moved, "the two never met");
    assert_eq!(world.outcome(), undisturbed.outcome());
}

#[test]
fn a_journal_that_ends_before_the_cursor_is_refused() {
    let mut world = World::new();
    world.play_live();
    let mut other = World::new();
    other.receive("evt_1", "charge.failed");
    // The cursor of one journal beside the rows of another.
    PipelineStore::commit_step(
        &other.store,
        &billingwatch_store::Step {
            consumer: billingwatch_pipeline::pump::CONSUMER,
            expected: billingwatch_store::Cursor {
                seq: 0,
                at: Timestamp::EPOCH,
            },
            cursor: billingwatch_store::Cursor {
                seq: 99,
                at: other.clock.now(),
            },
            lease: None,
            changes: &[],
            updates: &[],
            suppressed: &[],
            deliveries: &[],
            snapshot: None,
        },
    )
    .unwrap();
    assert!(matches!(
        other.pump.step(),
        Err(PumpError::JournalShort {
            last_seq: 1,
            cursor: 99
        })
    ));
}

#[test]
fn a_clock_that_goes_back_moves_nothing_back() {
    let mut world = World::new();
    world.clock.set(START + Span::hours(1));
    world.receive("evt_1", "charge.failed");
    world.pump_until_idle();
    world.clock.set(START);
    world.receive("evt_2", "charge.failed");
    world.receive("evt_3", "charge.failed");
    world.pump_until_idle();
    let outcome = world.outcome();
    assert_eq!(outcome.changes.len(), 1, "{outcome:#?}");
    let cursor = PipelineStore::cursor(&world.store, "engine")
        .unwrap()
        .unwrap();
    assert_eq!(cursor.at, START + Span::hours(1));
}

/// An upgrade: the snapshot is refused, and the newer detectors read the journal differently.
#[test]
fn after_an_upgrade_records_and_engine_agree_again() {
    let mut world = World::with(memory_store(), small());
    for n in 1..=5 {
        world.receive(&format!("evt_{n}"), "charge.failed");
        world.pump_until_idle();
    }
    assert_eq!(world.outcome().changes.len(), 2, "fired and escalated");
    // Another set of detectors, which neither takes the snapshot nor sees the failures.
    world.registry = billingwatch_core::engine::Registry::new(Vec::new());
    world.restart();
    world.pump_until_idle();
    let open = PipelineStore::open_alerts(&world.store).unwrap();
    assert_eq!(open, [], "told that it fired, never told that it ended");
    assert_eq!(world.outcome().changes.len(), 3);
    assert_eq!(world.outcome().deliveries.len(), 8);
    world.restart();
    world.pump_until_idle();
    assert_eq!(world.outcome().changes.len(), 3, "reconciled twice");

    // And back: the old detectors hold it open still, under numbers that are taken.
    world.registry = billingwatch_pipeline::testing::probe_registry();
    world.restart();
    world.pump_until_idle();
    assert_eq!(PipelineStore::open_alerts(&world.store).unwrap().len(), 1);
    let last = PipelineStore::open_alerts(&world.store).unwrap().remove(0);
    assert_eq!(last.revision, 4);
    // The engine still counts from 2; the next step must be recorded all the same.
    world.receive("evt_6", "charge.succeeded");
    world.pump_until_idle();
    assert_eq!(PipelineStore::open_alerts(&world.store).unwrap(), []);
    assert_eq!(
        PipelineStore::last_revision(&world.store, &last.id).unwrap(),
        5
    );
}
