//! Puts what `operations` found where alerts are kept and told: in one transaction, under a cursor
//! of its own.

use billingwatch_alert::Route;
use billingwatch_core::alert::AlertChange;
use billingwatch_core::time::Timestamp;
use billingwatch_store::{Cursor, Step};

use super::{OPERATIONS, is_failure_of};
use crate::error::PumpError;
use crate::ports::PipelineStore;
use crate::pump::Collected;

/// Records changes and queues their deliveries; how many of those there are.
///
/// A channel is not told of its own failure: that would wait behind what it fails to send.
pub(super) fn record(
    store: &dyn PipelineStore,
    routes: &[Route],
    changes: Vec<AlertChange>,
    at: Timestamp,
) -> Result<usize, PumpError> {
    let mut collected = Collected {
        changes,
        ..Collected::default()
    };
    // A process that died between commit and answer may have recorded a step already.
    collected.renumber(store)?;
    let mut deliveries = collected.deliveries(routes, store)?;
    deliveries.retain(|delivery| {
        let alerts = collected.changes.iter().map(|change| &change.alert);
        let mut own = alerts.filter(|alert| alert.id == delivery.alert_id);
        !own.any(|alert| is_failure_of(&delivery.channel, alert))
    });
    let expected = store.cursor(OPERATIONS)?.unwrap_or(Cursor::START);
    let cursor = Cursor {
        seq: expected.seq + 1,
        at: expected.at.max(at),
    };
    store.commit_step(&Step {
        changes: &collected.changes,
        deliveries: &deliveries,
        ..Step::new(OPERATIONS, expected, cursor)
    })?;
    Ok(deliveries.len())
}
