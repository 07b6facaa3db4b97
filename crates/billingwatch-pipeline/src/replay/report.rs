//! What a replay saw, in numbers.

use std::collections::BTreeMap;
use std::fmt;

use billingwatch_core::alert::AlertStatus;
use billingwatch_core::engine::Engine;
use billingwatch_core::time::Timestamp;

use super::{ReplayError, ReplaySink};

/// A line that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The input's name.
    pub file: String,
    /// Its number, from 1.
    pub line: u64,
    /// Why, in words that quote nothing of it.
    pub reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

/// One detector's changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeCounts {
    /// Alerts that fired, or fired again.
    pub firing: u64,
    /// Steps up in severity.
    pub escalated: u64,
    /// Alerts that ended.
    pub resolved: u64,
}

/// What a replay saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Lines that were not blank; of pretty-printed files, documents.
    pub lines: u64,
    /// Events taken in, repeats included.
    pub events: u64,
    /// Events whose id was seen before.
    pub duplicates: u64,
    /// Events and settings the engine refused.
    pub refused: u64,
    /// Events dated before the one before them: time then stood still.
    pub out_of_order: u64,
    /// Lines, or events of a list page, that were passed over.
    pub bad_lines: u64,
    /// When the first event was received.
    pub first_at: Option<Timestamp>,
    /// The latest instant at which an event was received.
    pub last_at: Option<Timestamp>,
    /// Alert changes by detector.
    pub changes: BTreeMap<String, ChangeCounts>,
    /// Findings recognised as harmless.
    pub suppressed: u64,
    /// Alerts that had not ended.
    pub open_at_end: usize,
    /// Accounts and modes seen.
    pub scopes: usize,
}

/// Hands what the engine has put out to the sink, and counts it.
pub(super) fn take(
    engine: &mut Engine,
    report: &mut ReplayReport,
    sink: &mut dyn ReplaySink,
) -> Result<(), ReplayError> {
    for suppressed in engine.take_suppressed() {
        report.suppressed += 1;
        sink.suppressed(&suppressed);
    }
    for change in engine.take_changes() {
        let counts = report
            .changes
            .entry(change.alert.detector.clone())
            .or_default();
        match change.alert.status {
            AlertStatus::Firing => counts.firing += 1,
            AlertStatus::Escalated => counts.escalated += 1,
            AlertStatus::Resolved => counts.resolved += 1,
        }
        sink.change(&change).map_err(ReplayError::Write)?;
    }
    Ok(())
}
