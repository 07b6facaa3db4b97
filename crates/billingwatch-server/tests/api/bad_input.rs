//! What a sender can get wrong, or do on purpose: each has a clear answer, none is a 500, none
//! leaves anything behind, and the server goes on.

use std::fmt::Write as _;

use billingwatch_core::stripe::signature::{Secret, sign};
use billingwatch_core::time::{Span, Timestamp};
use serde_json::json;

use crate::support::{SECRET, START, TestApp, charge, get, post};

const LIMIT_BYTES: usize = 1024 * 1024;

fn at(secs: i64) -> Timestamp {
    START + Span::secs(secs)
}

#[test]
fn every_bad_signature_gets_the_same_words() {
    let app = TestApp::start();
    let body = charge("evt_1", "charge.failed", "cus_1").to_string();
    let signed = |at| sign(&Secret::new(SECRET), at, body.as_bytes());
    let good = signed(START);
    let (t, v1) = good.split_once(",v1=").unwrap();
    let headers = [
        ("missing", None),
        ("empty", Some(String::new())),
        (
            "wrong secret",
            Some(sign(&Secret::new("whsec_other"), START, body.as_bytes())),
        ),
        ("other body", Some(sign(&Secret::new(SECRET), START, b"{}"))),
        ("stale", Some(signed(at(-301)))),
        ("future", Some(signed(at(301)))),
        ("truncated", Some(good[..good.len() - 1].to_owned())),
        ("upper case", Some(format!("{t},v1={}", v1.to_uppercase()))),
        ("v0 alone", Some(format!("{t},v0={v1}"))),
        ("no time", Some(format!("v1={v1}"))),
        ("no number", Some(format!("t=,v1={v1}"))),
        ("two times", Some(format!("t=1,{good}"))),
        (
            "no header at all",
            Some("I'm not even a real signature header".to_owned()),
        ),
        ("no ASCII", Some("t=1,v1=é".to_owned())),
        ("60 KB", Some(format!("{good},v1={}", "a".repeat(60_000)))),
    ];
    for (what, header) in headers {
        let mut request = post("/webhooks/stripe").body(body.as_str());
        if let Some(header) = header {
            request = request.header("Stripe-Signature", header);
        }
        let response = app.ask_bare(request);
        assert_eq!(response.status, 400, "{what}");
        assert_eq!(
            response.json(),
            json!({"error": {
                "code": "signature_verification_failed",
                "message": "signature verification failed",
            }}),
            "{what}"
        );
    }
    assert_eq!(app.store.count_events().unwrap(), 0);
}

#[test]
fn a_header_twice_is_refused() {
    let app = TestApp::start();
    let body = charge("evt_1", "charge.failed", "cus_1").to_string();
    let good = app.sign(body.as_bytes());
    let request = post("/webhooks/stripe")
        .header("Stripe-Signature", good.clone())
        .header("Stripe-Signature", good)
        .body(body);
    let response = app.ask_bare(request);
    assert_eq!(response.status, 400);
    assert_eq!(response.error_code(), "signature_verification_failed");
}

#[test]
fn within_the_tolerance_a_signature_holds() {
    let app = TestApp::start();
    for (n, secs) in [-300, -299, 0, 299, 300].into_iter().enumerate() {
        let body = charge(&format!("evt_{n}"), "charge.failed", "cus_1").to_string();
        let header = sign(&Secret::new(SECRET), at(secs), body.as_bytes());
        let request = post("/webhooks/stripe")
            .header("Stripe-Signature", header)
            .body(body);
        assert_eq!(app.ask_bare(request).status, 200, "{secs} s");
    }
}

#[test]
fn headers_beyond_their_bound_are_refused_cleanly() {
    let app = TestApp::start();
    // Ours, beyond 64 KiB: with the envelope.
    let request = post("/webhooks/stripe")
        .header("Stripe-Signature", "a".repeat(70_000))
        .body("{}");
    let response = app.ask_bare(request);
    assert_eq!(response.status, 431);
    assert_eq!(response.error_code(), "headers_too_large");
    // The protocol layer's, beyond 128 KiB: with a status alone.
    let request = post("/webhooks/stripe")
        .header("Stripe-Signature", "a".repeat(1024 * 1024))
        .body("{}");
    let response = app.ask_bare(request);
    assert_eq!(response.status, 431);
    // And the server goes on.
    assert_eq!(app.ask_bare(get("/health")).status, 200);
}

