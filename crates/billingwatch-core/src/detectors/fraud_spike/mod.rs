//! Disputes and early fraud warnings against payments, over a rolling day and over three, seven and
//! thirty; and cards and new customers that come too fast ([`velocity`]).
//!
//! Opens when at least `count_min` charges were disputed or warned of within one of the windows and
//! so many are implausible at this merchant's own usual rate ([`history`]; an exact test that knows
//! how well the rate is known). Closes when no more come than are plausible.
//!
//! A charge that is both warned of and disputed counts once. Inquiries (`warning_*`) are no
//! disputes: no money moved and no network counts them unless they escalate. Severity follows how
//! near the window's rate, and the month, are to the programmes of the networks ([`programme`]).

mod busiest;
mod card_rate;
mod declined;
mod history;
mod newcomers;
mod one_buyer;
mod programme;
mod report;
mod velocity;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::alert::Severity;
use crate::detector::{Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError};
use crate::event::{Event, EventData, Family, FamilySet};
use crate::ledger::{DisputeFact, Fact, Payment};
use crate::money::{Currency, share_bps};
use crate::snapshot::{SnapshotError, decode, encode};
use crate::stats::negative_binomial_tail;
use crate::time::{Span, Timestamp};

use super::words::{as_f64, rounded};
use history::{History, Part};
use programme::{Network, Programme};
use velocity::Velocity;

/// The most disputes remembered in a window; the oldest fall out early beyond it.
const WINDOW_MAX: usize = 20_000;

/// Disputes arrive spread over days, and the networks count by the month: beside the set window
/// these are judged, where the rate reaches so many basis points. VAMP calls a month of 0.5 %
/// non-compliant; over a month, where a growing shop's rate strays most, Stripe's rule of thumb
/// of 0.75 % is the line.
const LONGER: [(Span, i64); 3] = [
    (Span::days(3), 50),
    (Span::days(7), 50),
    (Span::days(30), RULE_OF_THUMB_BPS),
];

/// Days that must be known before what was paid says how many disputes are usual.
const YOUNG_DAYS: u64 = 7;

/// One fewer than `count_min` will do where so many are less likely by this factor: at a tiny merchant
/// four in three days are beyond doubt. Three never are; the rate of a stranger is not known so well.
/// A customer who disputes several payments at once makes four sooner than chance does.
const ONE_FEWER_DOUBT: f64 = 0.2;

/// See [`ONE_FEWER_DOUBT`]: the least that will do so.
const FEWEST: u64 = 4;

/// What is not less likely than it must be by this factor is no more than medium, whatever its rate: of the
/// few alerts that chance brings, most are so near the line.
const CLEARLY: f64 = 0.1;

/// A spike is over when what the window holds has been more likely than this for a while.
const CALM_CHANCE: f64 = 0.001;

/// See [`CALM_CHANCE`]: the disputes of one breach come in over days, with pauses of a night.
const CALM: Span = Span::hours(12);

/// The longest window that decides whether it is over.
const CALM_WINDOW_MAX: Span = Span::days(7);

/// What goes on for this long is what is usual from then on.
const USUAL_AFTER: Span = Span::days(30);

/// Visa's programme calls 1.5 % excessive (VAMP, since 1 April 2026).
const VAMP_EXCESSIVE_BPS: i64 = 150;

/// Stripe's rule of thumb for excessive dispute activity: 0.75 %.
const RULE_OF_THUMB_BPS: i64 = 75;

/// The same as a share.
const RULE_OF_THUMB: f64 = 0.0075;

