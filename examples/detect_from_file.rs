//! Events in a file, a line each; alerts out. A replay in sixty lines.
//!
//! `cargo run -p billingwatch-examples --example detect_from_file -- events.jsonl`
//!
//! `-` reads standard input, and without a file it makes up a merchant for itself: six weeks of a
//! small subscription business in which a few things go wrong. Time is the file's own: each event
//! is taken to arrive when Stripe made it, so lag cannot be seen. The product's `billingwatch
//! replay` does the same with receive times, gzip, list pages and settings.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example tells what it does"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Read};

use billingwatch_core::engine::{Engine, Input, Record, Registry};
use billingwatch_core::stripe::payload::{parse_event, read_envelope};
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_examples::tell;
use billingwatch_simulator::{
    ApiShape, DeliveryModel, IncidentKind, IncidentPlan, MerchantKind, Strength, World, WorldConfig,
};

/// The longest line read, in bytes: what is longer is no event of Stripe's.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let mut input: Box<dyn BufRead> = match std::env::args().nth(1).as_deref() {
        None => {
            println!("No file given: six weeks of a made-up merchant instead.\n");
            Box::new(std::io::Cursor::new(made_up()?))
        }
        Some("-") => Box::new(std::io::stdin().lock()),
        Some(path) => Box::new(BufReader::new(std::fs::File::open(path)?)),
    };

    let mut engine = Engine::new(Registry::standard());
    let (mut number, mut taken, mut bad) = (0_u64, 0_u64, 0_u64);
    let mut fired: BTreeMap<String, u64> = BTreeMap::new();
    let mut tell_changes = |engine: &mut Engine| {
        for change in engine.take_changes() {
            print!("{}", tell(&change));
            if change.alert.revision == 1 {
                *fired.entry(change.alert.detector).or_default() += 1;
            }
        }
    };
    let mut line = Vec::new();
    while input
        .by_ref()
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut line)?
        > 0
    {
        number += 1;
        match read(&line) {
            Ok(Some(record)) => {
                engine.apply(&record);
                taken += 1;
            }
            Ok(None) => {}
            // One bad line is no reason to give up on a file of millions.
            Err(error) => {
                eprintln!("line {number}: {error}");
                bad += 1;
            }
        }
        tell_changes(&mut engine);
        line.clear();
    }
    // What only time brings to light after the last event: an hour lets the last minutes settle.
    engine.advance_to(engine.now() + Span::hours(1));
    tell_changes(&mut engine);

    println!("\n{taken} events taken in, {bad} bad lines. Alerts by detector:");
    for (detector, count) in &fired {
        println!("  {count:>4} {detector}");
    }
    println!("{} still open.", engine.open_alerts().count());
    Ok(())
}

/// A line as a record; none where it is empty.
fn read(line: &[u8]) -> Result<Option<Record>, Box<dyn Error>> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let created = read_envelope(line)?.created;
    let received_at = created.ok_or("an event without `created` has no place in time")?;
    let event = parse_event(line, received_at)?;
    Ok(Some(Record {
        received_at,
        source: "file".into(),
        is_historical: false,
        input: Input::Event(Box::new(event)),
    }))
}

/// What such a file looks like.
fn made_up() -> Result<Vec<u8>, Box<dyn Error>> {
    let monday = Timestamp::from_secs(1_704_067_200);
    let incidents = [
        (IncidentKind::DuplicateCharge, 16),
        (IncidentKind::NegativeInvoice, 22),
        (IncidentKind::ChargeFailureSpike, 29),
        (IncidentKind::FraudSpike, 36),
    ];
    let plan = |(kind, day)| IncidentPlan {
        kind,
        at: (monday + Span::days(day) + Span::hours(15)).as_secs(),
        strength: Strength::Clear,
    };
    let world = World::new(&WorldConfig {
        seed: 11,
        merchant: MerchantKind::SmallSaas,
        shape: ApiShape::Basil,
        start_at: monday.as_secs(),
        days: 42,
        incidents: incidents.into_iter().map(plan).collect(),
        oddities: true,
        delivery: DeliveryModel::Perfect,
    })?;
    let mut lines = Vec::new();
    for event in world {
        lines.extend(event.json);
        lines.push(b'\n');
    }
    Ok(lines)
}
