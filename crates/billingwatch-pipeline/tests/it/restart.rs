//! A restart goes on where the committed state ends, from snapshot and journal.

use billingwatch_core::time::Span;
use billingwatch_pipeline::{PipelineStore, PumpOptions};

use crate::support::{START, World, brief, memory_store, open};

#[test]
fn the_story_in_brief() {
    let mut world = World::new();
    let mut changes = world.pump.subscribe();
    world.play_live();
    let mut told = Vec::new();
    while let Ok(change) = changes.try_recv() {
        told.push(brief(&change));
    }
    insta::assert_snapshot!(told.join("\n"), @r"
    +7 firing medium failures r1 n1
    +66 escalated high failures r2 n3
    +240 resolved high failures r3 n4
    +840 firing low quiet r1 n1
    +1500 resolved low quiet r2 n1
    +1562 firing high failures r4 n5
    +2220 firing low quiet r3 n2
    ");
}

/// The Python original kept its detectors' state in memory alone.
#[test]
fn two_failures_before_a_restart_and_one_after_make_three() {
    let mut world = World::new();
    world.receive("evt_1", "charge.failed");
    world.receive("evt_2", "charge.failed");
    world.pump_until_idle();
    assert_eq!(world.outcome().changes.len(), 0);
    world.restart();
    world.receive("evt_3", "charge.failed");
    world.pump_until_idle();
    assert_eq!(world.outcome().changes.len(), 1);
}

/// The Python original ran its detectors again each time Stripe sent an event again.
#[test]
fn an_event_sent_again_counts_once() {
    let mut world = World::new();
    for _ in 0..5 {
        for id in ["evt_1", "evt_2"] {
            world.receive(id, "charge.failed");
            world.pump_until_idle();
        }
    }
    assert_eq!(world.head_seq(), 2);
    assert_eq!(world.outcome().changes.len(), 0);
}

#[test]
fn restarts_after_every_event_change_nothing() {
    let mut undisturbed = World::new();
    undisturbed.play_live();
    for snapshot_rows in [1, 4, 10_000] {
        let options = PumpOptions {
            snapshot_rows,
            snapshot_pause: Span::ZERO,
            ..PumpOptions::default()
        };
        let mut world = World::with(memory_store(), options);
        world.play(|world| {
            world.pump_until_idle();
            world.restart();
        });
        world.pump_until_idle();
        assert_eq!(world.outcome(), undisturbed.outcome(), "{snapshot_rows}");
    }
}

/// PostgreSQL too, where the environment names a server.
#[test]
fn every_backend_tells_the_same_story() {
    let mut in_memory = World::new();
    in_memory.play_live();
    billingwatch_store::testing::each_backend(|store| {
        let mut world = World::with(store.another(), PumpOptions::default());
        world.play(|world| {
            world.pump_until_idle();
            world.restart();
        });
        world.pump_until_idle();
        assert_eq!(world.outcome(), in_memory.outcome(), "{}", store.name());
    });
}

#[test]
fn batch_sizes_and_snapshot_points_change_nothing() {
    let mut undisturbed = World::new();
    undisturbed.play_live();
    let expected = undisturbed.outcome();
    for batch_rows in [1, 2, 3, 7, 512] {
        for snapshot_rows in [1, 3, 10_000] {
            let options = PumpOptions {
                batch_rows,
                snapshot_rows,
                snapshot_interval: Span::minutes(10),
                snapshot_pause: Span::ZERO,
            };
            // The pump sleeps through the whole story, or through every other event.
            for pace in [usize::MAX, 2] {
                let mut world = World::with(memory_store(), options);
                let mut events = 0;
                world.play(|world| {
                    events += 1;
                    if events % pace == 0 {
                        world.pump_until_idle();
                    }
                });
                world.pump_until_idle();
                let case = format!("{batch_rows} {snapshot_rows} {pace}");
                assert_eq!(world.outcome(), expected, "{case}");
            }
        }
    }
}

#[test]
fn a_restart_reads_again_only_what_the_snapshot_does_not_hold() {
    let options = PumpOptions {
        batch_rows: 10,
        snapshot_rows: 30,
        snapshot_pause: Span::ZERO,
        ..PumpOptions::default()
    };
    let mut world = World::with(memory_store(), options);
    for n in 0..75 {
        world.receive(&format!("evt_{n}"), "charge.updated");
    }
    world.pump_until_idle();
    world.restart();
    let mut reread = 0;
    while !world.pump.is_ready() {
        reread += world.pump.step().unwrap().rows;
    }
    assert_eq!(reread, 15);

    // An orderly end leaves nothing to read again.
    world.pump.flush().unwrap();
    world.restart();
    while !world.pump.is_ready() {
        assert_eq!(world.pump.step().unwrap().rows, 0);
    }
}

#[test]
fn a_snapshot_of_another_version_is_replaced_by_reading_the_whole_journal() {
    let mut undisturbed = World::new();
    undisturbed.play_live();

    let mut world = World::with(
        memory_store(),
        PumpOptions {
            snapshot_rows: 1,
            snapshot_pause: Span::ZERO,
            ..PumpOptions::default()
        },
    );
    let mut events = 0;
    world.play(|world| {
        world.pump_until_idle();
        events += 1;
        if events == 8 {
            spoil_snapshots(world);
            world.restart();
            let mut reread = 0;
            while !world.pump.is_ready() {
                reread += world.pump.step().unwrap().rows;
            }
            assert_eq!(i64::try_from(reread).unwrap(), world.head_seq());
        }
    });
    assert_eq!(world.outcome(), undisturbed.outcome());
}

/// Puts bytes of a version that never was where the snapshots are.
fn spoil_snapshots(world: &World) {
    for minutes in 1..=2 {
        let cursor = PipelineStore::cursor(&world.store, "engine")
            .unwrap()
            .unwrap();
        let moved = billingwatch_store::Cursor {
            seq: cursor.seq,
            at: cursor.at + Span::millis(minutes),
        };
        world
            .store
            .commit_step(&billingwatch_store::Step {
                consumer: "engine",
                expected: cursor,
                cursor: moved,
                lease: None,
                changes: &[],
                updates: &[],
                suppressed: &[],
                deliveries: &[],
                snapshot: Some(&[0xff; 64]),
            })
            .unwrap();
    }
}

#[test]
fn a_store_on_disk_is_taken_up_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("journal.db").display());
    let mut undisturbed = World::new();
    undisturbed.play_live();

    let mut world = World::with(open(&url), PumpOptions::default());
    world.play(|world| {
        world.pump_until_idle();
        let at = billingwatch_pipeline::Clock::now(world.clock.as_ref());
        *world = World::with(open(&url), PumpOptions::default());
        world.clock.set(at);
    });
    world.pump_until_idle();
    assert_eq!(world.outcome(), undisturbed.outcome());
}

#[test]
fn an_unreadable_row_is_counted_and_passed_over() {
    let mut world = World::new();
    let mut bad = crate::support::entry("evt_bad", "charge.failed", START);
    bad.body = b"{ not JSON".to_vec();
    PipelineStore::append(&world.store, &[bad], START).unwrap();
    for n in 1..=3 {
        world.receive(&format!("evt_{n}"), "charge.failed");
    }
    world.pump_until_idle();
    assert_eq!(world.pump.counters().unreadable.get(), 1);
    assert_eq!(world.outcome().changes.len(), 1);
}
