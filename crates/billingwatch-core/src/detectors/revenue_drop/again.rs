//! What is so again and again, and then for once is not: days of the month on which nothing is taken, and weekly peaks.

use chrono::{Datelike, Days, Months, NaiveDate};

use crate::money::share_bps;
use crate::time::{Span, Timestamp};

use super::super::words::rounded;
use super::gap::{Cause, Gap};
use super::hours::{Hours, WEEK};
use super::usual::Past;
use crate::stats::median;

/// Of what is usual, the most that counts as next to nothing: one of three days may have been an ordinary one.
const NOTHING_BPS: i64 = 4_000;

/// What a day of a month may have brought less than the same day a month later, in basis points of what is usual.
const ALIKE_BPS: i64 = 500;

/// A weekly peak has at least so many times, in halves, what the same hours of the other days have. Weekends and evenings out bring
/// twice as many; more is a sale that is announced, and may for once not be held.
const PEAK_OVER: i64 = 5;

/// Without it the hours are like those of the other days, of which so many percent are there.
const OTHERS_THERE: i64 = 85;

/// Days that say what the other days bring, two weeks but for the peak's own, and how many of them must be known.
const OTHER_DAYS: std::ops::RangeInclusive<i64> = 1..=13;
/// See [`OTHER_DAYS`].
const OTHERS_MIN: usize = 8;

/// Whether what is missing is a weekly peak, and nothing of what these hours bring on other days. Where nobody can pay, these
/// are missing too.
pub(super) fn is_missed_peak(hours: &Hours, past: Past<'_>, end: i64, gap: &Gap) -> bool {
    if gap.cause != Cause::Fewer || gap.unasked() > 0 || gap.hours > 24 {
        return false;
    }
    let start = end - gap.hours;
    let days = OTHER_DAYS.filter(|day| day % 7 != 0);
    let known = days.map(|day| past.before(start, day * 24));
    let known = known.filter(|start| *start >= past.known_from);
    let mut others: Vec<i64> = known
        .filter_map(|start| hours.calm_sales(start, start + gap.hours))
        .collect();
    if others.len() < OTHERS_MIN {
        return false;
    }
    let others = median(&mut others);
    let sales = i64::try_from(gap.sales).unwrap_or(i64::MAX);
    rounded(gap.sales_expected) * 2 >= others * PEAK_OVER
        && sales * 100 >= others * OTHERS_THERE
        && others > 0
}

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
