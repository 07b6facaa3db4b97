//! Share of failed payment attempts over a rolling hour.
//!
//! Opens when more than `rate_bps_max` of the attempts of the last hour failed **and** so many
//! failures are implausible at this merchant's own usual rate (exact binomial test), with at least
//! `failures_min` different payers failing. Closes when the newest attempts fail no more than
//! `recovery_bps_max` of the time; silence neither opens nor closes it.
//!
//! An attempt is a charge that succeeded or failed. Left out: further tries of a purchase that
//! failed before (dunning, a buyer retyping a card), charges that Radar blocked before any issuer
//! saw them, and further failures of the same payer within the window.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::{Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError};
use crate::event::{Event, Family, FamilySet};
use crate::ids::{Key, KeyMap};
use crate::ledger::{AttemptFact, Fact};
use crate::money::{Currency, Money, share_bps};
use crate::snapshot::{SnapshotError, decode, encode};
use crate::stats::binomial_tail;
use crate::time::{Span, Timestamp};

use super::tally::Tally;
use super::words::{as_f64, bps_of, charge_of, decline_code, percent};

/// The most attempts remembered in a window. Beyond it the oldest fall out early: at such volume
/// the newest hundred thousand say all there is to say.
const WINDOW_MAX: usize = 100_000;

/// How many of the newest attempts decide about recovery.
const RECENT_MAX: usize = 20;

/// How long attempts must have gone well again: an attack comes in waves.
const RECOVERY_SPAN: Span = Span::minutes(30);

/// A newcomer's failure rate until its own is known: 10 %, the high end of healthy card businesses,
/// weighing as much as 40 attempts. A stranger gets the benefit of the doubt.
const PRIOR: (f64, f64) = (4.0, 40.0);

/// What is kept of the learned rate from one day to the next: a memory of about four weeks.
const KEPT_A_DAY: f64 = 27.0 / 28.0;

crate::settings! {
    /// Length of the rolling window, in seconds.
    window_secs: i64 = 3_600, 300 => 86_400;
    /// Failure rate above which the window is suspicious, in basis points. Healthy card businesses
    /// see 2 to 10 %.
    rate_bps_max: i64 = 1_500, 100 => 10_000;
    /// Failure rate at or below which it is over, in basis points. Lower than the opening rate, so
    /// that the alert does not flap.
    recovery_bps_max: i64 = 1_000, 0 => 10_000;
    /// Different payers that must fail before anything is said: two chance declines are no spike.
    failures_min: i64 = 5, 2 => 10_000;
    /// How likely, in millionths, so many failures may be at the usual rate before it counts as
    /// chance. Ten in a million: about one chance alert in ten years of hours.
    chance_ppm_max: i64 = 10, 1 => 50_000;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "charge_failure_spike",
    description: "The share of failed payment attempts over a rolling hour is above 15 % and \
                  implausible for this merchant.",
    listens: FamilySet::of(&[Family::Charge, Family::PaymentIntent]),
    settings: Settings::SPECS,
};

/// Makes this detector.
pub(super) const FACTORY: FactoryOf<ChargeFailureSpike> = FactoryOf::new(&SPEC);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Attempt {
    at: Timestamp,
    /// The payer, where the attempt failed.
    failed_payer: Option<Key>,
    code: u16,
    amount: i64,
    currency: Currency,
}

/// One scope's attempts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ChargeFailureSpike {
    #[serde(skip)]
    settings: Settings,
    window: VecDeque<Attempt>,
    succeeded: u64,
    /// Failures in the window by payer.
    failing: KeyMap<u32>,
    codes: Tally,
    /// The newest attempts, true where failed.
    recent: VecDeque<bool>,
    /// Learned: failures and attempts, decaying.
    usual: (f64, f64),
    usual_day: i64,
    firing: Option<Severity>,
    /// The usual rate when the alert opened: the incident must not become its own yardstick.
    rate_at_open: f64,
    unreported: u64,
}

