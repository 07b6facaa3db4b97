//! The product's own detectors over a simulated merchant with incidents: live with restarts, the
//! journal's replay and the file's replay find the same, byte for byte.

use billingwatch_core::engine::Registry;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::replay::lines::PLAUSIBLE_SECS;
use billingwatch_pipeline::{PipelineStore, PumpOptions, Replay, ReplayOptions, replay_journal};
use billingwatch_simulator::{
    ApiShape, DeliveryModel, IncidentKind, IncidentPlan, MerchantKind, SimulatedEvent, Strength,
    World as Merchant, WorldConfig,
};

use crate::support::{World, entry_of, line, memory_store};

const START_SECS: i64 = 1_709_078_400;
const DAY_SECS: i64 = 86_400;

fn merchant() -> Vec<SimulatedEvent> {
    let incident = |kind, day: i64| IncidentPlan {
        kind,
        at: START_SECS + day * DAY_SECS + 36_000,
        strength: Strength::Clear,
    };
    let config = WorldConfig {
        seed: 7,
        merchant: MerchantKind::SmallSaas,
        shape: ApiShape::Basil,
        start_at: START_SECS,
        days: 10,
        incidents: vec![
            incident(IncidentKind::DuplicateCharge, 2),
            incident(IncidentKind::ChargeFailureSpike, 4),
            incident(IncidentKind::NegativeInvoice, 6),
        ],
        oddities: true,
        delivery: DeliveryModel::Realistic,
    };
    Merchant::new(&config).unwrap().collect()
}

#[test]
fn live_with_restarts_and_both_replays_find_the_same() {
    let events = merchant();
    let options = PumpOptions {
        batch_rows: 64,
        snapshot_rows: 300,
        snapshot_interval: Span::hours(6),
        snapshot_pause: Span::ZERO,
    };
    let mut world = World::with(memory_store(), options);
    world.registry = Registry::standard();
    world.restart();
    let mut last = Timestamp::from_secs(PLAUSIBLE_SECS.start);
    for (n, event) in events.iter().enumerate() {
        let at = Timestamp::from_millis(event.received_at_ms);
        // Long gaps are crossed in two: time passes for the live engine without any event.
        if n > 0 && at.since(last) > Span::minutes(5) {
            let half = Span::millis(at.since(last).as_millis() / 2);
            world.clock.set(last + half);
            world.pump_until_idle();
        }
        last = at;
        world.clock.set(at);
        PipelineStore::append(&world.store, &[entry_of(&event.json)], at).unwrap();
        if n % 7 == 0 {
            world.pump_until_idle();
        }
        if n % 450 == 449 {
            world.restart();
        }
    }
    world.pump_until_idle();
    let live = world.outcome();
    assert!(live.changes.len() >= 4, "{:#?}", live.changes);

    let mut replayed = Vec::new();
    replay_journal(&world.store, Registry::standard(), &mut replayed).unwrap();
    let in_order: Vec<String> = replayed.iter().map(line).collect();
    let mut sorted = in_order.clone();
    sorted.sort();
    let mut expected = live.changes;
    expected.sort();
    assert_eq!(sorted, expected);

    let mut file = Vec::new();
    for event in &events {
        let secs = event.received_at_ms / 1000;
        let millis = event.received_at_ms % 1000;
        file.extend(format!("{{\"received_at\": {secs}.{millis:03}, \"event\": ").bytes());
        file.extend(&event.json);
        file.extend(b"}\n");
    }
    let mut from_file = Vec::new();
    let mut replay = Replay::new(Registry::standard(), &[], &ReplayOptions::default()).unwrap();
    replay
        .file("events.jsonl", std::io::Cursor::new(file), &mut from_file)
        .unwrap();
    replay.finish(&mut from_file).unwrap();
    let from_file: Vec<String> = from_file.iter().map(line).collect();
    assert_eq!(from_file, in_order);
}
