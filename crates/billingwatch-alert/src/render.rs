//! A message as the words people read, the same for every medium.
//!
//! [`View`] holds bounded single lines, numbers already written out and links already built.
//! Escaping is left to the medium: HTML templates do it by themselves, chat channels by their own
//! rules. The text of e-mails is in `templates/`.

use billingwatch_core::alert::{Alert, AlertStatus, Measure, Unit};
use billingwatch_core::money::Money;
use billingwatch_core::time::Span;

use crate::channel::Message;
use crate::dashboard;
use crate::text::{label, line, words};

/// The longest heading shown.
const TITLE_LEN_MAX: usize = 150;
/// The longest sentence shown.
const SENTENCE_LEN_MAX: usize = 1000;
/// The longest name of a thing, such as a source or a label.
const NAME_LEN_MAX: usize = 100;
/// The most objects, and the most events, named in a message; the rest are counted.
const IDS_MAX: usize = 10;
/// The most numbers, labels and reasons in a message.
const ROWS_MAX: usize = 12;

/// A message ready to be laid out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    /// `critical`, `critical, escalated` or `resolved`; marked when the money is not real.
    pub(crate) tag: String,
    /// The heading with the figure that tells most.
    pub(crate) headline: String,
    pub(crate) title: String,
    pub(crate) message: String,
    pub(crate) status: &'static str,
    pub(crate) severity: &'static str,
    pub(crate) detector: String,
    pub(crate) mode: &'static str,
    pub(crate) source: String,
    pub(crate) account: Option<String>,
    pub(crate) money: Option<String>,
    pub(crate) count: u64,
    pub(crate) fired_at: String,
    pub(crate) last_seen_at: String,
    pub(crate) resolved: Option<Resolved>,
    pub(crate) measures: Vec<Row>,
    pub(crate) reasons: Vec<String>,
    pub(crate) details: Vec<(String, String)>,
    pub(crate) objects: Ids,
    pub(crate) events: Ids,
    /// The page to open first.
    pub(crate) link: Option<String>,
    pub(crate) alert_id: String,
    pub(crate) is_test: bool,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resolved {
    pub(crate) at: String,
    pub(crate) lasted: String,
    pub(crate) because: Option<String>,
}

/// One number of the arithmetic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) observed: String,
    /// `–` when unknown.
    pub(crate) expected: String,
    /// `–` when there is none.
    pub(crate) threshold: String,
    /// What is known of the two in words: `expected 4 %, threshold 15 %`, or empty.
    pub(crate) bounds: String,
}

/// Some ids, with their pages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ids {
    pub(crate) shown: Vec<(String, Option<String>)>,
    /// How many more there are.
    pub(crate) more: usize,
}

impl View {
    pub(crate) fn of(message: &Message) -> Self {
        let alert = &message.change.alert;
        let measures: Vec<&Measure> = alert.evidence.measures.iter().take(ROWS_MAX).collect();
        let evidence = &alert.evidence;
        Self {
            tag: tag(alert),
            headline: headline(alert),
            title: title(alert),
            message: or(line(&alert.message, SENTENCE_LEN_MAX), || title(alert)),
            status: alert.status.as_str(),
            severity: alert.severity.as_str(),
            detector: line(&alert.detector, NAME_LEN_MAX),
            mode: if alert.scope.livemode { "live" } else { "test" },
            source: line(&alert.scope.source, NAME_LEN_MAX),
            account: alert
                .scope
                .account
                .as_deref()
                .map(|a| line(a, NAME_LEN_MAX)),
            money: alert.money_at_stake().map(|money| money.to_string()),
            count: alert.count,
            fired_at: alert.fired_at.to_string(),
            last_seen_at: alert.last_seen_at.to_string(),
            resolved: resolved(message),
            measures: measures.iter().map(|m| Row::of(m, alert)).collect(),
            reasons: evidence
                .reasons
                .iter()
                .take(ROWS_MAX)
                .map(|reason| line(reason, SENTENCE_LEN_MAX))
                .collect(),
            details: evidence
                .details
                .iter()
                .take(ROWS_MAX)
                .map(|(name, value)| {
                    (
                        line(&words(name).replace('.', ": "), NAME_LEN_MAX),
                        line(value, NAME_LEN_MAX),
                    )
                })
                .collect(),
            objects: Ids::of(&objects(alert), alert),
            events: Ids::of(&evidence.event_ids, alert),
            link: dashboard::alert_url(alert),
            alert_id: line(&alert.id, NAME_LEN_MAX),
            is_test: message.is_test(),
        }
    }

