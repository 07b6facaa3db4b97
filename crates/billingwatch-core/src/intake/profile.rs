//! How many minutes of each hour of the week usually have events.
//!
//! What is asked of it is not what is most likely but what can be counted on: an hour that is
//! expected too busy turns every quiet night into an outage. Four things make hours look busier
//! than they are, and none of them may:
//!
//! - **The renewal calendar.** Whoever bills on the first of the month has one night in four weeks
//!   with fifteen busy minutes an hour, on whatever weekday it falls; who bills on the 1st and the
//!   15th has three of five Sundays from February to March, and who tries again a week later has four
//!   of six. So of each hour of the week the last weeks are kept one by one, and no week counts for
//!   more than the quieter half of them makes plausible, nor than the second quietest does. No
//!   calendar of the month leaves fewer than two of four weeks without its run; what comes every
//!   week misses one at most.
//! - **Few weeks.** While an hour is known from one or two weeks, the same hour of the other days
//!   says what is plausible.
//! - **Batches.** A run that ends at twenty to four makes that hour busy, and none of its last twenty
//!   minutes. So it is known which quarters of an hour its busy minutes usually fall into, and less
//!   is counted on in those that have next to none of them.
//! - **The other days.** They take something off an hour that is busier than they are, and add
//!   nothing to one that is quieter: who is closed on Sundays is not expected to open.
//! - **Summer time.** For two weeks after [clocks were changed](super::clocks), an hour may be the one after or before it.

use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::time::{Span, Timestamp};

use super::clocks;
use super::rhythm::MINUTE;

/// Hours of a week.
const HOURS: usize = 168;

/// Days of a week.
const DAYS: usize = HOURS / 24;

/// Weeks of each hour that are remembered.
const WEEKS: usize = 6;

/// A week of which nothing is known.
const UNKNOWN: u8 = u8::MAX;

/// Minutes of an hour that must have been counted for the hour to be remembered: the others had an
/// outage.
const COUNTED_MIN: u8 = 40;

const HOUR: Span = Span::hours(1);

const QUARTER: Span = Span::minutes(15);

/// Quarters of an hour.
const QUARTERS: usize = 4;

/// In what parts of a busy minute the quarters' counts are kept.
const QUARTER_UNIT: u16 = 64;

/// Busy minutes, spread evenly, that are taken for known of an hour's quarters.
const QUARTER_PRIOR: f64 = 8.0;

/// A quarter with less than this part of what it would have if all were alike is quiet. In an hour
/// of six busy minutes or more that is no chance after six weeks; with fewer the prior forbids it.
const QUARTER_QUIET: f64 = 0.5;

/// An hour is quiet when so many minutes of it were.
const QUIET_MIN: Span = Span::minutes(40);

/// The end of a silence that is taken for quiet afterwards: a day.
const AMENDED_MAX: Span = Span::hours(24);

/// From so many weeks on an hour is its own measure of what is plausible.
const WEEKS_MIN: usize = 3;

/// How much the other days weigh against an hour's own record, in weeks.
const POOL: f64 = 1.0;

/// Of each hour that is known, so many minutes were busy, and of so many hours: such a stream never sleeps.
const SLEEPLESS: (u8, usize) = (30, 24);

/// What is counted on of it before a week is known, of what the same hours of other days had: a day may be quieter than those
/// that are known, and a weekend more so.
const EARLY: f64 = 0.5;
/// See [`EARLY`].
const EARLY_AT_WEEKENDS: f64 = 0.25;

/// The share of busy minutes that nothing exceeds.
const SHARE_MAX: f64 = 0.999;

