//! Days of payments and refunds: what a wave of refunds is compared with.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::detectors::words::as_f64;

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
    /// 24 hours.
    Day,
}

/// The most charges refunded within a day, and within an hour of it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Busiest {
    day: u64,
    hour: u64,
}

impl Busiest {
    const fn of(self, reach: Reach) -> u64 {
        match reach {
            Reach::Hour => self.hour,
            Reach::Day => self.day,
        }
    }

    fn reach(&mut self, other: Self) {
        self.day = self.day.max(other.day);
        self.hour = self.hour.max(other.hour);
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
    /// The most of an hour, in peace and at all.
    hour: u64,
    hour_of_all: u64,
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

    /// So many charges were refunded within an hour of this day.
    pub(super) fn note_hour(&mut self, day: i64, count: u64, is_wave: bool) {
        if let Some(day) = self.day(day) {
            day.hour_of_all = day.hour_of_all.max(count);
            if !is_wave {
                day.hour = day.hour.max(count);
            }
        }
    }

    /// More than is plausible were refunded by this day: it is no example of an ordinary one, and may be
    /// a run that comes each month.
    pub(super) fn note_run(&mut self, today: i64, reach: Reach, count: u64) {
        if let Some(day) = self.day(today) {
            day.hour = 0;
        }
        let seen = match reach {
            Reach::Day => Busiest {
                day: count,
                hour: 0,
            },
            Reach::Hour => Busiest {
                day: 0,
                hour: count,
            },
        };
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
    /// payments of a day; an hour has as many as the busiest hour of the mean day.
    pub(super) fn expected(&self, today: i64, reach: Reach) -> f64 {
        let a_day = if self.is_unpaid() {
            let days = u64::try_from(self.known_days(today).clamp(1, DAYS_KNOWN)).unwrap_or(1);
            as_f64(self.refunded() + 1) / as_f64(days)
        } else {
            let rate = (as_f64(self.refunded()) + PRIOR.0) / (as_f64(self.payments()) + PRIOR.1);
            rate * self.payments_a_day(today).max(self.payments_of_late(today))
        };
        match reach {
            Reach::Day => a_day.max(0.5),
            Reach::Hour => {
                let before = self.days.iter().filter(|day| day.day < today);
                let sum: u64 = before.map(|day| day.hour).sum();
                let days = u64::try_from(self.known_days(today).min(DAYS_KNOWN)).unwrap_or(1);
                let busiest = as_f64(sum) / as_f64(days.max(1));
                busiest.max(a_day / 24.0).max(0.5)
            }
        }
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
        let in_peace = before().map(|day| match reach {
            Reach::Day => day.refunded,
            Reach::Hour => day.hour,
        });
        let mut all: Vec<u64> = before()
            .map(|day| match reach {
                Reach::Day => day.refunded + day.in_waves,
                Reach::Hour => day.hour_of_all,
            })
            .collect();
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
