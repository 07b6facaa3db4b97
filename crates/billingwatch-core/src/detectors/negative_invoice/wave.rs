//! A wave of refunds: many more charges given back within three days, two, one, six hours or an hour than
//! this merchant usually gives back.
//!
//! Opens when at least `wave_count_min` charges were refunded within one of the [windows](Reach), so
//! many are implausible as far as this merchant's days [stray](Usual) (negative binomial test), and are half
//! as many again as in the busiest of the last four weeks: who gives back a week's refunds each Monday has
//! such Mondays, and who does so at the end of each month has such months. Closes when no
//! window holds more than is plausible.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::Context;
use crate::detectors::words::{as_f64, percent, rounded};
use crate::event::{Event, EventData};
use crate::ids::Key;
use crate::ledger::RefundFact;
use crate::money::{Currency, Money, share_bps};
use crate::time::{Span, Timestamp};

use super::wave_days::{Reach, Usual, WaveDays};
use super::wave_early;
use super::wave_hours::WaveHours;

/// The longest of the rolling windows.
const WINDOW: Span = Reach::ThreeDays.span();

/// The most refunded charges remembered in the window; the oldest fall out early beyond it.
const WINDOW_MAX: usize = 20_000;

/// Payments without which nothing is said: too little is known of this merchant.
const PAYMENTS_MIN: u64 = 50;

/// Where no events tell of payments, and in the first week: refunds without which nothing is said.
const REFUNDS_MIN: u64 = 20;

/// There a wave of so many times the usual is a high one: it has no share of payments.
const HIGH_TIMES: f64 = 10.0;

/// Days without which nothing is said: refunds follow payments by days.
const DAYS_MIN: i64 = 7;

/// One fewer than must be will do where so many are less likely by this factor: at a small merchant seven
/// within hours are beyond doubt.
const ONE_FEWER_DOUBT: f64 = 0.2;

/// At hours at which nobody refunds a wave must be so many times what is refunded in a day: a day's work may be
/// done late for once.
const ODD_TIMES: f64 = 2.0;

/// What is usual at such hours: next to nothing, as far as few of them can say.
const ODD_USUAL: Usual = Usual {
    mean: 0.5,
    stray: 0.5,
};

/// A wave is over when what the windows hold is more likely than this.
const CALM_CHANCE: f64 = 0.01;

/// What comes in a wave, and the words for it.
pub(super) struct Kind {
    /// The alert's key.
    key: &'static str,
    title: &'static str,
    /// What was done, and what was done to whom.
    what: &'static str,
    whats: &'static str,
    sum: &'static str,
    measure: &'static str,
}

/// Charges that are refunded.
pub(super) static REFUNDS: Kind = Kind {
    key: "refund_wave",
    title: "Refunds come in a wave",
    what: "charges were refunded",
    whats: "charges refunded",
    sum: "given back",
    measure: "charges_refunded",
};

/// Paid invoices that are credited beside refunds: to their customers' balances, or outside Stripe.
pub(super) static CREDITS: Kind = Kind {
    key: "credit_wave",
    title: "Credits come in a wave",
    what: "paid invoices were credited",
    whats: "paid invoices credited",
    sum: "credited",
    measure: "invoices_credited",
};

/// What can be set of it.
pub(super) struct WaveSettings {
    pub(super) kind: &'static Kind,
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
    /// Part of a wave that is told.
    is_wave: bool,
}

/// What an open alert is about.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Incident {
    severity: Severity,
    reach: Reach,
    is_odd: bool,
}

/// What one window holds.
#[derive(Clone, Copy, Debug)]
struct Seen {
    reach: Reach,
    count: u64,
    usual: Usual,
    chance: f64,
    severity: Severity,
    /// Not so many, but at hours at which this merchant refunds nothing.
    is_odd: bool,
}

/// One scope's newest refunds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Wave {
    window: VecDeque<Refunded>,
    days: WaveDays,
    hours: WaveHours,
    firing: Option<Incident>,
    /// When the last wave was over: what belongs to it makes no second one.
    floor_at: Timestamp,
    unreported: u64,
}

impl Wave {
    /// Counts a payment on its day.
    pub(super) fn count_payment(&mut self, day: i64) {
        self.days.count_payment(day);
    }

