//! Complete days against their like: the average of seven days, the weekday, the calendar.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::Context;
use crate::money::{Currency, Money, share_bps};
use crate::stats::{median, normal_tail};
use crate::time::{Span, Timestamp};

use super::super::words::percent;
use super::{Settings, severity_of};

/// Days remembered: enough to see the same day of last month with both its neighbours.
const DAYS_MAX: usize = 63;

/// Days of the average that the product promises.
const AVERAGE_DAYS: i64 = 7;

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Day {
    day: i64,
    collected: i64,
    payments: i64,
    /// Part of an incident: no yardstick.
    is_incident: bool,
}

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
    /// It is part of an incident.
    Fired,
    /// It ends one, for this reason.
    Over(String),
}

/// What a day is held against.
struct Yardstick {
    average: i64,
    expected: i64,
    deviation: i64,
    payments: i64,
    names: Vec<String>,
}

impl Yardstick {
    /// What the sum of so many payments may lack by chance alone: two and a half deviations of a
    /// Poisson count. A few known days say too little of it.
    fn chance_margin(&self, settings: &Settings) -> i64 {
        if settings.is_literal {
            return 0;
        }
        let tenths = (self.payments.max(1) * 100).isqrt().max(1);
        self.expected.saturating_mul(25) / tenths
    }

    /// Why a day below the average is no drop.
    fn excuse(&self, drop: i64, currency: Currency, settings: &Settings) -> (&'static str, String) {
        if self.payments < settings.payments_min {
            let why = format!("{} payments a day are too few to tell", self.payments);
            return ("too_few_payments", why);
        }
        if drop <= settings.drop_bps_min {
            let expected = Money::new(self.expected, currency);
            return (
                "usual_for_the_day",
                format!("{expected} by {}", self.names.join(", ")),
            );
        }
        let deviation = Money::new(self.deviation, currency);
        (
            "usual_variation",
            format!("its days differ by {deviation} as a rule"),
        )
    }
}

