//! How often events come, by hour of the week, and how much a pause says.
//!
//! One payment is half a dozen events within seconds, so it is not events that are counted but
//! busy minutes: minutes with any event at all. Of each hour of the week the share *p* of busy
//! minutes that can be counted on is [learned](super::profile); a minute without events then
//! misses −ln(1 − p) of what was to be expected (the rate of a Poisson process with that share).
//! The sum over a pause, *missing*, is the natural logarithm of how unlikely it is: e^−missing.
//!
//! Three things keep that honest where life is less regular than a Poisson process. The
//! expectation is scaled down by how lively the last hour or so was (holidays, evenings that drag
//! on); it is never scaled up. Pauses of a Poisson process that miss more than 1 miss 1 more on
//! average, and those that miss more than 3 as well: where they miss more than that (events that
//! come together leave longer pauses between, and some days are quieter than others), *missing* is
//! divided by it. And a pause is certain only if it misses more than the longest of the last
//! four weeks did, by a tenth, and half as much again as the second longest week's.

use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::ledger::Foretold;
use crate::time::{Span, Timestamp};

use super::profile::{Profile, Share};

pub(super) const MINUTE: Span = Span::minutes(1);

/// Minutes that must be known before a silence is judged by the hour of the week: a whole week.
/// The first night and the first weekend must not look like an outage.
const KNOWN_MIN: u32 = 7 * 24 * 60;

/// Of a stream that sleeps at times only a silence of this length is judged until then, by the average of all hours: no weekend is
/// as long.
const COLD_SILENCE: Span = Span::hours(72);

/// Minutes without which not even that can be judged.
const COLD_KNOWN_MIN: u32 = 12 * 60;

/// What is kept of the record of all hours from one minute to the next: 85 % of a week.
const KEPT: f32 = 1.0 - 0.15 / 10_080.0;

/// The most one empty minute can miss: however busy the stream, no silence is certain within less
/// than about six minutes.
const MISSING_A_MINUTE_MAX: f64 = 2.0;

/// How many expected busy minutes the liveliness of late remembers, and the weight of "as usual".
const LIVELY_MEMORY: f64 = 20.0;
/// See [`LIVELY_MEMORY`].
const LIVELY_PRIOR: f64 = 3.0;

/// A certain pause misses more than any usual one, by so much: one odd day a month is no measure.
const BEYOND_LONGEST: f64 = 1.1;

/// And so many times what the longest of the second longest week missed.
const BEYOND_SECOND: f64 = 1.5;

/// The busy minutes that a period's turn makes: its own, and its invoice's.
const MINUTES_A_TURN: f64 = 2.0;

/// What pauses must miss to tell how much longer the stream's are than those of a Poisson process:
/// most of them, and the long ones.
const EXCESS_OVER: [f64; 2] = [1.0, 3.0];

/// What they are taken to miss beyond it until it is known, as a sum over so many of them: 1.2
/// each.
const EXCESS_PRIOR: (f64, f64) = (12.0, 10.0);

/// What is kept of that from one such pause to the next.
const EXCESS_KEPT: f64 = 0.998;

/// Weeks whose longest pause is remembered.
const WEEKS: usize = 4;

/// How long a silence that was told, and from which nothing was missing, is by itself a yardstick for
/// the next: a holiday has several, and lasts a weekend at most.
const AMENDED_ALONE: Span = Span::days(3);

/// How long two of them are: what comes twice in four weeks comes again.
const AMENDED_TWICE: Span = Span::days(28);

/// A pause longer than this teaches nothing: the stream was off.
const PAUSE_MAX: Span = Span::days(35);

