//! Detector settings: typed, bounded, with defaults and a reason for each.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One setting of a detector: the source of its docs, its default and its check.
#[derive(Clone, Debug)]
pub struct SettingSpec {
    /// Its name; the unit comes last (`window_secs`, `rate_bps_min`).
    pub name: &'static str,
    /// What it does and why the default is what it is.
    pub doc: &'static str,
    /// What may be set, and what holds when nothing is.
    pub kind: SettingKind,
}

/// What may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// A whole number within bounds, both included.
    Int {
        /// What holds when nothing is set.
        default: i64,
        /// The smallest allowed.
        min: i64,
        /// The largest allowed.
        max: i64,
    },
    /// Yes or no.
    Bool {
        /// What holds when nothing is set.
        default: bool,
    },
}

/// A value of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
}

impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
        }
    }
}

/// Why settings were refused; each names the key and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// No detector of that name.
    #[error("no detector is named `{0}`; `billingwatch detectors` lists them")]
    UnknownDetector(String),
    /// The detector has no such setting.
    #[error("`{detector}` has no setting `{name}`; it has: {known}")]
    UnknownSetting {
        /// The detector.
        detector: String,
        /// The name that was given.
        name: String,
        /// The names it has.
        known: String,
    },
    /// The value is of another type.
    #[error("`{detector}.{name}` must be {expected}, not {value}")]
    WrongType {
        /// The detector.
        detector: String,
        /// The setting.
        name: String,
        /// What it takes.
        expected: &'static str,
        /// What was given.
        value: String,
    },
    /// The value is out of bounds.
    #[error("`{detector}.{name}` must be from {min} to {max}, not {value}")]
    OutOfRange {
        /// The detector.
        detector: String,
        /// The setting.
        name: String,
        /// The smallest allowed.
        min: i64,
        /// The largest allowed.
        max: i64,
        /// What was given.
        value: i64,
    },
    /// Values that make no sense together.
    #[error("`{detector}`: {reason}")]
    Combination {
        /// The detector.
        detector: String,
        /// What does not fit.
        reason: String,
    },
}

/// Overrides of a detector's settings, by name; what is absent has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SettingValues(BTreeMap<String, SettingValue>);

impl SettingValues {
    /// Nothing overridden.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Overrides one setting.
    pub fn set(&mut self, name: &str, value: SettingValue) {
        self.0.insert(name.to_owned(), value);
    }

    /// Takes over every override of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.0
            .extend(other.0.iter().map(|(name, value)| (name.clone(), *value)));
    }

    /// The overrides, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, SettingValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Whether nothing is overridden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The whole number set, or `default`.
    #[must_use]
    pub fn int(&self, name: &str, default: i64) -> i64 {
        match self.0.get(name) {
            Some(SettingValue::Int(value)) => *value,
            _ => default,
        }
    }

    /// The yes or no set, or `default`.
    #[must_use]
    pub fn bool(&self, name: &str, default: bool) -> bool {
        match self.0.get(name) {
            Some(SettingValue::Bool(value)) => *value,
            _ => default,
        }
    }

    /// Checks every override against a detector's specs.
    ///
    /// # Errors
    /// The first name unknown, type wrong or value out of bounds.
    pub fn check(&self, detector: &str, specs: &[SettingSpec]) -> Result<(), SettingsError> {
        for (name, value) in self.iter() {
            let Some(spec) = specs.iter().find(|spec| spec.name == name) else {
                let known: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
                return Err(SettingsError::UnknownSetting {
                    detector: detector.to_owned(),
                    name: name.to_owned(),
                    known: known.join(", "),
                });
            };
            spec.check(detector, value)?;
        }
        Ok(())
    }
}

impl SettingSpec {
    /// The default as a value.
    #[must_use]
    pub const fn default_value(&self) -> SettingValue {
        match self.kind {
            SettingKind::Int { default, .. } => SettingValue::Int(default),
            SettingKind::Bool { default } => SettingValue::Bool(default),
        }
    }

