//! Nobody pays any more.
//!
//! How far sales stray says how likely few of them are, and hardly anything of none at all: a day may be half as good as usual, and
//! yet nobody stays away for hours by chance. So hours without a single sale are held against such stretches themselves:
//! against chance, and against the longest that this merchant was seen to have.

use serde::{Deserialize, Serialize};

use super::gap::{Gap, KEPT_AN_HOUR};
use super::hours::{Hours, WINDOW_MAX};

/// Sales that must be usual in hours that had none: so many stay away by chance once in 160,000 times, and once in 400 where
/// half as many were to be expected.
const USUAL_MIN: f64 = 12.0;

/// How likely so few may be by how far sales stray, unless [`USUAL_MANY`] are usual.
const CHANCE_MAX: f64 = 1e-3;
/// See [`CHANCE_MAX`].
const USUAL_MANY: f64 = 20.0;

/// So many times the longest stretch of some weeks it must be: who closed for an afternoon may close for a day.
const TIMES_LONGEST: f64 = 2.0;

/// Weeks that must say what is usual: a single one says nothing of its weekdays, and hardly any stretch was seen in it.
const WEEKS_MIN: f64 = 2.0;

/// The longest stretches without a sale of one currency, by the sales that were usual in them.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Standstill {
    /// Of those that are over; after six weeks a third counts.
    longest: f64,
    /// Of the one that lasts.
    present: f64,
}

impl Standstill {
    /// Hours before `end` without a sale, none of which is part of an incident.
    pub(super) fn hours(hours: &Hours, end: i64) -> i64 {
        let is_still = |hour: i64| {
            let known = hours.hour(hour);
            known.sales <= 0 && !known.is_incident && hours.knows(hour)
        };
        (1..=WINDOW_MAX)
            .find(|back| !is_still(end - back))
            .map_or(WINDOW_MAX, |back| back - 1)
    }

    /// So many hours are over since it was asked last, and so many sales are usual in those without one until now.
    pub(super) fn learn(&mut self, hours: i64, usual: Option<f64>) {
        self.fade(hours);
        if let Some(usual) = usual {
            self.present = self.present.max(usual);
        } else {
            self.longest = self.longest.max(self.present);
            self.present = 0.0;
        }
    }

    /// So many hours are over since it was asked last; the newest are part of an incident, and so were those before them.
    pub(super) fn forget(&mut self, hours: i64) {
        self.fade(hours);
        self.present = 0.0;
    }

    fn fade(&mut self, hours: i64) {
        let hours = i32::try_from(hours.clamp(0, 10_000)).unwrap_or_default();
        self.longest *= KEPT_AN_HOUR.powi(hours);
    }

    /// Whether nobody pays where so many weeks say that many do.
    pub(super) fn is_one(&self, gap: &Gap, weeks: f64) -> bool {
        let usual = gap.sales_expected;
        gap.sales == 0
            && weeks >= WEEKS_MIN
            && usual >= USUAL_MIN
            && usual >= self.longest * TIMES_LONGEST
            && (usual >= USUAL_MANY || gap.chance <= CHANCE_MAX)
    }

    /// Whether none of so many sales is nothing out of the ordinary.
    pub(super) fn is_ordinary(&self, usual: f64) -> bool {
        usual < USUAL_MIN / 2.0 || usual < self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Span, Timestamp};

    #[test]
    fn hours_without_a_sale_end_at_a_sale_and_at_an_incident() {
        let at = |hour: i64| Timestamp::EPOCH + Span::hours(hour);
        let mut hours = Hours::default();
        for hour in 500_000..500_010 {
            hours.sale(at(hour), 100, 1);
        }
        hours.sale(at(500_013), 100, 1);
        hours.sale(at(500_013), -100, -1);
        assert_eq!(Standstill::hours(&hours, 500_010), 0);
        assert_eq!(
            Standstill::hours(&hours, 500_014),
            4,
            "nothing is left of it"
        );
        hours.mark(500_011, 500_012);
        assert_eq!(Standstill::hours(&hours, 500_014), 2);
        assert_eq!(Standstill::hours(&Hours::default(), 500_014), 0);
    }

    #[test]
    fn a_stretch_counts_once_it_is_over_and_fades() {
        let mut known = Standstill::default();
        known.learn(1, Some(4.0));
        known.learn(1, Some(7.0));
        assert_eq!((known.longest, known.present), (0.0, 7.0));
        known.learn(1, None);
        assert_eq!((known.longest, known.present), (7.0, 0.0));
        known.learn(1, Some(30.0));
        known.forget(1);
        known.learn(6 * 168, None);
        assert!((2.4..2.7).contains(&known.longest), "{}", known.longest);
    }
}
