//! Alive, ready, and why not.

use insta::assert_json_snapshot;

use crate::support::{TestApp, charge, get, request};

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
    let response = app.ask_bare(get("/health/ready"));
    assert_eq!(response.status, 503);
    assert_eq!(response.json()["status"], "degraded");
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
