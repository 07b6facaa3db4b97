//! Many customers charged twice at once: one fault, one alert that lists them.
//!
//! Two customers who are charged twice within an hour may be two accidents. Three are a fault of
//! the checkout or of a job that ran twice: a merchant has a handful of duplicates a month, and
//! three within an hour by chance less than once in many years. From the third on they are told as
//! one; the two that were told by themselves end as part of it. It is the hour of the charges that
//! counts, not of their arrival.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, SUBJECTS_MAX, Severity, Unit};
use crate::money::{Currency, Money};
use crate::time::{Span, Timestamp};

use super::group::Group;

/// So many customers charged twice, each within [`JOIN`] of the next, are one incident.
const CROWD: usize = 3;

/// See [`CROWD`].
const JOIN: Span = Span::hours(1);

/// A crowd spans no more than this: what goes wrong for ever is told anew.
const SPAN_MAX: Span = Span::days(1);

/// How long growth waits before it is told, unless the crowd has doubled.
const TELL_AFTER: Span = Span::minutes(10);

/// How many are named in the message.
const NAMED: usize = 5;

/// Duplicates that are told as one.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Crowd {
    /// When the first and the newest were charged first.
    from: Timestamp,
    to: Timestamp,
    told_at: Timestamp,
    /// All that ever joined, and those told.
    joined: usize,
    told: usize,
    /// Names of those open, in order of joining, and of those joined since it was last told.
    open: Vec<String>,
    news: BTreeSet<String>,
}

/// The key of a crowd: the UTC day of its first charge.
fn key_of(from: Timestamp) -> String {
    let day = from.to_utc();
    let day = day.map_or_else(String::new, |at| at.format("%Y-%m-%d").to_string());
    format!("many:{day}")
}

/// The crowds of a scope that are open.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Crowds {
    crowds: BTreeMap<String, Crowd>,
    crowd_of: BTreeMap<String, String>,
}

/// What became of a duplicate that is told, or ended.
pub(super) enum Told {
    /// By itself.
    Single,
    /// With others: these alerts of single ones end, and this is said, if anything.
    Crowd {
        key: String,
        merged: Vec<String>,
        finding: Option<Box<Finding>>,
    },
    /// It was the last of a crowd of so many.
    Over(String, usize),
}

impl Crowds {
    /// A duplicate is there that was not, or has grown. `groups` holds it.
    pub(super) fn join(
        &mut self,
        name: &str,
        groups: &BTreeMap<String, Group>,
        now: Timestamp,
    ) -> Told {
        if let Some(key) = self.crowd_of.get(name).cloned() {
            let finding = self.describe(&key, groups, now);
            return Told::Crowd {
                key,
                merged: Vec::new(),
                finding,
            };
        }
        let Some(at) = groups.get(name).map(|group| group.at) else {
            return Told::Single;
        };
        let is_near = |crowd: &Crowd| {
            at.since(crowd.to) <= JOIN
                && crowd.from.since(at) <= JOIN
                && crowd.to.max(at).since(crowd.from.min(at)) <= SPAN_MAX
        };
        let open = self.crowds.iter().find(|(_, crowd)| is_near(crowd));
        let mut merged = vec![name.to_owned()];
        let key = if let Some((key, _)) = open {
            key.clone()
        } else {
            let singles = groups.iter().filter(|(other, group)| {
                let apart = group.at.since(at).max(at.since(group.at));
                // Nearly all were at other times, and names are long to look up.
                apart <= JOIN && *other != name && !self.crowd_of.contains_key(*other)
            });
            merged.extend(singles.map(|(other, _)| other.clone()));
            let groups = || merged.iter().filter_map(|name| groups.get(name));
            let payers: BTreeSet<&str> = groups().map(|group| &*group.payer_id).collect();
            if payers.len() < CROWD {
                return Told::Single;
            }
            let from = groups().map(|group| group.at).min().unwrap_or(at);
            let key = key_of(from);
            let crowd = Crowd {
                from,
                to: from,
                told_at: now,
                joined: 0,
                told: 0,
                open: Vec::new(),
                news: BTreeSet::new(),
            };
            self.crowds.entry(key.clone()).or_insert(crowd);
            key
        };
        if let Some(crowd) = self.crowds.get_mut(&key) {
            for joined in &merged {
                let at = groups.get(joined).map_or(at, |group| group.at);
                (crowd.from, crowd.to) = (crowd.from.min(at), crowd.to.max(at));
                crowd.joined += 1;
                crowd.open.push(joined.clone());
                crowd.news.insert(joined.clone());
                self.crowd_of.insert(joined.clone(), key.clone());
            }
        }
        let finding = self.describe(&key, groups, now);
        Told::Crowd {
            key,
            merged,
            finding,
        }
    }

