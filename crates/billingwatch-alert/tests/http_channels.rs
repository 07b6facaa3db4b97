//! What every HTTP channel does alike: one table of statuses, and the limits of one attempt.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use base64::Engine as _;
use billingwatch_alert::channels::{
    Discord, DiscordConfig, Slack, SlackConfig, Webhook, WebhookConfig, sign,
};
use billingwatch_alert::testing::{self, Answer, HttpReceiver};
use billingwatch_alert::{Channel, Message, Outcome, Secret};
use billingwatch_core::time::Span;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn webhook(url: &str) -> Box<dyn Channel> {
    let config = WebhookConfig {
        url: Secret::from(url),
        secrets: vec![Secret::from(SECRET)],
        timeout_secs: 1,
        ..WebhookConfig::default()
    };
    Box::new(Webhook::new(&config).unwrap())
}

fn slack(url: &str) -> Box<dyn Channel> {
    let config = SlackConfig {
        url: Secret::from(url),
        timeout_secs: 1,
        ..SlackConfig::default()
    };
    Box::new(Slack::new(&config).unwrap())
}

fn discord(url: &str) -> Box<dyn Channel> {
    let config = DiscordConfig {
        url: Secret::from(url),
        timeout_secs: 1,
        ..DiscordConfig::default()
    };
    Box::new(Discord::new(&config).unwrap())
}

type Make = fn(&str) -> Box<dyn Channel>;
const ALL: [(&str, Make); 3] = [("webhook", webhook), ("slack", slack), ("discord", discord)];

fn message(attempt: u32) -> Message {
    let mut message = testing::message(testing::firing());
    message.attempt = attempt;
    message
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered { .. } => "delivered",
        Outcome::Retry { after: None, .. } => "retry",
        Outcome::Retry { after: Some(_), .. } => "retry after",
        Outcome::GiveUp {
            disable_channel: true,
            ..
        } => "disable",
        Outcome::GiveUp { .. } => "give up",
    }
}

/// Status, then the outcome of the first attempt and of the eighth; `gone` marks what Slack and
/// Discord say of an address that is no more.
#[rustfmt::skip]
const STATUSES: &[(u16, &str, &str, bool)] = &[
    (200, "delivered", "delivered", false),
    (201, "delivered", "delivered", false),
    (202, "delivered", "delivered", false),
    (204, "delivered", "delivered", false),
    (301, "retry",     "retry",     false),
    (302, "retry",     "retry",     false),
    (304, "retry",     "retry",     false),
    (307, "retry",     "retry",     false),
    (308, "retry",     "retry",     false),
    (400, "retry",     "give up",   false),
    (401, "retry",     "give up",   false),
    (403, "retry",     "give up",   false),
    (404, "retry",     "give up",   true),
    (405, "retry",     "give up",   false),
    (408, "retry",     "retry",     false),
    (409, "retry",     "give up",   false),
    (410, "disable",   "disable",   false),
    (413, "retry",     "give up",   false),
    (422, "retry",     "give up",   false),
    (425, "retry",     "retry",     false),
    (429, "retry",     "retry",     false),
    (500, "retry",     "retry",     false),
    (502, "retry",     "retry",     false),
    (503, "retry",     "retry",     false),
    (504, "retry",     "retry",     false),
    (599, "retry",     "retry",     false),
];

#[test]
fn every_channel_reads_statuses_alike() {
    for (name, make) in ALL {
        for (status, first, eighth, is_gone) in STATUSES {
            let receiver = HttpReceiver::start(vec![Answer::status(*status)]);
            let channel = make(&receiver.url("/hook"));
            for (attempt, expected) in [(1, first), (8, eighth)] {
                let outcome = channel.send(&message(attempt));
                let expected = if *is_gone && name != "webhook" {
                    "disable"
                } else {
                    expected
                };
                assert_eq!(word(&outcome), expected, "{name} {status}: {outcome:?}");
                assert_eq!(outcome.status(), Some(*status));
            }
        }
    }
}

