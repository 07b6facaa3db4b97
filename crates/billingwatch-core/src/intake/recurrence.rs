//! Whether a family of events comes week by week, as its [rhythm](super::rhythm) takes for granted.
//!
//! What is usual at an hour of the week says nothing where the week does not come again. Who bills
//! everybody on the 15th has invoices for a few days, then stray ones for a fortnight while failed
//! payments are tried again, then none until the next 15th: each month has several pauses of days,
//! and each of them is far beyond chance if minutes were independent.
//!
//! So it is kept of each day of the last two months whether it had any event of the family. A day
//! with events is *foreseen* if the same day of the week before had some as well. Who sells day by
//! day, on working days only or at weekends only has nearly all of them foreseen; who bills by the
//! calendar month has few, as a day of the month falls on another day of the week. Where fewer than
//! three of four are, the hours of the week count only for a pause half as long again as any of these
//! two months, and not before a whole month is known. What subscriptions foretell counts all the
//! time: it knows the day of the month.

use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;
use crate::time::{Span, Timestamp};

/// Days that are remembered, a bit each: two months, so two of the pauses from one billing day to the
/// next.
const DAYS: u32 = u64::BITS;

/// So many days must be known before the longest pause is: a month, and what it takes to see it end.
const CYCLE_DAYS: u32 = 35;

const WEEK: u32 = 7;

/// Of four days with events three are foreseen, where the week comes again.
const FORESEEN: (u32, u32) = (3, 4);

/// Days with events that must have been judged: a billing run may go on for three.
const JUDGED_MIN: u32 = 4;

/// No zone's midnight falls between two of these: the day is looked up once in each.
const QUARTER: Span = Span::minutes(15);

/// On which of the last days events were made.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Recurrence {
    /// The newest day that had events.
    newest: i64,
    /// Whether it had, and each day before it: the lowest bit is the newest.
    days: u64,
    /// Days from the first to the newest, [`DAYS`] at most.
    known: u32,
    /// The quarter of an hour of the newest event.
    quarter: Timestamp,
}

impl Recurrence {
    /// An event was made then.
    pub(super) fn take(&mut self, made_at: Timestamp, calendar: &Calendar) {
        let quarter = made_at.floor_to(QUARTER);
        if self.known > 0 && quarter == self.quarter {
            return;
        }
        self.quarter = quarter;
        let day = calendar.day(made_at);
        if self.known == 0 {
            (self.newest, self.days, self.known) = (day, 1, 1);
        } else if day > self.newest {
            let passed = u32::try_from(day.saturating_sub(self.newest)).unwrap_or(u32::MAX);
            self.newest = day;
            self.days = self.days.checked_shl(passed).unwrap_or(0) | 1;
            self.known = self.known.saturating_add(passed).min(DAYS);
        } else {
            // Part of a backlog.
            let ago = u32::try_from(self.newest.saturating_sub(day)).unwrap_or(u32::MAX);
            if ago < self.known {
                self.days |= 1 << ago;
            }
        }
    }

    /// Whether a pause so long can be judged by what is usual at the hours of the week.
    pub(super) fn is_judged_by_week(&self, pause: Span) -> bool {
        self.is_weekly() || (self.known >= CYCLE_DAYS && pause > self.longest_usual())
    }

    /// Whether most of the days with events had some a week before as well. In the first week it is
    /// the day before that is asked for.
    fn is_weekly(&self) -> bool {
        let week_known = newest_days(self.known.saturating_sub(WEEK));
        let first_week = if self.known <= 2 * WEEK {
            newest_days(self.known.saturating_sub(1)) & !week_known
        } else {
            0
        };
        let judged = self.days & (week_known | first_week);
        let foreseen = (self.days >> WEEK & week_known) | (self.days >> 1 & first_week);
        let (judged, foreseen) = (judged.count_ones(), (judged & foreseen).count_ones());
        judged >= JUDGED_MIN && foreseen * FORESEEN.1 >= judged * FORESEEN.0
    }

    /// Half as much again as the longest run of days without events, with the parts of days beside it
    /// taken for a day.
    fn longest_usual(&self) -> Span {
        let (mut longest, mut run) = (0, 0);
        for ago in 0..self.known {
            let has_events = self.days >> ago & 1 == 1;
            run = if has_events { 0 } else { run + 1 };
            longest = run.max(longest);
        }
        Span::hours(36 * (longest + 1))
    }
}

/// The bits of so many days.
const fn newest_days(count: u32) -> u64 {
    match count {
        DAYS.. => u64::MAX,
        _ => (1 << count) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events at noon of those of so many days that `has` says.
    fn of_days(days: i64, has: impl Fn(i64) -> bool) -> Recurrence {
        let mut recurrence = Recurrence::default();
        for day in (0..days).filter(|day| has(*day)) {
            let noon = Timestamp::EPOCH + Span::days(day) + Span::hours(12);
            recurrence.take(noon, &Calendar::utc());
        }
        recurrence
    }

    /// Who bills on the fifteenth, and tries again what failed.
    fn is_billed(day: i64) -> bool {
        [15, 16, 17, 21, 27].contains(&(day % 31))
    }

    #[test]
    fn the_week_comes_again_where_events_come_daily_or_on_some_days_of_it() {
        assert!(of_days(5, |_| true).is_weekly());
        for known in [14, 21, 40, 90] {
            assert!(of_days(known, |_| true).is_weekly());
            assert!(of_days(known, |day| day % 7 < 5).is_weekly(), "{known}");
        }
        assert!(of_days(40, |day| day % 7 > 4).is_weekly());
    }

    #[test]
    fn it_does_not_where_everybody_is_billed_on_one_day_of_the_month() {
        for known in 1..400 {
            assert!(!of_days(known, is_billed).is_weekly(), "{known}");
        }
    }

    #[test]
    fn a_week_without_events_hides_no_other() {
        assert!(of_days(60, |day| !(30..37).contains(&day)).is_weekly());
    }

    #[test]
    fn a_pause_is_judged_when_it_is_longer_than_any_of_two_months() {
        // From the 27th to the 15th are 18 days without any.
        let monthly = of_days(90, is_billed);
        assert!(!monthly.is_judged_by_week(Span::days(28)));
        assert!(monthly.is_judged_by_week(Span::days(29)));
        let first = of_days(31, is_billed);
        assert!(!first.is_judged_by_week(Span::days(300)));
        assert!(of_days(31, |_| true).is_judged_by_week(Span::minutes(30)));
    }

    #[test]
    fn a_backlog_fills_its_days() {
        let mut recurrence = of_days(40, |day| !(7..39).contains(&day));
        assert!(!recurrence.is_weekly());
        for day in 7..39 {
            recurrence.take(Timestamp::EPOCH + Span::days(day), &Calendar::utc());
        }
        assert!(recurrence.is_weekly());
        recurrence.take(Timestamp::EPOCH - Span::days(900), &Calendar::utc());
        recurrence.take(Timestamp::EPOCH + Span::days(9_000), &Calendar::utc());
        assert!(!recurrence.is_weekly());
    }
}
