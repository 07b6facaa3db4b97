//! Committed revenue a month: what subscriptions will renew for, against its own seven days.
//!
//! Money that will not come is seen here before it is missing: many cancellations at once.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::event::subscription::{Interval, SubscriptionStatus};
use crate::ids::{Key, KeyMap};
use crate::ledger::SubscriptionRecord;
use crate::money::{Currency, Money, share_bps};
use crate::time::{Span, Timestamp};

use super::super::words::percent;
use super::commitment::Commitment;
use super::holds::{Hold, Holds, Way};
use super::leavers::{Leavers, Step as Wave};
use super::terms::{Terms, Told};
use super::{CURRENCIES_MAX, Settings};

/// Hours of the average that the product promises: seven days.
const HOURS: usize = 168;

/// How long a drop must last. Moving customers from one plan to another cancels first and begins anew
/// within the hour, and cancels at the speed of a program.
pub(super) const HELD: Span = Span::minutes(65);

/// How long, where what was lost went one by one: by its customers' own hands.
pub(super) const HELD_ONE_BY_ONE: Span = Span::minutes(10);

/// Stretches in which losses are added up, and how many of them are remembered: two hours.
pub(super) const STRETCH: Span = Span::minutes(5);
/// See [`STRETCH`].
const STRETCHES: usize = 24;
/// See [`STRETCH`].
const STRETCHES_AN_HOUR: usize = 12;

/// Losses went one by one when no two stretches that follow each other hold more than so many basis
/// points of them.
pub(super) const STEEP_BPS: i64 = 5_000;

/// Subscriptions that must be gone on balance, or as much of several prices as that: one large customer who leaves is no mass,
/// and neither is one who gets a discount.
const LOST_MIN: i64 = 3;

/// A whole subscription, where parts of one are counted.
const WHOLE_BPS: i64 = 10_000;

/// For so long renewals bring less after a drop that was told: until each has come once, yearly ones aside.
const NO_NEWS: Span = Span::days(35);

/// What is to be thought of a subscription.
pub(super) enum Standing {
    Committed(Commitment),
    /// It will not renew, or for nothing.
    Gone,
    /// It is on hold: gone for a day, and excluded after.
    OnHold(Way),
    /// Nothing can be said: like is compared with like, without it.
    Excluded,
}

/// One currency.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Sum {
    amount: i64,
    subscriptions: i64,
    /// The same in basis points of one, less the part of its price that each lost on the way: half a price counts as half.
    /// Only its differences mean anything.
    wholes_bps: i64,
    /// The hours before.
    hours: VecDeque<Standings>,
    /// The mean amount of these hours, until they change: asked for every minute.
    #[serde(skip)]
    average: Option<i64>,
    /// Since when it is low.
    low_since: Option<Timestamp>,
    /// What was committed at the end of the newest stretches, newest last.
    stretches: VecDeque<i64>,
    is_firing: bool,
    told_bps: i64,
    /// When lower prices were told: who leaves, or is put on hold, makes no other's renewal cheaper.
    cheaper_at: Option<Timestamp>,
}

/// A currency at the end of an hour: see [`Sum`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Standings {
    amount: i64,
    subscriptions: i64,
    wholes_bps: i64,
}

/// How a subscription's price came about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Discounted {
    /// Something is taken off it.
    pub(super) is_so: bool,
    /// From one invoice only.
    pub(super) is_once: bool,
}

/// One scope's commitments.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Mrr {
    known: KeyMap<Commitment>,
    terms: Terms,
    holds: Holds,
    leavers: Leavers,
    sums: BTreeMap<Currency, Sum>,
    /// The currency that the open incident is named after: several that drop together are one.
    incident: Option<Currency>,
    /// The stretch being watched.
    stretch: Timestamp,
    /// Nothing was low when it was judged last, and nothing has changed since: judging it again would find the same.
    #[serde(skip)]
    is_calm: bool,
}

/// What became of one currency's sum.
enum Step {
    Dropped(Box<Finding>),
    Back(String),
}

/// What is to be told.
#[derive(Debug)]
pub(super) enum Change {
    Fired(Box<Finding>),
    Over(String, String),
}

