//! A day or longer on which nobody pays at all, in whatever currency.
//!
//! Who takes a dozen payments a day in three currencies has few of each, and none of so few is hardly ever news. Of all
//! together it is: twenty stay away by chance once in 500 million times. So hours without a single sale are added up over all
//! currencies, also while a single week says what is usual of each of these days, and held against the longest such stretch
//! in hours: who closes at night, on weekends, or now and then, had some.

use crate::detector::Context;
use crate::intake::Trouble;
use crate::money::Currency;

use super::currency::Missing;
use super::gap::Gap;
use super::holidays::Holidays;
use super::hours::WINDOW_MAX;
use super::usual::Past;
use super::{RevenueDrop, again, mute};

/// The shortest stretch: what is lost sooner, each currency says by itself.
const HOURS_MIN: i64 = 24;

/// So many times the longest stretch of the weeks before it must be.
const TIMES_LONGEST: i64 = 2;

/// Sales of all currencies that must be usual in hours that had none.
const USUAL_MIN: f64 = 20.0;

/// Sales of a currency that must be usual before it is told beside the largest.
const OWN_MIN: f64 = 6.0;

/// A currency that nobody paid in, and what is missing of it.
type Unpaid<'a> = (Currency, Past<'a>, Gap);

impl RevenueDrop {
    /// What is missing of each currency when nobody pays in any of them; the trouble with deliveries that explains it, if one does.
    pub(super) fn nobody_pays(
        &mut self,
        end: i64,
        ctx: &Context<'_>,
    ) -> Result<Vec<(Currency, Missing)>, (Currency, Trouble)> {
        let known_from = self.known_from.unwrap_or(end);
        let is_still = |hour: &i64| *hour >= known_from && self.is_still(*hour);
        let len = (end - WINDOW_MAX..end).rev().take_while(is_still).count();
        let len = i64::try_from(len).unwrap_or_default();
        if len < HOURS_MIN {
            return Ok(Vec::new());
        }
        let unpaid = self.unpaid(end, len, ctx);
        let largest = unpaid
            .iter()
            .max_by(|(_, _, a), (_, _, b)| a.sales_expected.total_cmp(&b.sales_expected));
        let Some((first, past, gap)) = largest.copied() else {
            return Ok(Vec::new());
        };
        let is_told = self.are_usual(&unpaid, end)
            && len >= self.longest(known_from, end - len) * TIMES_LONGEST
            && self
                .watched
                .get(&first)
                .is_some_and(|watched| !again::is_of_the_month(&watched.hours, past, end, &gap));
        if !is_told {
            return Ok(Vec::new());
        }
        let mut missing = Vec::new();
        for (currency, past, gap) in unpaid {
            let is_large = currency == first || gap.sales_expected >= OWN_MIN;
            if let Some(watched) = self.watched.get_mut(&currency).filter(|_| is_large) {
                if let Some(blind) = mute::lost(ctx, &gap, &watched.hours, end) {
                    watched.hours.mark(blind.hours.0, blind.hours.1.min(end));
                    return Err((currency, blind.trouble));
                }
                missing.push((currency, watched.open(gap, past, end)));
            }
        }
        Ok(missing)
    }

    /// Whether nobody paid in an hour, and it is no incident's.
    fn is_still(&self, hour: i64) -> bool {
        let mut known = self.watched.values().map(|one| one.hours.hour(hour));
        known.all(|known| known.sales <= 0 && !known.is_incident)
    }

    /// The most hours on end in which nobody paid.
    fn longest(&self, from: i64, until: i64) -> i64 {
        let (mut longest, mut present) = (0, 0);
        for hour in from.max(until - super::hours::WEEK * super::hours::WEEKS)..until {
            present = if self.is_still(hour) { present + 1 } else { 0 };
            longest = longest.max(present);
        }
        longest
    }

    /// Currencies that lack much of what is usual in so many hours.
    fn unpaid<'a>(&self, end: i64, len: i64, ctx: &Context<'a>) -> Vec<Unpaid<'a>> {
        let past = self.past(end, ctx);
        let of_currency = |(currency, watched): (&Currency, &super::Watched)| {
            let past = Past {
                holidays: Holidays::before(end, *currency, ctx.calendar()),
                known_from: watched.known_from(past.known_from),
                ..past
            };
            let gap = watched.nothing_sold(past, (end, len, 0), &self.settings)?;
            Some((*currency, past, gap))
        };
        self.watched.iter().filter_map(of_currency).collect()
    }

    /// Whether many sales are usual in these hours, also by other clocks, and before a peak.
    fn are_usual(&self, unpaid: &[Unpaid<'_>], end: i64) -> bool {
        let sum = |sales: &dyn Fn(&super::Watched, Past<'_>, &Gap) -> f64| -> f64 {
            let each = unpaid.iter().filter_map(|(currency, past, gap)| {
                Some(sales(self.watched.get(currency)?, *past, gap))
            });
            each.sum()
        };
        let by_other_clocks = |by: i64| {
            sum(&|watched, past, gap| {
                let window = (end, gap.hours, by);
                let gap = watched.nothing_sold(past, window, &self.settings);
                gap.map_or(0.0, |gap| gap.sales_expected)
            })
        };
        sum(&|_, _, gap| gap.sales_expected) >= USUAL_MIN
            && super::currency::SHIFTS
                .iter()
                .all(|by| by_other_clocks(*by) >= USUAL_MIN)
            && sum(&|watched, past, gap| watched.ordinary_sales(past, end, gap)) >= USUAL_MIN / 2.0
    }
}
