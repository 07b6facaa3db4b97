//! Much less money than there should be.
//!
//! Two judges watch each currency; the alert is open while either says so.
//!
//! **Expected against collected**, hour by hour: each active subscription says when it renews and
//! for how much, and sales that no subscription foretells have their own hour of the week. Opens
//! when a window of 6, 24 or 72 hours lacks more than `drop_bps_min` of what was expected **and**
//! so few payments are implausible; so a certain loss is told on the day it happens. An hour is
//! judged [`SETTLE`] after it, and only once newer events arrived in time: what is on its way is
//! not lost.
//!
//! **Complete days** (UTC) against the average of the seven days before **and** every other fair
//! comparison: the same weekdays, the same day of last month, and what this merchant's days vary
//! by themselves. It needs no subscription to be known.
//!
//! Hours and days of an open alert are no yardstick for later ones.

mod collected;
mod days;
mod renewals;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::{Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError};
use crate::event::{Event, EventData, Family, FamilySet};
use crate::ids::Key;
use crate::ledger::{Fact, PaymentFact};
use crate::money::{Currency, Money, share_bps};
use crate::snapshot::{SnapshotError, decode, encode};
use crate::time::{Span, Timestamp};

use super::arrivals::Arrivals;
use super::words::{percent, rounded};
use collected::{Collected, Gap, HOUR};
use days::{Series, Verdict};
use renewals::Renewals;

/// How long after a day or an hour it is judged: invoices finalise an hour after they are made.
const SETTLE: Span = Span::hours(3);

/// A day may be judged without newer events when they came until this long before its end.
const DAY_SEEN: Span = Span::hours(3);

/// The most currencies watched; further ones are ignored.
const CURRENCIES_MAX: usize = 64;

/// Payments a window must have expected before its recovery can be judged.
const RECOVERY_MIN: f64 = 3.0;

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
    /// How likely, in millionths, so few payments may be before they count as chance.
    chance_ppm_max: i64 = 20, 1 => 50_000;
    /// Only the average of seven days counts, as the plainest form of the rule: no weekday, no
    /// calendar, no deviation.
    is_literal: bool = false;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "revenue_drop",
    description: "Collected more than 15 % below what subscriptions and the usual sales foretold, \
                  or a day below its 7-day average, weekday and calendar.",
    listens: FamilySet::of(&[
        Family::Charge,
        Family::PaymentIntent,
        Family::Invoice,
        Family::InvoicePayment,
        Family::Subscription,
    ]),
    settings: Settings::SPECS,
};

/// Makes this detector.
pub(super) const FACTORY: FactoryOf<RevenueDrop> = FactoryOf::new(&SPEC);

/// One currency.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Watched {
    days: Series,
    hours: Collected,
    is_day_low: bool,
    is_gap_open: bool,
    /// How much was missing when the gap was last told, in steps that are worth telling.
    told_amount: i64,
}

/// One scope's money, by currency.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct RevenueDrop {
    #[serde(skip)]
    settings: Settings,
    watched: BTreeMap<Currency, Watched>,
    renewals: Renewals,
    arrivals: Arrivals,
    judged_day: i64,
    judged_hour: i64,
}

