//! What a replay found, for people: a table of incidents, then the numbers.

use std::time::Duration;

use billingwatch_core::alert::Alert;
use billingwatch_pipeline::replay::ReplayReport;
use comfy_table::{ContentArrangement, Table, presets};

use super::sink::Incidents;
use crate::words::{grouped, minute, plain};

/// The width where there is no terminal to ask.
const WIDTH_WITHOUT_TERMINAL: u16 = 140;

/// The table and the numbers.
pub(super) fn render(report: &ReplayReport, incidents: &Incidents, took: Duration) -> String {
    let mut text = String::new();
    if incidents.alerts.is_empty() {
        text.push_str("No alerts.\n");
    } else {
        text.push_str(&format!("{}\n", table(&incidents.alerts)));
    }
    if incidents.left_out > 0 {
        let more = incidents.left_out;
        text.push_str(&format!("… and {more} more; --alerts-out has them all.\n"));
    }
    text.push_str(&numbers(report, took));
    text
}

fn table(alerts: &[Alert]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(WIDTH_WITHOUT_TERMINAL);
    }
    table.set_header([
        "fired (UTC)",
        "severity",
        "detector",
        "ended",
        "count",
        "at stake",
        "what",
        "id",
    ]);
    for alert in alerts {
        let ended = alert.resolved_at.map_or_else(|| "open".to_owned(), minute);
        let stake = alert
            .money_at_stake()
            .map(|money| money.to_string())
            .unwrap_or_default();
        table.add_row([
            minute(alert.fired_at),
            alert.severity.to_string(),
            alert.detector.clone(),
            ended,
            alert.count.to_string(),
            stake,
            plain(&alert.message),
            alert.id.clone(),
        ]);
    }
    table
}

fn numbers(report: &ReplayReport, took: Duration) -> String {
    let from = report.first_at.map(minute).unwrap_or_default();
    let to = report.last_at.map(minute).unwrap_or_default();
    let fired: u64 = report.changes.values().map(|counts| counts.firing).sum();
    let by_detector: Vec<String> = report
        .changes
        .iter()
        .map(|(detector, counts)| format!("{detector} {}", counts.firing))
        .collect();
    let mut lines = vec![format!(
        "{} events in {:.2} s ({} events/s){}",
        grouped(report.events),
        took.as_secs_f64(),
        grouped(rate(report.events, took)),
        if from.is_empty() {
            String::new()
        } else {
            format!(", received {from} to {to} UTC")
        },
    )];
    lines.push(format!(
        "{fired} alerts fired{}{}, {} open at the end, {} findings recognised as harmless",
        if by_detector.is_empty() { "" } else { ": " },
        by_detector.join(", "),
        report.open_at_end,
        report.suppressed,
    ));
    let oddities = [
        (report.duplicates, "repeated"),
        (report.out_of_order, "out of order"),
        (report.refused, "refused"),
        (report.bad_lines, "lines could not be read"),
    ];
    let oddities: Vec<String> = oddities
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", grouped(*count)))
        .collect();
    if !oddities.is_empty() {
        lines.push(oddities.join(", "));
    }
    lines.join("\n")
}

fn rate(events: u64, took: Duration) -> u64 {
    let micros = took.as_micros().max(1);
    u64::try_from(u128::from(events) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_bear_a_clock_that_stands() {
        assert_eq!(rate(10, Duration::ZERO), 10_000_000);
        assert_eq!(rate(0, Duration::from_secs(1)), 0);
    }
}
