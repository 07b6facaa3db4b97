//! `backtest --from-store`: what is stored is judged as a recording of it would be.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

use billingwatch_core::stripe::payload;
use billingwatch_core::time::Timestamp;
use billingwatch_store::{EntryKind, NewEntry, Store, StoreOptions};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Line {
    received_at: f64,
    event: Box<RawValue>,
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_billingwatch"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("DATABASE_URL", "sqlite://stored.db")
        .output()
        .unwrap()
}

fn told(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn entry(event: &RawValue) -> NewEntry {
    let body = event.get().as_bytes().to_vec();
    let envelope = payload::read_envelope(&body).unwrap();
    NewEntry {
        kind: EntryKind::Event,
        source: "default".to_owned(),
        event_id: Some(envelope.id.to_string()),
        event_type: envelope.event_type.to_string(),
        object_id: None,
        customer_id: None,
        created_at: envelope.created.map(Timestamp::as_secs),
        account: None,
        livemode: envelope.livemode,
        api_version: None,
        is_historical: false,
        received_at: None,
        body,
        packed: None,
    }
}

/// Two weeks of a small merchant with two incidents: recorded, and stored at the same instants.
fn world(directory: &Path) {
    let arguments = [
        "simulate",
        "--merchant",
        "indie",
        "--days",
        "10",
        "--seed",
        "7",
        "--incidents",
        "duplicate-charge,negative-invoice",
        "--out",
        "world",
    ];
    assert_eq!(run(directory, &arguments).status.code(), Some(0));
    let file = directory.join("stored.db");
    let store = Store::open(&StoreOptions::new(format!("sqlite://{}", file.display()))).unwrap();
    store.migrate().unwrap();
    let events = std::fs::read_to_string(directory.join("world/events.jsonl")).unwrap();
    for line in events.lines() {
        let line: Line = serde_json::from_str(line).unwrap();
        let millis = format!("{:.0}", line.received_at * 1000.0);
        let received_at = Timestamp::from_millis(millis.parse().unwrap());
        store.append(&[entry(&line.event)], received_at).unwrap();
    }
}

#[test]
fn stored_events_are_judged_as_a_recording_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    world(directory);
    let judge = |more: &[&str]| {
        let arguments = ["backtest", "--labels", "world/labels.json", "--json"];
        told(&run(directory, &[&arguments[..], more].concat()))
    };
    let recorded = judge(&["world/events.jsonl"]);
    let stored = judge(&["--from-store"]);
    // A store keeps each event once, a recording has its repeats too.
    let but_count = |told: &Value| {
        let mut run = told["runs"][0].clone();
        run["events"] = Value::Null;
        run
    };
    assert_eq!(but_count(&stored), but_count(&recorded));
    let alerts = recorded["runs"][0]["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 2, "else there is nothing to compare");

    let compared = judge(&[
        "--from-store",
        "--compare",
        "duplicate_charge.enabled=false",
    ]);
    assert_eq!(compared["runs"][0], stored["runs"][0]);
    assert_eq!(compared["runs"][1]["alerts"].as_array().unwrap().len(), 1);
}

#[test]
fn since_judges_what_comes_after_it_alone() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    world(directory);
    let labels = std::fs::read_to_string(directory.join("world/labels.json")).unwrap();
    let labels: Value = serde_json::from_str(&labels).unwrap();
    let second = labels[1]["starts_at"].to_string();
    for recording in ["--from-store", "world/events.jsonl"] {
        let arguments = ["backtest", recording, "--labels", "world/labels.json"];
        let arguments = [&arguments[..], &["--json", "--since", &second]].concat();
        let told = told(&run(directory, &arguments));
        let run = &told["runs"][0];
        assert_eq!(run["alerts"].as_array().unwrap().len(), 1);
        assert_eq!(run["alerts"][0]["incidents"], json!(["incident-2"]));
        assert_eq!(run["scores"].as_array().unwrap().len(), 1);
        assert_eq!(run["missed"], json!([]));
    }
    let output = run(
        directory,
        &["backtest", "--from-store", "--since", "2024-01-16"],
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap();
    assert!(
        last.contains("days judged from 2024-01-16 00:00 on"),
        "{last}"
    );
}

#[test]
fn a_store_that_is_not_there_is_told_and_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let output = run(directory, &["backtest", "--from-store"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap().trim_end(),
        "error: sqlite://stored.db: there is no such file"
    );
    assert!(!directory.join("stored.db").exists());

    let wrong: [&[&str]; 4] = [
        &["backtest"],
        &["backtest", "events.jsonl", "--from-store"],
        &[
            "backtest",
            "events.jsonl",
            "--database-url",
            "sqlite://x.db",
        ],
        &["backtest", "--from-store", "--since", "yesterday"],
    ];
    for arguments in wrong {
        let output = run(directory, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