/// The busy minutes of the last weeks, by hour of the week.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Profile {
    #[serde(skip)]
    calendar: Calendar,
    /// The newest week first.
    hours: Vec<[u8; WEEKS]>,
    /// The hour being counted: its begin, its busy minutes, and all.
    hour: (Timestamp, u8, u8),
    /// Busy minutes by quarter of the hour being counted.
    counted: [u8; QUARTERS],
    /// And of each hour of the week, decaying by a sixth a week; in [`QUARTER_UNIT`]s.
    quarters: Vec<[u16; QUARTERS]>,
    /// The hour that was last asked for, and the share of each of its quarters.
    newest: (Timestamp, Option<[Share; QUARTERS]>),
    /// What the quarter of an hour has that was last asked for, when it begins and ends: asked several times
    /// a minute. Clocks are put forward and back between two of them alone.
    #[serde(skip)]
    quarter: (Timestamp, Timestamp, Option<Share>),
}

/// What part of the minutes of a quarter of an hour are busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Share {
    /// What can be counted on, whatever clocks were changed of late.
    pub(super) least: f64,
    /// What the record says: pauses are remembered by this, or those of the two weeks after a change
    /// would pass for shorter ones when the leeway is over.
    pub(super) recorded: f64,
}

impl Share {
    /// The same part by either.
    pub(super) const fn plain(share: f64) -> Self {
        Self {
            least: share,
            recorded: share,
        }
    }
}

impl Profile {
    /// Whose clocks say which hour it is.
    pub(super) fn set_calendar(&mut self, calendar: &Calendar) {
        self.calendar = calendar.clone();
    }

    /// Takes in a minute that is over. Minutes come in the order of time.
    pub(super) fn count(&mut self, minute: Timestamp, is_busy: bool) {
        self.turn_to(minute);
        self.hour.2 += 1;
        if is_busy {
            self.hour.1 += 1;
            self.counted[quarter_of(minute, self.hour.0)] += 1;
        }
    }

