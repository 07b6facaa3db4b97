//! Days of payments and refunds: what a wave of refunds is compared with.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::detectors::words::as_f64;
use crate::stats::negative_binomial_tail;
use crate::time::Span;

/// Days whose counts are kept.
const DAYS: usize = 28;

/// The same, as a length of time.
const DAYS_KNOWN: i64 = 28;

/// Refunded charges per payment until the merchant's own rate is known: 5 %, weighing as much as
/// 200 payments.
const PRIOR: (f64, f64) = (10.0, 200.0);

/// Runs of refunds that are remembered for months: who gives back at the month's end does so each
/// month.
const RUNS_MAX: usize = 32;

/// How long: three months, and some days.
const RUNS_DAYS: i64 = 96;

/// Days from one month's run to the next, at least and at most: 28 to 31, and a weekend.
const MONTH: (i64, i64) = (26, 34);

/// What a window holds more than, to be beyond the busiest: half as much again.
const BEYOND_BUSIEST: (u64, u64) = (3, 2);

/// Until the merchant's own spread is known, the busiest hours of one day are held to differ from another's
/// by a half (a relative variance of a quarter) beyond chance: people work off refunds in batches. That weighs as much as
/// four days of the record.
const STRAY_PRIOR: (f64, f64) = (0.25, 4.0);

/// The least that is taken as usual: two days of nothing are no promise.
const MEAN_MIN: f64 = 0.5;

/// How many windows there are.
const WINDOWS: usize = 5;

/// Days between payments and the refunds that they bring: a window of days is held against the payments of
/// the busiest one of so many before it.
const REFUNDED_WITHIN: i64 = 7;

/// Free days on end whose refunds a day may make up for.
const FREE_DAYS_MAX: i64 = 3;

/// So many refunds must be missed on the same day of the week before it is one of rest: by chance they are in one of 400.
const REST_MISSED: f64 = 6.0;

/// Refunds a day without which days without any are chance.
const MADE_A_DAY_MIN: f64 = 0.7;

/// Days that must be known before a window of days.
const BEFORE_MIN: i64 = 7;

/// The windows that are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reach {
    /// Sixty minutes: a run that many ordinary refunds of a day would hide.
    Hour,
    /// Six hours: what a night or an afternoon brings.
    SixHours,
    /// 24 hours.
    Day,
    /// 48 hours: a fault that customers meet as they come by.
    TwoDays,
    /// 72 hours.
    ThreeDays,
}

impl Reach {
    /// All of them.
    pub(super) const ALL: [Self; WINDOWS] = [
        Self::Day,
        Self::SixHours,
        Self::Hour,
        Self::TwoDays,
        Self::ThreeDays,
    ];

    /// How long the window is.
    pub(super) const fn span(self) -> Span {
        match self {
            Self::Hour => Span::hours(1),
            Self::SixHours => Span::hours(6),
            Self::Day => Span::hours(24),
            Self::TwoDays => Span::hours(48),
            Self::ThreeDays => Span::hours(72),
        }
    }

    /// The days it is long; none of a part of a day.
    pub(super) const fn days(self) -> Option<i64> {
        match self {
            Self::Hour | Self::SixHours => None,
            Self::Day => Some(1),
            Self::TwoDays => Some(2),
            Self::ThreeDays => Some(3),
        }
    }

    /// The place among the windows.
    const fn place(self) -> usize {
        match self {
            Self::Day => 0,
            Self::SixHours => 1,
            Self::Hour => 2,
            Self::TwoDays => 3,
            Self::ThreeDays => 4,
        }
    }
}

/// The most charges refunded within each window.
type Most = [u64; WINDOWS];

/// What is usual of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    /// So many charges refunded: in the busiest such window of a day, or in so many days.
    pub(super) mean: f64,
    /// How far that strays beyond chance, as a relative variance.
    pub(super) stray: f64,
}

impl Usual {
    /// How likely so many are, or more.
    pub(super) fn chance(self, count: u64) -> f64 {
        if as_f64(count) <= self.mean {
            return 1.0;
        }
        negative_binomial_tail(count, self.mean, self.stray)
    }
}

/// A day of payments, and of charges refunded in peace.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Day {
    day: i64,
    payments: u64,
    /// Charges refunded on it.
    made: u64,
    /// Of these, those refunded in peace, once that is known.
    refunded: u64,
    /// Charges refunded while the alert was open.
    in_waves: u64,
    /// The most of each window, in peace and at all.
    in_peace: Most,
    of_all: Most,
    /// Whether more than is plausible were refunded: such a day is no example of an ordinary one.
    is_run: bool,
}

