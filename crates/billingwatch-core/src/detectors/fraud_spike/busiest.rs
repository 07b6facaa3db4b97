//! The busiest card, or customer, of each of the last days: what another is held against.
//!
//! A card that was told is no example of what is usual, nor is what it did until then: the first
//! stolen card would hide the second for as long as its day is remembered.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::ids::Key;

/// Days of which the busiest is known.
const DAYS: usize = 56;

/// Of how many of a day it is known which they were: several that are used up by turns are told one after the other.
const OF_DAY: usize = 4;

/// One day's busiest, as far as they were not told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Day {
    day: i64,
    /// Which, and how often.
    most: Vec<(Key, usize)>,
}

impl Day {
    fn count(&self) -> usize {
        let counts = self.most.iter().map(|(_, count)| *count);
        counts.max().unwrap_or(0)
    }
}

/// The busiest of each day.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Busiest {
    days: VecDeque<Day>,
}

impl Busiest {
    /// A day with payments begins, if it is a new one; whether it is.
    #[inline]
    pub(super) fn start_day(&mut self, day: i64) -> bool {
        let is_new = self.days.back().is_none_or(|newest| day > newest.day);
        if is_new {
            self.push_day(day);
        }
        is_new
    }

    fn push_day(&mut self, day: i64) {
        self.days.push_back(Day {
            day,
            ..Day::default()
        });
        while self.days.len() > DAYS {
            self.days.pop_front();
        }
    }

    /// It came so often, and is not told.
    pub(super) fn note(&mut self, key: Key, count: usize) {
        let Some(today) = self.days.back_mut() else {
            return;
        };
        // Nearly all come once, and whoever is known came as often.
        if count <= 1 && today.most.len() >= OF_DAY {
            return;
        }
        if let Some((_, known)) = today.most.iter_mut().find(|(known, _)| *known == key) {
            *known = count.max(*known);
        } else if today.most.len() < OF_DAY {
            today.most.push((key, count));
        } else if let Some(least) = today.most.iter_mut().min_by_key(|(_, count)| *count)
            && least.1 < count
        {
            *least = (key, count);
        }
    }

    /// It is told: what it did on this day and the one before is no example.
    pub(super) fn told(&mut self, key: Key) {
        for day in self.days.iter_mut().rev().take(2) {
            day.most.retain(|(known, _)| *known != key);
        }
    }

    /// The most on any day before.
    pub(super) fn before(&self, day: i64) -> usize {
        let before = self.days.iter().filter(|known| known.day < day);
        let most = before.map(Day::count);
        most.max().unwrap_or(0)
    }

    /// The most on any day before, and the most that was reached on so many of them.
    pub(super) fn before_on(&self, day: i64, days: usize) -> (usize, usize) {
        let before = self.days.iter().filter(|known| known.day < day);
        let most = before.map(Day::count);
        let mut most: Vec<usize> = most.collect();
        most.sort_unstable_by(|a, b| b.cmp(a));
        let nth = |n: usize| most.get(n).copied().unwrap_or(0);
        (nth(0), nth(days.saturating_sub(1)))
    }

    /// How many days it is since the first that is known.
    pub(super) fn known_days(&self, day: i64) -> i64 {
        self.days.front().map_or(0, |first| day - first.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told_leaves_the_next_as_the_busiest() {
        let mut busiest = Busiest::default();
        let (stolen, other) = (Key::of("fp_x"), Key::of("fp_y"));
        assert!(busiest.start_day(1));
        busiest.note(other, 2);
        for count in 1..6 {
            busiest.note(stolen, count);
        }
        assert_eq!(busiest.before(2), 5);
        assert_eq!(busiest.before_on(2, 2), (5, 0));
        busiest.told(stolen);
        assert_eq!((busiest.before(2), busiest.before(1)), (2, 0));
        assert!(busiest.start_day(2));
        assert!(!busiest.start_day(1));
    }

    #[test]
    fn of_several_by_turns_each_that_is_told_is_no_example() {
        let mut busiest = Busiest::default();
        busiest.start_day(1);
        let cards = [Key::of("fp_x"), Key::of("fp_y"), Key::of("fp_z")];
        for count in 1..6 {
            cards.iter().for_each(|card| busiest.note(*card, count));
        }
        busiest.note(Key::of("fp_o"), 2);
        cards.iter().for_each(|card| busiest.told(*card));
        assert_eq!(busiest.before(2), 2);
        // Beyond the bound those with the most are kept.
        for n in 0..20 {
            busiest.note(Key::of(&format!("fp_{n}")), n);
        }
        assert_eq!(busiest.days[0].most.len(), OF_DAY);
        assert_eq!(busiest.before(2), 19);
    }

    #[test]
    fn the_bound_holds() {
        let mut busiest = Busiest::default();
        for day in 0..500 {
            busiest.start_day(day);
            busiest.note(Key::of("fp_x"), 1);
        }
        assert_eq!(busiest.days.len(), DAYS);
    }
}
