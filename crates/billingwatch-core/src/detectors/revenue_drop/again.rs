//! What is so every month: who bills by a calendar of their own takes nothing on some days of it.

use chrono::{Datelike, Days, Months, NaiveDate};

use crate::money::share_bps;
use crate::time::{Span, Timestamp};

use super::gap::Gap;
use super::hours::{Hours, WEEK};
use super::usual::Past;
use crate::stats::median;

/// Of what is usual, the most that counts as next to nothing: one of three days may have been an ordinary one.
const NOTHING_BPS: i64 = 4_000;

/// What a day of a month may have brought less than the same day a month later, in basis points of what is usual.
const ALIKE_BPS: i64 = 500;

/// Whether the same hours of the same day of the month before brought next to nothing either, and no more than now, of what
/// was usual on its weekday then. An outage that happens to come again after precisely a month is not told.
pub(super) fn is_of_the_month(hours: &Hours, past: Past<'_>, end: i64, gap: &Gap) -> bool {
    let Some(back) = hours_of_month(past, end) else {
        return false;
    };
    let sales = |back: i64| -> i64 {
        let window = end - gap.hours..end;
        window
            .map(|hour| i64::from(hours.hour(past.before(hour, back)).sales))
            .sum()
    };
    let start = end - gap.hours;
    // The same weekday, before and after it, as far as it is known.
    let mut others: Vec<i64> = (-3..=2)
        .filter(|week| *week != 0)
        .map(|week| back + week * WEEK)
        .filter(|back| {
            *back > gap.hours && start - back >= past.known_from && hours.knows(start - back)
        })
        .map(sales)
        .collect();
    if others.len() < 3 || start - back < past.known_from || !hours.knows(start - back) {
        return false;
    }
    let (now, usual) = (bps_of_usual(gap), median(&mut others));
    // A nightly run lies an hour off where clocks were put forward or back in between.
    let least = [back - 1, back, back + 1].map(sales).into_iter().min();
    let then = 10_000 - share_bps(usual - least.unwrap_or_default(), usual);
    usual > 0 && then <= NOTHING_BPS && then <= now + ALIKE_BPS
}

/// Of what is usual now, in basis points.
fn bps_of_usual(gap: &Gap) -> i64 {
    10_000 - gap.lost_bps().1
}

/// Hours from the same day of the month before until this one; `None` where that month had no such day.
fn hours_of_month(past: Past<'_>, end: i64) -> Option<i64> {
    let at = Timestamp::EPOCH + Span::hours(end - 1);
    let day = past.calendar.local(at).day();
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    let today = epoch.checked_add_days(Days::new(u64::try_from(day).ok()?))?;
    let then = today.checked_sub_months(Months::new(1))?;
    (then.day() == today.day()).then(|| today.signed_duration_since(then).num_days() * 24)
}