    /// Takes in a refund.
    pub(super) fn take(
        &mut self,
        refund: &RefundFact,
        event: &Event,
        settings: &WaveSettings,
        ctx: &mut Context<'_>,
    ) {
        // Surplus charges given back mend what another alert tells.
        if let EventData::Refund(object) = &event.data
            && object.reason.as_deref() == Some("duplicate")
        {
            return;
        }
        let Some((id, charge_id)) = super::refund_ids(event) else {
            return;
        };
        self.forget(ctx);
        let charge = refund.charge.unwrap_or(refund.refund);
        let is_old = ctx.now().since(refund.at) > Reach::Day.span();
        // Several refunds of one charge are one charge refunded.
        if is_old || self.window.iter().any(|known| known.charge == charge) {
            return;
        }
        if self.window.len() >= WINDOW_MAX {
            self.window.pop_front();
        }
        self.days.count_made(ctx.calendar().day(refund.at));
        self.window.push_back(Refunded {
            at: refund.at,
            charge,
            refund_id: id.into(),
            charge_id: charge_id.map(Into::into),
            event_id: event.id.as_str().into(),
            amount: refund.amount,
            currency: refund.currency,
            is_wave: self.firing.is_some(),
        });
        self.unreported += 1;
        for reach in Reach::ALL {
            let (count, in_waves) = self.count(reach, ctx);
            (self.days).note(today(ctx), reach, count, count - in_waves);
        }
        if let Some(seen) = self.judge(settings, ctx)
            && self
                .firing
                .is_none_or(|known| seen.severity > known.severity)
        {
            self.report(settings, ctx);
        }
    }

    /// Lets time pass: ends the alert, or lets it grow.
    pub(super) fn tick(&mut self, settings: &WaveSettings, ctx: &mut Context<'_>) {
        self.forget(ctx);
        let Some(incident) = self.firing else {
            return;
        };
        let is_plausible = |reach: Reach| {
            let usual = self.days.usual(today(ctx), reach);
            usual.is_none_or(|usual| usual.chance(self.count(reach, ctx).0) > CALM_CHANCE)
        };
        // A run of an hour that the day shows too is over with the day: one wave, one alert. Longer windows
        // hold it for days after.
        let is_calm = |reach: Reach| reach.span() > Reach::Day.span() || is_plausible(reach);
        let goes_on = incident.is_odd && self.count(incident.reach, ctx).0 > 0;
        if !goes_on && Reach::ALL.into_iter().all(is_calm) {
            self.firing = None;
            self.unreported = 0;
            let (count, _) = self.count(incident.reach, ctx);
            let usual = self.days.usual(today(ctx), incident.reach);
            let expected = usual.map_or(0.0, |usual| usual.mean);
            self.floor_at = ctx.now();
            let window = incident.reach.span();
            let whats = settings.kind.whats;
            let reason = format!("{count} {whats} within {window}, {expected:.1} are usual");
            ctx.clear(settings.kind.key, reason);
        } else if self.unreported > 0 {
            self.report(settings, ctx);
        }
    }

    /// What leaves the window in peace becomes part of what is usual.
    fn forget(&mut self, ctx: &Context<'_>) {
        self.hours.advance_to(today(ctx));
        let from = ctx.now() - WINDOW;
        while let Some(oldest) = self.window.pop_front_if(|oldest| oldest.at < from) {
            let day = ctx.calendar().day(oldest.at);
            self.days.count_refunded(day, oldest.is_wave);
            if !oldest.is_wave {
                self.hours.learn(oldest.at, ctx.calendar());
            }
        }
    }

    /// When a window begins: one of several days not before the end of the last wave.
    fn from(&self, reach: Reach, ctx: &Context<'_>) -> Timestamp {
        let from = ctx.now() - reach.span();
        if reach.days().is_some_and(|days| days > 1) {
            from.max(self.floor_at)
        } else {
            from
        }
    }

    /// Charges refunded within a window, and how many of them in a wave.
    fn count(&self, reach: Reach, ctx: &Context<'_>) -> (u64, u64) {
        let from = self.from(reach, ctx);
        let newest = self.window.iter().rev();
        let newest = newest.take_while(|one| one.at > from);
        newest.fold((0, 0), |(count, in_waves), one| {
            (count + 1, in_waves + u64::from(one.is_wave))
        })
    }

