//! Numbers, as JSON and as Prometheus reads them.

use std::collections::BTreeSet;

use billingwatch_core::time::Span;
use billingwatch_pipeline::status::ChannelStatus;
use insta::{assert_json_snapshot, assert_snapshot};

use crate::support::{TestApp, charge, get, post};

#[test]
fn events_are_counted_by_type_and_window() {
    let app = TestApp::start();
    app.receive(&charge("evt_1", "charge.failed", "cus_1"));
    app.clock.advance(Span::hours(2));
    app.receive(&charge("evt_2", "charge.failed", "cus_1"));
    app.receive(&charge("evt_3", "charge.succeeded", "cus_1"));
    let response = app.get("/metrics");
    assert_eq!(response.status, 200);
    assert_json_snapshot!(response.json(), @r#"
    {
      "detector_count": 1,
      "events_by_type": {
        "charge.failed": 2,
        "charge.succeeded": 1
      },
      "total_events": 3,
      "uptime_seconds": 7200,
      "window_hours": null
    }
    "#);
    let response = app.get("/metrics?window_hours=1");
    assert_eq!(response.status, 200);
    assert_json_snapshot!(response.json(), @r#"
    {
      "detector_count": 1,
      "events_by_type": {
        "charge.failed": 1,
        "charge.succeeded": 1
      },
      "total_events": 2,
      "uptime_seconds": 7200,
      "window_hours": 1.0
    }
    "#);
}

#[test]
fn a_window_has_bounds() {
    let app = TestApp::start();
    for hours in ["0.1", "0.5", "1", "168"] {
        let response = app.get(&format!("/metrics?window_hours={hours}"));
        assert_eq!(response.status, 200, "{hours}");
    }
    for hours in ["0", "0.09", "168.1", "-1", "NaN", "inf", "1e300", "all", ""] {
        let response = app.get(&format!("/metrics?window_hours={hours}"));
        assert_eq!(response.status, 400, "{hours}");
        assert_eq!(response.error_code(), "invalid_query");
    }
}

#[test]
fn detectors_are_shown_with_what_they_found() {
    let app = TestApp::start();
    app.receive(&charge("evt_1", "charge.failed", "cus_1"));
    app.receive(&charge("evt_2", "charge.failed", "cus_2"));
    app.receive(&charge("evt_3", "charge.succeeded", "cus_2"));
    app.settle();
    let response = app.get("/metrics/detectors");
    assert_eq!(response.status, 200);
    assert_json_snapshot!(response.json());
}

#[test]
fn recent_events_are_a_simple_list() {
    let app = TestApp::start();
    app.receive(&charge("evt_1", "charge.failed", "cus_1"));
    app.receive(&charge("evt_2", "charge.failed", "cus_2"));
    let response = app.get("/metrics/recent-events?limit=1");
    assert_eq!(response.status, 200);
    assert_json_snapshot!(response.json());
    assert_eq!(app.get("/metrics/recent-events?limit=0").status, 400);
}

/// What Prometheus 3 sends.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

fn scrape(app: &TestApp) -> String {
    let response = app.ask(get("/metrics").header("Accept", PROMETHEUS));
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    response.text()
}

/// Every metric there is, once there is something to tell of each.
fn full_scrape(app: &TestApp) -> String {
    app.receive(&charge("evt_1", "charge.failed", "cus_1"));
    app.settle();
    app.edit_status(|status| {
        status.channels.push(ChannelStatus {
            name: "email".to_owned(),
            delivered: 3,
            retried: 2,
            gave_up: 1,
            ..ChannelStatus::default()
        });
    });
    // The first is a request for the second to count.
    scrape(app);
    scrape(app)
}

#[test]
fn prometheus_gets_its_text() {
    let app = TestApp::start();
    app.receive(&charge("evt_1", "charge.failed", "cus_1"));
    app.receive(&charge("evt_1", "charge.failed", "cus_1"));
    app.ask_bare(post("/webhooks/stripe").body("{}"));
    app.ask_bare(
        post("/webhooks/stripe")
            .header("Stripe-Signature", "junk")
            .body("{}"),
    );
    app.settle();
    let text = scrape(&app);
    for line in [
        r#"billingwatch_webhook_events_total{outcome="accepted",source="default"} 1"#,
        r#"billingwatch_webhook_events_total{outcome="duplicate",source="default"} 1"#,
        r#"billingwatch_webhook_events_total{outcome="bad_signature",source="default"} 2"#,
        r#"billingwatch_webhook_events_total{outcome="accepted",source="eu"} 0"#,
        r#"billingwatch_webhook_verification_failures_total{reason="missing",source="default"} 1"#,
        r#"billingwatch_webhook_verification_failures_total{reason="malformed",source="default"} 1"#,
        "billingwatch_ingest_duration_seconds_count 2",
        "billingwatch_journal_lag_rows 0",
        "billingwatch_journal_lag_seconds 0",
        r#"billingwatch_alerts_open{detector="probe",severity="high"} 1"#,
        r#"billingwatch_alert_changes_total{detector="probe",severity="high",status="firing"} 1"#,
        r#"billingwatch_http_requests_total{method="POST",route="/webhooks/stripe",status="200"} 2"#,
        r#"billingwatch_http_requests_total{method="POST",route="/webhooks/stripe",status="400"} 2"#,
    ] {
        assert!(
            text.lines().any(|had| had == line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn metric_names_keep_prometheus_conventions() {
    let app = TestApp::start();
    let text = full_scrape(&app);
    let mut kinds = BTreeSet::new();
    for line in text.lines() {
        let Some(kind) = line.strip_prefix("# TYPE ") else {
            continue;
        };
        let (name, kind) = kind.split_once(' ').unwrap();
        assert!(name.starts_with("billingwatch_"), "{name}");
        assert_eq!(
            name.ends_with("_total"),
            kind == "counter",
            "{name} is a {kind}"
        );
        if kind == "histogram" {
            assert!(name.ends_with("_seconds"), "{name}");
        }
        assert!(
            kinds.insert(format!("{name} {kind}")),
            "{name} is there twice"
        );
    }
    // The names are an interface: dashboards and alert rules are written against them.
    assert_snapshot!(kinds.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn labels_never_hold_what_a_sender_made_up() {
    let app = TestApp::start();
    app.post_signed("/webhooks/stripe/made-up-source", "{}");
    app.ask_bare(get("/made-up-path?made-up-query"));
    app.ask(get("/api/v1/events/evt_made-up"));
    app.receive(&charge("evt_1", "made-up.type", "cus_1"));
    let text = scrape(&app);
    assert!(!text.contains("made-up"), "{text}");
    assert!(text.contains(r#"route="unmatched",status="404""#), "{text}");
    assert!(
        text.contains(r#"route="/api/v1/events/{id}",status="404""#),
        "{text}"
    );
}

#[test]
fn the_docs_list_every_metric_and_no_others() {
    let docs = include_str!("../../../../docs/api.md");
    let listed: BTreeSet<&str> = docs
        .lines()
        .filter_map(|line| {
            let name = line.strip_prefix("| `billingwatch_")?;
            name.split(['`', '{']).next()
        })
        .collect();
    let app = TestApp::start();
    let text = full_scrape(&app);
    let served: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE billingwatch_")?.split(' ').next())
        .collect();
    assert_eq!(listed, served);
}
