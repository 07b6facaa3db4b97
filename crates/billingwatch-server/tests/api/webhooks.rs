//! Taking events in: what is accepted, once, and how it is kept.

use billingwatch_core::stripe::signature::{Secret, sign};
use billingwatch_pipeline::testing::{Fault, Op};
use billingwatch_pipeline::{IngestOptions, RuntimeOptions};
use billingwatch_server::{SourceConfig, Verification};
use insta::assert_json_snapshot;
use serde_json::json;

use crate::support::{START, TestApp, charge, post};

#[test]
fn an_event_is_kept_once_and_byte_for_byte() {
    let app = TestApp::start();
    // Indented, with a key twice and an escape: nothing of that may be tidied.
    let body = "{\n  \"id\": \"evt_1\",\n  \"type\": \"charge.failed\",\n  \"x\": 1, \"x\": \"\\u00e9\"\n}\n";
    let first = app.post_signed("/webhooks/stripe", body);
    assert_eq!(first.status, 200);
    assert_json_snapshot!(first.json(), @r#"
    {
      "duplicate": false,
      "received": true
    }
    "#);
    let second = app.post_signed("/webhooks/stripe", body);
    assert_eq!(second.status, 200);
    assert_eq!(second.json(), json!({"received": true, "duplicate": true}));

    let raw = app.get("/api/v1/events/evt_1/raw");
    assert_eq!(raw.status, 200);
    assert_eq!(raw.text(), body);
    assert_eq!(app.store.count_events().unwrap(), 1);
}

#[test]
fn an_answer_means_that_the_event_is_in_the_store() {
    let app = TestApp::start();
    for n in 0..20 {
        let id = format!("evt_{n}");
        app.receive(&charge(&id, "charge.succeeded", "cus_1"));
        assert!(app.store.get_event(&id).unwrap().is_some(), "{id}");
    }
}

#[test]
fn what_nobody_understands_is_kept_all_the_same() {
    let app = TestApp::start();
    for body in [
        json!({"id": "evt_1", "type": "quantum.entangled", "data": {"object": 7}}),
        json!({"id": "evt_2", "type": "charge.failed", "data": {"object": {"amount": "19.99"}}}),
        json!({"id": "evt_3", "object": "v2.core.event", "type": "v2.core.account.created",
            "created": "2026-11-21T09:30:00.000Z", "related_object": {"id": "acct_1"}}),
    ] {
        app.receive(&body);
    }
    assert_eq!(app.store.count_events().unwrap(), 3);
    app.settle();
}

#[test]
fn a_named_source_has_secrets_of_its_own() {
    let app = TestApp::start();
    let body = charge("evt_1", "charge.failed", "cus_1").to_string();
    // The default source's secret opens nothing here; either of the two rolled ones does.
    assert_eq!(
        app.post_signed("/webhooks/stripe/eu", body.as_str()).status,
        400
    );
    for secret in ["whsec_old", "whsec_new"] {
        let header = sign(&Secret::new(secret), START, body.as_bytes());
        let request = post("/webhooks/stripe/eu")
            .header("Stripe-Signature", header)
            .body(body.as_str());
        assert_eq!(app.ask_bare(request).status, 200);
    }
    let event = app.get("/api/v1/events/evt_1");
    assert_eq!(event.json()["source"], "eu");
}

#[test]
fn the_same_id_through_two_sources_is_two_events() {
    let app = TestApp::start();
    let body = charge("evt_1", "charge.failed", "cus_1").to_string();
    let by_eu = sign(&Secret::new("whsec_new"), START, body.as_bytes());
    let request = post("/webhooks/stripe/eu")
        .header("Stripe-Signature", by_eu)
        .body(body.as_str());
    assert_eq!(app.ask_bare(request).json()["duplicate"], false);
    let response = app.post_signed("/webhooks/stripe", body);
    assert_eq!(response.json()["duplicate"], false);
    assert_eq!(app.store.count_events().unwrap(), 2);
}

#[test]
fn an_unknown_source_is_not_found() {
    let app = TestApp::start();
    let response = app.post_signed("/webhooks/stripe/nobody", "{}");
    assert_eq!(response.status, 404);
    assert_eq!(response.error_code(), "unknown_source");
}

#[test]
fn in_development_a_source_may_go_unverified() {
    let app = TestApp::start_with(
        |config| {
            let source = SourceConfig {
                verification: Verification::Unverified,
            };
            config.sources.insert("dev".to_owned(), source);
        },
        &RuntimeOptions::default(),
    );
    let body = charge("evt_1", "charge.failed", "cus_1").to_string();
    let response = app.ask_bare(post("/webhooks/stripe/dev").body(body.as_str()));
    assert_eq!(response.status, 200);
    // The others stay closed.
    let response = app.ask_bare(post("/webhooks/stripe").body(body));
    assert_eq!(response.status, 400);
}

#[test]
fn a_full_queue_is_503_and_never_429() {
    let options = RuntimeOptions {
        ingest: IngestOptions {
            queue_len: 0,
            ..IngestOptions::default()
        },
        ..RuntimeOptions::default()
    };
    let app = TestApp::start_with(|_| {}, &options);
    let event = charge("evt_1", "charge.failed", "cus_1").to_string();
    let response = app.post_signed("/webhooks/stripe", event);
    assert_eq!(response.status, 503);
    assert_eq!(response.error_code(), "unavailable");
    assert_eq!(response.header("retry-after"), Some("5"));
    assert_eq!(app.store.count_events().unwrap(), 0);
}

#[test]
fn a_store_that_fails_is_503_and_a_repeat_is_then_taken() {
    let app = TestApp::start();
    let event = charge("evt_1", "charge.failed", "cus_1").to_string();
    app.faults.fail_next(Op::Append, Fault::Before);
    let response = app.post_signed("/webhooks/stripe", event.as_str());
    assert_eq!(response.status, 503);
    assert_eq!(response.error_code(), "unavailable");
    // What the database said stays with us.
    assert!(!response.text().contains("planned"), "{}", response.text());
    assert_eq!(app.store.count_events().unwrap(), 0);
    let response = app.post_signed("/webhooks/stripe", event.as_str());
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["duplicate"], false);

    // Kept, and the answer lost on the way: the repeat is a repeat.
    let event = charge("evt_2", "charge.failed", "cus_1").to_string();
    app.faults.fail_next(Op::Append, Fault::After);
    let response = app.post_signed("/webhooks/stripe", event.as_str());
    assert_eq!(response.status, 503);
    let response = app.post_signed("/webhooks/stripe", event.as_str());
    assert_eq!(response.json()["duplicate"], true);
}

#[test]
fn chunked_bodies_are_as_good_as_others() {
    let app = TestApp::start();
    let body = charge("evt_1", "charge.failed", "cus_1").to_string();
    let header = app.sign(body.as_bytes());
    let request = post("/webhooks/stripe")
        .header("Stripe-Signature", header)
        .body(body)
        .chunked();
    assert_eq!(app.ask_bare(request).status, 200);
}
