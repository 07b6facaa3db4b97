//! Failures that come by the clock: a merchant's own job that charges old debts each night has a share
//! of failures of its own, and it begins again before the hour's usual share has learned of it.
//!
//! What a spike was, or would have been, is remembered by the hour of the day in which the middle one of
//! its payers was declined: a run that only a long window shows is told hours later. What
//! came at an hour on three days of four weeks comes again, and is no news unless it is worse; what has no one cause, but is
//! declined for reasons of each card's own, on two.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::calendar::LocalTime;
use crate::detector::Context;
use crate::detectors::words::{as_f64, percent};
use crate::stats::beta_binomial_tail;
use crate::time::{Span, Timestamp};

use super::ChargeFailureSpike;
use super::judge::{Verdict, rate_bps};

/// How long a run is remembered: long enough for one that comes each week.
const KNOWN_DAYS: i64 = 28;

/// The most runs remembered.
const RUNS_MAX: usize = 128;

/// Days on which it came: twice may be two mishaps that have one cause.
const DAYS_MIN: usize = 3;

/// Days on which it came, where no code has most of the declines: old debts are declined for want of money, as
/// expired, as guessed. A fault that recurs at its hour recurs with its code.
const DAYS_MIN_MIXED: usize = 2;

/// So long after such a run it is over: what comes now is looked at without it.
const OVER_AFTER: Span = Span::minutes(30);

/// Why nothing was told is said so often at most.
const TOLD_EVERY: Span = Span::hours(2);

/// Hours of a day.
const HOURS: i64 = 24;

/// What is at least so likely at the share of those days is no worse.
const CHANCE_MIN: f64 = 1e-3;

/// Nor is what is no more than so many times their failures.
const TIMES_MAX: u64 = 3;

/// A share learned from one run is known no better than by so many attempts more than it had.
const PRIOR_WEIGHT: f64 = 10.0;

/// A spike that began, told or not.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Run {
    day: i64,
    hour: i64,
    failed: u64,
    all: u64,
}

impl Run {
    fn share(&self) -> f64 {
        as_f64(self.failed) / as_f64(self.all.max(1))
    }
}

/// When spikes began, oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Clockwork {
    runs: VecDeque<Run>,
    /// The newest attempt of a run that was no news.
    ended_at: Timestamp,
    told_at: Timestamp,
}

impl Clockwork {
    /// A spike begins at this time, or goes on in the hour in which it began.
    fn note(&mut self, at: LocalTime, verdict: &Verdict) {
        let (day, hour) = (at.day(), hour_of(at));
        let counts = verdict.sums.both();
        let is_old = |run: &Run| day - run.day > KNOWN_DAYS;
        while self.runs.len() >= RUNS_MAX || self.runs.front().is_some_and(is_old) {
            self.runs.pop_front();
        }
        let same = self.runs.iter_mut().rev();
        let mut same = same.filter(|run| (run.day, run.hour) == (day, hour));
        if let Some(run) = same.next() {
            if counts.failed > run.failed {
                (run.failed, run.all) = (counts.failed, counts.all);
            }
        } else {
            self.runs.push_back(Run {
                day,
                hour,
                failed: counts.failed,
                all: counts.all,
            });
        }
    }

    /// The least of the largest shares that such a spike had on so many different days at this hour, or
    /// at one beside it: jobs do not begin on the minute, and clocks are put forward and back.
    fn usual(&self, at: LocalTime, verdict: &Verdict, days_min: usize) -> Option<f64> {
        let (day, hour) = (at.day(), hour_of(at));
        let is_near = |run: &&Run| {
            let apart = (run.hour - hour).rem_euclid(HOURS);
            run.day < day && day - run.day <= KNOWN_DAYS && (apart <= 1 || apart == HOURS - 1)
        };
        let mut runs: Vec<Run> = self.runs.iter().filter(is_near).copied().collect();
        runs.sort_by(|a, b| b.share().total_cmp(&a.share()));
        let mut days: Vec<Run> = Vec::new();
        for run in runs {
            if days.iter().all(|known| known.day != run.day) {
                days.push(run);
            }
        }
        let least = days.get(days_min.checked_sub(1)?)?;
        let counts = verdict.sums.both();
        let most = days.iter().map(|run| run.failed).max().unwrap_or_default();
        let chance = beta_binomial_tail(
            counts.failed,
            counts.all,
            least.share().clamp(0.01, 0.95),
            as_f64(least.all) + PRIOR_WEIGHT,
        );
        (chance >= CHANCE_MIN && counts.failed <= most * TIMES_MAX).then(|| least.share())
    }
}

impl ChargeFailureSpike {
    /// Once a run by the clock is over, longer windows must not show it as something new.
    pub(super) fn leave_clockwork(&mut self) {
        let ended_at = self.clockwork.ended_at;
        if self.minutes.newest_at().since(ended_at) >= OVER_AFTER {
            self.minutes.begin_anew_from(ended_at);
        }
    }

    /// Whether a spike that would open comes at an hour that has such each time; says so.
    pub(super) fn is_clockwork(&mut self, verdict: &Verdict, ctx: &mut Context<'_>) -> bool {
        let bench = self.bench(ctx);
        let now = bench.middle(verdict.window);
        let days_min = if verdict.is_technical || bench.has_one_code(verdict) {
            DAYS_MIN
        } else {
            DAYS_MIN_MIXED
        };
        if let Some(spike) = &self.spike {
            let opened = ctx.calendar().local(spike.opened_at);
            if (opened.day(), hour_of(opened)) == (now.day(), hour_of(now)) {
                self.clockwork.note(now, verdict);
            }
            return false;
        }
        let usual = self.clockwork.usual(now, verdict, days_min);
        self.clockwork.note(now, verdict);
        let Some(usual) = usual else {
            return false;
        };
        self.clockwork.ended_at = self.minutes.newest_at();
        if ctx.now().since(self.clockwork.told_at) >= TOLD_EVERY {
            self.clockwork.told_at = ctx.now();
            let counts = verdict.sums.both();
            #[expect(clippy::cast_possible_truncation, reason = "a share of ten thousand")]
            let message = format!(
                "{} of {} payment attempts failed ({}), and {} or more at this hour on {days_min} days of the last {KNOWN_DAYS}",
                counts.failed,
                counts.all,
                percent(rate_bps(counts.failed, counts.all)),
                percent((usual * 10_000.0) as i64),
            );
            ctx.suppress("usual_at_this_hour", None, message);
        }
        true
    }
}

fn hour_of(at: LocalTime) -> i64 {
    i64::try_from(at.hour_of_week()).unwrap_or_default() % HOURS
}
