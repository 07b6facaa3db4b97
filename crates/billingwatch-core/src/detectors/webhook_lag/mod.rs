//! Events that arrive late, and events that stop.
//!
//! It tells people what [`Intake`](crate::intake::Intake) finds, one alert for the whole stream
//! from its first sign to its end, whatever it turns into meanwhile (a silence whose backlog
//! drains, a backlog that goes on as a lag):
//!
//! **Lag** opens when more of the newest first deliveries came over `lag_secs_max` after they were
//! made than chance explains (exact binomial test against this endpoint's own usual share); it
//! closes when the newest deliveries are on time again. What a short outage made late is left
//! out, once that is over.
//!
//! **Silence** opens when nothing has arrived for so long that it is implausible at this hour of
//! the week; it closes with the next event on time.
//!
//! **Silence of a family** is told under a key of its own: its events stop while others go on. So
//! is, under the same key, [a type that gets lost](pairs) while its partner comes.
//!
//! Repeated deliveries never get here, and historical events teach nothing about delivery.

mod families;
mod pairs;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_few;
#[cfg(test)]
mod tests_of_outages;
#[cfg(test)]
mod tests_of_pairs;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::{Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError};
use crate::event::{Event, FamilySet};
use crate::intake::{Criteria, Pause, RETRIED, Trouble, TroubleKind};
use crate::money::share_bps;
use crate::snapshot::{SnapshotError, decode, encode};
use crate::time::{Span, Timestamp};

use super::words::{bps_of, rounded};

use pairs::Pairs;

/// The key of the stream's alert.
const STREAM: &str = "delivery";

crate::settings! {
    /// How late a delivery may be, in seconds after the event was made.
    lag_secs_max: i64 = 600, 30 => 86_400;
    /// How late most deliveries may be, in seconds, where they usually are not.
    slow_secs_max: i64 = 60, 30 => 86_400;
    /// Late deliveries before anything is said, made in as many different minutes: one hiccup
    /// delays all that was sent in its minute.
    late_min: i64 = 3, 1 => 500;
    /// The share of late deliveries above which the newest are suspicious, in basis points.
    late_bps_max: i64 = 1_000, 1 => 10_000;
    /// How far back deliveries are looked at, in seconds.
    window_secs: i64 = 3_600, 300 => 86_400;
    /// How likely, in millionths, a lag may be by chance before it is spoken of.
    chance_ppm_max: i64 = 1, 1 => 50_000;
    /// The shortest silence of the whole stream spoken of, in seconds.
    silence_secs_min: i64 = 300, 120 => 2_592_000;
    /// How many such silences, in millionths, may come by chance in a day before one is spoken of.
    silences_a_day_ppm_max: i64 = 100, 1 => 1_000_000;
    /// Whether silence is watched at all.
    is_silence_watched: bool = true;
    /// Whether the silence of one family of events is, while others go on.
    is_family_silence_watched: bool = true;
    /// Whether the loss of one type of events is, while another that belongs to it comes.
    is_type_loss_watched: bool = true;
}

/// Its name: its settings say what the engine takes for trouble.
pub(crate) const NAME: &str = "webhook_lag";

static SPEC: DetectorSpec = DetectorSpec {
    name: NAME,
    description: "Events arrive more than 10 minutes after they were made, or have stopped \
                  arriving.",
    listens: FamilySet::ALL,
    settings: Settings::SPECS,
};

/// Makes this detector.
pub(super) const FACTORY: FactoryOf<WebhookLag> = FactoryOf::new(&SPEC);

/// What counts as trouble under these settings.
pub(crate) fn criteria(values: &SettingValues) -> Criteria {
    let settings = Settings::read(values);
    Criteria {
        lag: Span::secs(settings.lag_secs_max),
        slow: Span::secs(settings.slow_secs_max),
        window: Span::secs(settings.window_secs),
        late_min: usize::try_from(settings.late_min).unwrap_or(1),
        late_bps_max: settings.late_bps_max,
        chance_max: super::words::as_f64(settings.chance_ppm_max.unsigned_abs()) / 1e6,
        silence_min: Span::secs(settings.silence_secs_min),
        silences_ppm_a_day: settings.silences_a_day_ppm_max,
        is_silence_watched: settings.is_silence_watched,
        is_family_watched: settings.is_family_silence_watched,
    }
}

