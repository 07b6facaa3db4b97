//! What can be wrong with a channel's configuration.

/// A setting that cannot work, with its key and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ConfigError {
    /// The key in the configuration file and, where it has one, its variable.
    pub key: String,
    /// What is wrong and what to write instead; free of secrets.
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(key: &str, problem: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            problem: problem.into(),
        }
    }
}
