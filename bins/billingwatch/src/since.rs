//! An instant as people write it on a command line.

use billingwatch_core::time::Timestamp;
use chrono::{DateTime, NaiveDate, NaiveTime};

use crate::exit::UsageError;

/// Reads `2026-03-01` (midnight UTC), `2026-03-01T12:00:00Z` or Unix seconds.
///
/// # Errors
/// When it is none of these.
pub(crate) fn parse(text: &str) -> Result<Timestamp, UsageError> {
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        let midnight = date.and_time(NaiveTime::MIN).and_utc();
        return Ok(Timestamp::from_millis(midnight.timestamp_millis()));
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(Timestamp::from_millis(instant.timestamp_millis()));
    }
    match text.parse::<u32>() {
        Ok(secs) => Ok(Timestamp::from_secs(i64::from(secs))),
        Err(_) => Err(UsageError(format!(
            "--since {text}: write a day (2026-03-01), an instant (2026-03-01T12:00:00Z) or Unix \
             seconds"
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn days_instants_and_seconds_are_read_and_nothing_else() {
        let secs = |text| parse(text).map(Timestamp::as_secs).ok();
        assert_eq!(secs("2024-03-05"), Some(1_709_596_800));
        assert_eq!(secs("2024-03-05T01:00:00+01:00"), Some(1_709_596_800));
        assert_eq!(secs("1709596800"), Some(1_709_596_800));
        for text in ["", "yesterday", "2024-13-01", "-5", "99999999999"] {
            assert_eq!(secs(text), None, "{text}");
        }
    }
}
