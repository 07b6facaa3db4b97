//! Days on which much of a country stays at home: ordinary sales are no yardstick for them.
//!
//! No weekday foretells them, some move with Easter, and a merchant sells in many countries at once. So this is no calendar of
//! any one of them: it knows, by the currency that is paid in, the days that most people there have off. On them sales are
//! held against a fraction of what is usual. An outage is still found, and so are prices that fell; that people stay away is not told.

use chrono::{Datelike, Days, NaiveDate, Weekday};

use crate::calendar::Calendar;
use crate::money::{Currency, share_bps};
use crate::time::{Span, Timestamp};

use super::hours::{HOUR, WINDOW_MAX};

/// Of usual sales, in basis points, the most and the least that must come on such a day. It is like the quietest day of the
/// merchant's week (load forecasts take it for a Sunday): who sells on Sundays as on Mondays has no more than a mild dip, and
/// offices, whose weekends are still, bring a fifth to a third on the quietest of holidays.
const USUAL_BPS_MAX: i64 = 5_000;
/// See [`USUAL_BPS_MAX`].
const USUAL_BPS_MIN: i64 = 2_500;

/// Hours looked back upon: the longest window, and what is learned late.
const HOURS: i64 = 128;

/// Which of the newest hours are part of a holiday.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holidays {
    end: i64,
    /// The lowest bit is the hour before the end.
    hours: u128,
    /// One of them is of the turn of the year.
    is_turn_of_year: bool,
}

const _: () = assert!(
    WINDOW_MAX <= HOURS,
    "windows are looked back upon as a whole"
);

/// Who has the same days off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Region {
    /// The United States.
    America,
    /// The countries of the euro and their neighbours.
    Europe,
    Britain,
    Japan,
    /// Elsewhere the turn of the year alone.
    Other,
}

impl Holidays {
    /// Those of the hours before `end`. In a merchant's own time zone they are its days; at UTC, the zone of those who named
    /// none, all those that are such a day somewhere in the region.
    pub(super) fn before(end: i64, currency: Currency, calendar: &Calendar) -> Self {
        let region = Region::of(currency);
        let (west, east) = if calendar.name() == "UTC" {
            region.hours_ahead()
        } else {
            let at = Timestamp::EPOCH + Span::hours(end);
            let ahead = calendar.offset_at(at).as_secs().div_euclid(HOUR.as_secs());
            (ahead, ahead)
        };
        let mut hours = 0;
        let mut is_turn_of_year = false;
        for day in (end - HOURS + west).div_euclid(24)..=(end + east).div_euclid(24) {
            if !region.is_off(day) {
                continue;
            }
            is_turn_of_year |= is_of_turn_of_year(day);
            let until = (day * 24 + 24 - west).min(end);
            for hour in (day * 24 - east).max(end - HOURS)..until {
                hours |= 1 << (end - 1 - hour);
            }
        }
        Self {
            end,
            hours,
            is_turn_of_year,
        }
    }

    /// What must come on them, in basis points of usual sales, of a merchant whose days of a week bring so much. At the turn of the
    /// year, after a season that raised what is usual, shops are as still as offices.
    pub(super) fn usual_bps(self, mut days: [i64; 7]) -> i64 {
        days.sort_unstable();
        let (quietest, middle) = (days[0], days[3]);
        if middle <= 0 || self.is_turn_of_year {
            return USUAL_BPS_MIN;
        }
        share_bps(quietest, middle).clamp(USUAL_BPS_MIN, USUAL_BPS_MAX)
    }

    /// Whether one of these hours is, from the first until before the second.
    pub(super) fn touch(self, from: i64, until: i64) -> bool {
        self.has_any() && (from..until).any(|hour| self.has(hour))
    }

    /// Whether there is one.
    pub(super) const fn has_any(self) -> bool {
        self.hours != 0
    }

    /// Whether an hour is one of them.
    pub(super) const fn has(self, hour: i64) -> bool {
        let back = self.end - 1 - hour;
        0 <= back && back < HOURS && self.hours >> back & 1 == 1
    }
}

impl Region {
    fn of(currency: Currency) -> Self {
        match currency.as_str() {
            "usd" => Self::America,
            "eur" | "chf" | "sek" | "nok" | "dkk" | "pln" | "czk" | "huf" => Self::Europe,
            "gbp" => Self::Britain,
            "jpy" => Self::Japan,
            _ => Self::Other,
        }
    }

    /// How far its clocks are ahead of UTC, in its west and its east.
    const fn hours_ahead(self) -> (i64, i64) {
        match self {
            Self::America => (-8, -4),
            Self::Europe => (0, 3),
            Self::Britain => (0, 1),
            Self::Japan => (9, 9),
            Self::Other => (-8, 9),
        }
    }

