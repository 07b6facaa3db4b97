//! What a backtest found, as tables for people or one JSON object for programs.

use std::collections::BTreeSet;

use billingwatch_core::alert::AlertChange;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::replay::AlertLine;
use billingwatch_simulator::Label;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::run::{Found, Run};
use crate::words::{grouped, measure, minute, plain};

/// The width where there is no terminal to ask.
const WIDTH_WITHOUT_TERMINAL: u16 = 140;

/// The most alerts a table lists; `--json` has them all.
const ROWS_MAX: usize = 200;

/// What the runs are called where there are two.
const NAMES: [&str; 2] = ["As set", "With --compare"];

/// Tables: the alerts, then, with labels, how right they are.
pub(super) fn text(runs: &[Run], labels: Option<&[Label]>) -> String {
    let mut parts = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        if runs.len() > 1 {
            let name = if index == 0 {
                "As set"
            } else {
                "With --compare"
            };
            parts.push(format!("{name}:"));
        }
        parts.push(alerts(run, labels.is_some()));
    }
    if let Some(labels) = labels {
        parts.push(scores(runs));
        parts.push(precision(runs));
        for (run, name) in runs.iter().zip(NAMES) {
            let by = if runs.len() > 1 { name } else { "" };
            parts.extend(missed(run, labels, by));
        }
    }
    if let Some(run) = runs.first() {
        let report = &run.report;
        let mut line = format!("{} events", grouped(report.events));
        match run.since {
            Some(since) => line.push_str(&format!(
                " read, {:.1} days judged from {} on",
                run.days(),
                minute(since)
            )),
            None => line.push_str(&format!(" over {:.1} days", run.days())),
        }
        if report.bad_lines > 0 {
            let bad = grouped(report.bad_lines);
            line.push_str(&format!(", {bad} lines could not be read"));
        }
        if runs.len() > 1 {
            line.push_str("; a → b: as set → with --compare");
        }
        parts.push(line);
    }
    parts.join("\n")
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(WIDTH_WITHOUT_TERMINAL);
    }
    table.set_header(header);
    table
}

fn alerts(run: &Run, is_labelled: bool) -> String {
    if run.found.is_empty() {
        return "No alerts.".to_owned();
    }
    let mut table = table([
        "fired (UTC)",
        "severity",
        "detector",
        "what",
        "evidence",
        "incident",
    ]);
    for found in run.found.iter().take(ROWS_MAX) {
        let alert = &found.alert;
        let numbers: Vec<String> = alert
            .evidence
            .measures
            .iter()
            .map(|number| measure(number, alert.currency))
            .collect();
        table.add_row([
            minute(alert.fired_at),
            alert.severity.to_string(),
            alert.detector.clone(),
            plain(&alert.message),
            numbers.join("; "),
            whose(found, is_labelled),
        ]);
    }
    let mut text = table.to_string();
    if run.found.len() > ROWS_MAX {
        let more = run.found.len() - ROWS_MAX;
        text.push_str(&format!("\n… and {more} more; --json has them all."));
    }
    text
}

fn whose(found: &Found, is_labelled: bool) -> String {
    match (is_labelled, found.incidents.is_empty()) {
        (false, _) => String::new(),
        (true, true) => "FALSE".to_owned(),
        (true, false) => found.incidents.join(", "),
    }
}

/// One value where the runs agree, else `a → b`.
fn beside(values: impl Iterator<Item = String>) -> String {
    let mut values: Vec<String> = values.collect();
    values.dedup();
    values.join(" → ")
}

fn scores(runs: &[Run]) -> String {
    let mut table = table([
        "detector",
        "strength",
        "found",
        "recall",
        "alerts per incident",
        "median delay",
    ]);
    let keys: BTreeSet<_> = runs.iter().flat_map(|run| run.scores.keys()).collect();
    for key in keys {
        let each = || runs.iter().filter_map(|run| run.scores.get(key));
        table.add_row([
            key.0.clone(),
            key.1.to_string(),
            beside(each().map(|score| format!("{}/{}", score.found, score.incidents))),
            beside(each().map(|score| percent(score.found, score.incidents))),
            beside(each().map(|score| {
                ratio(score.alerts, score.found).map_or_else(dash, |n| format!("{n:.1}"))
            })),
            beside(each().map(|score| {
                let delay = score.median_delay_secs();
                delay.map_or_else(dash, |secs| Span::secs(secs).to_string())
            })),
        ]);
    }
    table.to_string()
}

