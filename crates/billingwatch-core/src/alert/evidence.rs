//! What makes an alert checkable: ids to look up and the arithmetic.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The most event ids, and the most object ids, an alert keeps: the first half and the newest.
pub const EVIDENCE_IDS_MAX: usize = 50;

/// The most reasons an alert keeps.
pub const EVIDENCE_REASONS_MAX: usize = 20;

/// What makes a finding checkable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Stripe events that show it, at most [`EVIDENCE_IDS_MAX`].
    #[serde(default)]
    pub event_ids: Vec<String>,
    /// Stripe objects it is about, at most [`EVIDENCE_IDS_MAX`].
    #[serde(default)]
    pub object_ids: Vec<String>,
    /// The numbers: seen, expected, and the line between.
    #[serde(default)]
    pub measures: Vec<Measure>,
    /// Why the detector judged as it did, a sentence each.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Splits and labels, such as `decline_code.insufficient_funds` → `12`.
    #[serde(default)]
    pub details: BTreeMap<String, String>,
}

/// One number of the arithmetic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// What was measured, such as `failure_rate`.
    pub name: String,
    /// What was seen.
    pub observed: i64,
    /// What is usual here, when known.
    pub expected: Option<i64>,
    /// The line that was crossed.
    pub threshold: Option<i64>,
    /// What all three are counted in.
    pub unit: Unit,
}

/// What a measure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Things.
    Count,
    /// Hundredths of a percent.
    BasisPoints,
    /// Minor units of the alert's currency.
    MinorUnits,
    /// Seconds.
    Seconds,
}

impl Measure {
    /// A number that was seen, with nothing to hold it against yet.
    #[must_use]
    pub fn new(name: &str, observed: i64, unit: Unit) -> Self {
        Self {
            name: name.to_owned(),
            observed,
            expected: None,
            threshold: None,
            unit,
        }
    }

    /// Adds what is usual.
    #[must_use]
    pub fn expected(mut self, expected: i64) -> Self {
        self.expected = Some(expected);
        self
    }

    /// Adds the line that was crossed.
    #[must_use]
    pub fn threshold(mut self, threshold: i64) -> Self {
        self.threshold = Some(threshold);
        self
    }
}

impl Evidence {
    /// Takes in newer evidence of the same incident: ids are added, numbers are replaced.
    pub(crate) fn merge(&mut self, newer: Self) {
        add_ids(&mut self.event_ids, newer.event_ids);
        add_ids(&mut self.object_ids, newer.object_ids);
        if !newer.measures.is_empty() {
            self.measures = newer.measures;
        }
        if !newer.reasons.is_empty() {
            self.reasons = newer.reasons;
        }
        if !newer.details.is_empty() {
            self.details = newer.details;
        }
        self.bound();
    }

    /// Cuts every list to its stated bound.
    pub(crate) fn bound(&mut self) {
        trim_ids(&mut self.event_ids);
        trim_ids(&mut self.object_ids);
        self.reasons.truncate(EVIDENCE_REASONS_MAX);
    }
}

fn add_ids(ids: &mut Vec<String>, newer: Vec<String>) {
    for id in newer {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
}

/// Keeps the first half, which shows how it began, and the newest.
fn trim_ids(ids: &mut Vec<String>) {
    if ids.len() > EVIDENCE_IDS_MAX {
        let surplus = ids.len() - EVIDENCE_IDS_MAX;
        ids.drain(EVIDENCE_IDS_MAX / 2..EVIDENCE_IDS_MAX / 2 + surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bounded_and_keep_both_ends() {
        let mut evidence = Evidence::default();
        for n in 0..200 {
            evidence.merge(Evidence {
                event_ids: vec![format!("evt_{n}")],
                ..Evidence::default()
            });
        }
        assert_eq!(evidence.event_ids.len(), EVIDENCE_IDS_MAX);
        assert_eq!(evidence.event_ids[0], "evt_0");
        assert_eq!(evidence.event_ids[EVIDENCE_IDS_MAX - 1], "evt_199");
    }
}
