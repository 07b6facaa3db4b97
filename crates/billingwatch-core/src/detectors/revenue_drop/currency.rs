//! One currency: its hours, its habits, and whether its money is missing now.

use serde::{Deserialize, Serialize};

use crate::intake::Trouble;
use crate::money::{Currency, Money, share_bps};
use crate::time::Timestamp;

use super::super::words::as_f64;
use super::Settings;
use super::again;
use super::clocks;
use super::days::Series;
use super::gap::{Cause, Gap, Habits, KEPT_AN_HOUR, WINDOWS};
use super::holidays::Holidays;
use super::hours::{Hours, WEEK, WINDOW_MAX, hour_of};
use super::mute::Blind;
use super::standstill::Standstill;
use super::usual::Past;
use super::worse::worse_since;
use super::worth::{FALLEN_TO, MANY_FALLEN_TO};

/// What is missing against an hour earlier or later too is missing: merchants live by local time,
/// whose clocks are put forward and back, and nightly runs come a little sooner or later. In three days as
/// well: the hour of a weekly sale may be the first of them, and leave.
pub(super) const SHIFTS: [i64; 2] = [-1, 1];

/// Windows by which recovery is judged, in hours; the first one in the first week alone, of which longer ones say nothing.
const RECOVERY_WINDOWS: [i64; 8] = [3, 6, 9, 12, 18, 24, 48, WINDOW_MAX];

/// How many times likelier what comes in must be when all is as usual than when the loss goes on.
const RECOVERY_EVIDENCE: f64 = 5.0;

/// What is lost less than this of renewals, or of sales, is not what the incident is about.
const LOST_BPS_MIN: i64 = 1_000;

/// The shortest window that says anything of renewals, in hours.
const RENEWALS_WINDOW: i64 = 3;

/// Payments that a window must have expected for that: where fewer are, the longest window need only
/// be no surprise.
const RECOVERY_PAYMENTS: f64 = 24.0;

/// What is at least so likely is nothing to speak of.
const USUAL_CHANCE: f64 = 0.3;

/// Of the drop that is told, the part that must be missing against poor weeks as well.
const LEAST_PART: i64 = 3;

/// What is at least so likely as things were before a peak is its end: peaks end more often than checkouts break, so it need
/// not be as unlikely as chance.
const PEAK_OVER_CHANCE: f64 = 0.01;

/// Of a day's money, what lower prices of some hours must lose, in basis points, unless they are next to nothing.
const CHEAP_OF_DAY_MIN: i64 = 1_000;

/// After so many hours an incident shows how large it is, before its end dilutes it.
const MEASURED_HOURS: std::ops::RangeInclusive<i64> = 12..=24;

/// Hours a recovery must last before it is one.
const CALM_HOURS: i64 = 3;

/// Money of one currency.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Watched {
    pub(super) days: Series,
    pub(super) hours: Hours,
    habits: Habits,
    standstill: Standstill,
    pub(super) incident: Option<Incident>,
    judged: i64,
    /// When it was last said that many renewals are being tried again.
    dunning_told: i64,
    /// When it was last said that a holiday excuses what is missing.
    holiday_told: i64,
}

/// Money is missing.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Incident {
    /// The first hour of the window that showed it.
    began: i64,
    /// The first hour after that window.
    found: i64,
    /// Since when it is as it was told last.
    told_from: i64,
    /// Since when enough comes in again.
    calm_since: Option<i64>,
    /// Missing in hours that left the longest window.
    lost_before: i64,
    /// The share that is missing since it began, and those of renewals and of sales, in basis
    /// points.
    drop_bps: i64,
    lost_bps: (i64, i64),
    cause: Cause,
}

/// What became of a currency in an hour.
#[derive(Debug)]
pub(super) enum Step {
    Calm,
    /// Its money may be missing because its events are.
    Muted(Trouble),
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
    /// It is clearly worse than when it was told.
    pub(super) is_worse: bool,
}

impl Watched {
    /// A payment came in, or is taken back.
    pub(super) fn sale(&mut self, at: Timestamp, amount: i64, count: i32) {
        self.hours.sale(at, amount, count);
        self.habits.worth.note(amount, count);
    }

    /// An invoice of a metered subscription was finalised, that asks so much; the most that it ever paid is so much.
    pub(super) fn used(&mut self, at: Timestamp, asked: i64, most: i64) {
        self.habits.usage.note(hour_of(at), asked, most);
    }

