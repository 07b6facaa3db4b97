//! A sign of life for whoever sets a channel up: the same road as a real alert, once.

use billingwatch_core::alert::{Alert, AlertChange, AlertStatus, Evidence, Severity};
use billingwatch_core::ids::Scope;
use billingwatch_core::time::Timestamp;

use crate::channel::{Channel, Message, Outcome, TEST_DETECTOR};

/// An alert that says it is none: [`TEST_DETECTOR`], lowest severity, no evidence.
#[must_use]
pub fn test_change(now: Timestamp) -> AlertChange {
    let scope = Scope::new("default", None, true);
    let key = Alert::key_of(TEST_DETECTOR, &scope, "test");
    AlertChange {
        at: now,
        alert: Alert {
            id: Alert::id_of(&key, now),
            key,
            detector: TEST_DETECTOR.to_owned(),
            scope,
            status: AlertStatus::Firing,
            severity: Severity::Low,
            anomaly_score: 0.0,
            title: "Test alert".to_owned(),
            message: "Somebody asked BillingWatch for a test alert; if you can read this, alerts \
                      reach you here. Nothing is wrong."
                .to_owned(),
            subject: None,
            subjects: Vec::new(),
            currency: None,
            amount_at_stake: None,
            evidence: Evidence::default(),
            count: 1,
            revision: 1,
            fired_at: now,
            last_seen_at: now,
            resolved_at: None,
            resolution: None,
        },
    }
}

/// Sends a test message through one channel, whatever severity it waits for. One attempt.
#[must_use]
pub fn send_test(channel: &dyn Channel, now: Timestamp) -> Outcome {
    channel.send(&Message::new(test_change(now), channel.name(), 1, now))
}
