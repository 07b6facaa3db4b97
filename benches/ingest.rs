//! Signed events into the durable SQLite journal of the release binary, over HTTP, with the load
//! generator on the same machine: how many a second, and how long each waits at half that.
//!
//! The limit: one thread that appends the same rows to the same schema in full batches, with no
//! HTTP, no signatures, no detectors and nobody waiting for an answer. Goals: 0.6 of the limit, and
//! 12,000 events a second where the limit is 20,000; at half the rate p99 of 20 ms and one fsync;
//! from 64 senders, a tenth of the posts repeats, while somebody pages through all events, three
//! quarters of the rate.
//!
//! `cargo build --release -p billingwatch && cargo bench -p billingwatch-benches --bench ingest`
//!
//! With `BILLINGWATCH_TEST_POSTGRES_URL` (a server on which databases may be made, and are dropped
//! again) each round also floods a PostgreSQL journal, beside a limit of its own; `INGEST_ONLY`
//! passes over the other backend (`sqlite`, `postgresql`).
//!
//! `INGEST_ROUNDS` and `INGEST_FLOOD` (events) make it shorter or longer; `BILLINGWATCH_BIN=OLD:NEW`
//! holds two versions against each other in turns.
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::collections::HashSet;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use billingwatch_benches::load::{self, Outcome, Pace, signed_posts};
use billingwatch_benches::served::{Served, binaries, cpu_of};
use billingwatch_benches::{Corpus, is_measured, rate, thousands};
use billingwatch_core::stripe::payload::{PayloadError, read_envelope};
use billingwatch_pipeline::{Clock, SystemClock, event_entry};
use billingwatch_simulator::SimulatedEvent;
use billingwatch_store::{NewEntry, Store, StoreOptions, testing};

/// Of the limit.
const GOAL_SHARE: f64 = 0.6;

/// Of 99 posts in 100, at half the rate, beside one fsync.
const GOAL_P99: Duration = Duration::from_millis(20);

/// Of the rate, with repeats and a reader.
const GOAL_BUSY: f64 = 0.75;

/// Events a second at which versions are held against each other.
const PACED: u32 = 5_000;

/// Stripe delivers over many connections at once, and a group commit needs a group.
const CONNECTIONS: usize = 128;

/// Senders beside whom somebody reads.
const BUSY_CONNECTIONS: usize = 64;

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
            rounds: chosen("INGEST_ROUNDS", 3)?,
            flood: chosen("INGEST_FLOOD", 150_000)?,
            paced_secs: u32::try_from(chosen("INGEST_PACED_SECS", 20)?)?,
        }
    } else {
        Plan {
            days: 2,
            rounds: 1,
            flood: 2_000,
            paced_secs: 1,
        }
    };
    let binaries = match binaries() {
        Ok(binaries) => binaries,
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

    let mut figures: Vec<Figures> = binaries.iter().map(|_| Figures::default()).collect();
    let only = std::env::var("INGEST_ONLY").ok();
    for _ in 0..plan.rounds {
        for (binary, figures) in binaries.iter().zip(&mut figures) {
            println!("\n{}", binary.display());
            // Next to each other, so that whatever else the machine does slows both.
            if only.as_deref() != Some("postgresql") {
                let limit = limit_on_sqlite(flood)?;
                round(binary, flood, rest, &plan, limit, figures)?;
            }
            if only.as_deref() != Some("sqlite") {
                on_postgresql(binary, flood, figures)?;
            }
        }
    }
    println!();
    for (binary, figures) in binaries.iter().zip(&mut figures) {
        println!("{}", binary.display());
        figures.tell();
    }
    Ok(())
}

/// A number that the environment may choose.
fn chosen(name: &str, default: usize) -> Result<usize, Box<dyn Error>> {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .map_err(|error| format!("{name}={text}: {error}").into()),
        Err(_) => Ok(default),
    }
}

/// What the rounds of one binary came to.
#[derive(Default)]
struct Figures {
    /// Events a second, and as a share of the limit.
    flood: Vec<f64>,
    share: Vec<f64>,
    /// Milliseconds.
    p99_paced: Vec<f64>,
    p99_half: Vec<f64>,
    /// Of the flood's rate.
    busy: Vec<f64>,
    /// As the first two.
    postgresql: Vec<f64>,
    postgresql_share: Vec<f64>,
}

