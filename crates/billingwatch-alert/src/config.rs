//! The `[alert]` section: one table a channel, and the variables that stand in for its keys.
//!
//! Reading files and the environment is the program's business: it hands in a look-up.

use serde::Deserialize;

use crate::channel::Channel;
use crate::channels::{CHANNELS, DiscordConfig, EmailConfig, SlackConfig, WebhookConfig};
use crate::error::ConfigError;

/// Finds a variable; the caller knows about `.env` files and `NAME_FILE`.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Where alerts go. A channel without its address is off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertConfig {
    /// E-mail over SMTP.
    pub email: EmailConfig,
    /// Signed JSON to any URL.
    pub webhook: WebhookConfig,
    /// A Slack incoming webhook.
    pub slack: SlackConfig,
    /// A Discord webhook.
    pub discord: DiscordConfig,
}

impl AlertConfig {
    /// Lets variables stand over what the file says.
    ///
    /// # Errors
    ///
    /// Names the variable that cannot be read as its key's type.
    pub fn apply_env(&mut self, lookup: &Lookup<'_>) -> Result<(), ConfigError> {
        self.email.apply_env(lookup)?;
        self.webhook.apply_env(lookup);
        self.slack.apply_env(lookup);
        self.discord.apply_env(lookup);
        Ok(())
    }
}

/// Builds every channel that is configured, in the order of [`CHANNELS`]. Contacts nobody.
///
/// # Errors
///
/// Names the first key that cannot work and what to do about it.
pub fn build(config: &AlertConfig) -> Result<Vec<Box<dyn Channel>>, ConfigError> {
    let mut channels = Vec::new();
    for spec in CHANNELS {
        channels.extend((spec.build)(config)?);
    }
    Ok(channels)
}

/// Sets a text key from a variable that is present and not empty.
pub(crate) fn set<T: From<String>>(field: &mut T, lookup: &Lookup<'_>, name: &str) {
    if let Some(value) = lookup(name).filter(|value| !value.trim().is_empty()) {
        *field = T::from(value.trim().to_owned());
    }
}

/// Splits a comma-separated variable; blanks are dropped.
pub(crate) fn split(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}
