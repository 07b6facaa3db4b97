//! What was ordinary before a peak.
//!
//! A season, a campaign or Christmas lasts longer than the weeks that say what is usual; when it is over, what comes in is
//! far below that, and nothing is wrong. So what is missing must be missing against a longer past as well: a quarter of a
//! year, its weeks as they were, and not brought up to the level of now, unless each of them brought more than the one before it.

use super::hours::{Hour, Hours, WEEK};
use super::usual::Past;

/// Weeks that are looked back upon: Christmas trade and ski seasons last for six to nine, and what was before them must be
/// more than a few of them.
const WEEKS_BACK: i64 = 13;

/// Weeks that must be known.
const KNOWN_MIN: usize = 3;

/// Of these weeks, the place of the poor one that is still ordinary: a quarter of them are poorer.
const POOR_PART: usize = 4;

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
    let steps = steps(hours, past, start);
    let growth = growth(&steps);
    let mut brought_up = 1.0;
    let mut weeks = Vec::new();
    for week in 1..=WEEKS_BACK {
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
    for hour in (start..end).filter(|hour| counts(&hours.hour(*hour))) {
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

/// What each of the weeks before is of the one before it, the newest first, as far as they are known.
fn steps(hours: &Hours, past: Past<'_>, until: i64) -> Vec<f64> {
    let weeks = (1..=WEEKS_BACK).map_while(|week| {
        let from = until - week * WEEK;
        (from >= past.known_from).then(|| an_hour(hours, from))?
    });
    let weeks: Vec<f64> = weeks.collect();
    weeks
        .windows(2)
        .map(|pair| pair[0] / pair[1].max(f64::MIN_POSITIVE))
        .collect()
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
