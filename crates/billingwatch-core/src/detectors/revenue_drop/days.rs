//! The plainest form of the rule, for those who want it: a complete day against the average of the
//! seven days before, whatever its weekday or its place in the month.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::calendar::Calendar;
use crate::detector::Context;
use crate::money::{Currency, Money, share_bps};
use crate::time::{Span, Timestamp};

use super::super::words::percent;
use super::dues::SETTLE;
use super::{RevenueDrop, Settings};

/// A day may be judged without newer events when they came until this long before its end.
const DAY_SEEN: Span = Span::hours(3);

/// Days of the average, and the day itself.
const DAYS_MAX: usize = 40;

/// Days of the average that the product promises.
const AVERAGE_DAYS: usize = 7;

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Day {
    day: i64,
    collected: i64,
    payments: i64,
    /// Part of an incident: no yardstick.
    is_incident: bool,
}

/// One currency's days.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Series {
    /// Without gaps, oldest first; the last one may be incomplete.
    days: VecDeque<Day>,
    is_firing: bool,
}

/// What became of a day.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Nothing to be said.
    Nothing,
    /// It is a drop.
    Fired(Box<Finding>),
    /// It ends one, for this reason.
    Over(String),
}

impl RevenueDrop {
    /// Judges yesterday, once it is over and seen.
    pub(super) fn judge_day(&mut self, horizon: Timestamp, ctx: &mut Context<'_>) {
        let yesterday = ctx.calendar().day(ctx.now() - SETTLE) - 1;
        let day_end = ctx.calendar().day_start(yesterday + 1);
        let is_seen = horizon >= day_end || ctx.intake().fresh_at() >= day_end - DAY_SEEN;
        if yesterday <= self.judged_day || !is_seen {
            return;
        }
        self.judged_day = yesterday;
        for (currency, watched) in &mut self.watched {
            match watched.days.judge(*currency, yesterday, &self.settings) {
                Verdict::Nothing => {}
                Verdict::Fired(finding) => ctx.fire(*finding),
                Verdict::Over(reason) => ctx.clear(currency.as_str(), reason),
            }
        }
    }
}

impl Series {
    /// Takes in a payment.
    pub(super) fn take(&mut self, day: i64, amount: i64) {
        self.reach(day);
        let Some(first) = self.days.front().map(|first| first.day) else {
            return;
        };
        let index = usize::try_from(day - first).ok();
        if let Some(day) = index.and_then(|index| self.days.get_mut(index)) {
            day.collected = day.collected.saturating_add(amount);
            day.payments += 1;
        }
    }

    /// Adds empty days up to `day`.
    fn reach(&mut self, day: i64) {
        let newest = self.days.back().map_or(day - 1, |newest| newest.day);
        // After a gap longer than the memory nothing old is left anyway.
        let first = (newest + 1).max(day - i64::try_from(DAYS_MAX).unwrap_or_default());
        for missing in first..=day {
            if self.days.len() >= DAYS_MAX {
                self.days.pop_front();
            }
            self.days.push_back(Day {
                day: missing,
                ..Day::default()
            });
        }
    }

    /// Judges a complete day.
    pub(super) fn judge(&mut self, currency: Currency, day: i64, settings: &Settings) -> Verdict {
        self.reach(day);
        let Some(index) = self.days.iter().position(|known| known.day == day) else {
            return Verdict::Nothing;
        };
        let today = self.days[index];
        let before = self.days.iter().take(index).filter(|day| !day.is_incident);
        let known: Vec<&Day> = before.collect();
        if i64::try_from(known.len()).unwrap_or(i64::MAX) < settings.days_min {
            return Verdict::Nothing;
        }
        let week = &known[known.len().saturating_sub(AVERAGE_DAYS)..];
        let count = i64::try_from(week.len()).unwrap_or(1).max(1);
        let sum = |of: fn(&Day) -> i64| {
            let add = |sum: i64, day: &&Day| sum.saturating_add(of(day));
            week.iter().fold(0_i64, add) / count
        };
        let (average, payments) = (sum(|day| day.collected), sum(|day| day.payments));
        let drop = share_bps(average - today.collected, average);
        if self.is_firing && drop <= settings.recovery_bps_max {
            self.is_firing = false;
            let seen = Money::new(today.collected, currency);
            return Verdict::Over(format!("{} collected {seen} again", Calendar::date(day)));
        }
        if drop <= settings.drop_bps_min || payments < settings.payments_min {
            return Verdict::Nothing;
        }
        self.is_firing = true;
        self.days[index].is_incident = true;
        let finding = describe(currency, &today, average, payments, settings);
        Verdict::Fired(Box::new(finding))
    }
}

fn describe(
    currency: Currency,
    today: &Day,
    average: i64,
    payments: i64,
    settings: &Settings,
) -> Finding {
    let drop = share_bps(average - today.collected, average);
    let severity = match drop {
        5_000.. => Severity::Critical,
        3_000.. => Severity::High,
        _ => Severity::Medium,
    };
    let mut finding = Finding::new(currency.as_str(), severity, "Revenue dropped");
    finding.message = format!(
        "{} collected {}, {} below the average of {} of the 7 days before",
        Calendar::date(today.day),
        Money::new(today.collected, currency),
        percent(drop),
        Money::new(average, currency),
    );
    finding.currency = Some(currency);
    finding.amount_at_stake = Some(average.saturating_sub(today.collected));
    let allowed = i128::from(average) * i128::from(10_000 - settings.drop_bps_min) / 10_000;
    finding.evidence.measures = vec![
        Measure::new("collected", today.collected, Unit::MinorUnits)
            .expected(average)
            .threshold(i64::try_from(allowed).unwrap_or(i64::MAX)),
        Measure::new("payments", today.payments, Unit::Count).expected(payments),
    ];
    let details = &mut finding.evidence.details;
    details.insert("day".to_owned(), Calendar::date(today.day));
    finding
}