    fn check(&self, detector: &str, value: SettingValue) -> Result<(), SettingsError> {
        let wrong_type = |expected| SettingsError::WrongType {
            detector: detector.to_owned(),
            name: self.name.to_owned(),
            expected,
            value: value.to_string(),
        };
        match (self.kind, value) {
            (SettingKind::Int { min, max, .. }, SettingValue::Int(value)) => {
                if (min..=max).contains(&value) {
                    return Ok(());
                }
                let (detector, name) = (detector.to_owned(), self.name.to_owned());
                Err(SettingsError::OutOfRange {
                    detector,
                    name,
                    min,
                    max,
                    value,
                })
            }
            (SettingKind::Bool { .. }, SettingValue::Bool(_)) => Ok(()),
            (SettingKind::Int { .. }, SettingValue::Bool(_)) => Err(wrong_type("a whole number")),
            (SettingKind::Bool { .. }, SettingValue::Int(_)) => Err(wrong_type("true or false")),
        }
    }
}

/// Declares a detector's settings once: the struct it reads, and the specs everyone else does.
///
/// Makes `struct Settings` with a field each, `Settings::SPECS`, `Default`, and `Settings::read`.
#[macro_export]
macro_rules! settings {
    (@kind i64, $default:expr, $min:expr, $max:expr) => {
        $crate::detector::SettingKind::Int { default: $default, min: $min, max: $max }
    };
    (@kind bool, $default:expr) => {
        $crate::detector::SettingKind::Bool { default: $default }
    };
    (@get i64, $values:ident, $name:expr, $default:expr) => { $values.int($name, $default) };
    (@get bool, $values:ident, $name:expr, $default:expr) => { $values.bool($name, $default) };
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ident = $default:expr $(, $min:expr => $max:expr)?;)+) => {
        /// What can be set, as read.
        #[derive(Clone, Debug)]
        struct Settings {
            $($name: $type,)+
        }

        impl Settings {
            const SPECS: &'static [$crate::detector::SettingSpec] = &[$(
                $crate::detector::SettingSpec {
                    name: stringify!($name),
                    doc: concat!($($doc),+).trim_ascii(),
                    kind: $crate::settings!(@kind $type, $default $(, $min, $max)?),
                },
            )+];

            fn read(values: &$crate::detector::SettingValues) -> Self {
                Self {
                    $($name: $crate::settings!(@get $type, values, stringify!($name), $default),)+
                }
            }
        }

        impl Default for Settings {
            fn default() -> Self {
                Self::read(&$crate::detector::SettingValues::new())
            }
        }
    };
}

#[cfg(test)]
mod tests {

    mod declared {
        settings! {
            /// How far back, in seconds.
            window_secs: i64 = 3600, 60 => 86_400;
            /// Whether to look at all.
            is_strict: bool = true;
        }

        #[test]
        fn defaults_specs_and_fields_agree() {
            let settings = Settings::default();
            assert_eq!((settings.window_secs, settings.is_strict), (3600, true));
            assert_eq!(Settings::SPECS[0].doc, "How far back, in seconds.");
        }

        #[test]
        fn refusals_name_key_and_remedy() {
            use crate::detector::{SettingValue, SettingValues};
            let refuse = |name: &str, value| {
                let mut values = SettingValues::new();
                values.set(name, value);
                values
                    .check("probe", Settings::SPECS)
                    .map_err(|error| error.to_string())
            };
            assert_eq!(refuse("window_secs", SettingValue::Int(60)), Ok(()));
            assert_eq!(
                refuse("window_secs", SettingValue::Int(59)),
                Err("`probe.window_secs` must be from 60 to 86400, not 59".to_owned())
            );
            assert_eq!(
                refuse("is_strict", SettingValue::Int(1)),
                Err("`probe.is_strict` must be true or false, not 1".to_owned())
            );
            assert_eq!(
                refuse("windw", SettingValue::Int(1)),
                Err("`probe` has no setting `windw`; it has: window_secs, is_strict".to_owned())
            );
        }
    }
}