    /// The first whole hour that is known of this currency: weeks in which nobody was asked for it say nothing of it, nor does
    /// its first, whether it began with a crowd or with friends.
    pub(super) fn known_from(&self, known_from: i64) -> i64 {
        let since = self
            .hours
            .since()
            .filter(|since| *since >= known_from + WEEK);
        since.map_or(known_from, |since| since + WEEK)
    }

    /// Judges the hours before `end`.
    pub(super) fn judge(
        &mut self,
        currency: Currency,
        past: Past<'_>,
        end: i64,
        settings: &Settings,
        blind: impl Fn(&Gap, &Hours) -> Option<Blind>,
    ) -> Step {
        self.learn(past, end);
        // Where nothing was learned, or a holiday was marked at last: else they are added up already.
        self.hours.add_up();
        let step = match self.incident {
            None => self.look(past, end, settings, blind),
            Some(incident) => self.follow(currency, incident, past, end, settings),
        };
        self.learn_still(past, end);
        self.judged = end;
        step
    }

    /// Whether this would be told, were all events there.
    pub(super) fn would_miss(&self, past: Past<'_>, end: i64, settings: &Settings) -> bool {
        self.incident.is_none() && self.worst(past, end, settings).is_some()
    }

    fn worst(&self, past: Past<'_>, end: i64, settings: &Settings) -> Option<Gap> {
        let missing = |len, shift| {
            let is_missing = |gap: &Gap| is_much(gap, settings);
            let window = (end, len, shift);
            let gap = self
                .habits
                .calm_gap_if(&self.hours, past, window, is_missing);
            gap.filter(|gap| is_implausible(gap, settings))
        };
        let is_missing_at = |gap: &Gap, shift| match gap.cause {
            // How many are sold moves with the clocks, and what they pay hardly does.
            Cause::Cheaper => self.is_cheap(past, (end, gap.hours, shift)),
            Cause::Fewer | Cause::Used => missing(gap.hours, shift).is_some(),
        };
        let is_shifted = |gap: &Gap| {
            !SHIFTS.iter().all(|by| is_missing_at(gap, *by))
                && !clocks::are_as_before(&self.hours, past, (end, gap.hours))
        };
        let gaps = WINDOWS.into_iter().filter_map(|len| missing(len, 0));
        let is_monthly = |gap: &Gap| {
            gap.cause != Cause::Used && again::is_of_the_month(&self.hours, past, end, gap)
        };
        // A few renewals that are late together are no outage of an hour.
        let is_of_sales =
            |gap: &Gap| gap.hours >= RENEWALS_WINDOW || gap.lost_bps().0 < LOST_BPS_MIN;
        let gaps = gaps.filter(is_of_sales);
        let missing = gaps.filter(|gap| !is_shifted(gap) && !is_monthly(gap));
        let missing = missing.filter(|gap| !self.is_ordinary(past, end, gap, settings));
        let missing = missing.filter(|gap| !self.is_trifle(past, end, gap));
        missing
            .min_by(|a, b| a.chance.total_cmp(&b.chance))
            .or_else(|| self.still(past, end, settings))
    }

    /// The hours without a sale, if nobody pays any more.
    fn still(&self, past: Past<'_>, end: i64, settings: &Settings) -> Option<Gap> {
        let len = Standstill::hours(&self.hours, end);
        let still = |by: i64| {
            let (gap, usual) = self.habits.weighed(&self.hours, past, (end, len, by), true);
            let gap = self.habits.judged(gap, usual.as_ref());
            let is_one = usual.is_some_and(|usual| self.standstill.is_one(&gap, usual.weeks));
            (is_one && is_much(&gap, settings)).then_some(gap)
        };
        let mut gap = (len > 0).then(|| still(0))??;
        gap.is_standstill = true;
        let ordinary = self.habits.ordinary_gap(&self.hours, past, end, &gap);
        let is_ordinary =
            ordinary.is_some_and(|gap| self.standstill.is_ordinary(gap.sales_expected));
        let is_none = is_ordinary
            || SHIFTS.iter().any(|by| still(*by).is_none())
            || again::is_of_the_month(&self.hours, past, end, &gap);
        (!is_none).then_some(gap)
    }

    /// What is missing of hours in which nothing was sold, if that is much. While a single week is known, of each day by itself.
    pub(super) fn nothing_sold(
        &self,
        past: Past<'_>,
        (end, len, shift): (i64, i64, i64),
        settings: &Settings,
    ) -> Option<Gap> {
        let weighed = |window| self.habits.weighed(&self.hours, past, window, true);
        let (mut gap, usual) = weighed((end, len, shift));
        if usual.is_none() {
            for back in (0..len).step_by(24) {
                let (day, _) = weighed((end - back, (len - back).min(24), shift));
                gap.sales_expected += day.sales_expected;
                gap.usual_amount = gap.usual_amount.saturating_add(day.usual_amount);
            }
            gap.expected = gap.expected.saturating_add(gap.usual_amount);
        }
        gap = self.habits.judged(gap, usual.as_ref());
        gap.is_standstill = true;
        (gap.sales_expected > 0.0 && is_much(&gap, settings)).then_some(gap)
    }

