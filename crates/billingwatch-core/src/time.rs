//! Instants and lengths of time as integers: milliseconds, UTC, saturating.
//!
//! Nothing here reads a clock: "now" always comes in as an argument.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, Sub};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// An instant, in milliseconds since 1970-01-01T00:00:00Z.
// Counted from the first millisecond that 64 bits can tell, and never zero: in that order instants
// compare, and an `Option` of one takes no more room than it. Millions of them are remembered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Timestamp(NonZeroU64);

/// Lies between a number with a sign and one without in the same order.
const SIGN: u64 = 1 << 63;

/// A length of time in milliseconds; may be negative.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Span(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self::from_millis(0);
    /// The farthest future.
    pub const MAX: Self = Self::from_millis(i64::MAX);

    /// From Unix seconds, as Stripe writes them; saturates.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self::from_millis(secs.saturating_mul(1000))
    }

    /// From Unix milliseconds; the very first of them counts as the second.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        match NonZeroU64::new(millis.cast_unsigned() ^ SIGN) {
            Some(count) => Self(count),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// Unix seconds, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.as_millis().div_euclid(1000)
    }

    /// Unix milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        (self.0.get() ^ SIGN).cast_signed()
    }

    /// How long after `earlier` this is; negative when it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.as_millis().saturating_sub(earlier.as_millis()))
    }

    /// The last multiple of `grid` at or before this instant.
    ///
    /// A grid of zero or less returns the instant itself.
    #[must_use]
    pub const fn floor_to(self, grid: Span) -> Self {
        if grid.0 <= 0 {
            return self;
        }
        Self::from_millis(self.as_millis().div_euclid(grid.0).saturating_mul(grid.0))
    }

    /// Days since 1970-01-01, in UTC: for what is the same wherever the merchant lives. Habits go by
    /// the local days of a [`Calendar`](crate::calendar::Calendar).
    #[must_use]
    pub const fn day(self) -> i64 {
        self.as_millis().div_euclid(86_400_000)
    }

    /// The same instant as a `chrono` date and time; `None` outside its range.
    #[must_use]
    pub fn to_utc(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.as_millis())
    }
}

impl Default for Timestamp {
    /// [`Timestamp::EPOCH`].
    fn default() -> Self {
        Self::EPOCH
    }
}

impl From<i64> for Timestamp {
    /// From Unix milliseconds.
    fn from(millis: i64) -> Self {
        Self::from_millis(millis)
    }
}

impl From<Timestamp> for i64 {
    /// Unix milliseconds.
    fn from(at: Timestamp) -> Self {
        at.as_millis()
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timestamp").field(&self.as_millis()).finish()
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// So many milliseconds.
    #[must_use]
    pub const fn millis(millis: i64) -> Self {
        Self(millis)
    }

    /// So many seconds; saturates.
    #[must_use]
    pub const fn secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// So many minutes; saturates.
    #[must_use]
    pub const fn minutes(minutes: i64) -> Self {
        Self::secs(minutes.saturating_mul(60))
    }

    /// So many hours; saturates.
    #[must_use]
    pub const fn hours(hours: i64) -> Self {
        Self::secs(hours.saturating_mul(3600))
    }

    /// So many days of 24 hours; saturates.
    #[must_use]
    pub const fn days(days: i64) -> Self {
        Self::secs(days.saturating_mul(86_400))
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self::from_millis(self.as_millis().saturating_add(span.0))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self::from_millis(self.as_millis().saturating_sub(span.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with milliseconds only where there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_utc() {
            Some(t) if self.as_millis() % 1000 == 0 => {
                f.write_str(&t.to_rfc3339_opts(SecondsFormat::Secs, true))
            }
            Some(t) => f.write_str(&t.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(f, "@{}ms", self.as_millis()),
        }
    }
}

impl fmt::Display for Span {
    /// The two largest units, such as `2d 4h`, `5m 30s` or `250ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, ms) = if self.0 < 0 {
            ("-", self.0.saturating_neg())
        } else {
            ("", self.0)
        };
        f.write_str(sign)?;
        if ms < 1000 {
            return write!(f, "{ms}ms");
        }
        let secs = ms / 1000;
        let parts = [
            (secs / 86_400, "d"),
            (secs / 3600 % 24, "h"),
            (secs / 60 % 60, "m"),
            (secs % 60, "s"),
        ];
        let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(3);
        let (n, unit) = parts[first];
        write!(f, "{n}{unit}")?;
        match parts.get(first + 1) {
            Some((n, unit)) if *n > 0 => write!(f, " {n}{unit}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn spans_show_their_two_largest_units() {
        let shown: Vec<String> = [
            Span::millis(250),
            Span::secs(75),
            Span::hours(27),
            Span::days(3),
            Span::secs(-90),
        ]
        .iter()
        .map(ToString::to_string)
        .collect();
        assert_eq!(shown, ["250ms", "1m 15s", "1d 3h", "3d", "-1m 30s"]);
    }

    #[test]
    fn extremes_saturate_and_still_display() {
        assert_eq!(
            Timestamp::from_secs(i64::MAX) + Span::days(1),
            Timestamp::MAX
        );
        assert_eq!(Timestamp::MAX.to_string(), format!("@{}ms", i64::MAX));
        assert_eq!(
            Timestamp::from_secs(-2_208_988_800).to_string(),
            "1900-01-01T00:00:00Z"
        );
    }

    #[test]
    fn instants_compare_as_their_milliseconds_and_an_option_of_one_is_no_larger() {
        let millis = [i64::MIN + 1, -1, 0, 1, 1_709_510_400_000, i64::MAX];
        assert!(millis.map(Timestamp::from_millis).is_sorted());
        assert_eq!(
            millis.map(|at| Timestamp::from_millis(at).as_millis()),
            millis
        );
        assert_eq!(
            Timestamp::from_millis(i64::MIN).as_millis(),
            i64::MIN + 1,
            "there is none before that"
        );
        assert_eq!(size_of::<Option<Timestamp>>(), size_of::<Timestamp>());
    }
}
