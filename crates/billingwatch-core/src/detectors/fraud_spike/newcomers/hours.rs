//! How many new customers who pay the same an hour usually has, of eight weeks.
//!
//! Of each local hour the most with one price are kept, so a merchant's weekly drop and its busy
//! evenings are yardsticks of their own hours, and not of a quiet night's. Nothing is scaled down to parts of an hour:
//! what an hour brings may come in its first ten minutes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::detectors::words::as_f64;
use crate::time::{Span, Timestamp};

/// Hours of a day, and of a week.
const DAY: i64 = 24;
const WEEK: i64 = 168;

/// Hours that are remembered: eight weeks.
const HOURS_MAX: i64 = 8 * WEEK;

/// Taken for known of every hour: one such newcomer in so many days or weeks.
const PRIOR: (f64, f64) = (1.0, 4.0);

/// Newcomers come at least as unevenly as waiting times do: by word of mouth, and by what somebody
/// wrote.
const STRAY_MIN: f64 = 1.0;

/// A sale that was on within so many hours may go on.
const LATELY: i64 = 48;

/// An hour with new customers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Hour {
    /// Local hours since 1970.
    number: i64,
    most: u64,
    is_told: bool,
}

/// The hours of the last weeks, in order; those without new customers have no entry.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Hours {
    hours: VecDeque<Hour>,
    began_at: Option<Timestamp>,
    /// Of the hour that was asked about last: what the hours before it hold changes with the hour.
    #[serde(skip)]
    summed: Option<(i64, Sums)>,
}

/// What the hours like one hour hold.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// Those before, at and after it, on all days and on the same one of the week.
    by_day: [f64; 3],
    by_week: [f64; 3],
    squares: f64,
    most: u64,
}

/// What is usual.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    pub(super) mean: f64,
    /// The relative variance of the mean.
    pub(super) stray: f64,
    /// The most of any such hour.
    pub(super) most: u64,
}

impl Hours {
    /// Somebody paid.
    pub(super) fn begin(&mut self, at: Timestamp) {
        let began_at = self.began_at.get_or_insert(at);
        *began_at = at.min(*began_at);
    }

    /// Since when payments are known.
    pub(super) fn known_for(&self, at: Timestamp) -> Span {
        at.since(self.began_at.unwrap_or(at))
    }

    /// So many pay the same in the hour of this instant.
    pub(super) fn note(&mut self, at: Timestamp, alike: u64, calendar: &Calendar) {
        let number = number_of(at, calendar);
        // Seldom: one of the hours that are summed gets another.
        if (self.summed).is_some_and(|(summed, _)| number < summed - 1) {
            self.summed = None;
        }
        let place = self.hours.partition_point(|hour| hour.number < number);
        match self.hours.get_mut(place) {
            Some(hour) if hour.number == number => hour.most = hour.most.max(alike),
            _ => {
                let hour = Hour {
                    number,
                    most: alike,
                    is_told: false,
                };
                self.hours.insert(place, hour);
            }
        }
        let newest = self.hours.back().map_or(number, |hour| hour.number);
        while (self.hours.front()).is_some_and(|oldest| oldest.number <= newest - HOURS_MAX) {
            self.hours.pop_front();
            self.summed = None;
        }
    }

    /// What these hours hold is told.
    pub(super) fn told(&mut self, from: Timestamp, to: Timestamp, calendar: &Calendar) {
        self.summed = None;
        let told = number_of(from, calendar)..=number_of(to, calendar);
        let hours = self.hours.iter_mut().rev();
        for hour in hours.take_while(|hour| hour.number >= *told.start()) {
            hour.is_told |= told.contains(&hour.number);
        }
    }

    /// What is usual at this hour, the one before and the one after; `None` of the first hours.
    pub(super) fn usual(&mut self, at: Timestamp, calendar: &Calendar) -> Option<Usual> {
        let now = number_of(at, calendar);
        let weeks = as_f64(u64::try_from(self.known_for(at).as_secs()).unwrap_or_default());
        let weeks = (weeks / as_f64(WEEK.unsigned_abs() * 3_600)).min(8.0);
        if weeks <= 0.0 {
            return None;
        }
        let days = weeks * 7.0;
        let sums = match self.summed {
            Some((summed, sums)) if summed == now => sums,
            _ => self.sums(now),
        };
        self.summed = Some((now, sums));
        let mean = |sum: &f64, known: f64| (sum + PRIOR.0) / (known + PRIOR.1);
        let daily = sums.by_day.iter().map(|sum| mean(sum, days));
        let weekly = sums.by_week.iter().map(|sum| mean(sum, weeks));
        let highest = daily.chain(weekly).fold(0.0, f64::max);
        // The hours of the day differ from day to day by more than chance: by so much.
        let average = (sums.by_day.iter().sum::<f64>() + PRIOR.0) / (3.0 * days + PRIOR.1);
        let variance = sums.squares / (3.0 * days) - average * average;
        let stray = ((variance - average) / (average * average)).max(STRAY_MIN);
        Some(Usual {
            mean: highest,
            stray,
            most: sums.most,
        })
    }

    /// What the hours like this one hold.
    fn sums(&self, now: i64) -> Sums {
        let mut sums = Sums::default();
        // This hour and the one before hold what is judged.
        for hour in self.hours.iter().filter(|hour| hour.number < now - 1) {
            let back = now + 1 - hour.number;
            let is_of_week = back % WEEK < 3;
            let count = as_f64(hour.most);
            let is_of_day = back % DAY < 3;
            // What was told is no example, except of what comes again in a week: a drop, not a thief.
            if is_of_week || (is_of_day || back <= LATELY) && !hour.is_told {
                sums.most = sums.most.max(hour.most);
            }
            if hour.is_told {
                continue;
            }
            if is_of_day
                && let Some(sum) = usize::try_from(back % DAY)
                    .ok()
                    .and_then(|n| sums.by_day.get_mut(n))
            {
                *sum += count;
                sums.squares += count * count;
            }
            if is_of_week
                && let Some(sum) = usize::try_from(back % WEEK)
                    .ok()
                    .and_then(|n| sums.by_week.get_mut(n))
            {
                *sum += count;
            }
        }
        sums
    }
}

fn number_of(at: Timestamp, calendar: &Calendar) -> i64 {
    (at + calendar.offset_at(at))
        .as_millis()
        .div_euclid(3_600_000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_kept_of_an_hour_is_what_its_hours_hold() {
        let calendar = Calendar::utc();
        let mut hours = Hours::default();
        let mut state = 7_u64;
        let begin = Timestamp::from_secs(1_709_510_400);
        for step in 0..6_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let draw = state >> 33;
            let now = begin + Span::minutes(20 * step);
            // Now and then one comes days late.
            let back = if draw.is_multiple_of(11) {
                draw % 5_000
            } else {
                0
            };
            let at = now - Span::minutes(i64::try_from(back).unwrap());
            hours.begin(at);
            hours.note(at, draw % 6, &calendar);
            if draw.is_multiple_of(97) {
                hours.told(at - Span::hours(2), at, &calendar);
            }
            let usual = hours.usual(now, &calendar);
            hours.summed = None;
            let anew = hours.usual(now, &calendar);
            assert_eq!(format!("{usual:?}"), format!("{anew:?}"), "step {step}");
        }
    }
}
