//! A Slack incoming webhook (or one that takes the same, such as Mattermost's).
//!
//! What strangers may have written stands in `plain_text`, where Slack reads no markup, mentions
//! or links; the rest is escaped.

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
use crate::text::cap;

pub(super) const NAME: &str = "slack";
pub(super) const ABOUT: &str = "A message to a Slack incoming webhook.";
pub(super) const VARIABLES: &[&str] = &["SLACK_WEBHOOK_URL"];

/// Slack, "Block Kit: header block": the longest text.
const HEADER_LEN_MAX: usize = 150;
/// Slack, "Block Kit: section block": the longest text.
const SECTION_LEN_MAX: usize = 3000;
/// Slack, "Block Kit: section block": the longest text of a field.
const FIELD_LEN_MAX: usize = 2000;
/// Slack, "Block Kit: section block": the most fields.
const FIELDS_MAX: usize = 10;
/// Slack, "chat.postMessage": text longer than this may be cut.
const TEXT_LEN_MAX: usize = 4000;

/// Slack, "Sending messages using incoming webhooks", errors: 404 (`no_service`, `no_team`) and
/// 410 (`channel_is_archived`) mean that this address is no more.
const GONE: &[u16] = &[404, 410];

/// `[alert.slack]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlackConfig {
    /// The incoming webhook (`SLACK_WEBHOOK_URL`); empty is off. A secret: who has it can post.
    pub url: Secret,
    /// The mildest severity sent.
    pub min_severity: Severity,
    /// Whether alerts on test mode are sent as well.
    pub test_mode: bool,
    /// How long an attempt may take, 1 to 60.
    pub timeout_secs: u32,
}

impl Default for SlackConfig {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            min_severity: Severity::Low,
            test_mode: true,
            timeout_secs: TIMEOUT_SECS_DEFAULT,
        }
    }
}

impl SlackConfig {
    pub(crate) fn apply_env(&mut self, lookup: &Lookup<'_>) {
        set(&mut self.url, lookup, "SLACK_WEBHOOK_URL");
    }

    pub(super) fn build(&self) -> Result<Option<Box<dyn Channel>>, ConfigError> {
        if self.url.is_empty() {
            return Ok(None);
        }
        Ok(Some(Box::new(Slack::new(self)?)))
    }
}

/// Posts to Slack.
#[derive(Debug)]
pub struct Slack {
    client: HttpClient,
    min_severity: Severity,
    sends_test_mode: bool,
}

impl Slack {
    /// Checks the settings; contacts nobody.
    ///
    /// # Errors
    ///
    /// Names the key that cannot work.
    pub fn new(config: &SlackConfig) -> Result<Self, ConfigError> {
        let url = config.url.expose();
        let target = Target::parse("alert.slack.url (SLACK_WEBHOOK_URL)", url, true)?;
        let timeout = http::timeout("alert.slack.timeout_secs", config.timeout_secs)?;
        Ok(Self {
            client: HttpClient::new(target, timeout),
            min_severity: config.min_severity,
            sends_test_mode: config.test_mode,
        })
    }
}

impl Channel for Slack {
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
    let mut blocks = vec![
        json!({"type": "header", "text": plain(&view.subject(), HEADER_LEN_MAX)}),
        json!({"type": "section", "text": plain(&sentence(&view), SECTION_LEN_MAX)}),
    ];
    let fields: Vec<Value> = view
        .measures
        .iter()
        .take(FIELDS_MAX)
        .map(|row| {
            let bounds = match row.bounds.as_str() {
                "" => String::new(),
                bounds => format!(" ({bounds})"),
            };
            let text = format!("{}\n{}{bounds}", row.label, row.observed);
            plain(&text, FIELD_LEN_MAX)
        })
        .collect();
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    for (heading, text) in view.facts() {
        let text = plain(&format!("{heading}\n{text}"), SECTION_LEN_MAX);
        blocks.push(json!({"type": "section", "text": text}));
    }
    if let Some(link) = &view.link {
        // The address is ours and made of letters, digits and underscores.
        let text = format!("<{link}|Open in the Stripe Dashboard>");
        blocks.push(json!({"type": "section", "text": {"type": "mrkdwn", "text": text}}));
    }
    blocks.push(json!({"type": "context", "elements": [plain(&view.footer(), FIELD_LEN_MAX)]}));
    json!({
        "text": fallback(&view),
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// What happened, and how it ended if it did.
fn sentence(view: &View) -> String {
    match &view.resolved {
        Some(resolved) => {
            let because = resolved.because.as_deref();
            let because = because.map(|b| format!(": {b}")).unwrap_or_default();
            format!(
                "{}\nResolved after {}{because}.",
                view.message, resolved.lasted
            )
        }
        None => view.message.clone(),
    }
}

/// Shown in notifications, and by services that know no blocks.
fn fallback(view: &View) -> String {
    let mut text = format!("{}\n{}", view.subject(), sentence(view));
    if let Some(link) = &view.link {
        text = format!("{text}\n{link}");
    }
    // Escaping makes it longer, and a cut must not fall into an escape.
    let mut max = TEXT_LEN_MAX;
    loop {
        let escaped = escape(&cap(&text, max));
        match crate::text::len(&escaped).checked_sub(TEXT_LEN_MAX) {
            None | Some(0) => return escaped,
            Some(over) => max = max.saturating_sub(over),
        }
    }
}

fn plain(text: &str, max: usize) -> Value {
    json!({"type": "plain_text", "text": cap(text, max), "emoji": false})
}

/// Slack, "Formatting text for app surfaces": the three characters that open markup.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use crate::text::len;

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
        assert!(len(payload["text"].as_str().unwrap_or_default()) <= TEXT_LEN_MAX);
        let blocks = payload["blocks"].as_array().cloned().unwrap_or_default();
        assert!(blocks.len() <= 50);
        for block in blocks {
            let limit = match block["type"].as_str() {
                Some("header") => HEADER_LEN_MAX,
                _ => SECTION_LEN_MAX,
            };
            assert!(len(block["text"]["text"].as_str().unwrap_or_default()) <= limit);
            for field in block["fields"].as_array().cloned().unwrap_or_default() {
                assert!(len(field["text"].as_str().unwrap_or_default()) <= FIELD_LEN_MAX);
            }
        }
    }
}