impl Detector for RevenueDrop {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        self.settings = Settings::read(values);
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        self.arrivals.take(ctx.now(), ctx.event_at());
        for fact in ctx.facts() {
            match fact {
                Fact::Payment(payment) => self.take(payment),
                Fact::SubscriptionChanged { subscription } => {
                    let record = ctx.ledger().subscription(*subscription);
                    self.renewals.look(*subscription, record, false, ctx.now());
                }
                Fact::SubscriptionPaid {
                    subscription,
                    invoice,
                } => {
                    let record = ctx.ledger().subscription(*subscription);
                    self.renewals.look(*subscription, record, true, ctx.now());
                    self.take_foretold(*subscription, *invoice, event, ctx);
                }
                _ => {}
            }
        }
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        let horizon = (self.arrivals.horizon(ctx.now()) - SETTLE).floor_to(HOUR);
        let yesterday = (ctx.now() - SETTLE).day() - 1;
        let day_end = Timestamp::EPOCH + Span::days(yesterday + 1);
        let is_day_seen = horizon >= day_end || self.arrivals.fresh_at() >= day_end - DAY_SEEN;
        if yesterday > self.judged_day && is_day_seen {
            self.judged_day = yesterday;
            for (currency, watched) in &mut self.watched {
                watched.judge_day(*currency, yesterday, &self.settings, ctx);
            }
        }
        let hour = horizon.as_millis() / HOUR.as_millis();
        if hour > self.judged_hour && !self.settings.is_literal {
            self.judged_hour = hour;
            self.settle(horizon);
            for (currency, watched) in &mut self.watched {
                watched.hours.close(hour);
                watched.judge_gap(*currency, &self.settings, ctx);
            }
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
    fn watched(&mut self, currency: Currency) -> Option<&mut Watched> {
        if self.watched.len() >= CURRENCIES_MAX && !self.watched.contains_key(&currency) {
            return None;
        }
        Some(self.watched.entry(currency).or_default())
    }

    fn take(&mut self, payment: &PaymentFact) {
        if let Some(watched) = self.watched(payment.currency) {
            watched.days.take(payment.at.day(), payment.amount);
            watched.hours.sale(payment.at, payment.amount, 1);
        }
    }

    /// A subscription's payment was told as a payment too: it is no sale.
    fn take_foretold(&mut self, subscription: Key, invoice: Key, event: &Event, ctx: &Context<'_>) {
        let is_by_hand =
            matches!(&event.data, EventData::Invoice(invoice) if invoice.is_paid_out_of_band);
        let amount = ctx
            .ledger()
            .invoice(invoice)
            .map_or(0, |record| record.amount_paid);
        let record = ctx.ledger().subscription(subscription);
        if let (false, 1.., Some(currency)) = (
            is_by_hand,
            amount,
            record.and_then(|record| record.currency),
        ) && let Some(watched) = self.watched(currency)
        {
            watched
                .hours
                .sale(ctx.event_at(), amount.saturating_neg(), -1);
        }
    }

    /// Foretold payments whose time is over.
    fn settle(&mut self, horizon: Timestamp) {
        while let Some((at, due)) = self.renewals.take_before(horizon) {
            if let Some(watched) = self.watched(due.currency) {
                watched.hours.settle(at, due);
            }
        }
    }
}

impl Watched {
    fn judge_day(
        &mut self,
        currency: Currency,
        day: i64,
        settings: &Settings,
        ctx: &mut Context<'_>,
    ) {
        self.days.reach(day);
        match self.days.judge(currency, day, settings, ctx) {
            Verdict::Nothing => {}
            Verdict::Fired => self.is_day_low = true,
            Verdict::Over(reason) => {
                self.is_day_low = false;
                self.clear(currency, reason, ctx);
            }
        }
        if self.is_gap_open {
            self.days.mark(day);
        }
    }

    fn judge_gap(&mut self, currency: Currency, settings: &Settings, ctx: &mut Context<'_>) {
        if self.is_gap_open {
            self.judge_recovery(currency, settings, ctx);
        }
        let found = if self.is_gap_open {
            self.hours.mark(1);
            self.hours
                .gap(24)
                .filter(|gap| is_implausible(gap, settings))
        } else {
            self.hours
                .gaps()
                .into_iter()
                .find(|gap| is_implausible(gap, settings))
        };
        let Some(gap) = found else { return };
        let missing = gap.expected.saturating_sub(gap.collected);
        if !self.is_gap_open {
            self.hours.mark(gap.hours);
        } else if missing < self.told_amount.saturating_add(self.told_amount / 4) {
            // The hour's look is told again only when the loss grew by a quarter.
            return;
        }
        self.is_gap_open = true;
        self.told_amount = missing;
        ctx.fire(describe(currency, &gap, settings));
    }

