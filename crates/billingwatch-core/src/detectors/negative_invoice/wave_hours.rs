//! At which hours refunds are made: by people at work, or at any.

use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::time::{Span, Timestamp};

/// How much of what is known a day keeps: a memory of six weeks or so.
const KEPT_A_DAY: f64 = 0.975;

/// Days that must be known, as far as they are not forgotten: refunds follow payments by days, and of a merchant's first week
/// the hours say nothing.
const DAYS_MIN: f64 = 9.0;

/// Hours that are odd together.
const WINDOW_HOURS: i64 = 6;

/// Refunds that such hours would have seen if all hours were alike, for their being without any to say
/// something.
const EVEN_MIN: f64 = 1.5;

/// Of that, what they may have seen and still be odd.
const ODD_SHARE: f64 = 0.15;

/// Refunds by the hour of the merchant's day, on working days and at weekends.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WaveHours {
    hours: Vec<f64>,
    /// Days known of either kind.
    days: [f64; 2],
    day: Option<i64>,
}

impl Default for WaveHours {
    fn default() -> Self {
        Self {
            hours: vec![0.0; 48],
            days: [0.0; 2],
            day: None,
        }
    }
}

impl WaveHours {
    /// Time has come to this day.
    pub(super) fn advance_to(&mut self, today: i64) {
        let Some(known) = self.day else {
            self.day = Some(today);
            return;
        };
        // After months of nothing nothing is known.
        for day in known.max(today - 400)..today {
            self.hours.iter_mut().for_each(|hour| *hour *= KEPT_A_DAY);
            self.days = self.days.map(|days| days * KEPT_A_DAY);
            self.days[usize::from(is_weekend(day))] += 1.0;
        }
        self.day = Some(today.max(known));
    }

    /// A charge was refunded at this instant, in peace.
    pub(super) fn learn(&mut self, at: Timestamp, calendar: &Calendar) {
        let place = place_of(at, calendar);
        if let Some(hour) = self.hours.get_mut(place) {
            *hour += 1.0;
        }
    }

    /// Whether the hours up to now are such that this merchant hardly ever refunds in them, though many would be if all
    /// hours were alike.
    pub(super) fn are_odd(&self, now: Timestamp, calendar: &Calendar) -> bool {
        let all: f64 = self.hours.iter().sum();
        let days: f64 = self.days.iter().sum();
        if days < DAYS_MIN {
            return false;
        }
        let mut even = 0.0;
        let mut seen = 0.0;
        for hour in 0..WINDOW_HOURS {
            let at = now - Span::hours(hour);
            let place = place_of(at, calendar);
            seen += self.hours.get(place).copied().unwrap_or(0.0);
            even += all / 24.0 * self.days[usize::from(place >= 24)] / days;
        }
        even >= EVEN_MIN && seen <= even * ODD_SHARE
    }

    /// Refunded charges of a day, on the average.
    pub(super) fn a_day(&self) -> f64 {
        self.hours.iter().sum::<f64>() / self.days.iter().sum::<f64>().max(1.0)
    }
}

/// Which hour of which kind of day: working days first.
fn place_of(at: Timestamp, calendar: &Calendar) -> usize {
    let hour = calendar.local(at).hour_of_week();
    usize::from(hour / 24 >= 5) * 24 + hour % 24
}

/// Whether a day is a Saturday or a Sunday: the first of all was a Thursday.
const fn is_weekend(day: i64) -> bool {
    matches!((day + 4).rem_euclid(7), 0 | 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_odd_in_which_others_would_have_had_some_and_these_had_none() {
        let utc = Calendar::utc();
        let monday = 4;
        let at = |day: i64, hour: i64| {
            Timestamp::EPOCH + Span::days(monday + day) + Span::hours(hour) + Span::minutes(30)
        };
        let mut hours = WaveHours::default();
        assert!(!hours.are_odd(at(0, 3), &utc));
        for day in 0..28 {
            hours.advance_to(monday + day);
            if day == 8 {
                assert!(!hours.are_odd(at(day, 3), &utc), "a first week");
            }
            if day % 7 < 5 {
                for hour in [9, 11, 14, 16] {
                    hours.learn(at(day, hour), &utc);
                }
            }
        }
        hours.advance_to(monday + 28);
        // A night, a Saturday noon and a Sunday; not the day, the morning or the evening after it.
        for (day, hour, is_odd) in [
            (28, 3, true),
            (33, 13, true),
            (34, 20, true),
            (28, 12, false),
            (28, 9, false),
            (28, 18, false),
            (28, 23, true),
        ] {
            assert_eq!(hours.are_odd(at(day, hour), &utc), is_odd, "{day} {hour}");
        }
        assert!((2.0..4.0).contains(&hours.a_day()), "{}", hours.a_day());
    }
}
