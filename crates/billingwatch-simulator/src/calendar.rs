//! Dates: periods by the day and the month, and when in the week, month and year people buy.

use chrono::{DateTime, Datelike as _, Months, Timelike as _, Utc};

/// Seconds in a day.
pub(crate) const DAY: i64 = 86_400;
/// Seconds in an hour.
pub(crate) const HOUR: i64 = 3_600;

fn date(at: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(at, 0).unwrap_or(DateTime::UNIX_EPOCH)
}

/// `months` after `at`, on the same day of the month or the month's last (the 31st becomes the 30th).
pub(crate) fn add_months(at: i64, months: u32) -> i64 {
    date(at)
        .checked_add_months(Months::new(months))
        .map_or(at, |later| later.timestamp())
}

/// `months` before `at`, by the same rule.
pub(crate) fn sub_months(at: i64, months: u32) -> i64 {
    date(at)
        .checked_sub_months(Months::new(months))
        .map_or(at, |earlier| earlier.timestamp())
}

/// The same time of day on the first of the month that follows.
pub(crate) fn next_first_of_month(at: i64) -> i64 {
    let day = i64::from(date(at).day0());
    add_months(at - day * DAY, 1)
}

/// The first instant after `at` that is this hour (UTC) of this day of a month; days up to the 28th exist in each.
pub(crate) fn next_day_of_month(at: i64, day: i64, hour: i64) -> i64 {
    let first = at.div_euclid(DAY) * DAY - i64::from(date(at).day0()) * DAY;
    let here = first + (day - 1) * DAY + hour * HOUR;
    if here > at { here } else { add_months(here, 1) }
}

/// How long a period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interval {
    Days(u32),
    Months(u32),
}

impl Interval {
    pub(crate) const MONTH: Self = Self::Months(1);
    pub(crate) const YEAR: Self = Self::Months(12);

    /// `count` periods after `at`.
    pub(crate) fn after(self, at: i64, count: u32) -> i64 {
        match self {
            Self::Days(days) => at + i64::from(days) * i64::from(count) * DAY,
            Self::Months(months) => add_months(at, months * count),
        }
    }

    /// `count` periods before `at`.
    pub(crate) fn before(self, at: i64, count: u32) -> i64 {
        match self {
            Self::Days(days) => at - i64::from(days) * i64::from(count) * DAY,
            Self::Months(months) => sub_months(at, months * count),
        }
    }

    /// About how many days it has; a month counts as 30.
    pub(crate) const fn days(self) -> i64 {
        match self {
            Self::Days(days) => days as i64,
            Self::Months(months) => months as i64 * 30,
        }
    }

    /// `recurring.interval` and `recurring.interval_count`, in the largest unit that fits.
    pub(crate) fn as_stripe(self) -> (&'static str, i64) {
        let (unit, count) = match self {
            Self::Days(days) if days % 7 == 0 => ("week", days / 7),
            Self::Days(days) => ("day", days),
            Self::Months(months) if months % 12 == 0 => ("year", months / 12),
            Self::Months(months) => ("month", months),
        };
        (unit, i64::from(count))
    }
}

/// A year without seasons.
pub(crate) const EVEN_YEAR: [i64; 12] = [1_000; 12];

/// When people buy: tables of weights, each about 1,000 on average.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    /// By the local hour.
    pub(crate) hours: &'static [i64; 24],
    /// By weekday, Monday first.
    pub(crate) weekdays: &'static [i64; 7],
    /// On the first three days of a month; other days weigh 1,000.
    pub(crate) month_start: i64,
    /// By month of the year, January first.
    pub(crate) months: &'static [i64; 12],
    /// Local time less UTC, in hours.
    pub(crate) utc_offset_hours: i64,
}

impl Rhythm {
    /// The weight of an instant, in millionths.
    pub(crate) fn weight_ppm(&self, at: i64) -> i64 {
        let local = date(at + self.utc_offset_hours * HOUR);
        let hour = usize::try_from(local.hour())
            .ok()
            .and_then(|h| self.hours.get(h));
        let weekday = usize::try_from(local.weekday().num_days_from_monday())
            .ok()
            .and_then(|d| self.weekdays.get(d));
        let month = if local.day() <= 3 {
            self.month_start
        } else {
            1_000
        };
        let season = usize::try_from(local.month0())
            .ok()
            .and_then(|m| self.months.get(m));
        let in_month = hour.copied().unwrap_or(1_000) * weekday.copied().unwrap_or(1_000) / 1_000;
        in_month * month * season.copied().unwrap_or(1_000) / 1_000
    }