impl Mrr {
    /// Takes in what is now known of a subscription. What a coupon takes off one invoice only is no less committed, and
    /// what it takes off for months or forever is; a discount of all of it leaves a subscription that may pay again.
    pub(super) fn look(
        &mut self,
        key: Key,
        record: Option<&SubscriptionRecord>,
        discounted: Discounted,
        told: Told,
    ) {
        self.is_calm = false;
        let old = self.known.swap_remove(&key);
        let held = self.holds.end(key);
        let mut standing = match standing_of(record) {
            Standing::Committed(_) if self.terms.is_given_up(key, record, old.is_some(), told) => {
                Standing::Gone
            }
            Standing::Committed(new) if new.amount() == 0 && !discounted.is_so => Standing::Gone,
            // An average with it in it would make news of what everybody knew.
            Standing::Gone if self.terms.has_foretold(key, record, told) => Standing::Excluded,
            standing => standing,
        };
        if let (Standing::Committed(new), Some(old)) = (&mut standing, old)
            && discounted.is_once
            && new.currency == old.currency
        {
            *new = new.at_least(old);
        }
        if let Standing::Committed(new) = standing
            && new.is_sent()
            && (old.is_some_and(|old| !old.is_sent())
                || held.is_some_and(|held| held.way == Way::Sent))
        {
            standing = Standing::OnHold(Way::Sent);
        }
        self.leavers.look(key, old, &standing, told, self.stretch);
        if let Some(old) = old
            && let Some(sum) = self.sums.get_mut(&old.currency)
        {
            sum.add(old.amount(), -1);
            match standing {
                Standing::Excluded => sum.leave_out(old.amount(), 0),
                Standing::OnHold(way) => self.holds.begin(key, self.stretch, old, way),
                Standing::Committed(new) if new.currency == old.currency => {
                    let (before, after) = (old.amount(), new.amount());
                    sum.wholes_bps += share_bps(after.saturating_sub(before), before.max(after));
                }
                Standing::Committed(_) | Standing::Gone => {}
            }
        }
        if let Some(held) = held {
            match standing {
                // Still on hold.
                Standing::OnHold(_) => self.holds.keep(key, held),
                Standing::Excluded => self.leave_out(held),
                Standing::Committed(_) | Standing::Gone => {}
            }
        }
        let Standing::Committed(new) = standing else {
            return;
        };
        if self.sums.len() >= CURRENCIES_MAX && !self.sums.contains_key(&new.currency) {
            return;
        }
        let sum = self.sums.entry(new.currency).or_default();
        if told.is_first
            && let Some(since) = committed_since(record, told)
        {
            sum.join(new.amount(), since, self.stretch);
        }
        sum.add(new.amount(), 1);
        self.known.insert(key, new);
    }

    /// A hold is news no longer, and the week before it is told without it: unless it is told just now, when the week
    /// has to pass before what is left is the ordinary.
    fn leave_out(&mut self, hold: Hold) {
        let sum = self.sums.get_mut(&hold.commitment.currency);
        if let Some(sum) = sum.filter(|sum| !sum.is_firing) {
            sum.leave_out(hold.commitment.amount(), hold.hours_since(self.stretch));
        }
    }

    /// Whether lower prices of this currency were told not long ago: what renewals bring less for them is no news.
    pub(super) fn has_told(&self, currency: Currency, now: Timestamp) -> bool {
        let told_at = self.sums.get(&currency).and_then(|sum| sum.cheaper_at);
        told_at.is_some_and(|told_at| now.since(told_at) < NO_NEWS)
    }

    /// Other settings: what was calm may be none by them.
    pub(super) const fn judge_anew(&mut self) {
        self.is_calm = false;
    }

