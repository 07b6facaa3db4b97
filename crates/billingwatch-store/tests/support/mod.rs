//! Entries and alerts for tests of the store.

#![allow(dead_code, reason = "not every test uses all of it")]

use billingwatch_core::alert::{Alert, AlertChange, AlertStatus, Evidence, Severity};
use billingwatch_core::ids::Scope;
use billingwatch_core::time::Timestamp;
use billingwatch_store::{EntryKind, NewEntry};

/// So many seconds after the tests' zero hour, 2023-11-14T22:13:20Z.
pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + secs)
}

/// An event of the default source.
pub(crate) fn entry(event_id: &str, event_type: &str) -> NewEntry {
    NewEntry {
        kind: EntryKind::Event,
        source: "default".to_owned(),
        event_id: Some(event_id.to_owned()),
        event_type: event_type.to_owned(),
        object_id: Some("ch_1".to_owned()),
        customer_id: None,
        created_at: Some(at(-1).as_secs()),
        account: None,
        livemode: true,
        api_version: None,
        is_historical: false,
        received_at: None,
        body: format!("{{\"id\":\"{event_id}\"}}").into_bytes(),
        packed: None,
    }
}

/// An alert about `cus_1`; each id fires ten seconds after the one before.
pub(crate) fn alert(id: &str, detector: &str, status: AlertStatus, revision: u32) -> Alert {
    let number: i64 = id.trim_start_matches("al_").parse().unwrap();
    Alert {
        id: id.to_owned(),
        key: format!("{detector}:default/-/live:cus_1"),
        detector: detector.to_owned(),
        scope: Scope::new("default", None, true),
        status,
        severity: Severity::High,
        anomaly_score: 0.5,
        title: "Charged twice".to_owned(),
        message: "Charged twice: US$10.00".to_owned(),
        subject: Some("cus_1".to_owned()),
        subjects: vec!["cus_1".to_owned()],
        currency: None,
        amount_at_stake: Some(1000),
        evidence: Evidence::default(),
        count: 1,
        revision,
        fired_at: at(40 + 10 * number),
        last_seen_at: at(41 + 10 * number),
        resolved_at: (status == AlertStatus::Resolved).then(|| at(42 + 10 * number)),
        resolution: None,
    }
}

/// The change that left an alert so.
pub(crate) fn change(alert: &Alert, secs: i64) -> AlertChange {
    AlertChange {
        at: at(secs),
        alert: alert.clone(),
    }
}
