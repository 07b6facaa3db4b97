//! Dates: renewals by the month, and when in the week and month people buy.

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

/// When people buy: three tables of weights, each about 1,000 on average.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    /// By the local hour.
    pub(crate) hours: &'static [i64; 24],
    /// By weekday, Monday first.
    pub(crate) weekdays: &'static [i64; 7],
    /// On the first three days of a month; other days weigh 1,000.
    pub(crate) month_start: i64,
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
        hour.copied().unwrap_or(1_000) * weekday.copied().unwrap_or(1_000) / 1_000 * month
    }

    /// The largest weight there is, in millionths.
    pub(crate) fn max_ppm(&self) -> i64 {
        let hour = self.hours.iter().copied().max().unwrap_or(1_000);
        let weekday = self.weekdays.iter().copied().max().unwrap_or(1_000);
        hour * weekday / 1_000 * self.month_start.max(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::{add_months, next_first_of_month, sub_months};

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
    }
}
