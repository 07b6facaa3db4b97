//! Who may ask for what.

use billingwatch_pipeline::RuntimeOptions;
use billingwatch_server::Access;
use billingwatch_store::{TokenRole, token_hash};
use serde_json::{Value, json};

use crate::support::{START, TOKEN, TestApp, get, post, request};

/// The routes that ask for no token.
const OPEN: [&str; 6] = [
    "/docs",
    "/openapi.json",
    "/health",
    "/health/ready",
    "/webhooks/stripe",
    "/webhooks/stripe/{source}",
];

#[test]
fn every_documented_route_is_closed_but_the_open_ones() {
    let app = TestApp::start();
    let document: Value = serde_json::from_str(&billingwatch_server::openapi_json()).unwrap();
    let mut closed = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let target = path.replace("{id}", "x").replace("{source}", "eu");
            let ask = |token: Option<&str>| {
                let asked = match method.as_str() {
                    "get" => get(&target),
                    "post" => post(&target).json(&json!({})),
                    "delete" => request("DELETE", &target),
                    other => panic!("what is {other}?"),
                };
                match token {
                    Some(token) => app.ask_bare(asked.token(token)),
                    None => app.ask_bare(asked),
                }
            };
            let is_open = OPEN.contains(&path.as_str());
            let documented_open = item[method]["security"] == json!([{}]);
            assert_eq!(is_open, documented_open, "{path} in the document");
            if is_open {
                assert_ne!(ask(None).status, 401, "{method} {path}");
                continue;
            }
            closed += 1;
            for token in [None, Some("wrong"), Some("")] {
                let response = ask(token);
                assert_eq!(response.status, 401, "{method} {path} {token:?}");
                assert_eq!(response.error_code(), "unauthorized");
                assert_eq!(
                    response.header("www-authenticate"),
                    Some("Bearer realm=\"billingwatch\"")
                );
            }
            assert_ne!(ask(Some(TOKEN)).status, 401, "{method} {path}");
        }
    }
    assert_eq!(closed, 17);
}

#[test]
fn without_a_token_no_query_or_body_is_even_read() {
    let app = TestApp::start();
    let response = app.ask_bare(get("/api/v1/events?limit=many"));
    assert_eq!(response.status, 401);
    let request = post("/api/v1/alerts/al_0/acknowledge").body("{");
    assert_eq!(app.ask_bare(request).status, 401);
}

#[test]
fn a_token_in_the_query_is_none() {
    let app = TestApp::start();
    let response = app.ask_bare(get(&format!("/metrics?token={TOKEN}")));
    assert_eq!(response.status, 401);
}

#[test]
fn tokens_of_the_store_work_until_revoked_and_by_their_role() {
    let app = TestApp::start();
    for (name, token, role) in [
        ("grafana", "r", TokenRole::Viewer),
        ("ann", "w", TokenRole::Operator),
    ] {
        app.store
            .insert_token(name, &token_hash(token), role, START)
            .unwrap();
    }
    let mark = |token: &str| {
        let path = "/api/v1/alerts/al_0/acknowledge";
        app.ask_bare(post(path).token(token).json(&json!({})))
            .status
    };
    assert_eq!(app.ask_bare(get("/metrics").token("r")).status, 200);
    assert_eq!(app.ask_bare(get("/metrics").token("w")).status, 200);
    assert_eq!(mark("r"), 403);
    assert_eq!(mark("w"), 404);
    let reader = app.store.list_tokens().unwrap()[0].id;
    app.store.revoke_token(reader, START).unwrap();
    assert_eq!(app.ask_bare(get("/metrics").token("r")).status, 401);
}

#[test]
fn an_open_server_answers_this_machine_alone() {
    let app = TestApp::start_with(
        |config| config.access = Access::Open,
        &RuntimeOptions::default(),
    );
    assert_eq!(app.ask_bare(get("/metrics")).status, 200);
    assert_eq!(
        app.ask_bare(get("/metrics").header("Host", "localhost:8000"))
            .status,
        200
    );
    // A page on the web whose name was pointed at 127.0.0.1.
    let response = app.ask_bare(get("/metrics").header("Host", "evil.example:8000"));
    assert_eq!(response.status, 403);
    assert_eq!(response.error_code(), "forbidden");
    // A page on the web that posts: the browser must ask first, and is not answered.
    let preflight = request("OPTIONS", "/api/v1/alerts/al_0/acknowledge")
        .header("Origin", "https://evil.example")
        .header("Access-Control-Request-Method", "POST");
    let response = app.ask_bare(preflight);
    assert_eq!(response.header("access-control-allow-origin"), None);
    let form = post("/api/v1/alerts/al_0/acknowledge")
        .header("Content-Type", "text/plain")
        .body("{}");
    assert_eq!(app.ask_bare(form).status, 415);
}

/// A hundred guesses, then one every three seconds: and nobody who was let in before notices.
#[test]
fn guessing_tokens_is_slow() {
    let app = TestApp::start();
    let guess = |token: &str| app.ask_bare(get("/metrics").token(token));
    app.store
        .insert_token("late", &token_hash("late"), TokenRole::Viewer, START)
        .unwrap();
    assert_eq!(app.get("/metrics").status, 200);
    for n in 0..100 {
        assert_eq!(guess(&format!("guess {n}")).status, 401, "{n}");
    }
    let refused = guess("guess 100");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.error_code(), "too_many_failures");
    assert_eq!(refused.header("retry-after"), Some("5"));
    // Even the right one is not looked at now, unless it was right before; none at all is no guess.
    assert_eq!(guess("late").status, 429);
    assert_eq!(app.get("/metrics").status, 200);
    assert_eq!(app.ask_bare(get("/metrics")).status, 401);
    // What Stripe posts is another matter, well signed or not.
    app.receive(&crate::support::charge("evt_1", "charge.failed", "cus_1"));
    for _ in 0..50 {
        let forged = post("/webhooks/stripe").header("Stripe-Signature", "t=1,v1=0");
        assert_eq!(app.ask_bare(forged.body("{}")).status, 400);
    }
    app.receive(&crate::support::charge("evt_2", "charge.failed", "cus_1"));
    app.clock.advance(billingwatch_core::time::Span::secs(3));
    assert_eq!(guess("late").status, 200);
}
