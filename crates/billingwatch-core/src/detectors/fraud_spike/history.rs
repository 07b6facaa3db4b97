//! Payments and what was held against them, day by day: what a window is compared with.
//!
//! The days of a wave are known as such and teach nothing, also those from before it was told: a
//! wave never becomes its own yardstick, be it told early, late, or over a longer window.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::detectors::words::as_f64;
use crate::stats::poisson_tail;

/// An hour of a first day is the least that says how many payments a day has.
const SEEN_DAYS_MIN: f64 = 1.0 / 24.0;

/// Days that are remembered: a payment can be disputed for about so long (Stripe docs: Measuring
/// disputes).
const DAYS_MAX: i64 = 120;

/// Disputes per payment until the merchant's own rate is known: 0.1 %, about what healthy card
/// businesses see, and no more certain than one charge in 1,000 payments tells it: of strangers one in
/// 150 may have 0.5 %. The test makes allowance for that, so the mean need not be on the safe side too.
const PRIOR: (f64, f64) = (1.0, 1_000.0);

/// Where payments are not seen, or no week of them, a stranger's disputes: three in the first week.
const PRIOR_ALONE: (f64, f64) = (3.0, 7.0);

/// So many days with so many disputes say what is usual of a merchant who is known for less than a week.
const FEW_DAYS: (u64, u64) = (3, 20);

/// How far the busiest day of a week stands above such a few.
const FEW_STRAY: f64 = 1.5;

/// Disputes follow payments by weeks, so what came in may belong to the busiest of the months
/// before.
const MONTH_DAYS: i64 = 28;

/// Months that begin a week apart are compared; the last of them ends so many weeks ago.
const WEEKS: i64 = (DAYS_MAX - MONTH_DAYS) / WEEK_DAYS;

const WEEK_DAYS: i64 = 7;

/// Days of a week, and of its end.
const WEEK: f64 = 7.0;
const WEEKEND: f64 = 2.0;

/// Most banks and networks send nothing on weekends, and on Monday what gathered: of a merchant whose
/// own weekends are not known it is taken to be so, with the weight of so many disputes.
const REST_WEIGHT: f64 = 7.0;

/// A week this unlikely at the rate of all days shows that the rate is another by now: of few charges,
/// and of [`MANY`], whose week is known well enough itself.
const LATELY_CHANCE: (f64, f64) = (0.01, 0.05);

/// See [`LATELY_CHANCE`].
const MANY: u64 = 10;

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Day {
    number: i64,
    payments: u64,
    against: u64,
    /// Of those `against`, whose payment came by here.
    against_seen: u64,
    is_wave: bool,
}

/// A part of a day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) day: i64,
    /// How much of it.
    pub(super) share: f64,
    /// Whether it is the part from its begin on.
    pub(super) has_begin: bool,
}

/// What some days held.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    payments: u64,
    against: u64,
    against_seen: u64,
    /// Those with anything at all.
    days: u64,
}

/// What is usual a day, and how well that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    pub(super) a_day: f64,
    /// Charges it was learned from, those of the prior among them.
    pub(super) known: f64,
}

/// The newest days, oldest first; those that brought nothing have no entry.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct History {
    days: VecDeque<Day>,
}

impl History {
    pub(super) fn count_payment(&mut self, day: i64) {
        if let Some(day) = self.day(day) {
            day.payments += 1;
        }
    }

    /// `is_seen`: the payment came by here.
    pub(super) fn count_against(&mut self, day: i64, is_seen: bool) {
        if let Some(day) = self.day(day) {
            day.against += 1;
            day.against_seen += u64::from(is_seen);
        }
    }

    /// Those since then are a wave and no example; or are what is usual after all.
    pub(super) fn set_wave_since(&mut self, from: i64, is_wave: bool) {
        let newest_first = self.days.iter_mut().rev();
        for day in newest_first.take_while(|day| day.number >= from) {
            day.is_wave = is_wave;
        }
    }