/// The newest days, and what stood out of them for longer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WaveDays {
    days: VecDeque<Day>,
    /// Days with more than is plausible, told or not, oldest first.
    runs: VecDeque<(i64, Most)>,
}

impl WaveDays {
    pub(super) fn count_payment(&mut self, day: i64) {
        if let Some(day) = self.day(day) {
            day.payments += 1;
        }
    }

    /// A charge is refunded.
    pub(super) fn count_made(&mut self, day: i64) {
        if let Some(day) = self.day(day) {
            day.made += 1;
        }
    }

    /// A charge refunded on this day, long enough ago.
    pub(super) fn count_refunded(&mut self, day: i64, is_wave: bool) {
        if let Some(day) = self.day(day) {
            day.refunded += u64::from(!is_wave);
            day.in_waves += u64::from(is_wave);
        }
    }

    /// So many charges were refunded within a window up to now, on this day, and so many of them in peace.
    pub(super) fn note(&mut self, day: i64, reach: Reach, count: u64, in_peace: u64) {
        if let Some(day) = self.day(day) {
            let place = reach.place();
            day.of_all[place] = day.of_all[place].max(count);
            day.in_peace[place] = day.in_peace[place].max(in_peace);
        }
    }

    /// More than is plausible were refunded by this day: it is no example of an ordinary one, and may be
    /// a run that comes each month.
    pub(super) fn note_run(&mut self, today: i64, reach: Reach, count: u64) {
        if let Some(day) = self.day(today) {
            day.is_run = true;
        }
        while self.runs.len() >= RUNS_MAX
            || self
                .runs
                .front()
                .is_some_and(|(day, _)| today - day > RUNS_DAYS)
        {
            self.runs.pop_front();
        }
        if self.runs.back().is_none_or(|(day, _)| *day != today) {
            self.runs.push_back((today, Most::default()));
        }
        if let Some((_, most)) = self.runs.back_mut() {
            let most = &mut most[reach.place()];
            *most = (*most).max(count);
        }
    }

    pub(super) fn payments(&self) -> u64 {
        self.days.iter().map(|day| day.payments).sum()
    }

    /// Whether more is given back than paid, as far as events say: then no events tell of payments,
    /// and refunds have only their own history to go by.
    pub(super) fn is_unpaid(&self) -> bool {
        self.refunded() > self.payments()
    }

    /// Charges refunded in peace.
    pub(super) fn refunded(&self) -> u64 {
        self.days.iter().map(|day| day.refunded).sum()
    }

    /// How many days are known before this one.
    pub(super) fn known_days(&self, today: i64) -> i64 {
        let first = self.days.front().map_or(today, |first| first.day);
        today - first
    }

    /// How many refunded charges are usual in a window, and how far that strays; `None` while too few days
    /// are known before it.
    pub(super) fn usual(&self, today: i64, reach: Reach) -> Option<Usual> {
        match reach.days() {
            None => Some(self.usual_of_part(today, reach)),
            Some(days) => self.usual_of_days(today, days),
        }
    }

    /// The first day that is known.
    pub(super) fn first(&self) -> Option<i64> {
        self.days.front().map(|first| first.day)
    }

    /// Charges refunded on a day.
    pub(super) fn made(&self, day: i64) -> u64 {
        self.known_day(day).map_or(0, |day| day.made)
    }

