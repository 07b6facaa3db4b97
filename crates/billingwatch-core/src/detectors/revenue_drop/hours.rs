//! One currency's money by the hour, for as many weeks as what is usual is learned from.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::money::share_bps;
use crate::time::{Span, Timestamp};

use super::dues::{Booking, Outcome};

/// An hour.
pub(super) const HOUR: Span = Span::hours(1);

/// Hours of a week.
pub(super) const WEEK: i64 = 168;

/// Weeks that say what is usual.
pub(super) const WEEKS: i64 = 6;
/// The same as a length.
pub(super) const WEEKS_MAX: usize = 6;

/// The longest window judged.
pub(super) const WINDOW_MAX: i64 = 72;

/// Hours kept: the weeks, a further one that shows their trend, and the longest window.
const HOURS_MAX: i64 = (WEEKS + 1) * WEEK + WINDOW_MAX + 6;

/// Hours of which no more than the number of sales is kept, before those: with them a quarter of a year.
const OLDER_MAX: i64 = 7 * WEEK;

/// One hour.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Hour {
    /// Foretold payments whose time was over in it.
    pub(super) due: i32,
    pub(super) paid: i32,
    /// Those that nobody asks for: not even an invoice was finalised.
    pub(super) silent: i32,
    pub(super) due_amount: i64,
    pub(super) silent_amount: i64,
    /// Foretold payments that discounts make smaller, each by its part, in basis points; and by how much.
    pub(super) given_bps: i64,
    pub(super) given_amount: i64,
    /// What discounts take off beyond the price that was foretold, new or not, likewise.
    pub(super) off_bps: i64,
    /// Foretold payments that invoices ask less for than their price: how many, by which part of each in basis points,
    /// and by how much.
    pub(super) short: i32,
    pub(super) short_bps: i64,
    pub(super) short_amount: i64,
    /// Payments that no subscription foretold.
    pub(super) sales: i32,
    pub(super) sales_amount: i64,
    /// Part of an incident: no yardstick.
    pub(super) is_incident: bool,
}

impl Hour {
    const EMPTY: Self = Self {
        due: 0,
        paid: 0,
        silent: 0,
        due_amount: 0,
        silent_amount: 0,
        given_bps: 0,
        given_amount: 0,
        off_bps: 0,
        short: 0,
        short_bps: 0,
        short_amount: 0,
        sales: 0,
        sales_amount: 0,
        is_incident: false,
    };
}

impl Default for Hour {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// One currency's hours, without gaps.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Hours {
    hours: VecDeque<Hour>,
    /// Hours since 1970 of the first.
    first: i64,
    /// Sales of the hours before the first, [`OLDER_MAX`] at most; `None` where they are no yardstick.
    older: VecDeque<Option<i32>>,
    /// What came before each hour and before the end; empty once anything changed.
    #[serde(skip)]
    sums: Vec<Sums>,
}

/// What hours hold together.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    sales: i64,
    incidents: i64,
    /// Of the sales; no sum of so few hours is beyond it.
    amount: i128,
}

/// The hour an instant is in, since 1970.
pub(super) const fn hour_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(HOUR.as_millis())
}

impl Hours {
    /// A payment came in, or is taken back.
    pub(super) fn sale(&mut self, at: Timestamp, amount: i64, count: i32) {
        if let Some(hour) = self.hour_mut(hour_of(at)) {
            hour.sales = hour.sales.saturating_add(count);
            hour.sales_amount = hour.sales_amount.saturating_add(amount);
        }
    }

    /// The time of a foretold payment is over, or what was booked of it is taken back.
    pub(super) fn book(&mut self, booking: &Booking) {
        let Some(hour) = self.hour_mut(hour_of(booking.at)) else {
            return;
        };
        let amount = booking.amount.saturating_mul(i64::from(booking.sign));
        hour.due = hour.due.saturating_add(booking.sign);
        hour.due_amount = hour.due_amount.saturating_add(amount);
        let given = booking.given.saturating_mul(i64::from(booking.sign));
        hour.given_amount = hour.given_amount.saturating_add(given);
        hour.given_bps += share_bps(given, booking.amount);
        let off = booking.off.saturating_mul(i64::from(booking.sign));
        hour.off_bps += share_bps(off, booking.amount);
        if booking.short > 0 {
            let short = booking.short.saturating_mul(i64::from(booking.sign));
            hour.short = hour.short.saturating_add(booking.sign);
            hour.short_amount = hour.short_amount.saturating_add(short);
            hour.short_bps += share_bps(short, booking.amount);
        }
        match booking.outcome {
            Outcome::Paid => hour.paid = hour.paid.saturating_add(booking.sign),
            Outcome::Silent => {
                hour.silent = hour.silent.saturating_add(booking.sign);
                hour.silent_amount = hour.silent_amount.saturating_add(amount);
            }
            Outcome::Asked => {}
        }
    }

