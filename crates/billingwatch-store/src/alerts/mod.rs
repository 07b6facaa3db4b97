//! Alerts as the engine left them, with what happened to them and what people made of them.
//!
//! The alert itself is kept whole, as JSON; the engine alone changes it. What people add
//! (acknowledged, verdict) stands beside it and is never seen by the engine.

mod marks;
mod read;
mod record;

use billingwatch_core::alert::{Alert, AlertStatus, Severity};
use billingwatch_core::time::Timestamp;

pub(crate) use record::record;

use crate::error::{Result, StoreError};

/// Whether an alert was right, in the judgement of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There was nothing wrong.
    FalsePositive,
    /// Something was wrong.
    TruePositive,
}

impl Verdict {
    /// Its name, as stored and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FalsePositive => "false_positive",
            Self::TruePositive => "true_positive",
        }
    }

    /// The verdict of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::FalsePositive, Self::TruePositive]
            .into_iter()
            .find(|verdict| verdict.as_str() == name)
    }

    fn from_stored(text: &str) -> Result<Self> {
        Self::from_name(text).ok_or_else(|| StoreError::unreadable("a verdict", text))
    }
}

/// What came of a change to one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was changed.
    Done,
    /// There is no such row.
    NotFound,
    /// It was so already; nothing was changed.
    AlreadySo,
}

/// An alert with people's marks.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRow {
    /// The alert, as of its newest change or growth.
    pub alert: Alert,
    /// When somebody acknowledged it.
    pub acknowledged_at: Option<Timestamp>,
    /// Who.
    pub acknowledged_by: Option<String>,
    /// With which words.
    pub acknowledged_note: Option<String>,
    /// Whether it was right.
    pub verdict: Option<Verdict>,
    /// When that was judged.
    pub verdict_at: Option<Timestamp>,
    /// By whom.
    pub verdict_by: Option<String>,
    /// With which words.
    pub verdict_note: Option<String>,
}

/// What happened to an alert at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    /// When: engine time for the engine's changes, the wall clock's for people's.
    pub at: Timestamp,
    /// What.
    pub what: Happened,
}

/// What happened to an alert.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    /// It fired, escalated or resolved; the alert as of then.
    Changed(Box<Alert>),
    /// Somebody acknowledged it.
    Acknowledged {
        /// Who.
        by: String,
        /// With which words.
        note: Option<String>,
    },
    /// Somebody judged it.
    Judged {
        /// How.
        verdict: Verdict,
        /// Who.
        by: String,
        /// With which words.
        note: Option<String>,
    },
}

impl Happened {
    /// Its kind in one word: an alert status, `acknowledged` or `judged`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Changed(alert) => alert.status.as_str(),
            Self::Acknowledged { .. } => ACKNOWLEDGED,
            Self::Judged { .. } => JUDGED,
        }
    }
}

/// Which alerts to list. Everything absent is not asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Found by this detector.
    pub detector: Option<String>,
    /// In this status.
    pub status: Option<AlertStatus>,
    /// At least this bad.
    pub severity_min: Option<Severity>,
    /// With this id (customer, subscription, charge, …) among its subjects.
    pub subject: Option<String>,
    /// In events of this source.
    pub source: Option<String>,
    /// In events of this connected account.
    pub account: Option<String>,
    /// Live or test.
    pub livemode: Option<bool>,
    /// Only those that have not ended.
    pub open_only: bool,
    /// Judged so.
    pub verdict: Option<Verdict>,
    /// Fired at or after.
    pub since: Option<Timestamp>,
    /// Fired before.
    pub until: Option<Timestamp>,
}

/// How many alerts there are of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertCount {
    /// Found by.
    pub detector: String,
    /// Standing at.
    pub status: AlertStatus,
    /// This bad.
    pub severity: Severity,
    /// So many.
    pub count: i64,
}

/// How many of a detector's alerts were judged so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictCount {
    /// Found by.
    pub detector: String,
    /// Judged so.
    pub verdict: Verdict,
    /// So many.
    pub count: i64,
}

/// `alert_history.kind` of the engine's changes.
const CHANGED: &str = "changed";
/// … of an acknowledgement.
const ACKNOWLEDGED: &str = "acknowledged";
/// … of a verdict.
const JUDGED: &str = "judged";

/// Severities are stored as their rank, so that "at least" is a comparison.
fn severity_rank(severity: Severity) -> i64 {
    match severity {
        Severity::Low => 0,
        Severity::Medium => 1,
        Severity::High => 2,
        Severity::Critical => 3,
    }
}

fn severity_of_rank(rank: i64) -> Result<Severity> {
    Severity::ALL
        .into_iter()
        .find(|severity| severity_rank(*severity) == rank)
        .ok_or_else(|| StoreError::unreadable("a severity", &rank))
}

fn status_of_name(name: &str) -> Result<AlertStatus> {
    [
        AlertStatus::Firing,
        AlertStatus::Escalated,
        AlertStatus::Resolved,
    ]
    .into_iter()
    .find(|status| status.as_str() == name)
    .ok_or_else(|| StoreError::unreadable("an alert's status", name))
}

fn alert_of_json(json: &str) -> Result<Alert> {
    serde_json::from_str(json).map_err(|error| StoreError::unreadable("an alert", &error))
}

fn json_of_alert(alert: &Alert) -> Result<String> {
    serde_json::to_string(alert).map_err(|error| StoreError::unreadable("an alert", &error))
}
