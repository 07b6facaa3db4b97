//! The engine on parsed events, one core: with all detectors, with each alone, with none.
//!
//! The limit: a loop that hashes each event's id and keeps it in a map, which no engine that counts
//! every event once can do without. Goals: 1,500,000 events a second without the ledger's joins,
//! 500,000 with all. Every event passes through the ledger, so what stands for the first is card
//! payments alone (`marketplace`), where there is next to nothing to join.
//!
//! `cargo bench -p billingwatch-benches --bench engine`
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::time::Duration;

use billingwatch_benches::{Corpus, best_of, is_measured, rate, row, thousands};
use billingwatch_core::alert::AlertChange;
use billingwatch_core::detectors;
use billingwatch_core::engine::{Engine, Input, Record, Registry};
use billingwatch_core::ids::KeyMap;

/// Events a second with all detectors, where there is little to join and where there is all.
const GOAL_PAYMENTS: f64 = 1_500_000.0;
/// See [`GOAL_PAYMENTS`].
const GOAL_JOINS: f64 = 500_000.0;

/// Leaves out each detector alone, for a quick look: `ENGINE_BRIEF=1`.
const BRIEF: &str = "ENGINE_BRIEF";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let is_measured = is_measured();
    let rounds = if is_measured { 5 } else { 1 };
    let corpora = if is_measured {
        [Corpus::saas(60)?, Corpus::marketplace(10)?]
    } else {
        [Corpus::saas(2)?, Corpus::marketplace(1)?]
    };
    for corpus in &corpora {
        let records = corpus.records()?;
        let days = records
            .last()
            .zip(records.first())
            .map_or(0, |(last, first)| {
                last.received_at.since(first.received_at).as_secs() / 86_400
            });
        println!(
            "\n{}: {} events in {days} days",
            corpus.name,
            thousands(f64::from(u32::try_from(records.len())?)),
        );
        println!(
            "{:<34} {:>12} {:>12} {:>9}",
            "", "events/s", "per event", "of limit"
        );
        let limit = best_of(rounds, || (), |()| hash_ids(&records));
        println!(
            "{}",
            row("limit: hash and keep ids", records.len(), limit, None)
        );
        let bare = measure(rounds, &records, || Registry::new(Vec::new()));
        println!("{}", row("ledger only", records.len(), bare, Some(limit)));
        let singles = if std::env::var_os(BRIEF).is_some() {
            0
        } else {
            detectors::all().len()
        };
        for index in 0..singles {
            let only = || Registry::new(vec![detectors::all().swap_remove(index)]);
            let name = only().specs().map(|spec| spec.name).collect::<String>();
            let took = measure(rounds, &records, only);
            println!("{}", row(&name, records.len(), took, Some(limit)));
        }
        let all = measure(rounds, &records, Registry::standard);
        println!("{}", row("all detectors", records.len(), all, Some(limit)));
        let goal = if corpus.name == "marketplace" {
            GOAL_PAYMENTS
        } else {
            GOAL_JOINS
        };
        let times = rate(records.len(), all) / goal;
        println!(
            "all detectors: {times:.2} × the goal of {}",
            thousands(goal)
        );
        snapshot(rounds, &records)?;
    }
    Ok(())
}

/// How large the state is at the end, and how long it takes to write and to take back.
fn snapshot(rounds: u32, records: &[Record]) -> Result<(), Box<dyn std::error::Error>> {
    let (engine, _) = run(Engine::new(Registry::standard()), records);
    let bytes = engine.snapshot()?;
    let save = best_of(rounds, || (), |()| engine.snapshot());
    let load = best_of(
        rounds,
        || (),
        |()| Engine::restore(Registry::standard(), &bytes),
    );
    println!(
        "snapshot: {} bytes, saved in {save:.1?}, restored in {load:.1?}",
        thousands(f64::from(u32::try_from(bytes.len())?)),
    );
    Ok(())
}

fn measure(rounds: u32, records: &[Record], registry: impl Fn() -> Registry) -> Duration {
    best_of(
        rounds,
        || Engine::new(registry()),
        |engine| run(engine, records),
    )
}

/// As a replay does: every record applied, changes taken along the way.
fn run(mut engine: Engine, records: &[Record]) -> (Engine, Vec<AlertChange>) {
    let mut changes = Vec::new();
    for batch in records.chunks(512) {
        for record in batch {
            engine.apply(record);
        }
        changes.append(&mut engine.take_changes());
        engine.take_updates();
        engine.take_suppressed();
    }
    (engine, changes)
}

fn hash_ids(records: &[Record]) -> KeyMap<()> {
    let mut seen = KeyMap::default();
    for record in records {
        if let Input::Event(event) = &record.input {
            seen.insert(event.id.key(), ());
        }
    }
    seen
}
