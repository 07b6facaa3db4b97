//! The two questions: do too many attempts fail, and does somebody try cards?

use std::collections::BTreeMap;

use crate::alert::Severity;
use crate::calendar::{Calendar, LocalTime};
use crate::money::share_bps;
use crate::stats::beta_binomial_tail;
use crate::time::{Span, Timestamp};

use super::failures::{Failure, Failures, Refusal};
use super::minutes::{Minutes, Sums};
use super::purchases::PLAIN_MIN;
use super::usual::{Share, Usual};
use super::{KEPT, Settings};

/// Windows are judged at these parts of the set length, each about twice the one before: a heavy
/// outage shows in minutes, a light one takes hours to tell from chance, and a merchant with an
/// attempt an hour half a day. No more than half of a window is then from before the fault.
const WINDOWS: [(i64, i64); 8] = [
    (1, 12),
    (1, 6),
    (1, 3),
    (1, 2),
    (1, 1),
    (2, 1),
    (4, 1),
    (12, 1),
];

/// Card testing is judged in these.
const TESTING_WINDOWS: [(i64, i64); 2] = [(1, 4), (1, 1)];

/// Failures of machines are rare at every merchant: three different payers are enough to ask.
const TECHNICAL_MIN: u64 = 3;

/// Fewer failing payers than this are a handful: see [`Bench::doubt`].
const HANDFUL: u64 = 10;

/// A handful without a common code must be less likely by this factor.
const MIXED_DOUBT: f64 = 0.05;

/// Failing payers without which nothing is critical, however high the rate.
const CRITICAL_MIN: u64 = 10;

/// The failure rate above which not even a stranger's failures may be usual.
const COLD_BPS_MAX: i64 = 6_000;

/// Something implausible in one window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) window: Span,
    pub(super) sums: Sums,
    /// The rate it is held against.
    pub(super) usual: Share,
    /// How likely it is by chance.
    pub(super) chance: f64,
    pub(super) severity: Severity,
    pub(super) is_technical: bool,
}

/// What all judging needs.
pub(super) struct Bench<'a> {
    pub(super) settings: &'a Settings,
    pub(super) usual: &'a Usual,
    pub(super) minutes: &'a Minutes,
    pub(super) failures: &'a Failures,
    pub(super) calendar: &'a Calendar,
}