    /// Judges the sums as they are now; of each hour the first time brings it, `passed` hours after the
    /// last, into the average.
    pub(super) fn judge(
        &mut self,
        now: Timestamp,
        passed: Option<i64>,
        settings: &Settings,
    ) -> Vec<Change> {
        if self.is_calm && passed.is_none() && now.floor_to(STRETCH) == self.stretch {
            return Vec::new();
        }
        let mut changes = Vec::new();
        let last = std::mem::replace(&mut self.stretch, now.floor_to(STRETCH));
        let is_stretch = self.stretch != last;
        if passed.is_some() {
            for hold in self.holds.take_old(now) {
                self.leave_out(hold);
            }
        }
        for (currency, sum) in &mut self.sums {
            if is_stretch {
                sum.end_stretch();
            }
            let change = sum.judge(*currency, now, settings);
            if let Some(passed) = passed {
                sum.end_hour(passed);
            }
            let Some(change) = change else {
                continue;
            };
            let is_new = self.incident.is_none();
            let key = format!("mrr:{}", self.incident.get_or_insert(*currency).as_str());
            match change {
                Step::Dropped(mut finding) => {
                    finding.key = key;
                    finding.occurrences = u64::from(is_new);
                    self.holds.describe(*currency, &mut finding);
                    changes.push(Change::Fired(finding));
                }
                Step::Back(reason) => changes.push(Change::Over(key, reason)),
            }
        }
        changes.extend(self.judge_leavers(now, last, settings));
        let is_calm = |sum: &Sum| !sum.is_firing && sum.low_since.is_none();
        self.is_calm =
            passed.is_none() && self.leavers.is_calm() && self.sums.values().all(is_calm);
        // It is over when the last of them is back.
        if self.is_told() || self.leavers.is_told() {
            changes.retain(|change| matches!(change, Change::Fired(_)));
        } else {
            self.incident = None;
            let newest = changes.pop();
            changes = newest.into_iter().collect();
        }
        changes
    }

    /// Whether the sum of a currency is told.
    fn is_told(&self) -> bool {
        self.sums.values().any(|sum| sum.is_firing)
    }

    /// Judges who left, since a stretch that was the last to be looked at.
    fn judge_leavers(
        &mut self,
        now: Timestamp,
        last: Timestamp,
        settings: &Settings,
    ) -> Option<Change> {
        let passed = self.stretch.since(last).as_secs() / STRETCH.as_secs();
        self.leavers.end_stretches(passed, now);
        let live = self.sums.values().map(|sum| sum.subscriptions).sum();
        let is_told = self.is_told();
        let step = self.leavers.judge(now, live, is_told, settings)?;
        let is_new = self.incident.is_none();
        Some(match step {
            Wave::Left(currency, mut finding) => {
                let named = self.incident.get_or_insert(currency).as_str();
                finding.key = format!("mrr:{named}");
                finding.occurrences = u64::from(is_new);
                Change::Fired(finding)
            }
            Wave::Over(reason) => {
                let named = self.incident.as_ref().map_or("", Currency::as_str);
                Change::Over(format!("mrr:{named}"), reason)
            }
        })
    }
}

impl Sum {
    fn add(&mut self, amount: i64, sign: i64) {
        self.amount = self.amount.saturating_add(amount.saturating_mul(sign));
        self.subscriptions += sign;
        self.wholes_bps += sign * WHOLE_BPS;
    }

    /// The hours since an instant are told with one of this amount: it was there, and not yet heard of. Else the first
    /// months of a record, in which old subscriptions show themselves as they renew, would look like growth, and
    /// hide who leaves.
    fn join(&mut self, amount: i64, since: Timestamp, now: Timestamp) {
        let hours = usize::try_from(now.since(since).as_secs() / 3_600).unwrap_or(0);
        let before = self.hours.len().saturating_sub(hours);
        // Hundreds, each time: piece by piece of the ring.
        self.hours.iter_mut().skip(before).for_each(|hour| {
            hour.amount = hour.amount.saturating_add(amount);
            hour.subscriptions += 1;
            hour.wholes_bps += WHOLE_BPS;
        });
        let before = self
            .stretches
            .len()
            .saturating_sub(hours.saturating_mul(STRETCHES_AN_HOUR));
        let stretches = self.stretches.iter_mut().skip(before);
        stretches.for_each(|stretch| *stretch = stretch.saturating_add(amount));
        self.average = None;
    }

