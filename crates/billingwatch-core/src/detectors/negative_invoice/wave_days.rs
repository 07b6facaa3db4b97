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
const WINDOWS: usize = 3;

/// The windows that are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reach {
    /// Sixty minutes: a run that many ordinary refunds of a day would hide.
    Hour,
    /// Six hours: what a night or an afternoon brings.
    SixHours,
    /// 24 hours.
    Day,
}

impl Reach {
    /// All of them.
    pub(super) const ALL: [Self; WINDOWS] = [Self::Day, Self::SixHours, Self::Hour];

    /// How long the window is.
    pub(super) const fn span(self) -> Span {
        match self {
            Self::Hour => Span::hours(1),
            Self::SixHours => Span::hours(6),
            Self::Day => Span::hours(24),
        }
    }

    /// The place among the windows.
    const fn place(self) -> usize {
        match self {
            Self::Day => 0,
            Self::SixHours => 1,
            Self::Hour => 2,
        }
    }
}

/// The most charges refunded within each window.
type Most = [u64; WINDOWS];

/// What is usual of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    /// So many charges refunded in the busiest such window of a day.
    pub(super) mean: f64,
    /// How far days stray from it beyond chance, as a relative variance.
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

    /// How many refunded charges are usual in a window, and how far days stray from that.
    ///
    /// As many as the busiest such window of the mean day has; and no fewer than refunded charges per
    /// payment, times the payments of a day, would bring. Days differ by more than chance, each
    /// merchant's by another measure: a few refunds an hour by whoever asks hardly do, batches do. So
    /// the spread is estimated from the days themselves (method of moments), and shrunk towards
    /// [a cautious value](STRAY_PRIOR) while they are few; and a mean of few days is itself uncertain.
    pub(super) fn usual(&self, today: i64, reach: Reach) -> Usual {
        let parts = Reach::Day.span().as_secs() / reach.span().as_secs();
        let parts = as_f64(u64::try_from(parts).unwrap_or(1).max(1));
        let by_payments = self.a_day(today) / parts;
        let known = u64::try_from(self.known_days(today).clamp(1, DAYS_KNOWN)).unwrap_or(1);
        let before = || self.days.iter().filter(|day| day.day < today);
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
        let sum = as_f64(counts.iter().sum());
        let squares = as_f64(counts.iter().map(|count| count * count).sum());
        let mean = (sum / days).max(MEAN_MIN);
        let variance = (squares - sum * sum / days) / (days - 1.0).max(1.0);
        let seen = ((variance - mean) / (mean * mean)).max(0.0);
        let (stray, weight) = STRAY_PRIOR;
        let stray = (seen * days + stray * weight) / (days + weight);
        Usual {
            mean: mean.max(by_payments),
            stray: stray + 1.0 / (days * mean),
        }
    }

    /// Refunded charges of a day: their share of payments, times the payments of a day.
    fn a_day(&self, today: i64) -> f64 {
        if self.is_unpaid() {
            let days = u64::try_from(self.known_days(today).clamp(1, DAYS_KNOWN)).unwrap_or(1);
            return as_f64(self.refunded() + 1) / as_f64(days);
        }
        let rate = (as_f64(self.refunded()) + PRIOR.0) / (as_f64(self.payments()) + PRIOR.1);
        rate * self.payments_a_day(today).max(self.payments_of_late(today))
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
        let busiest = self.busiest(today, reach).max(self.monthly(today, reach));
        count * BEYOND_BUSIEST.1 > busiest * BEYOND_BUSIEST.0
    }

    /// The most of a window, as far as that is usual: in peace, or in three waves. What came three
    /// times in four weeks comes again, and is not told for ever; twice may be two mishaps.
    fn busiest(&self, today: i64, reach: Reach) -> u64 {
        let before = || self.days.iter().filter(|day| day.day < today);
        let place = reach.place();
        let in_peace = before().filter(|day| !day.is_run);
        let in_peace = in_peace.map(|day| day.in_peace[place]);
        let mut all: Vec<u64> = before().map(|day| day.of_all[place]).collect();
        all.sort_unstable();
        let third = all.len().checked_sub(3).map_or(0, |place| all[place]);
        in_peace.max().unwrap_or(0).max(third)
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

    /// The record of a day; none for days before those kept.
    fn day(&mut self, day: i64) -> Option<&mut Day> {
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
