//! What was found: lists, one in full, and the marks people leave.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::support::{TestApp, charge, post};

/// An app with one alert each for these customers, oldest first.
fn with_alerts(customers: &[&str]) -> TestApp {
    let app = TestApp::start();
    for (n, customer) in customers.iter().enumerate() {
        app.clock.advance(billingwatch_core::time::Span::secs(1));
        app.receive(&charge(&format!("evt_{n}"), "charge.failed", customer));
    }
    app.settle();
    app
}

fn subjects(page: &Value) -> Vec<&str> {
    let items = page["data"].as_array().unwrap().iter();
    items
        .map(|alert| alert["subject"].as_str().unwrap())
        .collect()
}

fn first_id(app: &TestApp) -> String {
    let page = app.get("/api/v1/alerts").json();
    page["data"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn the_recent_ones_are_a_simple_list() {
    let app = with_alerts(&["cus_1", "cus_2"]);
    let response = app.get("/webhooks/alerts");
    assert_eq!(response.status, 200);
    assert_json_snapshot!(response.json());
    let one = app.get("/webhooks/alerts?limit=1");
    assert_eq!(one.status, 200);
    assert_eq!(one.json()["count"], 1);
}

#[test]
fn pages_lead_from_the_newest_to_the_oldest() {
    let app = with_alerts(&["cus_1", "cus_2", "cus_3"]);
    let first = app.get("/api/v1/alerts?limit=2");
    assert_eq!(first.status, 200);
    let first = first.json();
    assert_eq!(subjects(&first), ["cus_3", "cus_2"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = app
        .get(&format!("/api/v1/alerts?limit=2&after={cursor}"))
        .json();
    assert_eq!(subjects(&second), ["cus_1"]);
    assert_eq!(second["next_cursor"], Value::Null);
}

#[test]
fn filters_narrow_the_list() {
    let app = with_alerts(&["cus_1", "cus_2"]);
    app.receive(&charge("evt_9", "charge.succeeded", "cus_1"));
    app.settle();
    let found = |query: &str| {
        let response = app.get(&format!("/api/v1/alerts?{query}"));
        assert_eq!(response.status, 200, "{query}: {}", response.text());
        let page = response.json();
        subjects(&page)
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(found("subject=cus_1"), ["cus_1"]);
    assert_eq!(found("status=open"), ["cus_2"]);
    assert_eq!(found("status=resolved"), ["cus_1"]);
    assert_eq!(
        found("detector=probe&livemode=false&source=default").len(),
        2
    );
    assert_eq!(found("severity=high").len(), 2);
    assert!(found("severity=critical").is_empty());
    assert!(found("livemode=true").is_empty());
    assert!(found("detector=other").is_empty());
    assert_eq!(found("since=1700000002"), ["cus_2"]);
    assert_eq!(found("until=2023-11-14T22:13:22Z"), ["cus_1"]);
}

#[test]
fn a_query_that_makes_no_sense_says_so() {
    let app = TestApp::start();
    for (query, code) in [
        ("limit=0", "invalid_query"),
        ("limit=201", "invalid_query"),
        ("limit=many", "invalid_query"),
        ("limit=-1", "invalid_query"),
        ("status=happy", "invalid_query"),
        ("severity=huge", "invalid_query"),
        ("since=yesterday", "invalid_query"),
        ("detector=", "invalid_query"),
        ("nonsense=1", "invalid_query"),
        ("after=nonsense", "invalid_cursor"),
    ] {
        let response = app.get(&format!("/api/v1/alerts?{query}"));
        assert_eq!(response.status, 400, "{query}");
        assert_eq!(response.error_code(), code, "{query}");
    }
}

#[test]
fn one_alert_is_shown_with_evidence_history_and_deliveries() {
    let app = with_alerts(&["cus_1"]);
    let response = app.get(&format!("/api/v1/alerts/{}", first_id(&app)));
    assert_eq!(response.status, 200);
    assert_json_snapshot!(response.json());
}

#[test]
fn an_alert_says_which_channel_was_told() {
    let app = TestApp::start_telling();
    app.receive(&charge("evt_1", "charge.failed", "cus_1"));
    app.wait_until(|status| status.channels[0].delivered == 1);
    let response = app.get(&format!("/api/v1/alerts/{}", first_id(&app)));
    assert_eq!(response.status, 200);
    let mut deliveries = response.json()["deliveries"].take();
    deliveries[0]["attempts"][0]["duration_ms"] = json!("[duration]");
    assert_json_snapshot!(deliveries, @r#"
    [
      {
        "attempts": [
          {
            "at": "2023-11-14T22:13:20Z",
            "detail": "taken",
            "duration_ms": "[duration]",
            "outcome": "delivered",
            "status_code": 200
          }
        ],
        "channel": "pager",
        "next_attempt_at": null,
        "revision": 1,
        "settled_at": "2023-11-14T22:13:20Z",
        "state": "delivered"
      }
    ]
    "#);
}

#[test]
fn no_such_alert_is_404_on_every_verb() {
    let app = TestApp::start();
    assert_eq!(app.get("/api/v1/alerts/al_0").status, 404);
    for verb in ["acknowledge", "resolve", "false-positive", "true-positive"] {
        let request = post(&format!("/api/v1/alerts/al_0/{verb}")).json(&json!({}));
        let response = app.ask(request);
        assert_eq!(response.status, 404, "{verb}");
        assert_eq!(response.error_code(), "not_found");
    }
}

#[test]
fn an_alert_is_acknowledged_with_a_note() {
    let app = with_alerts(&["cus_1"]);
    let path = format!("/api/v1/alerts/{}/acknowledge", first_id(&app));
    let response = app.ask(post(&path).json(&json!({"note": " on it "})));
    assert_eq!(response.status, 200);
    assert_json_snapshot!(response.json()["acknowledged"], @r#"
    {
      "at": "2023-11-14T22:13:21Z",
      "by": "api",
      "note": "on it"
    }
    "#);
    assert_eq!(response.json()["status"], "firing");
    // Again is no error: a client that lost the answer may repeat itself.
    let again = app.ask(post(&path).json(&json!({})));
    assert_eq!(again.status, 200);
}

#[test]
fn a_false_positive_is_marked_beside_the_alert() {
    let app = with_alerts(&["cus_1"]);
    let path = format!("/api/v1/alerts/{}/false-positive", first_id(&app));
    let response = app.ask(post(&path).json(&json!({"note": "a test card"})));
    assert_eq!(response.status, 200);
    let alert = response.json();
    assert_eq!(alert["false_positive"]["note"], "a test card");
    assert_eq!(alert["status"], "firing");
    let kinds: Vec<_> = alert["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| &h["kind"])
        .collect();
    assert_eq!(kinds, ["firing", "false_positive"]);
}

#[test]
fn a_resolution_goes_through_the_journal_and_ends_the_alert() {
    let app = with_alerts(&["cus_1"]);
    let id = first_id(&app);
    let path = format!("/api/v1/alerts/{id}/resolve");
    let response = app.ask(post(&path).json(&json!({"note": "customer paid by wire"})));
    assert_eq!(response.status, 202);
    assert_eq!(response.json(), json!({"id": id, "journal_seq": 2}));
    app.settle();
    let alert = app.get(&format!("/api/v1/alerts/{id}")).json();
    assert_eq!(alert["status"], "resolved");
    assert_eq!(
        alert["resolution"],
        "resolved by api: customer paid by wire"
    );
    let again = app.ask(post(&path).json(&json!({})));
    assert_eq!(again.status, 409);
    assert_eq!(again.error_code(), "already_resolved");
    // It is no event: the counts and lists of events know nothing of it.
    assert_eq!(app.get("/metrics").json()["total_events"], 1);
}

#[test]
fn a_body_that_makes_no_sense_says_so() {
    let app = with_alerts(&["cus_1"]);
    let path = format!("/api/v1/alerts/{}/acknowledge", first_id(&app));
    let json = |body: &str| {
        let request = post(&path).header("Content-Type", "application/json");
        app.ask(request.body(body))
    };
    for body in ["", "{", "[7]", "null", r#"{"note": 7}"#, r#"{"nota": "x"}"#] {
        let response = json(body);
        assert_eq!(response.status, 400, "{body}");
        assert_eq!(response.error_code(), "invalid_body", "{body}");
    }
    let long = json!({"note": "n".repeat(2001)}).to_string();
    assert_eq!(json(&long).status, 400);
    let longer = json!({"note": "n".repeat(40_000)}).to_string();
    let response = json(&longer);
    assert_eq!(response.status, 413);
    assert_eq!(response.error_code(), "body_too_large");
    let response = app.ask(post(&path).header("Content-Type", "text/plain").body("{}"));
    assert_eq!(response.status, 415);
    assert_eq!(response.error_code(), "unsupported_media_type");
}
