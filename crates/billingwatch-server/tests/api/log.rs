//! What the log says of a request, and what it must never say.

use crate::support::{TOKEN, TestApp, charge, get, logged, post};

#[test]
fn a_request_is_one_line_without_its_secrets() {
    let app = TestApp::start();
    let event = charge("evt_1", "charge.failed", "cus_kept_private").to_string();
    app.post_signed("/webhooks/stripe", event.as_str());
    app.post_signed("/webhooks/stripe/eu", event.as_str());
    let request = post("/webhooks/stripe").header("Stripe-Signature", "t=1,v1=kept-private");
    app.ask_bare(request.body(event));
    app.ask(get("/api/v1/events?customer=cus_kept_private&limit=7"));
    app.ask(get("/metrics?token=kept-private"));
    app.ask(get("/kept-private"));
    app.ask_bare(get("/metrics").token("kept-private"));
    let log = logged();
    for line in [
        r#"POST /webhooks/stripe answered 200 http.method="POST" http.route="/webhooks/stripe" http.status=200 http.duration_ms="#,
        "POST /webhooks/stripe/{source} answered 400",
        "GET /api/v1/events answered 200",
        "GET unmatched answered 404",
        "GET /metrics answered 401",
        // The operator learns what the sender does not.
        "a signature did not verify: no signature matches the payload",
    ] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
    for secret in ["kept_private", "kept-private", "whsec", TOKEN] {
        assert!(!log.contains(secret), "{secret} is in\n{log}");
    }
}
