//! The release binary on a journal of ten million events: does it take new ones as fast as on an
//! empty one, answer any page within 50 ms, and start within 2 s?
//!
//! The journal is made first: a simulated marketplace, a new one each 250 days, appended as history
//! in batches, by one thread. Then the server reads it through once (as after an upgrade), which is
//! the start without a snapshot, and is stopped in order; the next start has the snapshot. Goals:
//! ready in 2 s; each page within 50 ms; a flood of new events within 15 % of one on a new journal,
//! next to it.
//!
//! Takes 8 GB of disk and, on a quiet machine, a quarter of an hour; `LARGE_ROWS` makes it smaller.
//! `LARGE_FOLDER` names where the journal is made and left; one that is there already is used as it
//! is, also one whose making was broken off.
//!
//! `cargo build --release -p billingwatch && cargo bench -p billingwatch-benches --bench large`
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use billingwatch_benches::load::{self, Pace, signed_posts};
use billingwatch_benches::served::{Served, binary};
use billingwatch_benches::{Corpus, is_measured, rate, thousands};
use billingwatch_core::stripe::payload::read_envelope;
use billingwatch_core::time::Timestamp;
use billingwatch_pipeline::event_entry;
use billingwatch_simulator::{
    ApiShape, DeliveryModel, MerchantKind, SimulatedEvent, World, WorldConfig,
};
use billingwatch_store::{NewEntry, Store, StoreOptions};

const ROWS: usize = 10_000_000;

const GOAL_READY: Duration = Duration::from_secs(2);
const GOAL_PAGE: Duration = Duration::from_millis(50);
/// Of the rate on a new journal.
const GOAL_INGEST: f64 = 0.85;

/// The rows of a batch.
const BATCH_ROWS: usize = 4_096;

/// Events of each flood.
const FLOOD: usize = 50_000;

/// Floods on either journal, in turns.
const ROUNDS: usize = 3;

/// The source of the first event of all, and of no other.
const RARE: &str = "rare";

/// Monday 2022-01-03 00:00 UTC.
const START_AT: i64 = 1_641_168_000;

/// Days of one simulated merchant.
const DAYS: u32 = 250;

fn main() -> Result<(), Box<dyn Error>> {
    let binary = match binary() {
        Ok(binary) => binary,
        Err(reason) if is_measured() => return Err(reason.into()),
        Err(reason) => {
            println!("passed over: {reason}");
            return Ok(());
        }
    };
    let (rows, flood) = match std::env::var("LARGE_ROWS") {
        Ok(text) => (text.parse()?, FLOOD),
        Err(_) if is_measured() => (ROWS, FLOOD),
        Err(_) => (2_000, 200),
    };
    let temporary = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let chosen = std::env::var_os("LARGE_FOLDER").map(PathBuf::from);
    let folder = chosen.as_deref().unwrap_or(temporary.path());
    let file = folder.join("bench.db");
    if !file.exists() {
        fill(&file, rows)?;
    }
    let size_bytes = std::fs::metadata(&file)?.len();
    println!("{} MB on disk", thousands(megabytes(size_bytes)));
    starts(&binary, folder)?;
    pages(&binary, folder)?;
    floods(&binary, folder, flood)
}

