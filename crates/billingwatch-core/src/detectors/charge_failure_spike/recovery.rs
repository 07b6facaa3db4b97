//! When a spike is over: attempts go well again, and that is no chance.
//!
//! A fault that hits a part of the payments alone (a currency, a brand, one issuer) lets most
//! attempts through, and twenty in a row may look well while it lasts. So beside the share of the
//! newest attempts their odds count: how much likelier the usual rate explains what came than the
//! rate of the incident does, in a running sum that a new failure sets back (a sequential test,
//! CUSUM).

use serde::{Deserialize, Serialize};

use crate::detector::Context;
use crate::detectors::words::as_f64;
use crate::time::Span;

use super::judge::rate_bps;
use super::minutes::{Counts, Sums};
use super::{ChargeFailureSpike, Incident, report};

/// How many of the newest attempts decide about recovery, and without how many nothing is decided.
const RECENT_MAX: usize = 20;
const RECENT_MIN: usize = 10;

/// How long attempts must have gone well again: an attack comes in waves.
const RECOVERY_SPAN: Span = Span::minutes(30);

/// The usual rate must explain what came this much better than the incident's rate before it is
/// over: the logarithm of odds of a thousand to one.
const CALM_MIN: f64 = 6.9;

/// With no failure for so long the newest attempts are enough: a merchant with ten a day would need a
/// week to gather such odds, and a second fault in it would not be told.
const LONG_QUIET: Span = Span::hours(6);

/// An incident's rate is taken to be so many times the usual one at least.
const WORSE: f64 = 1.5;

/// Attempts, failed and all, that count for any incident: see [`share_of`].
const PRIOR: (f64, f64) = (1.0, 12.0);

/// How an open spike goes on.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Course {
    counts: Counts,
    /// The share that failed until the last failure.
    share: f64,
    usual: f64,
    /// The logarithm of the odds that it is over.
    calm: f64,
}

impl Course {
    /// It begins with what the window that opened it held.
    pub(super) fn of(counts: Counts) -> Self {
        Self {
            counts,
            share: share_of(counts),
            ..Self::default()
        }
    }

    /// What is usual for the attempts of these minutes: the mix of renewals and checkouts changes.
    pub(super) const fn know_usual(&mut self, share: f64) {
        self.usual = share;
    }

    fn take(&mut self, is_failed: bool, usual: f64, line: f64) {
        self.counts.all += 1;
        if is_failed {
            self.counts.failed += 1;
            self.share = share_of(self.counts);
        }
        let usual = usual.max(self.usual).clamp(0.005, 0.6);
        let going_on = self.share.max(line).max(WORSE * usual).clamp(0.01, 0.95);
        let odds = if is_failed {
            usual / going_on
        } else {
            (1.0 - usual) / (1.0 - going_on)
        };
        self.calm = (self.calm + odds.ln()).max(0.0);
    }
}

/// The share of an incident's attempts that failed, drawn towards that of a mild one: the window that
/// opened it is the worst of several, and a handful.
fn share_of(counts: Counts) -> f64 {
    (as_f64(counts.failed) + PRIOR.0) / (as_f64(counts.all) + PRIOR.1)
}

impl ChargeFailureSpike {
    /// An attempt was made.
    pub(super) fn remember(&mut self, is_failed: bool) {
        let Some(incident) = &mut self.spike else {
            return;
        };
        #[expect(clippy::cast_precision_loss, reason = "a setting, at most 10,000")]
        let line = self.settings.rate_bps_max as f64 / 10_000.0;
        incident.course.take(is_failed, incident.usual, line);
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(is_failed);
    }

    /// Why the spike is over, if it is.
    pub(super) fn recovered(&self, incident: &Incident, ctx: &Context<'_>) -> Option<String> {
        let usual = report::with_margin(incident.usual.max(self.usual_share(ctx)));
        let line = self.settings.recovery_bps_max.max(usual);
        let quiet = self.minutes.newest_at().since(self.last_failed_at);
        let is_quiet = quiet >= RECOVERY_SPAN;
        // The newest ten are enough where none of them failed.
        let newest = if is_quiet { RECENT_MIN } else { RECENT_MAX };
        let recent = self.recent.iter().rev().take(newest);
        let all = recent.clone().count() as u64;
        let failed = recent.filter(|failed| **failed).count() as u64;
        if incident.course.calm < CALM_MIN && quiet < LONG_QUIET {
            return None;
        }
        if self.recent.len() < newest || rate_bps(failed, all) > line {
            return None;
        }
        let lately = self.minutes.spike_sums(RECOVERY_SPAN).both();
        if rate_bps(lately.failed, lately.all) > line {
            return None;
        }
        Some(format!("{failed} of the newest {all} attempts failed"))
    }

    pub(super) fn usual_share(&self, ctx: &Context<'_>) -> f64 {
        let sums = self.minutes.spike_sums(RECOVERY_SPAN);
        let before = Sums::default();
        self.usual
            .failing(self.bench(ctx).at(), &sums, &before)
            .share
    }
}
