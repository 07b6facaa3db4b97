//! A check for detectors: a timeline in text goes in, what happened comes out in text.
//!
//! A test shows story and verdict side by side, and calls no method of the detector. Available to
//! other crates by the feature `testing`; it panics on a timeline that it cannot read.
//!
//! A line of a timeline is the time since the line before, an event, and `key=value` pairs:
//!
//! ```text
//! +0s   charge.succeeded ch=ch_1 cus=cus_1 amt=2000
//! +30s  charge.succeeded ch=ch_2 cus=cus_1 amt=2000 meta.order=7
//! +1m   charge.failed code=card_declined x20/30s      twenty of them, 30 seconds apart
//! +3d4h wait                                          only time passes
//! ```
//!
//! It starts on Monday 2024-03-04 at 00:00 UTC. Ids and customers that are not given are made up.
//! `late=20m` makes the event older than its arrival, `evt=evt_1` names the event, `historical`
//! marks it as a backfill, `set detector.name=value` changes a setting. `card=new` is another card for
//! each event, `renewal` a charge by Stripe's automation for a subscription.

mod build;

use std::fmt::Write as _;

use crate::alert::AlertStatus;
use crate::calendar::Calendar;
use crate::detector::{Factory, SettingValue, SettingValues};
use crate::engine::{Applied, Engine, Input, Record, Registry, SettingsChange};
use crate::time::{Span, Timestamp};

use build::Line;

/// Monday 2024-03-04 00:00 UTC.
pub const START: Timestamp = Timestamp::from_secs(1_709_510_400);

/// Runs a timeline through one detector of the product and tells what happened.
///
/// # Panics
/// When there is no such detector, or the timeline cannot be read.
#[must_use]
pub fn check(detector: &str, timeline: &str) -> String {
    check_in(Calendar::utc(), detector, timeline)
}

/// The same where the merchant lives by other clocks.
///
/// # Panics
/// When there is no such detector, or the timeline cannot be read.
#[must_use]
pub fn check_in(calendar: Calendar, detector: &str, timeline: &str) -> String {
    let factories = crate::detectors::all();
    let factory = factories
        .into_iter()
        .find(|factory| factory.spec().name == detector);
    let factory = factory.unwrap_or_else(|| fail("no detector is named", detector));
    run_all(Registry::new(vec![factory]).in_zone(calendar), timeline)
}

/// A timeline of lines in any order, each without its time and with its second since the begin.
#[must_use]
pub fn in_order(mut lines: Vec<(i64, String)>) -> String {
    lines.sort_by_key(|(at, _)| *at);
    let (mut timeline, mut now) = (String::new(), 0);
    for (at, line) in lines {
        let _ = writeln!(timeline, "+{}s {line}", at - now);
        now = at;
    }
    timeline
}

/// Runs a timeline through these detectors and tells what happened.
///
/// # Panics
/// When the timeline cannot be read.
#[must_use]
pub fn run(factories: Vec<Box<dyn Factory>>, timeline: &str) -> String {
    run_all(Registry::new(factories), timeline)
}

fn run_all(registry: Registry, timeline: &str) -> String {
    let mut engine = Engine::new(registry);
    let mut told = String::new();
    for record in records(timeline) {
        match record {
            Step::Record(record) => {
                if let Applied::Refused(reason) = engine.apply(&record) {
                    let _ = writeln!(told, "{} refused: {reason}", clock(record.received_at));
                }
            }
            Step::Wait(until) => engine.advance_to(until),
        }
        tell(&mut engine, &mut told);
    }
    told
}

/// One step of a timeline.
#[derive(Debug)]
pub enum Step {
    /// A record arrives.
    Record(Box<Record>),
    /// Time passes.
    Wait(Timestamp),
}

/// The steps of a timeline.
///
/// # Panics
/// When the timeline cannot be read.
#[must_use]
pub fn records(timeline: &str) -> Vec<Step> {
    let mut now = START;
    let mut made = 0;
    let mut steps = Vec::new();
    for text in timeline
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let line = Line::read(text);
        for round in 0..line.times {
            now = now + if round == 0 { line.after } else { line.every };
            if line.name == "wait" {
                steps.push(Step::Wait(now));
                continue;
            }
            let input = if line.name == "set" {
                Input::Settings(setting(&line))
            } else {
                made += 1;
                Input::Event(Box::new(build::event(&line, now, made)))
            };
            let is_historical = line.has("historical");
            let source = "default".into();
            let record = Record {
                received_at: now,
                source,
                is_historical,
                input,
            };
            steps.push(Step::Record(Box::new(record)));
        }
    }
    steps
}

fn setting(line: &Line<'_>) -> SettingsChange {
    let (path, value) = line
        .pairs
        .first()
        .unwrap_or_else(|| fail("set what?", line.name));
    let (detector, name) = path
        .split_once('.')
        .unwrap_or_else(|| fail("no detector in", path));
    let value = match *value {
        "true" => SettingValue::Bool(true),
        "false" => SettingValue::Bool(false),
        number => SettingValue::Int(
            number
                .parse()
                .unwrap_or_else(|_| fail("no number:", number)),
        ),
    };
    let mut values = SettingValues::new();
    values.set(name, value);
    SettingsChange {
        detector: detector.to_owned(),
        source: None,
        is_enabled: None,
        values,
    }
}

fn tell(engine: &mut Engine, told: &mut String) {
    for change in engine.take_changes() {
        let alert = &change.alert;
        let words = match (&alert.status, &alert.resolution) {
            (AlertStatus::Resolved, Some(reason)) => reason,
            _ => &alert.message,
        };
        let (at, status, severity) = (clock(change.at), alert.status.as_str(), alert.severity);
        let _ = writeln!(
            told,
            "{at} {status} {severity} {}: {words}",
            finding_key(&alert.key)
        );
    }
    for harmless in engine.take_suppressed() {
        let subject = harmless.subject.as_deref().unwrap_or("-");
        let (at, reason) = (clock(harmless.at), &harmless.reason);
        let _ = writeln!(told, "{at} quiet {reason} {subject}: {}", harmless.message);
    }
}

/// The finding's own part of an alert's key.
fn finding_key(key: &str) -> &str {
    key.splitn(3, ':').nth(2).unwrap_or(key)
}

/// Days since the start and the time of day, such as `d0 09:30:00`.
fn clock(at: Timestamp) -> String {
    let secs = at.since(START).as_secs();
    let (days, rest) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    format!(
        "d{days} {:02}:{:02}:{:02}",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// A length of time such as `90s`, `3d4h` or `-1h`.
fn span(text: &str) -> Span {
    let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut total = 0;
    let mut digits = String::new();
    for letter in rest.trim_start_matches('+').chars() {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        let unit = match letter {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => fail("no length of time:", text),
        };
        total += unit
            * digits
                .parse::<i64>()
                .unwrap_or_else(|_| fail("no length of time:", text));
        digits.clear();
    }
    Span::secs(sign * total)
}

#[expect(
    clippy::panic,
    reason = "a test helper: a broken timeline is a broken test"
)]
fn fail(what: &str, text: &str) -> ! {
    panic!("{what} `{text}`")
}