    /// Of a part of a day.
    ///
    /// As many as the busiest such window of the mean day has; and no fewer than refunded charges per
    /// payment, times the payments of a day, would bring. Days differ by more than chance, each
    /// merchant's by another measure: a few refunds an hour by whoever asks hardly do, batches do. So
    /// the spread is estimated from the days themselves (method of moments), and shrunk towards
    /// [a cautious value](STRAY_PRIOR) while they are few; and a mean of few days is itself uncertain.
    fn usual_of_part(&self, today: i64, reach: Reach) -> Usual {
        let parts = Reach::Day.span().as_secs() / reach.span().as_secs();
        let parts = as_f64(u64::try_from(parts).unwrap_or(1).max(1));
        let by_payments = self.a_day(today) / parts;
        let known = u64::try_from(self.known_days(today).clamp(1, DAYS_KNOWN)).unwrap_or(1);
        // Held against days of rest as well, working days would seem to stray as nothing else does.
        let (rests, rested) = self.rests(today);
        let known = known.saturating_sub(rested).max(1);
        let before = || {
            let days = self.days.iter().filter(|day| day.day < today);
            days.filter(|day| !rests[weekday(day.day)])
        };
        let runs = before().filter(|day| day.is_run).count() as u64;
        let place = reach.place();
        // What came on most days is what is usual, however much it is.
        let are_most_runs = runs * 2 > known;
        let (days, counts): (u64, Vec<u64>) = if are_most_runs {
            (known, before().map(|day| day.of_all[place]).collect())
        } else {
            let peace = before().filter(|day| !day.is_run);
            let counts = peace.map(|day| day.in_peace[place]).collect();
            (known.saturating_sub(runs).max(1), counts)
        };
        // A day without any event is a day of none.
        let days = as_f64(days.max(counts.len() as u64));
        let (mean, seen) = mean_and_stray(&counts, days);
        let mean = mean.max(MEAN_MIN);
        Usual {
            mean: mean.max(by_payments) * self.held_back(today),
            stray: shrunk(seen, days, STRAY_PRIOR.0) + 1.0 / (days * mean),
        }
    }

    /// Of some days: as many as all days but those of runs had, and no fewer than follow of the payments of the
    /// busiest such days of the last week.
    ///
    /// A batch or a bad day is averaged over longer windows, unless such days come together: so the
    /// spread of theirs is that of the sums over as many days in a row, shrunk towards what it is if days
    /// know nothing of each other. Only days before the window count. A wave of two days would be its own yardstick else.
    fn usual_of_days(&self, today: i64, days: i64) -> Option<Usual> {
        let end = today - days;
        let first = self.days.front()?.day.max(end - (DAYS_KNOWN - days));
        if end - first < BEFORE_MIN - 1 {
            return None;
        }
        let runs = self.days.iter().filter(|day| day.is_run);
        let runs = runs.filter(|day| (first..end).contains(&day.day)).count();
        // What came on most days is what is usual, however much it is.
        let are_most_runs = i64::try_from(runs).unwrap_or(0) * 2 > end - first;
        // What is summed over days in a row holds days of rest.
        let (rests, _) = if days == 1 {
            self.rests(today)
        } else {
            Default::default()
        };
        let working = (first..end).filter(|day| !rests[weekday(*day)]);
        let all: Vec<Option<u64>> = working
            .map(|number| match self.known_day(number) {
                Some(day) if day.is_run && !are_most_runs => None,
                Some(day) => Some(day.made),
                None => Some(0),
            })
            .collect();
        let each: Vec<u64> = all.iter().copied().flatten().collect();
        let known = as_f64(each.len() as u64).max(1.0);
        let (mean, seen) = mean_and_stray(&each, known);
        let mean = mean.max(MEAN_MIN);
        let in_a_row = usize::try_from(days).unwrap_or(1);
        let sums = all.windows(in_a_row);
        let sums: Vec<u64> = sums.filter_map(|days| days.iter().copied().sum()).collect();
        let length = as_f64(in_a_row as u64);
        let (_, seen_of_sums) = mean_and_stray(&sums, as_f64(sums.len() as u64));
        // If days know nothing of each other, the spread of their sum is that of one, divided by their number.
        let alone = shrunk(seen, known, STRAY_PRIOR.0) / length;
        let stray = shrunk(seen_of_sums, as_f64(sums.len() as u64) / length, alone);
        Some(Usual {
            mean: (mean * length).max(self.by_payments(today, days))
                * if days == 1 {
                    self.held_back(today)
                } else {
                    1.0
                },
            stray: stray.max(alone) + 1.0 / (known * mean),
        })
    }

    /// The days of the week on which this merchant never refunds, and how many such days are known before today; none on such a
    /// day itself.
    fn rests(&self, today: i64) -> ([bool; 7], u64) {
        let known = self.known_days(today).clamp(0, DAYS_KNOWN);
        let mut made = [0_u64; 7];
        let before = self.days.iter();
        for day in before.filter(|day| (today - known..today).contains(&day.day)) {
            made[weekday(day.day)] += day.made;
        }
        let known_days = as_f64(known.unsigned_abs()).max(1.0);
        let a_day = as_f64(made.iter().sum()) / known_days;
        let mut met = [0_u64; 7];
        (today - known..today).for_each(|day| met[weekday(day)] += 1);
        let mut rests = [false; 7];
        let mut rested = 0;
        for ((rests, made), met) in rests.iter_mut().zip(made).zip(met) {
            *rests = made == 0 && a_day * as_f64(met) >= REST_MISSED;
            rested += if *rests { met } else { 0 };
        }
        if rests[weekday(today)] {
            return Default::default();
        }
        (rests, rested)
    }

