//! Which alerts belong to which labels: the rule by which detectors are measured, in one place.
//!
//! An alert is an incident's own when its detector is the label's, it fired between
//! [`LEAD_SECS`] before the incident begins and [`slack_secs`] after it ends, and it names one of
//! the label's subjects. Where either names none, and for crowds (`fraud_spike`,
//! `charge_failure_spike`), whose subjects are samples, the name is not asked for. Every other
//! alert is false. Knows alerts as plain values, and no detector.

use crate::label::Label;

/// How long before its incident an alert may fire and still be its own, in seconds: incidents that
/// last hours are labelled by plan, and the first event of one may come a little earlier.
pub const LEAD_SECS: i64 = 3_600;

/// What the rule looks at in an alert.
#[derive(Clone, Copy, Debug)]
pub struct FiredAlert<'a> {
    /// Who found it.
    pub detector: &'a str,
    /// When it fired, in unix seconds.
    pub fired_at: i64,
    /// All ids it named when it fired.
    pub subjects: &'a [String],
}

/// How long after an incident's end an alert still counts as its own, in seconds.
///
/// A lapse is certain only when the period has ended and its grace has passed; a loss of revenue
/// and a burst of fraud show by the day; all else shows within hours.
#[must_use]
pub fn slack_secs(detector: &str) -> i64 {
    match detector {
        "silent_lapse" => 40 * 86_400,
        "revenue_drop" => 2 * 86_400,
        "fraud_spike" => 86_400,
        _ => 4 * 3_600,
    }
}

/// Whether the alert is the labelled incident's own.
#[must_use]
pub fn is_of(alert: FiredAlert<'_>, label: &Label) -> bool {
    let is_in_time = (label.starts_at - LEAD_SECS..=label.ends_at + slack_secs(&label.detector))
        .contains(&alert.fired_at);
    let names_it = alert.subjects.is_empty()
        || label.subjects.is_empty()
        || alert.subjects.iter().any(|id| label.subjects.contains(id))
        || matches!(&*label.detector, "fraud_spike" | "charge_failure_spike");
    alert.detector == label.detector && is_in_time && names_it
}

/// How well a group of incidents was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Incidents with an alert of their own.
    pub found: u32,
    /// Incidents.
    pub incidents: u32,
    /// Alerts of their own, all told.
    pub alerts: u32,
    /// From each found incident's begin to its first own alert, in seconds.
    pub delays_secs: Vec<i64>,
}

impl Score {
    /// Counts an incident and when its own alerts fired, in unix seconds.
    pub fn add(&mut self, label: &Label, own_fired_at: &[i64]) {
        self.incidents += 1;
        let alerts = u32::try_from(own_fired_at.len()).unwrap_or(u32::MAX);
        self.alerts = self.alerts.saturating_add(alerts);
        if let Some(first) = own_fired_at.iter().min() {
            self.found += 1;
            self.delays_secs.push(first - label.starts_at);
        }
    }

    /// The median delay, in seconds (of an even number the later one); `None` when none was found.
    #[must_use]
    pub fn median_delay_secs(&self) -> Option<i64> {
        let mut delays = self.delays_secs.clone();
        delays.sort_unstable();
        delays.get(delays.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{IncidentKind, IncidentPlan, Strength};

    fn label(kind: IncidentKind) -> Label {
        let plan = IncidentPlan {
            kind,
            at: 100_000,
            strength: Strength::Clear,
        };
        let mut label = Label::new(0, &plan);
        label.add_subject("cus_1".to_owned());
        label
    }

    #[test]
    fn an_alert_is_an_incidents_own_by_detector_time_and_subject() {
        let double = label(IncidentKind::DuplicateCharge);
        let mine = ["cus_1".to_owned()];
        let other = ["cus_2".to_owned()];
        let fired = |detector, fired_at, subjects| FiredAlert {
            detector,
            fired_at,
            subjects,
        };
        let cases = [
            (fired("duplicate_charge", 100_000, &mine[..]), true),
            (fired("duplicate_charge", 96_400, &mine), true),
            (fired("duplicate_charge", 96_399, &mine), false),
            (fired("duplicate_charge", 114_400, &mine), true),
            (fired("duplicate_charge", 114_401, &mine), false),
            (fired("duplicate_charge", 100_000, &other), false),
            (fired("duplicate_charge", 100_000, &[]), true),
            (fired("fraud_spike", 100_000, &mine), false),
        ];
        for (alert, expected) in cases {
            assert_eq!(is_of(alert, &double), expected, "{alert:?}");
        }
        let crowd = label(IncidentKind::FraudSpike);
        assert!(is_of(fired("fraud_spike", 100_000, &other), &crowd));
    }

    #[test]
    fn scores_count_incidents_alerts_and_the_first_delay() {
        let label = label(IncidentKind::DuplicateCharge);
        let mut score = Score::default();
        score.add(&label, &[]);
        assert_eq!(score.median_delay_secs(), None);
        score.add(&label, &[100_060, 100_010]);
        assert_eq!((score.incidents, score.found, score.alerts), (2, 1, 2));
        assert_eq!(score.median_delay_secs(), Some(10));
    }
}