    /// A duplicate ended. `groups` no longer holds it.
    pub(super) fn leave(
        &mut self,
        name: &str,
        groups: &BTreeMap<String, Group>,
        now: Timestamp,
    ) -> Told {
        let Some(key) = self.crowd_of.remove(name) else {
            return Told::Single;
        };
        let Some(crowd) = self.crowds.get_mut(&key) else {
            return Told::Single;
        };
        crowd.open.retain(|open| open != name);
        crowd.news.remove(name);
        if crowd.open.is_empty() {
            let joined = crowd.joined;
            self.crowds.remove(&key);
            return Told::Over(key, joined);
        }
        let finding = self.describe(&key, groups, now);
        Told::Crowd {
            key,
            merged: Vec::new(),
            finding,
        }
    }

    /// Whether none is open.
    pub(super) fn is_empty(&self) -> bool {
        self.crowds.is_empty()
    }

    /// Crowds whose growth has waited long enough to be told.
    pub(super) fn take_news(
        &mut self,
        groups: &BTreeMap<String, Group>,
        now: Timestamp,
    ) -> Vec<Finding> {
        let is_due =
            |crowd: &Crowd| crowd.told < crowd.joined && now.since(crowd.told_at) >= TELL_AFTER;
        let due = self.crowds.iter().filter(|(_, crowd)| is_due(crowd));
        let due: Vec<String> = due.map(|(key, _)| key.clone()).collect();
        let told = due.iter().filter_map(|key| self.describe(key, groups, now));
        told.map(|finding| *finding).collect()
    }

    /// Puts a crowd into words; news are told when it has doubled or has waited.
    fn describe(
        &mut self,
        key: &str,
        groups: &BTreeMap<String, Group>,
        now: Timestamp,
    ) -> Option<Box<Finding>> {
        let crowd = self.crowds.get_mut(key)?;
        let is_first = crowd.told == 0;
        let is_news = crowd.joined > crowd.told
            && (crowd.joined >= 2 * crowd.told || now.since(crowd.told_at) >= TELL_AFTER);
        let title = "Many customers were charged more than once";
        let mut finding = Finding::new(key, Severity::Critical, title);
        let mut at_stake: BTreeMap<Currency, i64> = BTreeMap::new();
        let mut charges: i64 = 0;
        for group in crowd.open.iter().filter_map(|name| groups.get(name)) {
            let sum = at_stake.entry(group.currency).or_default();
            *sum = sum.saturating_add(group.surplus);
            charges += i64::try_from(group.members.len()).unwrap_or(i64::MAX);
        }
        if let (1, Some((currency, sum))) = (at_stake.len(), at_stake.first_key_value()) {
            finding.currency = Some(*currency);
            finding.amount_at_stake = Some(*sum);
        }
        let money: Vec<String> = at_stake
            .iter()
            .map(|(currency, sum)| Money::new(*sum, *currency).to_string())
            .collect();
        let named: Vec<&Group> = if crowd.news.is_empty() {
            crowd
                .open
                .iter()
                .filter_map(|name| groups.get(name))
                .collect()
        } else {
            crowd
                .news
                .iter()
                .filter_map(|name| groups.get(name))
                .collect()
        };
        let of_them = if crowd.open.len() == crowd.joined {
            crowd.joined.to_string()
        } else {
            format!("{} of {}", crowd.open.len(), crowd.joined)
        };
        let payers = named.iter().map(|group| group.payer_id.to_string());
        let payers: Vec<String> = payers.take(NAMED).collect();
        let more = named.len().saturating_sub(payers.len());
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        finding.message = format!(
            "{of_them} customers were charged twice or more since {}, {} too much: {}{more}",
            crowd.from,
            money.join(" and "),
            payers.join(", "),
        );
        for group in &named {
            finding.subjects.push(group.payer_id.to_string());
            let ids = group
                .members
                .iter()
                .map(|member| member.charge_id.to_string());
            finding.subjects.extend(ids.clone());
            finding.evidence.object_ids.extend(ids);
        }
        finding.subjects.truncate(SUBJECTS_MAX);
        finding.evidence.object_ids.truncate(SUBJECTS_MAX);
        let open = i64::try_from(crowd.open.len()).unwrap_or(i64::MAX);
        finding.evidence.measures = vec![
            Measure::new("customers", open, Unit::Count).expected(0),
            Measure::new("charges", charges, Unit::Count).expected(open),
        ];
        finding.evidence.reasons = vec![
            "three customers within an hour are no accident: look at what the checkout, or a job \
             that charges, does twice"
                .to_owned(),
        ];
        finding.occurrences = 0;
        if is_news {
            finding.occurrences = u64::try_from(crowd.news.len()).unwrap_or(u64::MAX);
            finding.is_news = !is_first;
            crowd.told = crowd.joined;
            crowd.told_at = now;
            crowd.news.clear();
        }
        Some(Box::new(finding))
    }
}
