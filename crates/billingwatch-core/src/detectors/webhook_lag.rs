//! Events that arrive late, and events that stop.
//!
//! **Lag** opens when more of the first deliveries of the last hour came over `lag_secs_max` after
//! they were made than chance explains (exact binomial test against this endpoint's own usual
//! share); it closes when the newest deliveries are on time again.
//!
//! **Silence** opens when nothing has arrived for so long that it is implausible at this hour of
//! the week. Events come in bursts (one payment is six events), so it is not events that are
//! counted but five-minute slots with any event at all; the chance that each slot stays empty is
//! learned per hour of the week. It closes with the next event.
//!
//! Repeated deliveries never get here, and historical events teach nothing about delivery.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::{Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError};
use crate::event::{Event, FamilySet};
use crate::money::share_bps;
use crate::snapshot::{SnapshotError, decode, encode};
use crate::stats::{binomial_tail, median};
use crate::time::{Span, Timestamp};

use super::slots::Slots;
use super::words::{as_f64, bps_of, percent};

/// The most deliveries remembered in a window; the oldest fall out early beyond it.
const WINDOW_MAX: usize = 50_000;

/// How many deliveries must have been on time for the lag to be over, and for how long.
const ON_TIME_MIN: usize = 5;
/// See [`ON_TIME_MIN`].
const ON_TIME_SPAN: Span = Span::minutes(30);

/// Late deliveries among so many on time are stragglers, not a lag that goes on: one in twenty.
const STRAGGLERS: usize = 20;

/// The share of late deliveries until the endpoint's own is known: 0.5 %, weighing as 200.
const PRIOR: (f64, f64) = (1.0, 200.0);

/// What is kept of the learned share from one day to the next.
const KEPT_A_DAY: f64 = 27.0 / 28.0;

/// How long after a silence that was told late events are taken for its backlog.
const DRAIN: Span = Span::hours(2);

crate::settings! {
    /// How late a delivery may be, in seconds after the event was made.
    lag_secs_max: i64 = 600, 30 => 86_400;
    /// Late deliveries within the window before anything is said.
    late_min: i64 = 3, 1 => 10_000;
    /// The share of late deliveries above which the window is suspicious, in basis points.
    late_bps_max: i64 = 1_000, 1 => 10_000;
    /// Length of the rolling window, in seconds.
    window_secs: i64 = 3_600, 300 => 86_400;
    /// The shortest silence spoken of, in seconds.
    silence_secs_min: i64 = 1_800, 300 => 2_592_000;
    /// How likely, in millionths, a lag or a silence may be by chance before it is spoken of.
    chance_ppm_max: i64 = 1, 1 => 50_000;
    /// Whether silence is watched at all.
    is_silence_watched: bool = true;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "webhook_lag",
    description: "Events arrive more than 10 minutes after they were made, or have stopped \
                  arriving.",
    listens: FamilySet::ALL,
    settings: Settings::SPECS,
};

/// Makes this detector.
pub(super) const FACTORY: FactoryOf<WebhookLag> = FactoryOf::new(&SPEC);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Delivery {
    received_at: Timestamp,
    lag: Span,
    is_late: bool,
}

/// One scope's deliveries.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WebhookLag {
    #[serde(skip)]
    settings: Settings,
    window: VecDeque<Delivery>,
    late: u64,
    /// Learned: late and all deliveries, decaying.
    usual: (f64, f64),
    usual_day: i64,
    is_lagging: bool,
    /// The usual share when the alert opened: the lag must not become its own yardstick.
    share_at_open: f64,
    unreported: u64,
    slots: Slots,
    is_silent: bool,
    /// Until when late events are the backlog of a silence that was told.
    drains_until: Timestamp,
    is_drain_told: bool,
}

