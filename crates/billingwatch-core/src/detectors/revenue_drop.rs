//! A complete day that collected much less than it should have.
//!
//! Opens when a complete day (UTC) of one currency collected more than `drop_bps_min` less than
//! the average of the seven days before it **and** less than every other fair comparison: the
//! median of the same weekdays, the same day of last month (renewals follow the calendar), and
//! what this merchant's days vary by themselves. Closes on the first complete day that is back.
//! Days of an open alert are no yardstick for later ones.
//!
//! Judged [`SETTLE`] after midnight, when events on their way have arrived.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::detector::{Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError};
use crate::engine::{SnapshotError, decode, encode};
use crate::event::{Event, Family, FamilySet};
use crate::ledger::{Fact, PaymentFact};
use crate::money::{Currency, Money, share_bps};
use crate::stats::median;
use crate::time::{Span, Timestamp};

use super::words::percent;

/// How long after midnight a day is judged.
const SETTLE: Span = Span::hours(1);

/// Days remembered: enough to see the same day of last month with both its neighbours.
const DAYS_MAX: usize = 63;

/// The most currencies watched; further ones are ignored.
const CURRENCIES_MAX: usize = 64;

/// Days of the average that the product promises.
const AVERAGE_DAYS: i64 = 7;

crate::settings! {
    /// How far below the average of the seven days before a day must fall, in basis points.
    drop_bps_min: i64 = 1_500, 100 => 10_000;
    /// Within how much of what was expected a day counts as back, in basis points below it.
    recovery_bps_max: i64 = 1_000, 0 => 10_000;
    /// Complete days that must be known before any day is judged.
    days_min: i64 = 8, 8 => 60;
    /// How many times the usual deviation of its days (median absolute) a drop must be. Higher is
    /// quieter.
    deviations_min: i64 = 4, 0 => 100;
    /// Payments a day is expected to have before its sum says anything: below it chance rules.
    payments_min: i64 = 8, 1 => 1_000_000;
    /// Only the average of seven days counts, as the plainest form of the rule: no weekday, no
    /// calendar, no deviation.
    is_literal: bool = false;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "revenue_drop",
    description: "A complete day collected more than 15 % below the 7-day average, and below \
                  what its weekday and the renewal calendar explain.",
    listens: FamilySet::of(&[Family::Charge, Family::PaymentIntent, Family::Invoice]),
    settings: Settings::SPECS,
};

/// Makes this detector.
pub(super) const FACTORY: FactoryOf<RevenueDrop> = FactoryOf::new(&SPEC);

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Day {
    day: i64,
    collected: i64,
    payments: i64,
    /// Part of an incident: no yardstick.
    is_incident: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Series {
    /// Without gaps, oldest first; the last one may be incomplete.
    days: VecDeque<Day>,
    judged_day: i64,
    firing: Option<Severity>,
}

/// One scope's days, by currency.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct RevenueDrop {
    #[serde(skip)]
    settings: Settings,
    series: BTreeMap<Currency, Series>,
    judged_day: i64,
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

impl Detector for RevenueDrop {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        self.settings = Settings::read(values);
        Ok(())
    }

    fn event(&mut self, _event: &Event, ctx: &mut Context<'_>) {
        for fact in ctx.facts() {
            if let Fact::Payment(payment) = fact {
                self.take(payment);
            }
        }
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        let yesterday = (ctx.now() - SETTLE).day() - 1;
        if yesterday <= self.judged_day {
            return;
        }
        self.judged_day = yesterday;
        for (currency, series) in &mut self.series {
            series.reach(yesterday);
            series.judge(*currency, yesterday, &self.settings, ctx);
        }
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        encode(self)
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let settings = std::mem::take(&mut self.settings);
        *self = Self {
            settings,
            ..decode(bytes)?
        };
        Ok(())
    }
}

impl RevenueDrop {
    fn take(&mut self, payment: &PaymentFact) {
        if self.series.len() >= CURRENCIES_MAX && !self.series.contains_key(&payment.currency) {
            return;
        }
        let series = self.series.entry(payment.currency).or_default();
        let day = payment.at.day();
        series.reach(day);
        if let Some(found) = series.day_mut(day) {
            found.collected = found.collected.saturating_add(payment.amount);
            found.payments += 1;
        }
    }
}

impl Series {
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

    fn day(&self, day: i64) -> Option<&Day> {
        let first = self.days.front()?.day;
        self.days.get(usize::try_from(day - first).ok()?)
    }

    fn day_mut(&mut self, day: i64) -> Option<&mut Day> {
        let first = self.days.front()?.day;
        self.days.get_mut(usize::try_from(day - first).ok()?)
    }

