//! Signed events into the durable SQLite journal of the release binary, over HTTP, with the load
//! generator on the same machine: how many a second, and how long each waits at half that.
//!
//! The limit: one thread that appends the same rows to the same schema in full batches, with no
//! HTTP, no signatures, no detectors and nobody waiting for an answer. Goals: 10,000 events a
//! second; at 5,000 a second, p99 under 50 ms.
//!
//! `cargo build --release -p billingwatch && cargo bench -p billingwatch-benches --bench ingest`
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::collections::HashSet;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use billingwatch_benches::load::{self, Outcome, Pace, signed_posts};
use billingwatch_benches::served::{Served, binary, cpu_of};
use billingwatch_benches::{Corpus, is_measured, rate, thousands};
use billingwatch_core::stripe::payload::{PayloadError, read_envelope};
use billingwatch_pipeline::{Clock, SystemClock, event_entry};
use billingwatch_simulator::SimulatedEvent;
use billingwatch_store::{NewEntry, Store, StoreOptions};

/// Events a second.
const GOAL: f64 = 10_000.0;

/// Of 99 posts in 100, at half the goal.
const GOAL_P99: Duration = Duration::from_millis(50);

/// Stripe delivers over many connections at once, and a group commit needs a group.
const CONNECTIONS: usize = 128;

/// The rows of a full batch, as the server's writer makes them.
const BATCH_ROWS: usize = 512;

/// How much is sent.
struct Plan {
    days: u32,
    rounds: usize,
    flood: usize,
    paced_secs: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let plan = if is_measured() {
        Plan {
            days: 120,
            rounds: 3,
            flood: 150_000,
            paced_secs: 20,
        }
    } else {
        Plan {
            days: 2,
            rounds: 1,
            flood: 2_000,
            paced_secs: 1,
        }
    };
    let binary = match binary() {
        Ok(binary) => binary,
        Err(reason) if is_measured() => return Err(reason.into()),
        Err(reason) => {
            println!("passed over: {reason}");
            return Ok(());
        }
    };
    let corpus = Corpus::saas(plan.days)?;
    let mut seen = HashSet::new();
    let mut events: Vec<&SimulatedEvent> = corpus.events.iter().collect();
    events.retain(|event| seen.insert(event.id.as_str()));
    println!(
        "{}: bodies of {} bytes on average, {CONNECTIONS} connections, generator on the same cores",
        corpus.name,
        corpus.size_bytes() / corpus.events.len().max(1),
    );
    let (flood, rest) = events
        .split_at_checked(plan.flood)
        .ok_or("too few events")?;

    let mut taken = Vec::new();
    let mut ratios = Vec::new();
    for _ in 0..plan.rounds {
        // Next to each other, so that whatever else the machine does slows both.
        let limit = limit(flood)?;
        let rate = round(&binary, flood, rest, &plan)?;
        println!("  flood: {:.2} of the limit", rate / limit);
        taken.push(rate);
        ratios.push(rate / limit);
    }
    for values in [&mut taken, &mut ratios] {
        values.sort_unstable_by(|a, b| b.total_cmp(a));
    }
    let (best, median) = (taken[0], taken[taken.len() / 2]);
    println!(
        "\nflood: best {} events/s, median {}; {:.2} and {:.2} × the goal of {}; of the limit: \
         best {:.2}, median {:.2}",
        thousands(best),
        thousands(median),
        best / GOAL,
        median / GOAL,
        thousands(GOAL),
        ratios[0],
        ratios[ratios.len() / 2],
    );
    repeats(&binary, flood)
}

/// A folder on the disk that the build is on: a journal in memory would prove nothing.
fn folder() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
}

/// As many as can be taken, then half of the goal and half of what was taken; events a second of
/// the first.
fn round(
    binary: &Path,
    flood: &[&SimulatedEvent],
    rest: &[&SimulatedEvent],
    plan: &Plan,
) -> Result<f64, Box<dyn Error>> {
    let folder = folder()?;
    let served = Served::start(binary, folder.path())?;
    let taken = post(&served, "flood", flood, Pace::AsFastAsAnswered)?;
    let behind = served.wait_for_detectors()?;
    println!(
        "  detectors caught up {:.2} s after the last answer; memory at most {:.1} MB",
        behind.as_secs_f64(),
        served.memory_bytes("VmHWM").map_or(f64::NAN, megabytes),
    );

    check_kept(&served, flood.len())?;

    let mut rest = rest.iter();
    for (what, per_sec) in [("half the goal", GOAL / 2.0), ("half of that", taken / 2.0)] {
        let per_sec = format!("{per_sec:.0}").parse::<u32>()?;
        let len = usize::try_from(per_sec * plan.paced_secs)?.min(rest.len());
        let paced: Vec<&SimulatedEvent> = rest.by_ref().take(len).copied().collect();
        let what = format!("{what}: {}/s", thousands(f64::from(per_sec)));
        post(&served, &what, &paced, Pace::PerSecond(per_sec))?;
        served.wait_for_detectors()?;
    }
    Ok(taken)
}