    /// All but sentence and numbers, for media without tables: a heading and its lines each.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let details = self.details.iter();
        let details: Vec<String> = details
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let facts = [
            ("Why", self.reasons.join("\n")),
            ("Details", details.join("\n")),
            ("Objects", self.objects.listed()),
            ("Events", self.events.listed()),
        ];
        facts
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .collect()
    }

    /// Tag and headline: an e-mail's subject, a chat message's first line.
    pub(crate) fn subject(&self) -> String {
        format!("[{}] {}", self.tag, self.headline)
    }

    /// What, whose and since when, for a message's last line.
    pub(crate) fn footer(&self) -> String {
        let account = match &self.account {
            Some(account) => format!(" · account {account}"),
            None => String::new(),
        };
        format!(
            "{} · {} · {} mode · source {}{account} · since {}",
            self.detector, self.alert_id, self.mode, self.source, self.fired_at
        )
    }
}

impl Row {
    fn of(measure: &Measure, alert: &Alert) -> Self {
        let shown = |value: Option<i64>| value.map(|value| amount(value, measure.unit, alert));
        let (expected, threshold) = (shown(measure.expected), shown(measure.threshold));
        let bounds = [("expected", &expected), ("threshold", &threshold)];
        let bounds: Vec<String> = bounds
            .iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)))
            .collect();
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        Self {
            label: or(line(&label(&measure.name), NAME_LEN_MAX), || {
                "Value".to_owned()
            }),
            observed: amount(measure.observed, measure.unit, alert),
            expected: or_dash(expected),
            threshold: or_dash(threshold),
            bounds: bounds.join(", "),
        }
    }
}

impl Ids {
    fn of(ids: &[String], alert: &Alert) -> Self {
        Self {
            shown: ids
                .iter()
                .take(IDS_MAX)
                .map(|id| {
                    (
                        line(id, NAME_LEN_MAX),
                        dashboard::object_url(&alert.scope, id),
                    )
                })
                .collect(),
            more: ids.len().saturating_sub(IDS_MAX),
        }
    }
}

impl Ids {
    /// `ch_1, ch_2 and 3 more`.
    fn listed(&self) -> String {
        let ids: Vec<&str> = self.shown.iter().map(|(id, _)| id.as_str()).collect();
        match self.more {
            0 => ids.join(", "),
            more => format!("{} and {more} more", ids.join(", ")),
        }
    }
}

/// Every object once, what it is chiefly about first.
fn objects(alert: &Alert) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let ids = alert
        .subject
        .iter()
        .chain(&alert.subjects)
        .chain(&alert.evidence.object_ids);
    for id in ids {
        if !all.contains(id) {
            all.push(id.clone());
        }
    }
    all
}

fn tag(alert: &Alert) -> String {
    let severity = alert.severity.as_str();
    let mut tag = match alert.status {
        AlertStatus::Firing => severity.to_owned(),
        AlertStatus::Escalated => format!("{severity}, escalated"),
        AlertStatus::Resolved => "resolved".to_owned(),
    };
    if !alert.scope.livemode {
        tag.push_str(", test mode");
    }
    tag
}

/// The heading; the detector's name where it gave none.
fn title(alert: &Alert) -> String {
    or(line(&alert.title, TITLE_LEN_MAX), || {
        or(line(&label(&alert.detector), NAME_LEN_MAX), || {
            "Alert".to_owned()
        })
    })
}

/// A stand-in for what a detector left empty: chat services refuse empty texts.
fn or(text: String, stand_in: impl FnOnce() -> String) -> String {
    if text.is_empty() { stand_in() } else { text }
}

/// `Charge failures: 42 % failure rate (12,300.00 USD)`.
fn headline(alert: &Alert) -> String {
    let mut headline = title(alert);
    let money = alert.money_at_stake().map(|money| money.to_string());
    if let Some(first) = alert.evidence.measures.first() {
        let observed = amount(first.observed, first.unit, alert);
        let name = line(&words(&first.name), NAME_LEN_MAX);
        headline = format!("{headline}: {observed} {name}");
    }
    match money {
        Some(money) if !headline.contains(&money) => format!("{headline} ({money})"),
        _ => headline,
    }
}