/// The learned rhythm of a stream of events, and the pause it is in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Rhythm {
    profile: Profile,
    /// Busy and all minutes, decaying.
    all: (f32, f32),
    /// Minutes ever counted.
    known: u32,
    /// The minute being watched, and whether it had an event.
    minute: Timestamp,
    is_busy: bool,
    last_at: Option<Timestamp>,
    /// What the pause since the last event misses, and how many busy minutes it should have had.
    missing: f64,
    missing_minutes: f64,
    /// What it misses by the record alone, without leeway for changed clocks.
    missing_recorded: f64,
    /// Busy minutes of late: seen and expected.
    lively: (f64, f64),
    /// Of pauses that missed more than [`EXCESS_OVER`]: what they missed beyond it, and their
    /// number.
    excess: [(f64, f64); 2],
    /// What the longest usual pause missed, by week.
    longest: [f64; WEEKS],
    week: i64,
    /// What the two newest silences missed that were told and from which nothing was missing, and
    /// when they ended.
    amended: [(Timestamp, f64); 2],
    /// The pause fell together with one that is known not to be chance.
    is_disturbed: bool,
    /// Historical: the minute of the newest event.
    taught: Timestamp,
    /// What a minute without events was last found to miss, and by which share of busy ones: that
    /// changes once an hour.
    #[serde(skip)]
    missed: (Share, f64, f64),
    /// Likewise what is kept of the liveliness from one busy minute to the next.
    #[serde(skip)]
    kept: (f64, f64),
}

/// A pause in the stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    /// The last event before it.
    pub(crate) since: Timestamp,
    /// Busy minutes that were to be expected since.
    pub(crate) expected: f64,
    /// The chance of such a pause, and whether it is beyond chance.
    pub(crate) chance: f64,
    pub(crate) is_certain: bool,
    /// Periods of subscriptions that turned in it.
    pub(crate) foretold: u32,
}

impl Rhythm {
    /// Whose clocks say which hour it is.
    pub(super) fn set_calendar(&mut self, calendar: &Calendar) {
        self.profile.set_calendar(calendar);
    }

    /// An event arrived. The empty minutes before it become part of what is usual only now, and
    /// not at all where they are known to be unusual: a silence is no yardstick for itself.
    pub(super) fn arrive(&mut self, now: Timestamp, is_unusual: bool) {
        self.tick(now);
        let is_unusual = std::mem::take(&mut self.is_disturbed) || is_unusual;
        let is_usual = |last_at: &Timestamp| !is_unusual && now.since(*last_at) < PAUSE_MAX;
        if let Some(last_at) = self.last_at.filter(is_usual)
            && self.missing_minutes > 0.0
        {
            self.count_empty(last_at.floor_to(MINUTE) + MINUTE, self.minute);
            self.enliven(0.0, self.missing_minutes);
            self.note_longest(now);
        }
        self.is_busy = true;
        self.missing = 0.0;
        self.missing_minutes = 0.0;
        self.missing_recorded = 0.0;
        self.last_at = self.last_at.max(Some(now));
    }

    /// Time passed.
    pub(super) fn tick(&mut self, now: Timestamp) {
        if now < self.minute + MINUTE {
            return;
        }
        self.turn_to(now.floor_to(MINUTE));
    }

    /// The same, where it is known which minute it is.
    pub(super) fn turn_to(&mut self, minute: Timestamp) {
        if minute <= self.minute {
            return;
        }
        if self.last_at.is_none() {
            // Nothing of it ever came.
            self.minute = minute;
            return;
        }
        let share = self.look(self.minute);
        if self.is_busy {
            self.enliven(1.0, share.least);
            self.count(self.minute, true);
        } else {
            if self.missed.0 != share {
                self.missed = (share, missed(share.least), missed(share.recorded));
            }
            let lively = self.liveliness();
            self.missing += self.missed.1 * lively;
            self.missing_recorded += self.missed.2 * lively;
            self.missing_minutes += share.least.max(f64::MIN_POSITIVE);
        }
        self.minute = minute;
        self.is_busy = false;
    }

    /// A historical event was made then: its minute was busy, and those since the newest were not.
    pub(super) fn teach(&mut self, made_at: Timestamp) {
        let minute = made_at.floor_to(MINUTE);
        if minute <= self.taught {
            return;
        }
        if self.taught > Timestamp::EPOCH && minute.since(self.taught) < Span::days(3) {
            self.count_empty(self.taught + MINUTE, minute);
        }
        self.count(minute, true);
        self.taught = minute;
    }

