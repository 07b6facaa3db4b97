//! Alerts as detectors make them, as enemies would like them, and as large as they get.

use billingwatch_core::alert::{
    Alert, AlertChange, AlertStatus, Evidence, Measure, SUBJECTS_MAX, Severity, Unit,
};
use billingwatch_core::ids::Scope;
use billingwatch_core::money::Currency;
use billingwatch_core::time::{Span, Timestamp};

use crate::channel::Message;

/// 2024-03-05T00:00:00Z.
const FIRED_AT: Timestamp = Timestamp::from_secs(1_709_596_800);

/// A spike of failed charges, firing.
#[must_use]
pub fn alert() -> Alert {
    let scope = Scope::new("default", None, true);
    let key = Alert::key_of("charge_failure_spike", &scope, "usd");
    Alert {
        id: Alert::id_of(&key, FIRED_AT),
        key,
        detector: "charge_failure_spike".to_owned(),
        scope,
        status: AlertStatus::Firing,
        severity: Severity::Critical,
        anomaly_score: 0.875,
        title: "Charge failures".to_owned(),
        message: "42 % of charges failed in the last hour (50 of 119), against 4 % usually: \
                  12,300.00 USD not collected."
            .to_owned(),
        subject: None,
        subjects: vec!["cus_1".to_owned()],
        currency: Some(Currency::USD),
        amount_at_stake: Some(1_230_000),
        evidence: Evidence {
            event_ids: vec!["evt_1".to_owned(), "evt_2".to_owned()],
            object_ids: vec!["ch_1".to_owned(), "ch_2".to_owned(), "card_9".to_owned()],
            measures: vec![
                Measure::new("failure_rate", 4200, Unit::BasisPoints)
                    .expected(400)
                    .threshold(1500),
                Measure::new("attempts", 119, Unit::Count).threshold(20),
                Measure::new("not_collected", 1_230_000, Unit::MinorUnits),
            ],
            reasons: vec!["The share of failures is far above the usual one.".to_owned()],
            details: [
                ("decline_code.insufficient_funds", "37"),
                ("decline_code.generic_decline", "13"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        },
        count: 50,
        revision: 1,
        fired_at: FIRED_AT,
        last_seen_at: FIRED_AT,
        resolved_at: None,
        resolution: None,
    }
}

/// It fires.
#[must_use]
pub fn firing() -> AlertChange {
    AlertChange {
        at: FIRED_AT,
        alert: alert(),
    }
}

/// It gets worse, in test mode of a connected account.
#[must_use]
pub fn escalated() -> AlertChange {
    let mut change = firing();
    change.at = FIRED_AT + Span::minutes(10);
    change.alert.status = AlertStatus::Escalated;
    change.alert.revision = 2;
    change.alert.last_seen_at = change.at;
    change
}

/// It ends.
#[must_use]
pub fn resolved() -> AlertChange {
    let mut change = firing();
    change.at = FIRED_AT + Span::minutes(75);
    change.alert.status = AlertStatus::Resolved;
    change.alert.revision = 3;
    change.alert.resolved_at = Some(change.at);
    change.alert.resolution = Some("below 10 % for 30 minutes".to_owned());
    change
}

/// In test mode of a connected account, with text that tries to be more than text.
#[must_use]
pub fn hostile() -> AlertChange {
    let mut change = firing();
    let alert = &mut change.alert;
    alert.scope = Scope::new("eu\r\nX-Evil: 1", Some("acct_1"), false);
    alert.severity = Severity::High;
    alert.title = "Pay\r\nBcc: victim@example.org\r\n\r\n<script>alert(1)</script>".to_owned();
    alert.message = "<!channel> @everyone <https://evil.example|click> [x](https://evil.example) \
                     **b** `c` \u{202e}txt & <img src=x onerror=alert(1)> \"q\" 'q'\n.\r\nQUIT"
        .to_owned();
    alert.subject = Some("ch_1\" onmouseover=\"x".to_owned());
    alert.subjects = vec!["../../evil".to_owned(), "in_7".to_owned()];
    alert.evidence.reasons = vec!["</li></ul><h1>=_al_boundary</h1>".to_owned()];
    alert.evidence.details = [("<b>k</b>".to_owned(), "v & <i>w</i>".to_owned())].into();
    change
}

/// As large as an alert can get, and larger.
#[must_use]
pub fn huge() -> AlertChange {
    let mut change = firing();
    let long = "<&>👍*_".repeat(5000);
    let alert = &mut change.alert;
    alert.title.clone_from(&long);
    alert.message.clone_from(&long);
    alert.resolution = Some(long.clone());
    alert.subjects = (0..SUBJECTS_MAX)
        .map(|n| format!("cus_{n}{long}"))
        .collect();
    alert.evidence.event_ids = (0..50).map(|n| format!("evt_{n}")).collect();
    alert.evidence.reasons = vec![long.clone(); 20];
    alert.evidence.measures = (0..100)
        .map(|n| Measure::new(&format!("m{n}{long}"), i64::MIN, Unit::MinorUnits))
        .collect();
    alert.evidence.details = (0..100)
        .map(|n| (format!("{n}{long}"), long.clone()))
        .collect();
    change
}

/// The changes that snapshots are kept of.
#[must_use]
pub fn changes() -> [(&'static str, AlertChange); 3] {
    [
        ("firing", firing()),
        ("resolved", resolved()),
        ("hostile", hostile()),
    ]
}

/// The first attempt at a change, two seconds after it.
#[must_use]
pub fn message(change: AlertChange) -> Message {
    let sent_at = change.at + Span::secs(2);
    Message::new(change, "test", 1, sent_at)
}