    /// What is missing of sales, or was ordinarily sold before a peak, if that is less.
    pub(super) fn ordinary_sales(&self, past: Past<'_>, end: i64, gap: &Gap) -> f64 {
        let ordinary = self.habits.ordinary_gap(&self.hours, past, end, gap);
        ordinary.map_or(gap.sales_expected, |gap| gap.sales_expected)
    }

    /// Learns from the hours without a sale until now, once they are judged.
    fn learn_still(&mut self, past: Past<'_>, end: i64) {
        let hours = end - self.judged;
        if self.hours.hour(end - 1).is_incident {
            self.standstill.forget(hours);
            return;
        }
        let len = Standstill::hours(&self.hours, end);
        let usual = (len > 0).then(|| {
            let window = (end, len, 0);
            let (gap, _) = self.habits.weighed(&self.hours, past, window, true);
            gap.sales_expected
        });
        self.standstill.learn(hours, usual);
    }

    /// Whether sales are worth as little as is asked about.
    fn is_cheap(&self, past: Past<'_>, window: (i64, i64, i64)) -> bool {
        let (gap, _) = self.habits.weighed(&self.hours, past, window, true);
        let (now, usual) = gap.sales_and_usual();
        now.part_of(&usual) <= MANY_FALLEN_TO
    }

    /// Whether a loss is of a few hours at lower prices and little of a day: such may be meant, and be over before anybody looks.
    fn is_trifle(&self, past: Past<'_>, end: i64, gap: &Gap) -> bool {
        let (now, usual) = gap.sales_and_usual();
        gap.cause == Cause::Cheaper
            && gap.hours < 24
            && now.part_of(&usual) > FALLEN_TO
            && share_bps(gap.missing(), self.day_expected(past, end)) < CHEAP_OF_DAY_MIN
    }

    /// Whether so little was nothing out of the ordinary before a peak.
    fn is_ordinary(&self, past: Past<'_>, end: i64, gap: &Gap, settings: &Settings) -> bool {
        let gap = self.habits.ordinary_gap(&self.hours, past, end, gap);
        gap.is_some_and(|gap| {
            drop_of(&gap) <= settings.drop_bps_min / LEAST_PART || gap.chance > PEAK_OVER_CHANCE
        })
    }

    fn look(
        &mut self,
        past: Past<'_>,
        end: i64,
        settings: &Settings,
        blind: impl Fn(&Gap, &Hours) -> Option<Blind>,
    ) -> Step {
        let Some(mut gap) = self.worst(past, end, settings) else {
            return Step::Calm;
        };
        if let Some(blind) = blind(&gap, &self.hours) {
            let Some(left) = self.left_by(&blind, past, end, settings) else {
                // Neither judged nor a yardstick.
                self.hours.mark(blind.hours.0, blind.hours.1.min(end));
                return Step::Muted(blind.trouble);
            };
            gap = left;
        }
        Step::Missing(self.open(gap, past, end))
    }

    /// Opens an incident.
    pub(super) fn open(&mut self, gap: Gap, past: Past<'_>, end: i64) -> Missing {
        self.hours.mark(end - gap.hours, end);
        self.hours.add_up();
        self.incident = Some(Incident {
            began: end - gap.hours,
            found: end,
            told_from: end - gap.hours,
            calm_since: None,
            lost_before: 0,
            drop_bps: drop_of(&gap),
            lost_bps: gap.lost_bps(),
            cause: gap.cause,
        });
        Missing {
            gap,
            end,
            lost: gap.missing(),
            day_expected: self.day_expected(past, end),
            is_worse: false,
        }
    }

    /// What is missing where the renewals that a silence may have hidden do not count.
    fn left_by(
        &mut self,
        blind: &Blind,
        past: Past<'_>,
        end: i64,
        settings: &Settings,
    ) -> Option<Gap> {
        if blind.trouble.back_at.is_none() || blind.of_renewals.is_empty() {
            return None;
        }
        for (from, until) in &blind.of_renewals {
            self.hours.mark(*from, (*until).min(end));
        }
        self.hours.add_up();
        let left = self.worst(past, end, settings)?;
        let of_renewals = self.habits.renewals_chance(&left);
        blind
            .leaves(&left, end, of_renewals, settings)
            .then_some(left)
    }