/// So many events of the past.
fn fill(file: &Path, rows: usize) -> Result<(), Box<dyn Error>> {
    let store = Store::open(&StoreOptions::new(format!("sqlite://{}", file.display())))?;
    store.migrate()?;
    let started_at = Instant::now();
    let mut batch: Vec<NewEntry> = Vec::with_capacity(BATCH_ROWS);
    let mut kept = 0;
    let mut now = Timestamp::EPOCH;
    for merchant in 0.. {
        let world = World::new(&WorldConfig {
            seed: 100 + merchant,
            merchant: MerchantKind::Marketplace,
            shape: ApiShape::Legacy,
            start_at: START_AT + i64::try_from(merchant)? * i64::from(DAYS) * 86_400,
            days: DAYS,
            incidents: Vec::new(),
            oddities: true,
            delivery: DeliveryModel::Realistic,
        })?;
        for event in world {
            let received_at = Timestamp::from_millis(event.received_at_ms);
            now = now.max(received_at);
            let mut entry = event_entry("default", read_envelope(&event.json)?, event.json);
            entry.is_historical = true;
            if kept == 0 && batch.is_empty() {
                RARE.clone_into(&mut entry.source);
            }
            entry.received_at = Some(received_at);
            batch.push(entry);
            if batch.len() == BATCH_ROWS {
                let appended = store.append(&batch, now)?;
                kept += appended.iter().filter(|row| !row.is_duplicate).count();
                batch.clear();
            }
            if kept >= rows {
                break;
            }
        }
        if kept >= rows || !batch.is_empty() && rows < BATCH_ROWS {
            break;
        }
    }
    kept += store.append(&batch, now)?.len();
    println!(
        "made of {} events: {} events/s, simulated and appended by one thread",
        thousands(f64::from(u32::try_from(kept)?)),
        thousands(rate(kept, started_at.elapsed())),
    );
    Ok(())
}

fn starts(binary: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let served = Served::start(binary, folder)?;
    let ready = served.first_answer + served.wait_for_detectors()?;
    let kept = &served.get("/metrics")?["total_events"];
    println!(
        "start without a snapshot: first answer {:.0} ms, detectors at work {:.1} s after the start; \
         {kept} events",
        served.first_answer.as_secs_f64() * 1e3,
        ready.as_secs_f64(),
    );
    served.stop()?;
    for how in ["after an orderly stop", "after a kill"] {
        let served = Served::start(binary, folder)?;
        let ready = served.first_answer + served.wait_for_detectors()?;
        println!(
            "start with a snapshot, {how}: first answer {:.0} ms, detectors at work {:.2} s after the \
             start; {:.2} of the goal of {:.0} s; resident {:.0} MB",
            served.first_answer.as_secs_f64() * 1e3,
            ready.as_secs_f64(),
            ready.as_secs_f64() / GOAL_READY.as_secs_f64(),
            GOAL_READY.as_secs_f64(),
            served.memory_bytes("VmRSS").map_or(f64::NAN, megabytes),
        );
        // Dropped, and so killed.
    }
    Ok(())
}