    /// Takes in all minutes from one to before another, which were not busy: as many as there are of each quarter of an
    /// hour. No zone's hours begin or end within one.
    pub(super) fn count_empty(
        &mut self,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = u8> {
        let mut minute = from;
        std::iter::from_fn(move || {
            if minute >= until {
                return None;
            }
            self.turn_to(minute);
            let next = until.min(minute.floor_to(QUARTER) + QUARTER);
            let minutes = next.since(minute).as_millis() / MINUTE.as_millis();
            let minutes = u8::try_from(minutes).unwrap_or_default();
            self.hour.2 += minutes;
            minute = next;
            Some(minutes)
        })
    }

    /// The hour of a minute is the one being counted.
    fn turn_to(&mut self, minute: Timestamp) {
        if !self.is_in(minute, self.hour.0) {
            self.remember();
            self.hour = (self.calendar.hour_start(minute), 0, 0);
            self.counted = [0; QUARTERS];
        }
    }

    /// The hours that lie in between were quiet, though they were not counted.
    pub(super) fn amend(&mut self, from: Timestamp, to: Timestamp) {
        if self.hours.is_empty() {
            return;
        }
        let from = from.max(to - AMENDED_MAX);
        let mut hour = self.calendar.hour_start(from);
        while hour < to {
            let quiet = to.min(hour + HOUR).since(from.max(hour));
            if quiet >= QUIET_MIN && hour != self.hour.0 {
                let weeks = &mut self.hours[self.calendar.local(hour).hour_of_week() % HOURS];
                weeks.rotate_right(1);
                weeks[0] = 0;
            }
            hour = hour + HOUR;
        }
    }

    /// What part of it can be counted on before a week is known, from one instant to another; `None` of a stream that sleeps at times.
    pub(super) fn dependable_early(&self, from: Timestamp, to: Timestamp) -> Option<f64> {
        let known = || self.hours.iter().flatten().filter(|busy| **busy != UNKNOWN);
        let is_day_known = known().nth(SLEEPLESS.1 - 1).is_some();
        let is_weekend = |at| self.calendar.local(at).hour_of_week() / 24 >= 5;
        let part = if is_weekend(from) || is_weekend(to) {
            EARLY_AT_WEEKENDS
        } else {
            EARLY
        };
        (is_day_known && known().all(|busy| *busy >= SLEEPLESS.0)).then_some(part)
    }

    fn remember(&mut self) {
        let (hour, busy, counted) = self.hour;
        if counted < COUNTED_MIN {
            return;
        }
        if self.hours.is_empty() {
            self.hours.resize(HOURS, [UNKNOWN; WEEKS]);
            self.quarters.resize(HOURS, [0; QUARTERS]);
        }
        let hour = self.calendar.local(hour).hour_of_week() % HOURS;
        let weeks = &mut self.hours[hour];
        weeks.rotate_right(1);
        weeks[0] = busy;
        for (kept, counted) in self.quarters[hour].iter_mut().zip(self.counted) {
            // At most 15 a week, of six weeks: no overflow.
            *kept = *kept - *kept / 6 + u16::from(counted) * QUARTER_UNIT;
        }
    }

    /// The share of busy minutes that can be counted on at this minute: that of its
    /// [hour](Self::share), or less in a quarter of it that is quiet. Looked up once an hour.
    #[inline]
    pub(super) fn look(&mut self, minute: Timestamp) -> Option<Share> {
        let (begin, end, share) = self.quarter;
        if begin <= minute && minute < end {
            return share;
        }
        self.look_anew(minute)
    }

    fn look_anew(&mut self, minute: Timestamp) -> Option<Share> {
        if !self.is_in(minute, self.newest.0) {
            let hour = self.calendar.hour_start(minute);
            self.newest = (hour, self.quarters_of(hour));
        }
        let (hour, shares) = self.newest;
        let share = shares.map(|shares| shares[quarter_of(minute, hour)]);
        let begin = minute.floor_to(QUARTER);
        self.quarter = (begin, begin + QUARTER, share);
        share
    }

    /// The share of each quarter of an hour, by whatever clocks it is the least.
    fn quarters_of(&self, hour: Timestamp) -> Option<[Share; QUARTERS]> {
        let of = |hour| {
            let share = self.share(hour)?;
            Some(self.parts(hour).map(|part| part * share))
        };
        let mut shares = of(hour)?.map(Share::plain);
        let others = clocks::others(&self.calendar, hour).into_iter();
        for other in others.filter_map(|shift| of(hour + shift)) {
            for (share, other) in shares.iter_mut().zip(other) {
                share.least = share.least.min(other);
            }
        }
        Some(shares)
    }

    /// What part of the hour's share each quarter has: all of it, unless it is quiet.
    fn parts(&self, hour: Timestamp) -> [f64; QUARTERS] {
        let hour = self.calendar.local(hour).hour_of_week();
        let known = self.quarters.get(hour).copied().unwrap_or_default();
        let known = known.map(|kept| f64::from(kept) / f64::from(QUARTER_UNIT));
        let all = known.iter().sum::<f64>() + QUARTER_PRIOR;
        known.map(|busy| {
            // Of four alike, each has a quarter of all.
            let part = (4.0 * busy + QUARTER_PRIOR) / all;
            if part < QUARTER_QUIET { part } else { 1.0 }
        })
    }

    /// Whether a minute is in the hour that began then. Where clocks are never put forward or back, its
    /// begin need not be reckoned.
    fn is_in(&self, minute: Timestamp, hour: Timestamp) -> bool {
        if self.calendar.is_fixed() {
            hour <= minute && minute < hour + HOUR
        } else {
            self.calendar.hour_start(minute) == hour
        }
    }

    /// The share of busy minutes that can be counted on in this hour; `None` while nothing is known
    /// of it, nor of the same hour of other days.
    pub(super) fn share(&self, at: Timestamp) -> Option<f64> {
        let hour = self.calendar.local(at).hour_of_week();
        let mut place = [0.0; DAYS * WEEKS];
        let same_hour = self.hours.iter().skip(hour % 24).step_by(24);
        let daily = sorted(same_hour.flatten(), &mut place);
        if daily.is_empty() {
            return None;
        }
        let daily = capped_mean(daily, plausible(quieter_half(daily)));
        let own = self.hours.get(hour).into_iter().flatten();
        let usual = counted_on(sorted(own, &mut place), daily);
        Some((usual / 60.0).clamp(0.0, SHARE_MAX))
    }
}

/// Busy minutes, as far as they are known, in order of size.
fn sorted<'a>(counts: impl Iterator<Item = &'a u8>, place: &mut [f64; DAYS * WEEKS]) -> &mut [f64] {
    let known = counts.filter(|busy| **busy != UNKNOWN);
    let mut len = 0;
    for (busy, free) in known.zip(&mut *place) {
        *free = f64::from(*busy);
        len += 1;
    }
    let counts = &mut place[..len];
    counts.sort_unstable_by(f64::total_cmp);
    counts
}