    /// The hours before are told without one of this amount, all but the newest, in which it was not.
    fn leave_out(&mut self, amount: i64, newest: usize) {
        let before = self.hours.len().saturating_sub(newest);
        for hour in self.hours.iter_mut().take(before) {
            hour.amount = hour.amount.saturating_sub(amount);
            hour.subscriptions -= 1;
            hour.wholes_bps -= WHOLE_BPS;
        }
        self.average = None;
    }

    /// An hour is over.
    fn end_hour(&mut self, passed: i64) {
        let repeats = usize::try_from(passed).unwrap_or(1).clamp(1, HOURS);
        for _ in 0..repeats {
            self.hours.push_back(Standings {
                amount: self.amount,
                subscriptions: self.subscriptions,
                wholes_bps: self.wholes_bps,
            });
        }
        while self.hours.len() > HOURS {
            self.hours.pop_front();
        }
        self.average = None;
    }

    /// A stretch is over.
    fn end_stretch(&mut self) {
        if self.stretches.len() > STRETCHES {
            self.stretches.pop_front();
        }
        self.stretches.push_back(self.amount);
    }

    /// Whether what was lost of late went bit by bit. An older loss is none of a program's of today.
    fn is_one_by_one(&self) -> bool {
        let first = self.stretches.iter().copied().max().unwrap_or_default();
        let lost = first.saturating_sub(self.amount);
        let steepest = (0..self.stretches.len()).map(|index| {
            let later = self.stretches.get(index + 2).copied();
            self.stretches[index].saturating_sub(later.unwrap_or(self.amount))
        });
        let steepest = steepest.max().unwrap_or_default();
        lost > 0 && share_bps(steepest, lost) <= STEEP_BPS
    }

    fn judge(&mut self, currency: Currency, now: Timestamp, settings: &Settings) -> Option<Step> {
        if self.hours.len() < HOURS {
            return None;
        }
        let count = i128::try_from(HOURS).ok()?;
        let mean = |of: fn(&Standings) -> i64| {
            let sum: i128 = self.hours.iter().map(|hour| i128::from(of(hour))).sum();
            i64::try_from(sum / count).unwrap_or(i64::MAX)
        };
        let average = *self.average.get_or_insert_with(|| mean(|hour| hour.amount));
        let drop = share_bps(average.saturating_sub(self.amount), average);
        if self.is_firing && drop <= settings.recovery_bps_max {
            self.is_firing = false;
            self.low_since = None;
            let reason = format!(
                "committed {} a month, where the 7-day average is {} by now",
                Money::new(self.amount, currency),
                Money::new(average, currency)
            );
            return Some(Step::Back(reason));
        }
        if drop <= settings.drop_bps_min {
            self.low_since = None;
            return None;
        }
        let subscriptions = mean(|hour| hour.subscriptions);
        if mean(|hour| hour.wholes_bps) - self.wholes_bps < LOST_MIN * WHOLE_BPS {
            self.low_since = None;
            return None;
        }
        let held = now.since(*self.low_since.get_or_insert(now));
        let is_certain = held >= HELD || held >= HELD_ONE_BY_ONE && self.is_one_by_one();
        let is_news = !self.is_firing || drop >= self.told_bps + self.told_bps / 4;
        if !is_certain || !is_news {
            return None;
        }
        let finding = describe(
            currency,
            (self.amount, average),
            (self.subscriptions, subscriptions),
            settings,
        );
        (self.is_firing, self.told_bps) = (true, drop);
        if is_cheaper(drop, (self.subscriptions, subscriptions)) {
            self.cheaper_at = Some(now);
        }
        Some(Step::Dropped(Box::new(finding)))
    }
}

