//! How often attempts usually fail at this merchant, and how much chance may be asked of it.

use serde::{Deserialize, Serialize};

use crate::calendar::{Calendar, LocalTime};
use crate::stats::{HourlyShare, beta_binomial_odds, beta_binomial_tail};
use crate::time::Timestamp;

use super::super::words::as_f64;
use super::minutes::{Counts, Hand, Minute, Sums};

/// A newcomer's failure rate until its own is known: 10 %, the high end of healthy card businesses,
/// weighing as much as 40 attempts. A stranger gets the benefit of the doubt.
const PRIOR: (f64, f64) = (4.0, 40.0);

/// A stranger may be one of those whose cards are declined a lot: in some countries and trades banks
/// decline a third and more of all cards. These fail at 40 %, a tenth more or less.
const PRIOR_DECLINED: (f64, f64) = (8.0, 20.0);

/// One stranger in twenty is taken for such a one, until what came before says more.
const DECLINED_SHARE: f64 = 0.05;

/// Failures of machines rather than of cards, until the own rate is known: 1 %.
const PRIOR_TECHNICAL: (f64, f64) = (0.4, 40.0);

/// Cards with a mark of card testing, until the own rate is known: 2 % of all tries.
const PRIOR_MARKED: (f64, f64) = (0.8, 40.0);

/// How well a prior is held to be known, beside what was learned, in attempts.
const PRIOR_WEIGHT: f64 = 100.0;

/// How well any rate is held to be known: real rates stray from hour to hour.
const WEIGHT_MAX: f64 = 400.0;

/// What is kept of everything learned from one day to the next: a memory of about four weeks.
const KEPT_A_DAY: f64 = 27.0 / 28.0;

/// Until so many attempts are learned, what lies before the window judged counts as known too.
const KNOWN_MIN: f64 = 200.0;

/// A day has at least so many attempts to look at, whatever the merchant: one with a few a day would
/// be granted a chance that four declines in a row have now and then.
const ATTEMPTS_A_DAY_MIN: f64 = 300.0;

/// How many looks of its own an attempt brings, over all windows. Only failures are looked at, and
/// each look shares nearly all it sees with the one before. Measured: with this, attempts that fail by
/// chance alone raise as many alerts as the setting says at most (the test
/// `chance_alone_keeps_to_the_setting`).
const LOOKS_AN_ATTEMPT: f64 = 0.2;

/// A usual share, and how well it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) share: f64,
    pub(super) weight: f64,
}

/// What is usual in one scope.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Usual {
    checkout: HourlyShare,
    renewal: HourlyShare,
    technical: HourlyShare,
    marked: HourlyShare,
    /// The hour being gathered.
    hour: Timestamp,
    gathered: Sums,
    /// Days that brought attempts, fading, and the newest of them.
    days: f64,
    day: i64,
}

impl Usual {
    /// Takes in a minute that lies behind.
    pub(super) fn learn(&mut self, minute: &Minute, calendar: &Calendar) {
        if minute.is_tainted {
            return;
        }
        self.turn_to(minute.at, calendar);
        self.gathered = self.gathered.plus(minute.sums);
    }

    /// Takes in an attempt made long ago.
    pub(super) fn learn_one(
        &mut self,
        at: Timestamp,
        hand: Hand,
        counts: Counts,
        calendar: &Calendar,
    ) {
        self.turn_to(at, calendar);
        let known = self.gathered.of(hand);
        *known = known.plus(counts);
    }

    /// Begins to gather another hour, if this instant is in another.
    fn turn_to(&mut self, at: Timestamp, calendar: &Calendar) {
        let hour = calendar.hour_start(at);
        if hour == self.hour {
            return;
        }
        let at = calendar.local(self.hour);
        let sums = std::mem::take(&mut self.gathered);
        let both = sums.both();
        if both.all > 0 && at.day() != self.day {
            self.day = at.day();
            self.days += 1.0;
        }
        self.checkout
            .add(at, sums.checkout.failed, sums.checkout.all, PRIOR);
        self.renewal
            .add(at, sums.renewal.failed, sums.renewal.all, PRIOR);
        self.technical
            .add(at, both.technical, both.all, PRIOR_TECHNICAL);
        self.marked.add(at, sums.marked, sums.tries(), PRIOR_MARKED);
        self.hour = hour;
    }

