//! Verdicts, what they keep quiet, and the precision counted from them.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::support::{Response, TestApp, charge, post, request};

/// An app with one open alert about `cus_1`, and its id.
fn with_alert() -> (TestApp, String) {
    let app = TestApp::start();
    app.receive(&charge("evt_0", "charge.failed", "cus_1"));
    app.settle();
    let page = app.get("/api/v1/alerts").json();
    let id = page["data"][0]["id"].as_str().unwrap().to_owned();
    (app, id)
}

fn judge(app: &TestApp, id: &str, verdict: &str, body: &Value) -> Response {
    let response = app.ask(post(&format!("/api/v1/alerts/{id}/{verdict}")).json(body));
    app.settle();
    response
}

fn lift(app: &TestApp, id: &str) -> Response {
    let response = app.ask(request("DELETE", &format!("/api/v1/mutes/{id}")));
    app.settle();
    response
}

fn mutes(app: &TestApp, query: &str) -> Vec<Value> {
    let response = app.get(&format!("/api/v1/mutes{query}"));
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["data"].as_array().unwrap().clone()
}

fn count(app: &TestApp, path: &str) -> usize {
    app.get(path).json()["data"].as_array().unwrap().len()
}

#[test]
fn a_scope_mutes_repeats_visibly_until_its_date() {
    let (app, id) = with_alert();
    let body = json!({"note": "our test customer", "scope": "subject", "until": "1700086400"});
    let response = judge(&app, &id, "false-positive", &body);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(mutes(&app, "").len(), 1);
    assert_json_snapshot!(mutes(&app, "")[0], @r#"
        {
          "account": null,
          "alert_id": "al_4319722cdad3be90",
          "amount_judged": 1999,
          "by": "api",
          "created_at": "2023-11-14T22:13:20Z",
          "currency": "usd",
          "detector": "probe",
          "id": "mu_69d9152db9476dcd",
          "is_in_force": true,
          "lifted_at": null,
          "lifted_by": null,
          "livemode": false,
          "note": "our test customer",
          "scope": "subject",
          "severity_max": "high",
          "source": "default",
          "target": "cus_1",
          "until": "2023-11-15T22:13:20Z"
        }
        "#);
    // It ended the alert, which says so.
    let alert = app.get(&format!("/api/v1/alerts/{id}")).json();
    assert_eq!(alert["status"], "resolved");
    assert_eq!(
        alert["resolution"],
        "muted by api until 2023-11-15T22:13:20Z"
    );
    assert_eq!(alert["mutes"], Value::Array(mutes(&app, "")));
    // Its repeat is no alert, and no secret either; another customer's is an alert.
    app.receive(&charge("evt_1", "charge.failed", "cus_1"));
    app.receive(&charge("evt_2", "charge.failed", "cus_2"));
    app.settle();
    assert_eq!(count(&app, "/api/v1/alerts"), 2);
    let quiet = app.get("/api/v1/suppressed").json();
    assert_eq!(quiet["data"].as_array().unwrap().len(), 1);
    assert_eq!(quiet["data"][0]["reason"], "muted");
    assert_eq!(
        quiet["data"][0]["message"],
        "muted by api until 2023-11-15T22:13:20Z: A charge of 19.99 USD to cus_1 failed."
    );
    // The date comes, and it speaks again.
    app.clock.advance(billingwatch_core::time::Span::days(1));
    app.receive(&charge("evt_3", "charge.failed", "cus_1"));
    app.settle();
    assert_eq!(count(&app, "/api/v1/alerts?status=open"), 2);
    assert_eq!(mutes(&app, "").len(), 0);
    let ended = mutes(&app, "?ended=true&detector=probe");
    assert_eq!(ended[0]["is_in_force"], false);
}

#[test]
fn a_mute_is_lifted_once() {
    let (app, id) = with_alert();
    judge(&app, &id, "false-positive", &json!({"scope": "pattern"}));
    let mute = mutes(&app, "").remove(0);
    assert_eq!(mute["target"], "A charge failed");
    assert_eq!(mute["amount_judged"], Value::Null);
    assert_eq!(mute["until"], "2023-12-14T22:13:20Z");
    app.receive(&charge("evt_1", "charge.failed", "cus_2"));
    app.settle();
    assert_eq!(count(&app, "/api/v1/alerts"), 1);
    let id = mute["id"].as_str().unwrap();
    let lifted = lift(&app, id);
    assert_eq!(lifted.status, 202);
    assert_eq!(lifted.json(), json!({"id": id, "journal_seq": 4}));
    app.receive(&charge("evt_2", "charge.failed", "cus_2"));
    app.settle();
    assert_eq!(count(&app, "/api/v1/alerts"), 2);
    let again = lift(&app, id);
    assert_eq!(again.status, 409);
    assert_eq!(again.error_code(), "mute_ended");
    assert_eq!(mutes(&app, "").len(), 0);
    assert_eq!(mutes(&app, "?ended=true")[0]["lifted_by"], "api");
    assert_eq!(lift(&app, "mu_0").status, 404);
}

#[test]
fn said_again_a_mute_replaces_itself() {
    let (app, id) = with_alert();
    for until in ["1700001000", "1700002000"] {
        let body = json!({"scope": "alert_key", "until": until});
        assert_eq!(judge(&app, &id, "false-positive", &body).status, 200);
    }
    let found = mutes(&app, "");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["target"], "probe:default/-/test:cus_1");
    assert_eq!(found[0]["until"], "2023-11-14T22:46:40Z");
}

