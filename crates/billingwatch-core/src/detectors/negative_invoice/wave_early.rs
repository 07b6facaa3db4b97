//! A wave in the first week of a merchant who refunds every day.
//!
//! Who never did so on one of the days that are known may do it once a week, and of such a merchant nothing is said until
//! a week is known.

use crate::detectors::words::as_f64;

use super::wave_days::{STRAY_PRIOR, Usual, WaveDays};

/// Whole days that must be known.
const DAYS_MIN: usize = 2;

/// Refunds that each of them had.
const REFUNDS_MIN: u64 = 4;

/// So many times the fewest of a day is the most at most, where refunds are made every day.
const STEADY: u64 = 4;

/// A part of a day must bring so many times what the busiest day brought: a weekend's refunds may be made on
/// the Monday after it, within the hour.
const TIMES: f64 = 4.0;

/// What the busiest day brought; `None` while too little is known.
pub(super) fn usual(days: &WaveDays, today: i64) -> Option<Usual> {
    // The first of them may be half of one.
    let made: Vec<u64> = (days.first()? + 1..today)
        .map(|day| days.made(day))
        .collect();
    let (least, most) = (*made.iter().min()?, *made.iter().max()?);
    let is_steady = made.len() >= DAYS_MIN && least >= REFUNDS_MIN && least * STEADY >= most;
    is_steady.then(|| Usual {
        mean: as_f64(most),
        stray: STRAY_PRIOR.0,
    })
}

/// Whether so many are beyond all that a part of a day brings.
pub(super) fn is_beyond(count: u64, usual: Usual) -> bool {
    as_f64(count) >= TIMES * usual.mean
}