/// What was told of one scope's deliveries.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WebhookLag {
    #[serde(skip)]
    settings: Settings,
    is_told: bool,
    /// Late deliveries since the alert was last reported.
    unreported: u64,
    /// The silence whose backlog was told to be draining.
    drain_told: Option<Timestamp>,
    /// The run of imported events that was told.
    backfill_told: Option<Timestamp>,
    /// When the newest event was made that a short outage was told to have made late.
    outage_told: Timestamp,
    families_told: u64,
    pairs: Pairs,
    are_losses_told: bool,
    /// Misses since the alert was last reported.
    unreported_lost: u64,
}

impl Detector for WebhookLag {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        self.settings = Settings::read(values);
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        if ctx.is_historical() {
            return;
        }
        self.pairs.event(event, ctx);
        let now = ctx.now();
        let lag = now.since(ctx.event_at());
        if let Some(since) = ctx.intake().backfill_since() {
            self.tell_backfill(since, lag, ctx);
            self.watch_families(ctx);
            return;
        }
        let is_late = lag > ctx.intake().lag_max();
        self.unreported += u64::from(is_late && !ctx.intake().is_draining());
        if let (Some(trouble), false) = (ctx.intake().trouble(), self.is_told)
            && trouble.kind == TroubleKind::Lag
            && is_late
        {
            let finding = self.lag(trouble, Some(event), ctx);
            self.fire(finding, ctx);
        }
        if ctx.intake().is_draining() && !self.is_told {
            self.tell_drain(lag, ctx);
        }
        self.tell_short_outage(lag, ctx);
        self.watch_families(ctx);
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        match (ctx.intake().trouble(), self.is_told) {
            (Some(trouble), is_told) if trouble.kind == TroubleKind::Silence => {
                match trouble.back_at {
                    None if !is_told => {
                        let finding = silence(trouble, ctx);
                        self.fire(finding, ctx);
                    }
                    Some(back_at) if is_told && ctx.intake().is_back(back_at, ctx.now()) => {
                        self.is_told = false;
                        ctx.clear(
                            STREAM,
                            format!("events arrive again since {back_at}, on time"),
                        );
                    }
                    Some(back_at) if is_told => {
                        let finding = back(trouble, back_at);
                        self.fire(finding, ctx);
                    }
                    _ => {}
                }
            }
            (Some(trouble), true) if self.unreported > 0 => {
                let finding = self.lag(trouble, None, ctx);
                self.fire(finding, ctx);
            }
            (None, true) => {
                self.is_told = false;
                let (late, all) = ctx.intake().newest_late(ctx.now());
                let on_time = all.saturating_sub(late);
                ctx.clear(
                    STREAM,
                    format!("{on_time} of the newest {all} deliveries were on time"),
                );
            }
            _ => {}
        }
        self.watch_pairs(ctx);
        self.watch_families(ctx);
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
    fn fire(&mut self, mut finding: Finding, ctx: &mut Context<'_>) {
        finding.occurrences = std::mem::take(&mut self.unreported);
        self.is_told = true;
        ctx.fire(finding);
    }

    fn lag(&self, trouble: &Trouble, event: Option<&Event>, ctx: &Context<'_>) -> Finding {
        let late = ctx.intake().late(ctx.now());
        let severity = match late.median.as_secs() {
            3_600.. => Severity::High,
            median if median <= self.settings.lag_secs_max => Severity::Low,
            _ => Severity::Medium,
        };
        let window = Span::secs(self.settings.window_secs);
        let mut finding = Finding::new(STREAM, severity, "Events arrive late");
        finding.anomaly_score = anomaly_score(late.chance);
        finding.message = format!(
            "{} of {} events of the last {window} arrived over {} after they were made: \
             {} late as a rule, {} at worst",
            late.late,
            late.all,
            ctx.intake().lag_max(),
            Span::secs(late.median.as_secs()),
            Span::secs(late.worst.as_secs()),
        );
        if let Some((from, to)) = ctx.intake().backlog_of(ctx.now()) {
            finding.title = "A backlog of events is arriving".to_owned();
            finding.evidence.reasons.push(format!(
                "nothing arrived from {from} to {to}, and every late event was made then: the \
                 endpoint could not be reached, and its backlog drains"
            ));
        } else {
            finding.evidence.reasons.push(format!(
                "late events were made from {} on, also while others arrived",
                trouble.since
            ));
        }
        if let Some(event) = event {
            finding.evidence.event_ids.push(event.id.to_string());
        }
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        finding.evidence.measures = vec![
            Measure::new("median_lag", late.median.as_secs(), Unit::Seconds)
                .threshold(ctx.intake().lag_max().as_secs()),
            Measure::new(
                "late_share",
                share_bps(count(late.late), count(late.all)),
                Unit::BasisPoints,
            )
            .expected(bps_of(late.usual))
            .threshold(self.settings.late_bps_max),
            Measure::new("worst_lag", late.worst.as_secs(), Unit::Seconds),
        ];
        finding
    }

