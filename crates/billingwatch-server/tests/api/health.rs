//! Alive, ready, and why not.

use billingwatch_core::time::Span;
use billingwatch_pipeline::spool::SpoolStatus;
use billingwatch_pipeline::status::ChannelStatus;
use billingwatch_store::SpoolUsage;
use insta::assert_json_snapshot;

use crate::support::{START, TestApp, charge, get, request};

#[test]
fn a_healthy_server_says_so_to_anyone() {
    let app = TestApp::start();
    app.receive(&charge("evt_1", "charge.failed", "cus_1"));
    app.settle();
    let response = app.ask_bare(get("/health"));
    assert_eq!(response.status, 200);
    let mut health = response.json();
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    health["version"] = "[version]".into();
    assert_json_snapshot!(health);
    let response = app.ask_bare(get("/health/ready"));
    assert_eq!(response.status, 200);
    let response = app.ask_bare(request("HEAD", "/health"));
    assert_eq!(response.status, 200);
    assert!(response.body.is_empty());
}

#[test]
fn a_pump_behind_is_degraded_with_its_reason() {
    let app = TestApp::start();
    app.settle();
    app.edit_status(|status| {
        status.lag_rows = 5000;
        status.lag_secs = 90;
    });
    let response = app.ask_bare(get("/health"));
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["status"], "degraded");
    assert_json_snapshot!(response.json()["reasons"], @r#"
    [
      "the detectors are 90 s and 5000 rows behind"
    ]
    "#);
    // Events are taken in all the same: no balancer should turn them away.
    let response = app.ask_bare(get("/health/ready"));
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["status"], "degraded");
    assert_eq!(response.json()["is_ready"], true);
}

#[test]
fn a_channel_that_keeps_failing_or_is_gone_is_a_reason() {
    let app = TestApp::start();
    app.settle();
    app.edit_status(|status| {
        let channel = |name: &str, failures_in_row, is_disabled| ChannelStatus {
            name: name.to_owned(),
            failures_in_row,
            is_disabled,
            ..ChannelStatus::default()
        };
        status.channels = vec![
            channel("email", 2, false),
            channel("slack", 3, false),
            channel("webhook", 1, true),
        ];
    });
    let health = app.ask_bare(get("/health")).json();
    assert_json_snapshot!(health["reasons"], @r#"
    [
      "channel slack has failed 3 times in a row",
      "channel webhook is disabled: its target says that it is gone"
    ]
    "#);
    assert_json_snapshot!(health["checks"]["channels"], @r#"
    {
      "configured": 3,
      "failing": 2
    }
    "#);
    assert_eq!(app.ask_bare(get("/health/ready")).status, 200);
}

/// A spool of a megabyte that is in use.
fn spool(size_bytes: u64) -> SpoolStatus {
    SpoolStatus {
        usage: SpoolUsage {
            entries: 12,
            size_bytes,
            size_bytes_max: 1_000_000,
            oldest_at: Some(START - Span::secs(90)),
            set_aside: 1,
        },
        oldest_age_secs: Some(90),
        spooling_since: Some(START - Span::secs(91)),
        ..SpoolStatus::default()
    }
}

#[test]
fn events_that_wait_in_the_spool_are_a_reason_and_keep_the_server_ready() {
    let app = TestApp::start();
    app.settle();
    app.edit_status(|status| status.spool = Some(spool(500_000)));
    let health = app.ask_bare(get("/health/ready"));
    assert_eq!(health.status, 200);
    assert_json_snapshot!(health.json()["reasons"], @r#"
    [
      "the store takes no events: 12 wait in the spool, the oldest for 90 s",
      "1 events are set aside in the spool: the journal refuses them"
    ]
    "#);
    assert_json_snapshot!(health.json()["checks"]["spool"], @r#"
    {
      "entries": 12,
      "is_in_use": true,
      "oldest_age_seconds": 90,
      "set_aside": 1,
      "size_bytes": 500000,
      "size_bytes_max": 1000000
    }
    "#);
    app.edit_status(|status| status.spool = Some(spool(950_000)));
    let health = app.ask_bare(get("/health")).json();
    assert_eq!(health["reasons"][1], "the spool is full or nearly so");
}

#[test]
fn failing_loops_and_a_rebuild_are_told_and_their_errors_are_not() {
    let app = TestApp::start();
    app.settle();
    app.edit_status(|status| {
        status.is_caught_up = false;
        for one in &mut status.loops {
            match one.name.as_str() {
                "pump" => one.last_error = Some("postgres://user:secret@host".to_owned()),
                _ => one.is_running = false,
            }
        }
    });
    let response = app.ask_bare(get("/health/ready"));
    assert_eq!(response.status, 503);
    assert_json_snapshot!(response.json()["reasons"], @r#"
    [
      "the detectors are being rebuilt from the journal",
      "the ingest loop does not run",
      "the pump loop fails and tries again"
    ]
    "#);
    assert!(!response.text().contains("secret"));
}