    /// A day passed.
    pub(super) fn fade(&mut self) {
        for share in [
            &mut self.checkout,
            &mut self.renewal,
            &mut self.technical,
            &mut self.marked,
        ] {
            share.decay(KEPT_A_DAY);
        }
        self.days *= KEPT_A_DAY;
    }

    /// Attempts learned from.
    pub(super) const fn known(&self) -> f64 {
        self.checkout.trials() + self.renewal.trials()
    }

    /// Whether next to nothing is learned yet.
    pub(super) const fn is_unknown(&self) -> bool {
        self.known() < KNOWN_MIN
    }

    /// The usual rate of failure of a window's attempts, made around `at`: each hand's own rate, by
    /// the hands the window has. `before` is what lies just before the window.
    pub(super) fn failing(&self, at: LocalTime, window: &Sums, before: &Sums) -> Share {
        let of = |share: &HourlyShare, counts: Counts| {
            let prior = self.prior(PRIOR, (counts.failed, counts.all));
            (share.share_at(at, prior), weight(share, prior))
        };
        let (checkout, renewal) = (
            of(&self.checkout, before.checkout),
            of(&self.renewal, before.renewal),
        );
        let all = as_f64(window.both().all).max(1.0);
        let mix = |checkout: f64, renewal: f64| {
            (checkout * as_f64(window.checkout.all) + renewal * as_f64(window.renewal.all)) / all
        };
        Share {
            share: mix(checkout.0, renewal.0).clamp(0.005, 0.6),
            weight: mix(checkout.1, renewal.1),
        }
    }

    /// How likely so many failures of a window's attempts are by chance, at the usual rate. Of a
    /// stranger it is not known whether that is an ordinary one.
    pub(super) fn chance(&self, window: Counts, usual: Share, before: &Sums) -> f64 {
        let chance = beta_binomial_tail(window.failed, window.all, usual.share, usual.weight);
        if !self.is_unknown() {
            return chance;
        }
        let before = before.both();
        let hits = self.checkout.hits() + self.renewal.hits() + as_f64(before.failed);
        let seen = (hits, self.known() + as_f64(before.all));
        let odds = beta_binomial_odds(seen, PRIOR_DECLINED, PRIOR) * DECLINED_SHARE;
        let declined = odds / (odds + 1.0 - DECLINED_SHARE);
        let weight = PRIOR_DECLINED.1 + seen.1;
        let share = (PRIOR_DECLINED.0 + seen.0) / weight;
        let of_declined = beta_binomial_tail(window.failed, window.all, share, weight);
        declined * of_declined + (1.0 - declined) * chance
    }

    /// The usual rate of failures of machines.
    pub(super) fn technical(&self, at: LocalTime, before: &Sums) -> Share {
        let before = before.both();
        let prior = self.prior(PRIOR_TECHNICAL, (before.technical, before.all));
        Share {
            share: self.technical.share_at(at, prior).clamp(0.002, 0.6),
            weight: weight(&self.technical, prior),
        }
    }

    /// The usual rate of marked cards among all tries.
    pub(super) fn marked(&self, at: LocalTime, before: &Sums) -> Share {
        let prior = self.prior(PRIOR_MARKED, (before.marked, before.tries()));
        Share {
            share: self.marked.share_at(at, prior).clamp(0.002, 0.6),
            weight: weight(&self.marked, prior),
        }
    }

    /// The chance that one look may have to be fooled, so that `alerts_a_year` of all looks are.
    /// `newest` is how many attempts the newest hours brought.
    pub(super) fn chance_a_look(&self, alerts_a_year: f64, newest: u64) -> f64 {
        let a_day = self.known() / self.days.max(1.0);
        let looks = a_day.max(as_f64(newest)).max(ATTEMPTS_A_DAY_MIN) * LOOKS_AN_ATTEMPT;
        alerts_a_year / 365.0 / looks
    }

    /// While little is learned, what was seen just now counts as well.
    fn prior(&self, prior: (f64, f64), (hits, trials): (u64, u64)) -> (f64, f64) {
        if self.known() >= KNOWN_MIN {
            return prior;
        }
        (prior.0 + as_f64(hits), prior.1 + as_f64(trials))
    }
}

fn weight(share: &HourlyShare, prior: (f64, f64)) -> f64 {
    (share.trials() + prior.1 + PRIOR_WEIGHT).min(WEIGHT_MAX)
}
