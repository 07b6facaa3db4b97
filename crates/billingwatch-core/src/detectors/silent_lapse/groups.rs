//! Which open lapses are one incident: those noticed within four hours of one another, and, once
//! there are several of a day, all that follow.
//!
//! A broken renewal run lets many subscriptions lapse within hours, each at its own turn: what
//! follows within four hours joins the alert of the one before, and an alert of two takes in all that
//! follow within a day. Two that lapse further apart may be
//! two customers, and each is told by itself; the third of a day joins the second's alert.
//!
//! People are told again when an alert has doubled, and once a day of what else joined it; until
//! it has a handful, of each within the hour. What joins meanwhile is in the alert at once. When most of a crowd have paid, those who
//! have not are named again a day later: they may never have been, and nobody looks for them in a list of those that paid.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, SUBJECTS_MAX, Severity, Unit};
use crate::event::subscription::SubscriptionStatus;
use crate::ids::{Key, KeyMap};
use crate::ledger::SubscriptionRecord;
use crate::money::{Currency, Money};
use crate::time::{Span, Timestamp};

use super::excuses::CAUSE;
use super::{drafts, trials};

/// So many alerts within [`JOIN`] stand by themselves; what follows joins the newest of them.
const SINGLES: usize = 2;

/// A lapse this soon after the newest of a group belongs to it.
const CLOSE: Span = Span::hours(4);

/// A lapse this soon after the newest of a crowd belongs to it.
const JOIN: Span = Span::hours(24);

/// A group takes no more after this time: what goes wrong for ever is told anew.
const OPEN_MAX: Span = Span::days(3);

/// Up to so many each is a customer to look after, and is told within the hour.
const HANDFUL: u32 = 4;

/// How long growth of a handful waits before it is told.
const TELL_AFTER: Span = Span::minutes(55);

/// How long growth that is no doubling waits.
const TELL_REST_AFTER: Span = Span::hours(24);

/// How long growth waits in any case: the renewals of one hour come minutes apart.
const TELL_DOUBLED_AFTER: Span = Span::minutes(10);

/// So many at once are critical: it is the billing that is broken, not a customer.
const CROWD: u32 = 8;

/// When no more than one in so many of a crowd is left, those are told by name.
const LEFT_PART: u32 = 2;

/// How long after the last one paid they are: a mended run takes its time.
const LEFT_AFTER: Span = Span::hours(24);

/// How many are named in the message.
const NAMED: usize = 5;

/// A subscription that has lapsed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Lapse {
    pub(super) id: Box<str>,
    pub(super) due_at: Timestamp,
    pub(super) owed: Option<(Currency, i64)>,
    is_in_trial: bool,
    is_past_due: bool,
    /// It is known by an invoice alone that stays a draft.
    pub(super) is_draft: bool,
    group: u64,
}

/// Lapses noticed together.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Group {
    /// The first: its id is the alert's key.
    anchor: Box<str>,
    /// Whether all others of a day join it.
    is_crowd: bool,
    opened_at: Timestamp,
    joined_at: Timestamp,
    told_at: Timestamp,
    /// All that ever joined, those open, and those told.
    joined: u32,
    open: u32,
    told: u32,
    /// Of all that joined, those in trial.
    trials: u32,
    /// Those past due: an attempt failed, and nobody tries again.
    past_due: u32,
    /// Those whose invoice stays a draft.
    drafts: u32,
    /// Those that the alert knows of, told or not.
    noted: u32,
    /// How many were open when they were last told, those left of a crowd among them; and when one of them last ended.
    open_told: u32,
    ended_at: Timestamp,
    /// What the open ones owe for a period each.
    owed: BTreeMap<Currency, i64>,
    due_from: Timestamp,
    due_to: Timestamp,
    /// Joined since it was last told.
    news: Vec<Box<str>>,
}

/// The open lapses of a scope.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Groups {
    lapses: KeyMap<Lapse>,
    /// How many of them were due at each instant.
    due: BTreeMap<Timestamp, u32>,
    groups: BTreeMap<u64, Group>,
    newest: u64,
    /// Some lapsed since it was asked last.
    is_fresh: bool,
    /// When the newest groups opened that are no crowds.
    singles: [Timestamp; SINGLES],
}

/// What became of an alert when one of its lapses ended.
pub(super) enum Ended {
    /// It had not lapsed.
    Nothing,
    /// Others are still open: what the alert says now.
    Smaller(Box<Finding>),
    /// It was the last of an alert with this key; so many had lapsed.
    Over(Box<str>, u32),
}