/// Each kind of page, some of them from its end.
fn pages(binary: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let served = Served::start(binary, folder)?;
    served.wait_for_detectors()?;
    let newest = &served.get("/api/v1/events?limit=200")?["data"];
    let text = |index: usize, field: &str| newest[index][field].as_str().unwrap_or("").to_owned();
    let customer = (0..200)
        .map(|index| text(index, "customer_id"))
        .find(|id| !id.is_empty())
        .unwrap_or_default();
    let kinds = [
        ("newest events", "/api/v1/events?limit=200".to_owned()),
        (
            "events of a rare type",
            "/api/v1/events?limit=200&type=charge.dispute.created".to_owned(),
        ),
        (
            "events of three types",
            "/api/v1/events?limit=200&type=charge.failed,charge.succeeded,charge.refunded"
                .to_owned(),
        ),
        (
            "events of a type that never came",
            "/api/v1/events?limit=200&type=payout.failed".to_owned(),
        ),
        (
            "events of a customer",
            format!("/api/v1/events?limit=200&customer={customer}"),
        ),
        (
            "events of an object",
            format!("/api/v1/events?limit=200&object={}", text(3, "object_id")),
        ),
        (
            "events of a day long ago",
            "/api/v1/events?limit=200&since=2022-02-01T00:00:00Z&until=2022-02-02T00:00:00Z"
                .to_owned(),
        ),
        (
            "events of a type, long ago",
            "/api/v1/events?limit=200&type=charge.failed&until=2022-02-01T00:00:00Z".to_owned(),
        ),
        (
            "events of a source that there is not",
            "/api/v1/events?limit=200&source=nobody".to_owned(),
        ),
        (
            "events in test mode",
            "/api/v1/events?limit=200&livemode=false".to_owned(),
        ),
        (
            "events of an account that there is not",
            "/api/v1/events?limit=200&account=acct_0".to_owned(),
        ),
        (
            "events of a source that sent one, at first",
            format!("/api/v1/events?limit=200&source={RARE}"),
        ),
        (
            "a type, of a customer that has none",
            format!("/api/v1/events?limit=200&type=payout.failed&customer={customer}"),
        ),
        ("one event", format!("/api/v1/events/{}", text(7, "id"))),
        ("alerts", "/api/v1/alerts?limit=200".to_owned()),
        (
            "suppressed findings",
            "/api/v1/suppressed?limit=200".to_owned(),
        ),
        ("metrics", "/metrics".to_owned()),
        ("metrics of a week", "/metrics?window_hours=168".to_owned()),
    ];
    for (what, path) in &kinds {
        let mut took = Vec::new();
        for _ in 0..20 {
            let started_at = Instant::now();
            served.get(path)?;
            took.push(started_at.elapsed());
        }
        tell_pages(what, took);
    }
    // From page to page, as somebody who looks for something.
    let mut took = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..50 {
        let from = cursor.map_or_else(String::new, |cursor| format!("&after={cursor}"));
        let started_at = Instant::now();
        let page = served.get(&format!(
            "/api/v1/events?limit=200&type=charge.failed{from}"
        ))?;
        took.push(started_at.elapsed());
        cursor = page["next_cursor"].as_str().map(str::to_owned);
    }
    tell_pages("fifty pages on end", took);
    Ok(())
}

fn tell_pages(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let millis = |index: usize| {
        took.get(index)
            .map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
    };
    let worst = millis(took.len() - 1);
    let verdict = if worst <= GOAL_PAGE.as_secs_f64() * 1e3 {
        "within"
    } else {
        "NOT within"
    };
    println!(
        "{what:<42} median {:>7.1} ms, worst {worst:>7.1} ms: {verdict} the goal",
        millis(took.len() / 2),
    );
}

/// Floods on this journal and on new ones, in turns.
fn floods(binary: &Path, folder: &Path, flood: usize) -> Result<(), Box<dyn Error>> {
    let days = if flood == FLOOD { 20 } else { 1 };
    let corpus = Corpus::marketplace(days)?;
    let large = Served::start(binary, folder)?;
    large.wait_for_detectors()?;
    // Not those of an earlier run on the same journal: nothing is written for a repeat.
    let is_new = |event: &SimulatedEvent| {
        let path = format!("/api/v1/events/{}", event.id);
        large.get(&path).is_err()
    };
    let parts = corpus.events.chunks(flood);
    let parts = parts.filter(|part| part.last().is_some_and(is_new));
    let mut ratios = Vec::new();
    for part in parts.take(ROUNDS) {
        let posted = |served: &Served| -> Result<f64, Box<dyn Error>> {
            let posts = signed_posts(part.iter());
            let outcome = load::run(served.addr, &posts, 128, Pace::AsFastAsAnswered)?;
            served.wait_for_detectors()?;
            Ok(rate(posts.len(), outcome.took))
        };
        let new = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let on_new = posted(&Served::start(binary, new.path())?)?;
        let on_large = posted(&large)?;
        println!(
            "flood of {}: {} events/s on a new journal, {} on the large one",
            part.len(),
            thousands(on_new),
            thousands(on_large)
        );
        ratios.push(on_large / on_new);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    println!(
        "of the rate on a new journal: median {:.2} (goal {GOAL_INGEST})",
        ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
    );
    Ok(())
}

fn megabytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1_000_000).unwrap_or(u32::MAX))
}
