//! Subscriptions' invoices below zero that follow each other: one fault, one alert that lists them.
//!
//! A coupon, a price or a job that is wrong makes every invoice wrong that it touches, and at a merchant with few renewals these are
//! hours apart. Who was told of the first wants the others under it, not beside it. What people make by hand is each its
//! own matter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, SUBJECTS_MAX, Unit};
use crate::event::Event;
use crate::money::{Currency, Money};
use crate::time::{Span, Timestamp};

use super::below_zero;

/// An invoice below zero so soon after another belongs to it: jobs that bill run once a day.
const JOIN: Span = Span::days(1);

/// A run spans no more than this: what goes wrong for ever is told anew.
const SPAN_MAX: Span = Span::days(7);

/// So many are told one by one, as they come.
const TELL_EACH: u64 = 5;

/// How long later ones wait before they are told, unless there are twice as many.
const TELL_AFTER: Span = Span::minutes(10);

/// How many are named in the message.
const NAMED: usize = 5;

/// An invoice and what it takes off.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct BelowZero {
    id: String,
    event_id: String,
    taken: i64,
    currency: Option<Currency>,
}

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Run {
    from: Timestamp,
    to: Timestamp,
    told_at: Timestamp,
    /// All that ever joined, and those told.
    joined: u64,
    told: u64,
    /// Those open, in order of joining; the newest [`SUBJECTS_MAX`].
    open: Vec<BelowZero>,
    /// How many of the last of them are not told yet.
    news: usize,
}

/// The key of a run: the UTC day of the invoice that was told first, so that another order of arrival makes no other key.
fn key_of(at: Timestamp) -> String {
    let day = at.to_utc();
    let day = day.map_or_else(String::new, |at| at.format("%Y-%m-%d").to_string());
    format!("below_zero:{day}")
}

/// The runs of a scope that are open, by the key of their alert.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Runs(BTreeMap<String, Run>);

/// What became of a run one of whose invoices was voided.
pub(super) enum Left {
    /// None is open any more; its key.
    Nothing(String),
    /// What there is to say of the others.
    Others(Box<Finding>),
}

impl Runs {
    /// An invoice is below zero. Says what is to be told: of it alone; of all where it follows others; or nothing yet,
    /// but later, in [`Runs::news`].
    pub(super) fn join(
        &mut self,
        mut single: Finding,
        event: &Event,
        now: Timestamp,
    ) -> Option<Finding> {
        let at = event.created;
        let one = BelowZero {
            id: single.key.clone(),
            event_id: event.id.to_string(),
            taken: single.amount_at_stake.unwrap_or(0),
            currency: single.currency,
        };
        let day = key_of(at);
        let is_near = |run: &Run| {
            at.since(run.to) <= JOIN
                && run.from.since(at) <= JOIN
                && run.to.max(at).since(run.from.min(at)) <= SPAN_MAX
        };
        let is_its = |key: &str, run: &Run| *key == day || is_near(run);
        let Some((key, run)) = self.0.iter_mut().find(|(key, run)| is_its(key, run)) else {
            let run = Run {
                from: at,
                to: at,
                told_at: now,
                joined: 1,
                told: 1,
                open: vec![one],
                news: 0,
            };
            self.0.insert(day.clone(), run);
            single.key = day;
            return Some(single);
        };
        if run.open.iter().any(|known| known.id == one.id) {
            return None;
        }
        if run.open.len() >= SUBJECTS_MAX {
            run.open.remove(0);
        }
        run.news = (run.news + 1).min(SUBJECTS_MAX);
        run.open.push(one);
        run.joined += 1;
        (run.from, run.to) = (run.from.min(at), run.to.max(at));
        let is_due = run.joined <= TELL_EACH
            || run.joined >= 2 * run.told
            || now.since(run.told_at) >= TELL_AFTER;
        is_due.then(|| {
            let mut whole = run.tell(key, now);
            whole.subjects.append(&mut single.subjects);
            whole.evidence.reasons.append(&mut single.evidence.reasons);
            whole
        })
    }

    /// An invoice was voided.
    pub(super) fn leave(&mut self, id: &str) -> Option<Left> {
        let place_in = |run: &Run| run.open.iter().position(|one| one.id == id);
        let (key, run, place) = self.0.iter_mut().find_map(|(key, run)| {
            let place = place_in(run)?;
            Some((key, run, place))
        })?;
        run.news -= usize::from(place >= run.open.len() - run.news);
        run.open.remove(place);
        if run.open.is_empty() {
            let key = key.clone();
            self.0.remove(&key);
            return Some(Left::Nothing(key));
        }
        Some(Left::Others(Box::new(run.describe(key))))
    }

    /// The alert with this key is over.
    pub(super) fn end(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Runs whose growth has waited long enough to be told.
    pub(super) fn news(&mut self, now: Timestamp) -> Vec<Finding> {
        let is_due = |run: &Run| run.news > 0 && now.since(run.told_at) >= TELL_AFTER;
        let due = self.0.iter_mut().filter(|(_, run)| is_due(run));
        due.map(|(key, run)| run.tell(key, now)).collect()
    }
}

impl Run {
    /// What is said when there are more.
    fn tell(&mut self, key: &str, now: Timestamp) -> Finding {
        let mut finding = self.describe(key);
        finding.subject = self.open.last().map(|newest| newest.id.clone());
        finding.occurrences = self.joined - self.told;
        finding.is_news = true;
        (self.told, self.told_at, self.news) = (self.joined, now, 0);
        finding
    }

    /// All that are open, in words; nothing of it is news.
    fn describe(&self, key: &str) -> Finding {
        let mut finding = Finding::new(key, below_zero::SEVERITY, below_zero::TITLE);
        let mut sums: BTreeMap<Option<Currency>, i64> = BTreeMap::new();
        for one in &self.open {
            let sum = sums.entry(one.currency).or_default();
            *sum = sum.saturating_add(one.taken);
        }
        let shown = sums.iter().map(|(currency, sum)| {
            currency.map_or_else(
                || sum.to_string(),
                |currency| Money::new(*sum, currency).to_string(),
            )
        });
        let shown: Vec<String> = shown.collect();
        if let (1, Some((currency, sum))) = (sums.len(), sums.first_key_value()) {
            finding.currency = *currency;
            finding.amount_at_stake = Some(*sum);
        }
        let told = if self.news > 0 {
            self.open.len() - self.news
        } else {
            0
        };
        let named = &self.open[told..];
        let names: Vec<&str> = named.iter().map(|one| &*one.id).take(NAMED).collect();
        let more = named.len() - names.len();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let open = u64::try_from(self.open.len()).unwrap_or(u64::MAX);
        let of_them = if open == self.joined {
            open.to_string()
        } else {
            format!("{open} of {}", self.joined)
        };
        finding.message = format!(
            "{of_them} invoices were finalised with totals below zero since {}, {} in all: {}{more}",
            self.from,
            shown.join(" and "),
            names.join(", "),
        );
        finding.occurrences = 0;
        finding.subjects = named.iter().map(|one| one.id.clone()).collect();
        finding.evidence.object_ids.clone_from(&finding.subjects);
        let events = named.iter().map(|one| one.event_id.clone());
        finding.evidence.event_ids = events.collect();
        let open = i64::try_from(open).unwrap_or(i64::MAX);
        finding.evidence.measures = vec![Measure::new("invoices", open, Unit::Count).expected(0)];
        let reason = "they follow each other: look for what they have in common, such as a price, a coupon or a job that bills";
        finding.evidence.reasons.push(reason.to_owned());
        finding
    }
}
