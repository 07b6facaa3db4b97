//! Against a server on loopback. STARTTLS is exercised by the end-to-end suite.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::secret::Secret;
use crate::testing::{self, SmtpScript, SmtpServer};

fn config(server: &SmtpServer) -> EmailConfig {
    EmailConfig {
        from: "BillingWatch <alerts@example.com>".to_owned(),
        to: vec![
            "ann@example.org".to_owned(),
            "Bob <bob@example.org>".to_owned(),
        ],
        smtp_host: "127.0.0.1".to_owned(),
        smtp_port: Some(server.port()),
        smtp_tls: Some(SmtpTls::None),
        timeout_secs: 1,
        ..EmailConfig::default()
    }
}

fn send(script: SmtpScript) -> (Outcome, SmtpServer) {
    let server = SmtpServer::start(script);
    let email = Email::new(&config(&server)).unwrap();
    (email.send(&testing::message(testing::firing())), server)
}

#[test]
fn one_mail_reaches_every_recipient() {
    let (outcome, server) = send(SmtpScript::default());
    assert!(outcome.is_delivered(), "{outcome:?}");
    assert_eq!(outcome.status(), Some(250));
    let mails = server.wait_for(1);
    assert_eq!(mails[0].from, "alerts@example.com");
    assert_eq!(mails[0].to, ["ann@example.org", "bob@example.org"]);
}

#[test]
fn mails_read_as_meant() {
    for (name, change) in testing::changes() {
        let server = SmtpServer::start(SmtpScript::default());
        let email = Email::new(&config(&server)).unwrap();
        assert!(email.send(&testing::message(change)).is_delivered());
        insta::assert_snapshot!(format!("raw_{name}"), server.wait_for(1)[0].data);
    }
}

#[test]
fn parts_read_as_meant() {
    for (name, change) in testing::changes() {
        let (subject, text, html) = mail::parts(&testing::message(change)).unwrap();
        insta::assert_snapshot!(format!("text_{name}"), format!("{subject}\n\n{text}"));
        insta::assert_snapshot!(format!("html_{name}"), html);
    }
}

#[test]
fn the_largest_alert_is_a_mail_of_moderate_size() {
    let server = SmtpServer::start(SmtpScript::default());
    let email = Email::new(&config(&server)).unwrap();
    assert!(
        email
            .send(&testing::message(testing::huge()))
            .is_delivered()
    );
    let size_bytes = server.wait_for(1)[0].data.len();
    assert!(size_bytes < 400_000, "{size_bytes}");
}

#[test]
fn strangers_cannot_add_headers_or_end_the_mail() {
    let server = SmtpServer::start(SmtpScript::default());
    let email = Email::new(&config(&server)).unwrap();
    assert!(
        email
            .send(&testing::message(testing::hostile()))
            .is_delivered()
    );
    let mails = server.wait_for(1);
    assert_eq!(mails.len(), 1);
    let (headers, body) = mails[0].data.split_once("\n\n").unwrap();
    let names: Vec<&str> = headers
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "From",
            "Date",
            "Message-ID",
            "In-Reply-To",
            "References",
            "Subject",
            "Auto-Submitted",
            "To",
            "MIME-Version",
            "Content-Type",
        ]
    );
    // Opening, between the parts, closing: no text of theirs makes a fourth.
    assert_eq!(
        body.lines().filter(|line| line.starts_with("--=_")).count(),
        3
    );
    let html = body.split("Content-Type: text/html").nth(1).unwrap();
    for tag in ["<script", "<img", "<b>", "<h1>=", "\" onmouseover"] {
        assert!(!html.contains(tag), "{html}");
    }
}

#[test]
fn one_alert_is_one_thread() {
    let mut threads = Vec::new();
    let mut ids = Vec::new();
    for change in [testing::firing(), testing::escalated(), testing::resolved()] {
        let server = SmtpServer::start(SmtpScript::default());
        let email = Email::new(&config(&server)).unwrap();
        assert!(email.send(&testing::message(change)).is_delivered());
        let data = server.wait_for(1)[0].data.clone();
        let header = |name: &str| {
            let line = data.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_once(": ").unwrap().1.to_owned()
        };
        assert_eq!(header("In-Reply-To"), header("References"));
        threads.push(header("References"));
        ids.push(header("Message-ID"));
    }
    threads.dedup();
    ids.dedup();
    assert_eq!((threads.len(), ids.len()), (1, 3), "{threads:?} {ids:?}");
}