crate::settings! {
    /// Length of the shortest rolling window, in seconds. Windows of 3, 7 and 30 days are judged as
    /// well, where they are longer.
    window_secs: i64 = 86_400, 3_600 => 2_592_000;
    /// Disputed or warned-of charges within the window before anything is said; one fewer (four at
    /// least) where they are five times less likely than must be.
    count_min: i64 = 5, 2 => 10_000;
    /// How many such spikes, in millionths, may come by chance in a day within each window before one
    /// is spoken of; a tenth of it within windows of more than seven days.
    chance_ppm_max: i64 = 3_000, 1 => 50_000;
    /// New customers that one card paid for, or cards that one customer paid with (as many declined ones
    /// count beside them), within 24 hours before that is spoken of; more, where the busiest of eight
    /// weeks had half so many.
    velocity_min: i64 = 5, 3 => 50;
    /// Payments of one card without a customer, or purchases paid and declined of one for three
    /// customers and more, within 3 hours before that is spoken of; more, where the busiest of eight
    /// weeks had half so many, and twice as many while no week is known.
    guest_payments_min: i64 = 6, 3 => 100;
    /// Payments of one new customer by one card within 3 hours before that is spoken of; more,
    /// where a customer had half so many on each of three days of eight weeks, or as many on one.
    /// Nothing is said while no week is known.
    customer_payments_min: i64 = 8, 4 => 100;
    /// New customers who pay one and the same price, or next to nothing, within an hour before that is
    /// spoken of; more, where such hours of eight weeks had half so many.
    newcomers_min: i64 = 10, 5 => 400;
    /// Whether Stripe's test mode is judged: its cards are everybody's, and disputes are made by them on purpose.
    test_mode: bool = false;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "fraud_spike",
    description: "More charges are disputed or warned of, over a day or up to thirty, than is \
                  ordinary for this merchant; or cards and new customers come too fast.",
    listens: FamilySet::of(&[
        Family::Charge,
        Family::PaymentIntent,
        Family::CheckoutSession,
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
    charge_id: Option<Box<str>>,
    event_id: Box<str>,
    is_warning: bool,
    /// Its payment came by here.
    is_seen: bool,
    amount: i64,
    currency: Option<Currency>,
}

/// What one window holds.
#[derive(Clone, Copy, Debug)]
struct Seen {
    window: Span,
    count: u64,
    expected: f64,
    /// How likely so many are by chance.
    chance: f64,
    rate_bps: i64,
    /// The payments of most of them were made before the record began, and of those before it too little
    /// is known to speak of a rate.
    is_before: bool,
}

/// An open alert.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Incident {
    severity: Severity,
    opened_at: Timestamp,
    /// It is told by one fewer than must be, so far.
    is_few: bool,
    /// The window that showed it most clearly, and how implausible it was there.
    window: Span,
    chance: f64,
    /// Since when no more come than are usual.
    calm_since: Option<Timestamp>,
}

/// One scope's disputes and warnings.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct FraudSpike {
    #[serde(skip)]
    settings: Settings,
    /// Those of the longest window, in order of time.
    against: VecDeque<Against>,
    history: History,
    programme: Programme,
    velocity: Velocity,
    incident: Option<Incident>,
    /// When the oldest event of the record was made.
    began_at: Option<Timestamp>,
    /// When the last wave was over: what belongs to it makes no second one.
    floor_at: Timestamp,
    unreported: u64,
}

