//! Disputes and early fraud warnings against payments, over a rolling day; and cards and new
//! customers that come too fast ([`velocity`]).
//!
//! Opens when at least `count_min` charges were disputed or warned of within `window_secs` and so
//! many are implausible at this merchant's own usual rate, be it of weeks or of the days just
//! before (exact Poisson test). Closes when the window holds no more than is plausible.
//!
//! A charge that is both warned of and disputed counts once. Inquiries (`warning_*`) are no
//! disputes: no money moved and no network counts them unless they escalate. Severity follows how
//! near the window's rate, and the month, are to the programmes of the networks ([`programme`]).

mod guests;
mod programme;
mod velocity;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::{Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError};
use crate::event::{Event, EventData, Family, FamilySet};
use crate::ids::Key;
use crate::ledger::{DisputeFact, Fact, Payment};
use crate::money::{Currency, Money, share_bps};
use crate::snapshot::{SnapshotError, decode, encode};
use crate::stats::poisson_tail;
use crate::time::{Span, Timestamp};

use super::words::{as_f64, percent};
use programme::{Network, Programme};
use velocity::Velocity;

/// The most disputes remembered in a window; the oldest fall out early beyond it.
const WINDOW_MAX: usize = 20_000;

/// Disputes per payment until the merchant's own rate is known: 0.3 %, weighing as much as 1,000
/// payments. Healthy card businesses see about 0.1 %; a stranger gets the benefit of the doubt.
const PRIOR: (f64, f64) = (3.0, 1_000.0);

/// A spike is over when what the window holds has been more likely than this for a while.
const CALM_CHANCE: f64 = 0.001;

/// See [`CALM_CHANCE`]: the disputes of one breach come in over days, with pauses of a night.
const CALM: Span = Span::hours(12);

/// What is kept of the learned counts from one day to the next: a memory of about eight weeks.
const KEPT_A_DAY: f64 = 55.0 / 56.0;

/// Visa's programme calls 1.5 % excessive (VAMP, since 1 April 2026).
const VAMP_EXCESSIVE_BPS: i64 = 150;

/// Stripe's rule of thumb for excessive dispute activity: 0.75 %.
const RULE_OF_THUMB_BPS: i64 = 75;

crate::settings! {
    /// Length of the rolling window, in seconds.
    window_secs: i64 = 86_400, 3_600 => 2_592_000;
    /// Disputed or warned-of charges within the window before anything is said.
    count_min: i64 = 5, 2 => 10_000;
    /// How likely, in millionths, so many may be at the usual rate before it counts as chance.
    chance_ppm_max: i64 = 10, 1 => 50_000;
    /// New customers that one card paid for, or cards that one customer paid with, within 24 hours
    /// before that is spoken of; more, where the busiest of eight weeks had half so many.
    velocity_min: i64 = 5, 3 => 50;
    /// Payments of one card without a customer within 3 hours before that is spoken of; more, where
    /// the busiest of eight weeks had half so many, and twice as many while no week is known.
    guest_payments_min: i64 = 6, 3 => 100;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "fraud_spike",
    description: "Five or more charges were disputed or warned of within 24 hours, out of the \
                  ordinary for this merchant; or cards and new customers come too fast.",
    listens: FamilySet::of(&[
        Family::Charge,
        Family::PaymentIntent,
        Family::Invoice,
        Family::Dispute,
        Family::FraudWarning,
    ]),
    settings: Settings::SPECS,
};

/// Makes this detector.
pub(super) const FACTORY: FactoryOf<FraudSpike> = FactoryOf::new(&SPEC);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Against {
    at: Timestamp,
    charge: Key,
    charge_id: Option<Box<str>>,
    event_id: Box<str>,
    is_warning: bool,
    amount: i64,
    currency: Option<Currency>,
}

/// One scope's disputes and warnings.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct FraudSpike {
    #[serde(skip)]
    settings: Settings,
    window: VecDeque<Against>,
    /// Learned: charges disputed or warned of, and payments, decaying.
    usual: (f64, f64),
    /// Payments of the current and the newest whole days, and charges disputed or warned of in
    /// peace on each.
    payments: VecDeque<(i64, u64, u64)>,
    programme: Programme,
    velocity: Velocity,
    firing: Option<Severity>,
    /// Since when no more come than are usual, while the alert is open.
    calm_since: Option<Timestamp>,
    unreported: u64,
}

