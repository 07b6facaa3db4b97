//! The config file's settings become journal entries where they differ from those in force.

use billingwatch_core::detector::{SettingValue, SettingValues};
use billingwatch_core::engine::SettingsChange;
use billingwatch_pipeline::testing::probe_registry;
use billingwatch_pipeline::{Replay, ReplayOptions, StartError, settings_sync};

use crate::support::{START, World, memory_store};

fn failures(n: i64) -> SettingsChange {
    let mut values = SettingValues::new();
    values.set("failures", SettingValue::Int(n));
    SettingsChange {
        detector: "probe".to_owned(),
        source: None,
        is_enabled: None,
        values,
    }
}

#[test]
fn only_what_differs_is_entered_and_what_the_file_drops_goes_back() {
    let store = memory_store();
    let registry = probe_registry();
    let sync = |configured: &[SettingsChange]| {
        settings_sync::sync(&store, &registry, configured, START).unwrap()
    };
    assert_eq!(sync(&[]), 0);
    assert_eq!(sync(&[failures(2)]), 1);
    assert_eq!(sync(&[failures(2)]), 0);
    assert_eq!(sync(&[failures(5)]), 1);
    assert_eq!(sync(&[]), 1);
    assert_eq!(sync(&[]), 0);
}

#[test]
fn what_the_api_set_stays_unless_the_file_speaks_of_it() {
    let store = memory_store();
    let registry = probe_registry();
    store.change_settings(&failures(7), START).unwrap();
    let sync = |configured: &[SettingsChange]| {
        settings_sync::sync(&store, &registry, configured, START).unwrap()
    };
    assert_eq!(sync(&[]), 0);
    assert_eq!(sync(&[failures(7)]), 0);
    assert_eq!(sync(&[failures(4)]), 1);
}

#[test]
fn out_of_bounds_is_refused_and_nothing_entered() {
    let store = memory_store();
    let configured = [failures(2), failures(0)];
    let refused = settings_sync::sync(&store, &probe_registry(), &configured, START);
    assert!(matches!(refused, Err(StartError::Settings(_))));
    assert_eq!(store.head().unwrap().last_seq, 0);
}

#[test]
fn a_changed_setting_holds_from_its_place_in_the_journal() {
    let mut world = World::new();
    world.receive("evt_1", "charge.failed");
    world.receive("evt_2", "charge.failed");
    world.pump_until_idle();
    settings_sync::sync(&world.store, &world.registry, &[failures(2)], START).unwrap();
    world.pump_until_idle();
    assert_eq!(world.outcome().changes.len(), 0);
    world.receive("evt_3", "charge.failed");
    world.pump_until_idle();
    let live = world.outcome().changes;
    assert_eq!(live.len(), 1);

    let mut replayed = Vec::new();
    let registry = world.registry.clone();
    billingwatch_pipeline::replay_journal(&world.store, registry, &mut replayed).unwrap();
    let replayed: Vec<String> = replayed.iter().map(crate::support::line).collect();
    assert_eq!(replayed, live);
}

#[test]
fn a_replay_of_the_events_alone_keeps_its_own_settings() {
    let mut world = World::new();
    settings_sync::sync(&world.store, &world.registry, &[failures(9)], START).unwrap();
    for id in ["evt_1", "evt_2"] {
        world.receive(id, "charge.failed");
    }
    world.pump_until_idle();
    assert_eq!(world.outcome().changes.len(), 0);

    let fired = |settings: &[SettingsChange]| {
        let registry = world.registry.clone();
        let mut replay = Replay::new(registry, settings, &ReplayOptions::default()).unwrap();
        let mut changes = Vec::new();
        replay.journal(&world.store, &mut changes).unwrap();
        let report = replay.finish(&mut changes).unwrap();
        assert_eq!((report.lines, report.events, report.bad_lines), (2, 2, 0));
        changes.len()
    };
    assert_eq!(fired(&[failures(2)]), 1);
    assert_eq!(fired(&[failures(3)]), 0);
}
