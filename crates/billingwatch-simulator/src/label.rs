//! The truth about a world: which incidents it holds, and which events show them.

use serde::{Deserialize, Serialize};

use crate::config::{IncidentKind, IncidentPlan, Strength};

/// The most event ids (and subjects) a label lists; a lag of hours touches many thousands.
pub const MAX_LISTED: usize = 2_000;

/// One incident as it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// A name within this world, such as `incident-1`.
    pub incident: String,
    /// What went wrong.
    pub kind: IncidentKind,
    /// The detector that ought to find it.
    pub detector: String,
    /// The first second of it.
    pub starts_at: i64,
    /// The last second of it.
    pub ends_at: i64,
    /// How far it stands out.
    pub strength: Strength,
    /// Ids of the customers, subscriptions, charges or invoices it is about, at most [`MAX_LISTED`].
    pub subjects: Vec<String>,
    /// Ids of the events that show it, at most [`MAX_LISTED`]; empty where only absence shows it.
    pub event_ids: Vec<String>,
}

impl Label {
    pub(crate) fn new(number: usize, plan: &IncidentPlan) -> Self {
        Self {
            incident: format!("incident-{}", number.saturating_add(1)),
            kind: plan.kind,
            detector: plan.kind.detector().to_owned(),
            starts_at: plan.at,
            ends_at: plan.at,
            strength: plan.strength,
            subjects: Vec::new(),
            event_ids: Vec::new(),
        }
    }

    pub(crate) fn add_subject(&mut self, id: String) {
        if self.subjects.len() < MAX_LISTED && !self.subjects.contains(&id) {
            self.subjects.push(id);
        }
    }

    pub(crate) fn add_event(&mut self, id: &str) {
        if self.event_ids.len() < MAX_LISTED {
            self.event_ids.push(id.to_owned());
        }
    }
}