#[test]
fn a_wait_that_is_asked_for_is_handed_on() {
    let receiver = HttpReceiver::start(vec![
        Answer::status(429).header("Retry-After", "120"),
        Answer::status(503).header("Retry-After", "Tue, 05 Mar 2024 00:01:02 GMT"),
        Answer::status(503).header("Retry-After", "whenever"),
        Answer::status(200).header("Retry-After", "120"),
    ]);
    let channel = webhook(&receiver.url("/hook"));
    let mut waits = Vec::new();
    for attempt in 1..=4 {
        waits.push(match channel.send(&message(attempt)) {
            Outcome::Retry { after, .. } => after,
            _ => None,
        });
    }
    // The message is sent at 2024-03-05T00:00:02Z.
    assert_eq!(
        waits,
        [Some(Span::secs(120)), Some(Span::secs(60)), None, None]
    );
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = HttpReceiver::start(vec![Answer::status(200)]);
    for (name, make) in ALL {
        let answer = Answer::status(307).header("location", &elsewhere.url("/stolen"));
        let receiver = HttpReceiver::start(vec![answer]);
        let outcome = make(&receiver.url("/hook")).send(&message(1));
        assert_eq!(word(&outcome), "retry", "{name}: {outcome:?}");
        assert_eq!(receiver.wait_for(1).len(), 1);
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_receiver_that_says_nothing_is_left_after_the_time_limit() {
    for (name, make) in ALL {
        for answer in [
            Answer::hang(),
            Answer::status(200).after(Duration::from_secs(60)),
        ] {
            let receiver = HttpReceiver::start(vec![answer]);
            let outcome = make(&receiver.url("/hook")).send(&message(1));
            assert_eq!(word(&outcome), "retry", "{name}: {outcome:?}");
            assert!(
                outcome.detail().contains("no answer within 1 s"),
                "{outcome:?}"
            );
            assert_eq!(outcome.status(), None);
        }
    }
}

#[test]
fn a_receiver_that_is_not_there_is_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for (name, make) in ALL {
        let outcome = make(&format!("http://{address}/hook")).send(&message(1));
        assert_eq!(word(&outcome), "retry", "{name}: {outcome:?}");
    }
}

#[test]
fn a_receiver_that_speaks_no_tls_is_said_to() {
    let receiver = HttpReceiver::start(vec![Answer::status(200)]);
    let url = receiver.url("/t0ken-t0ken").replace("http:", "https:");
    for (name, make) in ALL {
        let outcome = make(&url).send(&message(1));
        assert_eq!(word(&outcome), "retry", "{name}: {outcome:?}");
        assert!(!outcome.detail().contains("t0ken"), "{name}: {outcome:?}");
    }
}

#[test]
fn of_a_large_answer_only_the_start_is_read() {
    for status in [200, 500] {
        let receiver = HttpReceiver::start(vec![Answer::status(status).body(vec![b'x'; 1 << 20])]);
        let outcome = webhook(&receiver.url("/hook")).send(&message(1));
        assert_eq!(outcome.status(), Some(status));
        assert!(outcome.detail().len() < 400, "{}", outcome.detail().len());
    }
}

#[test]
fn an_answer_with_endless_headers_is_refused() {
    let large = "x".repeat(100_000);
    let receiver = HttpReceiver::start(vec![Answer::status(200).header("x-large", &large)]);
    let outcome = webhook(&receiver.url("/hook")).send(&message(1));
    assert_eq!(word(&outcome), "retry", "{outcome:?}");
}

#[test]
fn an_answer_that_quotes_the_address_does_not_bring_it_to_the_record() {
    for (name, make) in ALL {
        let path = "/services/T00000000/s3cr3t-t0ken";
        let receiver = HttpReceiver::start(vec![
            Answer::status(400).body(format!("Cannot POST {path}\r\n\r\nsecond line")),
        ]);
        let outcome = make(&receiver.url(path)).send(&message(1));
        assert!(
            outcome.detail().contains("Cannot POST"),
            "{name}: {outcome:?}"
        );
        assert!(!outcome.detail().contains("s3cr3t"), "{name}: {outcome:?}");
        assert!(!outcome.detail().contains('\n'), "{name}: {outcome:?}");
    }
}

#[test]
fn webhooks_are_signed_and_the_same_in_every_attempt() {
    let receiver = HttpReceiver::start(vec![Answer::status(503), Answer::status(204)]);
    let url = receiver.url("/hook?tenant=7");
    let config = WebhookConfig {
        url: Secret::from(url.as_str()),
        secrets: vec![
            Secret::from(SECRET),
            Secret::from("the former one, in plain text"),
        ],
        ..WebhookConfig::default()
    };
    let channel = Webhook::new(&config).unwrap();
    for attempt in [1, 2] {
        let mut message = message(attempt);
        message.sent_at = message.sent_at + Span::secs(5 * i64::from(attempt));
        let _outcome = channel.send(&message);
    }
    let requests = receiver.wait_for(2);
    assert_eq!(requests[0].body, requests[1].body);
    for request in &requests {
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("POST", "/hook?tenant=7")
        );
        assert_eq!(request.header("content-type"), Some("application/json"));
        let id = request.header("webhook-id").unwrap();
        let at: i64 = request
            .header("webhook-timestamp")
            .unwrap()
            .parse()
            .unwrap();
        let key = base64::engine::general_purpose::STANDARD
            .decode(SECRET.strip_prefix("whsec_").unwrap())
            .unwrap();
        let expected = format!(
            "{} {}",
            sign(&key, id, at, &request.body),
            sign(b"the former one, in plain text", id, at, &request.body)
        );
        assert_eq!(request.header("webhook-signature"), Some(expected.as_str()));
    }
    assert_eq!(
        requests[0].header("webhook-id"),
        requests[1].header("webhook-id")
    );
    assert_ne!(
        requests[0].header("webhook-timestamp"),
        requests[1].header("webhook-timestamp")
    );
}
