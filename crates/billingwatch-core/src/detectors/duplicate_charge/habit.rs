//! Whether customers here buy the same thing again within minutes, as a matter of course.
//!
//! Credits of a game, tokens, rounds at a bar: somebody pays, plays, and pays the same again two minutes later, and nothing
//! that Stripe is told says so. Where that is a part of all sales, week in, week out, and hardly any of it is given
//! back, it is no accident. A form that is sent twice is sent twice within seconds, so what is that close
//! is never taken for a habit; and each length of time between two payments is known by itself.

use std::collections::VecDeque;
use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

/// The reason it is known by.
pub(super) const BOUGHT_AGAIN: &str = "bought_again";

/// Where the lengths of time begin that are told apart: hardly anybody plays a round in less than the first.
const BANDS: [Span; 4] = [
    Span::secs(30),
    Span::secs(60),
    Span::secs(120),
    Span::secs(600),
];

/// Where one of so many payments is bought again like that, some are sooner than the first of [`BANDS`], down to this: a form
/// sent twice is sent at once.
const SOONER: (u32, Span) = (10, Span::secs(10));

/// Days that are remembered, without today: a fault of today is no habit.
const DAYS_MAX: usize = 28;

/// How often it must have come, and on how many days.
const PAIRS_MIN: u32 = 20;
/// See [`PAIRS_MIN`].
const DAYS_MIN: usize = 5;

/// One of so many payments must be such a one: rarer ones may be accidents.
const PAYMENTS_PER_PAIR_MAX: u32 = 100;

/// At most one of so many may have been given back.
const PAIRS_PER_RETURN_MIN: u32 = 20;

/// A day's payments, those that came so long after an equal one, and those of them that were given back.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Day {
    day: i64,
    payments: u32,
    pairs: [u32; BANDS.len()],
    returned: [u32; BANDS.len()],
}

/// What is known of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Habit {
    /// In order of time.
    days: VecDeque<Day>,
}

/// How often the same was bought again before.
#[derive(Clone, Copy, Debug)]
pub(super) struct BoughtAgain {
    pairs: u32,
    payments: u32,
    days: usize,
}

impl fmt::Display for BoughtAgain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "customers here buy the same again after a while: {} of {} payments of {} days before, hardly any given back",
            self.pairs, self.payments, self.days
        )
    }
}

impl Habit {
    /// A payment was made, so long after an equal one of the same payer, if any.
    pub(super) fn note(&mut self, at: Timestamp, apart: Option<Span>) {
        if let Some(day) = self.day(at) {
            day.payments += 1;
            if let Some(band) = apart.and_then(band_of) {
                day.pairs[band] += 1;
            }
        }
    }

    /// One of two was given back.
    pub(super) fn note_return(&mut self, at: Timestamp, apart: Span) {
        if let (Some(day), Some(band)) = (self.day(at), band_of(apart)) {
            day.returned[band] += 1;
        }
    }

    /// Whether what is bought again so long after the first, now, is bought so as a matter of course.
    pub(super) fn of(&self, apart: Span, now: Timestamp) -> Option<BoughtAgain> {
        match band_of(apart) {
            Some(band) => self.known(band..=band, PAYMENTS_PER_PAIR_MAX, now),
            None if apart >= SOONER.1 => self.known(0..=BANDS.len() - 1, SOONER.0, now),
            None => None,
        }
    }

    /// What is known of some bands, if one of so many payments was such a one.
    fn known(
        &self,
        bands: RangeInclusive<usize>,
        payments_per_pair: u32,
        now: Timestamp,
    ) -> Option<BoughtAgain> {
        let sum = |counts: &[u32]| counts[bands.clone()].iter().sum::<u32>();
        let today = now.day();
        let mut known = BoughtAgain {
            pairs: 0,
            payments: 0,
            days: 0,
        };
        let (mut returned, mut with_pairs) = (0, 0);
        for day in self.days.iter().filter(|day| day.day < today) {
            known.pairs += sum(&day.pairs);
            known.payments += day.payments;
            known.days += 1;
            returned += sum(&day.returned);
            with_pairs += usize::from(sum(&day.pairs) > 0);
        }
        let is_habit = known.pairs >= PAIRS_MIN
            && with_pairs >= DAYS_MIN
            && known.pairs >= known.payments / payments_per_pair
            && returned <= known.pairs / PAIRS_PER_RETURN_MIN;
        is_habit.then_some(known)
    }

    /// The record of a day; none for days before those kept.
    fn day(&mut self, at: Timestamp) -> Option<&mut Day> {
        let number = at.day();
        if self.days.back().is_none_or(|newest| newest.day < number) {
            self.days.push_back(Day {
                day: number,
                ..Day::default()
            });
            while self.days.len() > DAYS_MAX {
                self.days.pop_front();
            }
        }
        self.days.iter_mut().rev().find(|day| day.day == number)
    }
}

/// Which of [`BANDS`] a length of time is in.
fn band_of(apart: Span) -> Option<usize> {
    BANDS.iter().rposition(|from| apart >= *from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many days of 100 payments, of which some are of what was bought before, so long after it.
    fn days(days: i64, pairs: usize, apart: Span) -> Habit {
        let mut habit = Habit::default();
        for day in 0..days {
            let at = Timestamp::EPOCH + Span::days(day);
            (0..100).for_each(|n| habit.note(at, (n < pairs).then_some(apart)));
        }
        habit
    }

    #[test]
    fn what_is_bought_again_day_by_day_is_a_habit() {
        let minutes = Span::minutes(3);
        let now = |day| Timestamp::EPOCH + Span::days(day);
        let known = days(6, 10, minutes).of(minutes, now(6));
        assert_eq!(known.map(|known| known.pairs), Some(60));
        // Of another length of time nothing is known, and seconds are no habit, but where many do so.
        assert!(days(6, 9, minutes).of(Span::secs(45), now(6)).is_none());
        assert!(days(6, 9, minutes).of(Span::secs(15), now(6)).is_none());
        assert!(days(6, 10, minutes).of(Span::secs(15), now(6)).is_some());
        assert!(days(6, 90, minutes).of(Span::secs(9), now(6)).is_none());
        let seconds = Span::secs(5);
        assert!(days(6, 10, seconds).of(seconds, now(6)).is_none());
        // Four days are too few, twenty of thousands too rare, and today says nothing.
        assert!(days(4, 10, minutes).of(minutes, now(4)).is_none());
        assert!(days(28, 0, minutes).of(minutes, now(28)).is_none());
        assert!(days(1, 90, minutes).of(minutes, now(0)).is_none());
    }

    #[test]
    fn what_is_given_back_was_none() {
        let minutes = Span::minutes(3);
        let mut habit = days(6, 10, minutes);
        let now = Timestamp::EPOCH + Span::days(6);
        (0..4).for_each(|_| habit.note_return(Timestamp::EPOCH, minutes));
        assert!(habit.of(minutes, now).is_none());
    }

    #[test]
    fn days_are_bounded() {
        assert_eq!(days(100, 1, Span::minutes(3)).days.len(), DAYS_MAX);
    }
}