/// What a subscription stands for.
fn standing_of(record: Option<&SubscriptionRecord>) -> Standing {
    let Some(record) = record else {
        return Standing::Gone;
    };
    let is_excluded = record.is_metered
        || record.has_test_clock
        || record.has_opaque_discounts
        || matches!(
            record.status,
            SubscriptionStatus::Paused
                | SubscriptionStatus::Incomplete
                | SubscriptionStatus::Unknown
        );
    if is_excluded {
        return Standing::Excluded;
    }
    if record.status == SubscriptionStatus::Trialing {
        return Standing::OnHold(Way::Trial);
    }
    let is_live = matches!(
        record.status,
        SubscriptionStatus::Active | SubscriptionStatus::PastDue
    );
    // One that ends with its period will not renew; one with a longer term will.
    let is_ending = record.ends_at.is_some_and(|end| {
        record
            .period_end
            .is_none_or(|period| end <= period + record.boundary_slack())
    });
    if !is_live || is_ending {
        return Standing::Gone;
    }
    if record.is_paused {
        return Standing::OnHold(Way::Paused);
    }
    let amount = record
        .amount()
        .and_then(|amount| monthly(amount, record.interval, i64::from(record.interval_count)));
    match (amount, record.currency) {
        (Some(amount), Some(currency)) => {
            let is_sent = record.payment_term_days > 0;
            let is_due = record.status == SubscriptionStatus::PastDue;
            Standing::Committed(Commitment::new(currency, amount, is_sent, is_due))
        }
        _ => Standing::Excluded,
    }
}

/// Since when one that is met only now has been paying.
fn committed_since(record: Option<&SubscriptionRecord>, told: Told) -> Option<Timestamp> {
    let record = record?;
    let created = told.created.or(record.period_start)?;
    Some(created.max(record.trial_end.unwrap_or(created)))
}

/// The price of a period as a month's: a day is 12/365 of a year's month, a week 12/52.
fn monthly(amount: i64, interval: Interval, count: i64) -> Option<i64> {
    let (times, over) = match interval {
        Interval::Day => (365, 12),
        Interval::Week => (52, 12),
        Interval::Month => (1, 1),
        Interval::Year => (1, 12),
        Interval::Unknown => return None,
    };
    let over = i128::from(over) * i128::from(count.max(1));
    i64::try_from(i128::from(amount) * times / over).ok()
}

/// Whether each pays less: fewer subscriptions than usual are not half of a drop.
fn is_cheaper(drop: i64, (subscriptions, usual): (i64, i64)) -> bool {
    2 * share_bps(usual.saturating_sub(subscriptions), usual) < drop
}

fn describe(
    currency: Currency,
    (amount, average): (i64, i64),
    (subscriptions, usual): (i64, i64),
    settings: &Settings,
) -> Finding {
    let drop = share_bps(average.saturating_sub(amount), average);
    let severity = match drop {
        5_000.. => Severity::Critical,
        3_000.. => Severity::High,
        _ => Severity::Medium,
    };
    let mut finding = Finding::new(currency.as_str(), severity, "Committed revenue dropped");
    let how = if is_cheaper(drop, (subscriptions, usual)) {
        ", at lower prices or with discounts"
    } else {
        ""
    };
    finding.message = format!(
        "subscriptions will renew for {} a month, {} below the 7-day average of {}: {subscriptions} \
         of them where {usual} were{how}",
        Money::new(amount, currency),
        percent(drop),
        Money::new(average, currency),
    );
    finding.currency = Some(currency);
    finding.amount_at_stake = Some(average.saturating_sub(amount));
    let allowed = i128::from(average) * i128::from(10_000 - settings.drop_bps_min) / 10_000;
    finding.evidence.measures = vec![
        Measure::new("committed_a_month", amount, Unit::MinorUnits)
            .expected(average)
            .threshold(i64::try_from(allowed).unwrap_or(i64::MAX)),
        Measure::new("subscriptions", subscriptions, Unit::Count).expected(usual),
    ];
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_brought_to_a_month() {
        let cases = [
            (1_200, Interval::Year, 1, 100),
            (1_200, Interval::Year, 2, 50),
            (300, Interval::Month, 3, 100),
            (1_200, Interval::Week, 1, 5_200),
            (120, Interval::Day, 1, 3_650),
        ];
        for (amount, interval, count, expected) in cases {
            assert_eq!(monthly(amount, interval, count), Some(expected));
        }
        assert_eq!(monthly(100, Interval::Unknown, 1), None);
    }
}
