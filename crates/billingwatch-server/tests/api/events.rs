//! What came in: lists by what they are about, one in full, and the exact bytes.

use billingwatch_core::time::Span;
use insta::assert_json_snapshot;
use serde_json::Value;

use crate::support::{TestApp, charge};

/// An app with five events, a minute apart.
fn with_events() -> TestApp {
    let app = TestApp::start();
    let events = [
        ("evt_1", "charge.failed", "cus_1"),
        ("evt_2", "charge.succeeded", "cus_1"),
        ("evt_3", "charge.failed", "cus_2"),
        ("evt_4", "charge.refunded", "cus_2"),
        ("evt_5", "charge.failed", "cus_3"),
    ];
    for (id, event_type, customer) in events {
        app.receive(&charge(id, event_type, customer));
        app.clock.advance(Span::minutes(1));
    }
    app
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["data"].as_array().unwrap().iter();
    items
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn pages_lead_from_the_newest_to_the_oldest() {
    let app = with_events();
    let mut query = "/api/v1/events?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let response = app.get(&query);
        assert_eq!(response.status, 200);
        let page = response.json();
        seen.push(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        query = format!("/api/v1/events?limit=2&after={cursor}");
    }
    assert_eq!(
        seen,
        [
            vec!["evt_5", "evt_4"],
            vec!["evt_3", "evt_2"],
            vec!["evt_1"]
        ]
    );
}

#[test]
fn a_list_shows_the_keys_and_not_the_bodies() {
    let app = TestApp::start();
    app.receive(&charge("evt_1", "charge.failed", "cus_1"));
    let response = app.get("/api/v1/events");
    assert_eq!(response.status, 200);
    assert_json_snapshot!(response.json());
}

#[test]
fn filters_narrow_the_list() {
    let app = with_events();
    let found = |query: &str| {
        let response = app.get(&format!("/api/v1/events?{query}"));
        assert_eq!(response.status, 200, "{query}: {}", response.text());
        ids(&response.json())
    };
    assert_eq!(found("type=charge.refunded"), ["evt_4"]);
    assert_eq!(
        found("type=charge.refunded,charge.succeeded"),
        ["evt_4", "evt_2"]
    );
    assert_eq!(found("customer=cus_1"), ["evt_2", "evt_1"]);
    assert_eq!(found("object=ch_of_evt_3"), ["evt_3"]);
    assert_eq!(found("customer=cus_2&type=charge.failed"), ["evt_3"]);
    assert_eq!(found("source=default&livemode=false").len(), 5);
    assert!(found("livemode=true").is_empty());
    assert!(found("account=acct_1").is_empty());
    // Received at :13:20, :14:20, … in the hour of 22.
    assert_eq!(found("since=2023-11-14T22:16:00Z"), ["evt_5", "evt_4"]);
    assert_eq!(found("until=1700000060"), ["evt_1"]);
}

#[test]
fn a_query_that_makes_no_sense_says_so() {
    let app = TestApp::start();
    for (query, code) in [
        ("limit=0", "invalid_query"),
        ("limit=201", "invalid_query"),
        ("type=", "invalid_query"),
        ("type=a,,b", "invalid_query"),
        ("livemode=maybe", "invalid_query"),
        ("until=never", "invalid_query"),
        ("nonsense=1", "invalid_query"),
        ("after=nonsense", "invalid_cursor"),
    ] {
        let response = app.get(&format!("/api/v1/events?{query}"));
        assert_eq!(response.status, 400, "{query}");
        assert_eq!(response.error_code(), code, "{query}");
    }
    let long = "c".repeat(256);
    let response = app.get(&format!("/api/v1/events?customer={long}"));
    assert_eq!(response.status, 400);
}

#[test]
fn one_event_is_shown_with_its_body() {
    let app = TestApp::start();
    app.receive(&charge("evt_1", "charge.failed", "cus_1"));
    let response = app.get("/api/v1/events/evt_1");
    assert_eq!(response.status, 200);
    assert_json_snapshot!(response.json());
}

#[test]
fn no_such_event_is_404() {
    let app = TestApp::start();
    for path in [
        "/api/v1/events/evt_0",
        "/api/v1/events/evt_0/raw",
        "/api/v1/events/%00%0a",
    ] {
        let response = app.get(path);
        assert_eq!(response.status, 404, "{path}");
        assert_eq!(response.error_code(), "not_found");
    }
}
