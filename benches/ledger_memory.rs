//! What the engine keeps in memory of each live subscription and of each remembered payment.
//!
//! Goals: 400 bytes a subscription at a million of them, 120 bytes a payment at ten millions, which
//! is what the ledger remembers at most. Counted is what the process takes more of the machine's
//! memory (`VmRSS`) after the events than before them: with the ids of events, the allocator's own
//! needs, and room that is held and not used. Each line is a process of its own, so that no line
//! fills room that another left. On systems without `/proc` there is nothing to tell.
//!
//! `cargo bench -p billingwatch-benches --bench ledger_memory`
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::error::Error;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use billingwatch_benches::{is_measured, rate, thousands};
use billingwatch_core::engine::{Applied, Engine, Input, Record, Registry};
use billingwatch_core::stripe::payload::parse_event;
use billingwatch_core::time::{Span, Timestamp};

/// Monday 2024-01-01 00:00 UTC.
const START_AT: Timestamp = Timestamp::from_secs(1_704_067_200);

const SUBSCRIPTIONS: u32 = 1_000_000;
const PAYMENTS: u32 = 10_000_000;

/// Bytes.
const GOAL_SUBSCRIPTION: u64 = 400;
/// Bytes.
const GOAL_PAYMENT: u64 = 120;

/// Names the line that a process of this program is to measure.
const LINE: &str = "LEDGER_MEMORY_LINE";

/// A line of the table.
struct Line {
    what: &'static str,
    /// What there are so many of.
    subjects: u32,
    goal: Option<u64>,
    has_detectors: bool,
    /// The events of one subject.
    events: &'static [fn(u32, Timestamp) -> String],
    /// From one subject to the next.
    apart: Span,
}

