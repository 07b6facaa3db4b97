//! Clocks that were put forward or back of late, where nobody said which clocks the merchant lives by.
//!
//! With the zone left at UTC, a shop that closes at eleven closes an hour sooner or later by its record
//! from the day summer time begins or ends, until two weeks have shown it. Where its customers live is
//! not known, so what is to be expected of an hour is, for those two weeks, no more than what was to be
//! expected of it by the clocks of any of the places that changed theirs.
//!
//! Where the zone is named, sales follow its clocks, and renewals do not: Stripe makes a period's invoice
//! at the same instant of UTC all year round. By the merchant's clocks these come an hour sooner or later.

use std::cell::RefCell;
use std::sync::LazyLock;

use crate::calendar::Calendar;
use crate::time::{Span, Timestamp};

/// So long after a change the record of an hour of the week still is of the clocks before it: by then
/// two of its weeks are not, and no more is expected than the second quietest makes plausible.
const LEARNED: Span = Span::days(15);

/// Who puts clocks forward and back together with most of the others who do: Europe, North America, the
/// south of Australia, New Zealand and Chile.
const PLACES: [&str; 5] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Sydney",
    "Pacific/Auckland",
    "America/Santiago",
];

static ZONES: LazyLock<Vec<Calendar>> = LazyLock::new(|| {
    let zones = PLACES.into_iter();
    zones.filter_map(|name| Calendar::of(name).ok()).collect()
});

thread_local! {
    /// The answer that was given last: several rhythms ask for the same hour, one after the other.
    static NEWEST: RefCell<(Option<Timestamp>, Vec<Span>)> = const { RefCell::new((None, Vec::new())) };
}

/// How much later, by whatever an hour's events go, they came before the clocks were changed: by the merchant's own clocks, or,
/// where nobody named them, by those of others.
pub(super) fn others(calendar: &Calendar, at: Timestamp) -> Vec<Span> {
    if *calendar == Calendar::utc() {
        return NEWEST.with_borrow_mut(|(newest, known)| {
            if *newest != Some(at) {
                (*newest, *known) = (Some(at), shifts(at));
            }
            known.clone()
        });
    }
    let own = Span::secs(-shift(calendar, at).as_secs());
    (own != Span::ZERO).then_some(own).into_iter().collect()
}

/// How far the clocks of a place were put forward, or back, in the two weeks before.
fn shift(zone: &Calendar, at: Timestamp) -> Span {
    let before = zone.offset_at(at - LEARNED).as_secs();
    Span::secs(zone.offset_at(at).as_secs() - before)
}

/// How far the clocks of some places were put forward (or back, below zero) in the two weeks before; by
/// UTC, what came at that much later an hour before comes at this hour now.
fn shifts(at: Timestamp) -> Vec<Span> {
    let shifts = ZONES.iter().map(|zone| shift(zone, at));
    let mut shifts: Vec<Span> = shifts.filter(|shift| *shift != Span::secs(0)).collect();
    shifts.sort_unstable();
    shifts.dedup();
    shifts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_weeks_after_a_change_of_clocks_somewhere_an_hour_is_asked_about() {
        let hours = |date: &str| {
            let at: jiff::Timestamp = format!("{date}T12:00:00Z").parse().unwrap();
            let at = Timestamp::from_secs(at.as_second());
            let shifts = shifts(at).into_iter();
            shifts
                .map(|shift| shift.as_secs() / 3_600)
                .collect::<Vec<_>>()
        };
        assert_eq!(hours("2026-02-20"), [0; 0]);
        // North America, then Europe, then the south.
        assert_eq!(hours("2026-03-10"), [1]);
        assert_eq!(hours("2026-03-28"), [0; 0]);
        assert_eq!(hours("2026-03-30"), [1]);
        assert_eq!(hours("2026-04-11"), [-1, 1]);
        assert_eq!(hours("2026-05-01"), [0; 0]);
        assert_eq!(hours("2026-10-27"), [-1]);
        assert_eq!(hours("2026-12-01"), [0; 0]);
    }

    #[test]
    fn renewals_come_an_hour_later_by_clocks_that_were_put_forward() {
        let berlin = Calendar::of("Europe/Berlin").unwrap();
        let at = Timestamp::from_secs(1_774_872_000);
        assert_eq!(others(&berlin, at), [Span::hours(-1)]);
        assert_eq!(others(&berlin, at + Span::days(30)), [Span::ZERO; 0]);
        assert_eq!(
            others(&Calendar::of("Asia/Kolkata").unwrap(), at),
            [Span::ZERO; 0]
        );
    }
}