#[test]
fn logging_in_works_and_a_wrong_password_is_tried_again_later() {
    for (password, works) in [("right", true), ("wrong", false)] {
        let server = SmtpServer::start(SmtpScript {
            login: Some(("ann".to_owned(), "right".to_owned())),
            ..SmtpScript::default()
        });
        let email = Email::new(&EmailConfig {
            smtp_user: "ann".to_owned(),
            smtp_pass: Secret::from(password),
            ..config(&server)
        });
        let outcome = email.unwrap().send(&testing::message(testing::firing()));
        assert_eq!(outcome.is_delivered(), works, "{outcome:?}");
        if works {
            assert_eq!(server.wait_for(1)[0].user.as_deref(), Some("ann"));
        } else {
            // Whoever corrects the setting within three days still gets the alert.
            assert!(
                matches!(
                    outcome,
                    Outcome::Retry {
                        status: Some(535),
                        ..
                    }
                ),
                "{outcome:?}"
            );
            assert!(!outcome.detail().contains("wrong\0"), "{outcome:?}");
        }
    }
}

#[test]
fn replies_say_whether_to_try_again() {
    let cases = [
        ("greeting", "421 4.3.2 Busy", "retry"),
        ("greeting", "554 5.3.2 Go away", "retry"),
        ("MAIL", "451 4.3.0 Later", "retry"),
        ("MAIL", "550 5.7.1 Not you", "give up"),
        ("MAIL", "530 5.7.0 Log in first", "retry"),
        ("RCPT", "450 4.2.0 Greylisted", "retry"),
        ("RCPT", "550 5.1.1 Unknown", "give up"),
        ("DATA", "452 4.3.1 Full", "retry"),
        ("DATA", "554 5.6.0 No", "give up"),
        (".", "451 4.3.0 Later", "retry"),
        (".", "552 5.3.4 Too big", "give up"),
        ("EHLO", "250-x\r\n250 SIZE 1000", "delivered"),
        ("RCPT", "utter nonsense", "retry"),
    ];
    for (command, reply, expected) in cases {
        let (outcome, _server) = send(SmtpScript::default().reply(command, reply));
        let came = match &outcome {
            Outcome::Delivered { .. } => "delivered",
            Outcome::Retry { .. } => "retry",
            Outcome::GiveUp {
                disable_channel, ..
            } => {
                assert!(!disable_channel);
                "give up"
            }
        };
        assert_eq!(came, expected, "{command} {reply}: {outcome:?}");
        assert!(!outcome.detail().contains("@example."), "{outcome:?}");
    }
}

#[test]
fn a_recipient_refused_for_good_does_not_keep_the_others_from_it() {
    let script = SmtpScript::default().reply("RCPT TO:<bob", "550 5.1.1 <bob@example.org> unknown");
    let (outcome, server) = send(script);
    assert!(outcome.is_delivered(), "{outcome:?}");
    assert!(
        outcome.detail().contains("1 of 2 recipients"),
        "{outcome:?}"
    );
    assert!(!outcome.detail().contains("bob@"), "{outcome:?}");
    assert_eq!(server.wait_for(1)[0].to, ["ann@example.org"]);
}

#[test]
fn a_recipient_put_off_is_tried_again_alone() {
    let script = SmtpScript::default().reply_once("RCPT TO:<bob", "450 4.2.0 Greylisted");
    let server = SmtpServer::start(script);
    let email = Email::new(&config(&server)).unwrap();
    let mut message = testing::message(testing::firing());
    let first = email.send(&message);
    assert!(
        matches!(
            first,
            Outcome::Retry {
                status: Some(450),
                ..
            }
        ),
        "{first:?}"
    );
    message.attempt = 2;
    let second = email.send(&message);
    assert!(second.is_delivered(), "{second:?}");
    assert!(second.detail().contains("2 of 2 recipients"), "{second:?}");
    let to: Vec<_> = server.wait_for(2).into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, [["ann@example.org"], ["bob@example.org"]]);
    assert!(email.settled.borrow().is_empty());
}

#[test]
fn recipients_not_reached_in_time_are_tried_again() {
    let server = SmtpServer::start(SmtpScript::default());
    let mut email = Email::new(&config(&server)).unwrap();
    assert_eq!(email.time_limit().as_secs(), 60 + 4);
    email.session.offer_max = std::time::Duration::ZERO;
    let outcome = email.send(&testing::message(testing::firing()));
    assert!(
        matches!(outcome, Outcome::Retry { status: None, .. }),
        "{outcome:?}"
    );
    email.session.offer_max = session::OFFER_MAX;
    let outcome = email.send(&testing::message(testing::firing()));
    assert!(outcome.is_delivered(), "{outcome:?}");
    assert_eq!(server.wait_for(1)[0].to.len(), 2);
}

