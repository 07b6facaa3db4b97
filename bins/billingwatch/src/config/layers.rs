//! Entries of every layer under their paths: a later layer replaces an earlier one key by key.

use std::collections::{BTreeMap, BTreeSet};

use billingwatch_core::detector::{DetectorSpec, SettingValue, SettingValues};

use super::env::{self, Environment};
use super::error::ConfigError;
use super::value::{Entry, Origin, Value};
use super::{Overrides, file, keys};

/// All that was written, by path.
pub(crate) struct Layers(BTreeMap<String, Entry>);

impl Layers {
    pub(crate) fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Puts a file's entries on top.
    ///
    /// # Errors
    /// What the file has wrong.
    pub(crate) fn add_file(
        &mut self,
        source: &file::Source<'_>,
        specs: &[&DetectorSpec],
    ) -> Result<(), ConfigError> {
        let entries = file::read(source, specs)?;
        let written: BTreeSet<&str> = entries.iter().map(|(path, _)| path.as_str()).collect();
        for (path, entry) in &entries {
            let owner = path
                .strip_suffix("_file")
                .filter(|owner| is_secret(owner, specs));
            let Some(owner) = owner else {
                self.0.insert(path.clone(), entry.clone());
                continue;
            };
            if written.contains(owner) {
                return Err(ConfigError::Refused(format!(
                    "{}: `{owner}` and `{path}` are both set: keep one of them",
                    entry.origin
                )));
            }
            let kind = keys::find(owner, specs).map_or(keys::Kind::Text, |found| found.kind);
            if let Some(entry) = env::read_secret_entry(owner, kind, entry)? {
                self.0.insert(owner.to_owned(), entry);
            }
        }
        Ok(())
    }

    /// Puts the environment's variables on top.
    ///
    /// # Errors
    /// The first variable that is not what its key takes.
    pub(crate) fn add_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        for key in keys::KEYS {
            if let Some(entry) = environment.entry(key)? {
                self.0.insert(key.path.to_owned(), entry);
            }
        }
        Ok(())
    }

    /// Puts the command line on top.
    ///
    /// # Errors
    /// The first flag that is not what its key takes.
    pub(crate) fn add_overrides(&mut self, overrides: &Overrides) -> Result<(), ConfigError> {
        let port = overrides.port.map(|port| port.to_string());
        let environment = overrides.is_dev.then(|| "development".to_owned());
        let flags = [
            ("environment", "--dev", environment),
            ("server.host", "--host", overrides.host.clone()),
            ("server.port", "--port", port),
            (
                "store.database_url",
                "--database-url",
                overrides.database_url.clone(),
            ),
        ];
        for (path, flag, text) in flags {
            let Some(text) = text else { continue };
            let origin = Origin::Flag(flag);
            let kind = keys::find(path, &[]).map_or(keys::Kind::Text, |found| found.kind);
            let value = keys::parse(kind, path, &text, &origin)?;
            self.0.insert(path.to_owned(), Entry { value, origin });
        }
        Ok(())
    }

    /// Where a key was last written.
    pub(crate) fn origin(&self, path: &str) -> Origin {
        self.0
            .get(path)
            .map_or(Origin::Default, |entry| entry.origin.clone())
    }

    /// The whole number of a key. Every key has a default, so 0 is never seen.
    pub(crate) fn int(&self, path: &str) -> i64 {
        match self.value(path) {
            Some(Value::Int(value)) => *value,
            _ => 0,
        }
    }

    /// A key's number in the type its place wants.
    ///
    /// # Errors
    /// When it does not fit, which the key's bounds should have ruled out.
    pub(crate) fn number<T: TryFrom<i64>>(&self, path: &str) -> Result<T, ConfigError> {
        T::try_from(self.int(path)).map_err(|_| ConfigError::Invalid {
            origin: self.origin(path),
            key: path.to_owned(),
            problem: "does not fit".to_owned(),
        })
    }

    /// The text of a key; `None` when it is empty.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        match self.value(path) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The texts of a key.
    pub(crate) fn list(&self, path: &str) -> &[String] {
        match self.value(path) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    fn value(&self, path: &str) -> Option<&Value> {
        self.0
            .get(path)
            .map(|entry| &entry.value)
            .filter(|value| !value.is_unset())
    }

    /// What is set in one table, by the names of its keys.
    pub(crate) fn table(&self, path: &str) -> impl Iterator<Item = (&str, &Value)> {
        let prefix = format!("{path}.");
        self.0.iter().filter_map(move |(path, entry)| {
            let name = path.strip_prefix(&prefix)?;
            (!entry.value.is_unset()).then_some((name, &entry.value))
        })
    }

    /// The names of `[sources.<name>]`, in order.
    pub(crate) fn source_names(&self) -> BTreeSet<&str> {
        let paths = self
            .0
            .keys()
            .filter_map(|path| path.strip_prefix("sources."));
        paths.filter_map(|rest| rest.split('.').next()).collect()
    }

    /// What is set of a detector: whether it runs, and each value that is not its default.
    pub(crate) fn detector(&self, spec: &DetectorSpec) -> (bool, SettingValues) {
        let path = |name: &str| format!("detectors.{}.{name}", spec.name);
        let is_enabled = !matches!(self.value(&path("enabled")), Some(Value::Bool(false)));
        let mut values = SettingValues::new();
        for setting in spec.settings {
            let value = match self.value(&path(setting.name)) {
                Some(Value::Int(value)) => SettingValue::Int(*value),
                Some(Value::Bool(value)) => SettingValue::Bool(*value),
                _ => continue,
            };
            if value != setting.default_value() {
                values.set(setting.name, value);
            }
        }
        (is_enabled, values)
    }

    #[cfg(test)]
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0
            .iter()
            .map(|(path, entry)| (path.as_str(), &entry.value))
    }
}

fn is_secret(path: &str, specs: &[&DetectorSpec]) -> bool {
    keys::find(path, specs).is_some_and(|found| found.is_secret && !found.is_file_of)
}