    /// The present pause is no yardstick: what kept the whole stream silent kept this silent, too.
    pub(super) const fn disturb(&mut self) {
        self.is_disturbed = true;
    }

    pub(super) const fn last_at(&self) -> Option<Timestamp> {
        self.last_at
    }

    /// What the pause since the last event misses; nothing while too little is known.
    pub(super) fn missing(&self) -> f64 {
        if self.known < KNOWN_MIN {
            return 0.0;
        }
        self.missing / self.stretch()
    }

    /// Whether the pause misses at least so much.
    pub(super) fn misses(&self, least: f64) -> bool {
        // What is missing is never stretched to more than it is.
        self.missing >= least && self.missing() >= least
    }

    /// Whether the minute being watched has had an event.
    pub(super) const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// The pause since the last event. It is certain when fewer than `ppm_a_day` millionths of
    /// such pauses come by chance in a day; `scale` (at most 1) takes something off the
    /// expectation. `None` while too little is known.
    ///
    /// What is `foretold` comes at its minute, and not by chance: it counts beside what is usual,
    /// less the part of the usual that it is (the turn itself, and its invoice).
    pub(super) fn pause(&self, scale: f64, ppm_a_day: i64, foretold: Foretold) -> Option<Pause> {
        let since = self.last_at?;
        let scale = scale * self.dependable(since)?;
        let turned = f64::from(foretold.count) * MINUTES_A_TURN;
        let rest = (1.0 - turned / self.missing_minutes.max(f64::MIN_POSITIVE)).max(0.0);
        let with_foretold = |usual: f64| usual.max(foretold.missing * scale + usual * rest);
        let missing = with_foretold(self.missing * scale / self.stretch());
        Some(Pause {
            since,
            expected: self.missing_minutes * scale,
            chance: (-missing).exp(),
            is_certain: missing >= self.certain_from(ppm_a_day)
                && with_foretold(self.missing * scale) >= self.longest_usual(),
            foretold: foretold.count,
        })
    }

    /// What part of what the record says of a pause since then can be counted on: all of it once a week is known. `None` while too
    /// little is.
    fn dependable(&self, since: Timestamp) -> Option<f64> {
        let is_long = self.minute.since(since) >= COLD_SILENCE;
        if self.known >= KNOWN_MIN || (self.known >= COLD_KNOWN_MIN && is_long) {
            return Some(1.0);
        }
        self.profile.dependable_early(since, self.minute)
    }

    /// The same of a stream whose week does not come again: nothing but what is foretold is missing
    /// from its pause, and other pauses are no measure.
    pub(super) fn foretold_pause(
        &self,
        scale: f64,
        ppm_a_day: i64,
        foretold: Foretold,
    ) -> Option<Pause> {
        let since = self.last_at.filter(|_| self.known >= KNOWN_MIN)?;
        let missing = foretold.missing * scale;
        let turns = f64::from(foretold.count);
        Some(Pause {
            since,
            expected: turns.min(self.missing_minutes) * scale,
            chance: (-missing).exp(),
            is_certain: missing >= self.certain_from(ppm_a_day),
            foretold: foretold.count,
        })
    }

    /// What a pause must miss for so few of them to come by chance in a day.
    fn certain_from(&self, ppm_a_day: i64) -> f64 {
        let share = self.average();
        let pauses_a_day = (24.0 * 60.0 * share * (1.0 - share)).max(1.0);
        let allowed = f64::from(i32::try_from(ppm_a_day).unwrap_or(i32::MAX)) / 1e6 / pauses_a_day;
        -allowed.ln()
    }

    /// How long the pause since the last event is.
    pub(super) fn silent(&self) -> Span {
        self.last_at
            .map_or(Span::secs(0), |last_at| self.minute.since(last_at))
    }

