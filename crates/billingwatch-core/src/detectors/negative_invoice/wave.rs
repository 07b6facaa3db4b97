//! A wave of refunds: many more charges given back in a day than this merchant usually gives back.
//!
//! Opens when at least `wave_count_min` charges were refunded within [`WINDOW`] and so many are
//! implausible even at twice the usual rate (exact Poisson test), and are half as many again as on
//! the busiest of the last four weeks' days: who gives back a week's refunds each Monday has such
//! Mondays. Closes when the window holds no more than is plausible.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::Context;
use crate::detectors::words::{as_f64, percent, rounded};
use crate::event::{Event, EventData};
use crate::ids::Key;
use crate::ledger::RefundFact;
use crate::money::{Currency, Money, share_bps};
use crate::stats::poisson_tail;
use crate::time::{Span, Timestamp};

/// The length of the rolling window.
const WINDOW: Span = Span::hours(24);

/// The most refunded charges remembered in the window; the oldest fall out early beyond it.
const WINDOW_MAX: usize = 20_000;

/// Days whose counts are kept.
const DAYS: usize = 28;

/// Refunded charges per payment until the merchant's own rate is known: 5 %, weighing as much as
/// 200 payments.
const PRIOR: (f64, f64) = (10.0, 200.0);

/// Payments without which nothing is said: too little is known of this merchant.
const PAYMENTS_MIN: u64 = 50;

/// Days without which nothing is said: refunds follow payments by days.
const DAYS_MIN: i64 = 7;

/// The alert's key.
const KEY: &str = "refund_wave";

/// What can be set of it.
pub(super) struct WaveSettings {
    pub(super) count_min: i64,
    pub(super) chance_ppm_max: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Refunded {
    at: Timestamp,
    charge: Key,
    refund_id: Box<str>,
    charge_id: Option<Box<str>>,
    event_id: Box<str>,
    amount: i64,
    currency: Currency,
}

/// A day of payments, and of charges refunded in peace.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Day {
    day: i64,
    payments: u64,
    refunded: u64,
    /// Charges refunded while the alert was open.
    in_waves: u64,
}

/// One scope's newest refunds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Wave {
    window: VecDeque<Refunded>,
    days: VecDeque<Day>,
    firing: Option<Severity>,
    unreported: u64,
}

impl Wave {
    /// Counts a payment on its day.
    pub(super) fn count_payment(&mut self, day: i64) {
        if let Some(day) = self.day(day) {
            day.payments += 1;
        }
    }

    /// Takes in a refund.
    pub(super) fn take(
        &mut self,
        refund: &RefundFact,
        event: &Event,
        settings: &WaveSettings,
        ctx: &mut Context<'_>,
    ) {
        let EventData::Refund(object) = &event.data else {
            return;
        };
        // Surplus charges given back mend what another alert tells.
        if object.reason.as_deref() == Some("duplicate") {
            return;
        }
        self.forget(ctx);
        let charge = refund.charge.unwrap_or(refund.refund);
        let is_old = ctx.now().since(refund.at) > WINDOW;
        // Several refunds of one charge are one charge refunded.
        if is_old || self.window.iter().any(|known| known.charge == charge) {
            return;
        }
        if self.window.len() >= WINDOW_MAX {
            self.window.pop_front();
        }
        self.window.push_back(Refunded {
            at: refund.at,
            charge,
            refund_id: object.id.as_str().into(),
            charge_id: object.charge.as_ref().map(|id| id.as_str().into()),
            event_id: event.id.as_str().into(),
            amount: refund.amount,
            currency: refund.currency,
        });
        self.unreported += 1;
        if let Some((severity, _)) = self.judge(today(ctx), settings)
            && self.firing.is_none_or(|known| severity > known)
        {
            self.report(settings, ctx);
        }
    }

    /// Lets time pass: ends the alert, or lets it grow.
    pub(super) fn tick(&mut self, settings: &WaveSettings, ctx: &mut Context<'_>) {
        self.forget(ctx);
        if self.firing.is_none() {
            return;
        }
        let count = self.window.len() as u64;
        let expected = self.expected(today(ctx));
        if poisson_tail(count, expected * 2.0) > 0.01 {
            self.firing = None;
            self.unreported = 0;
            let reason =
                format!("{count} charges refunded within {WINDOW}, {expected:.1} are usual");
            ctx.clear(KEY, reason);
        } else if self.unreported > 0 {
            self.report(settings, ctx);
        }
    }

    /// The record of a day; none for days before those kept.
    fn day(&mut self, day: i64) -> Option<&mut Day> {
        if self.days.back().is_none_or(|newest| day > newest.day) {
            self.days.push_back(Day {
                day,
                ..Day::default()
            });
            while self.days.len() > DAYS {
                self.days.pop_front();
            }
        }
        self.days.iter_mut().rev().find(|known| known.day == day)
    }

    /// What leaves the window in peace becomes part of what is usual.
    fn forget(&mut self, ctx: &Context<'_>) {
        let (from, calendar) = (ctx.now() - WINDOW, ctx.calendar());
        while let Some(oldest) = self.window.front().filter(|oldest| oldest.at < from) {
            let day = calendar.day(oldest.at);
            self.window.pop_front();
            let is_peace = self.firing.is_none();
            if let Some(day) = self.day(day) {
                day.refunded += u64::from(is_peace);
                day.in_waves += u64::from(!is_peace);
            }
        }
    }