    /// Many renewals that were asked for and not paid at once, said once a day: retries bring most
    /// of them in, and a wave of declines is `charge_failure_spike`'s to tell.
    pub(super) fn dunning(&mut self, end: i64, settings: &Settings) -> Option<Gap> {
        if end - self.dunning_told < 24 {
            return None;
        }
        let gap = Habits::renewals(&self.hours, end, 24);
        let is_many = self.habits.dunning_chance(&gap) <= chance_max(settings);
        is_many.then(|| self.dunning_told = end)?;
        Some(gap)
    }

    /// What would be told if today were no holiday, said once a day.
    pub(super) fn stays_at_home(
        &mut self,
        past: Past<'_>,
        end: i64,
        settings: &Settings,
    ) -> Option<Gap> {
        if end - self.holiday_told < 24 || self.incident.is_some() || !past.holidays.has(end - 1) {
            return None;
        }
        let on_any_day = Past {
            holidays: Holidays::default(),
            ..past
        };
        let gap = self.worst(on_any_day, end, settings)?;
        self.holiday_told = end;
        Some(gap)
    }

    fn follow(
        &mut self,
        currency: Currency,
        mut incident: Incident,
        past: Past<'_>,
        end: i64,
        settings: &Settings,
    ) -> Step {
        self.hours.mark(self.judged, end);
        self.hours.add_up();
        for left in (self.judged.max(incident.began + WINDOW_MAX))..end {
            let hour = left - WINDOW_MAX + 1;
            let gap = self.habits.gap(&self.hours, past, (hour, 1, 0), false);
            incident.lost_before = incident.lost_before.saturating_add(gap.missing().max(0));
        }
        let recovery = self.recovery(&incident, past, end, settings);
        let is_calm = recovery.is_some();
        incident.calm_since = is_calm.then_some(incident.calm_since.unwrap_or(end));
        let since = incident.calm_since.unwrap_or(end);
        if let Some(gap) = recovery.filter(|_| end - since >= CALM_HOURS) {
            self.incident = None;
            if gap.expected == 0 {
                let hours = gap.hours;
                return Step::Over(format!(
                    "nothing was to be expected in the last {hours} hours; what was missing may \
                     still be"
                ));
            }
            if incident.is_of_renewals() && is_few_due(&gap) {
                return Step::Over(format!(
                    "hardly anything is due any more, and the last {} hours brought {} of {} \
                     expected; what was missing may still be",
                    gap.hours,
                    Money::new(gap.collected, currency),
                    Money::new(gap.expected, currency)
                ));
            }
            return Step::Over(format!(
                "the last {} hours brought {} of {} expected",
                gap.hours,
                Money::new(gap.collected, currency),
                Money::new(gap.expected, currency)
            ));
        }
        let len = (end - incident.began).clamp(1, WINDOW_MAX);
        let gap = self.habits.gap(&self.hours, past, (end, len, 0), false);
        if !is_calm && gap.expected > 0 && MEASURED_HOURS.contains(&len) {
            // What was found was its worst window.
            incident.drop_bps = drop_of(&gap).max(settings.drop_bps_min);
            incident.lost_bps = gap.lost_bps();
        }
        let times = (incident.told_from, incident.found, end);
        let worse = worse_since(&self.habits, (&self.hours, past), times, settings);
        let worse = worse.filter(|_| !is_calm);
        incident.told_from = worse.unwrap_or(incident.told_from);
        self.incident = Some(incident);
        if is_calm {
            return Step::Calm;
        }
        Step::Missing(Missing {
            gap,
            end,
            lost: gap.missing().saturating_add(incident.lost_before),
            day_expected: self.day_expected(past, end),
            is_worse: worse.is_some(),
        })
    }

