//! What a window of hours brings at least, before a week is known.
//!
//! Who sells at all hours of the day and night does not close on a day that was not met yet. So of such a merchant the
//! least that the same hours of the days before brought is known, and as a working day may be
//! quieter than those before it, and a weekend more so, a part of that must come. Of all others no day is judged: the
//! first Sunday may be a day of rest.
//!
//! But sales that break off within the hour do so for a reason. Where much is sold, an hour is held against the hours just
//! before it, and against the same ones of the days before at the level of this day, whichever is less.

use super::hours::{Hour, Hours};
use super::usual::{Past, Usual, signed_f64};
use crate::time::{Span, Timestamp};

/// Days that must be known before the window.
const DAYS_MIN: i64 = 3;

/// Days that are looked back upon at most.
const DAYS_MAX: i64 = 7;

/// Sales that each hour of them had, where there is no night.
const SALES_AN_HOUR_MIN: i32 = 10;

/// Windows judged by it, in hours: shorter ones stray too far, longer ones are of days that are not alike.
const WINDOW: std::ops::RangeInclusive<i64> = 6..=24;

/// What must come of the least that days before brought: on a working day, and at a weekend or on a holiday.
const PART: f64 = 0.5;
/// See [`PART`].
const PART_AT_REST: f64 = 0.25;

/// The longest window held against the hours just before it.
const SHORT_WINDOW_MAX: i64 = 3;

/// Hours that say how a day goes, and how far back they may lie. The one right before the window may be half lost already.
const BEFORE: i64 = 3;
/// See [`BEFORE`].
const BEFORE_WITHIN: i64 = 12;

/// Sales that must be expected of a short window: who sells fewer may close for an hour.
const SHORT_SALES_MIN: f64 = 60.0;

/// What must come of what both say: sales follow neither to the letter.
const SHORT_PART: f64 = 0.8;

/// Saturday, as a day of the week; who sleeps at night may rest from then on.
const SATURDAY: usize = 5;

/// What must come within the hours of a window that count; `None` where nothing can be said of it.
pub(super) fn least(
    hours: &Hours,
    past: Past<'_>,
    (end, len): (i64, i64),
    counts: impl Fn(&Hour) -> bool,
) -> Option<Usual> {
    if len <= SHORT_WINDOW_MAX {
        return breaks_off(hours, past, (end, len));
    }
    let start = end - len;
    let is_known = |day: &i64| past.before(start, day * 24) >= past.known_from;
    let days = (1..=DAYS_MAX).take_while(is_known).last().unwrap_or(0);
    let known = past.before(start, days * 24)..start;
    let had_sales = |hour: i64| {
        let hour = hours.hour(hour);
        hour.is_incident || hour.sales >= SALES_AN_HOUR_MIN
    };
    if days < DAYS_MIN || !WINDOW.contains(&len) || !known.into_iter().all(had_sales) {
        return None;
    }
    let counted: Vec<i64> = (start..end)
        .filter(|hour| counts(hours.hour(*hour)))
        .collect();
    let mut least: Option<(i64, i64)> = None;
    for day in 1..=days {
        let then = || counted.iter().map(|hour| past.before(*hour, day * 24));
        if then().any(|hour| hours.hour(hour).is_incident) {
            continue;
        }
        let sold = then().fold((0, 0_i64), |(sales, amount), hour| {
            let hour = hours.hour(hour);
            let amount = amount.saturating_add(hour.sales_amount);
            (sales + i64::from(hour.sales), amount)
        });
        least = Some(least.map_or(sold, |least| (least.0.min(sold.0), least.1.min(sold.1))));
    }
    let (sales, amount) = least?;
    let is_weekend = [start, end - 1].into_iter().any(|hour| {
        let at = Timestamp::EPOCH + Span::hours(hour);
        past.calendar.local(at).hour_of_week() / 24 >= 5
    });
    let part = if is_weekend || past.holidays.touch(start, end) {
        PART_AT_REST
    } else {
        PART
    };
    Some(Usual {
        weeks: 1.0,
        sales: signed_f64(sales) * part,
        amount: signed_f64(amount) * part,
        holiday_bps: 10_000,
        least_share: 1.0,
        short_squared: 0.0,
    })
}

