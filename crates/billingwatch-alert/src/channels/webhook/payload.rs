//! The body: an alert's change as JSON for machines, described in `docs/webhook-payload.md`.

use std::collections::BTreeMap;

use billingwatch_core::alert::Unit;
use serde::Serialize;

use crate::channel::Message;
use crate::dashboard;

/// The version of the body's shape: raised when a field changes its meaning or goes, not when one
/// is added.
pub const SCHEMA_VERSION: u32 = 1;

/// What is posted. Times are RFC 3339 in UTC; amounts are integers in minor units.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WebhookBody {
    /// `alert.firing`, `alert.escalated`, `alert.resolved`, or `alert.test` for a test message.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    pub timestamp: String,
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The alert as of this change.
    pub data: WebhookAlert,
}

/// An alert in a [`WebhookBody`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WebhookAlert {
    /// The incident: the same in all its changes.
    pub alert_id: String,
    /// 1 when it fires, one more with each change: the highest seen is the newest.
    pub revision: u32,
    /// What makes two incidents of the same kind and subject the same.
    pub key: String,
    /// The detector that found it.
    pub detector: String,
    /// `firing`, `escalated` or `resolved`.
    pub status: String,
    /// `low`, `medium`, `high` or `critical`: the worst it has been.
    pub severity: String,
    /// How surprising, 0 to 1.
    pub anomaly_score: f64,
    /// A short heading.
    pub title: String,
    /// What happened, in one sentence.
    pub message: String,
    /// The configured endpoint the events came through.
    pub source: String,
    /// The connected account, if any.
    pub account: Option<String>,
    /// Whether the money is real.
    pub livemode: bool,
    /// The id it is chiefly about.
    pub subject: Option<String>,
    /// All ids it is about.
    pub subjects: Vec<String>,
    /// The currency of every amount here, lower case.
    pub currency: Option<String>,
    /// Money lost or in danger.
    pub amount_at_stake: Option<i64>,
    /// The same for people, such as `12,300.00 USD`.
    pub amount_at_stake_text: Option<String>,
    /// How many occurrences feed it.
    pub count: u64,
    /// When it fired.
    pub fired_at: String,
    /// The newest occurrence.
    pub last_seen_at: String,
    /// When it ended.
    pub resolved_at: Option<String>,
    /// Why it ended.
    pub resolution: Option<String>,
    /// What makes it checkable.
    pub evidence: WebhookEvidence,
    /// The page in the Stripe Dashboard to open first.
    pub dashboard_url: Option<String>,
}

/// The evidence in a [`WebhookAlert`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WebhookEvidence {
    /// Stripe events that show it.
    pub event_ids: Vec<String>,
    /// Stripe objects it is about.
    pub object_ids: Vec<String>,
    /// The numbers.
    pub measures: Vec<WebhookMeasure>,
    /// Why the detector judged as it did.
    pub reasons: Vec<String>,
    /// Splits and labels.
    pub details: BTreeMap<String, String>,
}

/// One number in [`WebhookEvidence`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WebhookMeasure {
    /// What was measured.
    pub name: String,
    /// `count`, `basis_points`, `minor_units` or `seconds`.
    pub unit: Unit,
    /// What was seen.
    pub observed: i64,
    /// What is usual, when known.
    pub expected: Option<i64>,
    /// The line that was crossed, if there is one.
    pub threshold: Option<i64>,
}

/// The body of a message: the same in every attempt.
#[must_use]
pub fn body(message: &Message) -> WebhookBody {
    let alert = &message.change.alert;
    let kind = match message.is_test() {
        true => "test",
        false => alert.status.as_str(),
    };
    WebhookBody {
        kind: format!("alert.{kind}"),
        timestamp: message.change.at.to_string(),
        schema_version: SCHEMA_VERSION,
        data: WebhookAlert {
            alert_id: alert.id.clone(),
            revision: alert.revision,
            key: alert.key.clone(),
            detector: alert.detector.clone(),
            status: alert.status.as_str().to_owned(),
            severity: alert.severity.as_str().to_owned(),
            anomaly_score: alert.anomaly_score,
            title: alert.title.clone(),
            message: alert.message.clone(),
            source: alert.scope.source.to_string(),
            account: alert.scope.account.as_deref().map(str::to_owned),
            livemode: alert.scope.livemode,
            subject: alert.subject.clone(),
            subjects: alert.subjects.clone(),
            currency: alert.currency.map(|c| c.as_str().to_owned()),
            amount_at_stake: alert.amount_at_stake,
            amount_at_stake_text: alert.money_at_stake().map(|money| money.to_string()),
            count: alert.count,
            fired_at: alert.fired_at.to_string(),
            last_seen_at: alert.last_seen_at.to_string(),
            resolved_at: alert.resolved_at.map(|at| at.to_string()),
            resolution: alert.resolution.clone(),
            evidence: evidence(message),
            dashboard_url: dashboard::alert_url(alert),
        },
    }
}

fn evidence(message: &Message) -> WebhookEvidence {
    let evidence = &message.change.alert.evidence;
    WebhookEvidence {
        event_ids: evidence.event_ids.clone(),
        object_ids: evidence.object_ids.clone(),
        measures: evidence
            .measures
            .iter()
            .map(|measure| WebhookMeasure {
                name: measure.name.clone(),
                unit: measure.unit,
                observed: measure.observed,
                expected: measure.expected,
                threshold: measure.threshold,
            })
            .collect(),
        reasons: evidence.reasons.clone(),
        details: evidence.details.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::testing;

    #[test]
    fn bodies_read_as_documented() {
        for (name, change) in testing::changes() {
            insta::assert_json_snapshot!(format!("body_{name}"), body(&testing::message(change)));
        }
    }

    #[test]
    fn every_field_is_in_the_documentation() {
        let docs = include_str!("../../../../../docs/webhook-payload.md");
        let body = serde_json::to_value(body(&testing::message(testing::firing()))).unwrap();
        let mut names = Vec::new();
        for part in [
            &body,
            &body["data"],
            &body["data"]["evidence"],
            &body["data"]["evidence"]["measures"][0],
        ] {
            names.extend(part.as_object().unwrap().keys().cloned());
        }
        for name in names {
            assert!(
                docs.contains(&format!("`{name}`")),
                "docs/webhook-payload.md lacks `{name}`"
            );
        }
    }
}
