//! From a webhook to the first byte of its alert at a channel: the release binary, 1,000 events a
//! second, and a receiver on this machine.
//!
//! Every fifth of a second an invoice is finalised with a total below zero, which is an alert of its
//! own, among payments. Counted from when its event was due to be posted until the first byte of its
//! alert arrives at the webhook channel: signature, journal, detectors, the alert's commit, outbox,
//! request. Goal: p99 of 500 ms. In the same run, the limit: the answer to the post itself, which is
//! when the event is durable.
//!
//! `cargo build --release -p billingwatch && cargo bench -p billingwatch-benches --bench alert_latency`
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use billingwatch_benches::is_measured;
use billingwatch_benches::load::{self, Pace, signed_bodies};
use billingwatch_benches::served::{Served, binary};
use billingwatch_pipeline::{Clock, SystemClock};

/// Events a second.
const RATE: u32 = 1_000;

const GOAL: Duration = Duration::from_millis(500);

/// From one invoice below zero to the next, in events.
const INVOICES_APART: u32 = 200;

const CONNECTIONS: usize = 32;

/// Longer than this no alert is waited for.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// When the first byte of each invoice's alert came.
type Arrived = Arc<Mutex<HashMap<String, Instant>>>;

fn main() -> Result<(), Box<dyn Error>> {
    let binary = match binary() {
        Ok(binary) => binary,
        Err(reason) if is_measured() => return Err(reason.into()),
        Err(reason) => {
            println!("passed over: {reason}");
            return Ok(());
        }
    };
    let secs = if is_measured() { 60 } else { 2 };
    let arrived = Arrived::default();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}/alerts", listener.local_addr()?);
    let heard = Arc::clone(&arrived);
    std::thread::spawn(move || receive(&listener, &heard));

    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let served = Served::start_with(&binary, folder.path(), &[("ALERT_WEBHOOK_URL", &url)])?;
    let now_secs = SystemClock.now().as_secs();
    let mut invoices: Vec<(u32, String)> = Vec::new();
    let bodies: Vec<String> = (0..RATE * secs)
        .map(|index| {
            let created = now_secs + i64::from(index / RATE);
            if index % INVOICES_APART == INVOICES_APART / 2 {
                let id = format!("in_below{index:09}");
                let body = invoice(index, &id, created);
                invoices.push((index, id));
                body
            } else {
                charge(index, created)
            }
        })
        .collect();
    let posts = signed_bodies(bodies.iter().map(String::as_bytes));
    let outcome = load::run(served.addr, &posts, CONNECTIONS, Pace::PerSecond(RATE))?;

    let waited_from = Instant::now();
    let is_complete = || lock(&arrived).len() >= invoices.len();
    while !is_complete() && waited_from.elapsed() < WAIT_MAX {
        std::thread::sleep(Duration::from_millis(20));
    }
    let arrived = lock(&arrived);
    let mut took: Vec<Duration> = invoices
        .iter()
        .filter_map(|(index, id)| {
            let due_at = outcome.started_at + Duration::from_secs(1) * *index / RATE;
            Some(arrived.get(id)?.duration_since(due_at))
        })
        .collect();
    took.sort_unstable();
    println!(
        "{} events/s for {secs} s; {} alerts, {} of them told",
        RATE,
        invoices.len(),
        took.len()
    );
    if took.len() < invoices.len() {
        return Err("some alerts were never told".into());
    }
    tell("limit: post to answer", &outcome.latencies);
    tell("post to first byte at the channel", &took);
    let p99 = permille(&took, 990);
    println!(
        "p99 is {:.2} of the goal of {} ms",
        p99.as_secs_f64() / GOAL.as_secs_f64(),
        GOAL.as_millis()
    );
    Ok(())
}

fn tell(what: &str, took: &[Duration]) {
    let millis = |part| permille(took, part).as_secs_f64() * 1e3;
    println!(
        "{what:<36} p50 {:>6.1} ms, p99 {:>6.1} ms, worst {:>6.1} ms",
        millis(500),
        millis(990),
        millis(1000)
    );
}

fn permille(sorted: &[Duration], part: usize) -> Duration {
    let index = (sorted.len() * part / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or_default()
}

fn charge(index: u32, created: i64) -> String {
    format!(
        r#"{{"id":"evt_1Pqk{index:020}","object":"event","api_version":"2022-11-15","created":{created},"livemode":true,"pending_webhooks":1,"request":{{"id":null,"idempotency_key":null}},"type":"charge.succeeded","data":{{"object":{{"id":"ch_3Pqk{index:020}","object":"charge","amount":4900,"amount_captured":4900,"amount_refunded":0,"captured":true,"created":{created},"currency":"usd","customer":"cus_{index:09}","description":null,"invoice":null,"metadata":{{}},"payment_intent":"pi_3Pqk{index:020}","status":"succeeded","payment_method_details":{{"type":"card","card":{{"brand":"visa","country":"US","fingerprint":"fp{index:09}","funding":"credit"}}}}}}}}}}"#
    )
}

fn invoice(index: u32, id: &str, created: i64) -> String {
    format!(
        r#"{{"id":"evt_1Pqk{index:020}","object":"event","api_version":"2022-11-15","created":{created},"livemode":true,"pending_webhooks":1,"request":{{"id":null,"idempotency_key":null}},"type":"invoice.finalized","data":{{"object":{{"id":"{id}","object":"invoice","amount_due":0,"amount_paid":0,"amount_remaining":0,"billing_reason":"manual","collection_method":"charge_automatically","created":{created},"currency":"usd","customer":"cus_{index:09}","lines":{{"object":"list","data":[],"has_more":false}},"status":"open","subscription":null,"subtotal":-4900,"total":-4900}}}}}}"#
    )
}

fn receive(listener: &TcpListener, arrived: &Arrived) {
    for stream in listener.incoming().flatten() {
        let arrived = Arc::clone(arrived);
        std::thread::spawn(move || {
            // A connection that ends is as good as one that is closed.
            let _ = receive_on(stream, &arrived);
        });
    }
}

fn receive_on(stream: TcpStream, arrived: &Arrived) -> io::Result<()> {
    let mut answers = stream.try_clone()?;
    let mut requests = BufReader::new(stream);
    loop {
        if requests.fill_buf()?.is_empty() {
            return Ok(());
        }
        let first_byte_at = Instant::now();
        let mut length = 0;
        loop {
            let mut line = String::new();
            requests.read_line(&mut line)?;
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        requests.read_exact(&mut body)?;
        answers.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        let message: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let subjects = message["data"]["subjects"].as_array();
        for subject in subjects.into_iter().flatten() {
            let id = subject.as_str().unwrap_or_default();
            if id.starts_with("in_below") {
                lock(arrived).entry(id.to_owned()).or_insert(first_byte_at);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