#[test]
fn what_is_remembered_of_partial_deliveries_is_bounded() {
    let server = SmtpServer::start(SmtpScript::default());
    let email = Email::new(&config(&server)).unwrap();
    for n in 0..PARTIAL_MAX + 10 {
        email.settle(&format!("al_{n}"), Vec::new());
    }
    assert_eq!(email.settled.borrow().len(), PARTIAL_MAX);
}

#[test]
fn a_server_that_says_nothing_is_left_after_the_time_limit() {
    for command in ["greeting", "EHLO", "RCPT", "."] {
        let (outcome, _server) = send(SmtpScript::default().hang_at(command));
        assert!(
            matches!(outcome, Outcome::Retry { status: None, .. }),
            "{outcome:?}"
        );
        assert!(
            outcome.detail().contains("no answer within 1 s"),
            "{outcome:?}"
        );
    }
}

#[test]
fn nothing_is_sent_to_a_server_without_starttls() {
    let server = SmtpServer::start(SmtpScript::default());
    let email = Email::new(&EmailConfig {
        smtp_tls: None,
        ..config(&server)
    });
    let outcome = email.unwrap().send(&testing::message(testing::firing()));
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
    assert!(outcome.detail().contains("SMTP_TLS"), "{outcome:?}");
    assert!(server.mails().is_empty());
}

#[test]
fn a_server_that_is_not_there_is_tried_again() {
    let port = SmtpServer::start(SmtpScript::default()).port();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = gone.local_addr().unwrap().port();
    drop(gone);
    assert_ne!(port, 0);
    let email = Email::new(&EmailConfig {
        smtp_port: Some(free),
        to: vec!["ann@example.org".to_owned()],
        from: "a@example.com".to_owned(),
        smtp_host: "localhost".to_owned(),
        smtp_tls: Some(SmtpTls::None),
        ..EmailConfig::default()
    });
    let outcome = email.unwrap().send(&testing::message(testing::firing()));
    assert!(
        matches!(outcome, Outcome::Retry { status: None, .. }),
        "{outcome:?}"
    );
}

#[test]
fn bad_settings_name_their_key() {
    let server = SmtpServer::start(SmtpScript::default());
    let good = config(&server);
    let cases: [(&str, EmailConfig); 10] = [
        (
            "ALERT_EMAIL_FROM",
            EmailConfig {
                from: String::new(),
                ..good.clone()
            },
        ),
        (
            "ALERT_EMAIL_FROM",
            EmailConfig {
                from: "a@b.c\r\nBcc: x@y.z".to_owned(),
                ..good.clone()
            },
        ),
        (
            "ALERT_EMAIL_TO",
            EmailConfig {
                to: vec![],
                ..good.clone()
            },
        ),
        (
            "ALERT_EMAIL_TO",
            EmailConfig {
                to: vec!["nobody".to_owned()],
                ..good.clone()
            },
        ),
        (
            "ALERT_EMAIL_TO",
            EmailConfig {
                to: vec!["zoë@exämple.org".to_owned()],
                ..good.clone()
            },
        ),
        (
            "SMTP_HOST",
            EmailConfig {
                smtp_host: "smtp://x:25".to_owned(),
                ..good.clone()
            },
        ),
        (
            "SMTP_TLS",
            EmailConfig {
                smtp_host: "mail.example.org".to_owned(),
                ..good.clone()
            },
        ),
        (
            "SMTP_PASS",
            EmailConfig {
                smtp_user: "ann".to_owned(),
                ..good.clone()
            },
        ),
        (
            "SMTP_CA_FILE",
            EmailConfig {
                smtp_tls: Some(SmtpTls::Starttls),
                smtp_ca_file: Some("Cargo.toml".into()),
                ..good.clone()
            },
        ),
        (
            "timeout_secs",
            EmailConfig {
                timeout_secs: 0,
                ..good
            },
        ),
    ];
    for (key, config) in cases {
        let Err(error) = Email::new(&config) else {
            panic!("accepted: {key}");
        };
        assert!(error.to_string().contains(key), "{key}: {error}");
    }
}