    /// Marks hours as part of an incident.
    pub(super) fn mark(&mut self, from: i64, until: i64) {
        for hour in from.max(until - WINDOW_MAX)..until {
            if let Some(hour) = self.hour_mut(hour) {
                hour.is_incident = true;
            }
        }
    }

    /// An hour; an empty one where nothing is known.
    pub(super) fn hour(&self, hour: i64) -> &Hour {
        const EMPTY: &Hour = &Hour::EMPTY;
        let index = usize::try_from(hour - self.first).ok();
        let known = index.and_then(|index| self.hours.get(index));
        known.unwrap_or(EMPTY)
    }

    /// Adds the hours up, for as long as nothing changes: looks at weeks need not do so again and again.
    pub(super) fn add_up(&mut self) {
        if !self.sums.is_empty() {
            return;
        }
        let mut sum = Sums::default();
        self.sums.push(sum);
        self.sums.extend(self.hours.iter().map(|hour| {
            sum.sales += i64::from(hour.sales);
            sum.incidents += i64::from(hour.is_incident);
            sum.amount += i128::from(hour.sales_amount);
            sum
        }));
    }

    /// Sales of the hours from one to before another; `None` where one of them is part of an incident,
    /// and while they are not added up.
    pub(super) fn calm_sales(&self, from: i64, until: i64) -> Option<i64> {
        let (before, all) = (self.before(from)?, self.before(until)?);
        (all.incidents == before.incidents).then(|| all.sales - before.sales)
    }

