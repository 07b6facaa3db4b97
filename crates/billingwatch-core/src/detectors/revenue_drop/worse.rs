//! A loss that becomes clearly worse while it is told already.
//!
//! What stands open hides whatever comes next: a season that ends low is told, and then the checkout breaks. So what newer hours
//! bring is held against what the loss left until then. It is asked for hours after it was told alone: how large a loss is, its
//! first half a day says.

use super::super::words::as_f64;
use super::Settings;
use super::currency::{SHIFTS, chance_max};
use super::gap::{Gap, Habits};
use super::hours::{Hours, WINDOW_MAX};
use super::usual::Past;
use crate::stats::negative_binomial_head;

/// Windows that may be worse, in hours.
const WORSE_WINDOWS: [i64; 3] = [6, 12, 24];

/// Hours that show what a loss leaves.
const LEFT_HOURS_MIN: i64 = 12;

/// Of what it left, what may still come.
const WORSE_PART: f64 = 0.5;

/// Renewals that go on while something else is lost: of a hundred, so many are asked for. In basis points of those that are not.
const ASKED_BPS_MAX: i64 = 1_000;

/// Since when a loss is worse than what it was from one hour on, if it is by now; only hours from `found` on may say so.
pub(super) fn worse_since(
    habits: &Habits,
    (hours, past): (&Hours, Past<'_>),
    (began, found, end): (i64, i64, i64),
    settings: &Settings,
) -> Option<i64> {
    let is_worse = |len: &i64| {
        let start = end - len;
        if start < found || start - began < LEFT_HOURS_MIN {
            return false;
        }
        let gap = |end: i64, len: i64, by: i64| habits.gap(hours, past, (end, len, by), false);
        let before = gap(start, (start - began).min(WINDOW_MAX), 0);
        let now = gap(end, *len, 0);
        let have_fallen = |now: &Gap| have_sales_fallen(habits, &before, now, settings);
        have_renewals_stopped(habits, &before, &now, settings)
            || have_fallen(&now) && SHIFTS.iter().all(|by| have_fallen(&gap(end, *len, *by)))
    };
    WORSE_WINDOWS
        .iter()
        .find(|len| is_worse(len))
        .map(|len| end - len)
}

/// Whether sales are clearly fewer than those that the loss left.
fn have_sales_fallen(habits: &Habits, before: &Gap, now: &Gap, settings: &Settings) -> bool {
    if before.sales_expected < 1.0 || now.sales_expected < 1.0 {
        return false;
    }
    let left = (as_f64(before.sales) / before.sales_expected).min(1.0);
    let expected = now.sales_expected * left;
    let came = as_f64(now.sales);
    let more_lost = (expected - came) / now.sales_expected;
    let drop_min = as_f64(settings.drop_bps_min.unsigned_abs()) / 10_000.0;
    if came > expected * WORSE_PART || more_lost < drop_min {
        return false;
    }
    let stray = habits.stray(now.hours) + 1.0 / as_f64(before.sales.max(1));
    let chance = negative_binomial_head(now.sales, expected, stray);
    chance * looks(now.hours) <= chance_max(settings)
}

/// Whether renewals that were asked for all the while are not any more.
fn have_renewals_stopped(habits: &Habits, before: &Gap, now: &Gap, settings: &Settings) -> bool {
    let are_asked = before.lost_bps().0 < ASKED_BPS_MAX;
    let lost = now.expected.saturating_sub(now.collected);
    are_asked
        && now.lost_bps().0 > settings.drop_bps_min
        && now.silent_amount > lost / 2
        && habits.renewals_chance(now) * looks(now.hours) <= chance_max(settings)
}

/// How many windows of this length a day has.
fn looks(hours: i64) -> f64 {
    (24.0 / as_f64(hours.unsigned_abs().max(1))).max(1.0)
}
