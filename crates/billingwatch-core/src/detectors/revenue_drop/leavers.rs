//! Who leaves: subscriptions given up within hours, against how many usually are.
//!
//! A tenth of all who leave in an afternoon are far fewer than the sum of what is committed strays by in a month, and far more than
//! ever leave in an afternoon.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::ids::Key;
use crate::ledger::Generations;
use crate::money::{Currency, Money, share_bps};
use crate::stats::poisson_tail;
use crate::time::{Span, Timestamp};

use super::super::words::percent;
use super::commitment::Commitment;
use super::mrr::{HELD, HELD_ONE_BY_ONE, STEEP_BPS, Standing};
use super::terms::Told;
use super::{CURRENCIES_MAX, Settings};

/// Stretches that are added up.
const STRETCHES: usize = 36;

/// The same as a time: three hours.
const WINDOW: Span = Span::hours(3);

/// Days whose worst is remembered: what is cleared away once a month has come twice.
const DAYS_MAX: usize = 70;

/// Days that must be known: of so many one may have been an incident, or what is cleared away once a week.
const DAYS_MIN: usize = 14;

/// So many at least, on balance: fewer are a few customers' own matter.
const LOST_MIN: i64 = 8;

/// So many times as many as on all days but one.
const TIMES_MIN: i64 = 2;

/// How likely so many may be where as many as on the worst of all days but one are usual.
const CHANCE_MAX: f64 = 1e-6;

/// What is told is over when as much of it came back, in basis points,
const BACK_BPS: i64 = 5_000;

/// or after so long.
const HOLD: Span = Span::days(7);

/// At most twice so many of those who left are remembered, for as long.
const LEFT_MAX: usize = 50_000;

/// One stretch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Stretch {
    /// Given up, less those begun.
    balance: i64,
    /// Those given up, and minor units a month, by currency.
    lost: BTreeMap<Currency, (i64, i64)>,
}

/// What was told.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Wave {
    /// How many were gone when it was told last.
    told: i64,
    told_at: Timestamp,
    /// The balance since then.
    since: i64,
}

/// One scope's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Leavers {
    /// The newest last; that which is under way among them.
    stretches: VecDeque<Stretch>,
    /// The worst window that began on each of the days before, newest last, and today's.
    days: VecDeque<i64>,
    today: Option<(i64, i64)>,
    /// Since when too many are gone.
    low_since: Option<Timestamp>,
    wave: Option<Wave>,
    /// Who left: it may come back.
    left: Generations<()>,
}

impl Default for Leavers {
    fn default() -> Self {
        Self {
            stretches: VecDeque::default(),
            days: VecDeque::default(),
            today: None,
            low_since: None,
            wave: None,
            left: Generations::new(HOLD, LEFT_MAX),
        }
    }
}

/// What is to be told.
pub(super) enum Step {
    Left(Currency, Box<Finding>),
    Over(String),
}

impl Leavers {
    /// Takes in what a subscription was and is.
    pub(super) fn look(
        &mut self,
        key: Key,
        old: Option<Commitment>,
        standing: &Standing,
        told: Told,
        now: Timestamp,
    ) {
        // What is heard late was not missed in this hour.
        if told.at < now - WINDOW {
            return;
        }
        match (old, standing) {
            // One that could not be collected gives itself up.
            (Some(old), Standing::Gone) if !told.is_unpaid && !old.is_past_due() => {
                self.left.insert(key, ());
                self.leave(old);
            }
            (None, Standing::Committed(_)) => {
                let is_new = told
                    .created
                    .is_some_and(|created| told.at.since(created) < WINDOW);
                if self.left.contains(key) || (told.is_first && is_new) {
                    self.left.remove(key);
                    self.add(-1);
                }
            }
            _ => {}
        }
    }

    fn leave(&mut self, old: Commitment) {
        self.add(1);
        let lost = &mut self.newest().lost;
        if lost.len() < CURRENCIES_MAX || lost.contains_key(&old.currency) {
            let (count, sum) = lost.entry(old.currency).or_default();
            *count += 1;
            *sum = sum.saturating_add(old.amount());
        }
    }

    fn add(&mut self, gone: i64) {
        self.newest().balance += gone;
        if let Some(wave) = &mut self.wave {
            wave.since += gone;
        }
    }

    fn newest(&mut self) -> &mut Stretch {
        if self.stretches.is_empty() {
            self.stretches.push_back(Stretch::default());
        }
        let newest = self.stretches.len() - 1;
        &mut self.stretches[newest]
    }

    /// Whether nothing is to be looked at but the passing of time.
    pub(super) const fn is_calm(&self) -> bool {
        self.low_since.is_none() && self.wave.is_none()
    }

    /// Whether a wave is told.
    pub(super) const fn is_told(&self) -> bool {
        self.wave.is_some()
    }

    /// So many stretches are over.
    pub(super) fn end_stretches(&mut self, count: i64, now: Timestamp) {
        if count == 0 {
            return;
        }
        self.learn(now);
        self.left.advance_to(now);
        let count = usize::try_from(count).unwrap_or(0).min(STRETCHES);
        for _ in 0..count {
            self.stretches.push_back(Stretch::default());
        }
        while self.stretches.len() > STRETCHES {
            self.stretches.pop_front();
        }
    }

    /// How many are gone in the window, on balance.
    fn lost(&self) -> i64 {
        self.stretches.iter().map(|stretch| stretch.balance).sum()
    }

