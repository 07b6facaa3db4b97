//! One currency: its hours, its habits, and whether its money is missing now.

use serde::{Deserialize, Serialize};

use crate::money::{Currency, Money, share_bps};

use super::super::words::as_f64;
use super::Settings;
use super::days::Series;
use super::gap::{Gap, Habits, Past, WINDOWS};
use super::hours::{Hours, WINDOW_MAX};

/// Windows by which recovery is judged, in hours.
const RECOVERY_WINDOWS: [i64; 4] = [6, 12, 24, WINDOW_MAX];

/// Payments such a window must have expected: fewer come back by chance.
const RECOVERY_PAYMENTS: f64 = 24.0;

/// What is at least so likely is nothing to speak of.
const USUAL_CHANCE: f64 = 0.3;

/// Hours a recovery must last before it is one.
const CALM_HOURS: i64 = 6;

/// Money of one currency.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Watched {
    pub(super) days: Series,
    pub(super) hours: Hours,
    habits: Habits,
    pub(super) incident: Option<Incident>,
    judged: i64,
    /// When it was last said that many renewals are being tried again.
    dunning_told: i64,
}

/// Money is missing.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Incident {
    /// The first hour of the window that showed it.
    began: i64,
    /// The first hour after that window.
    found: i64,
    /// Since when enough comes in again.
    calm_since: Option<i64>,
    /// Missing in hours that left the longest window.
    lost_before: i64,
}

/// What became of a currency in an hour.
#[derive(Debug)]
pub(super) enum Step {
    Calm,
    /// Its money is missing.
    Missing(Missing),
    /// It is back, as this says.
    Over(String),
}

/// How much is missing, and in which hours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing {
    pub(super) gap: Gap,
    /// The hour after its last.
    pub(super) end: i64,
    /// Since it began, minor units.
    pub(super) lost: i64,
    /// What a day like the newest should have brought.
    pub(super) day_expected: i64,
}

impl Watched {
    /// Judges the hours before `end`.
    pub(super) fn judge(
        &mut self,
        currency: Currency,
        past: Past,
        end: i64,
        settings: &Settings,
    ) -> Step {
        self.learn(past, end);
        let step = match self.incident {
            None => self.look(past, end, settings),
            Some(incident) => self.follow(currency, incident, past, end, settings),
        };
        self.judged = end;
        step
    }

    fn look(&mut self, past: Past, end: i64, settings: &Settings) -> Step {
        let gaps = WINDOWS.map(|len| self.habits.gap(&self.hours, past, end, len, true));
        let implausible = gaps.into_iter().filter(|gap| is_implausible(gap, settings));
        let Some(gap) = implausible.min_by(|a, b| a.chance.total_cmp(&b.chance)) else {
            return Step::Calm;
        };
        self.hours.mark(end - gap.hours, end);
        self.incident = Some(Incident {
            began: end - gap.hours,
            found: end,
            calm_since: None,
            lost_before: 0,
        });
        Step::Missing(Missing {
            gap,
            end,
            lost: gap.missing(),
            day_expected: self.day_expected(past, end),
        })
    }

    /// Many renewals that were asked for and not paid at once, said once a day: retries bring most
    /// of them in, and a wave of declines is `charge_failure_spike`'s to tell.
    pub(super) fn dunning(&mut self, past: Past, end: i64, settings: &Settings) -> Option<Gap> {
        if end - self.dunning_told < 24 {
            return None;
        }
        let gap = self.habits.gap(&self.hours, past, end, 24, false);
        let is_many = self.habits.dunning_chance(&gap) <= chance_max(settings);
        is_many.then(|| self.dunning_told = end)?;
        Some(gap)
    }

    fn follow(
        &mut self,
        currency: Currency,
        mut incident: Incident,
        past: Past,
        end: i64,
        settings: &Settings,
    ) -> Step {
        self.hours.mark(self.judged, end);
        for left in (self.judged.max(incident.began + WINDOW_MAX))..end {
            let hour = left - WINDOW_MAX + 1;
            let gap = self.habits.gap(&self.hours, past, hour, 1, false);
            incident.lost_before = incident.lost_before.saturating_add(gap.missing().max(0));
        }
        let recovery = self.recovery(incident, past, end);
        let drop = |gap: &Gap| share_bps(gap.missing(), gap.expected);
        // Where even the longest window expects few payments, it need only be no surprise.
        let is_back = |gap: &Gap| {
            drop(gap) <= settings.recovery_bps_max
                || gap.payments() < RECOVERY_PAYMENTS && gap.chance >= USUAL_CHANCE
        };
        let is_calm = recovery.as_ref().is_some_and(is_back);
        incident.calm_since = is_calm.then_some(incident.calm_since.unwrap_or(end));
        let since = incident.calm_since.unwrap_or(end);
        if let Some(gap) = recovery.filter(|_| is_calm && end - since >= CALM_HOURS) {
            self.incident = None;
            if gap.expected == 0 {
                let hours = gap.hours;
                return Step::Over(format!(
                    "nothing was to be expected in the last {hours} hours; what was missing may \
                     still be"
                ));
            }
            return Step::Over(format!(
                "the last {} hours brought {} of {} expected",
                gap.hours,
                Money::new(gap.collected, currency),
                Money::new(gap.expected, currency)
            ));
        }
        self.incident = Some(incident);
        if is_calm {
            return Step::Calm;
        }
        let len = (end - incident.began).clamp(1, WINDOW_MAX);
        let gap = self.habits.gap(&self.hours, past, end, len, false);
        Step::Missing(Missing {
            gap,
            end,
            lost: gap.missing().saturating_add(incident.lost_before),
            day_expected: self.day_expected(past, end),
        })
    }

    /// The shortest window since it was found that expects enough payments to tell.
    fn recovery(&self, incident: Incident, past: Past, end: i64) -> Option<Gap> {
        let fits = |len: &i64| end - len >= incident.began;
        let gap = |len: i64| self.habits.gap(&self.hours, past, end, len, false);
        let gaps = RECOVERY_WINDOWS.into_iter().filter(fits).map(gap);
        gaps.into_iter()
            .find(|gap| gap.payments() >= RECOVERY_PAYMENTS || gap.hours == WINDOW_MAX)
            .filter(|_| end - incident.found >= CALM_HOURS)
    }

    fn learn(&mut self, past: Past, end: i64) {
        // After a long pause only the newest are looked at: the rest was not judged either.
        for hour in self.judged.max(end - WINDOW_MAX)..end {
            if self.judged > 0 {
                self.habits.learn_hour(&self.hours.hour(hour - WINDOW_MAX));
            }
            self.habits.learn_stray(&self.hours, past, hour + 1);
        }
    }

    fn day_expected(&self, past: Past, end: i64) -> i64 {
        self.habits.gap(&self.hours, past, end, 24, false).expected
    }
}

fn is_implausible(gap: &Gap, settings: &Settings) -> bool {
    let drop = share_bps(gap.missing(), gap.expected);
    drop > settings.drop_bps_min && gap.chance <= chance_max(settings)
}

fn chance_max(settings: &Settings) -> f64 {
    as_f64(settings.chance_ppm_max.unsigned_abs()) / 1e6
}
