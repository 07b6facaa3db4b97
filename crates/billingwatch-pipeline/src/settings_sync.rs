//! Settings of the config file → journal entries, when they differ from those in force.
//!
//! Settings are inputs like events: a replay meets a change where it happened. So the file is not
//! put into the engine but compared, at start, with what the journal has in force:
//!
//! - What the file says of a detector (for one source or all) holds from this start on, also over
//!   what was set through the API since: the file is what an operator reads.
//! - What an earlier start entered and the file no longer says goes back to its defaults.
//! - What the API set and the file never mentioned stays.

use std::collections::BTreeMap;

use billingwatch_core::detector::{SettingValues, SettingsError};
use billingwatch_core::engine::{Engine, Registry, SettingsChange};
use billingwatch_core::time::Timestamp;
use billingwatch_store::{NewEntry, SettingsOverride, StoreError};

use crate::ports::PipelineStore;
use crate::runtime::StartError;

/// The source under which settings of the config file are journalled.
pub const CONFIG_SOURCE: &str = "config";

/// Enters what differs; how many entries that made.
///
/// # Errors
/// When a setting is unknown or out of bounds (nothing is entered then), or the store fails.
pub fn sync(
    store: &dyn PipelineStore,
    registry: &Registry,
    configured: &[SettingsChange],
    now: Timestamp,
) -> Result<usize, StartError> {
    check(registry, configured)?;
    let in_force = store.list_settings()?;
    let mut entries = Vec::new();
    for change in changes_needed(registry, configured, &in_force) {
        let is_reset = !configured
            .iter()
            .any(|wanted| place(wanted) == place(&change));
        if is_reset && !is_from_config(store, &in_force, &change)? {
            continue;
        }
        tracing::info!(
            detector = change.detector,
            "settings of {} changed in the config file",
            change.detector
        );
        entries.push(NewEntry {
            source: CONFIG_SOURCE.to_owned(),
            ..NewEntry::settings(&change)?
        });
    }
    if !entries.is_empty() {
        store.append(&entries, now)?;
    }
    Ok(entries.len())
}

/// Whether an engine takes these settings.
///
/// # Errors
/// The first that is unknown or out of bounds.
pub fn check(registry: &Registry, configured: &[SettingsChange]) -> Result<(), SettingsError> {
    let mut engine = Engine::new(registry.clone());
    configured.iter().try_for_each(|change| engine.set(change))
}

/// What must be entered so that the file holds; resets come for every place it does not mention.
fn changes_needed(
    registry: &Registry,
    configured: &[SettingsChange],
    in_force: &[SettingsOverride],
) -> Vec<SettingsChange> {
    let current: BTreeMap<_, _> = in_force
        .iter()
        .map(|row| (place(&row.change), &row.change))
        .collect();
    let mut wanted: BTreeMap<_, SettingsChange> = BTreeMap::new();
    for change in configured {
        wanted.insert(place(change), explicit(change));
    }
    let resets = current
        .iter()
        .filter(|(place, change)| {
            !wanted.contains_key(*place)
                && !is_default(change)
                // A detector that is gone would be refused, and has nothing to reset.
                && registry.spec(&change.detector).is_some()
        })
        .map(|(_, change)| SettingsChange {
            is_enabled: Some(true),
            values: SettingValues::new(),
            ..(*change).clone()
        })
        .collect::<Vec<_>>();
    wanted
        .into_iter()
        .filter(|(place, change)| match current.get(place) {
            Some(current) => explicit(current) != *change,
            None => !is_default(change),
        })
        .map(|(_, change)| change)
        .chain(resets)
        .collect()
}

fn place(change: &SettingsChange) -> (String, Option<String>) {
    (change.detector.clone(), change.source.clone())
}

/// A file that does not say whether a detector runs says that it does.
fn explicit(change: &SettingsChange) -> SettingsChange {
    SettingsChange {
        is_enabled: Some(change.is_enabled.unwrap_or(true)),
        ..change.clone()
    }
}

fn is_default(change: &SettingsChange) -> bool {
    change.is_enabled.unwrap_or(true) && change.values.is_empty()
}

fn is_from_config(
    store: &dyn PipelineStore,
    in_force: &[SettingsOverride],
    change: &SettingsChange,
) -> Result<bool, StoreError> {
    let Some(row) = in_force
        .iter()
        .find(|row| place(&row.change) == place(change))
    else {
        return Ok(false);
    };
    let entries = store.read_after(row.seq - 1, 1)?;
    Ok(entries
        .first()
        .is_some_and(|entry| entry.seq == row.seq && entry.source == CONFIG_SOURCE))
}
