//! A wave in the first week of a merchant who refunds every day.
//!
//! Who never did so on one of the days that are known may do it once a week, and of such a merchant nothing is said until
//! a week is known.

use crate::detectors::words::as_f64;

use super::wave_days::WaveDays;

/// Whole days that must be known.
const DAYS_MIN: usize = 2;

/// Refunds that each of them had.
const REFUNDS_MIN: u64 = 4;

/// So many times the fewest of a day is the most at most, where refunds are made every day.
const STEADY: u64 = 4;

/// A part of a day must bring so many times what the busiest day brought.
const TIMES: f64 = 2.5;

/// Whether so many of a part of a day are beyond all that the days before brought, and these can say so.
pub(super) fn is_beyond(count: u64, days: &WaveDays, today: i64) -> bool {
    // The first of them may be half of one.
    let made = days.first().map(|first| first + 1..today);
    let made: Vec<u64> = made
        .into_iter()
        .flatten()
        .map(|day| days.made(day))
        .collect();
    let (least, most) = (made.iter().min(), made.iter().max());
    least.zip(most).is_some_and(|(least, most)| {
        made.len() >= DAYS_MIN
            && *least >= REFUNDS_MIN
            && least * STEADY >= *most
            && as_f64(count) >= TIMES * as_f64(*most)
    })
}