    /// Days since the first that is known of this merchant.
    pub(super) fn known_days(&self, ctx: &Context<'_>) -> i64 {
        self.days.known_days(today(ctx))
    }

    /// Whether enough is known of this merchant for anything to be said.
    pub(super) fn is_known(&self, ctx: &Context<'_>) -> bool {
        let is_known = if self.days.is_unpaid() {
            self.days.refunded() >= REFUNDS_MIN
        } else {
            self.days.payments() >= PAYMENTS_MIN
        };
        is_known && self.known_days(ctx) >= DAYS_MIN
    }

    /// Refunds at hours at which this merchant makes none: fewer are a wave then, as a day's would not show.
    fn weigh_odd(&self, settings: &WaveSettings, ctx: &Context<'_>) -> Option<Seen> {
        let reach = Reach::SixHours;
        let (count, _) = self.count(reach, ctx);
        let is_many = i64::try_from(count).is_ok_and(|count| count >= settings.count_min)
            && as_f64(count) >= ODD_TIMES * self.hours.a_day();
        if !is_many || !self.is_known(ctx) || !self.hours.are_odd(ctx.now(), ctx.calendar()) {
            return None;
        }
        let is_usual = count <= self.days.third(today(ctx), reach);
        let chance = ODD_USUAL.chance(count);
        let chance_max = as_f64(settings.chance_ppm_max.max(0).unsigned_abs()) / 1e6;
        let is_awaited = is_usual || self.days.is_awaited(count, today(ctx), reach);
        (chance <= chance_max && !is_awaited).then(|| Seen {
            reach,
            count,
            usual: ODD_USUAL,
            chance,
            severity: self.severity_of(count, ODD_USUAL.mean, today(ctx)),
            is_odd: true,
        })
    }

    /// The windows that hold more than is plausible.
    fn weigh(
        &self,
        settings: &WaveSettings,
        ctx: &Context<'_>,
    ) -> [Option<Seen>; Reach::ALL.len()] {
        let today = today(ctx);
        if !self.is_known(ctx) {
            return Reach::ALL.map(|reach| self.weigh_early(reach, settings, ctx));
        }
        // No share of the chance for each of a day's 24 hours: what is usual of an hour is the busiest of a
        // day, so that all of them are held against it already.
        let chance_max = as_f64(settings.chance_ppm_max.max(0).unsigned_abs()) / 1e6;
        Reach::ALL.map(|reach| {
            let (count, _) = self.count(reach, ctx);
            let doubt = match settings.count_min - i64::try_from(count).unwrap_or(i64::MAX) {
                ..=0 => 1.0,
                1 => ONE_FEWER_DOUBT,
                _ => return None,
            };
            let usual = self.days.usual(today, reach)?;
            let chance = usual.chance(count);
            (chance <= doubt * chance_max).then(|| self.seen(reach, count, usual, today))
        })
    }

    /// The same in the first week, where each day before had its refunds: of a part of a day alone, that brings many times what
    /// the busiest of them brought.
    fn weigh_early(
        &self,
        reach: Reach,
        settings: &WaveSettings,
        ctx: &Context<'_>,
    ) -> Option<Seen> {
        let (count, _) = self.count(reach, ctx);
        let today = today(ctx);
        if reach.days().is_some() || count < REFUNDS_MIN || self.days.payments() < PAYMENTS_MIN {
            return None;
        }
        let usual = self.days.usual(today, reach)?;
        let chance = usual.chance(count);
        let chance_max = as_f64(settings.chance_ppm_max.max(0).unsigned_abs()) / 1e6;
        (wave_early::is_beyond(count, &self.days, today) && chance <= chance_max)
            .then(|| self.seen(reach, count, usual, today))
    }

    /// A count against what is usual, as what was seen.
    fn seen(&self, reach: Reach, count: u64, usual: Usual, today: i64) -> Seen {
        Seen {
            reach,
            count,
            usual,
            chance: usual.chance(count),
            severity: self.severity_of(count, usual.mean, today),
            is_odd: false,
        }
    }

