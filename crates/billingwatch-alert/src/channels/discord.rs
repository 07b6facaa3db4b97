//! A Discord webhook: one embed a message.
//!
//! Discord reads Markdown everywhere in an embed, so what strangers may have written is escaped;
//! and nobody can be mentioned, whatever the text says.

use billingwatch_core::alert::Severity;
use billingwatch_core::time::Span;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::channel::{Channel, Message, Outcome};
use crate::config::{Lookup, set};
use crate::error::ConfigError;
use crate::http::{self, Attempt, HttpClient, TIMEOUT_SECS_DEFAULT, Target};
use crate::render::View;
use crate::secret::Secret;
use crate::text::{cap, len};

pub(super) const NAME: &str = "discord";
pub(super) const ABOUT: &str = "A message to a Discord webhook.";
pub(super) const VARIABLES: &[&str] = &["DISCORD_WEBHOOK_URL"];

// Discord, "Message resource", embed limits.
const TITLE_LEN_MAX: usize = 256;
const DESCRIPTION_LEN_MAX: usize = 4096;
const FIELDS_MAX: usize = 25;
const FIELD_NAME_LEN_MAX: usize = 256;
const FIELD_VALUE_LEN_MAX: usize = 1024;
const FOOTER_LEN_MAX: usize = 2048;
/// Title, description, field names and values, and footer together (same source).
const EMBED_LEN_MAX: usize = 6000;

/// Discord, "Unknown Webhook" (code 10015): it was deleted.
const GONE: &[u16] = &[404, 410];

/// `[alert.discord]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiscordConfig {
    /// The webhook (`DISCORD_WEBHOOK_URL`); empty is off. A secret: who has it can post.
    pub url: Secret,
    /// The mildest severity sent.
    pub min_severity: Severity,
    /// Whether alerts on test mode are sent as well.
    pub test_mode: bool,
    /// How long an attempt may take, 1 to 60.
    pub timeout_secs: u32,
}

impl Default for DiscordConfig {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            min_severity: Severity::Low,
            test_mode: true,
            timeout_secs: TIMEOUT_SECS_DEFAULT,
        }
    }
}

impl DiscordConfig {
    pub(crate) fn apply_env(&mut self, lookup: &Lookup<'_>) {
        set(&mut self.url, lookup, "DISCORD_WEBHOOK_URL");
    }

    pub(super) fn build(&self) -> Result<Option<Box<dyn Channel>>, ConfigError> {
        if self.url.is_empty() {
            return Ok(None);
        }
        Ok(Some(Box::new(Discord::new(self)?)))
    }
}

/// Posts to Discord.
#[derive(Debug)]
pub struct Discord {
    client: HttpClient,
    min_severity: Severity,
    sends_test_mode: bool,
}

impl Discord {
    /// Checks the settings; contacts nobody.
    ///
    /// # Errors
    ///
    /// Names the key that cannot work.
    pub fn new(config: &DiscordConfig) -> Result<Self, ConfigError> {
        let url = config.url.expose();
        let target = Target::parse("alert.discord.url (DISCORD_WEBHOOK_URL)", url, true)?;
        let timeout = http::timeout("alert.discord.timeout_secs", config.timeout_secs)?;
        Ok(Self {
            client: HttpClient::new(target, timeout),
            min_severity: config.min_severity,
            sends_test_mode: config.test_mode,
        })
    }
}

impl Channel for Discord {
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
        let body = payload(message).to_string();
        let attempt = Attempt {
            number: message.attempt,
            sent_at: message.sent_at,
            headers: &[],
            body: body.as_bytes(),
        };
        self.client.post(&attempt, GONE)
    }
}

fn payload(message: &Message) -> Value {
    let view = View::of(message);
    let title = escaped(&view.subject(), TITLE_LEN_MAX);
    let description = escaped(&view.message, DESCRIPTION_LEN_MAX);
    let footer = cap(&view.footer(), FOOTER_LEN_MAX);
    let mut left = EMBED_LEN_MAX
        .saturating_sub(len(&title))
        .saturating_sub(len(&description))
        .saturating_sub(len(&footer));
    let mut fields = Vec::new();
    for (name, value, is_inline) in rows(&view) {
        let name = escaped(&name, FIELD_NAME_LEN_MAX);
        let value = escaped(&value, FIELD_VALUE_LEN_MAX);
        let Some(rest) = left.checked_sub(len(&name) + len(&value)) else {
            break;
        };
        if fields.len() == FIELDS_MAX {
            break;
        }
        left = rest;
        fields.push(json!({"name": name, "value": value, "inline": is_inline}));
    }
    let mut embed = json!({
        "title": title,
        "description": description,
        "color": colour(message),
        "fields": fields,
        "footer": {"text": footer},
        "timestamp": message.change.at.to_string(),
    });
    if let Some(link) = &view.link {
        embed["url"] = json!(link);
    }
    json!({"embeds": [embed], "allowed_mentions": {"parse": []}})
}

/// Name, value, and whether it may stand beside others.
fn rows(view: &View) -> Vec<(String, String, bool)> {
    let mut rows = Vec::new();
    if let Some(resolved) = &view.resolved {
        let because = resolved.because.as_deref();
        let because = because.map(|b| format!(": {b}")).unwrap_or_default();
        rows.push((
            "Resolved".to_owned(),
            format!("after {}{because}", resolved.lasted),
            false,
        ));
    }
    for row in &view.measures {
        let value = format!("{}\n{}", row.observed, row.bounds);
        let value = value.trim_end().to_owned();
        rows.push((row.label.clone(), value, true));
    }
    for (heading, text) in view.facts() {
        rows.push((heading.to_owned(), text, false));
    }
    rows
}

/// Escaped, and within the limit after escaping.
fn escaped(text: &str, max: usize) -> String {
    let mut room = max;
    loop {
        let escaped = escape(&cap(text, room));
        match len(&escaped).checked_sub(max) {
            None | Some(0) => return escaped,
            Some(over) => room = room.saturating_sub(over),
        }
    }
}

/// Puts a backslash before everything that Discord's Markdown, mentions and links begin with.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\*_~`|>#[]()<@:".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn colour(message: &Message) -> u32 {
    let alert = &message.change.alert;
    match alert.severity {
        _ if !alert.status.is_open() => 0x001b_7f4b,
        Severity::Low => 0x005b_6275,
        Severity::Medium => 0x009a_6700,
        Severity::High => 0x00c2_410c,
        Severity::Critical => 0x00b3_261e,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn messages_read_as_meant() {
        for (name, change) in testing::changes() {
            insta::assert_json_snapshot!(
                format!("payload_{name}"),
                payload(&testing::message(change))
            );
        }
    }

    #[test]
    fn the_largest_alert_stays_within_the_limits() {
        let payload = payload(&testing::message(testing::huge()));
        let embed = &payload["embeds"][0];
        let text = |value: &Value| len(value.as_str().unwrap_or_default());
        let fields = embed["fields"].as_array().cloned().unwrap_or_default();
        assert!(fields.len() <= FIELDS_MAX && !fields.is_empty());
        let mut total = text(&embed["title"]) + text(&embed["description"]);
        total += text(&embed["footer"]["text"]);
        assert!(text(&embed["title"]) <= TITLE_LEN_MAX);
        for field in fields {
            assert!(text(&field["name"]) <= FIELD_NAME_LEN_MAX);
            assert!(text(&field["value"]) <= FIELD_VALUE_LEN_MAX);
            total += text(&field["name"]) + text(&field["value"]);
        }
        assert!(total <= EMBED_LEN_MAX, "{total}");
    }
}
