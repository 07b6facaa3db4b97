//! The engine inside a program of one's own: from the bytes that Stripe posts to alerts.
//!
//! What a webhook handler needs, without a line of BillingWatch's own input or output: verify the
//! signature, read the event, give it to the engine, send on what comes out, let time pass, and
//! keep the state over a restart. The web framework, the clock and the disk are yours; here they
//! are a list of requests, a number and a variable.
//!
//! `cargo run -p billingwatch-examples --example embed`
#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::error::Error;

use billingwatch_core::engine::{Applied, Engine, Input, Record, Registry};
use billingwatch_core::stripe::payload::parse_event;
use billingwatch_core::stripe::signature::{Secret, Tolerance, sign, verify};
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_examples::tell;

/// A request as a web framework would hand it over.
struct Request {
    /// The clock, when it came in.
    now: Timestamp,
    /// The header `Stripe-Signature`.
    signature: String,
    /// The raw body. The signature is over these very bytes: do not parse and write them anew.
    body: Vec<u8>,
}

/// Part of your application's state, behind a lock of your own or in a task of its own.
struct Billing {
    secrets: Vec<Secret>,
    engine: Engine,
}

impl Billing {
    /// Your webhook handler. An error is a 400; anything else a 200.
    fn receive(&mut self, request: &Request) -> Result<Applied, Box<dyn Error>> {
        // 1. Is it from Stripe, and is it fresh? Several secrets may hold while one is rolled.
        let header = Some(request.signature.as_bytes());
        let tolerance = Tolerance::DEFAULT;
        verify(header, &request.body, &self.secrets, tolerance, request.now)?;
        // 2. What does it say? Every API version, and what nobody knows yet, becomes an event.
        //    Here an own system would first keep the body somewhere durable.
        let event = parse_event(&request.body, request.now)?;
        // 3. The engine takes it in at the time it was received. The same id counts once.
        let record = Record {
            received_at: request.now,
            source: "default".into(),
            is_historical: false,
            input: Input::Event(Box::new(event)),
        };
        Ok(self.engine.apply(&record))
    }

    /// Call it after each request and from a timer: what is new goes to your pager.
    fn pass_on(&mut self) -> usize {
        let changes = self.engine.take_changes();
        for change in &changes {
            print!("{}", tell(change));
        }
        changes.len()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let secret = Secret::new("whsec_of_your_endpoint");
    let mut billing = Billing {
        secrets: vec![secret.clone()],
        engine: Engine::new(Registry::standard()),
    };
    let monday = Timestamp::from_secs(1_709_510_400);

    println!("A quiet morning: 60 sales, of which 2 are declined.");
    for n in 0..60 {
        let kind = if n % 30 == 7 { "failed" } else { "succeeded" };
        let body = charge(
            n,
            kind,
            &format!("cus_{n}"),
            2_900 + n,
            monday + Span::minutes(5 * n),
        );
        billing.receive(&deliver(&secret, body, monday + Span::minutes(5 * n)))?;
    }
    println!("    {} alerts, as it should be.\n", billing.pass_on());

    let noon = monday + Span::hours(6);
    println!("A customer's card is charged twice for one click.");
    for (n, after) in [(100, Span::ZERO), (101, Span::secs(9))] {
        let body = charge(n, "succeeded", "cus_anna", 4_900, noon + after);
        billing.receive(&deliver(&secret, body, noon + after))?;
    }
    billing.pass_on();

    println!("\nStripe sends the same event again, since our first answer was lost.");
    let body = charge(101, "succeeded", "cus_anna", 4_900, noon + Span::secs(9));
    let again = billing.receive(&deliver(&secret, body, noon + Span::minutes(1)))?;
    println!("    {again:?}: {} alerts.", billing.pass_on());

    println!("\nSomebody else posts an event, signed with a secret he guessed.");
    let body = charge(102, "succeeded", "cus_mallory", 1, noon);
    match billing.receive(&deliver(&Secret::new("whsec_guess"), body, noon)) {
        Err(refused) => println!("    refused with 400: {refused}"),
        Ok(applied) => println!("    taken in: {applied:?}"),
    }

    println!("\nThe process restarts: the state goes to bytes and back, the alert is still open.");
    let bytes = billing.engine.snapshot()?;
    billing.engine = Engine::restore(Registry::standard(), &bytes)?;
    let open = billing.engine.open_alerts().count();
    println!("    {} bytes, {open} open alert.", bytes.len());

    println!("\nIn the evening the card processor is down.");
    let evening = monday + Span::hours(12);
    for n in 0..14 {
        let at = evening + Span::secs(40 * n);
        let body = charge(200 + n, "failed", &format!("cus_e{n}"), 1_900, at);
        billing.receive(&deliver(&secret, body, at))?;
        billing.pass_on();
    }

    println!("\nIt comes back; payments succeed. A timer lets time pass when nothing arrives.");
    for n in 0..40 {
        let at = evening + Span::minutes(20 + n);
        let body = charge(300 + n, "succeeded", &format!("cus_f{n}"), 2_100 + n, at);
        billing.receive(&deliver(&secret, body, at))?;
    }
    billing.engine.advance_to(evening + Span::hours(2));
    billing.pass_on();

    println!("\nThe duplicate is refunded in the dashboard.");
    let late = evening + Span::hours(3);
    billing.receive(&deliver(&secret, refund(101, 4_900, late), late))?;
    billing.pass_on();
    Ok(())
}

/// What Stripe does before it posts: it signs the body with the endpoint's secret.
fn deliver(secret: &Secret, body: Vec<u8>, now: Timestamp) -> Request {
    Request {
        now,
        signature: sign(secret, now, &body),
        body,
    }
}

/// A body as Stripe writes it, less the fields that matter to nobody here.
fn charge(n: i64, kind: &str, customer: &str, amount: i64, at: Timestamp) -> Vec<u8> {
    let created = at.as_secs();
    let is_paid = kind == "succeeded";
    let code = if is_paid {
        "null"
    } else {
        r#""processing_error""#
    };
    format!(
        r#"{{"id":"evt_{n}","object":"event","type":"charge.{kind}","created":{created},"livemode":true,
        "api_version":"2025-03-31.basil","data":{{"object":{{"id":"ch_{n}","object":"charge","created":{created},
        "amount":{amount},"amount_captured":{},"currency":"usd","captured":{is_paid},"paid":{is_paid},
        "status":"{kind}","customer":"{customer}","failure_code":{code},"payment_intent":"pi_{n}"}}}}}}"#,
        if is_paid { amount } else { 0 },
    )
    .into_bytes()
}

fn refund(charge: i64, amount: i64, at: Timestamp) -> Vec<u8> {
    let created = at.as_secs();
    format!(
        r#"{{"id":"evt_re_{charge}","object":"event","type":"refund.created","created":{created},"livemode":true,
        "data":{{"object":{{"id":"re_{charge}","object":"refund","created":{created},"amount":{amount},
        "currency":"usd","charge":"ch_{charge}","reason":"duplicate","status":"succeeded"}}}}}}"#
    )
    .into_bytes()
}