    /// The largest weight there is, in millionths.
    pub(crate) fn max_ppm(&self) -> i64 {
        let hour = self.hours.iter().copied().max().unwrap_or(1_000);
        let weekday = self.weekdays.iter().copied().max().unwrap_or(1_000);
        let season = self.months.iter().copied().max().unwrap_or(1_000);
        hour * weekday / 1_000 * self.month_start.max(1_000) * season / 1_000
    }

    /// The first instant after `at` (unix seconds) that is this full hour on the merchant's clock.
    pub(crate) fn next_local_hour(&self, at: i64, hour: i64) -> i64 {
        let offset = (hour - self.utc_offset_hours) * HOUR;
        (at - offset).div_euclid(DAY) * DAY + DAY + offset
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, EVEN_YEAR, HOUR, Interval, Rhythm};
    use super::{add_months, next_day_of_month, next_first_of_month, sub_months};

    /// 2024-01-31T12:00:00Z.
    const LAST_OF_JANUARY: i64 = 1_706_702_400;

    #[test]
    fn months_end_where_they_must() {
        assert_eq!(
            add_months(LAST_OF_JANUARY, 1),
            1_709_208_000,
            "29 February 2024, noon"
        );
        assert_eq!(
            add_months(LAST_OF_JANUARY, 2),
            1_711_886_400,
            "31 March 2024, noon"
        );
        assert_eq!(
            sub_months(LAST_OF_JANUARY, 2),
            1_701_345_600,
            "30 November 2023, noon"
        );
        assert_eq!(
            next_first_of_month(LAST_OF_JANUARY),
            1_706_788_800,
            "1 February 2024, noon"
        );
        assert_eq!(
            next_day_of_month(LAST_OF_JANUARY, 15, 11),
            LAST_OF_JANUARY + 15 * DAY - HOUR,
            "15 February 2024, eleven"
        );
        let run = LAST_OF_JANUARY + 15 * DAY - HOUR;
        assert_eq!(next_day_of_month(run - 1, 15, 11), run);
        assert_eq!(
            next_day_of_month(run, 15, 11),
            run + 29 * DAY,
            "after, not at"
        );
    }

    #[test]
    fn periods_are_counted_in_the_largest_unit() {
        let noon = LAST_OF_JANUARY;
        for (interval, told, length) in [
            (Interval::Days(1), ("day", 1), DAY),
            (Interval::Days(10), ("day", 10), 10 * DAY),
            (Interval::Days(7), ("week", 1), 7 * DAY),
            (Interval::Days(28), ("week", 4), 28 * DAY),
            (Interval::MONTH, ("month", 1), 29 * DAY),
            (Interval::Months(3), ("month", 3), 90 * DAY),
            (Interval::YEAR, ("year", 1), 366 * DAY),
        ] {
            assert_eq!(interval.as_stripe(), told);
            assert_eq!(interval.after(noon, 1) - noon, length, "{interval:?}");
        }
        assert_eq!(Interval::Days(7).before(noon, 3), noon - 21 * DAY);
        assert_eq!(Interval::MONTH.before(noon, 2), sub_months(noon, 2));
    }

    #[test]
    fn seasons_and_local_hours() {
        const WINTER: [i64; 12] = [
            2_500, 2_000, 1_000, 500, 0, 0, 0, 0, 500, 1_000, 2_000, 2_500,
        ];
        let mut rhythm = Rhythm {
            hours: &[1_000; 24],
            weekdays: &[1_000; 7],
            month_start: 1_500,
            months: &WINTER,
            utc_offset_hours: -7,
        };
        assert_eq!(rhythm.weight_ppm(LAST_OF_JANUARY), 2_500_000);
        assert_eq!(rhythm.weight_ppm(LAST_OF_JANUARY + DAY), 3_000_000);
        assert_eq!(rhythm.max_ppm(), 3_750_000);
        // Noon in UTC is five in the morning there.
        let three = rhythm.next_local_hour(LAST_OF_JANUARY, 3);
        assert_eq!(three, LAST_OF_JANUARY + 22 * HOUR);
        assert_eq!(
            rhythm.next_local_hour(three, 3),
            three + DAY,
            "after, not at"
        );
        rhythm.months = &EVEN_YEAR;
        assert_eq!(rhythm.weight_ppm(LAST_OF_JANUARY), 1_000_000);
    }
}