impl Detector for FraudSpike {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        self.settings = Settings::read(values);
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        for fact in ctx.facts() {
            match fact {
                Fact::Payment(payment) => {
                    self.count_payment(ctx.calendar().day(payment.at));
                    if let EventData::Charge(charge) = &event.data {
                        let brand = charge.card.as_ref().and_then(|card| card.brand.as_deref());
                        if let Some(network) = brand.and_then(Network::of_brand) {
                            self.programme.count_payment(network, payment.at);
                        }
                        let least = (self.settings.velocity_min, self.settings.guest_payments_min);
                        self.velocity.take(charge, event, least, ctx);
                    }
                }
                Fact::Dispute(fact) => self.take(fact, false, event, ctx),
                Fact::FraudWarning(fact) => self.take(fact, true, event, ctx),
                _ => {}
            }
        }
        if let EventData::Dispute(dispute) = &event.data
            && dispute.is_inquiry()
        {
            let message = "an inquiry: no money moved and no network counts it";
            ctx.suppress("inquiry", Some(dispute.id.as_str()), message);
        }
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        self.forget(ctx);
        self.velocity.tick(ctx);
        if self.firing.is_none() {
            return;
        }
        let count = self.count();
        let expected = self.expected();
        if poisson_tail(count, expected) <= CALM_CHANCE {
            self.calm_since = None;
        } else if ctx.now().since(*self.calm_since.get_or_insert(ctx.now())) >= CALM {
            self.firing = None;
            self.calm_since = None;
            self.unreported = 0;
            ctx.clear(
                "all",
                format!("{count} in the window for {CALM} at most, {expected:.1} are usual"),
            );
            return;
        }
        if self.unreported > 0 {
            self.report(ctx);
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

impl FraudSpike {
    fn count_payment(&mut self, day: i64) {
        let is_newer = self
            .payments
            .back()
            .is_none_or(|(newest, ..)| day > *newest);
        if is_newer {
            self.start_day();
            self.payments.push_back((day, 1, 0));
        } else if let Some((_, count, _)) = self
            .payments
            .iter_mut()
            .rev()
            .find(|(known, ..)| *known == day)
        {
            *count += 1;
        }
        self.usual.1 += 1.0;
    }

    /// Lets go of days beyond the window, and decays what was learned by a day.
    fn start_day(&mut self) {
        let days = usize::try_from(self.settings.window_secs / 86_400).unwrap_or(1) + 7;
        while self.payments.len() >= days {
            self.payments.pop_front();
        }
        self.usual = (self.usual.0 * KEPT_A_DAY, self.usual.1 * KEPT_A_DAY);
    }

    fn take(&mut self, fact: &DisputeFact, is_warning: bool, event: &Event, ctx: &mut Context<'_>) {
        let brand = || ctx.ledger().payment(fact.charge).and_then(Payment::brand);
        let named = match &event.data {
            EventData::Dispute(dispute) => dispute.network.as_deref().and_then(Network::of_brand),
            _ => None,
        };
        if let Some(network) = named.or_else(|| brand().and_then(Network::of_brand)) {
            self.programme.count_against(network, is_warning, fact.at);
        }
        if fact.is_known_charge {
            let message = "a warning and a dispute of one charge count once";
            ctx.suppress("same_charge", charge_id_of(event), message);
            return;
        }
        self.forget(ctx);
        if ctx.now().since(fact.at) > self.window_span() {
            return;
        }
        if self.window.len() >= WINDOW_MAX {
            self.window.pop_front();
        }
        self.window.push_back(Against {
            at: fact.at,
            charge: fact.charge,
            charge_id: charge_id_of(event).map(Into::into),
            event_id: event.id.as_str().into(),
            is_warning,
            amount: fact.amount,
            currency: fact.currency,
        });
        self.unreported += 1;
        match self.judge() {
            Some((severity, _)) if self.firing.is_none_or(|known| severity > known) => {
                self.firing = Some(severity);
                self.report(ctx);
            }
            _ => {}
        }
    }

    /// What leaves the window in peace becomes part of what is usual.
    fn forget(&mut self, ctx: &Context<'_>) {
        let from = ctx.now() - self.window_span();
        while let Some(oldest) = self.window.front().filter(|oldest| oldest.at < from) {
            let day = ctx.calendar().day(oldest.at);
            self.window.pop_front();
            if self.firing.is_some() {
                continue;
            }
            self.usual.0 += 1.0;
            if let Some((.., against)) = self
                .payments
                .iter_mut()
                .rev()
                .find(|(known, ..)| *known == day)
            {
                *against += 1;
            }
        }
    }

    fn count(&self) -> u64 {
        self.window.len() as u64
    }

    fn count_min(&self) -> u64 {
        u64::try_from(self.settings.count_min).unwrap_or(u64::MAX)
    }

    /// Payments the window is held against: its share of the newest week, or the week's part seen.
    fn payments_in_window(&self) -> f64 {
        let days = as_f64(self.payments.len() as u64).max(1.0);
        let sum: u64 = self.payments.iter().map(|(_, count, _)| *count).sum();
        let window_days =
            as_f64(u64::try_from(self.settings.window_secs).unwrap_or_default()) / 86_400.0;
        as_f64(sum) / days * window_days
    }

    /// How many are usual in one window.
    fn expected(&self) -> f64 {
        // A dispute counts as usual once it left the window, so the window's payments do not yet.
        let in_window = self.payments_in_window();
        let payments = (self.usual.1 - in_window).max(0.0);
        let rate = (self.usual.0 + PRIOR.0) / (payments + PRIOR.1);
        (rate * in_window).max(self.lately(rate)).max(0.05)
    }

    /// How many came in one window of the week before, where that is more than chance: disputes
    /// follow payments by weeks, so a young or growing shop's rate of eight weeks lags behind what
    /// is usual by now.
    fn lately(&self, rate: f64) -> f64 {
        // The newest two days are, in part, still in the window.
        let week = self.payments.iter().rev().skip(2).take(7);
        let (days, payments, against) = week.fold(
            (0_u64, 0_u64, 0_u64),
            |(days, payments, against), (_, more_payments, more_against)| {
                (days + 1, payments + more_payments, against + more_against)
            },
        );
        if poisson_tail(against, rate * as_f64(payments)) > 0.01 {
            return 0.0;
        }
        let window_days =
            as_f64(u64::try_from(self.settings.window_secs).unwrap_or_default()) / 86_400.0;
        as_f64(against) / as_f64(days.max(1)) * window_days
    }

    fn judge(&self) -> Option<(Severity, f64)> {
        let count = self.count();
        if count < self.count_min() {
            return None;
        }
        let chance = poisson_tail(count, self.expected());
        if chance * 1e6 > self.settings.chance_ppm_max as f64 {
            return None;
        }
        let severity = match (self.rate_bps(), count) {
            (VAMP_EXCESSIVE_BPS.., 10..) => Severity::Critical,
            (RULE_OF_THUMB_BPS.., _) => Severity::High,
            _ => Severity::Medium,
        };
        Some((severity.max(self.programme.severity()), chance))
    }

    /// Charges against which something is held, per payment of a window.
    fn rate_bps(&self) -> i64 {
        let payments = super::words::rounded(self.payments_in_window()).max(1);
        share_bps(i64::try_from(self.count()).unwrap_or(i64::MAX), payments)
    }

    fn report(&mut self, ctx: &mut Context<'_>) {
        let Some((severity, chance)) = self.judge() else {
            return;
        };
        let severity = self.firing.map_or(severity, |known| known.max(severity));
        let count = self.count();
        let warnings = self.window.iter().filter(|one| one.is_warning).count() as u64;
        let expected = self.expected();
        let mut finding = Finding::new("all", severity, "Disputes and fraud warnings are spiking");
        finding.anomaly_score = anomaly_score(chance);
        finding.occurrences = std::mem::take(&mut self.unreported);
        finding.message = format!(
            "{} charges were disputed and {warnings} warned of within {}, where {expected:.1} are \
             usual: {} of the payments of such a time",
            count - warnings,
            self.window_span(),
            percent(self.rate_bps()),
        );
        if let Some((currency, amount)) = self.money() {
            finding.currency = Some(currency);
            finding.amount_at_stake = Some(amount);
            finding.message += &format!("; {} at stake", Money::new(amount, currency));
        }
        let newest = || self.window.iter().rev().take(20);
        finding.subjects = newest()
            .filter_map(|one| one.charge_id.clone())
            .map(Into::into)
            .collect();
        finding.subject = finding.subjects.first().cloned();
        let evidence = &mut finding.evidence;
        evidence.event_ids = newest().map(|one| one.event_id.to_string()).collect();
        evidence.object_ids = finding.subjects.clone();
        evidence.measures = vec![
            Measure::new(
                "charges_against",
                i64::try_from(count).unwrap_or(i64::MAX),
                Unit::Count,
            )
            .expected(super::words::rounded(expected))
            .threshold(self.settings.count_min),
            Measure::new("rate", self.rate_bps(), Unit::BasisPoints).threshold(RULE_OF_THUMB_BPS),
        ];
        evidence.reasons.push(format!(
            "at the usual rate so many come by chance with probability {chance:.1e}"
        ));
        let (count, share) = self.programme.vamp();
        if count > 0 {
            evidence.reasons.push(format!(
                "Visa's VAMP, estimated: {count} disputes and warnings this month, {} of its \
                 payments",
                percent(share)
            ));
        }
        if let Some((count, share)) = self.programme.ecp().filter(|(count, _)| *count > 0) {
            evidence.reasons.push(format!(
                "Mastercard's ECP, estimated: {count} chargebacks this month, {} of the payments \
                 of the month before",
                percent(share)
            ));
        }
        evidence.reasons.push(
            "networks count more than Stripe shows: take the rate as a lower estimate".to_owned(),
        );
        ctx.fire(finding);
    }

    /// The currency most are in, and the money they are about.
    fn money(&self) -> Option<(Currency, i64)> {
        let mut sums: Vec<(Currency, u64, i64)> = Vec::new();
        for one in &self.window {
            let Some(currency) = one.currency else {
                continue;
            };
            match sums.iter_mut().find(|(known, ..)| *known == currency) {
                Some((_, count, sum)) => {
                    *count += 1;
                    *sum = sum.saturating_add(one.amount);
                }
                None => sums.push((currency, 1, one.amount)),
            }
        }
        let most = sums
            .into_iter()
            .max_by_key(|(currency, count, _)| (*count, *currency))?;
        Some((most.0, most.2))
    }

    const fn window_span(&self) -> Span {
        Span::secs(self.settings.window_secs)
    }
}

fn charge_id_of(event: &Event) -> Option<&str> {
    match &event.data {
        EventData::Dispute(dispute) => dispute.charge.as_ref().map(|id| id.as_str()),
        EventData::FraudWarning(warning) => warning.charge.as_ref().map(|id| id.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
