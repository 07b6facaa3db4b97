//! What came of some rows, and whom to tell.

use std::collections::{BTreeMap, BTreeSet};

use billingwatch_alert::Route;
use billingwatch_core::alert::{Alert, AlertChange, AlertStatus, Suppressed};
use billingwatch_core::engine::Engine;
use billingwatch_store::NewDelivery;

use crate::error::PumpError;
use crate::ports::PipelineStore;

/// What the engine put out.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) changes: Vec<AlertChange>,
    pub(crate) updates: Vec<Alert>,
    pub(crate) suppressed: Vec<Suppressed>,
}

impl Collected {
    /// Everything the engine has put out since it was last asked. What historical rows show is not
    /// among it: the engine itself keeps quiet about them.
    pub(super) fn take(engine: &mut Engine) -> Self {
        Self {
            changes: engine.take_changes(),
            updates: engine.take_updates(),
            suppressed: engine.take_suppressed(),
        }
    }

    /// Gives changes that the store already has under their number the next free one.
    ///
    /// Cannot happen while one version of the detectors is at work; a newer one that was rebuilt
    /// from the journal may count the steps of an old alert differently.
    pub(crate) fn renumber(&mut self, store: &dyn PipelineStore) -> Result<(), PumpError> {
        let mut last: BTreeMap<String, u32> = BTreeMap::new();
        for change in &mut self.changes {
            let alert = &mut change.alert;
            let recorded = match last.get(&alert.id) {
                Some(recorded) => *recorded,
                None => store.last_revision(&alert.id)?,
            };
            alert.revision = alert.revision.max(recorded.saturating_add(1));
            last.insert(alert.id.clone(), alert.revision);
        }
        Ok(())
    }

    /// The deliveries these changes call for.
    ///
    /// An end is told to exactly those who were told of the beginning, so it needs a look at what
    /// was queued before; anything else goes to every route that wants its severity.
    pub(crate) fn deliveries(
        &self,
        routes: &[Route],
        store: &dyn PipelineStore,
    ) -> Result<Vec<NewDelivery>, PumpError> {
        let mut deliveries: Vec<NewDelivery> = Vec::new();
        if routes.is_empty() {
            return Ok(deliveries);
        }
        for change in &self.changes {
            let is_end = change.alert.status == AlertStatus::Resolved;
            let told = if is_end {
                channels_told(&deliveries, &change.alert.id, store)?
            } else {
                BTreeSet::new()
            };
            let mut body = None;
            for route in routes.iter().filter(|route| route.wants(change)) {
                if is_end && !told.contains(&route.channel) {
                    continue;
                }
                let body = match &body {
                    Some(body) => body,
                    None => body.insert(serde_json::to_string(change)?),
                };
                deliveries.push(NewDelivery {
                    channel: route.channel.clone(),
                    alert_id: change.alert.id.clone(),
                    revision: change.alert.revision,
                    body: body.clone(),
                });
            }
        }
        Ok(deliveries)
    }
}

fn channels_told(
    queued_now: &[NewDelivery],
    alert_id: &str,
    store: &dyn PipelineStore,
) -> Result<BTreeSet<String>, PumpError> {
    let mut told: BTreeSet<String> = store.channels_told(alert_id)?.into_iter().collect();
    told.extend(
        queued_now
            .iter()
            .filter(|delivery| delivery.alert_id == alert_id)
            .map(|delivery| delivery.channel.clone()),
    );
    Ok(told)
}
