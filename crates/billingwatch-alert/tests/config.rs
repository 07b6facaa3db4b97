//! The `[alert]` section as a whole, and the list of channels.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;

use billingwatch_alert::testing::{self, ScriptedChannel, SmtpScript, SmtpServer};
use billingwatch_alert::{AlertConfig, CHANNELS, Outcome, Route, build, send_test};
use billingwatch_core::alert::Severity;
use billingwatch_core::time::Timestamp;

fn from_env(variables: &[(&str, &str)]) -> AlertConfig {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    let mut config = AlertConfig::default();
    let lookup = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    config.apply_env(&lookup).unwrap();
    config
}

const EVERYTHING: &[(&str, &str)] = &[
    ("ALERT_EMAIL_FROM", "BillingWatch <alerts@example.com>"),
    ("ALERT_EMAIL_TO", "ann@example.org, Bob <bob@example.org>,"),
    ("SMTP_HOST", "mail.example.com"),
    ("SMTP_USER", "ann"),
    ("SMTP_PASS", "hunter2hunter2"),
    ("ALERT_WEBHOOK_URL", "https://example.com/hooks/t0ken-t0ken"),
    (
        "ALERT_WEBHOOK_SECRET",
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD, another long secret",
    ),
    (
        "SLACK_WEBHOOK_URL",
        "https://hooks.slack.com/services/T0/B0/t0ken-t0ken",
    ),
    (
        "DISCORD_WEBHOOK_URL",
        "https://discord.com/api/webhooks/1/t0ken-t0ken",
    ),
];

#[test]
fn nothing_configured_is_no_channel() {
    assert!(build(&AlertConfig::default()).unwrap().is_empty());
    assert!(
        build(&from_env(&[("SLACK_WEBHOOK_URL", "  ")]))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn variables_alone_configure_every_channel() {
    let channels = build(&from_env(EVERYTHING)).unwrap();
    let built: Vec<&str> = channels.iter().map(|channel| channel.name()).collect();
    let listed: Vec<&str> = CHANNELS.iter().map(|spec| spec.name).collect();
    assert_eq!(built, listed);
    let known = CHANNELS.iter().flat_map(|spec| spec.variables);
    for variable in known {
        let is_optional = ["SMTP_PORT", "SMTP_TLS", "SMTP_CA_FILE"].contains(variable);
        assert!(
            is_optional || EVERYTHING.iter().any(|(name, _)| name == variable),
            "{variable}"
        );
    }
}

#[test]
fn a_half_configured_channel_names_what_is_missing() {
    for (missing, key) in [
        ("ALERT_EMAIL_FROM", "ALERT_EMAIL_FROM"),
        ("ALERT_EMAIL_TO", "ALERT_EMAIL_TO"),
        ("SMTP_HOST", "SMTP_HOST"),
        ("SMTP_USER", "SMTP_USER"),
        ("SMTP_PASS", "SMTP_PASS"),
    ] {
        let rest: Vec<_> = EVERYTHING
            .iter()
            .filter(|(name, _)| *name != missing)
            .copied()
            .collect();
        let Err(error) = build(&from_env(&rest)) else {
            panic!("built without {missing}");
        };
        assert!(error.to_string().contains(key), "{missing}: {error}");
    }
}

#[test]
fn unreadable_variables_are_named() {
    for (name, value) in [
        ("SMTP_PORT", "smtp"),
        ("SMTP_PORT", "70000"),
        ("SMTP_TLS", "yes"),
    ] {
        let lookup = |asked: &str| (asked == name).then(|| value.to_owned());
        let error = AlertConfig::default().apply_env(&lookup).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn secrets_do_not_show() {
    let config = from_env(EVERYTHING);
    let shown = format!("{config:?}");
    for secret in ["t0ken", "hunter2", "C2FV", "another"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn files_are_read_strictly() {
    let read = |json: &str| serde_json::from_str::<AlertConfig>(json);
    let config = read(
        r#"{"email": {"to": ["a@b.c"], "smtp_tls": "implicit", "min_severity": "high"},
            "webhook": {"url": "https://example.com", "timeout_secs": 5, "test_mode": false}}"#,
    )
    .unwrap();
    assert_eq!(config.email.min_severity, Severity::High);
    assert_eq!(config.webhook.timeout_secs, 5);
    assert!(config.email.test_mode && !config.webhook.test_mode);
    for bad in [
        r#"{"mail": {}}"#,
        r#"{"email": {"recipients": []}}"#,
        r#"{"slack": {"channel": "x"}}"#,
        r#"{"discord": {"min_severity": "urgent"}}"#,
        r#"{"email": {"smtp_port": 70000}}"#,
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

#[test]
fn who_was_told_that_it_fired_is_told_that_it_ended() {
    let mut config = from_env(EVERYTHING);
    config.slack.min_severity = Severity::High;
    let channels = build(&config).unwrap();
    let slack = channels
        .iter()
        .find(|channel| channel.name() == "slack")
        .unwrap();
    let route = Route::of(slack.as_ref());
    for (severity, wanted) in [(Severity::Medium, false), (Severity::High, true)] {
        for mut change in [testing::firing(), testing::escalated(), testing::resolved()] {
            change.alert.severity = severity;
            assert_eq!(route.wants(&change), wanted);
        }
    }
}

#[test]
fn a_channel_can_do_without_test_mode() {
    let mut config = from_env(EVERYTHING);
    config.email.test_mode = false;
    config.webhook.test_mode = false;
    config.slack.test_mode = false;
    for channel in build(&config).unwrap() {
        let route = Route::of(channel.as_ref());
        let is_discord = channel.name() == "discord";
        for mut change in [testing::firing(), testing::escalated(), testing::resolved()] {
            change.alert.scope.livemode = true;
            assert!(route.wants(&change), "{}", channel.name());
            change.alert.scope.livemode = false;
            assert_eq!(route.wants(&change), is_discord, "{}", channel.name());
        }
    }
}

#[test]
fn a_test_message_takes_the_road_of_a_real_one() {
    let server = SmtpServer::start(SmtpScript::default());
    let port = server.port().to_string();
    let config = from_env(&[
        ("ALERT_EMAIL_FROM", "alerts@example.com"),
        ("ALERT_EMAIL_TO", "ann@example.org"),
        ("SMTP_HOST", "localhost"),
        ("SMTP_PORT", &port),
        ("SMTP_TLS", "none"),
    ]);
    let channels = build(&config).unwrap();
    let outcome = send_test(channels[0].as_ref(), Timestamp::from_secs(1_709_596_800));
    assert!(outcome.is_delivered(), "{outcome:?}");
    let mail = &server.wait_for(1)[0];
    assert!(
        mail.data.contains("Subject: [low] Test alert"),
        "{}",
        mail.data
    );
    assert!(
        mail.data.contains("Date: Tue, 05 Mar 2024 00:00:00 +0000"),
        "{}",
        mail.data
    );

    let scripted = ScriptedChannel::new("x", vec![]);
    assert!(matches!(
        send_test(&scripted, Timestamp::EPOCH),
        Outcome::Delivered { .. }
    ));
    assert!(scripted.sent()[0].is_test());
}
