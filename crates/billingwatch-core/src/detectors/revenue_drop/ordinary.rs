//! What was ordinary before a peak.
//!
//! A season, a campaign or Christmas lasts longer than the weeks that say what is usual; when it is over, what comes in is
//! far below that, and nothing is wrong. So what is missing must be missing against a longer past as well: a quarter of a
//! year, its weeks as they were, and not brought up to the level of now, unless each of them brought more than the one before it.
//!
//! But what lasted longer than any campaign is no peak, it is where the merchant stands now: what other seasons brought before it
//! is no excuse in the middle of this one.

use super::hours::{Hour, Hours, WEEK};
use super::usual::Past;

/// Weeks that are looked back upon: Christmas trade and ski seasons last for six to nine, and what was before them must be
/// more than a few of them.
const WEEKS_BACK: i64 = 13;

/// Weeks that must be known.
const KNOWN_MIN: usize = 3;

/// Of these weeks, the place of the poor one that is still ordinary: a quarter of them are poorer.
const POOR_PART: usize = 4;

/// Weeks that make a season of its own: Christmas trade, sales and campaigns last for seven at most, and lie across eight; one more
/// may be poor for reasons of its own.
const SEASON_WEEKS: usize = 10;

/// So many times what the best of the weeks before it brought, each of a season's weeks but one brings. Less is no other season,
/// and the poorer quarter of both is much the same.
const SEASON_OVER: f64 = 1.25;

/// Of these, the newest that must differ by less than that.
const STEADY_WEEKS: usize = 4;

/// The shortest window for which only weeks of its own season count, in hours.
const SEASON_WINDOW_MIN: i64 = 24;

/// The share of a past window that may be unknown or no yardstick, one in so many hours.
const UNKNOWN_SHARE: i64 = 8;

/// Weeks that must have gone the same way, up or down.
const STEADY_STEPS: usize = 3;

/// A week that brings no more than this of the one before it declines.
const DECLINE_MAX: f64 = 0.9;

/// The least that is taken for a decline, week by week: an outage is none.
const DECLINE_MIN: f64 = 0.5;

/// Sales that the hours which count of a window ordinarily bring at least: those of the poorer quarter of a quarter of a year's
/// weeks; more where all of them grew, fewer where sales fall week by week. `None` while too few weeks are known.
pub(super) fn ordinary(
    hours: &Hours,
    past: Past<'_>,
    (end, len): (i64, i64),
    holiday_bps: i64,
    counts: impl Fn(&Hour) -> bool + Copy,
) -> Option<f64> {
    let start = end - len;
    let levels = levels(hours, past, start);
    let steps = steps(&levels);
    let growth = growth(&steps);
    let mut brought_up = 1.0;
    let mut weeks = Vec::new();
    // Hours of a fading season stray too far to be held against its weeks.
    let of_season = if len < SEASON_WINDOW_MIN {
        usize::MAX
    } else {
        season(&levels)
    };
    for week in (1..=WEEKS_BACK).take(of_season) {
        let back = week * WEEK;
        brought_up *= growth;
        if past.before(start, back) < past.known_from {
            break;
        }
        if let Some(sales) = sales_of(hours, past, (start, end, back), holiday_bps, counts) {
            weeks.push(sales * brought_up);
        }
    }
    if weeks.len() < KNOWN_MIN {
        return None;
    }
    let falling = decline(&steps);
    let falling = falling.and_then(|part| Some(weeks.first()? * part));
    weeks.sort_by(f64::total_cmp);
    let poor = weeks.get((weeks.len() - 1) / POOR_PART).copied()?;
    Some(poor.min(falling.unwrap_or(poor)))
}

/// Sales so many hours by the clock before the hours that count; `None` where too much of it is unknown.
fn sales_of(
    hours: &Hours,
    past: Past<'_>,
    (start, end, back): (i64, i64, i64),
    holiday_bps: i64,
    counts: impl Fn(&Hour) -> bool,
) -> Option<f64> {
    let (mut bps, mut counted, mut unknown) = (0_i64, 0, 0);
    for hour in (start..end).filter(|hour| counts(hours.hour(*hour))) {
        counted += 1;
        let Some(sales) = hours.calm(past.before(hour, back)) else {
            unknown += 1;
            continue;
        };
        let part = if past.holidays.has(hour) {
            holiday_bps
        } else {
            10_000
        };
        bps += i64::from(sales) * part;
    }
    (unknown * UNKNOWN_SHARE <= counted).then(|| as_sales(bps) / 10_000.0)
}