    /// Stripe gave up on it long ago, or there was no endpoint to deliver it to, so somebody sent it
    /// again: that is no lag.
    fn tell_backfill(&mut self, since: Timestamp, lag: Span, ctx: &mut Context<'_>) {
        if self.backfill_told.replace(since) != Some(since) {
            let message = if lag > RETRIED {
                format!(
                    "events {lag} old arrive for the first time, which Stripe tries for three \
                     days: an import, or sent again by hand"
                )
            } else {
                format!(
                    "events {lag} old arrive, made before the first that ever came: an import, or \
                     what gathered while this was set up"
                )
            };
            ctx.suppress("backfilled", None, message);
        }
    }

    /// We were away for some minutes, and what was sent then comes by retries: it is over. Said once.
    fn tell_short_outage(&mut self, lag: Span, ctx: &mut Context<'_>) {
        let Some(outage) = ctx.intake().short_outage() else {
            return;
        };
        let is_told = outage.from <= self.outage_told;
        self.outage_told = self.outage_told.max(outage.to);
        if !is_told {
            let message = format!(
                "events {lag} old arrive, made from {} to {}, when nothing came at once, while what \
                 was made since is on time: a short outage that is over",
                outage.from, outage.to
            );
            ctx.suppress("short_outage", None, message);
        }
    }

    /// The silence was the incident; that its events come late is no second one.
    fn tell_drain(&mut self, lag: Span, ctx: &mut Context<'_>) {
        let back_at = ctx.intake().drains_since();
        if back_at.is_some() && back_at != self.drain_told {
            self.drain_told = back_at;
            let message = format!("the backlog of a silence drains: events {lag} old arrive");
            ctx.suppress("backlog_draining", None, message);
        }
    }
}

fn silence(trouble: &Trouble, ctx: &Context<'_>) -> Finding {
    let mut finding = Finding::new(STREAM, Severity::High, "Events have stopped arriving");
    let silent = ctx.now().since(trouble.since);
    finding.message = format!("no event for {silent} (since {})", trouble.since);
    let mut measure = Measure::new("silence", silent.as_secs(), Unit::Seconds);
    if let Some(pause) = ctx.intake().pause() {
        let expected = rounded(pause.expected);
        finding.anomaly_score = anomaly_score(pause.chance);
        finding.message += &format!(", where {expected} minutes with events were to be expected");
        finding.evidence.reasons.push(format!(
            "such a silence comes by chance with probability {:.1e}",
            pause.chance
        ));
        finding.evidence.reasons.extend(foretold(&pause, "it"));
        measure = measure.expected(0);
        finding.evidence.measures = vec![
            measure,
            Measure::new("busy_minutes", 0, Unit::Count).expected(expected),
        ];
    }
    finding.evidence.reasons.push(
        "check the endpoint in the Stripe dashboard: disabled, or failing on the way".to_owned(),
    );
    finding
}

/// A silence is over: what it left behind arrives, or is still to come.
fn back(trouble: &Trouble, back_at: Timestamp) -> Finding {
    let is_draining = trouble.arrived_minutes() > 0;
    let title = if is_draining {
        "A backlog of events is arriving"
    } else {
        "Events arrive again"
    };
    let mut finding = Finding::new(STREAM, Severity::High, title);
    let silent = Span::secs(back_at.since(trouble.since).as_secs());
    let (expected, arrived) = (trouble.expected_minutes(), trouble.arrived_minutes());
    finding.message = format!(
        "no event for {silent} ({} to {back_at}), where {expected} minutes with events were to be \
         expected; ",
        trouble.since
    );
    finding.message += &match arrived {
        0 => "events arrive again, none of those missing yet".to_owned(),
        _ => format!("{arrived} of them have arrived since, late"),
    };
    finding.evidence.measures = vec![
        Measure::new("silence", silent.as_secs(), Unit::Seconds).expected(0),
        Measure::new("busy_minutes", arrived, Unit::Count).expected(expected),
    ];
    finding.evidence.reasons.push(
        "Stripe delivers again for up to three days what could not be delivered: one incident"
            .to_owned(),
    );
    finding
}

/// What subscriptions foretold of a pause.
fn foretold(pause: &Pause, name: &str) -> Option<String> {
    let turns = match pause.foretold {
        0 => return None,
        1 => "1 subscription's period".to_owned(),
        count => format!("the periods of {count} subscriptions"),
    };
    Some(format!("{turns} turned in {name}, and no event said so"))
}