impl Detector for WebhookLag {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        self.settings = Settings::read(values);
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        if ctx.is_historical() {
            self.slots.teach(ctx.event_at());
            return;
        }
        let now = ctx.now();
        let was_silent = std::mem::take(&mut self.is_silent);
        if was_silent {
            self.drains_until = now + DRAIN;
            self.is_drain_told = false;
            ctx.clear("silence", format!("events arrive again since {now}"));
        }
        self.slots.arrive(now, was_silent);
        let lag = now.since(ctx.event_at());
        let is_late = lag > Span::secs(self.settings.lag_secs_max);
        if is_late && now < self.drains_until {
            self.tell_drain(lag, ctx);
            return;
        }
        self.push(Delivery {
            received_at: now,
            lag,
            is_late,
        });
        if is_late {
            self.unreported += 1;
            if !self.is_lagging && self.lag_chance().is_some() {
                self.share_at_open = self.usual_share();
                self.is_lagging = true;
                self.report_lag(Some(event), ctx);
            }
        }
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        self.forget(now);
        let day = now.day();
        if day != self.usual_day {
            self.usual_day = day;
            self.usual = (self.usual.0 * KEPT_A_DAY, self.usual.1 * KEPT_A_DAY);
        }
        if self.is_lagging {
            let since = now - ON_TIME_SPAN;
            let newest = self
                .window
                .iter()
                .rev()
                .take_while(|one| one.received_at >= since);
            let (late, all) = newest.fold((0, 0), |(late, all), one| {
                (late + usize::from(one.is_late), all + 1)
            });
            if all >= ON_TIME_MIN && late * STRAGGLERS <= all {
                self.is_lagging = false;
                self.unreported = 0;
                ctx.clear(
                    "lag",
                    format!("{} of the newest {all} deliveries were on time", all - late),
                );
            } else if self.unreported > 0 {
                self.report_lag(None, ctx);
            }
        }
        if ctx.is_historical() {
            return;
        }
        self.slots.tick(now);
        if self.settings.is_silence_watched && !self.is_silent {
            self.watch_silence(ctx);
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

impl WebhookLag {
    fn push(&mut self, delivery: Delivery) {
        if self.window.len() >= WINDOW_MAX {
            self.drop_oldest();
        }
        self.late += u64::from(delivery.is_late);
        self.window.push_back(delivery);
        if !self.is_lagging {
            self.usual.0 += f64::from(u8::from(delivery.is_late));
            self.usual.1 += 1.0;
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.window.pop_front() {
            self.late -= u64::from(oldest.is_late);
        }
    }

    fn forget(&mut self, now: Timestamp) {
        let from = now - Span::secs(self.settings.window_secs);
        while self
            .window
            .front()
            .is_some_and(|oldest| oldest.received_at < from)
        {
            self.drop_oldest();
        }
    }

    fn counts(&self) -> (i64, i64) {
        let all = i64::try_from(self.window.len()).unwrap_or(i64::MAX);
        (i64::try_from(self.late).unwrap_or(i64::MAX), all)
    }

    /// The usual share of late deliveries, without the window's own late ones.
    fn usual_share(&self) -> f64 {
        if self.is_lagging {
            return self.share_at_open;
        }
        let late = (self.usual.0 - as_f64(self.late)).max(0.0) + PRIOR.0;
        (late / (self.usual.1 + PRIOR.1)).clamp(0.002, 0.5)
    }

    /// How likely the window's lag is by chance, if it is out of the ordinary.
    fn lag_chance(&self) -> Option<f64> {
        let (late, all) = self.counts();
        if late < self.settings.late_min || share_bps(late, all) <= self.settings.late_bps_max {
            return None;
        }
        let chance = binomial_tail(self.late, self.window.len() as u64, self.usual_share());
        (chance * 1e6 <= self.settings.chance_ppm_max as f64).then_some(chance)
    }

    fn report_lag(&mut self, event: Option<&Event>, ctx: &mut Context<'_>) {
        let (late, all) = self.counts();
        let mut lags: Vec<i64> = self
            .window
            .iter()
            .filter(|delivery| delivery.is_late)
            .map(|delivery| delivery.lag.as_secs())
            .collect();
        let worst = lags.iter().copied().max().unwrap_or_default();
        let usual_lag = median(&mut lags);
        let severity = match usual_lag {
            3_600.. => Severity::High,
            _ => Severity::Medium,
        };
        let mut finding = Finding::new("lag", severity, "Events arrive late");
        finding.anomaly_score = anomaly_score(self.lag_chance().unwrap_or(1e-6));
        finding.occurrences = std::mem::take(&mut self.unreported);
        let window = Span::secs(self.settings.window_secs);
        finding.message = format!(
            "{late} of {all} events of the last {window} arrived over {} after they were made: \
             {} late as a rule, {} at worst",
            Span::secs(self.settings.lag_secs_max),
            Span::secs(usual_lag),
            Span::secs(worst),
        );
        if let Some(event) = event {
            finding.evidence.event_ids.push(event.id.to_string());
        }
        finding.evidence.measures = vec![
            Measure::new("median_lag", usual_lag, Unit::Seconds)
                .threshold(self.settings.lag_secs_max),
            Measure::new("late_share", share_bps(late, all), Unit::BasisPoints)
                .expected(bps_of(self.usual_share()))
                .threshold(self.settings.late_bps_max),
            Measure::new("worst_lag", worst, Unit::Seconds),
        ];
        ctx.fire(finding);
    }

    /// The silence was the incident; that its events come late is no second one.
    fn tell_drain(&mut self, lag: Span, ctx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.is_drain_told, true) {
            let message = format!("the backlog of the silence drains: events {lag} old arrive");
            ctx.suppress("backlog_draining", None, message);
        }
    }

    fn watch_silence(&mut self, ctx: &mut Context<'_>) {
        let Some((since, chance)) = self.slots.silence() else {
            return;
        };
        let silent = ctx.now().since(since);
        let is_long = silent >= Span::secs(self.settings.silence_secs_min);
        if !is_long || chance * 1e6 > self.settings.chance_ppm_max as f64 {
            return;
        }
        self.is_silent = true;
        let share = self.slots.usual_share(ctx.now());
        let mut finding = Finding::new("silence", Severity::High, "Events have stopped arriving");
        finding.anomaly_score = anomaly_score(chance);
        finding.message = format!(
            "no event for {silent} (since {since}), at a time when {} of all five-minute slots \
             bring some",
            percent(bps_of(share)),
        );
        finding.evidence.measures = vec![
            Measure::new("silence", silent.as_secs(), Unit::Seconds)
                .threshold(self.settings.silence_secs_min),
        ];
        finding.evidence.reasons.push(format!(
            "such a silence comes by chance with probability {chance:.1e}"
        ));
        finding.evidence.reasons.push(
            "check the endpoint in the Stripe dashboard: disabled, or failing on the way"
                .to_owned(),
        );
        ctx.fire(finding);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;
    use insta::assert_snapshot;

    #[test]
    fn late_deliveries_fire_and_deliveries_on_time_end_it() {
        assert_snapshot!(check("webhook_lag", "
            +0s  customer.created x100/1m
            +1m  customer.created late=25m x8/1m
            +1m  customer.created late=90m x20/1m
            +1m  customer.created x40/1m
        "), @"
            d0 01:46:00 firing medium lag: 7 of 61 events of the last 1h arrived over 10m after they were made: 25m late as a rule, 25m at worst
            d0 01:57:00 escalated high lag: 17 of 60 events of the last 1h arrived over 10m after they were made: 1h 30m late as a rule, 1h 30m at worst
            d0 02:37:00 resolved high lag: 29 of the newest 30 deliveries were on time
            ");
    }

    #[test]
    fn one_retry_after_a_hiccup_is_no_lag() {
        let told = check(
            "webhook_lag",
            "
            +0s  customer.created x50/1m
            +1m  customer.created late=60m x2/1m
            +1m  customer.created x50/1m
        ",
        );
        assert_eq!(told, "");
    }

    #[test]
    fn ten_minutes_are_not_late_yet() {
        assert_eq!(
            check("webhook_lag", "+0s customer.created late=10m x50/1m"),
            ""
        );
    }

    #[test]
    fn redelivered_events_are_not_counted() {
        let told = check(
            "webhook_lag",
            "
            +0s  customer.created evt=evt_1 x1/1s
            +1h  customer.created evt=evt_1 late=1h x20/1s
        ",
        );
        assert_eq!(told, "");
    }

    #[test]
    fn a_backfill_says_nothing_about_delivery() {
        assert_eq!(
            check(
                "webhook_lag",
                "+0s customer.created late=20d historical x50/1m"
            ),
            ""
        );
    }

    #[test]
    fn silence_at_a_busy_hour_is_loud_and_the_next_event_ends_it() {
        assert_snapshot!(check("webhook_lag", "
            +0s  customer.created x3600/3m
            +3h  wait
            +1h  customer.created
        "), @"
            d7 12:30:00 firing high silence: no event for 33m (since 2024-03-11T11:57:00Z), at a time when 99.5 % of all five-minute slots bring some
            d7 15:57:00 resolved high silence: events arrive again since 2024-03-11T15:57:00Z
            ");
    }

    #[test]
    fn the_backlog_of_a_silence_is_no_second_incident() {
        let told = check(
            "webhook_lag",
            "
            +0s  customer.created x3600/3m
            +4h  customer.created late=3h x60/10s
            +1m  customer.created x20/3m
        ",
        );
        assert_eq!(told.matches("firing").count(), 1, "{told}");
        assert_eq!(told.matches("quiet backlog_draining").count(), 1, "{told}");
    }

    #[test]
    fn a_merchant_with_five_events_a_day_is_given_days() {
        let told = check(
            "webhook_lag",
            "
            +0s  customer.created x100/5h
            +30h wait
        ",
        );
        assert_eq!(told, "");
    }

    #[test]
    fn the_first_days_have_no_silence() {
        assert_eq!(
            check("webhook_lag", "+0s customer.created x600/1m\n+30h wait\n"),
            ""
        );
    }
}
