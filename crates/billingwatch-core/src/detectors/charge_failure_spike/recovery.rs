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

/// With no failure for so long it is over as soon as anybody paid: a merchant with an attempt every
/// few days has no ten of them in a week, and a second burst would be taken for part of the first.
const CALM_SPAN: Span = Span::days(1);

/// With no attempt at all for so long, too: what comes then is an incident of its own. A weekend is
/// shorter, and what is down on Friday may be so on Monday.
const STILL_SPAN: Span = Span::days(3);

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
        if let Some(reason) = self.faded(ctx) {
            return Some(reason);
        }
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

    /// Why it is over where few attempts come: nobody fails any more, and no card is tried in vain. Only
    /// time whose events have arrived counts.
    fn faded(&self, ctx: &Context<'_>) -> Option<String> {
        let known_until = ctx.intake().complete_until(ctx.now());
        let quiet = known_until.since(self.last_failed_at);
        if quiet < CALM_SPAN || self.minutes.has_failures() {
            return None;
        }
        if self.recent.back() == Some(&false) {
            return Some(format!(
                "nobody failed for {CALM_SPAN}, and the newest attempt succeeded"
            ));
        }
        let is_still =
            quiet >= STILL_SPAN && known_until.since(self.minutes.newest_at()) >= STILL_SPAN;
        is_still.then(|| format!("no payment was attempted for {STILL_SPAN}"))
    }

    pub(super) fn usual_share(&self, ctx: &Context<'_>) -> f64 {
        let sums = self.minutes.spike_sums(RECOVERY_SPAN);
        let before = Sums::default();
        self.usual
            .failing(self.bench(ctx).at(), &sums, &before)
            .share
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::testing::check;

    /// An attempt a day for a month, and one in ten fails; then cards are tried for some minutes.
    const BURST: &str = "+1m charge.failed card=new code=generic_decline x20/20s\n";

    fn told(after: &str) -> String {
        let month =
            "+1d charge.succeeded x9/1d\n+1d charge.failed card=new code=insufficient_funds\n";
        let timeline = format!("{}+10h wait\n{BURST}{after}", month.repeat(3));
        let told = check("charge_failure_spike", &timeline);
        let loud = told.lines().filter(|line| !line.contains(" quiet "));
        loud.map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn a_day_without_failures_ends_it_once_anybody_paid_and_a_second_burst_is_loud() {
        assert_snapshot!(told(&format!("+10h charge.succeeded\n+2d wait\n{BURST}")), @"
        d30 10:02:00 firing high all: 5 of 5 payment attempts failed within 12h (100 %), where 9.1 % is assumed to be usual until more is known; 100.00 USD did not come in. 4 of 5 were declined as generic_decline
        d30 10:04:00 escalated critical all: 10 of 10 payment attempts failed within 12h (100 %), where 9.1 % is assumed to be usual until more is known; 200.00 USD did not come in. 9 of 10 were declined as generic_decline
        d31 10:08:00 resolved critical all: nobody failed for 1d, and the newest attempt succeeded
        d32 20:09:40 firing high all: 5 of 5 payment attempts failed within 5m (100 %), where 9.1 % is assumed to be usual until more is known; 100.00 USD did not come in. 5 of 5 were declined as generic_decline
        d32 20:12:00 escalated critical all: 11 of 11 payment attempts failed within 5m (100 %), where 9.1 % is assumed to be usual until more is known; 220.00 USD did not come in. 11 of 11 were declined as generic_decline
        ");
        // Cards that are saved are tried as well.
        let saved = "+1m setup_intent.setup_failed card=new code=incorrect_number x40/20s\n";
        let told = told(&format!("+2d charge.succeeded\n+10d wait\n{saved}"));
        assert_eq!(told.matches(" firing ").count(), 2, "{told}");
    }

    #[test]
    fn it_goes_on_while_somebody_fails_each_day_and_over_a_weekend_without_attempts() {
        let failing = "+10h charge.succeeded\n+10h charge.failed card=new code=generic_decline\n";
        assert_snapshot!(told(&failing.repeat(5)), @"
        d30 10:02:00 firing high all: 5 of 5 payment attempts failed within 12h (100 %), where 9.1 % is assumed to be usual until more is known; 100.00 USD did not come in. 4 of 5 were declined as generic_decline
        d30 10:04:00 escalated critical all: 10 of 10 payment attempts failed within 12h (100 %), where 9.1 % is assumed to be usual until more is known; 200.00 USD did not come in. 9 of 10 were declined as generic_decline
        ");
        let told = told(&format!("+60h wait\n{BURST}"));
        assert_eq!(told.matches(" firing ").count(), 1, "{told}");
        assert!(!told.contains("resolved"), "{told}");
    }

    #[test]
    fn no_attempt_for_days_ends_it() {
        assert_snapshot!(told(&format!("+4d wait\n{BURST}")), @"
        d30 10:02:00 firing high all: 5 of 5 payment attempts failed within 12h (100 %), where 9.1 % is assumed to be usual until more is known; 100.00 USD did not come in. 4 of 5 were declined as generic_decline
        d30 10:04:00 escalated critical all: 10 of 10 payment attempts failed within 12h (100 %), where 9.1 % is assumed to be usual until more is known; 200.00 USD did not come in. 9 of 10 were declined as generic_decline
        d33 10:08:00 resolved critical all: no payment was attempted for 3d
        d34 10:09:40 firing high all: 5 of 5 payment attempts failed within 5m (100 %), where 9.1 % is assumed to be usual until more is known; 100.00 USD did not come in. 5 of 5 were declined as generic_decline
        d34 10:12:00 escalated critical all: 11 of 11 payment attempts failed within 5m (100 %), where 9.1 % is assumed to be usual until more is known; 220.00 USD did not come in. 11 of 11 were declined as generic_decline
        ");
    }
}
