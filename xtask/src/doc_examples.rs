//! The example alerts of the detectors' pages: made by the engine, so that none is invented.
//!
//! Between `<!-- example -->` and `<!-- /example -->` the first text block is a timeline, written by
//! hand in the words of [`billingwatch_core::testing`]. What follows it is generated: what happens,
//! and the first alert that fires, as the webhook channel posts it.

use std::fmt::Write as _;

use anyhow::{Context, ensure};
use billingwatch_alert::channel::Message;
use billingwatch_alert::channels::webhook_body;
use billingwatch_core::alert::{AlertChange, AlertStatus};
use billingwatch_core::detectors;
use billingwatch_core::engine::{Engine, Registry};
use billingwatch_core::testing::{Step, check, records};

const OPEN: &str = "<!-- example -->\n";
const CLOSE: &str = "<!-- /example -->";
const FENCE: &str = "```";

/// The page with every example as the engine now makes it; a page has one at least.
pub(crate) fn with_examples(page: &str, detector: &str) -> anyhow::Result<String> {
    let mut parts = page.split(OPEN);
    let mut made = parts.next().unwrap_or_default().to_owned();
    let mut count = 0;
    for part in parts {
        let (block, rest) = part
            .split_once(CLOSE)
            .context("an example has no end mark")?;
        let timeline = block
            .split_once("```text\n")
            .and_then(|(_, text)| text.split_once(FENCE))
            .map(|(text, _)| text)
            .context("an example has no timeline")?;
        let _ = write!(made, "{OPEN}{}{CLOSE}{rest}", example(detector, timeline)?);
        count += 1;
    }
    ensure!(count > 0, "there is no example");
    Ok(made)
}

fn example(detector: &str, timeline: &str) -> anyhow::Result<String> {
    let told = check(detector, timeline);
    let fired = first_fired(detector, timeline).context("the example fires nothing")?;
    let at = fired.at;
    let body = webhook_body(&Message::new(fired, "webhook", 1, at));
    let json = serde_json::to_string_pretty(&body)?;
    Ok(format!(
        "{FENCE}text\n{timeline}{FENCE}\n\nWhat happens:\n\n{FENCE}text\n{told}{FENCE}\n\nThe first \
         of it, as the webhook channel posts it:\n\n{FENCE}json\n{json}\n{FENCE}\n"
    ))
}

fn first_fired(detector: &str, timeline: &str) -> Option<AlertChange> {
    let mut factories = detectors::all();
    factories.retain(|factory| factory.spec().name == detector);
    let mut engine = Engine::new(Registry::new(factories));
    for step in records(timeline) {
        match step {
            Step::Record(record) => {
                engine.apply(&record);
            }
            Step::Wait(until) => engine.advance_to(until),
        }
    }
    engine
        .take_changes()
        .into_iter()
        .find(|change| change.alert.status == AlertStatus::Firing)
}