/// Everything acknowledged is in the journal, once.
fn check_kept(served: &Served, events: usize) -> Result<(), Box<dyn Error>> {
    let kept = &served.get("/metrics")?["total_events"];
    if *kept == events {
        return Ok(());
    }
    Err(format!("{kept} events are kept, not {events}").into())
}

/// Every tenth post repeats an event sent some thousand posts before.
fn repeats(binary: &Path, flood: &[&SimulatedEvent]) -> Result<(), Box<dyn Error>> {
    let distance = 1_000;
    let mut posts: Vec<&SimulatedEvent> = flood.to_vec();
    for index in (distance..posts.len()).step_by(10) {
        // Five further on stands one that is itself no repeat.
        posts[index] = flood[index - distance + 5];
    }
    let unique: HashSet<&str> = posts.iter().map(|event| event.id.as_str()).collect();
    let folder = folder()?;
    let served = Served::start(binary, folder.path())?;
    println!();
    let what = "flood, a tenth repeats";
    let taken = post(&served, what, &posts, Pace::AsFastAsAnswered)?;
    println!("  {:.2} × the goal", taken / GOAL);
    check_kept(&served, unique.len())
}

/// Posts them and tells what came of it; events a second.
fn post(
    served: &Served,
    what: &str,
    events: &[&SimulatedEvent],
    pace: Pace,
) -> Result<f64, Box<dyn Error>> {
    let posts = signed_posts(events.iter().copied());
    let (server_before, own_before) = (served.cpu(), cpu_of("self"));
    let outcome = load::run(served.addr, &posts, CONNECTIONS, pace)?;
    let (server_after, own_after) = (served.cpu(), cpu_of("self"));
    let per_event = |after: Option<Duration>, before: Option<Duration>| {
        after.zip(before).map_or(f64::NAN, |(after, before)| {
            1e6 / rate(events.len(), after - before)
        })
    };
    let per_sec = rate(events.len(), outcome.took);
    println!(
        "{what}: {} events/s; CPU an event: server {:.0} µs, generator {:.0} µs",
        thousands(per_sec),
        per_event(server_after, server_before),
        per_event(own_after, own_before),
    );
    tell_latencies(&outcome, pace);
    Ok(per_sec)
}

fn tell_latencies(outcome: &Outcome, pace: Pace) {
    let millis = |permille| outcome.permille(permille).as_secs_f64() * 1e3;
    println!(
        "  latency p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, worst {:.1} ms{}{}",
        millis(500),
        millis(990),
        millis(999),
        millis(1000),
        match pace {
            Pace::PerSecond(_) if outcome.permille(990) < GOAL_P99 => "; p99 within 50 ms",
            Pace::PerSecond(_) => "; p99 NOT within 50 ms",
            Pace::AsFastAsAnswered => "",
        },
        match outcome.duplicates {
            0 => String::new(),
            duplicates => format!("; {duplicates} answered as duplicates"),
        },
    );
}

/// Appending the same rows, events a second.
fn limit(events: &[&SimulatedEvent]) -> Result<f64, Box<dyn Error>> {
    let entry = |event: &&SimulatedEvent| {
        let envelope = read_envelope(&event.json)?;
        Ok(event_entry("default", envelope, event.json.clone()))
    };
    let entries: Vec<NewEntry> = events
        .iter()
        .map(entry)
        .collect::<Result<_, PayloadError>>()?;
    let folder = folder()?;
    let path = folder.path().join("limit.db");
    let store = Store::open(&StoreOptions::new(format!("sqlite://{}", path.display())))?;
    store.migrate()?;
    let started_at = Instant::now();
    for batch in entries.chunks(BATCH_ROWS) {
        store.append(batch, SystemClock.now())?;
    }
    let per_sec = rate(entries.len(), started_at.elapsed());
    println!(
        "\nlimit: one thread appends the same rows, {BATCH_ROWS} a batch: {} events/s",
        thousands(per_sec)
    );
    Ok(per_sec)
}

fn megabytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) / 1024.0
}