    fn judge_recovery(&mut self, currency: Currency, settings: &Settings, ctx: &mut Context<'_>) {
        let payments = |gap: &Gap| gap.sales_expected + super::words::as_f64(gap.due);
        let newest = [6, 24]
            .into_iter()
            .filter_map(|hours| self.hours.gap(hours));
        let Some(gap) = newest.into_iter().find(|gap| payments(gap) >= RECOVERY_MIN) else {
            return;
        };
        let drop = share_bps(gap.expected - gap.collected, gap.expected);
        if drop > settings.recovery_bps_max {
            return;
        }
        self.is_gap_open = false;
        self.told_amount = 0;
        let reason = format!(
            "the last {} hours brought {} of {} expected",
            gap.hours,
            Money::new(gap.collected, currency),
            Money::new(gap.expected, currency)
        );
        self.clear(currency, reason, ctx);
    }

    /// Over when both judges say so.
    fn clear(&self, currency: Currency, reason: String, ctx: &mut Context<'_>) {
        if !self.is_day_low && !self.is_gap_open {
            ctx.clear(currency.as_str(), reason);
        }
    }
}

fn is_implausible(gap: &Gap, settings: &Settings) -> bool {
    let drop = share_bps(gap.expected - gap.collected, gap.expected);
    drop > settings.drop_bps_min && gap.chance * 1e6 <= settings.chance_ppm_max as f64
}

fn severity_of(drop_bps: i64) -> Severity {
    match drop_bps {
        5_000.. => Severity::Critical,
        3_000.. => Severity::High,
        _ => Severity::Medium,
    }
}

fn describe(currency: Currency, gap: &Gap, settings: &Settings) -> Finding {
    let drop = share_bps(gap.expected - gap.collected, gap.expected);
    let mut finding = Finding::new(currency.as_str(), severity_of(drop), "Revenue dropped");
    finding.anomaly_score = anomaly_score(gap.chance);
    finding.message = format!(
        "{} hours brought {}, {} less than the {} that subscriptions and usual sales foretold: {} \
         of {} renewals paid, {} other payments where {} are usual",
        gap.hours,
        Money::new(gap.collected, currency),
        percent(drop),
        Money::new(gap.expected, currency),
        gap.paid,
        gap.due,
        gap.sales,
        rounded(gap.sales_expected),
    );
    finding.currency = Some(currency);
    finding.amount_at_stake = Some(gap.expected.saturating_sub(gap.collected));
    let allowed = i128::from(gap.expected) * i128::from(10_000 - settings.drop_bps_min) / 10_000;
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    finding.evidence.measures = vec![
        Measure::new("collected", gap.collected, Unit::MinorUnits)
            .expected(gap.expected)
            .threshold(i64::try_from(allowed).unwrap_or(i64::MAX)),
        Measure::new("renewals_paid", count(gap.paid), Unit::Count).expected(count(gap.due)),
        Measure::new("other_payments", gap.sales, Unit::Count)
            .expected(rounded(gap.sales_expected)),
        Measure::new(
            "window_secs",
            i64::try_from(gap.hours).unwrap_or(0) * 3_600,
            Unit::Seconds,
        ),
    ];
    finding.evidence.reasons.push(format!(
        "so few payments come by chance with probability {:.1e}",
        gap.chance
    ));
    finding
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
        timeline + "+4h wait\n"
    }

    #[test]
    fn a_day_far_below_fires_and_the_day_that_is_back_ends_it() {
        assert_snapshot!(
            check("revenue_drop", &days(&[20, 21, 20, 19, 20, 21, 20, 20, 21, 8, 20])),
            @"
            d10 03:00:00 firing critical usd: 2024-03-13 collected 400.00 USD, 60.2 % below the 7-day average of 1,007.14 USD and 60 % below the least that was to be expected (1,000.00 USD)
            d11 03:00:00 resolved critical usd: 2024-03-14 collected 1,000.00 USD again
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