/// All subscriptions are met within a day and all payments within a hundred: what ages meanwhile is
/// not what is measured.
const LINES: [Line; 6] = [
    Line {
        what: "subscription, ledger alone",
        subjects: SUBSCRIPTIONS,
        goal: Some(GOAL_SUBSCRIPTION),
        has_detectors: false,
        events: &[subscription_event],
        apart: Span::millis(86),
    },
    Line {
        what: "subscription, with all detectors",
        subjects: SUBSCRIPTIONS,
        goal: Some(GOAL_SUBSCRIPTION),
        has_detectors: true,
        events: &[subscription_event],
        apart: Span::millis(86),
    },
    Line {
        what: "…and its first invoice, paid",
        subjects: SUBSCRIPTIONS,
        goal: None,
        has_detectors: true,
        events: &[subscription_event, invoice_event],
        apart: Span::millis(86),
    },
    Line {
        what: "payment, ledger alone",
        subjects: PAYMENTS / 10,
        goal: Some(GOAL_PAYMENT),
        has_detectors: false,
        events: &[charge_event],
        apart: Span::millis(864),
    },
    Line {
        what: "payment, ledger alone",
        subjects: PAYMENTS,
        goal: Some(GOAL_PAYMENT),
        has_detectors: false,
        events: &[charge_event],
        apart: Span::millis(864),
    },
    Line {
        what: "payment, with all detectors",
        subjects: PAYMENTS,
        goal: Some(GOAL_PAYMENT),
        has_detectors: true,
        events: &[charge_event],
        apart: Span::millis(864),
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    if let Ok(index) = std::env::var(LINE) {
        let line = LINES.get(index.parse::<usize>()?).ok_or("no such line")?;
        return measure(line);
    }
    let flag = if is_measured() { "--bench" } else { "--test" };
    for index in 0..LINES.len() {
        let status = Command::new(std::env::current_exe()?)
            .arg(flag)
            .env(LINE, index.to_string())
            .status()?;
        if !status.success() {
            return Err(format!("line {index}: {status}").into());
        }
    }
    Ok(())
}

fn measure(line: &Line) -> Result<(), Box<dyn Error>> {
    let subjects = if is_measured() {
        line.subjects
    } else {
        line.subjects / 1_000
    };
    let registry = if line.has_detectors {
        Registry::standard()
    } else {
        Registry::new(Vec::new())
    };
    let mut engine = Engine::new(registry);
    let source: Arc<str> = "default".into();
    let mut at = START_AT;
    let before = resident_bytes();
    let started_at = Instant::now();
    for subject in 0..subjects {
        at = at + line.apart;
        for body in line.events {
            let event = parse_event(body(subject, at).as_bytes(), at)?;
            let record = Record {
                received_at: at,
                source: source.clone(),
                is_historical: false,
                input: Input::Event(Box::new(event)),
            };
            if engine.apply(&record) != Applied::New {
                return Err(format!("{}: subject {subject} was not taken in", line.what).into());
            }
        }
        if subject % 512 == 0 {
            engine.take_changes();
            engine.take_updates();
            engine.take_suppressed();
        }
    }
    let took = started_at.elapsed();
    let (Some(before), Some(after)) = (before, resident_bytes()) else {
        println!("{}: not known on this system", line.what);
        return Ok(());
    };
    let each = after.saturating_sub(before) / u64::from(subjects.max(1));
    let goal = line.goal.map_or_else(String::new, |goal| {
        let verdict = if each <= goal { "within" } else { "NOT within" };
        format!("; {verdict} the goal of {goal}")
    });
    let events = usize::try_from(subjects)? * line.events.len();
    println!(
        "{:<34} {:>12}: {each:>5} bytes each{goal} ({} events/s, parse included)",
        line.what,
        thousands(f64::from(subjects)),
        thousands(rate(events, took)),
    );
    // Alive until here.
    drop(engine);
    Ok(())
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// An event around an object.
fn event(kind: &str, subject: u32, at: Timestamp, object: &str) -> String {
    let digest = subject.wrapping_mul(2_654_435_761);
    format!(
        r#"{{"id":"evt_1Pqk{digest:010}{}{subject:010}","object":"event","api_version":"2025-03-31.basil","created":{},"livemode":true,"type":"{kind}","request":{{"id":"req_1","idempotency_key":null}},"data":{{"object":{object}}}}}"#,
        kind.len(),
        at.as_secs(),
    )
}

/// Met in the middle of a paid month, so that its next payment is foretold.
fn subscription_event(subject: u32, at: Timestamp) -> String {
    let (from, until) = (at.as_secs() - 86_400 * 10, at.as_secs() + 86_400 * 20);
    let object = format!(
        r#"{{"id":"sub_1Pqk{subject:020}","object":"subscription","customer":"cus_{subject:014}","status":"active","currency":"usd","collection_method":"charge_automatically","cancel_at_period_end":false,"items":{{"object":"list","data":[{{"id":"si_1","quantity":1,"current_period_start":{from},"current_period_end":{until},"price":{{"id":"price_1","unit_amount":4900,"currency":"usd","recurring":{{"interval":"month","interval_count":1,"usage_type":"licensed"}}}}}}]}}}}"#
    );
    event("customer.subscription.updated", subject, at, &object)
}

fn invoice_event(subject: u32, at: Timestamp) -> String {
    let (from, until) = (at.as_secs() - 86_400 * 10, at.as_secs() + 86_400 * 20);
    let object = format!(
        r#"{{"id":"in_1Pqk{subject:020}","object":"invoice","customer":"cus_{subject:014}","status":"paid","currency":"usd","total":4900,"amount_due":4900,"amount_paid":4900,"billing_reason":"subscription_cycle","created":{from},"parent":{{"type":"subscription_details","subscription_details":{{"subscription":"sub_1Pqk{subject:020}"}}}},"lines":{{"object":"list","data":[{{"id":"il_1","amount":4900,"period":{{"start":{from},"end":{until}}}}}]}}}}"#
    );
    event("invoice.paid", subject, at, &object)
}

fn charge_event(subject: u32, at: Timestamp) -> String {
    let created = at.as_secs();
    let object = format!(
        r#"{{"id":"ch_3Pqk{subject:020}","object":"charge","amount":4900,"amount_captured":4900,"amount_refunded":0,"captured":true,"created":{created},"currency":"usd","customer":"cus_{:014}","payment_intent":"pi_3Pqk{subject:020}","status":"succeeded","payment_method_details":{{"type":"card","card":{{"brand":"visa","fingerprint":"fp{:014}","funding":"credit"}}}}}}"#,
        subject % 400_000,
        subject % 400_000,
    );
    event("charge.succeeded", subject, at, &object)
}
