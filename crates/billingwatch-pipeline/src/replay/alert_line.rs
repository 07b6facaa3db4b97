//! One line of `--alerts-out`: an alert change for machines. A contract; fields are only added.

use billingwatch_core::alert::{AlertChange, AlertStatus, Evidence, Severity};
use billingwatch_core::money::Currency;
use billingwatch_core::time::Timestamp;
use serde::{Serialize, Serializer};

/// An alert change as one JSON object.
#[derive(Clone, Debug, Serialize)]
pub struct AlertLine<'a> {
    /// When, Unix seconds; whole seconds are written as an integer.
    #[serde(serialize_with = "unix_seconds")]
    pub at: Timestamp,
    /// Who found it.
    pub detector: &'a str,
    /// How bad it is.
    pub severity: Severity,
    /// `firing`, `escalated` or `resolved`.
    pub status: AlertStatus,
    /// The customer, subscription, charge, invoice or card it is chiefly about.
    pub subject: Option<&'a str>,
    /// All ids it is about.
    pub subjects: &'a [String],
    /// What makes two alerts the same incident.
    pub key: &'a str,
    /// A short heading.
    pub title: &'a str,
    /// What happened in one sentence.
    pub message: &'a str,
    /// The currency of its amounts.
    pub currency: Option<Currency>,
    /// Money lost or in danger, minor units.
    pub amount_at_stake: Option<i64>,
    /// What makes it checkable.
    pub evidence: &'a Evidence,
}

impl<'a> AlertLine<'a> {
    /// The line of a change.
    #[must_use]
    pub fn of(change: &'a AlertChange) -> Self {
        let alert = &change.alert;
        Self {
            at: change.at,
            detector: &alert.detector,
            severity: alert.severity,
            status: alert.status,
            subject: alert.subject.as_deref(),
            subjects: &alert.subjects,
            key: &alert.key,
            title: &alert.title,
            message: &alert.message,
            currency: alert.currency,
            amount_at_stake: alert.amount_at_stake,
            evidence: &alert.evidence,
        }
    }

    /// The line as JSON, without the newline.
    ///
    /// # Errors
    /// Never for alerts that an engine made; kept as a value rather than a panic.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

fn unix_seconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let millis = at.as_millis();
    if millis % 1000 == 0 {
        return serializer.serialize_i64(at.as_secs());
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact below 2^53 ms, 285,000 years"
    )]
    let secs = millis as f64 / 1000.0;
    serializer.serialize_f64(secs)
}