    /// The shortest window that shows that the loss is over.
    fn recovery(
        &self,
        incident: &Incident,
        past: Past<'_>,
        end: i64,
        settings: &Settings,
    ) -> Option<Gap> {
        if end - incident.found < CALM_HOURS {
            return None;
        }
        // Of several days a single week says nothing, also not that enough comes in.
        let is_first_week = end - past.known_from < past.hours_min;
        let is_known = |len: i64| {
            if len < RECOVERY_WINDOWS[1] {
                return is_first_week;
            }
            len <= 24 || incident.is_of_renewals() || end - len - 2 * WEEK >= past.known_from
        };
        let fits = |len: &i64| end - len >= incident.began && is_known(*len);
        let gap = |len: i64| self.habits.gap(&self.hours, past, (end, len, 0), false);
        let is_back = |gap: &Gap| {
            let drop = drop_of(gap);
            let is_few = gap.hours == WINDOW_MAX && gap.payments() < RECOVERY_PAYMENTS;
            if incident.cause == Cause::Used && gap.hours == WINDOW_MAX && gap.used.count < 1.0 {
                // Who bills once a month loses no more before the next time.
                return true;
            }
            if incident.is_of_renewals() && is_few_due(gap) && drop <= settings.recovery_bps_max {
                // Who renews on one day of the month has no others to show that they pay again; and a loss of the
                // next month's is another.
                return self.habits.renewals_chance(gap) >= USUAL_CHANCE;
            }
            drop <= settings.recovery_bps_max && incident.is_refuted_by(gap)
                || is_few && gap.chance >= USUAL_CHANCE
        };
        RECOVERY_WINDOWS
            .into_iter()
            .filter(fits)
            .map(gap)
            .find(is_back)
    }

    fn learn(&mut self, past: Past<'_>, end: i64) {
        // After a long pause only the newest are looked at: the rest was not judged either.
        for hour in self.judged.max(end - WINDOW_MAX)..end {
            if self.judged > 0 {
                let left = hour - WINDOW_MAX;
                let known = self.hours.hour(left);
                self.habits.learn_hour(known);
                let usage = &mut self.habits.usage;
                usage.learn(left, known.is_incident, KEPT_AN_HOUR);
                if past.holidays.has(left) {
                    // No yardstick: the poorest week must not be one with a holiday in it.
                    self.hours.mark(left, left + 1);
                }
            }
            // What was marked above is told apart at once, not hour by hour for weeks.
            self.hours.add_up();
            self.habits.learn_stray(&self.hours, past, hour + 1);
        }
    }

    fn day_expected(&self, past: Past<'_>, end: i64) -> i64 {
        self.habits
            .gap(&self.hours, past, (end, 24, 0), false)
            .expected
    }
}

impl Incident {
    /// Whether sales have little to do with it.
    const fn is_of_renewals(&self) -> bool {
        matches!(self.cause, Cause::Fewer)
            && self.lost_bps.0 >= LOST_BPS_MIN
            && self.lost_bps.0 >= 2 * self.lost_bps.1
    }

    /// Whether what was lost is much likelier as it comes now when all is as usual than when the loss
    /// goes on (a Poisson likelihood ratio): sales say nothing of renewals, nor they of sales.
    fn is_refuted_by(&self, gap: &Gap) -> bool {
        match self.cause {
            Cause::Fewer => {}
            Cause::Cheaper => {
                let (now, usual) = gap.sales_and_usual();
                return now.is_worth(&usual);
            }
            Cause::Used => return gap.used.is_back(gap.used_usual),
        }
        let evidence = |came: u64, expected: f64, lost_bps: i64| {
            if lost_bps < LOST_BPS_MIN {
                return 0.0;
            }
            let lost = lost_bps.max(self.drop_bps).clamp(0, 9_000);
            let lost = as_f64(lost.unsigned_abs()) / 10_000.0;
            as_f64(came) * -(1.0 - lost).ln() - expected * lost
        };
        let billed = gap.due.saturating_sub(gap.unasked());
        let sum = evidence(billed, as_f64(gap.due), self.lost_bps.0)
            + evidence(gap.sales, gap.sales_expected, self.lost_bps.1);
        sum >= RECOVERY_EVIDENCE.ln()
    }
}

/// The share that is missing, in basis points.
pub(super) fn drop_of(gap: &Gap) -> i64 {
    share_bps(gap.missing(), gap.expected)
}

/// Whether the longest window has too few renewals to show anything.
fn is_few_due(gap: &Gap) -> bool {
    gap.hours == WINDOW_MAX && as_f64(gap.due) < RECOVERY_PAYMENTS
}

/// Whether enough is missing to ask how likely that is, which is the dearer question.
fn is_much(gap: &Gap, settings: &Settings) -> bool {
    gap.is_nearly_whole() && drop_of(gap) > settings.drop_bps_min
}

fn is_implausible(gap: &Gap, settings: &Settings) -> bool {
    is_much(gap, settings)
        && gap.chance <= chance_max(settings)
        && share_bps(gap.least.saturating_sub(gap.collected), gap.least)
            > settings.drop_bps_min / LEAST_PART
}

pub(super) fn chance_max(settings: &Settings) -> f64 {
    as_f64(settings.chance_ppm_max.unsigned_abs()) / 1e6
}