impl Lapse {
    pub(super) fn new(record: &SubscriptionRecord, due_at: Timestamp) -> Self {
        Self {
            id: record.id.as_str().into(),
            due_at,
            owed: record.currency.zip(record.amount()),
            is_in_trial: record.status == SubscriptionStatus::Trialing,
            is_past_due: record.status == SubscriptionStatus::PastDue,
            is_draft: false,
            group: 0,
        }
    }

    /// What an invoice asked for that was sent, and that nobody tries to collect.
    pub(super) fn of_invoice(record: &SubscriptionRecord, due_at: Timestamp) -> Self {
        Self {
            is_past_due: false,
            ..Self::new(record, due_at)
        }
    }

    /// What an invoice would ask for that stays a draft, of a subscription that is known by its invoices alone.
    pub(super) fn of_draft(id: &str, due_at: Timestamp, owed: Option<(Currency, i64)>) -> Self {
        Self {
            id: id.into(),
            due_at,
            owed,
            is_in_trial: false,
            is_past_due: false,
            is_draft: true,
            group: 0,
        }
    }
}

impl Groups {
    pub(super) fn contains(&self, key: Key) -> bool {
        self.lapses.contains_key(&key)
    }

    /// The open lapses.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.lapses.iter().map(|(key, _)| *key)
    }

    /// When it should have paid, of an active subscription that lapsed with a few others at most.
    pub(super) fn due_of_few(&self, key: Key) -> Option<Timestamp> {
        let lapse = self.lapses.get(&key)?;
        let joined = self.groups.get(&lapse.group)?.joined;
        let is_active = !lapse.is_draft && !lapse.is_past_due && !lapse.is_in_trial;
        let is_few = usize::try_from(joined).is_ok_and(|joined| joined < CAUSE);
        (is_active && is_few).then_some(lapse.due_at)
    }

    /// How far from a time the last of so many open lapses was due that are the nearest to it, `most` away;
    /// `None` where there are fewer. Looks at no others.
    pub(super) fn due_near(
        &self,
        (since, until): (Timestamp, Timestamp),
        count: usize,
        most: Span,
    ) -> Option<Span> {
        let many = |(at, count): (&Timestamp, &u32)| {
            std::iter::repeat_n(*at, usize::try_from(*count).unwrap_or(usize::MAX))
        };
        let within = self.due.range(since..=until).flat_map(many);
        let before = self.due.range(since - most..since).rev().flat_map(many);
        let after = (Bound::Excluded(until), Bound::Included(until + most));
        let after = self.due.range(after).flat_map(many);
        let within = within.map(|_| Span::ZERO).take(count);
        let before = before.map(|at| since.since(at)).take(count);
        let after = after.map(|at| at.since(until)).take(count);
        let mut near: Vec<Span> = within.chain(before).chain(after).collect();
        near.sort_unstable();
        near.get(count.checked_sub(1)?).copied()
    }

    /// Whether any lapsed since it was asked last.
    pub(super) const fn take_fresh(&mut self) -> bool {
        std::mem::replace(&mut self.is_fresh, false)
    }

    /// A subscription lapsed. Told by [`take_news`](Self::take_news).
    pub(super) fn add(&mut self, key: Key, mut lapse: Lapse, now: Timestamp) {
        let is_near = |group: &Group| {
            let join = if group.is_crowd || group.joined > 1 {
                JOIN
            } else {
                CLOSE
            };
            now.since(group.opened_at) <= OPEN_MAX && now.since(group.joined_at) <= join
        };
        let is_crowd = self.singles.iter().all(|at| now.since(*at) <= JOIN);
        if is_crowd && let Some(newest) = self.groups.get_mut(&self.newest) {
            newest.is_crowd = true;
        }
        if !self.groups.get(&self.newest).is_some_and(is_near) {
            if !is_crowd {
                self.singles.rotate_left(1);
                self.singles[SINGLES - 1] = now;
            }
            self.newest += 1;
            let group = Group {
                anchor: lapse.id.clone(),
                is_crowd,
                opened_at: now,
                joined_at: now,
                told_at: now,
                joined: 0,
                open: 0,
                told: 0,
                trials: 0,
                past_due: 0,
                drafts: 0,
                noted: 0,
                open_told: 0,
                ended_at: now,
                owed: BTreeMap::new(),
                due_from: lapse.due_at,
                due_to: lapse.due_at,
                news: Vec::new(),
            };
            self.groups.insert(self.newest, group);
        }
        let Some(group) = self.groups.get_mut(&self.newest) else {
            return;
        };
        group.joined_at = now;
        group.joined += 1;
        group.open += 1;
        group.trials += u32::from(lapse.is_in_trial);
        group.past_due += u32::from(lapse.is_past_due);
        group.drafts += u32::from(lapse.is_draft);
        group.due_from = group.due_from.min(lapse.due_at);
        group.due_to = group.due_to.max(lapse.due_at);
        if let Some((currency, amount)) = lapse.owed {
            let owed = group.owed.entry(currency).or_default();
            *owed = owed.saturating_add(amount);
        }
        if group.news.len() < SUBJECTS_MAX {
            group.news.push(lapse.id.clone());
        }
        lapse.group = self.newest;
        self.is_fresh = true;
        *self.due.entry(lapse.due_at).or_default() += 1;
        self.lapses.insert(key, lapse);
    }

    /// Whether there is no group, and so nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// What is to be noted now, and told, of groups that are new or grew, with the lapse itself where it is the
    /// only one.
    pub(super) fn take_news(&mut self, now: Timestamp) -> Vec<(Finding, Option<Lapse>)> {
        let mut told = Vec::new();
        for (number, group) in &mut self.groups {
            let fresh = group.joined - group.told;
            let waited = now.since(group.told_at);
            let is_doubled = fresh >= group.told;
            let wait = if group.joined <= HANDFUL {
                TELL_AFTER
            } else {
                TELL_REST_AFTER
            };
            let is_worse = group.told < CROWD && group.joined >= CROWD;
            let is_grown = is_doubled || waited >= wait || is_worse;
            let may_grow = fresh > 0 && waited >= TELL_DOUBLED_AFTER;
            let is_time = group.told == 0 || (may_grow && is_grown);
            let are_few = group.are_few_left(now);
            if !is_time && !are_few && (!may_grow || group.noted == group.joined) {
                continue;
            }
            if are_few {
                let left = self.lapses.values().filter(|lapse| lapse.group == *number);
                let mut left: Vec<&Lapse> = left.collect();
                left.sort_by_key(|lapse| (lapse.due_at, &lapse.id));
                group.news = left.into_iter().map(|lapse| lapse.id.clone()).collect();
            }
            let mut finding = group.describe(now);
            finding.occurrences = u64::from(group.joined - group.noted);
            group.noted = group.joined;
            if is_time || are_few {
                finding.is_news = group.told > 0;
                group.told = group.joined;
                group.told_at = now;
                group.open_told = group.open;
                group.news.clear();
            }
            let single = (group.joined == 1)
                .then(|| self.lapses.values().find(|lapse| lapse.group == *number))
                .flatten();
            told.push((finding, single.cloned()));
        }
        told
    }

    /// A subscription paid, ended, or owes nothing any more.
    pub(super) fn remove(&mut self, key: Key, now: Timestamp) -> Ended {
        let Some(lapse) = self.lapses.swap_remove(&key) else {
            return Ended::Nothing;
        };
        if let Entry::Occupied(mut due) = self.due.entry(lapse.due_at) {
            *due.get_mut() -= 1;
            if *due.get() == 0 {
                due.remove();
            }
        }
        let Some(group) = self.groups.get_mut(&lapse.group) else {
            return Ended::Nothing;
        };
        group.open -= 1;
        group.ended_at = now;
        if let Some((currency, amount)) = lapse.owed
            && let Some(owed) = group.owed.get_mut(&currency)
        {
            *owed = owed.saturating_sub(amount);
        }
        if group.open > 0 {
            let mut finding = group.describe(now);
            finding.occurrences = 0;
            return Ended::Smaller(Box::new(finding));
        }
        let over = Ended::Over(group.anchor.clone(), group.joined);
        self.groups.remove(&lapse.group);
        over
    }
}