    /// Payments of a day: of the newest week, of the newest month, or of the busiest month before,
    /// whichever were most. Today is not over and counts only when there is nothing else; on the first
    /// day what came in so many days says how many a day has.
    pub(super) fn payments_a_day(&self, today: i64, days_seen: f64) -> f64 {
        let Some(first) = self.days.front().map(|day| day.number.min(today)) else {
            return 0.0;
        };
        if days_seen < 1.0 || first == today {
            let payments = self.sums(first, today + 1, true).payments;
            return as_f64(payments) / days_seen.clamp(SEEN_DAYS_MIN, 1.0);
        }
        let mean = |from: i64, to: i64| {
            let from = from.max(first);
            let days = u64::try_from(to - from).unwrap_or(1).max(1);
            as_f64(self.sums(from, to, true).payments) / as_f64(days)
        };
        let ends = (0..=WEEKS).map(|week| today - week * WEEK_DAYS);
        // Of the oldest month at least a week: a single busy day says little.
        let whole = ends.take_while(|end| *end == today || end - first >= WEEK_DAYS);
        whole
            .map(|end| mean(end - MONTH_DAYS, end))
            .fold(mean(today - WEEK_DAYS, today), f64::max)
    }

    /// How many are usual a day, by the days before a window that begins on day `from`.
    pub(super) fn usual(&self, from: i64, payments_a_day: f64) -> Usual {
        let all = self.sums(i64::MIN, from, false);
        // The disputes of the last weeks' payments are still to come. Of a young shop that leaves
        // little, so half of the payments count at least. And those of payments from before the
        // first day are none of these payments': counted, they doubled the rate for months. Where most
        // are not known, they are of payments that are never sent here, and count.
        let ripe = self.sums(i64::MIN, from - MONTH_DAYS, false).payments;
        let ripe = as_f64(ripe).max(as_f64(all.payments) / 2.0);
        let (against, payments) = if all.against_seen * 2 >= all.against {
            (all.against_seen, ripe)
        } else if self.days_in_peace(from) >= WEEK_DAYS.unsigned_abs() {
            // Nothing of these is still to come: they are as many as these days bring. Held against half of the payments, twice
            // as many were usual, and three times the usual ones no wave.
            (all.against, as_f64(all.payments))
        } else {
            (all.against, ripe)
        };
        let known = as_f64(against) + PRIOR.0;
        let rate = known / (payments + PRIOR.1);
        Usual {
            a_day: (rate * payments_a_day).max(self.lately(from, rate)),
            known,
        }
    }

    /// How many days' worth a stretch of days brings: what weekends lack comes on Monday, and may come
    /// as soon as it begins.
    pub(super) fn days_worth(&self, days: impl Iterator<Item = Part>) -> f64 {
        let known = self.days.iter().filter(|day| !day.is_wave);
        let (weekend, all) = known.fold((0, 0), |(weekend, all), day| {
            let is_weekend = weekday(day.number) >= SATURDAY;
            let against = u64::from(is_weekend) * day.against;
            (weekend + against, all + day.against)
        });
        // What a day of the weekend brings of an even day's worth.
        let even = WEEK / WEEKEND * as_f64(weekend) / (as_f64(all) + REST_WEIGHT);
        let even = even.min(1.0);
        days.map(|part| match weekday(part.day) {
            MONDAY if part.has_begin => part.share + WEEKEND * (1.0 - even),
            MONDAY => part.share * (1.0 + WEEKEND * (1.0 - even)),
            SATURDAY.. => part.share * even,
            _ => part.share,
        })
        .sum()
    }

    /// Days that are known before a window.
    pub(super) fn days_before(&self, from: i64) -> u64 {
        let first = self.days.front().map_or(from, |day| day.number);
        u64::try_from(from - first).unwrap_or_default()
    }

    /// Those of them that belong to no wave.
    fn days_in_peace(&self, from: i64) -> u64 {
        let before = self.days.iter().filter(|day| day.number < from);
        let waves = before.filter(|day| day.is_wave).count() as u64;
        self.days_before(from).saturating_sub(waves)
    }

    /// How many are usual a day by what came before a window, whatever was paid.
    pub(super) fn usual_alone(&self, from: i64) -> Usual {
        let days = self.days_in_peace(from);
        let against = self.sums(i64::MIN, from, false).against;
        let known = as_f64(against) + PRIOR_ALONE.0;
        Usual {
            a_day: known / (as_f64(days) + PRIOR_ALONE.1),
            known,
        }
    }

