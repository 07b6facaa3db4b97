//! After a rebuild without a snapshot: what is recorded as open against what the engine holds open.
//!
//! With the same detectors the two agree, for the engine is deterministic. With a newer version of
//! them they may not: an alert that was told and that the engine no longer knows would never be told
//! to have ended, and one it has found anew would be recorded nowhere.

use std::collections::BTreeSet;

use billingwatch_core::alert::{Alert, AlertChange, AlertStatus};
use billingwatch_core::engine::Engine;

use super::collect::Collected;
use crate::error::PumpError;
use crate::operations::OPERATIONS;
use crate::ports::PipelineStore;

/// Why an alert ended that the rebuilt engine does not hold.
const RESOLUTION: &str = "the detectors were changed, and no longer see it in the recorded events";

/// The changes that bring the records to what the engine holds.
pub(super) fn reconcile(
    engine: &Engine,
    store: &dyn PipelineStore,
) -> Result<Collected, PumpError> {
    let at = engine.now();
    let mut recorded = store.open_alerts()?;
    // Those are not the engine's: no detector of this or any other version finds them.
    recorded.retain(|alert| alert.detector != OPERATIONS);
    let recorded_ids: BTreeSet<&str> = recorded.iter().map(|alert| alert.id.as_str()).collect();
    let held_ids: BTreeSet<&str> = engine
        .open_alerts()
        .map(|alert| alert.id.as_str())
        .collect();
    let mut collected = Collected::default();
    for alert in &recorded {
        if !held_ids.contains(alert.id.as_str()) {
            let alert = Alert {
                status: AlertStatus::Resolved,
                resolved_at: Some(at),
                resolution: Some(RESOLUTION.to_owned()),
                ..alert.clone()
            };
            collected.changes.push(AlertChange { at, alert });
        }
    }
    for alert in engine.open_alerts() {
        if !recorded_ids.contains(alert.id.as_str()) {
            let alert = alert.clone();
            collected.changes.push(AlertChange { at, alert });
        }
    }
    collected.renumber(store)?;
    Ok(collected)
}
