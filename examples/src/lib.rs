//! Programs that embed `billingwatch-core`; each runs as it stands, and says what it does.
//!
//! - `embed`: a webhook handler of one's own, from signed bytes to alerts, in one process.
//! - `custom_detector`: a detector in one file, with its settings and its test.
//! - `detect_from_file`: events in a file, a line each; alerts out.
//!
//! ```text
//! cargo run -p billingwatch-examples --example embed
//! ```
//!
//! What they share is how they print an alert, [`tell`]. None of them needs a server, a database
//! or a key.

use billingwatch_core::alert::{AlertChange, AlertStatus, Unit};
use billingwatch_core::money::{Currency, Money};
use billingwatch_core::time::Span;

/// Event ids shown of an alert; it keeps up to fifty.
const IDS_SHOWN: usize = 3;

/// An alert change as a person reads it on a terminal: a heading, the sentence, the arithmetic,
/// and where to look.
#[must_use]
pub fn tell(change: &AlertChange) -> String {
    let alert = &change.alert;
    let status = alert.status.as_str().to_uppercase();
    let severity = alert.severity.as_str();
    let mut told = format!(
        "{}  {status:<9}  {severity:<8}  {}: {}\n",
        change.at, alert.detector, alert.title
    );
    let sentence = match (&alert.status, &alert.resolution) {
        (AlertStatus::Resolved, Some(reason)) => reason,
        _ => &alert.message,
    };
    told += &format!("    {sentence}\n");
    if !alert.status.is_open() {
        return told;
    }
    for measure in &alert.evidence.measures {
        let show = |number| number_in(measure.unit, alert.currency, number);
        told += &format!("    {}: {}", measure.name, show(measure.observed));
        if let Some(expected) = measure.expected {
            told += &format!(", usually {}", show(expected));
        }
        if let Some(threshold) = measure.threshold {
            told += &format!(", the line is at {}", show(threshold));
        }
        told += "\n";
    }
    let ids = &alert.evidence.event_ids;
    if !ids.is_empty() {
        let shown = ids.iter().take(IDS_SHOWN).map(String::as_str);
        told += &format!("    look at: {}", shown.collect::<Vec<_>>().join(", "));
        if ids.len() > IDS_SHOWN {
            told += &format!(" and {} more", ids.len() - IDS_SHOWN);
        }
        told += "\n";
    }
    told
}

/// A measured number with its unit: evidence is integers, so that it reads the same everywhere.
fn number_in(unit: Unit, currency: Option<Currency>, number: i64) -> String {
    match (unit, currency) {
        (Unit::BasisPoints, _) => format!("{}.{:02} %", number / 100, number % 100),
        (Unit::MinorUnits, Some(currency)) => Money::new(number, currency).to_string(),
        (Unit::Seconds, _) => Span::secs(number).to_string(),
        (Unit::Count | Unit::MinorUnits, _) => number.to_string(),
    }
}
