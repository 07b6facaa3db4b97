//! The channels. A new one is a file here and a line in [`CHANNELS`].

mod discord;
mod email;
mod slack;
mod webhook;

pub use discord::{Discord, DiscordConfig};
pub use email::{Email, EmailConfig, SmtpTls};
pub use slack::{Slack, SlackConfig};
pub use webhook::{
    SCHEMA_VERSION, Webhook, WebhookAlert, WebhookBody, WebhookConfig, WebhookEvidence,
    WebhookMeasure, body as webhook_body, sign,
};

use crate::channel::Channel;
use crate::config::AlertConfig;
use crate::error::ConfigError;

/// A kind of channel.
pub struct ChannelSpec {
    /// Its name, which is also its table under `[alert]`.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// The variables that configure it.
    pub variables: &'static [&'static str],
    /// Builds it when it is configured.
    pub build: fn(&AlertConfig) -> Built,
}

/// A channel, none when it is not configured, or what is wrong with its settings.
pub type Built = Result<Option<Box<dyn Channel>>, ConfigError>;

/// All channels, in the order they are listed everywhere.
#[rustfmt::skip]
pub const CHANNELS: &[ChannelSpec] = &[
    ChannelSpec { name: email::NAME, about: email::ABOUT, variables: email::VARIABLES, build: |c| c.email.build() },
    ChannelSpec { name: webhook::NAME, about: webhook::ABOUT, variables: webhook::VARIABLES, build: |c| c.webhook.build() },
    ChannelSpec { name: slack::NAME, about: slack::ABOUT, variables: slack::VARIABLES, build: |c| c.slack.build() },
    ChannelSpec { name: discord::NAME, about: discord::ABOUT, variables: discord::VARIABLES, build: |c| c.discord.build() },
];