fn precision(runs: &[Run]) -> String {
    let mut table = table(["detector", "alerts", "false", "precision", "false a day"]);
    let names: BTreeSet<_> = runs.iter().flat_map(|run| run.precision.keys()).collect();
    for name in names {
        let each = || {
            runs.iter()
                .map(|run| (run.precision.get(name).copied().unwrap_or_default(), run))
        };
        table.add_row([
            name.clone(),
            beside(each().map(|(n, _)| n.alerts.to_string())),
            beside(each().map(|(n, _)| n.false_alarms.to_string())),
            beside(each().map(|(n, _)| percent(n.alerts - n.false_alarms, n.alerts))),
            beside(each().map(|(n, run)| {
                let a_day = a_day(n.false_alarms, run);
                a_day.map_or_else(dash, |n| format!("{n:.3}"))
            })),
        ]);
    }
    table.to_string()
}

fn missed(run: &Run, labels: &[Label], by: &str) -> Vec<String> {
    labels
        .iter()
        .filter(|label| run.missed.contains(&label.incident))
        .map(|label| {
            format!(
                "{} {} ({} {}, {} UTC)",
                format!("Missed {}", by.to_lowercase()).trim_end(),
                label.incident,
                label.strength,
                label.kind,
                minute(Timestamp::from_secs(label.starts_at))
            )
        })
        .collect()
}

fn dash() -> String {
    "-".to_owned()
}

fn ratio(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| f64::from(part) / f64::from(whole))
}

fn percent(part: u32, whole: u32) -> String {
    ratio(part, whole).map_or_else(dash, |share| format!("{:.0} %", share * 100.0))
}

fn a_day(count: u32, run: &Run) -> Option<f64> {
    let days = run.days();
    (days > 0.0).then(|| f64::from(count) / days)
}

/// Everything, as one JSON object; ratios that have no denominator are null.
///
/// # Errors
/// Never for alerts that an engine made; kept as a value rather than a panic.
pub(super) fn json(runs: &[Run], is_labelled: bool) -> anyhow::Result<String> {
    let runs: Vec<Value> = runs
        .iter()
        .map(|run| one(run, is_labelled))
        .collect::<Result<_, _>>()?;
    Ok(serde_json::to_string(&json!({ "runs": runs }))?)
}

fn one(run: &Run, is_labelled: bool) -> Result<Value, serde_json::Error> {
    let mut alerts = Vec::with_capacity(run.found.len());
    for found in &run.found {
        let change = AlertChange {
            at: found.alert.fired_at,
            alert: found.alert.clone(),
        };
        let mut alert = serde_json::to_value(AlertLine::of(&change))?;
        if is_labelled {
            alert["incidents"] = json!(found.incidents);
        }
        alerts.push(alert);
    }
    let mut value = json!({
        "events": run.report.events,
        "bad_lines": run.report.bad_lines,
        "days": run.days(),
        "alerts": alerts,
    });
    if is_labelled {
        let scores = run.scores.iter().map(|((detector, strength), score)| {
            json!({
                "detector": detector,
                "strength": strength,
                "incidents": score.incidents,
                "found": score.found,
                "recall": ratio(score.found, score.incidents),
                "alerts_per_incident": ratio(score.alerts, score.found),
                "median_delay_secs": score.median_delay_secs(),
            })
        });
        value["scores"] = scores.collect();
        let precision = run.precision.iter().map(|(detector, n)| {
            json!({
                "detector": detector,
                "alerts": n.alerts,
                "false_alarms": n.false_alarms,
                "precision": ratio(n.alerts - n.false_alarms, n.alerts),
                "false_alarms_per_day": a_day(n.false_alarms, run),
            })
        });
        value["detectors"] = precision.collect();
        value["missed"] = json!(run.missed);
    }
    Ok(value)
}
