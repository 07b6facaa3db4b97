//! Simulated recordings as their users meet them: written once, the same each time, readable by
//! `replay`.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_billingwatch"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Ten days of the smallest merchant, with one incident.
fn simulate(directory: &Path, more: &[&str]) -> Output {
    let mut arguments = vec![
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
    arguments.extend(more);
    run(directory, &arguments)
}

#[test]
fn a_simulation_is_written_once_and_replays() {
    let directory = tempfile::tempdir().unwrap();
    let output = simulate(directory.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    insta::assert_snapshot!("simulate_summary", text(&output.stdout));

    let world = directory.path().join("world");
    let events = std::fs::read_to_string(world.join("events.jsonl")).unwrap();
    let labels = std::fs::read_to_string(world.join("labels.json")).unwrap();
    let labels: serde_json::Value = serde_json::from_str(&labels).unwrap();
    assert_eq!(labels[0]["detector"], "duplicate_charge");
    let shown = labels[0]["event_ids"][0].as_str().unwrap();
    assert!(events.contains(shown), "the labels are those of the events");
    let mut names: Vec<_> = std::fs::read_dir(&world)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["events.jsonl", "labels.json"]);

    let output = run(directory.path(), &["replay", "world/events.jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    assert!(told.contains("duplicate_charge 1"), "{told}");
    assert!(told.contains("negative_invoice 1"), "{told}");

    let refused = simulate(directory.path(), &["--gzip"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("--force"));

    let forced = simulate(directory.path(), &["--gzip", "--force"]);
    assert_eq!(forced.status.code(), Some(0), "{}", text(&forced.stderr));
    assert!(!world.join("events.jsonl").exists(), "replaced, not joined");
    let packed = std::fs::File::open(world.join("events.jsonl.gz")).unwrap();
    let mut again = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed), &mut again).unwrap();
    assert!(again == events, "the same arguments make the same events");
}

#[test]
fn what_makes_no_world_ends_with_2_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let cases: [&[&str]; 4] = [
        &["--incidents", "all"],
        &["--incidents", "flood"],
        &["--strength", "strong"],
        &["--start", "1999-01-01"],
    ];
    for more in cases {
        let mut arguments = vec![
            "simulate",
            "--merchant",
            "indie",
            "--days",
            "9",
            "--seed",
            "7",
            "--out",
            "world",
        ];
        arguments.extend(more);
        let output = run(directory.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{more:?}");
    }
    assert!(!directory.path().join("world").exists());
}

#[test]
fn a_backtest_scores_a_simulation_and_compares_settings() {
    let directory = tempfile::tempdir().unwrap();
    simulate(directory.path(), &["--gzip"]);
    let arguments = [
        "backtest",
        "world/events.jsonl.gz",
        "--labels",
        "world/labels.json",
        "--compare",
        "duplicate_charge.enabled=false",
    ];
    let output = run(directory.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    insta::assert_snapshot!("backtest_compares", text(&output.stdout));

    let output = run(directory.path(), &[&arguments[..], &["--json"]].concat());
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let (one, other) = (&told["runs"][0], &told["runs"][1]);
    assert_eq!(one["scores"][0]["detector"], "duplicate_charge");
    assert_eq!(one["scores"][0]["recall"], 1.0);
    assert_eq!(one["alerts"][0]["incidents"][0], "incident-1");
    assert_eq!(one["missed"], serde_json::json!([]));
    assert_eq!(other["scores"][0]["recall"], 0.0);
    assert_eq!(other["missed"], serde_json::json!(["incident-1"]));

    let bare = run(
        directory.path(),
        &["backtest", "world/events.jsonl.gz", "--json"],
    );
    let told: serde_json::Value = serde_json::from_slice(&bare.stdout).unwrap();
    assert_eq!(told["runs"][0]["alerts"].as_array().unwrap().len(), 2);
    assert!(told["runs"][0].get("scores").is_none());

    let wrong = run(
        directory.path(),
        &["backtest", "world/events.jsonl.gz", "--compare", "nonsense"],
    );
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("--compare nonsense"));
}

#[test]
fn a_replay_explains_an_alert_and_what_it_left_out() {
    let directory = tempfile::tempdir().unwrap();
    simulate(directory.path(), &[]);
    let explain = |id: &str| {
        run(
            directory.path(),
            &["replay", "world/events.jsonl", "--explain", id],
        )
    };
    let listed = text(&run(directory.path(), &["replay", "world/events.jsonl"]).stdout);
    let id = listed
        .split_whitespace()
        .find(|word| word.starts_with("al_"))
        .unwrap();
    let told = explain(id);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    insta::assert_snapshot!("explain_alert", text(&told.stdout));
    insta::assert_snapshot!("explain_suppressed", text(&explain("suppressed").stdout));
    let unknown = explain("al_0000000000000000");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("al_0000000000000000"));
}
