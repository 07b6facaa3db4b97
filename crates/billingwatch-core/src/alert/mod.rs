//! Alerts: what a detector found, kept under a key for as long as it lasts.
//!
//! A detector says what it sees as a [`Finding`]; the engine's book turns findings under one key
//! into one [`Alert`] that fires, may escalate, and resolves. Each such step is an
//! [`AlertChange`]: that, and nothing else, is what people are told.

mod evidence;
mod severity;

use serde::{Deserialize, Serialize};

pub use evidence::{EVIDENCE_IDS_MAX, EVIDENCE_REASONS_MAX, Evidence, Measure, Unit};
pub use severity::Severity;

use crate::ids::{Key, Scope};
use crate::money::{Currency, Money};
use crate::time::Timestamp;

/// The most subjects an alert names, the newest of them; the count goes on beyond it.
pub const SUBJECTS_MAX: usize = 500;

/// What a detector sees, as often as it sees it. The engine decides whether that is news.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What makes two findings one incident, within a detector and scope: such as `usd`, or a
    /// subscription's id.
    pub key: String,
    /// How bad it is by now.
    pub severity: Severity,
    /// How surprising it is, 0 to 1: see [`anomaly_score`].
    pub anomaly_score: f64,
    /// A short heading, without amounts that change.
    pub title: String,
    /// What happened in one sentence, with amounts.
    pub message: String,
    /// The customer, subscription, charge, invoice or card it is chiefly about.
    pub subject: Option<String>,
    /// All ids it is about; kept to [`SUBJECTS_MAX`].
    pub subjects: Vec<String>,
    /// The currency of `amount_at_stake` and of measures in minor units.
    pub currency: Option<Currency>,
    /// Money lost or in danger, minor units.
    pub amount_at_stake: Option<i64>,
    /// What makes it checkable.
    pub evidence: Evidence,
    /// How much this finding adds to the alert's count: 1 for an event, 0 for a repeated look.
    pub occurrences: u64,
    /// People are to be told although it is no more severe: an open alert escalates by it, as when
    /// it comes to be about further subscriptions.
    #[serde(default)]
    pub is_news: bool,
}

impl Finding {
    /// A finding with its key, severity and heading; everything else empty.
    #[must_use]
    pub fn new(key: impl Into<String>, severity: Severity, title: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            severity,
            anomaly_score: 1.0,
            title: title.into(),
            message: String::new(),
            subject: None,
            subjects: Vec::new(),
            currency: None,
            amount_at_stake: None,
            evidence: Evidence::default(),
            occurrences: 1,
            is_news: false,
        }
    }
}

/// How surprising something is that has probability `p` when nothing is wrong.
///
/// The number of decades below one, of twelve: `p` of 1e-3 scores 0.25, of 1e-6 0.5, of 1e-12 or
/// less 1. A contradiction that needs no statistics (an invoice below zero) scores 1. Rounded to
/// three decimals, so that it reads the same everywhere.
///
/// ```
/// use billingwatch_core::alert::anomaly_score;
/// assert_eq!(anomaly_score(1.0), 0.0);
/// assert_eq!(anomaly_score(1e-6), 0.5);
/// assert_eq!(anomaly_score(0.0), 1.0);
/// ```
#[must_use]
pub fn anomaly_score(p: f64) -> f64 {
    if p.is_nan() {
        return 0.0;
    }
    let decades = -p.max(1e-12).log10();
    (decades / 12.0 * 1000.0).round().clamp(0.0, 1000.0) / 1000.0
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertStatus {
    /// It began.
    Firing,
    /// It goes on, and became worse.
    Escalated,
    /// It ended.
    Resolved,
}

impl AlertStatus {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Escalated => "escalated",
            Self::Resolved => "resolved",
        }
    }

    /// Whether it has not ended.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Resolved)
    }
}

/// One incident, from its first finding to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// `al_` and sixteen hex digits, made of key and first time: the same in every replay.
    pub id: String,
    /// `detector:scope:key`, the same for every incident of one kind and subject.
    pub key: String,
    /// The detector that found it.
    pub detector: String,
    /// Whose events it was found in.
    pub scope: Scope,
    /// Where it stands.
    pub status: AlertStatus,
    /// The worst it has been.
    pub severity: Severity,
    /// See [`Finding::anomaly_score`]; the highest seen.
    pub anomaly_score: f64,
    /// A short heading.
    pub title: String,
    /// What happened in one sentence, as of the newest finding.
    pub message: String,
    /// What it is chiefly about.
    pub subject: Option<String>,
    /// All ids it is about; of more than [`SUBJECTS_MAX`] the newest.
    pub subjects: Vec<String>,
    /// The currency of its amounts.
    pub currency: Option<Currency>,
    /// Money lost or in danger, minor units.
    pub amount_at_stake: Option<i64>,
    /// What makes it checkable.
    pub evidence: Evidence,
    /// How many occurrences feed it.
    pub count: u64,
    /// Steps so far: firing is 1, and each later change adds one.
    pub revision: u32,
    /// When it fired (engine time).
    pub fired_at: Timestamp,
    /// The newest finding (engine time).
    pub last_seen_at: Timestamp,
    /// When it ended.
    pub resolved_at: Option<Timestamp>,
    /// Why it ended, in words.
    pub resolution: Option<String>,
}

impl Alert {
    /// The full key of a finding.
    #[must_use]
    pub fn key_of(detector: &str, scope: &Scope, finding_key: &str) -> String {
        format!("{detector}:{scope}:{finding_key}")
    }

    /// The id of the incident with this key that fired then.
    #[must_use]
    pub fn id_of(key: &str, fired_at: Timestamp) -> String {
        let hash = Key::of_parts(&[key, &fired_at.as_millis().to_string()]);
        format!("al_{:016x}", hash.as_u64())
    }

    /// The money at stake with its currency, when both are known.
    #[must_use]
    pub fn money_at_stake(&self) -> Option<Money> {
        Some(Money::new(self.amount_at_stake?, self.currency?))
    }
}

/// A step in an alert's life: what people are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertChange {
    /// When (engine time).
    pub at: Timestamp,
    /// The alert as of this step; its status says which step it is.
    pub alert: Alert,
}

/// Something that looked wrong and was recognised as harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppressed {
    /// When (engine time).
    pub at: Timestamp,
    /// Who recognised it.
    pub detector: String,
    /// Whose events.
    pub scope: Scope,
    /// The harmless pattern, a fixed word such as `dunning_retry`.
    pub reason: String,
    /// What it was about.
    pub subject: Option<String>,
    /// What was seen, in one sentence.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_has_the_same_id_in_every_replay() {
        let key = Alert::key_of("revenue_drop", &Scope::new("default", None, true), "usd");
        assert_eq!(key, "revenue_drop:default/-/live:usd");
        let id = Alert::id_of(&key, Timestamp::from_secs(1_700_000_000));
        assert_eq!(id, Alert::id_of(&key, Timestamp::from_secs(1_700_000_000)));
        assert_ne!(id, Alert::id_of(&key, Timestamp::from_secs(1_700_000_001)));
        assert_eq!(id.len(), 19);
    }
}
