//! `[alert.<channel>]`: hands what is set to the alert crate, whose channels check it.

use billingwatch_alert::AlertConfig;
use serde_json::{Map, Value as Json};

use super::error::ConfigError;
use super::layers::Layers;
use super::value::Value;

/// Reads all channels and lets each check its settings; contacts nobody.
///
/// # Errors
/// A channel that is half set, or whose settings cannot work.
pub(crate) fn build(layers: &Layers) -> Result<AlertConfig, ConfigError> {
    half_set(layers)?;
    let mut channels = Map::new();
    for name in ["email", "webhook", "slack", "discord"] {
        let path = format!("alert.{name}");
        let set = layers
            .table(&path)
            .filter(|(key, value)| !by_itself(key, value));
        let set = set
            .map(|(key, value)| (key.to_owned(), json(value)))
            .collect();
        channels.insert(name.to_owned(), Json::Object(set));
    }
    let config: AlertConfig = serde_json::from_value(Json::Object(channels))
        .map_err(|error| ConfigError::Refused(format!("[alert]: {error}")))?;
    billingwatch_alert::build(&config)?;
    Ok(config)
}

/// The values that stand for "as the channel thinks best", for which it has no word of its own.
fn by_itself(key: &str, value: &Value) -> bool {
    match (key, value) {
        ("smtp_port", Value::Int(0)) => true,
        ("smtp_tls", Value::Text(word)) => word == "auto",
        _ => false,
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Int(value) => (*value).into(),
        Value::Bool(value) => (*value).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.as_slice().into(),
    }
}

/// A channel whose target is not set is off; one that is set otherwise was meant to be on.
fn half_set(layers: &Layers) -> Result<(), ConfigError> {
    let is_set = |name: &str| layers.text(name).is_some() || !layers.list(name).is_empty();
    let missing = |set: &str, missing: &str| {
        Err(ConfigError::Refused(format!(
            "{set} is set, but {missing} is not: set both or neither"
        )))
    };
    if !is_set("alert.email.to") {
        if is_set("alert.email.from") {
            return missing(
                "alert.email.from (ALERT_EMAIL_FROM)",
                "alert.email.to (ALERT_EMAIL_TO)",
            );
        }
        if is_set("alert.email.smtp_host") {
            return missing(
                "alert.email.smtp_host (SMTP_HOST)",
                "alert.email.to (ALERT_EMAIL_TO)",
            );
        }
    }
    if is_set("alert.webhook.secrets") && !is_set("alert.webhook.url") {
        return missing(
            "alert.webhook.secrets (ALERT_WEBHOOK_SECRET)",
            "alert.webhook.url (ALERT_WEBHOOK_URL)",
        );
    }
    Ok(())
}