    /// Whether most people have this day off, counted in days since 1970.
    fn is_off(self, day: i64) -> bool {
        let Some(date) = date_of(day) else {
            return false;
        };
        let on = (date.month(), date.day());
        let is_monday = date.weekday() == Weekday::Mon;
        let is_turn_of_year = matches!(on, (12, 24..=26 | 31) | (1, 1));
        let after_easter =
            easter(date.year()).map(|easter| date.signed_duration_since(easter).num_days());
        is_turn_of_year
            || match self {
                // The days that nearly all have off. On the Friday after Thanksgiving offices are closed, and what shops sell
                // has nothing to do with ordinary weeks.
                Self::America => {
                    let is_thanksgiving = match date.weekday() {
                        Weekday::Thu => matches!(on, (11, 22..=28)),
                        Weekday::Fri => matches!(on, (11, 23..=29)),
                        _ => false,
                    };
                    is_thanksgiving
                        || on == (7, 4)
                        || is_monday && matches!(on, (5, 25..=31) | (9, 1..=7))
                }
                // Good Friday, Easter, Ascension, Whit Monday, Corpus Christi.
                Self::Europe => {
                    matches!(after_easter, Some(-2 | 0 | 1 | 39 | 50 | 60))
                        || matches!(on, (5, 1) | (8, 15) | (11, 1))
                }
                Self::Britain => {
                    matches!(after_easter, Some(-2 | 0 | 1))
                        || is_monday && matches!(on, (5, 1..=7 | 25..=31) | (8, 25..=31))
                }
                // New Year, Golden Week, and Obon, which is on no calendar.
                Self::Japan => {
                    matches!(
                        on,
                        (12, 29 | 30) | (1, 2 | 3) | (4, 29) | (5, 3..=6) | (8, 13..=16)
                    )
                }
                Self::Other => false,
            }
    }
}

/// Whether a day, counted in days since 1970, is one of those from Christmas Eve to the third of January.
fn is_of_turn_of_year(day: i64) -> bool {
    let date = date_of(day).map(|date| (date.month(), date.day()));
    matches!(date, Some((12, 24..) | (1, ..=3)))
}

/// The date of a day counted in days since 1970.
fn date_of(day: i64) -> Option<NaiveDate> {
    let days = Days::new(u64::try_from(day).ok()?);
    NaiveDate::from_ymd_opt(1970, 1, 1)?.checked_add_days(days)
}

/// Easter Sunday of a year, by the Gregorian computus (Meeus, Jones and Butcher).
fn easter(year: i32) -> Option<NaiveDate> {
    let (golden, century, of_century) = (year % 19, year / 100, year % 100);
    let moon_shift = (8 * century + 13) / 25;
    let epact = (19 * golden + century - century / 4 - moon_shift + 15) % 30;
    let to_sunday = (32 + 2 * (century % 4) + 2 * (of_century / 4) - epact - of_century % 4) % 7;
    let late = (golden + 11 * epact + 22 * to_sunday) / 451;
    let days = u32::try_from(epact + to_sunday - 7 * late + 114).ok()?;
    NaiveDate::from_ymd_opt(year, days / 31, days % 31 + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn date(year: i32, month: u32, day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(year, month, day).unwrap()
    }

    fn is_off(currency: &str, on: NaiveDate) -> bool {
        let day = on.signed_duration_since(date(1970, 1, 1)).num_days();
        Region::of(currency.parse().unwrap()).is_off(day)
    }

    #[test]
    fn easter_is_where_the_church_says() {
        let known = [
            (2000, 4, 23),
            (2008, 3, 23),
            (2019, 4, 21),
            (2024, 3, 31),
            (2025, 4, 20),
            (2038, 4, 25),
        ];
        for (year, month, day) in known {
            assert_eq!(easter(year), Some(date(year, month, day)));
        }
    }

    #[test]
    fn each_region_has_its_own_days_and_all_have_the_turn_of_the_year() {
        for (currency, year, month, day) in [
            ("usd", 2025, 11, 27),
            ("usd", 2025, 5, 26),
            ("usd", 2025, 9, 1),
            ("eur", 2025, 6, 9),
            ("eur", 2025, 6, 19),
            ("eur", 2025, 4, 18),
            ("gbp", 2025, 8, 25),
            ("jpy", 2025, 8, 14),
            ("brl", 2025, 12, 25),
        ] {
            assert!(
                is_off(currency, date(year, month, day)),
                "{currency} {month}-{day}"
            );
        }
        for (currency, year, month, day) in [
            ("usd", 2025, 11, 20),
            ("usd", 2025, 6, 9),
            ("usd", 2025, 5, 19),
            ("eur", 2025, 11, 27),
            ("gbp", 2025, 6, 19),
            ("jpy", 2025, 8, 20),
            ("brl", 2025, 12, 27),
        ] {
            assert!(
                !is_off(currency, date(year, month, day)),
                "{currency} {month}-{day}"
            );
        }
    }

    #[test]
    fn a_day_lasts_from_the_east_to_the_west_unless_the_zone_is_known() {
        let day = date(2025, 9, 1)
            .signed_duration_since(date(1970, 1, 1))
            .num_days()
            * 24;
        let usd = "usd".parse().unwrap();
        let of = |calendar: &Calendar| {
            let holidays = Holidays::before(day + 48, usd, calendar);
            let first = (day - 24..day + 48)
                .find(|hour| holidays.has(*hour))
                .unwrap();
            let last = (day - 24..day + 48)
                .rfind(|hour| holidays.has(*hour))
                .unwrap();
            (first - day, last + 1 - day)
        };
        assert_eq!(of(&Calendar::utc()), (4, 32));
        assert_eq!(of(&Calendar::of("America/Chicago").unwrap()), (5, 29));
    }
}
