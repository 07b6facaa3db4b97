//! Whether the merchant's clocks were put forward or back of late, or a nightly run came at another time.
//!
//! What is missing at an hour may have come an hour earlier, or be about to come: so it must be missing against the hours next to
//! it as well. That keeps a loss quiet where sales rise or fall from hour to hour, every evening that is. Yesterday tells:
//! once clocks are put forward, each day after it is an hour off.

use super::hours::{Hours, WEEK};
use super::usual::Past;
use crate::time::{Span, Timestamp};

/// The longest window asked about, in hours: longer ones do not lose much by an hour.
const WINDOW: i64 = 6;

/// The days before that must have come at their hours, those of them that can be held against a week before: one at least.
const DAYS: i64 = 2;

/// The part of what they brought a week before that the days before must have brought, in percent.
const PART: i64 = 80;

/// Clocks are put forward and back in the night to a Sunday. That day says nothing, nor does Monday, which west of
/// Greenwich begins hours later.
const SUNDAY: usize = 6;
/// See [`SUNDAY`].
const MONDAY: usize = 0;

/// Of the hours of a window and those next to it, the most that a single one may bring, in percent: more is a run.
const RUN: i64 = 60;

/// Whether the hours before `end` are those that they were a week ago, as far as the days before can tell.
pub(super) fn are_as_before(hours: &Hours, past: Past<'_>, (end, len): (i64, i64)) -> bool {
    let start = end - len;
    let at = Timestamp::EPOCH + Span::hours(start);
    let of_week = past.calendar.local(at).hour_of_week() / 24;
    let is_known = |day: &i64| start - day * 24 - WEEK >= past.known_from;
    if len > WINDOW || [SUNDAY, MONDAY].contains(&of_week) || !is_known(&1) {
        return false;
    }
    let sales = |hour: i64| i64::from(hours.hour(hour).sales);
    let brought = |from: i64, until: i64| (from..until).map(sales).sum::<i64>();
    let is_calm = |from: i64, until: i64| !(from..until).any(|hour| hours.hour(hour).is_incident);
    let has_come = |day: i64| {
        let (from, until) = (past.before(start, day * 24), past.before(end, day * 24));
        let then = (past.before(from, WEEK), past.before(until, WEEK));
        let usual = brought(then.0, then.1);
        is_calm(from, until)
            && is_calm(then.0, then.1)
            && usual > 0
            && brought(from, until) * 100 >= usual * PART
    };
    let around = past.before(start, WEEK) - 1..past.before(end, WEEK) + 1;
    let most = around.clone().map(sales).max().unwrap_or_default();
    let is_run = most * 100 > around.map(sales).sum::<i64>() * RUN;
    !is_run && (1..=DAYS).take_while(is_known).all(has_come)
}