/// Which quarter of the hour a minute of it is in.
fn quarter_of(minute: Timestamp, hour: Timestamp) -> usize {
    let quarter = minute.since(hour).as_millis() / QUARTER.as_millis();
    usize::try_from(quarter).unwrap_or(0).min(QUARTERS - 1)
}

/// What can be counted on of an hour, given its weeks in order of size and the usual of the same
/// hour on all days.
fn counted_on(own: &[f64], daily: f64) -> f64 {
    let Some(weeks) = u32::try_from(own.len()).ok().filter(|weeks| *weeks > 0) else {
        return daily;
    };
    let weeks = f64::from(weeks);
    let usual = if own.len() < WEEKS_MIN {
        capped_mean(own, plausible(quieter_half(own))).min(daily)
    } else {
        let most = plausible_of_one(dependable(own)).min(plausible(quieter_half(own)));
        capped_mean(own, most)
    };
    usual.min((usual * weeks + daily * POOL) / (weeks + POOL))
}

/// The mean of counts, none of them counting for more than that.
fn capped_mean(counts: &[f64], most: f64) -> f64 {
    mean_of(counts.iter().map(|busy| busy.min(most)))
}

/// What the mean of the quieter ones makes plausible: two standard deviations of a Poisson count above
/// it, and one.
fn plausible(quieter: f64) -> f64 {
    quieter + 2.0 * quieter.sqrt() + 1.0
}

/// What one count makes plausible: two standard deviations above it. Of a rate known from one count
/// that is the root of one more, so after two weeks without any the others may still have a few.
fn plausible_of_one(count: f64) -> f64 {
    count + 2.0 * (count + 1.0).sqrt()
}

/// The second quietest of an hour's weeks in order of size, which one holiday among them does not
/// change; the quietest of three, of which a fortnightly run may have two.
fn dependable(own: &[f64]) -> f64 {
    let nth = usize::from(own.len() > WEEKS_MIN);
    own.get(nth).copied().unwrap_or_default()
}

fn quieter_half(counts: &[f64]) -> f64 {
    mean(&counts[..counts.len().div_ceil(2)])
}

fn mean(values: &[f64]) -> f64 {
    mean_of(values.iter().copied())
}

