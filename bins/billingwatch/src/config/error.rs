//! Why a configuration is refused: each message names the place, the key and the remedy.

use std::path::PathBuf;

use billingwatch_core::detector::SettingsError;

use super::value::Origin;

/// A configuration that cannot be used. No message repeats a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file, or the file of a secret, cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A variable is not text.
    #[error("environment variable {0} is not UTF-8")]
    NotUnicode(String),
    /// A line of `.env` cannot be read. The line itself may be a secret, so it is not repeated.
    #[error("{}: a line is not NAME=value (a value with spaces, `#` or `$` goes in single quotes)", path.display())]
    DotEnv {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What TOML says.
        message: String,
    },
    /// No such key.
    #[error("{origin}: unknown key `{key}`{}", hint(near.as_deref()))]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// The key in full.
        key: String,
        /// A known key that it may have meant.
        near: Option<String>,
    },
    /// A value of another type.
    #[error("{origin}: `{key}` must be {expected}")]
    WrongType {
        /// Where it stands.
        origin: Origin,
        /// The key in full.
        key: String,
        /// What it takes.
        expected: String,
    },
    /// A number out of bounds.
    #[error("{origin}: `{key}` must be from {min} to {max}, not {given}")]
    OutOfRange {
        /// Where it stands.
        origin: Origin,
        /// The key in full.
        key: String,
        /// The smallest allowed.
        min: i64,
        /// The largest allowed.
        max: i64,
        /// What was given.
        given: i64,
    },
    /// A value that fits its type and means nothing.
    #[error("{origin}: `{key}` {problem}")]
    Invalid {
        /// Where it stands.
        origin: Origin,
        /// The key in full.
        key: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A detector's settings make no sense.
    #[error("{origin}: {problem}")]
    Detector {
        /// Where they stand.
        origin: Origin,
        /// What the detector says.
        problem: SettingsError,
    },
    /// A channel cannot work with what is set.
    #[error(transparent)]
    Channel(#[from] billingwatch_alert::ConfigError),
    /// Settings that do not go together, or one that is missing.
    #[error("{0}")]
    Refused(String),
}

fn hint(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default()
}
