//! The engine on parsed events, one core: with all detectors, with each alone, with none.
//!
//! A batch of 512 is read, as the pump has just read what it applies, and then timed; the reading is
//! not. The limit: a loop that hashes each event's id and keeps it in a map, which no engine that counts
//! every event once can do without. Goals: 1,500,000 events a second without the ledger's joins,
//! 500,000 with all. Every event passes through the ledger, so what stands for the first is card
//! payments alone (`marketplace`), where there is next to nothing to join.
//!
//! `cargo bench -p billingwatch-benches --bench engine`
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::time::Duration;

use billingwatch_benches::packed::Packed;
use billingwatch_benches::{
    Corpus, Stopwatch, best_of, best_of_timed, is_measured, rate, row, thousands,
};
use billingwatch_core::alert::AlertChange;
use billingwatch_core::detectors;
use billingwatch_core::engine::{Engine, Input, Registry};
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
    for corpus in corpora {
        let corpus = &Packed::from(corpus);
        // Read once before, so that a body that cannot be read ends the bench here.
        corpus.batches().try_for_each(|batch| batch.map(|_| ()))?;
        let events = corpus.len();
        println!(
            "\n{}: {} events in {} days",
            corpus.name,
            thousands(f64::from(u32::try_from(events)?)),
            corpus.days(),
        );
        println!(
            "{:<34} {:>12} {:>12} {:>9}",
            "", "events/s", "per event", "of limit"
        );
        let limit = best_of_timed(rounds, |watch| hash_ids(corpus, watch));
        println!("{}", row("limit: hash and keep ids", events, limit, None));
        let bare = measure(rounds, corpus, || Registry::new(Vec::new()));
        println!("{}", row("ledger only", events, bare, Some(limit)));
        let singles = if std::env::var_os(BRIEF).is_some() {
            0
        } else {
            detectors::all().len()
        };
        for index in 0..singles {
            let only = || Registry::new(vec![detectors::all().swap_remove(index)]);
            let name = only().specs().map(|spec| spec.name).collect::<String>();
            let took = measure(rounds, corpus, only);
            println!("{}", row(&name, events, took, Some(limit)));
        }
        let all = measure(rounds, corpus, Registry::standard);
        println!("{}", row("all detectors", events, all, Some(limit)));
        let goal = if corpus.name == "marketplace" {
            GOAL_PAYMENTS
        } else {
            GOAL_JOINS
        };
        let times = rate(events, all) / goal;
        println!(
            "all detectors: {times:.2} × the goal of {}",
            thousands(goal)
        );
        snapshot(rounds, corpus)?;
    }
    Ok(())
}

/// How large the state is at the end, and how long it takes to write and to take back.
fn snapshot(rounds: u32, corpus: &Packed) -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::new(Registry::standard());
    let (engine, _) = run(engine, corpus, &mut Stopwatch::default());
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

fn measure(rounds: u32, corpus: &Packed, registry: impl Fn() -> Registry) -> Duration {
    best_of_timed(rounds, |watch| run(Engine::new(registry()), corpus, watch))
}

/// As a replay does: every record applied, changes taken along the way.
fn run(mut engine: Engine, corpus: &Packed, watch: &mut Stopwatch) -> (Engine, Vec<AlertChange>) {
    let mut changes = Vec::new();
    for batch in corpus.batches().flatten() {
        watch.time(|| {
            for record in &batch {
                engine.apply(record);
            }
            changes.append(&mut engine.take_changes());
            engine.take_updates();
            engine.take_suppressed();
        });
    }
    (engine, changes)
}

fn hash_ids(corpus: &Packed, watch: &mut Stopwatch) -> KeyMap<()> {
    let mut seen = KeyMap::default();
    for batch in corpus.batches().flatten() {
        watch.time(|| {
            for record in &batch {
                if let Input::Event(event) = &record.input {
                    seen.insert(event.id.key(), ());
                }
            }
        });
    }
    seen
}