    /// The usual number of busy minutes in a day.
    pub(super) fn minutes_a_day(&self) -> f64 {
        self.average() * 24.0 * 60.0
    }

    /// The usual share of busy minutes at any hour.
    fn average(&self) -> f64 {
        f64::from(self.all.0 / self.all.1.max(1.0)).min(0.999)
    }

    /// The share of busy minutes that can be counted on at this hour of the week.
    #[inline]
    pub(super) fn share(&mut self, at: Timestamp) -> f64 {
        self.look(at).least
    }

    fn look(&mut self, at: Timestamp) -> Share {
        let known = self.profile.look(at);
        known.unwrap_or_else(|| Share::plain(self.average()))
    }

    /// How lively the stream was of late, against its usual self: 1 at most.
    fn liveliness(&self) -> f64 {
        let (seen, expected) = self.lively;
        ((seen + LIVELY_PRIOR) / (expected + LIVELY_PRIOR)).clamp(0.02, 1.0)
    }

    fn enliven(&mut self, seen: f64, expected: f64) {
        if self.kept.0.to_bits() != expected.to_bits() || self.kept.1 <= 0.0 {
            self.kept = (expected, (-expected / LIVELY_MEMORY).exp());
        }
        let kept = self.kept.1;
        self.lively = (self.lively.0 * kept + seen, self.lively.1 * kept + expected);
    }

    /// A silence from which nothing was missing in the end: its hours were quiet, and its pause may be
    /// one of those that come. Or the shop was down: one of them must not hide the next for weeks.
    pub(super) fn amend(&mut self, from: Timestamp, to: Timestamp, missing: f64) {
        self.profile.amend(from, to);
        self.amended.rotate_right(1);
        self.amended[0] = (to, missing * self.stretch());
    }

    /// What the amended silences missed, as far as they are a yardstick now.
    fn amended_usual(&self) -> f64 {
        let [(newest_at, newest), (before_at, before)] = self.amended;
        if self.minute.since(newest_at) < AMENDED_ALONE {
            newest
        } else if self.minute.since(before_at) < AMENDED_TWICE {
            newest.min(before)
        } else {
            0.0
        }
    }

    fn note_longest(&mut self, now: Timestamp) {
        let week = now.day().div_euclid(7);
        if week != self.week {
            let passed = usize::try_from(week.saturating_sub(self.week)).unwrap_or(WEEKS);
            for _ in 0..passed.min(WEEKS) {
                self.longest.rotate_right(1);
                self.longest[0] = 0.0;
            }
            self.week = week;
        }
        // In the first week the hours are not known: what it seems to miss means nothing.
        if self.known >= KNOWN_MIN {
            let missing = self.missing_recorded;
            self.longest[0] = self.longest[0].max(missing);
            for (over, excess) in EXCESS_OVER.iter().zip(&mut self.excess) {
                if missing > *over {
                    excess.0 = excess.0 * EXCESS_KEPT + missing - over;
                    excess.1 = excess.1 * EXCESS_KEPT + 1.0;
                }
            }
        }
    }

    /// What a pause must miss to be beyond those that come.
    fn longest_usual(&self) -> f64 {
        let (mut longest, mut second) = (0.0_f64, 0.0_f64);
        for missing in self.longest {
            second = second.max(missing.min(longest));
            longest = longest.max(missing);
        }
        let longest = longest.max(self.amended_usual());
        (longest * BEYOND_LONGEST).max(second * BEYOND_SECOND)
    }

    /// How much longer the pauses of this stream are than those of a Poisson process.
    fn stretch(&self) -> f64 {
        let stretches = self.excess.iter().map(|(sum, count)| {
            let prior = EXCESS_PRIOR;
            (sum + prior.0) / (count + prior.1)
        });
        stretches.fold(1.0, f64::max)
    }

