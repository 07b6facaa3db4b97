//! Alerts as clients see them. Stable: fields are added, never renamed.

use std::collections::BTreeMap;

use billingwatch_core::alert::{Alert, Evidence, Measure, Unit};
use billingwatch_core::time::Timestamp;
use billingwatch_store::{AlertRow, Attempt, DeliveryRow, Happened, HistoryEntry, Verdict};
use serde::Serialize;
use utoipa::ToSchema;

use crate::handlers::mutes::MuteView;

/// One incident, in short.
#[derive(Serialize, ToSchema)]
pub(crate) struct AlertSummary {
    /// The same in every replay.
    #[schema(example = "al_0123456789abcdef")]
    id: String,
    /// The detector that found it.
    #[schema(example = "charge_failure_spike")]
    detector: String,
    /// `firing`, `escalated` or `resolved`.
    #[schema(example = "firing")]
    status: &'static str,
    /// `low`, `medium`, `high` or `critical`: the worst it has been.
    #[schema(example = "high")]
    severity: &'static str,
    /// How surprising it is, 0 to 1: decades of improbability, of twelve.
    anomaly_score: f64,
    /// A short heading.
    title: String,
    /// What happened in one sentence, as of the newest finding.
    message: String,
    /// The customer, subscription, charge, invoice or card it is chiefly about.
    subject: Option<String>,
    /// The currency of its amounts, lower case.
    #[schema(example = "usd")]
    currency: Option<String>,
    /// Money lost or in danger, in minor units of `currency`.
    amount_at_stake: Option<i64>,
    /// How many occurrences feed it.
    count: u64,
    /// The source its events came through.
    source: String,
    /// The connected account, on Connect platforms.
    account: Option<String>,
    /// Live money, or test mode.
    livemode: bool,
    /// When it fired.
    #[schema(format = DateTime)]
    fired_at: String,
    /// The newest finding.
    #[schema(format = DateTime)]
    last_seen_at: String,
    /// When it ended; `null` while it goes on.
    #[schema(value_type = Option<String>, format = DateTime)]
    resolved_at: Option<String>,
    /// Who acknowledged it, if anyone.
    acknowledged: Option<MarkView>,
    /// Whether a person found it wrong.
    false_positive: Option<MarkView>,
    /// Somebody judged that something was wrong.
    true_positive: Option<MarkView>,
}

/// A person's mark.
#[derive(Serialize, ToSchema)]
pub(crate) struct MarkView {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// The name of the token it was done with.
    by: String,
    /// What was said.
    note: Option<String>,
}

/// One incident with everything known of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct AlertDetail {
    #[serde(flatten)]
    summary: AlertSummary,
    /// `detector:scope:key`, the same for every incident of one kind and subject.
    key: String,
    /// All ids it is about, at most 500, the newest.
    subjects: Vec<String>,
    /// What makes it checkable.
    evidence: EvidenceView,
    /// Steps so far: firing is 1, each later change adds one.
    revision: u32,
    /// Why it ended, in words.
    resolution: Option<String>,
    /// What happened to it, oldest first.
    history: Vec<HistoryView>,
    /// Which channels were told what, oldest first.
    deliveries: Vec<DeliveryView>,
    /// What was muted because of it, in the order it was said.
    mutes: Vec<MuteView>,
}

/// What makes an alert checkable.
#[derive(Serialize, ToSchema)]
struct EvidenceView {
    /// Stripe events that show it, at most 50.
    event_ids: Vec<String>,
    /// Stripe objects it is about, at most 50.
    object_ids: Vec<String>,
    /// The numbers: seen, expected, and the line between.
    measures: Vec<MeasureView>,
    /// Why the detector judged as it did, a sentence each.
    reasons: Vec<String>,
    /// Splits and labels.
    details: BTreeMap<String, String>,
}

/// One number of the arithmetic.
#[derive(Serialize, ToSchema)]
struct MeasureView {
    /// What was measured.
    #[schema(example = "failure_rate")]
    name: String,
    /// What was seen.
    observed: i64,
    /// What is usual here, when known.
    expected: Option<i64>,
    /// The line that was crossed.
    threshold: Option<i64>,
    /// `count`, `basis_points`, `minor_units` (of the alert's currency) or `seconds`.
    unit: &'static str,
}

/// A step in an alert's life.
#[derive(Serialize, ToSchema)]
struct HistoryView {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// `firing`, `escalated`, `resolved`, `acknowledged`, `false_positive` or `true_positive`.
    kind: &'static str,
    /// How bad it was then; `null` for what people did.
    severity: Option<&'static str>,
    /// What the alert said then; `null` for what people did.
    message: Option<String>,
    /// Who did it; `null` for what the detector did.
    by: Option<String>,
    /// What was said; for `resolved`, why it ended.
    note: Option<String>,
}

/// Telling one channel of one change.
#[derive(Serialize, ToSchema)]
struct DeliveryView {
    /// The channel.
    #[schema(example = "email")]
    channel: String,
    /// The alert's revision it tells of.
    revision: u32,
    /// `pending`, `delivered` or `gave_up`.
    state: &'static str,
    /// When it will be tried again; `null` once settled, and when it is due at once.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<String>,
    /// When it was delivered or given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    settled_at: Option<String>,
    /// Each attempt, oldest first.
    attempts: Vec<AttemptView>,
}