/// Sales an hour of each of the weeks before, the newest first, as far as they are known.
fn levels(hours: &Hours, past: Past<'_>, until: i64) -> Vec<f64> {
    let weeks = (1..=WEEKS_BACK).map_while(|week| {
        let from = until - week * WEEK;
        (from >= past.known_from).then(|| an_hour(hours, from))?
    });
    weeks.collect()
}

/// What each of the weeks is of the one before it, the newest first.
fn steps(levels: &[f64]) -> Vec<f64> {
    levels
        .windows(2)
        .map(|pair| pair[0] / pair[1].max(f64::MIN_POSITIVE))
        .collect()
}

/// How many of the weeks are of the season of now: all, unless the newest of them all brought clearly more than any before.
fn season(levels: &[f64]) -> usize {
    let is_season = |weeks: &usize| {
        let (new, old) = levels.split_at(*weeks);
        let most = old.iter().copied().fold(0.0, f64::max);
        let poor = new.iter().filter(|week| **week < most * SEASON_OVER);
        poor.count() <= 1
    };
    let season = (SEASON_WEEKS..levels.len()).find(is_season);
    season.filter(|_| is_steady(levels)).unwrap_or(usize::MAX)
}

/// Whether the newest weeks are much alike: a season that fades, or had a peak of its own, goes on to do so.
fn is_steady(levels: &[f64]) -> bool {
    let newest = levels.iter().take(STEADY_WEEKS).copied();
    let least = newest.clone().fold(f64::INFINITY, f64::min);
    newest.fold(0.0, f64::max) <= least * SEASON_OVER
}

/// By how much weeks grow where each known one brought more than the one before it: by the least of the steps. The rise to a
/// peak is none.
fn growth(steps: &[f64]) -> f64 {
    if steps.len() < STEADY_STEPS {
        return 1.0;
    }
    steps.iter().copied().fold(f64::INFINITY, f64::min).max(1.0)
}

/// What a week brings of the one before it, where each of the last brought a tenth less at least, as at the end of a season.
fn decline(steps: &[f64]) -> Option<f64> {
    let newest = steps.get(..STEADY_STEPS)?;
    let is_steady = newest.iter().all(|step| *step <= DECLINE_MAX);
    let product: f64 = newest.iter().product();
    is_steady.then(|| product.cbrt().max(DECLINE_MIN))
}

/// Sales an hour of the week that began then; `None` where most of it is unknown.
fn an_hour(hours: &Hours, from: i64) -> Option<f64> {
    let known = (from..from + WEEK).filter_map(|hour| hours.calm(hour));
    let (known, sales) = known.fold((0_i64, 0_i64), |(known, sum), sales| {
        (known + 1, sum + i64::from(sales))
    });
    (known * 2 > WEEK).then(|| as_sales(sales) / as_sales(known))
}

#[expect(clippy::cast_precision_loss, reason = "estimates of averages")]
fn as_sales(value: i64) -> f64 {
    value.max(0) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_before_a_steady_season_are_no_measure_and_one_that_fades_has_none_of_its_own() {
        let before = [40.0, 24.0, 24.0, 20.0];
        let levels = |newest: [f64; 4]| [&newest[..], &[144.0; 6], &before].concat();
        assert_eq!(season(&levels([144.0; 4])), 10);
        assert_eq!(season(&levels([130.0, 120.0, 144.0, 144.0])), 10);
        assert_eq!(season(&levels([60.0, 86.0, 110.0, 144.0])), usize::MAX);
        assert_eq!(season(&[144.0; 13]), usize::MAX, "no other season");
        assert_eq!(season(&[144.0; 9]), usize::MAX, "nothing was before it");
    }
}