    /// The least plausible of the windows that hold more than ever.
    fn judge(&mut self, settings: &WaveSettings, ctx: &Context<'_>) -> Option<Seen> {
        let today = today(ctx);
        let seen = self.weigh(settings, ctx);
        let odd = self.weigh_odd(settings, ctx);
        for seen in seen.iter().flatten().chain(&odd) {
            // Told or not, it is no example of peace.
            self.days.note_run(today, seen.reach, seen.count);
            let from = self.from(seen.reach, ctx);
            for refunded in self.window.iter_mut().rev().filter(|one| one.at > from) {
                refunded.is_wave = true;
            }
        }
        let is_beyond = |seen: &Seen| self.days.is_beyond(seen.count, today, seen.reach);
        let seen = seen.into_iter().flatten().filter(is_beyond);
        seen.min_by(|one, other| one.chance.total_cmp(&other.chance))
            .or(odd)
    }

    fn severity_of(&self, count: u64, expected: f64, today: i64) -> Severity {
        if !self.days.is_unpaid() {
            return severity_of(self.share_bps(count, today));
        }
        if as_f64(count) >= expected * HIGH_TIMES {
            Severity::High
        } else {
            Severity::Medium
        }
    }

    /// Refunded charges per payment of a usual day.
    fn share_bps(&self, count: u64, today: i64) -> i64 {
        let payments = rounded(self.days.payments_a_day(today)).max(1);
        share_bps(i64::try_from(count).unwrap_or(i64::MAX), payments)
    }

    fn report(&mut self, settings: &WaveSettings, ctx: &mut Context<'_>) {
        let Some(seen) = self.judge(settings, ctx) else {
            return;
        };
        let severity = self
            .firing
            .map_or(seen.severity, |known| known.severity.max(seen.severity));
        self.firing = Some(Incident {
            severity,
            reach: seen.reach,
            is_odd: seen.is_odd,
        });
        let window = seen.reach.span();
        let from = self.from(seen.reach, ctx);
        let Seen {
            count,
            usual,
            chance,
            ..
        } = seen;
        let expected = usual.mean;
        let kind = settings.kind;
        let what = kind.what;
        let mut finding = Finding::new(kind.key, severity, kind.title);
        finding.anomaly_score = anomaly_score(chance);
        finding.occurrences = std::mem::take(&mut self.unreported);
        let newest = || self.window.iter().rev().filter(|one| one.at > from);
        let currency = newest().next().map(|one| one.currency);
        let sum = currency.map(|currency| {
            let same = newest().filter(|one| one.currency == currency);
            let sum = same.fold(0_i64, |sum, one| sum.saturating_add(one.amount));
            Money::new(sum, currency)
        });
        finding.message = if seen.is_odd {
            format!("{count} {what} within {window}, at hours at which none are usual")
        } else {
            format!("{count} {what} within {window}, where {expected:.1} are usual")
        };
        let share = (!self.days.is_unpaid()).then(|| self.share_bps(count, today(ctx)));
        if let Some(share) = share {
            finding.message += &format!(": {} of the payments of a day", percent(share));
        }
        if let Some(sum) = sum {
            finding.currency = currency;
            finding.amount_at_stake = Some(sum.amount);
            finding.message += &format!("; {sum} {}", kind.sum);
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
                kind.measure,
                i64::try_from(count).unwrap_or(i64::MAX),
                Unit::Count,
            )
            .expected(rounded(expected))
            .threshold(settings.count_min),
        ];
        evidence
            .measures
            .extend(share.map(|share| Measure::new("share_of_payments", share, Unit::BasisPoints)));
        evidence.reasons.push(format!(
            "as far as this merchant's days stray ({:.0} % and chance), so many come with probability \
             {chance:.1e}",
            usual.stray.sqrt() * 100.0
        ));
        ctx.fire(finding);
    }
}

const fn severity_of(share_bps: i64) -> Severity {
    match share_bps {
        5_000.. => Severity::Critical,
        1_000.. => Severity::High,
        _ => Severity::Medium,
    }
}

/// The merchant's day.
fn today(ctx: &Context<'_>) -> i64 {
    ctx.calendar().day(ctx.now())
}