/// One attempt to send.
#[derive(Serialize, ToSchema)]
struct AttemptView {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// How long it took.
    duration_ms: i64,
    /// `delivered`, `retry` or `gave_up`.
    outcome: &'static str,
    /// What the receiver's protocol said, such as 200 or 550.
    status_code: Option<u16>,
    /// What the receiver said, or what failed.
    detail: String,
}

impl AlertSummary {
    pub(crate) fn of(row: &AlertRow) -> Self {
        let alert = &row.alert;
        Self {
            id: alert.id.clone(),
            detector: alert.detector.clone(),
            status: alert.status.as_str(),
            severity: alert.severity.as_str(),
            anomaly_score: alert.anomaly_score,
            title: alert.title.clone(),
            message: alert.message.clone(),
            subject: alert.subject.clone(),
            currency: alert.currency.map(|currency| currency.as_str().to_owned()),
            amount_at_stake: alert.amount_at_stake,
            count: alert.count,
            source: alert.scope.source.to_string(),
            account: alert.scope.account.as_deref().map(str::to_owned),
            livemode: alert.scope.livemode,
            fired_at: alert.fired_at.to_string(),
            last_seen_at: alert.last_seen_at.to_string(),
            resolved_at: alert.resolved_at.map(|at| at.to_string()),
            acknowledged: MarkView::of(
                row.acknowledged_at,
                row.acknowledged_by.as_deref(),
                row.acknowledged_note.as_deref(),
            ),
            false_positive: MarkView::of_verdict(row, Verdict::FalsePositive),
            true_positive: MarkView::of_verdict(row, Verdict::TruePositive),
        }
    }
}

impl MarkView {
    fn of_verdict(row: &AlertRow, verdict: Verdict) -> Option<Self> {
        let (by, note) = (row.verdict_by.as_deref(), row.verdict_note.as_deref());
        Self::of(row.verdict_at, by, note).filter(|_| row.verdict == Some(verdict))
    }

    fn of(at: Option<Timestamp>, by: Option<&str>, note: Option<&str>) -> Option<Self> {
        Some(Self {
            at: at?.to_string(),
            by: by.unwrap_or_default().to_owned(),
            note: note.map(str::to_owned),
        })
    }
}

impl AlertDetail {
    pub(crate) fn of(
        row: AlertRow,
        history: Vec<HistoryEntry>,
        deliveries: Vec<DeliveryRow>,
        mutes: Vec<MuteView>,
    ) -> Self {
        let summary = AlertSummary::of(&row);
        let Alert {
            key,
            subjects,
            evidence,
            revision,
            resolution,
            ..
        } = row.alert;
        Self {
            summary,
            key,
            subjects,
            evidence: EvidenceView::of(evidence),
            revision,
            resolution,
            history: history.into_iter().map(HistoryView::of).collect(),
            deliveries: deliveries.into_iter().map(DeliveryView::of).collect(),
            mutes,
        }
    }
}

impl EvidenceView {
    fn of(evidence: Evidence) -> Self {
        Self {
            event_ids: evidence.event_ids,
            object_ids: evidence.object_ids,
            measures: evidence.measures.into_iter().map(MeasureView::of).collect(),
            reasons: evidence.reasons,
            details: evidence.details,
        }
    }
}

impl MeasureView {
    fn of(measure: Measure) -> Self {
        Self {
            name: measure.name,
            observed: measure.observed,
            expected: measure.expected,
            threshold: measure.threshold,
            unit: match measure.unit {
                Unit::Count => "count",
                Unit::BasisPoints => "basis_points",
                Unit::MinorUnits => "minor_units",
                Unit::Seconds => "seconds",
            },
        }
    }
}

impl HistoryView {
    fn of(entry: HistoryEntry) -> Self {
        let at = entry.at.to_string();
        match entry.what {
            Happened::Changed(alert) => Self {
                at,
                kind: alert.status.as_str(),
                severity: Some(alert.severity.as_str()),
                message: Some(alert.message),
                by: None,
                note: alert.resolution.filter(|_| !alert.status.is_open()),
            },
            Happened::Acknowledged { by, note } => Self::by_person(at, "acknowledged", by, note),
            Happened::Judged { verdict, by, note } => {
                Self::by_person(at, verdict.as_str(), by, note)
            }
        }
    }

    fn by_person(at: String, kind: &'static str, by: String, note: Option<String>) -> Self {
        Self {
            at,
            kind,
            severity: None,
            message: None,
            by: Some(by),
            note,
        }
    }
}

impl DeliveryView {
    fn of(row: DeliveryRow) -> Self {
        Self {
            channel: row.channel,
            revision: row.revision,
            state: row.state.as_str(),
            next_attempt_at: row.next_attempt_at.map(|at| at.to_string()),
            settled_at: row.settled_at.map(|at| at.to_string()),
            attempts: row.attempts.into_iter().map(AttemptView::of).collect(),
        }
    }
}

impl AttemptView {
    fn of(attempt: Attempt) -> Self {
        Self {
            at: attempt.at.to_string(),
            duration_ms: attempt.duration_ms,
            outcome: attempt.outcome.as_str(),
            status_code: attempt.status_code,
            detail: attempt.detail,
        }
    }
}