impl Figures {
    fn tell(&mut self) {
        for (what, values, is_up) in [
            ("flood, events/s", &mut self.flood, true),
            ("flood, of the limit", &mut self.share, true),
            ("p99 at a fixed rate, ms", &mut self.p99_paced, false),
            ("p99 at half the flood, ms", &mut self.p99_half, false),
            (
                "with repeats and a reader, of the flood",
                &mut self.busy,
                true,
            ),
            ("PostgreSQL: flood, events/s", &mut self.postgresql, true),
            (
                "PostgreSQL: flood, of the limit",
                &mut self.postgresql_share,
                true,
            ),
        ] {
            if values.is_empty() {
                continue;
            }
            values.sort_unstable_by(f64::total_cmp);
            if is_up {
                values.reverse();
            }
            let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
            println!(
                "  {what:<40} best {:>9.2}, median {:>9.2}, worst {:>9.2}",
                at(0),
                at(values.len() / 2),
                at(values.len().saturating_sub(1)),
            );
        }
    }
}

/// A folder on the disk that the build is on: a journal in memory would prove nothing.
fn folder() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
}

/// As many as can be taken; then at a fixed rate, and at half of what was taken; then from fewer
/// senders with repeats, while somebody reads.
fn round(
    binary: &Path,
    flood: &[&SimulatedEvent],
    rest: &[&SimulatedEvent],
    plan: &Plan,
    limit: f64,
    figures: &mut Figures,
) -> Result<(), Box<dyn Error>> {
    let folder = folder()?;
    let fsync = fsync(folder.path())?;
    println!(
        "fsync of 64 KB: median {:.1} ms, p99 {:.1} ms",
        fsync.0.as_secs_f64() * 1e3,
        fsync.1.as_secs_f64() * 1e3
    );
    let served = Served::start(binary, folder.path())?;
    let (taken, _) = post(&served, "flood", flood, CONNECTIONS, Pace::AsFastAsAnswered)?;
    let behind = served.wait_for_detectors()?;
    println!(
        "  {:.2} of the limit (goal {GOAL_SHARE}); detectors caught up {:.2} s after the last answer; \
         memory at most {:.1} MB",
        taken / limit,
        behind.as_secs_f64(),
        served.memory_bytes("VmHWM").map_or(f64::NAN, megabytes),
    );
    figures.flood.push(taken);
    figures.share.push(taken / limit);
    check_kept(&served, flood.len())?;

    let mut rest = rest.iter();
    let half = format!("{:.0}", taken / 2.0).parse::<u32>()?;
    for (per_sec, kept) in [
        (PACED, &mut figures.p99_paced),
        (half, &mut figures.p99_half),
    ] {
        let len = usize::try_from(per_sec * plan.paced_secs)?.min(rest.len());
        let paced: Vec<&SimulatedEvent> = rest.by_ref().take(len).copied().collect();
        let what = format!("paced: {}/s", thousands(f64::from(per_sec)));
        let pace = Pace::PerSecond(per_sec);
        let (_, p99) = post(&served, &what, &paced, CONNECTIONS, pace)?;
        let goal = GOAL_P99 + fsync.0;
        println!(
            "  p99 is {:.2} of the goal of {:.1} ms",
            p99.as_secs_f64() / goal.as_secs_f64(),
            goal.as_secs_f64() * 1e3,
        );
        kept.push(p99.as_secs_f64() * 1e3);
        served.wait_for_detectors()?;
    }
    drop(served);
    let busy = busy(binary, flood)?;
    println!(
        "  {:.2} of the flood before (goal {GOAL_BUSY})",
        busy / taken
    );
    figures.busy.push(busy / taken);
    Ok(())
}

/// How long one fsync of a short log takes here and now: the median, and 99 of 100.
fn fsync(folder: &Path) -> Result<(Duration, Duration), Box<dyn Error>> {
    let mut file = std::fs::File::create(folder.join("fsync"))?;
    let block = [7_u8; 65_536];
    let mut took = Vec::new();
    for _ in 0..200 {
        file.write_all(&block)?;
        let started_at = Instant::now();
        file.sync_data()?;
        took.push(started_at.elapsed());
    }
    took.sort_unstable();
    Ok((took[100], took[198]))
}

/// Everything acknowledged is in the journal, once.
fn check_kept(served: &Served, events: usize) -> Result<(), Box<dyn Error>> {
    let kept = &served.get("/metrics")?["total_events"];
    if *kept == events {
        return Ok(());
    }
    Err(format!("{kept} events are kept, not {events}").into())
}

