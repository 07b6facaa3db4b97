//! Senders that are slow, and a stop in the middle of a request.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use billingwatch_pipeline::{Ingest, IngestOptions, RuntimeOptions};
use billingwatch_server::{Server, Services};

use crate::support::{TestApp, charge, config, get, post, read_response};

/// An app that is soon out of patience.
fn impatient() -> TestApp {
    TestApp::start_with(
        |config| config.limits.request_timeout = Duration::from_millis(200),
        &RuntimeOptions::default(),
    )
}

#[test]
fn a_body_that_does_not_come_is_408() {
    let app = impatient();
    let mut stream = TcpStream::connect(app.addr).unwrap();
    stream
        .write_all(b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        .unwrap();
    let response = read_response(&mut stream);
    assert_eq!(response.status, 408);
    assert_eq!(response.error_code(), "request_timeout");
}

#[test]
fn a_head_that_does_not_come_is_408() {
    let app = impatient();
    let mut stream = TcpStream::connect(app.addr).unwrap();
    stream
        .write_all(b"POST /webhooks/stripe HTTP/1.1\r\nHo")
        .unwrap();
    let response = read_response(&mut stream);
    assert_eq!(response.status, 408);
}

#[test]
fn a_body_cut_short_leaves_nothing_behind() {
    let app = TestApp::start();
    let body = charge("evt_1", "charge.failed", "cus_1").to_string();
    let header = app.sign(body.as_bytes());
    let head = format!(
        "POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nStripe-Signature: {header}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(app.addr).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body.as_bytes()[..20]).unwrap();
    drop(stream);
    assert_eq!(app.ask_bare(get("/health")).status, 200);
    assert_eq!(app.store.count_events().unwrap(), 0);
}

#[test]
fn a_commit_that_does_not_come_is_503() {
    let app = TestApp::start();
    // A queue whose writer never runs: a disk that hangs.
    let (ingest, _writer) = Ingest::new(
        app.faults.clone(),
        app.clock.clone(),
        IngestOptions::default(),
        Arc::default(),
    );
    let mut config = config();
    config.limits.durable_timeout = Duration::from_millis(50);
    let services = Services {
        ingest,
        ..app.services()
    };
    let bound = Server::bind(config, services).unwrap();
    let (addr, stopper) = (bound.addr(), bound.stopper());
    let server = std::thread::spawn(move || bound.run());
    let body = charge("evt_1", "charge.failed", "cus_1").to_string();
    let response = post("/webhooks/stripe")
        .header("Stripe-Signature", app.sign(body.as_bytes()))
        .body(body)
        .send(addr);
    assert_eq!(response.status, 503);
    assert_eq!(response.error_code(), "unavailable");
    stopper.stop();
    server.join().unwrap().unwrap();
}

#[test]
fn a_request_that_has_begun_is_answered_before_a_stop() {
    let mut app = TestApp::start();
    let body = charge("evt_1", "charge.failed", "cus_1").to_string();
    let header = app.sign(body.as_bytes());
    let head = format!(
        "POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nStripe-Signature: {header}\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(app.addr).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    // The server asks for the body: the request has begun.
    let mut told = [0; 25];
    std::io::Read::read_exact(&mut stream, &mut told).unwrap();
    assert!(
        told.starts_with(b"HTTP/1.1 100 Continue"),
        "{}",
        String::from_utf8_lossy(&told)
    );
    app.stopper().stop();
    stream.write_all(body.as_bytes()).unwrap();
    let response = read_response(&mut stream);
    assert_eq!(response.status, 200);
    app.join();
    assert_eq!(app.store.count_events().unwrap(), 1);
}