impl Detector for ChargeFailureSpike {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        let settings = Settings::read(values);
        if settings.recovery_bps_max > settings.rate_bps_max {
            return Err(SettingsError::Combination {
                detector: SPEC.name.to_owned(),
                reason: "recovery_bps_max must not be above rate_bps_max".to_owned(),
            });
        }
        self.settings = settings;
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        for fact in ctx.facts() {
            if let Fact::Attempt(attempt) = fact {
                self.take(attempt, event, ctx);
            }
        }
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        self.forget(ctx.now());
        let day = ctx.now().day();
        if day != self.usual_day {
            self.usual_day = day;
            self.usual = (self.usual.0 * KEPT_A_DAY, self.usual.1 * KEPT_A_DAY);
        }
        if self.firing.is_none() {
            return;
        }
        if self.is_recovered() {
            self.firing = None;
            self.unreported = 0;
            let share = self.recent_failed();
            ctx.clear(
                "all",
                format!(
                    "{share} of the newest {} attempts failed",
                    self.recent.len()
                ),
            );
        } else if self.unreported > 0 {
            self.report(None, ctx);
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

impl ChargeFailureSpike {
    fn take(&mut self, attempt: &AttemptFact, event: &Event, ctx: &mut Context<'_>) {
        if attempt.is_blocked {
            let message = "Radar blocked a charge before any issuer saw it";
            ctx.suppress("radar_blocked", charge_of(event), message);
            return;
        }
        if attempt.is_retry {
            if attempt.is_failed {
                let message = "a further try of a purchase that failed before";
                ctx.suppress("retry_of_failed_purchase", charge_of(event), message);
            }
            return;
        }
        self.forget(ctx.now().max(attempt.at));
        if ctx.now().since(attempt.at) > self.window_span() + self.window_span() {
            // Too late to say anything about the present.
            return;
        }
        self.push(attempt, event);
        if !attempt.is_failed {
            return;
        }
        self.unreported += 1;
        match self.judge() {
            Some((severity, _)) if self.firing.is_none_or(|known| severity > known) => {
                self.rate_at_open = self.usual_rate();
                self.firing = Some(severity);
                self.report(Some(event), ctx);
            }
            _ => {}
        }
    }

    fn push(&mut self, attempt: &AttemptFact, event: &Event) {
        if self.window.len() >= WINDOW_MAX {
            self.drop_oldest();
        }
        let code = if attempt.is_failed {
            self.codes.add(decline_code(event))
        } else {
            0
        };
        if attempt.is_failed {
            *self.failing.entry(attempt.payer).or_default() += 1;
        } else {
            self.succeeded += 1;
        }
        self.window.push_back(Attempt {
            at: attempt.at,
            failed_payer: attempt.is_failed.then_some(attempt.payer),
            code,
            amount: attempt.amount,
            currency: attempt.currency,
        });
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(attempt.is_failed);
        if self.firing.is_none() {
            self.usual.0 += f64::from(u8::from(attempt.is_failed));
            self.usual.1 += 1.0;
        }
    }

    fn forget(&mut self, now: Timestamp) {
        let from = now - self.window_span();
        while self.window.front().is_some_and(|oldest| oldest.at < from) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.window.pop_front() else {
            return;
        };
        let Some(payer) = oldest.failed_payer else {
            self.succeeded = self.succeeded.saturating_sub(1);
            return;
        };
        self.codes.remove(oldest.code);
        if let Some(count) = self.failing.get_mut(&payer) {
            *count -= 1;
            if *count == 0 {
                self.failing.swap_remove(&payer);
            }
        }
    }

    /// Failed and all attempts in the window, a failing payer counted once.
    fn counts(&self) -> (u64, u64) {
        let failed = self.failing.len() as u64;
        (failed, failed + self.succeeded)
    }

    /// The usual failure rate, without what the window itself adds to it.
    fn usual_rate(&self) -> f64 {
        if self.firing.is_some() {
            return self.rate_at_open;
        }
        let (failed, all) = self.counts();
        let known_failed = (self.usual.0 - as_f64(failed)).max(0.0) + PRIOR.0;
        let known_all = (self.usual.1 - as_f64(all)).max(0.0) + PRIOR.1;
        (known_failed / known_all).clamp(0.01, 0.5)
    }

    /// How bad it is and how likely by chance, if it is out of the ordinary at all.
    fn judge(&self) -> Option<(Severity, f64)> {
        let (failed, all) = self.counts();
        let rate = rate_bps(failed, all);
        if rate <= self.settings.rate_bps_max
            || i64::try_from(failed).unwrap_or(i64::MAX) < self.settings.failures_min
        {
            return None;
        }
        let chance = binomial_tail(failed, all, self.usual_rate());
        if chance * 1e6 > self.settings.chance_ppm_max as f64 {
            return None;
        }
        let severity = match rate {
            7_500.. => Severity::Critical,
            4_000.. => Severity::High,
            _ => Severity::Medium,
        };
        Some((severity, chance))
    }

    fn is_recovered(&self) -> bool {
        if self.recent.len() < RECENT_MAX.min(10) {
            return false;
        }
        let bound = self.settings.recovery_bps_max;
        let since = self
            .window
            .back()
            .map_or(Timestamp::EPOCH, |newest| newest.at)
            - RECOVERY_SPAN;
        let mut last_minutes = (0, 0);
        for attempt in self
            .window
            .iter()
            .rev()
            .take_while(|attempt| attempt.at >= since)
        {
            last_minutes.0 += u64::from(attempt.failed_payer.is_some());
            last_minutes.1 += 1;
        }
        let recent = rate_bps(self.recent_failed(), self.recent.len() as u64);
        recent <= bound && rate_bps(last_minutes.0, last_minutes.1) <= bound
    }

    fn recent_failed(&self) -> u64 {
        self.recent.iter().filter(|failed| **failed).count() as u64
    }

    fn report(&mut self, event: Option<&Event>, ctx: &mut Context<'_>) {
        let (failed, all) = self.counts();
        let Some((severity, chance)) = self.judge() else {
            return;
        };
        let severity = self.firing.map_or(severity, |known| known.max(severity));
        let usual = bps_of(self.usual_rate());
        let rate = rate_bps(failed, all);
        let mut finding = Finding::new("all", severity, "Charge failures are spiking");
        finding.anomaly_score = anomaly_score(chance);
        finding.occurrences = std::mem::take(&mut self.unreported);
        let window = self.window_span();
        finding.message = format!(
            "{failed} of {all} payment attempts failed within {window} ({}), where {} is usual",
            percent(rate),
            percent(usual),
        );
        if let Some((currency, amount)) = self.money_failed() {
            finding.currency = Some(currency);
            finding.amount_at_stake = Some(amount);
            finding.message += &format!("; {} did not come in", Money::new(amount, currency));
        }
        if let Some(event) = event {
            finding.evidence.event_ids.push(event.id.to_string());
            finding
                .evidence
                .object_ids
                .extend(charge_of(event).map(str::to_owned));
        }
        finding.evidence.measures = vec![
            Measure::new("failure_rate", rate, Unit::BasisPoints)
                .expected(usual)
                .threshold(self.settings.rate_bps_max),
            Measure::new(
                "failed_payers",
                i64::try_from(failed).unwrap_or(i64::MAX),
                Unit::Count,
            )
            .threshold(self.settings.failures_min),
            Measure::new(
                "attempts",
                i64::try_from(all).unwrap_or(i64::MAX),
                Unit::Count,
            ),
        ];
        finding.evidence.reasons.push(format!(
            "at the usual rate so many failures come by chance with probability {chance:.1e}"
        ));
        for (code, count) in self.codes.top(5) {
            finding
                .evidence
                .details
                .insert(format!("decline_code.{code}"), count.to_string());
        }
        ctx.fire(finding);
    }

    /// The currency most of the failed money is in, and how much of it failed.
    fn money_failed(&self) -> Option<(Currency, i64)> {
        let mut sums: Vec<(Currency, u64, i64)> = Vec::new();
        for attempt in self
            .window
            .iter()
            .filter(|attempt| attempt.failed_payer.is_some())
        {
            match sums
                .iter_mut()
                .find(|(currency, ..)| *currency == attempt.currency)
            {
                Some((_, count, sum)) => {
                    *count += 1;
                    *sum = sum.saturating_add(attempt.amount);
                }
                None => sums.push((attempt.currency, 1, attempt.amount)),
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

fn rate_bps(part: u64, whole: u64) -> i64 {
    share_bps(
        i64::try_from(part).unwrap_or(i64::MAX),
        i64::try_from(whole).unwrap_or(i64::MAX),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use insta::assert_snapshot;

    #[test]
    fn an_outage_is_loud_and_its_end_is_told() {
        assert_snapshot!(check("charge_failure_spike", "
            +0s  charge.succeeded x60/5m
            +1m  charge.failed code=processing_error x12/20s
            +1m  charge.failed code=do_not_honor x30/10s
            +5m  charge.succeeded x90/30s
        "), @"
            d0 04:58:20 firing high all: 8 of 20 payment attempts failed within 1h (40 %), where 4.5 % is usual; 160.00 USD did not come in
            d0 05:04:00 escalated critical all: 33 of 44 payment attempts failed within 1h (75 %), where 4.5 % is usual; 660.00 USD did not come in
            d0 05:36:00 resolved critical all: 0 of the newest 20 attempts failed
            ");
    }

    #[test]
    fn a_few_chance_declines_are_silent() {
        assert_snapshot!(check("charge_failure_spike", "
            +0s  charge.failed x3/1m
            +1m  charge.succeeded x4/10m
            +1m  charge.failed x3/1m
            +1m  charge.succeeded x30/1m
        "), @"");
    }

    #[test]
    fn dunning_blocked_and_one_stubborn_buyer_are_no_spike() {
        let told = check(
            "charge_failure_spike",
            "
            +0s  charge.succeeded x20/5m
            +1m  charge.failed pi=pi_a cus=cus_a x10/1m
            +1m  charge.failed cus=cus_b card=card_b x10/1m
            +1m  charge.failed blocked x10/1m
            +1h  wait
        ",
        );
        assert!(!told.contains("firing"), "{told}");
        assert_eq!(told.matches("quiet retry_of_failed_purchase").count(), 9);
        assert_eq!(told.matches("quiet radar_blocked").count(), 10);
    }

    #[test]
    fn what_is_usual_here_is_no_spike() {
        // One in five always fails at this merchant: 20 % is above the line and still usual.
        let mut day = String::new();
        for _ in 0..200 {
            day += "+3m charge.failed\n+3m charge.succeeded x4/3m\n";
        }
        let told = check("charge_failure_spike", &day);
        assert_eq!(told, "");
    }

    #[test]
    fn silence_does_not_end_it() {
        let told = check(
            "charge_failure_spike",
            "
            +0s  charge.succeeded x20/5m
            +1m  charge.failed x20/10s
            +2d  wait
        ",
        );
        assert_eq!(
            told.lines()
                .filter(|line| line.contains("resolved"))
                .count(),
            0,
            "{told}"
        );
        assert_eq!(
            told.lines().filter(|line| line.contains("firing")).count(),
            1,
            "{told}"
        );
    }

    #[test]
    fn the_window_is_bounded() {
        use crate::engine::{Engine, Registry};
        use crate::testing::{Step, records};
        let mut engine = Engine::new(Registry::new(vec![Box::new(super::FACTORY)]));
        for step in records("+0s charge.failed x200000/1s\n") {
            if let Step::Record(record) = step {
                engine.apply(&record);
            }
        }
        // An hour of one failure a second, not two days of it.
        let alert = engine
            .open_alerts()
            .next()
            .map(|alert| alert.evidence.measures.clone());
        let attempts = alert.unwrap_or_default().iter().map(|m| m.observed).max();
        assert!(attempts.is_some_and(|n| n <= 10_000), "{attempts:?}");
    }
}
