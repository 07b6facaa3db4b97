//! A share that is usual, by hour of the week: learned, decaying, and hard to spoil.

use serde::{Deserialize, Serialize};

use super::{as_f64, beta_binomial_tail};
use crate::calendar::LocalTime;

/// Hours of a week.
const HOURS: usize = 168;

/// How much the average of all hours weighs against one hour's own record, in trials: an hour that
/// brought fifty trials so far is judged by the average for the most part.
const POOL: f64 = 200.0;

/// A batch less likely than this is not learned from as it stands: it is an incident that nobody
/// noticed, and must not become usual by one blow.
const OUTLIER_CHANCE: f64 = 1e-3;

/// How well a share is ever held to be known, in trials: real shares stray from day to day by about
/// a quarter, whatever the number of trials they were learned from.
const WEIGHT_MAX: f64 = 400.0;

/// Hits among trials by hour of the week, as the merchant's clocks show it.
///
/// Bounded: one pair of numbers for each of 168 hours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HourlyShare {
    all: (f64, f64),
    /// Empty until the first batch.
    hours: Vec<(f64, f64)>,
}

impl HourlyShare {
    /// Takes in a batch made around `at`; `prior` as in [`share_at`](Self::share_at).
    ///
    /// Of a batch with implausibly many hits only so many count as chance would bring at most.
    pub fn add(&mut self, at: LocalTime, hits: u64, trials: u64, prior: (f64, f64)) {
        if trials == 0 {
            return;
        }
        let share = self.share_at(at, prior);
        let weight = self.weight(prior);
        let hits = hits.min(trials);
        let (mut hit, tried) = (as_f64(hits), as_f64(trials));
        if hit > share * tried && beta_binomial_tail(hits, trials, share, weight) < OUTLIER_CHANCE {
            let stray = 1.0 + (tried - 1.0) / (weight + 1.0);
            let deviation = (tried * share * (1.0 - share) * stray).sqrt();
            hit = hit.min((tried * share + 3.0 * deviation).ceil());
        }
        if self.hours.is_empty() {
            self.hours.resize(HOURS, (0.0, 0.0));
        }
        let hour = &mut self.hours[at.hour_of_week() % HOURS];
        *hour = (hour.0 + hit, hour.1 + tried);
        self.all = (self.all.0 + hit, self.all.1 + tried);
    }

    /// The usual share at this hour of the week. `prior` is hits and trials that stand in for what
    /// is not known yet.
    #[must_use]
    pub fn share_at(&self, at: LocalTime, prior: (f64, f64)) -> f64 {
        let average = self.average(prior);
        let (hits, trials) = self
            .hours
            .get(at.hour_of_week())
            .copied()
            .unwrap_or_default();
        (hits + POOL * average) / (trials + POOL)
    }

    /// The usual share over all hours.
    #[must_use]
    pub fn average(&self, prior: (f64, f64)) -> f64 {
        (self.all.0 + prior.0) / (self.all.1 + prior.1).max(1e-9)
    }

    /// How well the share is known, as a number of trials, for
    /// [`beta_binomial_tail`](super::beta_binomial_tail).
    #[must_use]
    pub fn weight(&self, prior: (f64, f64)) -> f64 {
        (self.all.1 + prior.1).min(WEIGHT_MAX)
    }

    /// Hits learned, less what was forgotten of them.
    #[must_use]
    pub const fn hits(&self) -> f64 {
        self.all.0
    }

    /// Trials learned from, less what was forgotten of them.
    #[must_use]
    pub const fn trials(&self) -> f64 {
        self.all.1
    }

    /// Forgets all but `kept` of what was learned.
    pub fn decay(&mut self, kept: f64) {
        let fade = |pair: &mut (f64, f64)| *pair = (pair.0 * kept, pair.1 * kept);
        fade(&mut self.all);
        self.hours.iter_mut().for_each(fade);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Calendar;
    use crate::time::{Span, Timestamp};

    const PRIOR: (f64, f64) = (4.0, 40.0);

    fn monday(hour: i64) -> LocalTime {
        Calendar::utc().local(Timestamp::from_secs(1_709_510_400) + Span::hours(hour))
    }

    #[test]
    fn a_stranger_is_judged_by_the_prior() {
        let usual = HourlyShare::default();
        assert!((usual.share_at(monday(3), PRIOR) - 0.1).abs() < 1e-12);
        assert!((usual.weight(PRIOR) - 40.0).abs() < 1e-12);
    }

    #[test]
    fn an_hour_of_its_own_is_learned_and_others_are_not_moved_much() {
        let mut usual = HourlyShare::default();
        for week in 0..8 {
            for hour in 0..168 {
                let at = monday(week * 168 + hour);
                usual.add(at, if hour == 3 { 40 } else { 5 }, 100, PRIOR);
                usual.add(at, if hour == 3 { 40 } else { 5 }, 100, PRIOR);
            }
        }
        let odd = usual.share_at(monday(8 * 168 + 3), PRIOR);
        let even = usual.share_at(monday(8 * 168 + 4), PRIOR);
        assert!(odd > 0.1 && even < 0.06, "{odd} {even}");
    }

    #[test]
    fn an_incident_in_history_does_not_become_usual() {
        let mut usual = HourlyShare::default();
        for hour in 0..500 {
            usual.add(monday(hour), if hour == 400 { 90 } else { 4 }, 100, PRIOR);
        }
        let share = usual.share_at(monday(400 + 168), PRIOR);
        assert!(share < 0.06, "{share}");
    }

    #[test]
    fn what_decays_is_forgotten() {
        let mut usual = HourlyShare::default();
        usual.add(monday(0), 5, 100, PRIOR);
        usual.decay(0.5);
        assert!((usual.trials() - 50.0).abs() < 1e-9);
    }
}
