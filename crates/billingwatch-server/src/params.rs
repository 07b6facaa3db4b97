//! Reads what comes as text in queries and paths, and says how it should look when it does not.

use billingwatch_core::time::Timestamp;
use chrono::DateTime;

use crate::error::ApiError;

/// The longest id, name or word in a query, in bytes; Stripe's ids have at most 255.
const TEXT_BYTES_MAX: usize = 255;

/// A filter's value, within bounds.
pub(crate) fn text(name: &str, value: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(value) = value else {
        return Ok(None);
    };
    if value.is_empty() || value.len() > TEXT_BYTES_MAX {
        let message = format!("`{name}` must have from 1 to {TEXT_BYTES_MAX} bytes");
        return Err(ApiError::invalid_query(message));
    }
    Ok(Some(value.to_owned()))
}

/// An instant as RFC 3339 or in Unix seconds, whole ones.
pub(crate) fn instant(name: &str, value: Option<&str>) -> Result<Option<Timestamp>, ApiError> {
    let Some(value) = value else {
        return Ok(None);
    };
    read_instant(value).map(Some).ok_or_else(|| {
        ApiError::invalid_query(format!(
            "`{name}` must be an instant such as 2026-11-21T09:30:00Z, or Unix seconds"
        ))
    })
}

/// An instant in either of its forms; `None` for anything else.
pub(crate) fn read_instant(text: &str) -> Option<Timestamp> {
    let secs = text.parse::<i64>().map(Timestamp::from_secs).ok();
    secs.or_else(|| {
        let at = DateTime::parse_from_rfc3339(text).ok()?;
        Some(Timestamp::from_millis(at.timestamp_millis()))
    })
}

/// A value from outside as it may be repeated in a message: short, and without control characters.
pub(crate) fn shown(value: &str) -> String {
    value.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_come_in_two_forms() {
        let read = |value| instant("since", Some(value)).ok().flatten();
        assert_eq!(
            read("1700000000"),
            Some(Timestamp::from_secs(1_700_000_000))
        );
        assert_eq!(
            read("2023-11-14T22:13:20.250Z"),
            Some(Timestamp::from_millis(1_700_000_000_250))
        );
        assert_eq!(
            read("2023-11-14T23:13:20+01:00"),
            Some(Timestamp::from_secs(1_700_000_000))
        );
        for wrong in ["", "yesterday", "2023-11-14", "1e9", "99999999999999999999"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