#[test]
fn signed_bodies_that_are_no_event_are_400() {
    let app = TestApp::start();
    let id_of_300 = format!(r#"{{"id":"{}","type":"charge.failed"}}"#, "e".repeat(300));
    let bodies: [(&str, Vec<u8>); 11] = [
        ("not JSON", b"id=evt_1".to_vec()),
        ("array", br#"[{"id":"evt_1"}]"#.to_vec()),
        ("null", b"null".to_vec()),
        ("string", b"\"evt_1\"".to_vec()),
        ("number", b"7".to_vec()),
        ("cut short", br#"{"id":"evt_1","type":"#.to_vec()),
        ("two documents", br#"{"id":"evt_1"}{"id":"evt_2"}"#.to_vec()),
        ("no id", br#"{"type":"charge.failed"}"#.to_vec()),
        ("id null", br#"{"id":null,"type":"charge.failed"}"#.to_vec()),
        (
            "id a number",
            br#"{"id":7,"type":"charge.failed"}"#.to_vec(),
        ),
        ("id of 300", id_of_300.into_bytes()),
    ];
    for (what, body) in bodies {
        let response = app.post_signed("/webhooks/stripe", body);
        assert_eq!(response.status, 400, "{what}: {}", response.text());
        assert_eq!(response.error_code(), "invalid_payload", "{what}");
    }
    // Of nothing there is nothing to sign.
    let response = app.post_signed("/webhooks/stripe", "");
    assert_eq!(response.status, 400);
    assert_eq!(response.error_code(), "signature_verification_failed");
    assert_eq!(app.store.count_events().unwrap(), 0);
}

#[test]
fn odd_events_are_kept() {
    let app = TestApp::start();
    let mut deep = String::from(r#"{"id":"evt_deep","type":"x","data":"#);
    deep.push_str(&"[".repeat(100));
    deep.push_str(&"]".repeat(100));
    deep.push('}');
    let bodies = [
        ("type null", r#"{"id":"evt_1","type":null}"#.to_owned()),
        ("no type", r#"{"id":"evt_2"}"#.to_owned()),
        ("type a number", r#"{"id":"evt_3","type":7}"#.to_owned()),
        (
            "type of 300",
            format!(r#"{{"id":"evt_4","type":"{}"}}"#, "t".repeat(300)),
        ),
        (
            "year 1900",
            r#"{"id":"evt_5","type":"x","created":-2208988800}"#.to_owned(),
        ),
        (
            "year 9999",
            r#"{"id":"evt_6","type":"x","created":253402300799}"#.to_owned(),
        ),
        (
            "beyond i64",
            r#"{"id":"evt_7","type":"charge.failed","created":99999999999999999999,
            "data":{"object":{"id":"ch_7","object":"charge","amount":99999999999999999999}}}"#
                .to_owned(),
        ),
        (
            "negative",
            r#"{"id":"evt_8","type":"charge.failed",
            "data":{"object":{"id":"ch_8","object":"charge","amount":-5,"currency":"usd"}}}"#
                .to_owned(),
        ),
        (
            "float",
            r#"{"id":"evt_9","type":"charge.failed",
            "data":{"object":{"id":"ch_9","object":"charge","amount":19.99,"currency":"usd"}}}"#
                .to_owned(),
        ),
        (
            "lone surrogate",
            r#"{"id":"evt_10","type":"x","data":{"object":{"name":"\ud800"}}}"#.to_owned(),
        ),
        (
            "duplicate keys",
            r#"{"id":"evt_11","type":"x","type":"y"}"#.to_owned(),
        ),
        ("deep", deep),
    ];
    let sent = i64::try_from(bodies.len()).unwrap();
    for (what, body) in bodies {
        let response = app.post_signed("/webhooks/stripe", body);
        assert_eq!(response.status, 200, "{what}: {}", response.text());
    }
    assert_eq!(app.store.count_events().unwrap(), sent);
    // The detectors get past them, and the lists show them.
    app.settle();
    let list = app.get("/api/v1/events?limit=200");
    assert_eq!(list.status, 200);
    assert_eq!(list.json()["data"].as_array().unwrap().len(), 12);
    for n in 1..=11 {
        assert_eq!(
            app.get(&format!("/api/v1/events/evt_{n}")).status,
            200,
            "evt_{n}"
        );
    }
}

#[test]
fn bytes_that_are_no_utf_8_are_kept_as_they_are() {
    let app = TestApp::start();
    let body = b"{\"id\":\"evt_1\",\"type\":\"x\",\"data\":{\"object\":{\"name\":\"\xff\"}}}";
    let response = app.post_signed("/webhooks/stripe", &body[..]);
    assert_eq!(response.status, 200);
    let shown = app.get("/api/v1/events/evt_1");
    assert_eq!(shown.status, 200);
    assert_eq!(shown.json()["body"], serde_json::Value::Null);
    let raw = app.get("/api/v1/events/evt_1/raw");
    assert_eq!(raw.status, 200);
    assert_eq!(raw.body, body);
}

#[test]
fn nesting_without_end_is_an_answer_not_a_crash() {
    let app = TestApp::start();
    for depth in [200, 100_000] {
        let mut body = format!(r#"{{"id":"evt_{depth}","type":"x","data":"#);
        body.push_str(&"[".repeat(depth));
        body.push_str(&"]".repeat(depth));
        body.push('}');
        let status = app.post_signed("/webhooks/stripe", body).status;
        assert!(matches!(status, 200 | 400), "{depth}: {status}");
    }
    assert_eq!(app.ask_bare(get("/health")).status, 200);
}

#[test]
fn a_body_over_the_limit_is_413_whether_or_not_it_says_so() {
    let app = TestApp::start();
    let big = "x".repeat(20 * 1024 * 1024);
    let response = app.ask_bare(post("/webhooks/stripe").body(big.as_str()));
    assert_eq!(response.status, 413);
    assert_eq!(response.error_code(), "body_too_large");
    let response = app.ask_bare(post("/webhooks/stripe").body(big).chunked());
    assert_eq!(response.status, 413);
    assert_eq!(response.error_code(), "body_too_large");
    assert_eq!(app.ask_bare(get("/health")).status, 200);
}

#[test]
fn a_body_at_the_limit_is_taken_and_one_byte_more_is_not() {
    let app = TestApp::start();
    let event = |size_bytes: usize| {
        let mut body = String::from(r#"{"id":"evt_1","type":"x","pad":""#);
        let rest = size_bytes - body.len() - 2;
        write!(body, "{}\"}}", "p".repeat(rest)).unwrap();
        assert_eq!(body.len(), size_bytes);
        body
    };
    let response = app.post_signed("/webhooks/stripe", event(LIMIT_BYTES + 1));
    assert_eq!(response.status, 413);
    let response = app.post_signed("/webhooks/stripe", event(LIMIT_BYTES));
    assert_eq!(response.status, 200);
}

#[test]
fn a_compressed_body_is_bytes_that_do_not_verify() {
    let app = TestApp::start();
    // gzip of `{}`; the signature is over the plain text, as Stripe's would be.
    let gzip = hex::decode("1f8b08000000000002ffabae050043bfa6a302000000").unwrap();
    let header = app.sign(b"{}");
    let request = post("/webhooks/stripe")
        .header("Stripe-Signature", header)
        .header("Content-Encoding", "gzip")
        .body(gzip.clone());
    let response = app.ask_bare(request);
    assert_eq!(response.status, 400);
    assert_eq!(response.error_code(), "signature_verification_failed");
    // Signed as it is, it verifies, and is no event.
    let header = app.sign(&gzip);
    let request = post("/webhooks/stripe")
        .header("Stripe-Signature", header)
        .header("Content-Encoding", "gzip")
        .body(gzip);
    let response = app.ask_bare(request);
    assert_eq!(response.status, 400);
    assert_eq!(response.error_code(), "invalid_payload");
}

#[test]
fn what_is_no_http_gets_a_400() {
    use std::net::TcpStream;
    let app = TestApp::start();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"POST /webhooks/stripe HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    ] {
        let mut stream = TcpStream::connect(app.addr).unwrap();
        let response = crate::support::exchange(&mut stream, garbage);
        assert_eq!(response.status, 400);
    }
    assert_eq!(app.ask_bare(get("/health")).status, 200);
}