    /// How many are usual in a window: refunded charges per payment, times payments a day of the
    /// newest week.
    fn expected(&self, today: i64) -> f64 {
        let payments: u64 = self.days.iter().map(|day| day.payments).sum();
        let refunded: u64 = self.days.iter().map(|day| day.refunded).sum();
        let rate = (as_f64(refunded) + PRIOR.0) / (as_f64(payments) + PRIOR.1);
        (rate * self.payments_a_day(today)).max(0.5)
    }

    fn payments_a_day(&self, today: i64) -> f64 {
        let week = || {
            self.days
                .iter()
                .filter(|day| (today - 7..today).contains(&day.day))
        };
        let known = self
            .days
            .front()
            .map_or(0, |first| (today - first.day).clamp(1, 7));
        let sum: u64 = week().map(|day| day.payments).sum();
        as_f64(sum) / as_f64(u64::try_from(known).unwrap_or(1).max(1))
    }

    fn judge(&self, today: i64, settings: &WaveSettings) -> Option<(Severity, f64)> {
        let count = self.window.len() as u64;
        let payments: u64 = self.days.iter().map(|day| day.payments).sum();
        let is_enough = i64::try_from(count).unwrap_or(i64::MAX) >= settings.count_min;
        let first = self.days.front().map_or(i64::MAX, |first| first.day);
        let is_known = payments >= PAYMENTS_MIN && today.saturating_sub(first) >= DAYS_MIN;
        if !is_enough || !is_known {
            return None;
        }
        if count * 2 <= self.busiest() * 3 {
            return None;
        }
        let chance = poisson_tail(count, self.expected(today) * 2.0);
        if chance * 1e6 > as_f64(u64::try_from(settings.chance_ppm_max).unwrap_or(0)) {
            return None;
        }
        let severity = match self.share_bps(today) {
            5_000.. => Severity::Critical,
            1_000.. => Severity::High,
            _ => Severity::Medium,
        };
        Some((severity, chance))
    }

    /// The most charges refunded on a day, as far as that is usual: in peace, or in three waves.
    /// What came three times in four weeks comes again, and is not told for ever; twice may be two
    /// mishaps.
    fn busiest(&self) -> u64 {
        let in_peace = self.days.iter().map(|day| day.refunded).max();
        let mut all: Vec<u64> = self
            .days
            .iter()
            .map(|day| day.refunded + day.in_waves)
            .collect();
        all.sort_unstable();
        let third = all.len().checked_sub(3).map_or(0, |place| all[place]);
        in_peace.unwrap_or(0).max(third)
    }

    /// Refunded charges per payment of a usual day.
    fn share_bps(&self, today: i64) -> i64 {
        let payments = rounded(self.payments_a_day(today)).max(1);
        share_bps(
            i64::try_from(self.window.len()).unwrap_or(i64::MAX),
            payments,
        )
    }

    fn report(&mut self, settings: &WaveSettings, ctx: &mut Context<'_>) {
        let Some((severity, chance)) = self.judge(today(ctx), settings) else {
            return;
        };
        let severity = self.firing.map_or(severity, |known| known.max(severity));
        self.firing = Some(severity);
        let count = self.window.len();
        let expected = self.expected(today(ctx));
        let mut finding = Finding::new(KEY, severity, "Refunds come in a wave");
        finding.anomaly_score = anomaly_score(chance);
        finding.occurrences = std::mem::take(&mut self.unreported);
        let newest = || self.window.iter().rev();
        let currency = newest().next().map(|one| one.currency);
        let sum = currency.map(|currency| {
            let same = newest().filter(|one| one.currency == currency);
            let sum = same.fold(0_i64, |sum, one| sum.saturating_add(one.amount));
            Money::new(sum, currency)
        });
        let share = self.share_bps(today(ctx));
        finding.message = format!(
            "{count} charges were refunded within {WINDOW}, where {expected:.1} are usual: {} of \
             the payments of a day",
            percent(share)
        );
        if let Some(sum) = sum {
            finding.currency = currency;
            finding.amount_at_stake = Some(sum.amount);
            finding.message += &format!("; {sum} given back");
        }
        let id_of = |one: &Refunded| one.charge_id.as_ref().unwrap_or(&one.refund_id).to_string();
        finding.subjects = newest().take(20).map(id_of).collect();
        let evidence = &mut finding.evidence;
        evidence.event_ids = newest()
            .take(20)
            .map(|one| one.event_id.to_string())
            .collect();
        evidence.object_ids = newest()
            .take(20)
            .map(|one| one.refund_id.to_string())
            .collect();
        evidence.measures = vec![
            Measure::new(
                "charges_refunded",
                i64::try_from(count).unwrap_or(i64::MAX),
                Unit::Count,
            )
            .expected(rounded(expected))
            .threshold(settings.count_min),
            Measure::new("share_of_payments", share, Unit::BasisPoints),
        ];
        evidence.reasons.push(format!(
            "at twice the usual rate so many come by chance with probability {chance:.1e}"
        ));
        ctx.fire(finding);
    }
}

/// The merchant's day.
fn today(ctx: &Context<'_>) -> i64 {
    ctx.calendar().day(ctx.now())
}
