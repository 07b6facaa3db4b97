//! Whether what arrived is all there is: the one cause that explains many effects.
//!
//! A detector that looks for what did *not* happen (money that did not come, a subscription that
//! did not pay) is fooled whenever events do not arrive: Stripe lags, the endpoint is disabled, or
//! we were down. The engine therefore watches the arrivals of each scope once, before any detector
//! sees an event or tick, and every detector can ask through
//! [`Context::intake`](crate::detector::Context::intake):
//!
//! - [`Intake::complete_until`]: events made before this instant have arrived. Judge absence only
//!   up to there. It is now while all is well; during a lag, a silence or a draining backlog it
//!   stands still at the place where the trouble began, and already while a pause begins to look
//!   odd, so that no effect is told before its cause.
//! - [`Intake::trouble`]: what is wrong now, with a reason word and a sentence, for the suppressed
//!   finding that a muted detector owes its reader.
//! - [`Intake::lost_between`]: whether events made between two instants may never have arrived:
//!   after a silence whose backlog did not come, what is missing from it proves nothing.
//!
//! So a detector of sums, such as `revenue_drop`, does this: it judges hours and days that end at
//! or before `complete_until(now)`, and no others. When a judged stretch would fire, it asks
//! `lost_between(Family::Charge, from, to)` first: is there an answer, then it suppresses the
//! finding with [`Trouble::reason`] and `Trouble::to_string` instead, and does not learn from the
//! stretch. Late events that arrive in the end count at the time they were made
//! (`ctx.event_at()`), so sums that wait for `complete_until` come out right.
//!
//! A pause of our own cannot be told from one of Stripe's by looking at arrivals, and need not be:
//! either way events are missing, and either way Stripe delivers them again for days. What it is
//! about is decided by settings of `webhook_lag`, which also tells people of it.

mod backfill;
mod clocks;
mod families;
mod lateness;
mod pauses;
mod profile;
mod recurrence;
mod rhythm;
mod trouble;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::event::Family;
use crate::ledger::{Awaited, Foretold, Renewals};
use crate::time::{Span, Timestamp};

use backfill::Backfill;
pub(crate) use backfill::RETRIED;
use families::{FamilyWatch, place_of};
pub(crate) use lateness::{Late, ShortOutage};
use lateness::{Lateness, OddPause};
use pauses::Pauses;
pub(crate) use rhythm::Pause;
use rhythm::{MINUTE, Rhythm};
pub use trouble::{Trouble, TroubleKind};

/// The families whose silence is watched by itself: those that come steadily, whatever happens.
/// Not `invoice_payment.*`: it tells of payments that succeeded, and ends where payments fail.
const WATCHED: [Family; 5] = [
    Family::Charge,
    Family::PaymentIntent,
    Family::Invoice,
    Family::Subscription,
    Family::CheckoutSession,
];

/// A pause that misses this much may be the begin of a silence (a chance of 5 %): until it is
/// over, nobody is to be blamed for what is still to come.
const ODD: f64 = 3.0;

/// How long a backlog is given to arrive after a silence, at least and at most.
const DRAIN_MIN: Span = Span::minutes(10);
/// See [`DRAIN_MIN`].
const DRAIN_MAX: Span = Span::hours(2);

/// Deliveries must have been on time for so long before a trouble is over.
const ON_TIME_MIN: Span = Span::minutes(10);

/// After a silence events come again at this share of the usual rate, at least: a stray refund or a
/// changed address is no end of it.
const BACK_MIN: f64 = 0.3;

/// In so many busy minutes the rate shows, however few were to be expected.
const BACK_MINUTES: f64 = 3.0;

/// How many expected busy minutes the rate since a silence remembers.
const BACK_MEMORY: f64 = 10.0;

/// A silence is over in any case when events have come for so long: business became less.
const BACK_OVER: Span = Span::hours(12);

/// A lag is over in any case when nothing came late for so long, and something came on time.
const LAG_OVER: Span = Span::hours(6);

/// A family's silence is told after this long at least: one kind of business pauses more easily
/// than the whole stream does.
const FAMILY_PAUSE_MIN: Span = Span::minutes(20);

/// Ended troubles that are remembered, and for how long: Stripe tries again for three days, and a
/// lapse is judged three days after a payment was due.
const PAST_MAX: usize = 64;
/// See [`PAST_MAX`].
const PAST_SPAN: Span = Span::days(45);