impl Series {
    /// Adds empty days up to `day`.
    pub(super) fn reach(&mut self, day: i64) {
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

    fn day(&self, day: i64) -> Option<&Day> {
        let first = self.days.front()?.day;
        self.days.get(usize::try_from(day - first).ok()?)
    }

    fn day_mut(&mut self, day: i64) -> Option<&mut Day> {
        let first = self.days.front()?.day;
        self.days.get_mut(usize::try_from(day - first).ok()?)
    }

    pub(super) fn judge(
        &mut self,
        currency: Currency,
        day: i64,
        settings: &Settings,
        ctx: &mut Context<'_>,
    ) -> Verdict {
        let Some(today) = self.day(day).copied() else {
            return Verdict::Nothing;
        };
        let Some(yardstick) = self.yardstick(day, settings) else {
            return Verdict::Nothing;
        };
        let key = currency.as_str();
        let drop = share_bps(yardstick.expected - today.collected, yardstick.expected);
        if self.is_firing && drop <= settings.recovery_bps_max {
            self.is_firing = false;
            let seen = Money::new(today.collected, currency);
            return Verdict::Over(format!("{} collected {seen} again", date(day)));
        }
        let missing = yardstick.expected - today.collected;
        let by_habit = yardstick.deviation.saturating_mul(settings.deviations_min);
        let is_drop = drop > settings.drop_bps_min
            && missing > by_habit.max(yardstick.chance_margin(settings))
            && yardstick.payments >= settings.payments_min;
        if !is_drop {
            let below = share_bps(yardstick.average - today.collected, yardstick.average);
            if !self.is_firing && below > settings.drop_bps_min {
                let (reason, why) = yardstick.excuse(drop, currency, settings);
                let below = percent(below);
                let message = format!("{} was {below} below the 7-day average: {why}", date(day));
                ctx.suppress(reason, Some(key), message);
            }
            return Verdict::Nothing;
        }
        self.is_firing = true;
        self.mark(day);
        let severity = severity_of(drop);
        ctx.fire(describe(
            currency, &today, &yardstick, drop, severity, settings,
        ));
        Verdict::Fired
    }

    /// Makes a day part of an incident: no yardstick.
    pub(super) fn mark(&mut self, day: i64) {
        if let Some(day) = self.day_mut(day) {
            day.is_incident = true;
        }
    }

    /// Takes in a payment.
    pub(super) fn take(&mut self, day: i64, amount: i64) {
        self.reach(day);
        if let Some(day) = self.day_mut(day) {
            day.collected = day.collected.saturating_add(amount);
            day.payments += 1;
        }
    }

    /// The fair comparisons of a day: the lowest of them is what was expected.
    fn yardstick(&self, day: i64, settings: &Settings) -> Option<Yardstick> {
        let known: Vec<&Day> = self
            .days
            .iter()
            .filter(|known| known.day < day && !known.is_incident)
            .collect();
        if i64::try_from(known.len()).unwrap_or(i64::MAX) < settings.days_min {
            return None;
        }
        let week = &known[known.len().saturating_sub(7)..];
        let count = i64::try_from(week.len()).unwrap_or(AVERAGE_DAYS);
        let average = week
            .iter()
            .fold(0_i64, |sum, day| sum.saturating_add(day.collected))
            / count;
        let payments = week.iter().map(|day| day.payments).sum::<i64>() / count;
        let mut names = vec!["the average of 7 days".to_owned()];
        if settings.is_literal {
            return Some(Yardstick {
                average,
                expected: average,
                deviation: 0,
                payments,
                names,
            });
        }
        let mut expected = average;
        let same_weekday: Vec<&&Day> = known
            .iter()
            .filter(|known| (day - known.day) % 7 == 0)
            .rev()
            .take(4)
            .collect();
        let mut sums: Vec<i64> = same_weekday.iter().map(|day| day.collected).collect();
        // Of one or two the lower: the second weekend must not be judged by a middle week.
        let weekday = match sums.len() {
            0 => average,
            1 | 2 => sums.iter().copied().min().unwrap_or(average),
            _ => median(&mut sums),
        };
        if weekday < expected {
            expected = weekday;
            names.push("its weekday".to_owned());
        }
        let last_month = [28, 30, 31].iter().filter_map(|back| self.day(day - back));
        if let Some(lowest) = last_month
            .filter(|day| !day.is_incident)
            .map(|day| day.collected)
            .min()
            && lowest < expected
        {
            expected = lowest;
            names.push("the same day of last month".to_owned());
        }
        Some(Yardstick {
            average,
            expected,
            deviation: self.deviation(&known),
            payments,
            names,
        })
    }

    /// How much a day usually differs from the same weekday of the week before (median absolute
    /// deviation, scaled to a standard deviation).
    fn deviation(&self, known: &[&Day]) -> i64 {
        let differs = |later: &&Day| {
            let earlier = self
                .day(later.day - 7)
                .filter(|earlier| !earlier.is_incident)?;
            Some((later.collected - earlier.collected).abs())
        };
        let mut differences: Vec<i64> = known.iter().filter_map(differs).collect();
        // 1.4826 makes a median absolute deviation a standard deviation; two days differ by √2 of it.
        median(&mut differences).saturating_mul(1_048) / 1_000
    }
}

fn describe(
    currency: Currency,
    today: &Day,
    yardstick: &Yardstick,
    drop: i64,
    severity: Severity,
    settings: &Settings,
) -> Finding {
    let mut finding = Finding::new(currency.as_str(), severity, "Revenue dropped");
    let missing = yardstick.expected.saturating_sub(today.collected);
    let below = share_bps(yardstick.average - today.collected, yardstick.average);
    finding.message = format!(
        "{} collected {}, {} below the 7-day average of {} and {} below the least that was to be \
         expected ({})",
        date(today.day),
        Money::new(today.collected, currency),
        percent(below),
        Money::new(yardstick.average, currency),
        percent(drop),
        Money::new(yardstick.expected, currency),
    );
    finding.currency = Some(currency);
    finding.amount_at_stake = Some(missing);
    let deviation = yardstick.deviation.max(1);
    finding.anomaly_score = anomaly_score(normal_tail(missing, deviation));
    finding.evidence.measures = vec![
        Measure::new("collected", today.collected, Unit::MinorUnits)
            .expected(yardstick.expected)
            .threshold(
                yardstick.expected
                    - yardstick.expected / 10_000 * settings.drop_bps_min
                    - yardstick.expected % 10_000 * settings.drop_bps_min / 10_000,
            ),
        Measure::new("seven_day_average", yardstick.average, Unit::MinorUnits),
        Measure::new("usual_deviation", yardstick.deviation, Unit::MinorUnits),
        Measure::new("payments", today.payments, Unit::Count).expected(yardstick.payments),
    ];
    finding
        .evidence
        .reasons
        .push(format!("held against {}", yardstick.names.join(", ")));
    finding
        .evidence
        .details
        .insert("day".to_owned(), date(today.day));
    finding
}

fn date(day: i64) -> String {
    let shown = (Timestamp::EPOCH + Span::days(day)).to_string();
    shown.split('T').next().unwrap_or_default().to_owned()
}