impl Bench<'_> {
    pub(super) fn window(&self) -> Span {
        Span::secs(self.settings.window_secs)
    }

    fn part(&self, times: i64, parts: i64) -> Span {
        let secs = self.settings.window_secs.saturating_mul(times) / parts;
        Span::secs(secs.max(60)).min(KEPT)
    }

    pub(super) fn at(&self) -> LocalTime {
        self.calendar.local(self.minutes.newest_at())
    }

    /// Whether too many attempts fail: the least plausible of the windows that are beyond the line.
    pub(super) fn failing(&self) -> Option<Verdict> {
        // A day's sums stand behind it, and most looks find no window beyond the line.
        let chance_max = std::cell::LazyCell::new(|| self.chance_max());
        let mut worst: Option<Verdict> = None;
        let windows = WINDOWS.map(|(times, parts)| self.part(times, parts));
        if !windows.iter().any(|window| self.may_be_above(*window)) {
            return None;
        }
        let all_sums = self.minutes.spike_sums_of(windows);
        for (window, sums) in windows.into_iter().zip(all_sums) {
            let found = self.weigh(window, sums);
            let is_implausible = |found: &Verdict| found.chance <= self.doubt(found) * *chance_max;
            if let Some(found) = found.filter(is_implausible)
                && worst.is_none_or(|known| found.chance < known.chance)
            {
                worst = Some(found);
            }
        }
        worst
    }

    /// A fault has one cause, and most of its failures one code. A handful of payers who are
    /// declined for different reasons have nothing in common but the hour, and chance brings a
    /// handful together sooner than any test of the rate alone allows for.
    fn doubt(&self, found: &Verdict) -> f64 {
        if found.is_technical || found.sums.both().failed >= HANDFUL || self.has_one_code(found) {
            1.0
        } else {
            MIXED_DOUBT
        }
    }

    /// Whether most payers of a window were declined by one code.
    pub(super) fn has_one_code(&self, found: &Verdict) -> bool {
        let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
        for failure in self.declined(found.window) {
            *counts.entry(failure.code).or_default() += 1;
        }
        let most = counts.values().max().copied().unwrap_or(0);
        most * 4 >= found.sums.both().failed * 3
    }

    /// When the middle one of the payers of a window was declined; the newest attempt, where none was.
    pub(super) fn middle(&self, window: Span) -> LocalTime {
        let mut at: Vec<Timestamp> = self.declined(window).map(|failure| failure.at).collect();
        at.sort_unstable();
        let middle = at.get(at.len() / 2);
        let middle = middle.copied().unwrap_or(self.minutes.newest_at());
        self.calendar.local(middle)
    }

    /// The payers of a window that were declined.
    fn declined(&self, window: Span) -> impl Iterator<Item = &Failure> {
        let since = self.failures.since(self.minutes.spike_since(window));
        let payers = since.filter(|failure| failure.is_new_payer);
        payers.filter(|failure| failure.refusal == Refusal::Declined)
    }

    /// A window beyond the line, and how likely it is by chance.
    pub(super) fn weigh(&self, window: Span, sums: Sums) -> Option<Verdict> {
        let counts = sums.both();
        if rate_bps(counts.failed, counts.all) <= self.settings.rate_bps_max {
            return None;
        }
        let failures_min = u64::try_from(self.settings.failures_min).unwrap_or(u64::MAX);
        let are_enough = counts.failed >= failures_min;
        let are_technical = counts.technical >= TECHNICAL_MIN.min(failures_min)
            && 2 * counts.technical > counts.failed;
        // Hours are summed for what is usual: few windows hold enough to ask for it.
        if !are_enough && !are_technical {
            return None;
        }
        let before = self.before(window);
        let usual = self.usual.failing(self.at(), &sums, &before);
        let mut found =
            are_enough.then(|| (self.usual.chance(counts, usual, &before), usual, false));
        if are_technical {
            let technical = self.usual.technical(self.at(), &before);
            let (share, weight) = (technical.share, technical.weight);
            let chance = beta_binomial_tail(counts.technical, counts.all, share, weight);
            if found.is_none_or(|(known, ..)| chance < known) {
                found = Some((chance, usual, true));
            }
        }
        let (chance, usual, is_technical) = found?;
        Some(Verdict {
            window,
            sums,
            usual,
            chance,
            severity: severity_of(counts.failed, counts.all),
            is_technical,
        })
    }

    /// Whether somebody tries cards: too many with a mark of it, and two signs at least; or so many on
    /// one purchase as no buyer has.
    pub(super) fn testing(&self) -> Option<Verdict> {
        let cards_min = u64::try_from(self.settings.testing_cards_min).unwrap_or(u64::MAX);
        for (times, parts) in TESTING_WINDOWS {
            let window = self.part(times, parts);
            // Those that are truly marked are among the marked, and so are those of one purchase from the fourth on.
            let may_be_plain = window >= self.window();
            let least = if may_be_plain { 1 } else { cards_min };
            let brief = self.minutes.marked_brief(window);
            if brief.is_some_and(|marked| marked < least) {
                continue;
            }
            let sums = self.minutes.sums(window);
            let marked = sums.truly_marked();
            let is_plain = may_be_plain && sums.most_of_one >= cards_min.max(PLAIN_MIN);
            if !is_plain && (marked < cards_min || signs(&sums) < 2) {
                continue;
            }
            let usual = self.usual.marked(self.at(), &self.before(window));
            let mut chance = beta_binomial_tail(marked, sums.tries(), usual.share, usual.weight);
            let chance_max = self.chance_max();
            if is_plain {
                // What others do meanwhile makes it no likelier that one buyer has so many cards.
                chance = chance.min(chance_max);
            }
            if chance <= chance_max {
                let severity = testing_severity(&sums);
                return Some(Verdict {
                    window,
                    sums,
                    usual,
                    chance,
                    severity,
                    is_technical: false,
                });
            }
        }
        None
    }

    /// Whether no more cards with a mark come than chance would bring.
    pub(super) fn is_testing_over(&self) -> bool {
        let sums = self.minutes.sums(self.window());
        let usual = self.usual.marked(self.at(), &Sums::default());
        let marked = sums.truly_marked();
        beta_binomial_tail(marked, sums.tries(), usual.share, usual.weight) > 0.01
    }

    /// Whether a window's rate is above the line, as far as that is [added up](Minutes::add_up).
    pub(super) fn may_be_above(&self, window: Span) -> bool {
        self.minutes
            .spike_brief(window)
            .is_none_or(|(all, failed)| rate_bps(failed, all) > self.settings.rate_bps_max)
    }

    fn chance_max(&self) -> f64 {
        let newest = self.minutes.sums(Span::days(1)).both().all;
        #[expect(clippy::cast_precision_loss, reason = "a setting, at most 1,000")]
        let alerts_a_year = self.settings.chance_alerts_per_year as f64;
        self.usual.chance_a_look(alerts_a_year, newest)
    }

    /// What is remembered from before a window.
    fn before(&self, window: Span) -> Sums {
        self.minutes.calm_before(window)
    }
}