    /// How many are usual a day by the first few days before a window, where these brought so many that they say it
    /// themselves.
    pub(super) fn usual_of_few_days(&self, from: i64) -> Option<Usual> {
        let days = self.days_in_peace(from);
        let against = self.sums(i64::MIN, from, false).against;
        let is_known = days >= FEW_DAYS.0 && against >= FEW_DAYS.1;
        is_known.then(|| Usual {
            a_day: FEW_STRAY * as_f64(against) / as_f64(days),
            known: as_f64(against),
        })
    }

    /// How many came a day in the week before a window, where that is more than chance: disputes
    /// follow payments by weeks, so a young or growing shop's rate lags behind what is usual by now.
    fn lately(&self, from: i64, rate: f64) -> f64 {
        let week = self.sums(from - WEEK_DAYS, from, false);
        let chance_max = if week.against < MANY {
            LATELY_CHANCE.0
        } else {
            LATELY_CHANCE.1
        };
        if poisson_tail(week.against, rate * as_f64(week.payments)) > chance_max {
            return 0.0;
        }
        as_f64(week.against) / as_f64(week.days.max(1))
    }

    /// From a day to before another.
    fn sums(&self, from: i64, to: i64, with_waves: bool) -> Sums {
        let days = self.days.iter();
        let days = days.filter(|day| (from..to).contains(&day.number));
        days.filter(|day| with_waves || !day.is_wave)
            .fold(Sums::default(), |sums, day| Sums {
                payments: sums.payments + day.payments,
                against: sums.against + day.against,
                against_seen: sums.against_seen + day.against_seen,
                days: sums.days + 1,
            })
    }

    /// The entry of a day, made when it is missing; none for days too long ago.
    #[inline]
    fn day(&mut self, number: i64) -> Option<&mut Day> {
        // Nearly always the last one: events come nearly in order.
        if self.days.back().is_some_and(|day| day.number == number) {
            return self.days.back_mut();
        }
        self.other_day(number)
    }

    fn other_day(&mut self, number: i64) -> Option<&mut Day> {
        let newest = self.days.back().map_or(number, |day| day.number);
        if newest - number >= DAYS_MAX {
            return None;
        }
        let later = self.days.iter().rev();
        let later = later.take_while(|day| day.number > number).count();
        let mut index = self.days.len() - later;
        let is_known = index > 0 && self.days[index - 1].number == number;
        if is_known {
            index -= 1;
        } else {
            let day = Day {
                number,
                ..Day::default()
            };
            self.days.insert(index, day);
            let oldest = number.max(newest) - DAYS_MAX;
            while self.days.front().is_some_and(|day| day.number <= oldest) {
                self.days.pop_front();
                index = index.saturating_sub(1);
            }
        }
        self.days.get_mut(index)
    }
}

const MONDAY: i64 = 0;
const SATURDAY: i64 = 5;

