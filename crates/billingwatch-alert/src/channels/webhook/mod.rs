//! Signed JSON to any URL.
//!
//! The body is [`WebhookBody`]; field by field it is described in `docs/webhook-payload.md`. The
//! signature follows Standard Webhooks 1.0.0, which shares Stripe's `whsec_` prefix and nothing
//! else: the key is the decoded Base64, and the id is signed too. Statuses mean what
//! `http::judge` says.

mod payload;
mod signature;

use std::time::Duration;

use billingwatch_core::alert::Severity;
use billingwatch_core::time::Span;
use serde::Deserialize;

pub use payload::{
    SCHEMA_VERSION, WebhookAlert, WebhookBody, WebhookEvidence, WebhookMeasure, body,
};
use signature::SigningKey;
pub use signature::sign;

use crate::channel::{Channel, Message, Outcome};
use crate::config::{Lookup, set, split};
use crate::error::ConfigError;
use crate::http::{self, Attempt, HttpClient, TIMEOUT_SECS_DEFAULT, Target};
use crate::secret::Secret;

pub(super) const NAME: &str = "webhook";
pub(super) const ABOUT: &str = "Signed JSON to any URL.";
pub(super) const VARIABLES: &[&str] = &["ALERT_WEBHOOK_URL", "ALERT_WEBHOOK_SECRET"];

/// The status by which a receiver says that it wants no more.
const GONE: &[u16] = &[410];

/// `[alert.webhook]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// Where to post (`ALERT_WEBHOOK_URL`); empty is off. Not shown anywhere but for its host.
    pub url: Secret,
    /// Signing secrets (`ALERT_WEBHOOK_SECRET`, comma separated): `whsec_` and Base64, or any
    /// text. Two while one is being replaced: the body is signed with each.
    pub secrets: Vec<Secret>,
    /// The mildest severity sent.
    pub min_severity: Severity,
    /// Whether alerts on test mode are sent as well.
    pub test_mode: bool,
    /// How long an attempt may take, 1 to 60.
    pub timeout_secs: u32,
    /// Hosts that may be posted to although they lead to link-local addresses or to a cloud's
    /// metadata service, as the address names them.
    pub link_local_hosts: Vec<String>,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            secrets: Vec::new(),
            min_severity: Severity::Low,
            test_mode: true,
            timeout_secs: TIMEOUT_SECS_DEFAULT,
            link_local_hosts: Vec::new(),
        }
    }
}

impl WebhookConfig {
    pub(crate) fn apply_env(&mut self, lookup: &Lookup<'_>) {
        set(&mut self.url, lookup, "ALERT_WEBHOOK_URL");
        if let Some(value) = lookup("ALERT_WEBHOOK_SECRET").filter(|v| !v.trim().is_empty()) {
            self.secrets = split(&value).into_iter().map(Secret::from).collect();
        }
    }

    pub(super) fn build(&self) -> Result<Option<Box<dyn Channel>>, ConfigError> {
        if self.url.is_empty() {
            return Ok(None);
        }
        Ok(Some(Box::new(Webhook::new(self)?)))
    }
}

/// Posts signed JSON.
#[derive(Debug)]
pub struct Webhook {
    client: HttpClient,
    keys: Vec<SigningKey>,
    min_severity: Severity,
    sends_test_mode: bool,
}

impl Webhook {
    /// Checks the settings; contacts nobody.
    ///
    /// # Errors
    ///
    /// Names the key that cannot work.
    pub fn new(config: &WebhookConfig) -> Result<Self, ConfigError> {
        let url = config.url.expose();
        let key = "alert.webhook.url (ALERT_WEBHOOK_URL)";
        let target = Target::parse_allowing(key, url, false, &config.link_local_hosts)?;
        let timeout: Duration = http::timeout("alert.webhook.timeout_secs", config.timeout_secs)?;
        let keys = config.secrets.iter().map(SigningKey::parse);
        let keys: Vec<SigningKey> = keys.collect::<Result<_, _>>()?;
        if keys.is_empty() {
            tracing::warn!(
                "alert.webhook has no secret: receivers cannot tell its posts from forged ones"
            );
        }
        Ok(Self {
            client: HttpClient::new(target, timeout),
            keys,
            min_severity: config.min_severity,
            sends_test_mode: config.test_mode,
        })
    }
}

impl Channel for Webhook {
    fn name(&self) -> &str {
        NAME
    }

    fn min_severity(&self) -> Severity {
        self.min_severity
    }

    fn sends_test_mode(&self) -> bool {
        self.sends_test_mode
    }

    fn time_limit(&self) -> Span {
        self.client.time_limit()
    }

    fn send(&self, message: &Message) -> Outcome {
        let body = match serde_json::to_vec(&body(message)) {
            Ok(body) => body,
            Err(error) => {
                return Outcome::GiveUp {
                    detail: format!("the alert cannot be written as JSON: {error}"),
                    status: None,
                    disable_channel: false,
                };
            }
        };
        let id = &message.delivery_id;
        let mut headers = vec![
            ("webhook-id", id.clone()),
            ("webhook-timestamp", message.sent_at.as_secs().to_string()),
        ];
        if !self.keys.is_empty() {
            let signatures: Vec<String> = self
                .keys
                .iter()
                .map(|key| key.sign(id, message.sent_at, &body))
                .collect();
            headers.push(("webhook-signature", signatures.join(" ")));
        }
        let attempt = Attempt {
            number: message.attempt,
            sent_at: message.sent_at,
            headers: &headers,
            body: &body,
        };
        self.client.post(&attempt, GONE)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn bad_settings_are_refused_without_showing_them() {
        let with = |url: &str, secret: &str, timeout_secs| WebhookConfig {
            url: Secret::from(url),
            secrets: vec![Secret::from(secret)],
            timeout_secs,
            ..WebhookConfig::default()
        };
        for (config, expected) in [
            (
                with("nonsense", "a long enough secret", 10),
                "ALERT_WEBHOOK_URL",
            ),
            (
                with("https://h.example/token-1234567", "tooshort", 10),
                "ALERT_WEBHOOK_SECRET",
            ),
            (
                with("https://h.example/token-1234567", "whsec_***", 10),
                "openssl rand",
            ),
            (
                with("https://h.example/token-1234567", "a long enough secret", 0),
                "timeout_secs",
            ),
        ] {
            let Err(error) = Webhook::new(&config) else {
                panic!("accepted: {expected}");
            };
            let shown = format!("{error} {error:?} {config:?}");
            assert!(shown.contains(expected), "{shown}");
            for secret in ["token-1234567", "long enough", "tooshort", "***"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }

    #[test]
    fn its_time_limit_is_the_one_that_was_set() {
        let config = WebhookConfig {
            url: Secret::from("https://h.example/"),
            secrets: vec![Secret::from("a long enough secret")],
            timeout_secs: 7,
            ..WebhookConfig::default()
        };
        let limit = Webhook::new(&config).map(|webhook| webhook.time_limit());
        assert!(limit.is_ok_and(|limit| limit == Span::secs(7)));
    }
}
