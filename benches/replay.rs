//! `billingwatch replay` of a file, the release binary as a process on one core: reading, parsing,
//! the engine with all detectors, the report.
//!
//! The limit: reading the same lines and parsing each event, and nothing else. Goal: 250,000 events
//! a second.
//!
//! `cargo build --release -p billingwatch && cargo bench -p billingwatch-benches --bench replay`
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use billingwatch_benches::served::{binary, cpu_of_children};
use billingwatch_benches::{best_of, is_measured, rate, row, thousands};
use billingwatch_core::stripe::payload::parse_event;
use billingwatch_core::time::Timestamp;
use billingwatch_simulator::{ApiShape, DeliveryModel, MerchantKind, World, WorldConfig};

/// Events a second on one core.
const GOAL: f64 = 250_000.0;

/// Monday 2024-01-01 00:00 UTC.
const START_AT: i64 = 1_704_067_200;

fn main() -> Result<(), Box<dyn Error>> {
    let binary = match binary() {
        Ok(binary) => binary,
        Err(reason) if is_measured() => return Err(reason.into()),
        Err(reason) => {
            println!("passed over: {reason}");
            return Ok(());
        }
    };
    let (rounds, marketplace_days, saas_days) = if is_measured() {
        (3, 50, 330)
    } else {
        (1, 1, 2)
    };
    for (name, merchant, shape, days) in [
        (
            "marketplace",
            MerchantKind::Marketplace,
            ApiShape::Legacy,
            marketplace_days,
        ),
        ("saas", MerchantKind::Saas, ApiShape::Basil, saas_days),
    ] {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let file = folder.path().join("events.jsonl");
        let events = write_file(&file, merchant, shape, days)?;
        let size_bytes = std::fs::metadata(&file)?.len();
        println!(
            "\n{name}: {} events in {days} days, {} bytes each on average",
            thousands(f64::from(u32::try_from(events)?)),
            size_bytes / u64::try_from(events)?.max(1)
        );
        println!(
            "{:<34} {:>12} {:>12} {:>9}",
            "", "events/s", "per event", "of limit"
        );
        let limit = best_of(rounds, || (), |()| parse_lines(&file).unwrap_or_default());
        println!("{}", row("limit: read and parse", events, limit, None));
        let mut runs = Vec::new();
        for _ in 0..rounds {
            runs.push(replay(&binary, folder.path(), events)?);
        }
        runs.sort_unstable();
        for (on_core, took) in &runs {
            let what = format!("replay ({:.2} s by the clock)", took.as_secs_f64());
            println!("{}", row(&what, events, *on_core, Some(limit)));
        }
        let best = runs
            .first()
            .map(|(on_core, _)| *on_core)
            .unwrap_or_default();
        println!(
            "replay: {:.2} × the goal of {}",
            rate(events, best) / GOAL,
            thousands(GOAL)
        );
    }
    Ok(())
}

/// A line an event, as `GET /v1/events` and webhooks have them; how many.
fn write_file(
    path: &Path,
    merchant: MerchantKind,
    shape: ApiShape,
    days: u32,
) -> Result<usize, Box<dyn Error>> {
    let world = World::new(&WorldConfig {
        seed: 1,
        merchant,
        shape,
        start_at: START_AT,
        days,
        incidents: Vec::new(),
        oddities: true,
        delivery: DeliveryModel::Realistic,
    })?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut events = 0;
    for event in world {
        let at_ms = event.received_at_ms;
        write!(
            out,
            "{{\"received_at\":{}.{:03},\"event\":",
            at_ms.div_euclid(1000),
            at_ms.rem_euclid(1000)
        )?;
        out.write_all(&event.json)?;
        out.write_all(b"}\n")?;
        events += 1;
    }
    out.flush()?;
    Ok(events)
}

/// Parses each line's event, which stands behind the first `"event":`.
fn parse_lines(path: &Path) -> std::io::Result<usize> {
    let mut input = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut line = Vec::new();
    let mut events = 0;
    let key = b"\"event\":";
    while input.read_until(b'\n', &mut line)? > 0 {
        let start = line.windows(key.len()).position(|window| window == key);
        let from = start.map_or(0, |start| start + key.len());
        let body = line.get(from..line.len() - 2).unwrap_or_default();
        let parsed = black_box(parse_event(body, Timestamp::from_secs(START_AT)));
        events += usize::from(parsed.is_ok());
        line.clear();
    }
    Ok(events)
}

/// One run pinned to one core where `taskset` is: CPU time (or else by the clock), and by the clock.
fn replay(
    binary: &Path,
    folder: &Path,
    events: usize,
) -> Result<(Duration, Duration), Box<dyn Error>> {
    let mut command = if has_taskset() {
        let mut command = Command::new("taskset");
        command.args(["-c", "1"]).arg(binary);
        command
    } else {
        Command::new(binary)
    };
    let cpu_before = cpu_of_children();
    let started_at = Instant::now();
    let output = command
        .args(["replay", "events.jsonl"])
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let took = started_at.elapsed();
    let on_core = cpu_of_children()
        .zip(cpu_before)
        .map_or(took, |(after, before)| after - before);
    let told = String::from_utf8_lossy(&output.stdout);
    let expected = format!(
        "{} events in ",
        thousands(f64::from(u32::try_from(events)?))
    );
    if !output.status.success() || !told.contains(&expected) {
        return Err(format!("{}: {told}", output.status).into());
    }
    Ok((on_core, took))
}

fn has_taskset() -> bool {
    let tried = Command::new("taskset")
        .args(["-c", "1", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}