    /// How many days' refunds a day makes up for: those of the free days before it, on which this merchant never refunds,
    /// are made on it.
    fn held_back(&self, today: i64) -> f64 {
        let known = self.known_days(today).clamp(1, DAYS_KNOWN);
        let made = self.days.iter().filter(|day| day.day < today);
        let made: u64 = made.map(|day| day.made).sum();
        if as_f64(made) < MADE_A_DAY_MIN * as_f64(known.unsigned_abs()) {
            return 1.0;
        }
        let first = today - known;
        let is_free = |day: i64| self.known_day(day).is_none_or(|day| day.made == 0);
        let were_free = |day: i64| {
            let mut before = (1..=4)
                .map(|week| day - 7 * week)
                .filter(|day| *day >= first);
            before.clone().next().is_some() && before.all(is_free)
        };
        // On a free day nobody makes up for anything.
        if were_free(today) {
            return 1.0;
        }
        let is_always_free = |day: i64| is_free(day) && were_free(day);
        let held = (1..=FREE_DAYS_MAX).take_while(|back| is_always_free(today - *back));
        1.0 + as_f64(held.count() as u64)
    }

    /// Refunded charges that follow of the payments of the busiest so many days of the last week.
    fn by_payments(&self, today: i64, days: i64) -> f64 {
        if self.is_unpaid() {
            return self.a_day(today) * as_f64(days.unsigned_abs());
        }
        let ends = today - REFUNDED_WITHIN..=today;
        let busiest = ends.map(|end| self.payments_from(end - days + 1, end + 1));
        self.rate() * as_f64(busiest.max().unwrap_or(0))
    }

    /// Refunded charges per payment.
    fn rate(&self) -> f64 {
        (as_f64(self.refunded()) + PRIOR.0) / (as_f64(self.payments()) + PRIOR.1)
    }

    /// Refunded charges of a day: their share of payments, times the payments of a day.
    fn a_day(&self, today: i64) -> f64 {
        if self.is_unpaid() {
            let days = u64::try_from(self.known_days(today).clamp(1, DAYS_KNOWN)).unwrap_or(1);
            return as_f64(self.refunded() + 1) / as_f64(days);
        }
        self.rate() * self.payments_a_day(today).max(self.payments_of_late(today))
    }

    /// Payments a day of the newest week.
    pub(super) fn payments_a_day(&self, today: i64) -> f64 {
        let known = self.known_days(today).clamp(1, 7);
        let sum = self.payments_from(today - 7, today);
        as_f64(sum) / as_f64(u64::try_from(known).unwrap_or(1))
    }

    /// Payments of the busier of today and yesterday: refunds follow payments, and the day of a month's
    /// renewals has many of either.
    fn payments_of_late(&self, today: i64) -> f64 {
        let of = |day| self.payments_from(day, day + 1);
        as_f64(of(today).max(of(today - 1)))
    }

    fn payments_from(&self, from: i64, to: i64) -> u64 {
        let days = self.days.iter();
        let days = days.filter(|day| (from..to).contains(&day.day));
        days.map(|day| day.payments).sum()
    }

    /// Whether so many are beyond the busiest that are usual.
    pub(super) fn is_beyond(&self, count: u64, today: i64, reach: Reach) -> bool {
        let busiest = self.busiest(today, reach);
        count * BEYOND_BUSIEST.1 > busiest * BEYOND_BUSIEST.0
            && !self.is_awaited(count, today, reach)
    }

    /// Whether so many have come before, on this day of the week or of the month.
    pub(super) fn is_awaited(&self, count: u64, today: i64, reach: Reach) -> bool {
        let before = self.monthly(today, reach).max(self.weekly(today, reach));
        count * BEYOND_BUSIEST.1 <= before * BEYOND_BUSIEST.0
    }

