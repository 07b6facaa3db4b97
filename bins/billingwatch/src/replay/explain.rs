//! `--explain`: the story of one alert, step by step, or what was recognised as harmless.

use std::collections::BTreeMap;

use anyhow::bail;
use billingwatch_core::alert::{AlertChange, Suppressed};

use crate::output::Paint;
use crate::words::{self, grouped, minute, plain};

/// The word that asks for what was recognised as harmless.
const SUPPRESSED: &str = "suppressed";

/// The most steps of one alert that are kept; more are counted.
const STEPS_MAX: usize = 200;

/// What is asked for, and what of it has been seen.
pub(super) enum Story {
    /// One alert: its id, its steps, and how many more there were.
    Alert(String, Vec<AlertChange>, u64),
    /// By detector and reason: how often, and the first one. Reasons are fixed words, so this is
    /// small.
    Suppressed(BTreeMap<(String, String), (u64, Suppressed)>),
}

impl Story {
    /// A story of which nothing has been seen.
    pub(super) fn of(asked: &str) -> Self {
        if asked == SUPPRESSED {
            Self::Suppressed(BTreeMap::new())
        } else {
            Self::Alert(asked.to_owned(), Vec::new(), 0)
        }
    }

    /// Takes a step, when it is the alert's that was asked for.
    pub(super) fn take(&mut self, change: &AlertChange) {
        match self {
            Self::Alert(id, steps, more) if *id == change.alert.id => {
                if steps.len() < STEPS_MAX {
                    steps.push(change.clone());
                } else {
                    *more += 1;
                }
            }
            _ => {}
        }
    }

    /// Counts what was recognised as harmless, when that was asked for.
    pub(super) fn take_suppressed(&mut self, suppressed: &Suppressed) {
        if let Self::Suppressed(counts) = self {
            let key = (suppressed.detector.clone(), suppressed.reason.clone());
            counts
                .entry(key)
                .or_insert_with(|| (0, suppressed.clone()))
                .0 += 1;
        }
    }

    /// The story in words.
    ///
    /// # Errors
    /// When there was no alert of that id.
    pub(super) fn render(&self) -> anyhow::Result<String> {
        match self {
            Self::Alert(id, steps, _) if steps.is_empty() => bail!(
                "no alert {} fired in this recording; without --explain the table shows each id",
                plain(id)
            ),
            Self::Alert(id, steps, more) => {
                let mut lines = vec![plain(id)];
                lines.extend(steps.iter().map(step));
                if *more > 0 {
                    lines.push(format!("… and {} more steps", grouped(*more)));
                }
                Ok(lines.join("\n"))
            }
            Self::Suppressed(counts) if counts.is_empty() => {
                Ok("Nothing was recognised as harmless.".to_owned())
            }
            Self::Suppressed(counts) => {
                let told = counts
                    .iter()
                    .map(|((detector, reason), (count, first))| {
                        format!(
                            "{detector}  {reason}  {}\n    such as {}: {}",
                            grouped(*count),
                            minute(first.at),
                            plain(&first.message)
                        )
                    })
                    .collect::<Vec<_>>();
                Ok(told.join("\n"))
            }
        }
    }
}

/// A step: heading, sentence and numbers, then reasons, splits and ids.
fn step(change: &AlertChange) -> String {
    let evidence = &change.alert.evidence;
    let mut lines = vec![words::change(change, Paint::stdout())];
    let reasons = evidence.reasons.iter();
    lines.extend(reasons.map(|reason| format!("    because: {}", plain(reason))));
    for (name, value) in &evidence.details {
        lines.push(format!("    {}: {}", plain(name), plain(value)));
    }
    for (name, ids) in [
        ("objects", &evidence.object_ids),
        ("events", &evidence.event_ids),
    ] {
        if !ids.is_empty() {
            lines.push(format!("    {name}: {}", plain(&ids.join(" "))));
        }
    }
    lines.join("\n")
}