fn resolved(message: &Message) -> Option<Resolved> {
    let alert = &message.change.alert;
    if alert.status.is_open() {
        return None;
    }
    let at = alert.resolved_at.unwrap_or(message.change.at);
    Some(Resolved {
        at: at.to_string(),
        lasted: at.since(alert.fired_at).max(Span::ZERO).to_string(),
        because: alert
            .resolution
            .as_deref()
            .map(|because| line(because, SENTENCE_LEN_MAX)),
    })
}

/// A number with its unit: `1,234`, `42.35 %`, `12,300.00 USD`, `15m`.
pub(crate) fn amount(value: i64, unit: Unit, alert: &Alert) -> String {
    match (unit, alert.currency) {
        (Unit::Count, _) | (Unit::MinorUnits, None) => grouped(value),
        (Unit::BasisPoints, _) => percent(value),
        (Unit::MinorUnits, Some(currency)) => Money::new(value, currency).to_string(),
        (Unit::Seconds, _) => Span::secs(value).to_string(),
    }
}

/// Hundredths of a percent as a percentage, without idle zeros.
fn percent(bps: i64) -> String {
    let sign = if bps < 0 { "-" } else { "" };
    let (whole, hundredths) = (bps.unsigned_abs() / 100, bps.unsigned_abs() % 100);
    match hundredths {
        0 => format!("{sign}{whole} %"),
        n if n % 10 == 0 => format!("{sign}{whole}.{} %", n / 10),
        n => format!("{sign}{whole}.{n:02} %"),
    }
}

/// Digits in groups of three.
fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut shown = String::from(if value < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn numbers_carry_their_units() {
        let alert = testing::alert();
        let shown = |value, unit| amount(value, unit, &alert);
        assert_eq!(shown(1_234_567, Unit::Count), "1,234,567");
        assert_eq!(shown(-999, Unit::Count), "-999");
        assert_eq!(shown(4200, Unit::BasisPoints), "42 %");
        assert_eq!(shown(4235, Unit::BasisPoints), "42.35 %");
        assert_eq!(shown(1550, Unit::BasisPoints), "15.5 %");
        assert_eq!(shown(-5, Unit::BasisPoints), "-0.05 %");
        assert_eq!(shown(1_230_000, Unit::MinorUnits), "12,300.00 USD");
        assert_eq!(shown(900, Unit::Seconds), "15m");
        for unit in [
            Unit::Count,
            Unit::BasisPoints,
            Unit::MinorUnits,
            Unit::Seconds,
        ] {
            assert!(!shown(i64::MIN, unit).is_empty());
            assert!(!shown(i64::MAX, unit).is_empty());
        }
    }

    #[test]
    fn the_subject_says_how_bad_what_and_how_much() {
        let subject = |change| View::of(&testing::message(change)).subject();
        assert_eq!(
            subject(testing::firing()),
            "[critical] Charge failures: 42 % failure rate (12,300.00 USD)"
        );
        assert_eq!(
            subject(testing::escalated()),
            "[critical, escalated] Charge failures: 42 % failure rate (12,300.00 USD)"
        );
        assert_eq!(
            subject(testing::resolved()),
            "[resolved] Charge failures: 42 % failure rate (12,300.00 USD)"
        );
    }

    #[test]
    fn what_a_detector_left_empty_is_filled() {
        let mut change = testing::firing();
        change.alert.title = "\u{200b}\r\n".to_owned();
        change.alert.message = String::new();
        change.alert.evidence.measures[0].name = String::new();
        let view = View::of(&testing::message(change));
        assert_eq!(view.title, "Charge failure spike");
        assert_eq!(view.message, "Charge failure spike");
        assert_eq!(view.measures[0].label, "Value");
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let mut change = testing::firing();
        change.alert.evidence.event_ids = (0..50).map(|n| format!("evt_{n}")).collect();
        let view = View::of(&testing::message(change));
        assert_eq!((view.events.shown.len(), view.events.more), (IDS_MAX, 40));
    }
}