#[test]
fn a_true_positive_lifts_what_was_muted_for_it() {
    let (app, id) = with_alert();
    judge(&app, &id, "false-positive", &json!({"scope": "subject"}));
    let alert = judge(&app, &id, "true-positive", &json!({"note": "it was right"})).json();
    assert_eq!(alert["false_positive"], Value::Null);
    assert_eq!(alert["true_positive"]["note"], "it was right");
    assert_eq!(alert["mutes"][0]["is_in_force"], false);
    assert_eq!(mutes(&app, "").len(), 0);
}

#[test]
fn a_mute_that_makes_no_sense_is_refused_and_marks_nothing() {
    let (app, id) = with_alert();
    for body in [
        json!({"scope": "everything"}),
        json!({"until": "1700086400"}),
        json!({"scope": "subject", "until": "tomorrow"}),
        // Past, now, and further than anybody remembers.
        json!({"scope": "subject", "until": "1600000000"}),
        json!({"scope": "subject", "until": "1700000000"}),
        json!({"scope": "subject", "until": "1800000000"}),
        json!({"scope": "subject", "until": "9223372036854775807"}),
    ] {
        let response = judge(&app, &id, "false-positive", &body);
        assert_eq!(response.status, 400, "{body}");
        assert_eq!(response.error_code(), "invalid_body", "{body}");
    }
    assert_eq!(mutes(&app, "?ended=true").len(), 0);
    let alert = app.get(&format!("/api/v1/alerts/{id}")).json();
    assert_eq!(alert["false_positive"], Value::Null);
    let unknown = judge(&app, "al_0", "false-positive", &json!({"scope": "subject"}));
    assert_eq!(unknown.status, 404);
}

#[test]
fn precision_is_counted_from_marks() {
    let app = TestApp::start();
    for n in 0..4 {
        app.receive(&charge(
            &format!("evt_{n}"),
            "charge.failed",
            &format!("cus_{n}"),
        ));
    }
    app.receive(&charge("evt_9", "charge.failed", "cus_harmless"));
    app.settle();
    let numbers = || app.get("/metrics/detectors").json()["detectors"][0].take();
    assert_eq!(numbers()["precision"], Value::Null);
    let page = app.get("/api/v1/alerts").json();
    let ids: Vec<&str> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| alert["id"].as_str().unwrap())
        .collect();
    for (id, verdict) in [
        (ids[0], "true-positive"),
        (ids[1], "true-positive"),
        (ids[2], "false-positive"),
    ] {
        assert_eq!(judge(&app, id, verdict, &json!({})).status, 200);
    }
    assert_json_snapshot!(numbers(), @r#"
        {
          "alerts_by_severity": {
            "critical": 0,
            "high": 4,
            "low": 0,
            "medium": 0
          },
          "alerts_open": 4,
          "alerts_total": 4,
          "false_positives": 1,
          "name": "probe",
          "precision": 0.667,
          "suppressed_by_reason": {
            "known_customer": 1
          },
          "suppressed_total": 1,
          "true_positives": 2
        }
        "#);
}