/// What counts as trouble; see the settings of `webhook_lag`.
#[derive(Clone, Debug)]
pub(crate) struct Criteria {
    pub(crate) lag: Span,
    pub(crate) slow: Span,
    pub(crate) window: Span,
    pub(crate) late_min: usize,
    pub(crate) late_bps_max: i64,
    pub(crate) chance_max: f64,
    pub(crate) silence_min: Span,
    pub(crate) silences_ppm_a_day: i64,
    pub(crate) is_silence_watched: bool,
    pub(crate) is_family_watched: bool,
}

fn default_criteria() -> Criteria {
    crate::detectors::delivery_criteria(&crate::detector::SettingValues::new())
}

/// How events arrive in one scope.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Intake {
    #[serde(skip, default = "default_criteria")]
    criteria: Criteria,
    #[serde(skip)]
    calendar: Calendar,
    stream: Rhythm,
    /// Periods that turned in the pause since the last event.
    foretold: Foretold,
    families: Vec<FamilyWatch>,
    /// Which of them are silent, as bits: asked with every event.
    #[serde(skip)]
    silent: u16,
    lateness: Lateness,
    open: Option<Trouble>,
    past: VecDeque<Trouble>,
    /// Those that a backlog may come of.
    pauses: Pauses,
    /// Busy minutes of late since the newest silence: seen and expected.
    back: (f64, f64),
    /// The newest pause that was odd.
    odd: OddPause,
    /// The newest arrival of an event that was on time.
    fresh_at: Timestamp,
    /// The newest arrival of one that was late.
    late_at: Timestamp,
    /// The newest event came late, and a silence is to blame for it.
    is_draining: bool,
    /// What made the newest event late, where that is over and no lag.
    #[serde(skip)]
    short_outage: Option<ShortOutage>,
    /// Old events that Stripe did not deliver: the newest run of them.
    backfill: Backfill,
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            criteria: default_criteria(),
            calendar: Calendar::utc(),
            stream: Rhythm::default(),
            foretold: Foretold::default(),
            families: Vec::new(),
            silent: 0,
            lateness: Lateness::default(),
            open: None,
            past: VecDeque::new(),
            pauses: Pauses::default(),
            back: (0.0, 0.0),
            odd: OddPause::default(),
            fresh_at: Timestamp::EPOCH,
            late_at: Timestamp::EPOCH,
            is_draining: false,
            short_outage: None,
            backfill: Backfill::default(),
        }
    }
}

impl Intake {
    /// What is wrong with the whole stream now: nothing arrives, or late, or a backlog is on its
    /// way. `None` when all is well.
    #[must_use]
    pub const fn trouble(&self) -> Option<&Trouble> {
        self.open.as_ref()
    }

    /// What is wrong for events of this family now, be it with the whole stream or with it alone.
    #[must_use]
    pub fn trouble_of(&self, family: Family) -> Option<&Trouble> {
        if self.silent == 0 {
            return self.open.as_ref();
        }
        self.open.as_ref().or_else(|| {
            self.family_troubles()
                .find(|trouble| trouble.affects(family))
        })
    }

    /// Families that fell silent while the rest of the stream goes on.
    pub fn family_troubles(&self) -> impl Iterator<Item = &Trouble> {
        self.families
            .iter()
            .filter_map(|family| family.open.as_ref())
    }

    /// Every event made before this instant has arrived, or never will: see the module's text.
    #[must_use]
    pub fn complete_until(&self, now: Timestamp) -> Timestamp {
        if let Some(trouble) = &self.open {
            return trouble.since.min(now);
        }
        if let Some(made_from) = self.backfill.running(now) {
            return made_from.min(now);
        }
        match self.stream.last_at() {
            Some(last_at) if self.stream.misses(ODD) => last_at.min(now),
            _ => now,
        }
    }

    /// The trouble, past or present, for which events of this family made between the two instants
    /// may never have arrived.
    #[must_use]
    pub fn lost_between(&self, family: Family, from: Timestamp, to: Timestamp) -> Option<&Trouble> {
        let all = self.past.iter().chain(&self.open);
        all.chain(self.family_troubles()).find(|trouble| {
            let until = trouble.back_at.unwrap_or(Timestamp::MAX);
            trouble.affects(family) && trouble.since < to && until > from && trouble.is_lost()
        })
    }