    /// Sales of the hours from one to before another, and their amount; `None` while they are not added up.
    pub(super) fn sold(&self, from: i64, until: i64) -> Option<(i64, i64)> {
        let (before, all) = (self.before(from)?, self.before(until)?);
        let amount = all.amount - before.amount;
        let amount = i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX });
        Some((all.sales - before.sales, amount))
    }

    fn before(&self, hour: i64) -> Option<&Sums> {
        let place = usize::try_from((hour - self.first).max(0)).ok()?;
        self.sums.get(place.min(self.hours.len()))
    }

    /// Sales of an hour, of up to a quarter of a year ago; `None` where it is part of an incident or not known.
    pub(super) fn calm(&self, hour: i64) -> Option<i32> {
        if hour >= self.first {
            let index = usize::try_from(hour - self.first).ok()?;
            let hour = self.hours.get(index)?;
            return (!hour.is_incident).then_some(hour.sales);
        }
        let index = usize::try_from(self.first - 1 - hour).ok()?;
        let index = self.older.len().checked_sub(index + 1)?;
        *self.older.get(index)?
    }

    /// The oldest hour of which anything is known, as long as nothing older was forgotten: a currency that is new was not sold in
    /// before.
    pub(super) fn since(&self) -> Option<i64> {
        let older = i64::try_from(self.older.len()).unwrap_or_default();
        (!self.hours.is_empty() && older < OLDER_MAX).then_some(self.first - older)
    }

    /// Whether an hour is among those kept.
    pub(super) fn knows(&self, hour: i64) -> bool {
        hour >= self.first && !self.hours.is_empty()
    }

    /// Room for an hour: the newest [`HOURS_MAX`] are kept, however they arrive.
    fn hour_mut(&mut self, hour: i64) -> Option<&mut Hour> {
        self.sums.clear();
        let newest = self.first + i64::try_from(self.hours.len()).unwrap_or_default() - 1;
        if self.hours.is_empty() || hour - newest >= HOURS_MAX {
            self.hours.clear();
            self.older.clear();
            self.first = hour;
            self.hours.push_back(Hour::default());
        } else if newest - hour >= HOURS_MAX {
            return None;
        }
        if self.first > hour {
            // Never so where there are older ones: these left because all room was taken.
            self.older.clear();
        }
        while self.first > hour {
            self.hours.push_front(Hour::default());
            self.first -= 1;
        }
        while self.first + i64::try_from(self.hours.len()).unwrap_or_default() <= hour {
            self.hours.push_back(Hour::default());
        }
        while i64::try_from(self.hours.len()).unwrap_or_default() > HOURS_MAX {
            let left = self.hours.pop_front().unwrap_or_default();
            self.older
                .push_back((!left.is_incident).then_some(left.sales));
            self.first += 1;
        }
        while i64::try_from(self.older.len()).unwrap_or_default() > OLDER_MAX {
            self.older.pop_front();
        }
        let index = usize::try_from(hour - self.first).ok()?;
        self.hours.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::EPOCH + Span::hours(hour)
    }

    #[test]
    fn hours_are_bounded_whatever_order_they_come_in() {
        let mut hours = Hours::default();
        for hour in [500_000, 499_000, 1, 500_500, 502_500, 502_400, 501_000] {
            hours.sale(at(hour), 100, 1);
            assert!(i64::try_from(hours.hours.len()).unwrap() <= HOURS_MAX);
        }
        assert_eq!(hours.hour(502_500).sales, 1);
        assert_eq!(hours.hour(502_400).sales, 1);
        assert_eq!(hours.hour(500_500).sales, 0, "too old to be kept");
        assert_eq!(hours.hour(1).sales, 0);
    }

    #[test]
    fn hours_that_are_added_up_are_what_they_are_one_by_one() {
        let mut hours = Hours::default();
        assert_eq!(hours.calm_sales(0, 10), None, "not added up");
        hours.add_up();
        assert_eq!(hours.calm_sales(0, 10), Some(0));
        for hour in 0..100 {
            hours.sale(at(500_000 + hour), 100, 1 + i32::from(hour % 7 == 0));
        }
        hours.mark(500_040, 500_043);
        assert_eq!(hours.calm_sales(500_000, 500_010), None, "changed since");
        hours.add_up();
        for from in 499_990..500_110 {
            for until in from..500_110 {
                let all = || (from..until).map(|hour| hours.hour(hour));
                let sales: i32 = all().map(|hour| hour.sales).sum();
                let expected = (!all().any(|hour| hour.is_incident)).then_some(i64::from(sales));
                assert_eq!(hours.calm_sales(from, until), expected, "{from} to {until}");
                let amount: i64 = all().map(|hour| hour.sales_amount).sum();
                assert_eq!(hours.sold(from, until), Some((i64::from(sales), amount)));
            }
        }
        hours.sale(at(500_001), 100, 1);
        assert_eq!(hours.calm_sales(500_000, 500_010), None, "changed again");
        assert_eq!(hours.sold(500_000, 500_010), None);
    }

    #[test]
    fn sales_of_a_quarter_of_a_year_are_kept() {
        let mut hours = Hours::default();
        for (hour, sales) in (500_000..503_000).zip(0..) {
            hours.sale(at(hour), 100, sales);
            if hour == 500_900 {
                hours.mark(500_900, 500_901);
            }
        }
        let oldest = 503_000 - HOURS_MAX - OLDER_MAX;
        assert!(503_000 - oldest > 13 * WEEK + WINDOW_MAX);
        for hour in oldest..503_000 {
            let sales = i32::try_from(hour - 500_000).unwrap();
            assert_eq!(
                hours.calm(hour),
                (hour != 500_900).then_some(sales),
                "{hour}"
            );
        }
        assert_eq!(hours.calm(oldest - 1), None);
        assert_eq!(hours.calm(503_000), None);
    }

    #[test]
    fn what_came_before_the_first_is_taken_in() {
        let mut hours = Hours::default();
        hours.sale(at(500_000), 100, 1);
        hours.sale(at(499_900), 100, 1);
        assert_eq!(
            (hours.hour(499_900).sales, hours.hour(500_000).sales),
            (1, 1)
        );
    }
}