    /// Brings the window that ends now into its day: that on which it began, so that one wave is on one day.
    fn learn(&mut self, now: Timestamp) {
        let (day, lost) = ((now - WINDOW).as_secs().div_euclid(86_400), self.lost());
        match &mut self.today {
            Some((today, worst)) if *today == day => *worst = lost.max(*worst),
            Some((today, worst)) => {
                let passed = usize::try_from(day - *today).unwrap_or(0).min(DAYS_MAX);
                self.days.push_back(*worst);
                self.days
                    .extend(std::iter::repeat_n(0, passed.saturating_sub(1)));
                while self.days.len() > DAYS_MAX {
                    self.days.pop_front();
                }
                self.today = Some((day, lost));
            }
            None => self.today = Some((day, lost)),
        }
    }

    /// The worst of all days but one, which may have been an incident of its own.
    fn usual(&self) -> i64 {
        let (mut worst, mut second) = (0, 0);
        for day in &self.days {
            if *day > worst {
                (worst, second) = (*day, worst);
            } else {
                second = second.max(*day);
            }
        }
        second
    }

    /// Whether those of the window left bit by bit, and not by a program.
    fn is_one_by_one(&self, lost: i64) -> bool {
        let balance = |index: usize| self.stretches.get(index).map_or(0, |it| it.balance);
        let steepest = (0..self.stretches.len()).map(|index| balance(index) + balance(index + 1));
        share_bps(steepest.max().unwrap_or_default(), lost) <= STEEP_BPS
    }

    /// Judges the window as it is now, where so many subscriptions are left; `is_told` while the sum of what is committed is
    /// told, which says the same.
    pub(super) fn judge(
        &mut self,
        now: Timestamp,
        live: i64,
        is_told: bool,
        settings: &Settings,
    ) -> Option<Step> {
        let lost = self.lost();
        if let Some(wave) = self.wave {
            let is_back = share_bps(-wave.since, wave.told) >= BACK_BPS;
            if is_back || now.since(wave.told_at) >= HOLD {
                self.wave = None;
                self.low_since = None;
                let reason = if is_back {
                    "as many as half of them came back".to_owned()
                } else {
                    format!("no such wave for {HOLD}")
                };
                return Some(Step::Over(reason));
            }
        }
        let before = live.saturating_add(lost);
        if self.days.len() < DAYS_MIN
            || lost < LOST_MIN
            || share_bps(lost, before) < settings.leavers_bps_min
        {
            self.low_since = None;
            return None;
        }
        let usual = self.usual();
        if lost < usual.saturating_mul(TIMES_MIN) || chance(lost, usual) > CHANCE_MAX {
            self.low_since = None;
            return None;
        }
        let held = now.since(*self.low_since.get_or_insert(now));
        let is_certain = held >= HELD || held >= HELD_ONE_BY_ONE && self.is_one_by_one(lost);
        let is_news = self
            .wave
            .is_none_or(|wave| lost >= wave.told.saturating_mul(2));
        if !is_certain || !is_news || is_told {
            return None;
        }
        self.wave = Some(Wave {
            told: lost,
            told_at: now,
            since: 0,
        });
        let (currency, finding) = self.describe(lost, before, usual, settings)?;
        Some(Step::Left(currency, Box::new(finding)))
    }

    fn describe(
        &self,
        lost: i64,
        before: i64,
        usual: i64,
        settings: &Settings,
    ) -> Option<(Currency, Finding)> {
        let mut all: BTreeMap<Currency, (i64, i64)> = BTreeMap::new();
        for (currency, (count, sum)) in self.stretches.iter().flat_map(|it| &it.lost) {
            let known = all.entry(*currency).or_default();
            *known = (known.0 + count, known.1.saturating_add(*sum));
        }
        let (currency, (count, sum)) = all.into_iter().max_by_key(|(_, (count, _))| *count)?;
        let severity = match share_bps(lost, before) {
            3_000.. => Severity::Critical,
            1_500.. => Severity::High,
            _ => Severity::Medium,
        };
        let title = "Many subscriptions were given up at once";
        let mut finding = Finding::new(currency.as_str(), severity, title);
        finding.message = format!(
            "{lost} of {before} subscriptions were given up within {WINDOW}, {}, where {usual} at most \
             are on ordinary days: {count} of them brought {} a month",
            percent(share_bps(lost, before)),
            Money::new(sum, currency),
        );
        finding.currency = Some(currency);
        finding.amount_at_stake = Some(sum);
        let threshold = i128::from(before) * i128::from(settings.leavers_bps_min) / 10_000;
        let threshold = i64::try_from(threshold).unwrap_or(i64::MAX).max(LOST_MIN);
        finding.evidence.measures = vec![
            Measure::new("given_up", lost, Unit::Count)
                .expected(usual)
                .threshold(threshold.max(usual.saturating_mul(TIMES_MIN))),
            Measure::new("subscriptions", before, Unit::Count),
        ];
        Some((currency, finding))
    }
}

/// How likely so many are where so many are usual; one at least is.
fn chance(lost: i64, usual: i64) -> f64 {
    let (lost, usual) = (u64::try_from(lost), u32::try_from(usual.max(1)));
    match (lost, usual) {
        (Ok(lost), Ok(usual)) => poisson_tail(lost, f64::from(usual)),
        _ => 1.0,
    }
}
