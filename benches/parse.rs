//! Reading what Stripe sends, one core: the signature, the envelope, the whole event.
//!
//! The limit of reading is `serde_json` passing over the same bytes and keeping nothing; that of
//! the signature is its HMAC-SHA256 alone.
//!
//! `cargo bench -p billingwatch-benches --bench parse`
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::hint::black_box;
use std::time::Duration;

use billingwatch_benches::{Corpus, best_of, is_measured, rate, row, thousands};
use billingwatch_core::stripe::payload::{parse_event, read_envelope};
use billingwatch_core::stripe::signature::{Secret, Tolerance, sign, verify};
use billingwatch_core::time::Timestamp;
use billingwatch_simulator::SimulatedEvent;
use serde::de::IgnoredAny;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let is_measured = is_measured();
    let rounds = if is_measured { 5 } else { 1 };
    let corpora = if is_measured {
        [Corpus::saas(20)?, Corpus::marketplace(3)?]
    } else {
        [Corpus::saas(1)?, Corpus::marketplace(1)?]
    };
    for corpus in &corpora {
        let events = &corpus.events;
        let size_bytes = u32::try_from(corpus.size_bytes())?;
        let count = u32::try_from(events.len())?;
        println!(
            "\n{}: {} events, {} bytes each on average",
            corpus.name,
            thousands(f64::from(count)),
            size_bytes / count.max(1),
        );
        println!(
            "{:<34} {:>12} {:>12} {:>9}",
            "", "events/s", "per event", "of limit"
        );
        read(rounds, events, f64::from(size_bytes));
        check(rounds, events)?;
    }
    Ok(())
}

fn read(rounds: u32, events: &[SimulatedEvent], size_bytes: f64) {
    let over = |work: &dyn Fn(&SimulatedEvent)| time(rounds, events, work);
    let limit = over(&|event| {
        let _ = black_box(serde_json::from_slice::<IgnoredAny>(&event.json));
    });
    let envelope = over(&|event| {
        let _ = black_box(read_envelope(&event.json));
    });
    let whole = over(&|event| {
        let received_at = Timestamp::from_millis(event.received_at_ms);
        let _ = black_box(parse_event(&event.json, received_at));
    });
    println!(
        "{}",
        row("limit: pass over the JSON", events.len(), limit, None)
    );
    println!(
        "{}",
        row("read_envelope", events.len(), envelope, Some(limit))
    );
    println!("{}", row("parse_event", events.len(), whole, Some(limit)));
    let megabytes = size_bytes / 1e6 / whole.as_secs_f64();
    println!(
        "parse_event: {megabytes:.0} MB/s, {:.2} × 500,000 events a second",
        { rate(events.len(), whole) / 500_000.0 }
    );
}

fn check(rounds: u32, events: &[SimulatedEvent]) -> Result<(), Box<dyn std::error::Error>> {
    let secrets = [Secret::new("whsec_bench")];
    let headers: Vec<String> = events
        .iter()
        .map(|event| {
            let at = Timestamp::from_millis(event.received_at_ms);
            sign(&secrets[0], at, &event.json)
        })
        .collect();
    let signed: Vec<(&SimulatedEvent, &String)> = events.iter().zip(&headers).collect();
    let limit = time(rounds, events, &|event| {
        // Signing is one HMAC and the writing of a header of ninety bytes.
        let at = Timestamp::from_millis(event.received_at_ms);
        black_box(sign(&secrets[0], at, &event.json));
    });
    let verified = time(rounds, &signed, &|(event, header)| {
        let now = Timestamp::from_millis(event.received_at_ms);
        let header = Some(header.as_bytes());
        let _ = black_box(verify(
            header,
            &event.json,
            &secrets,
            Tolerance::DEFAULT,
            now,
        ));
    });
    println!(
        "{}",
        row("limit: HMAC-SHA256 of the body", events.len(), limit, None)
    );
    println!(
        "{}",
        row("signature::verify", events.len(), verified, Some(limit))
    );
    let (event, header) = signed.first().ok_or("an empty world")?;
    let now = Timestamp::from_millis(event.received_at_ms);
    verify(
        Some(header.as_bytes()),
        &event.json,
        &secrets,
        Tolerance::DEFAULT,
        now,
    )?;
    Ok(())
}

fn time<T>(rounds: u32, items: &[T], work: &dyn Fn(&T)) -> Duration {
    best_of(
        rounds,
        || (),
        |()| {
            for item in items {
                work(item);
            }
        },
    )
}
