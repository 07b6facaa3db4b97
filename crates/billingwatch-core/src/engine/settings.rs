//! Settings in force: for all sources, and for one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::detector::{SettingValues, SettingsError};

use super::{Registry, SettingsChange};

/// Overrides by detector and source.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct SettingsTable {
    entries: BTreeMap<(String, Option<String>), Entry>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Entry {
    is_enabled: Option<bool>,
    values: Vec<(String, i64, bool)>,
}

impl SettingsTable {
    /// Checks a change and puts it in force in its place.
    ///
    /// What holds for all sources and what holds for one must make sense together, too: a scope
    /// would otherwise refuse at its next start what it was given.
    pub(super) fn put(
        &mut self,
        registry: &Registry,
        change: &SettingsChange,
    ) -> Result<(), SettingsError> {
        let spec = registry
            .spec(&change.detector)
            .ok_or_else(|| SettingsError::UnknownDetector(change.detector.clone()))?;
        change.values.check(spec.name, spec.settings)?;
        let key = (change.detector.clone(), change.source.clone());
        let old = self.entries.get(&key).cloned();
        let is_enabled = change
            .is_enabled
            .or_else(|| old.as_ref().and_then(|entry| entry.is_enabled));
        let new = Entry {
            is_enabled,
            values: pack(&change.values),
        };
        self.entries.insert(key.clone(), new);
        let checked = self.check_sources(registry, spec.name);
        if checked.is_err() {
            match old {
                Some(old) => self.entries.insert(key, old),
                None => self.entries.remove(&key),
            };
        }
        checked
    }

    /// Has a detector read what would hold for it in every source that has overrides, and in any
    /// other.
    fn check_sources(&self, registry: &Registry, detector: &str) -> Result<(), SettingsError> {
        let Some(factory) = registry
            .factories()
            .iter()
            .find(|factory| factory.spec().name == detector)
        else {
            return Ok(());
        };
        let places = self.entries.keys().filter(|(name, _)| name == detector);
        let sources = places.filter_map(|(_, source)| source.as_deref());
        // No source is named by an empty text: it has what holds for all.
        for source in sources.chain([""]) {
            factory.build().configure(&self.of(detector, source).1)?;
        }
        Ok(())
    }

    /// What holds for a detector in a source: whether it runs, and its overrides.
    pub(super) fn of(&self, detector: &str, source: &str) -> (bool, SettingValues) {
        let mut is_enabled = true;
        let mut values = SettingValues::new();
        for place in [None, Some(source.to_owned())] {
            if let Some(entry) = self.entries.get(&(detector.to_owned(), place)) {
                is_enabled = entry.is_enabled.unwrap_or(is_enabled);
                values.extend(&unpack(&entry.values));
            }
        }
        (is_enabled, values)
    }
}

/// Postcard has no untagged enums: a value is kept as a number and whether it is a bool.
fn pack(values: &SettingValues) -> Vec<(String, i64, bool)> {
    use crate::detector::SettingValue::{Bool, Int};
    let pack_one = |(name, value): (&str, _)| match value {
        Int(value) => (name.to_owned(), value, false),
        Bool(value) => (name.to_owned(), i64::from(value), true),
    };
    values.iter().map(pack_one).collect()
}

fn unpack(packed: &[(String, i64, bool)]) -> SettingValues {
    use crate::detector::SettingValue::{Bool, Int};
    let mut values = SettingValues::new();
    for (name, value, is_bool) in packed {
        values.set(
            name,
            if *is_bool {
                Bool(*value != 0)
            } else {
                Int(*value)
            },
        );
    }
    values
}