    fn judge(&mut self, currency: Currency, day: i64, settings: &Settings, ctx: &mut Context<'_>) {
        let Some(today) = self.day(day).copied() else {
            return;
        };
        let Some(yardstick) = self.yardstick(day, settings) else {
            return;
        };
        let key = currency.as_str();
        let drop = share_bps(yardstick.expected - today.collected, yardstick.expected);
        if self.firing.is_some() && drop <= settings.recovery_bps_max {
            self.firing = None;
            let seen = Money::new(today.collected, currency);
            ctx.clear(key, format!("{} collected {seen} again", date(day)));
            return;
        }
        let is_drop = drop > settings.drop_bps_min
            && yardstick.expected - today.collected
                > yardstick.deviation.saturating_mul(settings.deviations_min)
            && yardstick.payments >= settings.payments_min;
        if !is_drop {
            let below = share_bps(yardstick.average - today.collected, yardstick.average);
            if self.firing.is_none() && below > settings.drop_bps_min {
                let (reason, why) = yardstick.excuse(drop, currency, settings);
                let below = percent(below);
                let message = format!("{} was {below} below the 7-day average: {why}", date(day));
                ctx.suppress(reason, Some(key), message);
            }
            return;
        }
        let severity = match drop {
            5_000.. => Severity::Critical,
            3_000.. => Severity::High,
            _ => Severity::Medium,
        };
        self.firing = self.firing.max(Some(severity));
        if let Some(today) = self.day_mut(day) {
            today.is_incident = true;
        }
        ctx.fire(describe(
            currency, &today, &yardstick, drop, severity, settings,
        ));
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
    // So many deviations as a share of twelve decades: three are about 0.25, six and more are 1.
    finding.anomaly_score =
        crate::alert::anomaly_score(crate::stats::normal_tail(missing, deviation));
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

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use insta::assert_snapshot;

    /// Days of so many payments of 50.00 each, one an hour from midnight.
    fn days(payments_a_day: &[u32]) -> String {
        let mut timeline = String::from("+0s wait\n");
        for payments in payments_a_day {
            let gap = 86_400 / (payments + 1);
            let rest = 86_400 - payments * gap;
            timeline += &format!("+{gap}s charge.succeeded amt=5000 x{payments}/{gap}s\n");
            timeline += &format!("+{rest}s wait\n");
        }
        timeline + "+2h wait\n"
    }

    #[test]
    fn a_day_far_below_fires_and_the_day_that_is_back_ends_it() {
        assert_snapshot!(
            check("revenue_drop", &days(&[20, 21, 20, 19, 20, 21, 20, 20, 21, 8, 20])),
            @"
            d10 01:00:00 firing critical usd: 2024-03-13 collected 400.00 USD, 60.2 % below the 7-day average of 1,007.14 USD and 60 % below the least that was to be expected (1,000.00 USD)
            d11 01:00:00 resolved critical usd: 2024-03-14 collected 1,000.00 USD again
            "
        );
    }

    #[test]
    fn weekends_are_no_drops() {
        let week = [30, 30, 31, 30, 29, 12, 10];
        let told = check("revenue_drop", &days(&[week, week, week, week].concat()));
        assert!(!told.contains("firing"), "{told}");
        assert!(told.contains("quiet usual_for_the_day"), "{told}");
    }

    #[test]
    fn a_drop_on_a_weekend_is_found_all_the_same() {
        let week = [30, 30, 31, 30, 29, 12, 10];
        let mut lost = week;
        lost[5] = 2;
        let told = check(
            "revenue_drop",
            &days(&[week, week, week, week, lost].concat()),
        );
        assert_eq!(told.matches("firing").count(), 1, "{told}");
    }

    #[test]
    fn fourteen_percent_less_is_none() {
        let told = check(
            "revenue_drop",
            &days(&[50, 50, 50, 50, 50, 50, 50, 50, 50, 43]),
        );
        assert_eq!(told, "");
    }

    #[test]
    fn the_first_week_is_never_judged() {
        assert_eq!(
            check("revenue_drop", &days(&[50, 50, 50, 50, 50, 50, 50, 1])),
            ""
        );
    }

    #[test]
    fn a_merchant_with_few_payments_is_left_to_silent_lapse() {
        let told = check("revenue_drop", &days(&[3, 2, 3, 4, 3, 2, 3, 3, 2, 0, 3]));
        assert!(!told.contains("firing"), "{told}");
        assert!(told.contains("quiet too_few_payments"), "{told}");
    }

    #[test]
    fn currencies_are_kept_apart() {
        let both = |usd: u32, eur: u32| {
            format!(
                "
            +1m charge.succeeded amt=5000 x{usd}/10m
            +1m charge.succeeded amt=9000 cur=eur x{eur}/10m
        "
            )
        };
        let mut timeline = String::new();
        for day in 0..11 {
            let eur = if day == 9 { 5 } else { 40 };
            let used = 2 * 60 + (40 + eur - 2) * 600;
            timeline += &both(40, eur);
            timeline += &format!("+{}s wait\n", 86_400 - used);
        }
        let told = check("revenue_drop", &timeline);
        assert_eq!(told.matches("firing").count(), 1, "{told}");
        assert!(told.contains("eur: "), "{told}");
    }
}