/// From fewer senders, every tenth post a repeat of an event sent some thousand posts before, while
/// somebody pages through all events, newest first and as fast as pages come; events a second.
fn busy(binary: &Path, flood: &[&SimulatedEvent]) -> Result<f64, Box<dyn Error>> {
    let distance = 1_000;
    let mut posts: Vec<&SimulatedEvent> = flood.to_vec();
    for index in (distance..posts.len()).step_by(10) {
        // Five further on stands one that is itself no repeat.
        posts[index] = flood[index - distance + 5];
    }
    let unique: HashSet<&str> = posts.iter().map(|event| event.id.as_str()).collect();
    let folder = folder()?;
    let served = Served::start(binary, folder.path())?;
    let is_over = AtomicBool::new(false);
    let (taken, pages) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| page_through(&served, &is_over));
        let what = "flood, a tenth repeats, somebody reads";
        let pace = Pace::AsFastAsAnswered;
        let taken = post(&served, what, &posts, BUSY_CONNECTIONS, pace).map(|(taken, _)| taken);
        is_over.store(true, Ordering::Relaxed);
        let pages = reader.join().unwrap_or_else(|_| Err("it panicked".into()));
        (taken.map_err(|error| error.to_string()), pages)
    });
    println!("  {} pages of 100 events read meanwhile", pages?);
    let taken = taken?;
    check_kept(&served, unique.len())?;
    Ok(taken)
}

/// Pages of events, from the newest back and then again, until told to end; how many.
fn page_through(served: &Served, is_over: &AtomicBool) -> Result<usize, String> {
    let mut pages = 0;
    let mut cursor: Option<String> = None;
    while !is_over.load(Ordering::Relaxed) {
        let from = cursor.map_or_else(String::new, |cursor| format!("&after={cursor}"));
        let page = served.get(&format!("/api/v1/events?limit=100{from}"))?;
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        pages += 1;
    }
    Ok(pages)
}

/// Posts them and tells what came of it: events a second, and the p99 of their latencies.
fn post(
    served: &Served,
    what: &str,
    events: &[&SimulatedEvent],
    connections: usize,
    pace: Pace,
) -> Result<(f64, Duration), Box<dyn Error>> {
    let posts = signed_posts(events.iter().copied());
    let (server_before, own_before) = (served.cpu(), cpu_of("self"));
    let outcome = load::run(served.addr, &posts, connections, pace)?;
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
    tell_latencies(&outcome);
    Ok((per_sec, outcome.permille(990)))
}

fn tell_latencies(outcome: &Outcome) {
    let millis = |permille| outcome.permille(permille).as_secs_f64() * 1e3;
    println!(
        "  latency p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, worst {:.1} ms{}{}",
        millis(500),
        millis(990),
        millis(999),
        millis(1000),
        match outcome.duplicates {
            0 => String::new(),
            duplicates => format!("; {duplicates} answered as duplicates"),
        },
        match outcome.refused {
            0 => String::new(),
            refused => format!("; {refused} answers of 503, sent again"),
        },
    );
}

/// The limit and the flood again, on the PostgreSQL server that the environment names.
fn on_postgresql(
    binary: &Path,
    flood: &[&SimulatedEvent],
    figures: &mut Figures,
) -> Result<(), Box<dyn Error>> {
    let Some(store) = testing::postgresql() else {
        return Ok(());
    };
    let limit = limit(&store, flood)?;
    drop(store);
    let Some(store) = testing::postgresql() else {
        return Ok(());
    };
    let folder = folder()?;
    let settings = [("DATABASE_URL", store.options().url.as_str())];
    let served = Served::start_with(binary, folder.path(), &settings)?;
    let what = "flood on PostgreSQL";
    let (taken, _) = post(&served, what, flood, CONNECTIONS, Pace::AsFastAsAnswered)?;
    let behind = served.wait_for_detectors()?;
    println!(
        "  {:.2} of the limit (goal {GOAL_SHARE}); detectors caught up {:.2} s after the last answer",
        taken / limit,
        behind.as_secs_f64(),
    );
    check_kept(&served, flood.len())?;
    figures.postgresql.push(taken);
    figures.postgresql_share.push(taken / limit);
    Ok(())
}

/// Appending the same rows to a new SQLite journal, events a second.
fn limit_on_sqlite(events: &[&SimulatedEvent]) -> Result<f64, Box<dyn Error>> {
    let folder = folder()?;
    let path = folder.path().join("limit.db");
    let store = Store::open(&StoreOptions::new(format!("sqlite://{}", path.display())))?;
    store.migrate()?;
    limit(&store, events)
}

/// Appending the same rows, events a second.
fn limit(store: &Store, events: &[&SimulatedEvent]) -> Result<f64, Box<dyn Error>> {
    let entry = |event: &&SimulatedEvent| {
        let envelope = read_envelope(&event.json)?;
        Ok(event_entry("default", envelope, event.json.clone()))
    };
    let entries: Vec<NewEntry> = events
        .iter()
        .map(entry)
        .collect::<Result<_, PayloadError>>()?;
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
