//! Alert changes in words for a terminal: what happened, what was expected and what was seen.

use billingwatch_core::alert::{AlertChange, AlertStatus, Measure, Severity, Unit};
use billingwatch_core::money::{Currency, Money};
use billingwatch_core::time::{Span, Timestamp};

use crate::output::{Paint, Style};

/// A change as a few lines: heading, sentence, one line for each number.
pub(crate) fn change(change: &AlertChange, paint: Paint) -> String {
    let alert = &change.alert;
    let status = paint.paint(
        status_style(alert.status),
        &format!("{:<9}", alert.status.as_str()),
    );
    let severity = paint.paint(
        severity_style(alert.severity),
        &format!("{:<8}", alert.severity.as_str()),
    );
    let name = paint.paint(Style::Bold, &alert.detector);
    let at = paint.paint(Style::Dim, &minute(change.at));
    let mut lines = vec![format!(
        "{at}  {status} {severity} {name}: {}",
        plain(&alert.title)
    )];
    let sentence = match (&alert.resolution, alert.status) {
        (Some(resolution), AlertStatus::Resolved) => resolution,
        _ => &alert.message,
    };
    lines.push(format!("    {}", plain(sentence)));
    if alert.status.is_open() {
        let numbers = alert.evidence.measures.iter();
        lines.extend(
            numbers.map(|measure| format!("    {}", self::measure(measure, alert.currency))),
        );
    }
    lines.join("\n")
}

/// `failure rate: seen 42.0 %, expected 3.1 %, line 15.0 %`.
pub(crate) fn measure(measure: &Measure, currency: Option<Currency>) -> String {
    let show = |value: i64| amount(value, measure.unit, currency);
    let mut text = format!(
        "{}: seen {}",
        measure.name.replace('_', " "),
        show(measure.observed)
    );
    if let Some(expected) = measure.expected {
        text.push_str(&format!(", expected {}", show(expected)));
    }
    if let Some(threshold) = measure.threshold {
        text.push_str(&format!(", line {}", show(threshold)));
    }
    text
}

fn amount(value: i64, unit: Unit, currency: Option<Currency>) -> String {
    match (unit, currency) {
        (Unit::MinorUnits, Some(currency)) => Money::new(value, currency).to_string(),
        (Unit::BasisPoints, _) => {
            let sign = if value < 0 { "-" } else { "" };
            let bps = value.unsigned_abs();
            format!("{sign}{}.{:02} %", bps / 100, bps % 100)
        }
        (Unit::Seconds, _) if value == 0 => "0s".to_owned(),
        (Unit::Seconds, _) => Span::secs(value).to_string(),
        (Unit::Count | Unit::MinorUnits, _) => value.to_string(),
    }
}

/// `2026-03-02 14:05`, in UTC.
pub(crate) fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..16)
        .map_or_else(|| text.clone(), |minute| minute.replace('T', " "))
}

/// One line without control characters: titles quote what strangers typed into Stripe, and a
/// terminal obeys what it is sent.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn status_style(status: AlertStatus) -> Style {
    match status {
        AlertStatus::Firing | AlertStatus::Escalated => Style::Red,
        AlertStatus::Resolved => Style::Green,
    }
}

fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Critical | Severity::High => Style::Red,
        Severity::Medium => Style::Yellow,
        Severity::Low => Style::Dim,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_in_their_units() {
        let rate = Measure::new("failure_rate", 4205, Unit::BasisPoints)
            .expected(310)
            .threshold(1500);
        let told = [
            measure(&rate, None),
            measure(
                &Measure::new("revenue", 12_345, Unit::MinorUnits),
                Some(Currency::USD),
            ),
            measure(
                &Measure::new("lag", 3_600, Unit::Seconds).threshold(600),
                None,
            ),
            measure(&Measure::new("attempts", -3, Unit::Count), None),
        ];
        assert_eq!(
            told,
            [
                "failure rate: seen 42.05 %, expected 3.10 %, line 15.00 %",
                "revenue: seen 123.45 USD",
                "lag: seen 1h, line 10m",
                "attempts: seen -3",
            ]
        );
    }

    #[test]
    fn a_terminal_is_not_sent_what_strangers_typed() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a [2Jb c");
        assert_eq!(
            minute(Timestamp::from_secs(1_709_510_700)),
            "2024-03-04 00:05"
        );
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            ["0", "999", "1,000", "1,234,567"],
            [0, 999, 1000, 1_234_567]
                .map(grouped)
                .each_ref()
                .map(String::as_str)
        );
    }
}
