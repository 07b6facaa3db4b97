//! What goes wrong with the watching itself is told like any alert.

use std::time::Duration;

use billingwatch_pipeline::RuntimeOptions;
use serde_json::Value;

use crate::support::{TestApp, charge, post};

fn ours(app: &TestApp) -> Vec<Value> {
    let page = app.get("/api/v1/alerts?detector=operations").json();
    page["data"].as_array().unwrap().clone()
}

#[test]
fn a_run_of_bad_signatures_is_told_once() {
    let options = RuntimeOptions {
        operations: Some(Duration::from_millis(5)),
        ..RuntimeOptions::default()
    };
    let app = TestApp::start_telling_with(&options);
    // No more than it takes: the look that fires has then seen them all, and none counts for later.
    for n in 0..10 {
        let forged = post("/webhooks/stripe/eu")
            .header("Stripe-Signature", "t=1700000000,v1=00")
            .body(charge(&format!("evt_{n}"), "charge.failed", "cus_1").to_string());
        assert_eq!(app.ask_bare(forged).status, 400);
    }
    app.wait_until(|status| status.channels[0].delivered == 1);
    let found = ours(&app);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["title"], "Webhooks arrive with bad signatures");
    assert_eq!(found[0]["subject"], "eu");
    assert_eq!(found[0]["status"], "firing");
    // Nobody forged an event into the journal, and no detector saw one.
    assert_eq!(app.get("/metrics").json()["total_events"], 0);
    // It ends by itself, and is told to have ended.
    app.clock
        .advance(billingwatch_core::time::Span::minutes(11));
    app.wait_until(|status| status.channels[0].delivered == 2);
    assert_eq!(ours(&app)[0]["status"], "resolved");
}
