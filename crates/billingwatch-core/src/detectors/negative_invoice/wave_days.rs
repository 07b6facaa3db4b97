//! Days of payments and refunds: what a wave of refunds is compared with.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::detectors::words::as_f64;
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

/// How many windows are shorter than a day.
const SHORT: usize = 2;

impl Reach {
    /// All of them.
    pub(super) const ALL: [Self; 1 + SHORT] = [Self::Day, Self::SixHours, Self::Hour];

    /// How long the window is.
    pub(super) const fn span(self) -> Span {
        match self {
            Self::Hour => Span::hours(1),
            Self::SixHours => Span::hours(6),
            Self::Day => Span::hours(24),
        }
    }

    /// How many times the usual so many are held against. People work off refunds in batches: that makes
    /// a day of twice the usual. The usual of a short window is the busiest of a day, which has the batch.
    pub(super) const fn allowance(self) -> f64 {
        match self {
            Self::Day => 2.0,
            Self::SixHours | Self::Hour => 1.5,
        }
    }

    /// The place among the short ones.
    const fn short(self) -> Option<usize> {
        match self {
            Self::Day => None,
            Self::SixHours => Some(1),
            Self::Hour => Some(0),
        }
    }
}

/// The most charges refunded within a day, and within each short window of it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Busiest {
    day: u64,
    short: [u64; SHORT],
}

impl Busiest {
    /// Of one window alone.
    fn one(reach: Reach, count: u64) -> Self {
        let mut busiest = Self::default();
        match reach.short() {
            None => busiest.day = count,
            Some(place) => busiest.short[place] = count,
        }
        busiest
    }

    fn of(self, reach: Reach) -> u64 {
        reach.short().map_or(self.day, |place| self.short[place])
    }

    fn reach(&mut self, other: Self) {
        self.day = self.day.max(other.day);
        for (known, new) in self.short.iter_mut().zip(other.short) {
            *known = (*known).max(new);
        }
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
    /// The most of each short window, in peace and at all.
    short: [u64; SHORT],
    short_of_all: [u64; SHORT],
}

/// The newest days, and what stood out of them for longer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WaveDays {
    days: VecDeque<Day>,
    /// Days with more than is plausible, told or not, oldest first.
    runs: VecDeque<(i64, Busiest)>,
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

    /// So many charges were refunded within a window up to now, on this day.
    pub(super) fn note_short(&mut self, day: i64, reach: Reach, count: u64, is_wave: bool) {
        if let Some(place) = reach.short()
            && let Some(day) = self.day(day)
        {
            day.short_of_all[place] = day.short_of_all[place].max(count);
            if !is_wave {
                day.short[place] = day.short[place].max(count);
            }
        }
    }

    /// More than is plausible were refunded by this day: it is no example of an ordinary one, and may be
    /// a run that comes each month.
    pub(super) fn note_run(&mut self, today: i64, reach: Reach, count: u64) {
        if let Some(day) = self.day(today) {
            day.short = [0; SHORT];
        }
        let seen = Busiest::one(reach, count);
        while self.runs.len() >= RUNS_MAX
            || self
                .runs
                .front()
                .is_some_and(|(day, _)| today - day > RUNS_DAYS)
        {
            self.runs.pop_front();
        }
        match self.runs.back_mut() {
            Some((day, busiest)) if *day == today => busiest.reach(seen),
            _ => self.runs.push_back((today, seen)),
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

    /// How many refunded charges are usual in a window: refunded charges per payment, times the
    /// payments of a day; a short window has as many as the busiest such of the mean day.
    pub(super) fn expected(&self, today: i64, reach: Reach) -> f64 {
        let a_day = if self.is_unpaid() {
            let days = u64::try_from(self.known_days(today).clamp(1, DAYS_KNOWN)).unwrap_or(1);
            as_f64(self.refunded() + 1) / as_f64(days)
        } else {
            let rate = (as_f64(self.refunded()) + PRIOR.0) / (as_f64(self.payments()) + PRIOR.1);
            rate * self.payments_a_day(today).max(self.payments_of_late(today))
        };
        let Some(place) = reach.short() else {
            return a_day.max(0.5);
        };
        let before = self.days.iter().filter(|day| day.day < today);
        let sum: u64 = before.map(|day| day.short[place]).sum();
        let days = u64::try_from(self.known_days(today).min(DAYS_KNOWN)).unwrap_or(1);
        let busiest = as_f64(sum) / as_f64(days.max(1));
        let parts = Reach::Day.span().as_secs() / reach.span().as_secs();
        let parts = u64::try_from(parts).unwrap_or(1).max(1);
        busiest.max(a_day / as_f64(parts)).max(0.5)
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
        let in_peace = before().map(|day| {
            let short = reach.short().map(|place| day.short[place]);
            short.unwrap_or(day.refunded)
        });
        let of_all = before().map(|day| {
            let short = reach.short().map(|place| day.short_of_all[place]);
            short.unwrap_or(day.refunded + day.in_waves)
        });
        let mut all: Vec<u64> = of_all.collect();
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
            runs.map(|(day, busiest)| (*day, busiest.of(reach)))
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