impl Detector for FraudSpike {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        self.settings = Settings::read(values);
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        debug_assert!(
            ctx.scope().livemode || self.settings.test_mode,
            "the engine leaves test mode out"
        );
        if !ctx.is_sent_again() {
            let began_at = self.began_at.get_or_insert(ctx.event_at());
            *began_at = ctx.event_at().min(*began_at);
        }
        for fact in ctx.facts() {
            match fact {
                Fact::Payment(payment) => {
                    // Of those made before, a refund or a dispute tells of a few: they are no record of their days.
                    let day = ctx.calendar().day(payment.at);
                    if self.first_day(ctx).is_some_and(|first| day >= first) {
                        self.history.count_payment(day);
                    }
                    if let EventData::Charge(charge) = &event.data {
                        let brand = charge.card.as_ref().and_then(|card| card.brand.as_deref());
                        if let Some(network) = brand.and_then(Network::of_brand) {
                            self.programme.count_payment(network, payment.at);
                        }
                        let least = (
                            self.settings.velocity_min,
                            (
                                self.settings.guest_payments_min,
                                self.settings.customer_payments_min,
                            ),
                            self.settings.newcomers_min,
                        );
                        self.velocity.take(charge, event, least, ctx);
                    }
                }
                Fact::Attempt(attempt) if attempt.is_failed && !attempt.is_blocked => {
                    if let EventData::Charge(charge) = &event.data {
                        let least = (self.settings.velocity_min, self.settings.guest_payments_min);
                        let is_retry = attempt.is_retry;
                        (self.velocity).take_declined((charge, is_retry), event, least, ctx);
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
        self.forget(ctx.now());
        self.velocity.tick(ctx);
        let Some(mut incident) = self.incident else {
            return;
        };
        let now = ctx.now();
        if now.since(incident.opened_at) < USUAL_AFTER {
            self.history.set_wave_since(ctx.calendar().day(now), true);
        } else {
            let from = ctx.calendar().day(incident.opened_at);
            self.history.set_wave_since(from, false);
        }
        let mut seen = self.seen(incident.window.min(CALM_WINDOW_MAX), ctx);
        // So few come and go within a day: they were no rate that stays when a week is calm as well.
        if incident.is_few && seen.chance > CALM_CHANCE {
            seen = self.seen(CALM_WINDOW_MAX, ctx);
        }
        if seen.chance <= CALM_CHANCE {
            incident.calm_since = None;
        } else if now.since(*incident.calm_since.get_or_insert(now)) >= CALM {
            self.incident = None;
            self.floor_at = now;
            self.unreported = 0;
            let (count, window, expected) = (seen.count, seen.window, seen.expected);
            ctx.clear(
                "all",
                format!("{count} within {window} for {CALM} at most, {expected:.1} are usual"),
            );
            return;
        }
        self.incident = Some(incident);
        if self.unreported > 0 {
            self.judge(true, ctx);
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
        let is_seen = ctx.ledger().payment(fact.charge).is_some();
        let day = ctx.calendar().day(fact.at);
        let first = self.first_day(ctx).unwrap_or(day);
        self.history.count_against(day.max(first), is_seen);
        if day < first {
            // Its end is what came by here. That there are disputes it says, and nothing of the days
            // since it began: they are no part of the record.
            return;
        }
        if ctx.now().since(fact.at) > self.longest() {
            return;
        }
        if self.against.len() >= WINDOW_MAX {
            self.against.pop_front();
        }
        let place = self.against.partition_point(|one| one.at <= fact.at);
        let against = Against {
            at: fact.at,
            charge_id: charge_id_of(event).map(Into::into),
            event_id: event.id.as_str().into(),
            is_warning,
            is_seen,
            amount: fact.amount,
            currency: fact.currency,
        };
        self.against.insert(place, against);
        self.unreported += 1;
        self.judge(false, ctx);
    }

    fn forget(&mut self, now: Timestamp) {
        let from = now - self.longest();
        while self.against.front().is_some_and(|oldest| oldest.at < from) {
            self.against.pop_front();
        }
    }

    const fn window(&self) -> Span {
        Span::secs(self.settings.window_secs)
    }

    /// The windows that are judged, and the rate without which each says nothing.
    fn windows(&self) -> impl Iterator<Item = (Span, i64)> + use<> {
        let first = self.window();
        let longer = LONGER.into_iter().filter(move |(span, _)| *span > first);
        std::iter::once((first, 0)).chain(longer)
    }

    fn longest(&self) -> Span {
        LONGER[LONGER.len() - 1].0.max(self.window())
    }

    /// The day of the first event, by when it was made.
    fn first_day(&self, ctx: &Context<'_>) -> Option<i64> {
        self.began_at.map(|at| ctx.calendar().day(at))
    }

    /// Those of a window, as far as they belong to no wave that is over.
    fn within(&self, window: Span, now: Timestamp) -> impl DoubleEndedIterator<Item = &Against> {
        let from = self.floor_at.max(now - window);
        let place = self.against.partition_point(|one| one.at <= from);
        self.against.range(place..)
    }

    /// What a window holds, and how likely that is.
    fn seen(&self, window: Span, ctx: &Context<'_>) -> Seen {
        let now = ctx.now();
        let (count, seen) = self.within(window, now).fold((0, 0), |(count, seen), one| {
            (count + 1, seen + u64::from(one.is_seen))
        });
        let day = |at| ctx.calendar().day(at);
        let from = day(now - window);
        let days = self.days_worth(window, ctx);
        let days_seen = days_of(now.since(self.began_at.unwrap_or(now)));
        let payments_a_day = self.history.payments_a_day(day(now), days_seen);
        let mut usual = self.history.usual(from, payments_a_day);
        // Of payments from before the first day, or of kinds that are not sent here, the rate says
        // nothing; nor of a week that has hardly begun.
        let is_alone = seen * 2 < count;
        let days_known = self.history.days_before(from);
        let is_before = is_alone && days_known < YOUNG_DAYS;
        if is_alone || days_known < YOUNG_DAYS {
            let is_young = days_known < YOUNG_DAYS;
            let of_few = self.history.usual_of_few_days(from).filter(|_| is_young);
            let mut alone = of_few.unwrap_or_else(|| self.history.usual_alone(from));
            if is_before && of_few.is_none() {
                // Of how many payments they are is not known: of as many as are made now, it is taken,
                // and up to what Stripe calls excessive is no spike of a stranger's.
                alone.a_day = alone.a_day.max(payments_a_day * RULE_OF_THUMB);
            }
            if alone.a_day > usual.a_day {
                usual = alone;
            }
        }
        // And then a longer window is held against one like it, or not at all; and a month of which not
        // even a week before is known would be held against a stranger's rate alone.
        let days_min = match window {
            _ if is_alone && window > self.window() => days_of(window),
            _ if window > self.window().max(CALM_WINDOW_MAX) => as_f64(YOUNG_DAYS),
            _ => 0.0,
        };
        let is_known = as_f64(days_known) >= days_min;
        let expected = (usual.a_day * days).max(0.05);
        let payments = rounded((payments_a_day * days).max(1.0)).max(1);
        Seen {
            window,
            count,
            expected,
            chance: match is_known {
                true => negative_binomial_tail(count, expected, 1.0 / usual.known),
                false => 1.0,
            },
            rate_bps: share_bps(i64::try_from(count).unwrap_or(i64::MAX), payments),
            is_before,
        }
    }

    /// How many days' worth a window brings; where it ends on a Monday, more than it is long.
    fn days_worth(&self, window: Span, ctx: &Context<'_>) -> f64 {
        let (from, to) = (ctx.now() - window, ctx.now());
        let calendar = ctx.calendar();
        let days = (calendar.day(from)..=calendar.day(to)).map(|day| {
            let begin = calendar.day_start(day);
            let end = calendar.day_start(day + 1).min(to);
            Part {
                day,
                share: days_of(end.since(begin.max(from))),
                has_begin: begin >= from,
            }
        });
        self.history.days_worth(days).max(days_of(window))
    }

    /// The least plausible of the windows that hold too many, and the greatest severity of them.
    fn verdict(&self, ctx: &Context<'_>) -> Option<(Seen, Severity)> {
        let count_min = u64::try_from(self.settings.count_min).unwrap_or(u64::MAX);
        #[expect(clippy::cast_precision_loss, reason = "a setting, at most 50,000")]
        let ppm_max = self.settings.chance_ppm_max as f64;
        let mut worst: Option<(Seen, Severity)> = None;
        for (window, rate_min) in self.windows() {
            let count = self.within(window, ctx.now()).count() as u64;
            let doubt = if count >= count_min {
                1.0
            } else if count >= FEWEST && count + 1 >= count_min {
                ONE_FEWER_DOUBT
            } else {
                continue;
            };
            let seen = self.seen(window, ctx);
            let chance_max = ppm_max / 1e6 * share_of(window) / looks_a_day(&seen);
            if seen.chance > doubt * chance_max || seen.rate_bps < rate_min {
                continue;
            }
            let mut severity = severity_of(&seen);
            if seen.chance > doubt * chance_max * CLEARLY {
                severity = severity.min(Severity::Medium);
            }
            worst = Some(match worst {
                Some((known, most)) if known.chance <= seen.chance => (known, most.max(severity)),
                Some((_, most)) => (seen, most.max(severity)),
                None => (seen, severity),
            });
        }
        let (seen, severity) = worst?;
        Some((seen, severity.max(self.programme.severity())))
    }

    /// Opens the alert, or lets it grow; growth alone is told by the tick.
    fn judge(&mut self, is_tick: bool, ctx: &mut Context<'_>) {
        let now = ctx.now();
        let found = self.verdict(ctx);
        let (seen, severity) = match (found, self.incident) {
            (Some((seen, severity)), Some(known)) => (seen, severity.max(known.severity)),
            (Some(found), None) => found,
            // It goes on, and no window is beyond its line just now.
            (None, Some(known)) => (self.seen(known.window, ctx), known.severity),
            (None, None) => return,
        };
        let is_news = self.incident.is_none_or(|known| severity > known.severity);
        let count_min = u64::try_from(self.settings.count_min).unwrap_or(u64::MAX);
        let is_few = seen.count < count_min;
        let incident = self.incident.get_or_insert(Incident {
            severity,
            opened_at: now,
            is_few,
            window: seen.window,
            chance: seen.chance,
            calm_since: None,
        });
        incident.severity = severity;
        incident.is_few &= is_few;
        if seen.chance < incident.chance {
            (incident.window, incident.chance) = (seen.window, seen.chance);
        }
        if found.is_some() && now.since(incident.opened_at) < USUAL_AFTER {
            // Also those from before it was told.
            let from = ctx.calendar().day(now - seen.window);
            self.history.set_wave_since(from, true);
        }
        if is_news || is_tick {
            self.report(&seen, severity, ctx);
        }
    }
}

/// Its share of what may be chance: over a month a shop's rate strays more than the test allows for.
fn share_of(window: Span) -> f64 {
    if window <= CALM_WINDOW_MAX { 1.0 } else { 0.1 }
}

/// How many times a day a window comes to hold so many, for each unit of the probability that it
/// does; so what may come by chance is said for a day, whatever the window. 0.02 false alarms a
/// merchant-day are the most for seven detectors: this one's part is the default of `chance_ppm_max`.
/// A count that chance seldom reaches is left again as soon as the first of them is too old,
/// so each visit is as long as the window over the excess (Poisson clumping: Aldous, Probability
/// Approximations via the Poisson Clumping Heuristic). A day holds many such visits, a week few: the
/// same probability brings more false alarms in the short windows, and more to who has many disputes.
fn looks_a_day(seen: &Seen) -> f64 {
    let excess = (as_f64(seen.count) - seen.expected).max(1.0);
    excess / days_of(seen.window)
}

fn days_of(window: Span) -> f64 {
    as_f64(u64::try_from(window.as_secs()).unwrap_or_default()) / 86_400.0
}

fn severity_of(seen: &Seen) -> Severity {
    match (seen.rate_bps, seen.count) {
        _ if seen.is_before => Severity::Medium,
        (VAMP_EXCESSIVE_BPS.., 10..) => Severity::Critical,
        (RULE_OF_THUMB_BPS.., _) => Severity::High,
        _ => Severity::Medium,
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
#[cfg(test)]
mod tests_of_one_buyer;