/// What must come within a few hours, unless sales break off.
fn breaks_off(hours: &Hours, past: Past<'_>, (end, len): (i64, i64)) -> Option<Usual> {
    let start = end - len;
    let is_known = |day: &i64| past.before(start, day * 24) > past.known_from;
    let days = (1..=DAYS_MAX).take_while(is_known).last()?;
    let is_calm = |hour: i64| !hours.hour(hour).is_incident;
    let at = Timestamp::EPOCH + Span::hours(start);
    let of_week = past.calendar.local(at).hour_of_week() / 24;
    // By Sunday the Saturday before it tells.
    let may_rest = of_week == SATURDAY || of_week > SATURDAY && days < 2;
    let is_awake = || {
        let mut known = past.before(start, days * 24)..start;
        known.all(|hour| !is_calm(hour) || hours.hour(hour).sales >= SALES_AN_HOUR_MIN)
    };
    if (may_rest || past.holidays.touch(start, end)) && !(days >= 2 && is_awake()) {
        return None;
    }
    let oldest = (start - BEFORE_WITHIN).max(past.known_from);
    let before = (oldest..start - 1).rev().filter(|hour| is_calm(*hour));
    let before: Vec<i64> = before.take(usize::try_from(BEFORE).ok()?).collect();
    let is_followed = !(start..end).any(is_calm);
    if before.len() < usize::try_from(BEFORE).ok()? && !is_followed {
        return None;
    }
    let sold = |of: &mut dyn Iterator<Item = i64>| {
        of.fold((0.0, 0.0), |(sales, amount), hour| {
            let hour = hours.hour(hour);
            let now = (f64::from(hour.sales), signed_f64(hour.sales_amount));
            (sales + now.0, amount + now.1)
        })
    };
    let today = sold(&mut before.iter().copied());
    let mut least: Option<(f64, f64)> = None;
    for day in 1..=days {
        let then = |hour: i64| past.before(hour, day * 24);
        if !(then(start) - 1..=then(end)).all(is_calm) {
            continue;
        }
        let level = sold(&mut before.iter().map(|hour| then(*hour))).0;
        let level = if before.is_empty() || level <= 0.0 {
            1.0
        } else {
            (today.0 / level).min(1.0)
        };
        for shift in -1..=1 {
            let (sales, amount) = sold(&mut (start..end).map(|hour| then(hour) + shift));
            let (sales, amount) = (sales * level, amount * level);
            least = Some(least.map_or((sales, amount), |least| {
                (least.0.min(sales), least.1.min(amount))
            }));
        }
    }
    let (mut sales, mut amount) = least?;
    if !before.is_empty() {
        let part = signed_f64(len) / signed_f64(BEFORE);
        (sales, amount) = (sales.min(today.0 * part), amount.min(today.1 * part));
    }
    (sales * SHORT_PART >= SHORT_SALES_MIN || is_followed).then_some(Usual {
        weeks: 1.0,
        sales: sales * SHORT_PART,
        amount: amount * SHORT_PART,
        holiday_bps: 10_000,
        least_share: 1.0,
        short_squared: 0.0,
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    /// A day of a sale every minute or every few minutes, from midnight on.
    const DAY: &str = "+0s charge.succeeded amt=4000 x480/3m\n+3m wait\n";

    /// So few that the day is a loss beyond doubt.
    const LOST: &str = "+0s charge.succeeded amt=4000 x48/30m\n+30m wait\n";

    /// The same days, but nobody pays at night.
    const BY_DAY: &str =
        "+0s customer.updated x8/1h\n+1h charge.succeeded amt=4000 x480/2m\n+2m wait\n";

    fn told(days: &[&str]) -> usize {
        // The first line of a story is on a Monday.
        let told = check("revenue_drop", &days.concat());
        told.matches(" firing ").count()
    }

    #[test]
    fn a_day_is_lost_in_the_first_week_of_who_sells_at_all_hours() {
        assert_eq!(told(&[DAY, DAY, DAY, DAY, LOST]), 1);
        assert_eq!(told(&[DAY, DAY, DAY, DAY, DAY]), 0);
    }

    #[test]
    fn two_days_are_too_few() {
        assert_eq!(told(&[DAY, DAY, LOST]), 0);
    }

    #[test]
    fn a_day_at_half_of_all_others_may_be_as_it_is() {
        let half = "+0s charge.succeeded amt=4000 x240/6m\n+6m wait\n";
        assert_eq!(told(&[DAY, DAY, DAY, DAY, half]), 0);
    }

    #[test]
    fn the_first_saturday_may_be_quieter_than_that() {
        let few = "+0s charge.succeeded amt=4000 x72/20m\n+20m wait\n";
        assert_eq!(told(&[DAY, DAY, DAY, DAY, few, DAY]), 1);
        assert_eq!(told(&[DAY, DAY, DAY, DAY, DAY, few]), 0);
    }

    #[test]
    fn who_sleeps_may_rest() {
        assert_eq!(told(&[BY_DAY, BY_DAY, BY_DAY, BY_DAY, LOST]), 0);
    }
}