/// Counted from Monday: day 0 was a Thursday.
const fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(WEEK_DAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop(days: std::ops::Range<i64>, payments: u64) -> History {
        let mut history = History::default();
        for day in days {
            (0..payments).for_each(|_| history.count_payment(day));
        }
        history
    }

    fn usual(history: &History, from: i64, today: i64) -> Usual {
        history.usual(from, history.payments_a_day(today, 9.0))
    }

    #[test]
    fn on_the_first_day_payments_are_taken_to_go_on_as_they_came() {
        let history = shop(7..8, 50);
        assert!((history.payments_a_day(7, 0.25) - 200.0).abs() < 1e-9);
        // Not by the first minutes.
        assert!((history.payments_a_day(7, 0.001) - 1_200.0).abs() < 1e-9);
    }

    #[test]
    fn a_monday_brings_what_the_weekend_lacked() {
        // Days 4 to 10 are a week from Monday on.
        let part = |day, share, has_begin| Part {
            day,
            share,
            has_begin,
        };
        let week = || (4..11).map(|day| part(day, 1.0, true));
        let on = |history: &History, day| history.days_worth(std::iter::once(part(day, 1.0, true)));
        let of = |history: &History, part| history.days_worth(std::iter::once(part));
        let mut history = shop(0..28, 100);
        assert!((on(&history, 4) - 3.0).abs() < 1e-9);
        assert!((on(&history, 10)).abs() < 1e-9);
        assert!((history.days_worth(week()) - 7.0).abs() < 1e-9);
        // It may all come in the morning, and what is left in the evening is a part of it.
        assert!((of(&history, part(4, 0.25, true)) - 2.25).abs() < 1e-9);
        assert!((of(&history, part(4, 0.25, false)) - 0.75).abs() < 1e-9);
        // Where weekends bring as many, Mondays are as other days.
        for day in 0..28 {
            (0..30).for_each(|_| history.count_against(day, true));
        }
        assert!(on(&history, 4) < 1.05, "{}", on(&history, 4));
        assert!((history.days_worth(week()) - 7.0).abs() < 1e-9);
    }

    #[test]
    fn days_are_bounded_and_stragglers_find_theirs() {
        let mut history = shop(0..500, 1);
        assert_eq!(history.days.len(), 120);
        history.count_payment(379);
        history.count_payment(380);
        assert_eq!(history.days.len(), 120);
        assert_eq!(history.sums(0, 500, true).payments, 121);
    }

    #[test]
    fn after_a_big_month_its_disputes_are_awaited() {
        let mut history = shop(0..30, 10);
        for day in 30..58 {
            (0..100).for_each(|_| history.count_payment(day));
        }
        for day in 58..86 {
            history.count_payment(day);
        }
        assert!((history.payments_a_day(86, 86.0) - 100.0).abs() < 1e-9);
        assert!(history.payments_a_day(58 + 120, 178.0) < 2.0);
    }

    #[test]
    fn waves_teach_nothing() {
        let mut history = shop(0..40, 100);
        let before = usual(&history, 40, 40).a_day;
        (30..35).for_each(|day| (0..20).for_each(|_| history.count_against(day, true)));
        assert!(usual(&history, 40, 40).a_day > 3.0 * before);
        history.set_wave_since(30, true);
        let after = usual(&history, 40, 40).a_day;
        assert!(after < 1.3 * before, "{before} {after}");
    }

    #[test]
    fn a_shop_that_grows_is_held_against_its_last_week() {
        let mut history = shop(0..60, 1_000);
        (40..60).for_each(|day| (0..9).for_each(|_| history.count_against(day, true)));
        let usual = usual(&history, 60, 60);
        assert!((usual.a_day - 9.0).abs() < 0.01, "{usual:?}");
    }

    #[test]
    fn disputes_of_payments_from_before_the_first_day_raise_no_rate() {
        // 1 % is disputed, from the first day on; a payment 20 days after it was made.
        let mut history = shop(0..60, 1_000);
        for day in 0..60 {
            (0..10).for_each(|_| history.count_against(day, day >= 20));
        }
        let usual = usual(&history, 60, 60);
        assert!((10.0..14.0).contains(&usual.a_day), "{usual:?}");
    }

    #[test]
    fn of_payments_that_never_came_by_a_week_of_disputes_is_what_a_week_brings() {
        let of = |days: i64| {
            let mut history = shop(0..days, 15_000);
            (0..days).for_each(|day| (0..20).for_each(|_| history.count_against(day, false)));
            usual(&history, days, days).a_day
        };
        assert!((19.0..21.0).contains(&of(8)), "{}", of(8));
        assert!((19.0..21.0).contains(&of(60)), "{}", of(60));
        assert!(of(5) > 38.0, "less than a week is no measure: {}", of(5));
    }

    #[test]
    fn a_few_days_with_many_disputes_say_what_is_usual() {
        let mut history = shop(0..6, 10_000);
        (0..5).for_each(|day| (0..12).for_each(|_| history.count_against(day, false)));
        let usual = history.usual_of_few_days(5).map(|usual| usual.a_day);
        assert!(usual.is_some_and(|a_day| (a_day - 18.0).abs() < 0.01));
        assert!(history.usual_of_few_days(2).is_none(), "two days are none");
        let mut history = shop(0..6, 10_000);
        (0..5).for_each(|day| history.count_against(day, false));
        assert!(history.usual_of_few_days(5).is_none(), "five are not many");
    }

    #[test]
    fn on_the_first_day_the_prior_counts() {
        let history = shop(7..8, 1_000);
        let usual = usual(&history, 6, 7);
        assert!((usual.a_day - 1.0).abs() < 1e-9 && (usual.known - 1.0).abs() < 1e-9);
    }
}