    /// The most of a window, as far as that is usual: in peace, or in three waves. What came three
    /// times in four weeks comes again, and is not told for ever; twice may be two mishaps.
    fn busiest(&self, today: i64, reach: Reach) -> u64 {
        // Those that lie before a window of days, not half within it.
        let until = today
            - reach
                .days()
                .map_or(0, |days| if days > 1 { days } else { 0 });
        let before = || self.days.iter().filter(|day| day.day < until);
        let place = reach.place();
        let in_peace = before().filter(|day| !day.is_run);
        let in_peace = in_peace.map(|day| day.in_peace[place]);
        in_peace.max().unwrap_or(0).max(self.third(until, reach))
    }

    /// The third most of a window before a day, in peace or not.
    pub(super) fn third(&self, until: i64, reach: Reach) -> u64 {
        let before = self.days.iter().filter(|day| day.day < until);
        let mut all: Vec<u64> = before.map(|day| day.of_all[reach.place()]).collect();
        all.sort_unstable();
        all.len().checked_sub(3).map_or(0, |place| all[place])
    }

    /// The lesser of what came on this day of the week one and two weeks ago: who works off refunds on Fridays
    /// has told so twice.
    fn weekly(&self, today: i64, reach: Reach) -> u64 {
        let on = |day| {
            let day = self.known_day(day);
            day.map_or(0, |day| day.of_all[reach.place()])
        };
        on(today - 7).min(on(today - 14))
    }

    /// The lesser of the runs of the two months before, about a month apart each: a merchant who gives
    /// back at the end of the month has told so twice.
    fn monthly(&self, today: i64, reach: Reach) -> u64 {
        let around = |day: i64| {
            let span = day - MONTH.1..=day - MONTH.0;
            let runs = self.runs.iter();
            let runs = runs.filter(move |(day, _)| span.contains(day));
            runs.map(|(day, most)| (*day, most[reach.place()]))
        };
        let twice = around(today).map(|(day, count)| {
            let before = around(day).map(|(_, count)| count).max();
            count.min(before.unwrap_or(0))
        });
        twice.max().unwrap_or(0)
    }

    fn known_day(&self, number: i64) -> Option<&Day> {
        self.days.iter().rev().find(|day| day.day == number)
    }

    /// The record of a day; none for days before those kept.
    #[inline]
    fn day(&mut self, day: i64) -> Option<&mut Day> {
        // Nearly always the last one: events come nearly in order.
        if self.days.back().is_some_and(|newest| newest.day == day) {
            return self.days.back_mut();
        }
        self.other_day(day)
    }

    fn other_day(&mut self, day: i64) -> Option<&mut Day> {
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
}

/// Which day of the week it is, from 0 to 6; which of them is 0 matters to nobody.
fn weekday(day: i64) -> usize {
    usize::try_from(day.rem_euclid(7)).unwrap_or(0)
}

/// The mean of counts, and how far they stray beyond chance, as a relative variance: the method of moments. Of
/// `days`, those that are not among the counts had none.
fn mean_and_stray(counts: &[u64], days: f64) -> (f64, f64) {
    let days = days.max(1.0);
    let sum = as_f64(counts.iter().sum());
    let squares = as_f64(counts.iter().map(|count| count * count).sum());
    let mean = sum / days;
    let variance = (squares - sum * sum / days) / (days - 1.0).max(1.0);
    let least = mean.max(MEAN_MIN);
    (mean, ((variance - least) / (least * least)).max(0.0))
}

/// A spread seen of so many days, brought nearer to what is taken for it until it is known.
fn shrunk(seen: f64, days: f64, until_known: f64) -> f64 {
    let weight = STRAY_PRIOR.1;
    (seen * days + until_known * weight) / (days + weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_at_the_end_of_two_months_is_awaited_at_the_third() {
        let mut days = WaveDays::default();
        for day in [30, 58] {
            days.note_run(day, Reach::Day, 200);
            days.note_run(day, Reach::Hour, 60);
        }
        assert!(!days.is_beyond(300, 89, Reach::Day));
        assert!(days.is_beyond(301, 89, Reach::Day));
        assert!(!days.is_beyond(90, 88, Reach::Hour));
        // Not in the middle of the month, nor after one month alone.
        assert!(days.is_beyond(100, 75, Reach::Day));
        assert!(days.is_beyond(100, 58, Reach::Day));
    }

    #[test]
    fn runs_and_days_are_bounded() {
        let mut days = WaveDays::default();
        for day in 0..500 {
            days.count_payment(day);
            days.note_run(day, Reach::Day, 1);
        }
        assert_eq!((days.days.len(), days.runs.len()), (DAYS, RUNS_MAX));
    }
}