    /// The silences, past or present, that hit events of this family made between the two instants.
    pub(crate) fn silences(
        &self,
        family: Family,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = &Trouble> {
        let all = self.past.iter().chain(&self.open);
        all.chain(self.family_troubles()).filter(move |trouble| {
            let until = trouble.back_at.unwrap_or(Timestamp::MAX);
            let is_silence = trouble.kind != TroubleKind::Lag;
            is_silence && trouble.affects(family) && trouble.since < to && until > from
        })
    }

    /// The silences of the whole stream, past or present, of which events made between the two instants
    /// may be missing still: their backlog is not whole.
    pub(crate) fn silent_between(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = &Trouble> {
        self.past.iter().chain(&self.open).filter(move |trouble| {
            let until = trouble.back_at.unwrap_or(Timestamp::MAX);
            let is_silence = trouble.kind == TroubleKind::Silence;
            is_silence && trouble.since < to && until > from && !trouble.is_whole()
        })
    }

    /// The newest arrival of an event that was on time.
    #[must_use]
    pub const fn fresh_at(&self) -> Timestamp {
        self.fresh_at
    }

    /// The pause since the last event.
    pub(crate) fn pause(&self) -> Option<Pause> {
        let ppm_a_day = self.criteria.silences_ppm_a_day;
        self.stream.pause(1.0, ppm_a_day, self.foretold)
    }

    /// The pause of a family since its last event.
    pub(crate) fn pause_of(&self, family: Family) -> Option<Pause> {
        let index = place_of(family)?;
        self.families
            .get(index)?
            .pause(self.criteria.silences_ppm_a_day)
    }

    /// The late ones among the newest deliveries.
    pub(crate) fn late(&self, now: Timestamp) -> Late {
        self.lateness.summary(now, &self.criteria)
    }

    /// Late deliveries, and all, of those that decide whether a lag is over.
    pub(crate) fn newest_late(&self, now: Timestamp) -> (u64, u64) {
        self.lateness.newest(now)
    }

    /// How late a delivery may be.
    pub(crate) fn lag_max(&self) -> Span {
        self.lateness.limit(&self.criteria)
    }

    /// The newest event came late because of a silence: it is part of its backlog.
    pub(crate) const fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// What made the newest event late, and would be a lag if it were not short and over.
    pub(crate) const fn short_outage(&self) -> Option<ShortOutage> {
        self.short_outage
    }

    /// When the silence ended whose backlog drains.
    pub(crate) fn drains_since(&self) -> Option<Timestamp> {
        let all = self.past.iter().chain(&self.open).rev();
        let mut silences = all.filter(|trouble| trouble.kind == TroubleKind::Silence);
        silences.find_map(|trouble| trouble.back_at)
    }

    /// The pause that all late deliveries of a lag may come of, if they do: we were down, or
    /// unreachable, for too short a time to be called silent.
    pub(crate) fn backlog_of(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let trouble = self.open.as_ref()?;
        let is_lag = trouble.kind == TroubleKind::Lag;
        let made_to = self.late(now).made_to;
        is_lag.then(|| self.pauses.of(trouble.since, made_to))?
    }

    pub(crate) fn configure(&mut self, criteria: Criteria, calendar: &Calendar) {
        self.criteria = criteria;
        self.calendar = calendar.clone();
        let families = self.families.iter_mut().map(|family| &mut family.rhythm);
        for rhythm in families.chain([&mut self.stream]) {
            rhythm.set_calendar(calendar);
        }
        self.note_silent();
    }

    /// A historical event: it says when events are made, and nothing of their delivery.
    pub(crate) fn teach(&mut self, family: Family, made_at: Timestamp) {
        self.stream.teach(made_at);
        if let Some(index) = self.watch(family) {
            self.families[index].rhythm.teach(made_at);
            self.families[index].take(made_at, &self.calendar);
        }
    }

    /// An event arrived for the first time.
    pub(crate) fn arrive(&mut self, now: Timestamp, made_at: Timestamp, family: Family) {
        let lag = now.since(made_at);
        let is_late = lag > self.lag_max();
        self.short_outage = None;
        let last_at = self.stream.last_at().unwrap_or(now);
        if now.since(last_at) >= self.criteria.lag {
            self.pauses.note(last_at, now);
        }
        if self.stream.misses(ODD) {
            self.odd = OddPause {
                from: last_at,
                to: now,
                missing: self.stream.missing(),
            };
        }
        let was_silent = self.is_silent();
        if let Some(trouble) = &mut self.open
            && was_silent
        {
            trouble.back_at = Some(now);
            self.back = (0.0, 0.0);
            trouble.expected = self
                .stream
                .pause(1.0, 1, Foretold::default())
                .map_or(0.0, |pause| pause.expected);
        }
        // A pause whose events come late in the end was none of the stream's own: it is no
        // yardstick for others, and neither is any while something is wrong.
        let is_unusual = self.open.is_some() || (is_late && made_at >= last_at);
        self.stream.arrive(now, is_unusual);
        self.foretold = Foretold::default();
        self.arrive_family(now, made_at, family, is_late, is_unusual);
        self.is_draining = is_late && self.recover(made_at);
        if self.backfill.takes(now, made_at, is_late) {
            // Somebody sent it again: it says nothing of deliveries.
            return;
        }
        if is_late {
            self.late_at = now;
        } else {
            self.fresh_at = now;
        }
        if self.is_draining {
            return;
        }
        let is_learning = self.open.is_none();
        (self.lateness).take(now, made_at, is_late, is_learning, &self.criteria);
        if !is_late {
            if self.open.is_none()
                && lag > self.criteria.slow
                && let Some(late) = self.lateness.slow(now, &self.criteria)
            {
                self.open = Some(Trouble::new(TroubleKind::Lag, late.made_from, now));
                self.late_at = now;
            }
            return;
        }
        let late = match &self.open {
            Some(trouble) if trouble.kind == TroubleKind::Lag => None,
            _ => {
                let (late, outage) = self.lateness.lag(now, &self.criteria, &self.odd);
                self.short_outage = outage;
                late
            }
        };
        match (&mut self.open, late) {
            // Events made after the silence come late as well: it goes on as a lag.
            (Some(trouble), Some(_)) => {
                trouble.kind = TroubleKind::Lag;
                trouble.found_at = now;
            }
            (None, Some(late)) => {
                self.open = Some(Trouble::new(TroubleKind::Lag, late.made_from, now));
            }
            (_, None) => {}
        }
    }

    /// A point on the time grid.
    pub(crate) fn tick(&mut self, now: Timestamp, renewals: &Renewals) {
        let Some(last_at) = self.stream.last_at() else {
            return;
        };
        let is_busy = self.stream.is_busy();
        let share = self.stream.share(now - MINUTE);
        let minute = now.floor_to(MINUTE);
        self.stream.turn_to(minute);
        // Begun anew with the first event after a silence, and asked for until that is over.
        if self.open.is_some() {
            let kept = (-share / BACK_MEMORY).exp();
            self.back.0 = self.back.0 * kept + f64::from(u8::from(is_busy));
            self.back.1 = self.back.1 * kept + share;
        }
        self.lateness.tick(now, &self.criteria);
        while self.past.len() > PAST_MAX
            || self
                .past
                .front()
                .is_some_and(|trouble| now.since(trouble.since) > PAST_SPAN)
        {
            self.past.pop_front();
        }
        // Only a pause long enough to be weighed is held against what was foretold of it.
        self.foretold = if now.since(last_at) >= self.criteria.silence_min {
            renewals.foretold(Awaited::Turn, last_at, now)
        } else {
            Foretold::default()
        };
        self.tick_stream(now);
        self.tick_families((now, minute), renewals, is_busy, share);
    }

    fn tick_stream(&mut self, now: Timestamp) {
        if self.is_silent() {
            return;
        }
        // Most pauses are too short to be weighed.
        let last_at = self.stream.last_at().unwrap_or(now);
        let is_long =
            self.criteria.is_silence_watched && now.since(last_at) >= self.criteria.silence_min;
        let pause = is_long.then(|| self.pause()).flatten();
        if let Some(pause) = pause.filter(|pause| pause.is_certain) {
            // A lag or a draining backlog that falls silent is one trouble that goes on.
            let silence = Trouble::new(TroubleKind::Silence, pause.since, now);
            self.past.extend(self.open.replace(silence));
            self.lateness.raise_limit(&self.criteria);
            for family in &mut self.families {
                family.rhythm.disturb();
            }
            return;
        }
        let Some(trouble) = &self.open else { return };
        let is_over = match (trouble.kind, trouble.back_at) {
            (TroubleKind::Lag, _) => {
                self.lateness.is_over(trouble.found_at, now)
                    || (self.fresh_at > self.late_at && now.since(self.late_at) >= LAG_OVER)
            }
            // The backlog comes while new events are on time again, or before them.
            (_, Some(back_at)) => {
                let drain = back_at.since(trouble.since).clamp(DRAIN_MIN, DRAIN_MAX);
                self.is_back(back_at, now) && now >= back_at + drain
            }
            (_, None) => false,
        };
        if is_over && let Some(mut trouble) = self.open.take() {
            self.lateness.raise_limit(&self.criteria);
            trouble.ended_at = Some(now);
            // Nothing of it ever came: there was nothing, and that is part of what is usual.
            if let (TroubleKind::Silence, Some(back_at), true) =
                (trouble.kind, trouble.back_at, trouble.is_empty())
            {
                let is_it = self.odd.from == trouble.since;
                let missing = if is_it { self.odd.missing } else { 0.0 };
                self.stream.amend(trouble.since, back_at, missing);
            }
            self.past.push_back(trouble);
        }
    }

    /// Whether events arrive again since a silence, on time and not just a stray one.
    pub(crate) fn is_back(&self, since: Timestamp, now: Timestamp) -> bool {
        let (seen, expected) = self.back;
        let is_rate_back =
            seen >= BACK_MIN * expected && (seen >= BACK_MINUTES || seen >= expected);
        self.is_on_time(since, now) && (is_rate_back || now.since(since) >= BACK_OVER)
    }

    /// Whether events have been arriving on time since, and none late of late.
    fn is_on_time(&self, since: Timestamp, now: Timestamp) -> bool {
        self.fresh_at >= since && now >= since.max(self.late_at) + ON_TIME_MIN
    }

    /// Whether nothing has arrived since the silence that is open began.
    fn is_silent(&self) -> bool {
        self.open.as_ref().is_some_and(|trouble| {
            trouble.kind == TroubleKind::Silence && trouble.back_at.is_none()
        })
    }

    /// Takes a late event for part of a known silence's backlog; false when it is of none.
    fn recover(&mut self, made_at: Timestamp) -> bool {
        let silences = self.past.iter_mut().rev().chain(&mut self.open);
        let mut silences = silences.filter(|trouble| trouble.kind == TroubleKind::Silence);
        match silences.find(|trouble| trouble.covers(made_at)) {
            Some(trouble) => {
                trouble.recover(made_at);
                true
            }
            None => false,
        }
    }

    fn watch(&mut self, family: Family) -> Option<usize> {
        let index = place_of(family)?;
        if self.families.len() <= index {
            self.families
                .resize_with(WATCHED.len(), FamilyWatch::default);
            for family in &mut self.families {
                family.rhythm.set_calendar(&self.calendar);
            }
        }
        Some(index)
    }

    fn arrive_family(
        &mut self,
        now: Timestamp,
        made_at: Timestamp,
        family: Family,
        is_late: bool,
        is_unusual: bool,
    ) {
        let Some(index) = self.watch(family) else {
            return;
        };
        let watch = &mut self.families[index];
        watch.take(made_at, &self.calendar);
        let was_open = watch.open.is_some();
        if let Some(mut trouble) = watch.open.take() {
            trouble.back_at = Some(now);
            trouble.ended_at = Some(now);
            trouble.expected = watch.pause(1).map_or(0.0, |pause| pause.expected);
            self.past.push_back(trouble);
            self.silent &= !(family as u16);
        }
        watch.others = (0.0, 0.0);
        watch.foretold = Foretold::default();
        watch.rhythm.arrive(now, was_open || is_unusual);
        if is_late {
            let families = self.past.iter_mut().rev().filter(|trouble| {
                trouble.kind == TroubleKind::FamilySilence(family) && trouble.covers(made_at)
            });
            for trouble in families.take(1) {
                trouble.recover(made_at);
            }
        }
    }
}