/// How many of the five signs of card testing a window shows (Stripe docs: Protect yourself from
/// card testing): amounts far below the usual, Radar's blocks, failed set-ups, declines as
/// guessed cards get them, and most cards tried on purchases that had had three before. (In an outage
/// some buyers go on to a fourth; not most.)
pub(super) fn signs(sums: &Sums) -> u32 {
    let charged = sums.cards.saturating_sub(sums.setups);
    let asked = sums.cards.saturating_sub(sums.blocked);
    let is_share = |part: u64, least: u64, percent: u64, whole: u64| {
        part >= least && part * 100 >= whole * percent
    };
    [
        sums.is_tiny_a_mark() && is_share(sums.tiny, 3, 50, charged),
        is_share(sums.blocked, 3, 5, sums.cards),
        is_share(sums.setups, 3, 5, sums.cards),
        is_share(sums.guessed, 3, 60, asked),
        is_share(sums.of_one, 3, 50, charged),
    ]
    .into_iter()
    .map(u32::from)
    .sum()
}

pub(super) fn rate_bps(part: u64, whole: u64) -> i64 {
    share_bps(
        i64::try_from(part).unwrap_or(i64::MAX),
        i64::try_from(whole).unwrap_or(i64::MAX),
    )
}

/// Whether so many failures may be a stranger's usual: banks decline a third and more of all cards in
/// some countries. Machines that fail, and most of all attempts, are a fault.
pub(super) fn may_be_usual(verdict: &Verdict) -> bool {
    let counts = verdict.sums.both();
    !verdict.is_technical && rate_bps(counts.failed, counts.all) <= COLD_BPS_MAX
}

fn severity_of(failed: u64, all: u64) -> Severity {
    match rate_bps(failed, all) {
        7_500.. if failed >= CRITICAL_MIN => Severity::Critical,
        4_000.. => Severity::High,
        _ => Severity::Medium,
    }
}

/// An attack costs fees and trust from the first card on; hundreds an hour draw the networks'
/// enumeration programmes.
pub(super) fn testing_severity(sums: &Sums) -> Severity {
    match sums.cards {
        100.. => Severity::Critical,
        _ => Severity::High,
    }
}