impl Group {
    /// Whether so few of a crowd are left, for so long, that each is a customer to look after.
    fn are_few_left(&self, now: Timestamp) -> bool {
        self.joined >= CROWD
            && self.open.saturating_mul(LEFT_PART) <= self.open_told
            && usize::try_from(self.open).is_ok_and(|open| open <= SUBJECTS_MAX)
            && now.since(self.ended_at) >= LEFT_AFTER
    }

    fn describe(&mut self, now: Timestamp) -> Finding {
        let severity = if self.joined >= CROWD {
            Severity::Critical
        } else {
            Severity::High
        };
        let are_trials = self.trials == self.joined;
        let are_past_due = self.past_due == self.joined;
        let are_drafts = self.drafts == self.joined;
        let title = if are_drafts {
            drafts::TITLE_OF_MANY
        } else if are_trials {
            trials::TITLE_OF_MANY
        } else if are_past_due {
            "Failed payments are not tried again"
        } else {
            "Active subscriptions stopped paying"
        };
        let mut finding = Finding::new(&*self.anchor, severity, title);
        self.owed.retain(|_, owed| *owed > 0);
        if let (1, Some((currency, owed))) = (self.owed.len(), self.owed.first_key_value()) {
            finding.currency = Some(*currency);
            finding.amount_at_stake = Some(*owed);
        }
        let owed: Vec<String> = self
            .owed
            .iter()
            .map(|(currency, owed)| Money::new(*owed, *currency).to_string())
            .collect();
        let owed = if owed.is_empty() {
            "what they owe".to_owned()
        } else {
            owed.join(" and ")
        };
        let count = if self.open == self.joined {
            self.open.to_string()
        } else {
            format!("{} of {}", self.open, self.joined)
        };
        let state = if are_past_due {
            "are past due and not tried again"
        } else {
            "go on"
        };
        finding.message = format!(
            "{count} subscriptions {state}, yet {owed} due from {} to {} has not been paid",
            self.due_from, self.due_to
        );
        let news: Vec<String> = self.news.iter().map(ToString::to_string).collect();
        if !news.is_empty() {
            let named = news.iter().take(NAMED).cloned().collect::<Vec<_>>();
            let more = news.len().saturating_sub(NAMED);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let are_all = u32::try_from(news.len()) == Ok(self.open);
            let which = if are_all && self.open < self.joined {
                "left"
            } else {
                "newest"
            };
            finding.message += &format!("; {which}: {}{more}", named.join(", "));
        }
        finding.subject = Some(self.anchor.to_string());
        finding.evidence.object_ids.clone_from(&news);
        finding.subjects = news;
        finding.evidence.measures = vec![
            Measure::new("lapsed", i64::from(self.open), Unit::Count).expected(0),
            Measure::new(
                "longest_overdue",
                now.since(self.due_from).as_secs(),
                Unit::Seconds,
            )
            .expected(0),
        ];
        finding.evidence.reasons.push(format!(
            "{} lapsed within a day of one another since {}",
            self.joined, self.opened_at
        ));
        let reason = if are_trials {
            trials::REASON.to_owned()
        } else if are_drafts {
            drafts::REASON.to_owned()
        } else if self.past_due > 0 {
            let (past_due, joined) = (self.past_due, self.joined);
            format!("{past_due} of {joined} failed to pay, and were not tried again")
        } else {
            "no failed attempt moved them out of `active`".to_owned()
        };
        finding.evidence.reasons.push(reason);
        finding
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_nearest_lapses_are_found_without_looking_at_all() {
        let at = |hour: i64| Timestamp::from_secs(1_709_553_600 + 3_600 * hour);
        let mut groups = Groups::default();
        let hours = [-30, -7, -7, -3, 0, 4, 10, 12, 40];
        for hour in hours {
            let name = format!("sub_{hour}_{}", groups.lapses.len());
            let lapse = Lapse {
                id: name.as_str().into(),
                due_at: at(hour),
                owed: None,
                is_in_trial: false,
                is_past_due: false,
                is_draft: false,
                group: 0,
            };
            groups.add(Key::of(&name), lapse, at(100));
        }
        // From 00:00 to 10:00 three were due; 12:00 is 2 hours away, 21:00 before is 3, 17:00 is 7.
        let told = |count| groups.due_near((at(0), at(10)), count, Span::hours(24));
        let far = (1..=9).map(|count| told(count).map(|far| far.as_secs() / 3_600));
        let (far, none): (Vec<_>, Vec<_>) = far.partition(Option::is_some);
        let far: Vec<i64> = far.into_iter().flatten().collect();
        assert_eq!(far, [0, 0, 0, 2, 3, 7, 7]);
        assert_eq!(none.len(), 2, "30 hours are no neighbourhood");
        // One that ended is no neighbour any more.
        groups.remove(Key::of("sub_4_5"), at(101));
        let told = groups.due_near((at(0), at(10)), 3, Span::hours(24));
        assert_eq!(told.unwrap(), Span::hours(2));
    }
}