fn mean_of(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = u32::try_from(values.len()).unwrap_or(u32::MAX).max(1);
    values.sum::<f64>() / f64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_night_of_renewals_is_not_expected_again_a_week_later() {
        let quiet = counted_on(&[0.0, 0.0, 1.0, 1.0, 16.0], 0.0);
        assert!(quiet < 1.0, "{quiet}");
        // Nor after two weeks, of which one had it.
        let early = counted_on(&[0.0, 16.0], 0.0);
        assert!(early < 1.0, "{early}");
    }

    #[test]
    fn a_silence_that_was_none_makes_its_hours_quiet() {
        let mut profile = Profile::default();
        let monday = Timestamp::from_secs(1_709_510_400);
        for minute in 0..3 * 7 * 24 * 60 {
            profile.count(monday + Span::minutes(minute), minute % 2 == 0);
        }
        let noon = |hour| monday + Span::days(14) + Span::hours(hour);
        let usual = |profile: &Profile, hour| profile.share(noon(hour)).unwrap_or_default();
        assert!(usual(&profile, 12) > 0.45);
        for week in 3..7 {
            let from = monday + Span::days(7 * week) + Span::hours(12);
            profile.amend(from + Span::minutes(10), from + Span::minutes(70));
        }
        assert!(usual(&profile, 12) < 0.2, "{}", usual(&profile, 12));
        // Ten minutes of the next hour are no quiet hour.
        assert!(usual(&profile, 13) > 0.4, "{}", usual(&profile, 13));
    }

    #[test]
    fn a_run_every_second_week_is_hardly_counted_on() {
        let usual = counted_on(&[0.0, 0.0, 1.0, 14.0, 15.0, 16.0], 1.0);
        assert!(usual < 2.0, "{usual}");
    }

    #[test]
    fn runs_on_two_days_of_the_month_are_no_weekly_rhythm_from_february_to_march() {
        // On the 1st and the 15th: Sundays three times, with one between each.
        for sundays in [
            &[0.0, 60.0, 60.0][..],
            &[0.0, 2.0, 60.0, 60.0],
            &[0.0, 2.0, 60.0, 60.0, 60.0],
            &[0.0, 1.0, 2.0, 60.0, 60.0, 60.0],
        ] {
            let usual = counted_on(sundays, 3.0);
            assert!(usual < 4.0, "{sundays:?}: {usual}");
        }
        // And again a week later: the 9th and the 16th.
        let usual = counted_on(&[0.0, 0.0, 12.0, 12.0, 14.0, 15.0], 1.0);
        assert!(usual < 2.0, "{usual}");
    }

    #[test]
    fn a_run_every_week_is() {
        let usual = counted_on(&[14.0, 15.0, 15.0, 17.0], 1.0);
        assert!(usual > 12.0, "{usual}");
        // Though one of its weeks was a holiday.
        let usual = counted_on(&[0.0, 60.0, 60.0, 60.0, 60.0], 2.0);
        assert!(usual > 35.0, "{usual}");
    }

    #[test]
    fn who_is_closed_on_sundays_is_not_expected_to_open() {
        assert!(counted_on(&[0.0, 0.0, 0.0], 20.0).abs() < f64::EPSILON);
    }

    #[test]
    fn chance_alone_takes_little_off() {
        let usual = counted_on(&[7.0, 8.0, 10.0, 10.0, 12.0, 13.0], 10.0);
        assert!(usual > 9.5, "{usual}");
    }

    /// So many days from 2 March 2026 on, with an event every other minute of some hours.
    fn by_the_hour(busy: impl Fn(i64, i64) -> bool, days: i64, calendar: &Calendar) -> Profile {
        let mut profile = Profile::default();
        profile.set_calendar(calendar);
        for minute in 0..days * 24 * 60 {
            let (day, hour) = (minute / (24 * 60), minute / 60 % 24);
            let is_busy = minute % 2 == 0 && busy(day, hour);
            profile.count(SPRING + Span::minutes(minute), is_busy);
        }
        profile
    }

    /// Monday, 2 March 2026.
    const SPRING: Timestamp = Timestamp::from_secs(1_772_409_600);

    #[test]
    fn after_the_clocks_were_put_forward_the_last_hour_may_be_the_one_before() {
        let open = |_, hour| (8..22).contains(&hour);
        // Saturday 28 March, and the Monday after.
        let share = |calendar: &Calendar, day, hour| {
            let mut profile = by_the_hour(open, day, calendar);
            let at = SPRING + Span::days(day) + Span::hours(hour);
            profile.look(at).unwrap_or_default().least
        };
        let utc = Calendar::utc();
        assert!(share(&utc, 26, 21) > 0.3, "{}", share(&utc, 26, 21));
        assert!(share(&utc, 28, 21) < 0.02, "{}", share(&utc, 28, 21));
        assert!(share(&utc, 28, 20) > 0.3, "{}", share(&utc, 28, 20));
        // Who said where lives by those clocks, changed or not.
        let india = Calendar::of("Asia/Kolkata").unwrap();
        let at_half_past = |hour| share(&india, 28, hour);
        assert!(at_half_past(20) > 0.3, "{}", at_half_past(20));
    }

    #[test]
    fn renewals_keep_to_utc_when_the_merchants_clocks_are_put_forward() {
        let berlin = Calendar::of("Europe/Berlin").unwrap();
        let share = |day, hour| {
            let mut profile = by_the_hour(|_, hour| (1..4).contains(&hour), day, &berlin);
            let at = SPRING + Span::days(day) + Span::hours(hour);
            profile.look(at).unwrap_or_default().least
        };
        // Friday 27 March, and the Monday after: by the clocks there they were at two, and are at three.
        assert!(share(25, 1) > 0.3, "{}", share(25, 1));
        assert!(share(28, 0) < 0.02, "{}", share(28, 0));
        assert!(share(28, 2) > 0.3, "{}", share(28, 2));
    }

    #[test]
    fn an_event_a_month_is_not_rounded_away() {
        let usual = counted_on(&[0.0, 0.0, 0.0, 1.0], 0.25);
        assert!((usual - 0.25).abs() < 1e-9, "{usual}");
    }

    #[test]
    fn nothing_is_counted_on_after_a_batch_that_ends_before_its_hour() {
        let share = |is_busy: fn(i64) -> bool, minute| {
            let mut profile = Profile::default();
            // No clocks of elsewhere count.
            profile.set_calendar(&Calendar::of("Asia/Dubai").unwrap());
            let monday = Timestamp::from_secs(1_709_510_400);
            for minute in 0..4 * 7 * 24 * 60 {
                let at = monday + Span::minutes(minute);
                profile.count(at, minute % (7 * 24 * 60) < 60 && is_busy(minute % 60));
            }
            profile.count(monday + Span::days(28), false);
            let at = monday + Span::days(28) + Span::minutes(minute);
            profile.look(at).unwrap_or_default().least
        };
        // Only Mondays have it, so the other days take a fifth off.
        let batch = |minute| minute < 40;
        assert!(share(batch, 20) > 0.5, "{}", share(batch, 20));
        assert!(share(batch, 50) < 0.05, "{}", share(batch, 50));
        // Spread over the hour, or too few to say where they fall.
        let spread = |minute| minute % 3 != 2;
        assert!((share(spread, 20) - share(spread, 50)).abs() < 1e-9);
        let few = |minute| minute < 2;
        assert!((share(few, 20) - share(few, 50)).abs() < 1e-9);
    }

    #[test]
    fn an_hour_knows_its_weeks_and_the_same_hour_of_other_days() {
        let mut profile = Profile::default();
        let monday = Timestamp::from_secs(1_709_510_400);
        assert!(profile.share(monday).is_none());
        // Two weeks: six busy minutes from nine to ten, on Mondays thirty.
        for minute in 0..14 * 24 * 60 {
            let at = monday + Span::minutes(minute);
            let hour = Calendar::utc().local(at).hour_of_week();
            let busy = if hour == 9 { 30 } else { 6 };
            let is_nine = hour % 24 == 9;
            profile.count(at, is_nine && minute % 60 < busy);
        }
        let at = |hours| monday + Span::days(14) + Span::hours(hours);
        let (tuesday, night) = (profile.share(at(33)), profile.share(at(27)));
        assert!(
            tuesday.is_some_and(|share| (share - 0.1).abs() < 0.01),
            "{tuesday:?}"
        );
        assert!(night.is_some_and(|share| share < 1e-9), "{night:?}");
        // Two Mondays may both have had a renewal run.
        let known = profile.share(at(9));
        assert!(known.is_some_and(|share| share < 0.2), "{known:?}");
    }
}
