//! Counts by the hour, of the last weeks.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Hours that are remembered: two days, and the four weeks before each of their hours.
pub(super) const HOURS: i64 = 30 * 24;

/// Counts by the hour, the newest last.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Hourly {
    counts: VecDeque<u16>,
    /// The hour after the newest.
    end: i64,
}

impl Hourly {
    /// One more in this hour, unless it is too long ago.
    #[inline]
    pub(super) fn note(&mut self, hour: i64) {
        // Nearly always the newest.
        if hour + 1 == self.end
            && let Some(count) = self.counts.back_mut()
        {
            *count = count.saturating_add(1);
        } else {
            self.note_at(hour);
        }
    }

    fn note_at(&mut self, hour: i64) {
        self.advance_to(hour + 1);
        let age = usize::try_from(self.end - hour).unwrap_or(usize::MAX);
        let place = self.counts.len().checked_sub(age);
        if let Some(count) = place.and_then(|place| self.counts.get_mut(place)) {
            *count = count.saturating_add(1);
        }
    }

    /// Hours without any, up to this one.
    pub(super) fn advance_to(&mut self, end: i64) {
        if self.counts.is_empty() || end - self.end > HOURS {
            self.counts.clear();
            self.end = end - 1;
        }
        while self.end < end {
            self.counts.push_back(0);
            self.end += 1;
        }
        while i64::try_from(self.counts.len()).is_ok_and(|len| len > HOURS) {
            self.counts.pop_front();
        }
    }

    /// The hour after the newest.
    pub(super) const fn end(&self) -> i64 {
        self.end
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// The count of so many hours before `end`, added up for this question alone.
    pub(super) fn count(&self, end: i64, hours: i64) -> i64 {
        let place = |hour: i64| {
            let back = usize::try_from(self.end - hour).unwrap_or(0);
            self.counts.len().saturating_sub(back)
        };
        let counts = self.counts.range(place(end - hours)..place(end));
        counts.map(|count| i64::from(*count)).sum()
    }

    /// Added up, for windows.
    pub(super) fn sums(&self) -> Sums {
        let mut sum = 0;
        let mut sums = Vec::with_capacity(self.counts.len() + 1);
        sums.push(0);
        sums.extend(self.counts.iter().map(|count| {
            sum += i64::from(*count);
            sum
        }));
        Sums {
            sums,
            end: self.end,
        }
    }
}

/// Counts added up.
#[derive(Debug)]
pub(super) struct Sums {
    /// Before each hour, and before the one after the newest.
    sums: Vec<i64>,
    end: i64,
}

impl Sums {
    /// The count of so many hours before `end`; what is not remembered had none.
    pub(super) fn window(&self, end: i64, hours: i64) -> i64 {
        self.before(end) - self.before(end - hours)
    }

    /// The count of all hours.
    pub(super) fn total(&self) -> i64 {
        self.sums.last().copied().unwrap_or_default()
    }

    /// Whether this hour is remembered.
    pub(super) fn knows(&self, hour: i64) -> bool {
        hour > self.end - self.len()
    }

    fn len(&self) -> i64 {
        i64::try_from(self.sums.len()).unwrap_or(i64::MAX) - 1
    }

    fn before(&self, hour: i64) -> i64 {
        let place = (hour - self.end + self.len()).clamp(0, self.len());
        let place = usize::try_from(place).unwrap_or_default();
        self.sums.get(place).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_count_what_was_noted_in_any_order() {
        let mut hourly = Hourly::default();
        for hour in [100, 103, 101, 103, 40] {
            hourly.note(hour);
        }
        hourly.advance_to(106);
        let sums = hourly.sums();
        // Nothing from before the first hour is kept.
        let windows = [
            (106, 6, 4),
            (106, 2, 0),
            (104, 1, 2),
            (102, 2, 2),
            (106, 99, 4),
            (90, 9, 0),
        ];
        for (end, hours, count) in windows {
            assert_eq!(sums.window(end, hours), count, "{hours} h before {end}");
            assert_eq!(hourly.count(end, hours), count, "{hours} h before {end}");
        }
        assert!(sums.knows(101) && !sums.knows(100));
        hourly.advance_to(106 + HOURS);
        assert!(hourly.is_empty() && hourly.counts.len() == usize::try_from(HOURS).unwrap_or(0));
        hourly.note(10_000);
        assert_eq!(
            (hourly.counts.len(), hourly.sums().window(10_001, 9)),
            (1, 1)
        );
    }
}