    fn count(&mut self, minute: Timestamp, is_busy: bool) {
        self.profile.count(minute, is_busy);
        let busy = f32::from(u8::from(is_busy));
        self.all = (self.all.0 * KEPT + busy, self.all.1 * KEPT + 1.0);
        self.known = self.known.saturating_add(1);
    }

    /// Counts all minutes from one to before another, which had no event.
    fn count_empty(&mut self, from: Timestamp, until: Timestamp) {
        for minutes in self.profile.count_empty(from, until) {
            for _ in 0..minutes {
                self.all = (self.all.0 * KEPT, self.all.1 * KEPT + 1.0);
            }
            self.known = self.known.saturating_add(u32::from(minutes));
        }
    }
}

/// What a minute without events misses where such a share of them is busy.
fn missed(share: f64) -> f64 {
    (-(1.0 - share).ln()).min(MISSING_A_MINUTE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONDAY: Timestamp = Timestamp::from_secs(1_709_510_400);

    /// Four weeks of an event every seven minutes of the working day.
    fn office_hours() -> Rhythm {
        let mut rhythm = Rhythm::default();
        for minute in 0..(4 * 7 * 24 * 60) {
            let now = MONDAY + Span::minutes(minute);
            rhythm.tick(now);
            if (8..18).contains(&(Calendar::utc().local(now).hour_of_week() % 24))
                && minute % 7 == 0
            {
                rhythm.arrive(now, false);
            }
        }
        rhythm
    }

    /// The pause from one hour of a Monday to another.
    fn quiet(from_hour: i64, to_hour: i64) -> Pause {
        let mut rhythm = office_hours();
        let monday = MONDAY + Span::days(28);
        for minute in (8 * 60..from_hour * 60).filter(|minute| minute % 7 == 0) {
            rhythm.arrive(monday + Span::minutes(minute), false);
        }
        rhythm.arrive(monday + Span::hours(from_hour), false);
        for minute in 0..(to_hour - from_hour) * 60 {
            rhythm.tick(monday + Span::hours(from_hour) + Span::minutes(minute));
        }
        rhythm.pause(1.0, 100, Foretold::default()).unwrap()
    }

    #[test]
    fn a_quiet_night_is_likely_and_a_quiet_noon_is_not() {
        let noon = quiet(10, 13);
        assert!(noon.is_certain && noon.chance < 1e-8, "{noon:?}");
        let night = quiet(18, 30);
        assert!(!night.is_certain && night.chance > 0.1, "{night:?}");
    }

    #[test]
    fn half_an_hour_is_not_yet_certain_where_eight_events_an_hour_come() {
        assert!(!quiet(10, 11).is_certain);
    }

    #[test]
    fn a_lame_day_asks_for_more() {
        let mut rhythm = office_hours();
        let monday = MONDAY + Span::days(28);
        // A holiday: a tenth of the events.
        for minute in (8 * 60)..(14 * 60) {
            let now = monday + Span::minutes(minute);
            rhythm.tick(now);
            if minute % 60 == 0 && minute < 12 * 60 {
                rhythm.arrive(now, false);
            }
        }
        let pause = rhythm.pause(1.0, 100, Foretold::default()).unwrap();
        assert!(!pause.is_certain, "{pause:?}");
    }

    #[test]
    fn one_odd_pause_of_a_month_is_no_measure_and_two_are() {
        let mut rhythm = Rhythm {
            longest: [3.0, 20.0, 4.0, 2.0],
            ..Rhythm::default()
        };
        assert!((rhythm.longest_usual() - 22.0).abs() < 1e-9);
        rhythm.longest = [3.0, 20.0, 18.0, 2.0];
        assert!((rhythm.longest_usual() - 27.0).abs() < 1e-9);
        rhythm.longest = [10.0, 0.0, 0.0, 0.0];
        assert!((rhythm.longest_usual() - 11.0).abs() < 1e-9);
    }

    #[test]
    fn what_leeway_for_changed_clocks_takes_off_a_pause_is_remembered_of_it() {
        // Four weeks from 2 March 2026 on, so that Europe's clocks were changed on the day before the
        // pause: from three to six on a Monday afternoon.
        let begin = Timestamp::from_secs(1_772_409_600);
        let mut rhythm = Rhythm::default();
        let closes = |day| if day == 28 { 15 } else { 18 };
        for minute in 0..(29 * 24 * 60) {
            let (day, hour) = (minute / (24 * 60), minute / 60 % 24);
            rhythm.tick(begin + Span::minutes(minute));
            if (8..closes(day)).contains(&hour) && minute % 7 == 0 {
                rhythm.arrive(begin + Span::minutes(minute), false);
            }
        }
        let (missing, recorded) = (rhythm.missing, rhythm.missing_recorded);
        assert!(missing * 1.3 < recorded, "{missing} {recorded}");
        rhythm.arrive(begin + Span::days(29), false);
        assert!(rhythm.longest[0] >= recorded, "{rhythm:?}");
    }

    #[test]
    fn empty_minutes_counted_at_once_are_what_they_are_one_by_one() {
        for zone in ["UTC", "Asia/Kathmandu", "Europe/Berlin"] {
            let calendar = Calendar::of(zone).unwrap();
            let mut at_once = Rhythm::default();
            at_once.set_calendar(&calendar);
            let mut one_by_one = at_once.clone();
            // Over the end of March, when clocks are put forward.
            let mut minute = MONDAY + Span::days(10);
            let mut state = 7_u64;
            while minute < MONDAY + Span::days(60) {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let next = minute + Span::minutes(i64::try_from((state >> 33) % 200).unwrap());
                at_once.count_empty(minute, next);
                while minute < next {
                    one_by_one.count(minute, false);
                    minute = minute + MINUTE;
                }
                at_once.count(minute, true);
                one_by_one.count(minute, true);
                minute = minute + MINUTE;
            }
            let [at_once, one_by_one] = [at_once, one_by_one].map(|one| format!("{one:?}"));
            assert_eq!(at_once, one_by_one, "{zone}");
        }
    }

    /// The pause of so many minutes after the first days from a Monday on, with an event in all minutes that count.
    fn after_days(minutes: i64, pause: i64, is_busy: impl Fn(i64) -> bool) -> Option<Pause> {
        let mut rhythm = Rhythm::default();
        for minute in 0..=minutes + pause {
            let now = MONDAY + Span::minutes(minute);
            rhythm.tick(now);
            if minute < minutes && is_busy(minute) {
                rhythm.arrive(now, false);
            }
        }
        rhythm.pause(1.0, 100, Foretold::default())
    }

    #[test]
    fn a_stream_that_never_slept_is_silent_in_its_first_week() {
        const DAY: i64 = 24 * 60;
        let is_certain = |minutes, pause, is_busy: fn(i64) -> bool| {
            after_days(minutes, pause, is_busy).is_some_and(|pause| pause.is_certain)
        };
        let mostly = |minute: i64| minute % 5 != 4;
        let noon = DAY / 2;
        assert!(is_certain(3 * DAY + noon, 30, mostly));
        assert!(!is_certain(3 * DAY + noon, 12, mostly));
        // On its first Saturday it may be quieter by more.
        assert!(!is_certain(5 * DAY + noon, 30, mostly));
        assert!(is_certain(5 * DAY + noon, 60, mostly));
        // Not before a day is known, nor where a night is quiet.
        assert!(!is_certain(noon, 60, mostly));
        let by_day = |minute: i64| (3 * 60..DAY).contains(&(minute % DAY)) || minute % 3 == 0;
        assert!(!is_certain(3 * DAY + noon, 60, by_day));
    }

    #[test]
    fn nothing_is_said_on_the_first_day() {
        let mut rhythm = Rhythm::default();
        rhythm.arrive(MONDAY, false);
        for minute in 0..600 {
            rhythm.tick(MONDAY + Span::minutes(minute));
        }
        assert!(rhythm.pause(1.0, 100, Foretold::default()).is_none());
    }
}
