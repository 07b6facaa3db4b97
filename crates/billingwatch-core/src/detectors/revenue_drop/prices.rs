//! Payments far below what is ever paid here: a price that lost a zero, or a sum taken for another currency's.
//!
//! The sum of some hours says so late, and of a few dozen payments hardly at all, as one dear thing among them decides.
//! But of a merchant's payments hardly any is below a certain amount, and when half of them are, and those at ordinary
//! prices are missing, prices are wrong. What is cheap comes in crowds as well, at noon or when a magazine wrote of it: so it must be more
//! than twice what any window of as many hours had, by different customers. And who sells cheaper on purpose draws buyers.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::event::Event;
use crate::event::charge::Charge;
use crate::ids::Key;
use crate::money::{Currency, Money};
use crate::stats::{AmountHistogram, binomial_tail, median};

use super::super::words::{as_f64, is_for_invoice};
use super::CURRENCIES_MAX;
use super::hourly::{HOURS, Hourly, Sums};

/// Below an amount that so many basis points of all payments are not above nearly nothing is paid.
const LOW_BPS: u32 = 500;

/// A quantile is known within an eighth, and never too low.
const LOW_PART: (i64, i64) = (7, 8);

/// Nor is anything low that is more than this part of the usual amount: sales are held at half the price.
const FALLEN_TO: (i64, i64) = (2, 5);

/// Payments, and days with the same hours, that must be known.
const KNOWN_MIN: u64 = 200;
/// See [`KNOWN_MIN`].
const DAYS_MIN: usize = 7;

/// Days that a window is held against.
const DAYS: i64 = 28;

/// Windows, in hours.
const WINDOWS: [i64; 4] = [3, 6, 12, 24];

/// Low payments that a window must have, and how many of all of them at least: half.
const COUNT_MIN: i64 = 8;

/// A price list that is wrong leaves no more than this part of the ordinary payments.
const LEFT_PART: i64 = 2;

/// How likely so many low ones may be by chance. It is asked every hour of the year.
const CHANCE_MAX: f64 = 1e-8;

/// The most payments, in halves of what is usual, and beyond it: more are what a sale draws, or cards that are tested.
const DRAWN: (i64, i64) = (3, 3);

/// Of so many low payments it is remembered who made them: one customer who buys small things is no price list.
const PAYERS: usize = 16;

/// Of the newest hours so many payments at ordinary prices, and as many times more than low ones, say that it is over.
const BACK_MIN: i64 = 4;
/// See [`BACK_MIN`].
const BACK_TIMES: i64 = 4;

/// What hours of low prices lack in the sum is told by then, and for so many hours after.
const TOLD_FOR: i64 = 24;

/// After so many hours these are the prices.
const GIVEN_UP: i64 = 7 * 24;

/// The amounts of one currency.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Amounts {
    known: AmountHistogram,
    /// What is below it is low, as of the day's beginning; 0 while too few are known.
    low: i64,
    day: i64,
    lows: Hourly,
    /// Who made the newest of these.
    payers: VecDeque<Key>,
    ordinary: Hourly,
    /// The hour at which it was told.
    told: Option<i64>,
    /// The hour at which it was over.
    back: i64,
    /// Until then much of the money was missing, and that was told: low prices may have been why.
    explained: i64,
}

/// The amounts of all currencies.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Prices {
    of: BTreeMap<Currency, Amounts>,
}

/// What became of a currency's prices.
#[derive(Debug)]
pub(super) enum Told {
    Fell(Box<Finding>),
    Over(String, String),
}

/// A window with many low payments.
#[derive(Clone, Copy, Debug)]
struct Look {
    hours: i64,
    lows: i64,
    ordinary: i64,
    usual: i64,
    share: f64,
    most: i64,
    chance: f64,
}

impl Prices {
    /// A payment came in. What Stripe collects by itself, as it does for renewals, is no price at a checkout: credits and
    /// prorations make it less.
    pub(super) fn note(&mut self, charge: &Charge, event: &Event, hour: i64) {
        let paid = charge.currency.zip(charge.amount_collected());
        let Some((currency, amount)) = paid.filter(|(_, amount)| *amount > 0) else {
            return;
        };
        let is_full = self.of.len() >= CURRENCIES_MAX && !self.of.contains_key(&currency);
        if !is_full && event.request.is_some() && !is_for_invoice(charge) {
            let customer = charge.customer.as_ref().map(|id| id.key());
            let card = charge
                .card
                .as_ref()
                .and_then(|card| card.fingerprint.as_deref());
            let payer = customer.or_else(|| card.map(Key::of));
            let amounts = self.of.entry(currency).or_default();
            amounts.note(amount, payer, hour);
        }
    }

    /// Whether what is missing from a currency's sum is told as prices that fell.
    pub(super) fn have_told(&self, currency: Currency, hour: i64) -> bool {
        let amounts = self.of.get(&currency);
        amounts.is_some_and(|of| of.told.is_some() || hour - of.back < TOLD_FOR)
    }

    /// Looks at the hours before `end`. While much of a currency's money is missing (`is_told`) its prices say nothing more.
    pub(super) fn judge(&mut self, end: i64, is_told: impl Fn(Currency) -> bool) -> Vec<Told> {
        let mut told = Vec::new();
        for (currency, amounts) in &mut self.of {
            amounts.lows.advance_to(end);
            amounts.ordinary.advance_to(end);
            told.extend(match amounts.told {
                Some(since) => amounts.follow(since, end, *currency),
                None if is_told(*currency) => {
                    amounts.explained = end;
                    None
                }
                None => amounts.look(end, *currency),
            });
        }
        told
    }
}

impl Amounts {
    fn note(&mut self, amount: i64, payer: Option<Key>, hour: i64) {
        let day = hour.div_euclid(24);
        if day != self.day && self.told.is_none() {
            self.day = day;
            self.low = if self.known.total() >= KNOWN_MIN {
                let low = self.known.quantile(LOW_BPS) / LOW_PART.1 * LOW_PART.0;
                low.min(self.known.quantile(5_000) / FALLEN_TO.1 * FALLEN_TO.0)
            } else {
                0
            };
        }
        if amount < self.low {
            if payer.is_some_and(|payer| self.payers.contains(&payer)) {
                return;
            }
            self.payers.extend(payer);
            if self.payers.len() > PAYERS {
                self.payers.pop_front();
            }
            self.lows.note(hour);
        } else {
            self.ordinary.note(hour);
        }
        if amount >= self.low || self.told.is_none() {
            self.known.add(amount);
        }
    }

    fn look(&mut self, end: i64, currency: Currency) -> Option<Told> {
        let from = self.back.max(self.explained);
        let mut windows = WINDOWS.into_iter().filter(|hours| end - hours >= from);
        let look = windows.find_map(|hours| self.window(end, hours))?;
        self.told = Some(end - look.hours);
        Some(Told::Fell(Box::new(self.describe(&look, currency))))
    }

    /// A window, if prices fell in it.
    fn window(&self, end: i64, hours: i64) -> Option<Look> {
        let lows = self.lows.count(end, hours);
        let ordinary = self.ordinary.count(end, hours);
        if lows < COUNT_MIN || lows < ordinary {
            return None;
        }
        let (low_sums, sums) = (self.lows.sums(), self.ordinary.sums());
        let known = (1..=DAYS).map(|day| end - day * 24);
        let known = known.filter(|end| sums.knows(end - hours));
        let mut usual: Vec<i64> = known.map(|end| sums.window(end, hours)).collect();
        if usual.len() < DAYS_MIN {
            return None;
        }
        let usual = median(&mut usual);
        let most = most_before(&low_sums, end - hours, hours);
        let all = lows + ordinary;
        let is_drawn = all > usual * DRAWN.0 / 2 + DRAWN.1;
        if ordinary * LEFT_PART > usual || is_drawn || lows <= most * 2 + 1 {
            return None;
        }
        let before = |sums: &Sums| {
            let count = sums.window(end - hours, HOURS);
            as_f64(count.unsigned_abs())
        };
        let (few, many) = (before(&low_sums), before(&sums));
        let least = f64::from(LOW_BPS) / 10_000.0;
        let share = ((few + 1.0) / (few + many + 1.0)).max(least);
        let chance = binomial_tail(lows.unsigned_abs(), all.unsigned_abs(), share);
        (chance <= CHANCE_MAX).then_some(Look {
            hours,
            lows,
            ordinary,
            usual,
            share,
            most,
            chance,
        })
    }

    fn follow(&mut self, since: i64, end: i64, currency: Currency) -> Option<Told> {
        let mut windows = WINDOWS.into_iter();
        let back = windows.find_map(|hours| {
            let lows = self.lows.count(end, hours);
            let ordinary = self.ordinary.count(end, hours);
            let is_back = ordinary >= BACK_MIN.max(lows * BACK_TIMES);
            is_back.then(|| {
                format!("{ordinary} payments of ordinary amounts in {hours} hours, and {lows} below them")
            })
        });
        self.back = end;
        let reason = match back {
            Some(reason) => reason,
            None if end - since >= GIVEN_UP => {
                *self = Self::default();
                "these are the prices by now".to_owned()
            }
            None => return None,
        };
        self.told = None;
        Some(Told::Over(key_of(currency), reason))
    }

    fn describe(&self, look: &Look, currency: Currency) -> Finding {
        let title = "Payments are far below the usual amounts";
        let mut finding = Finding::new(key_of(currency), Severity::High, title);
        let usually = Money::new(self.known.quantile(5_000), currency);
        let low = Money::new(self.low, currency);
        finding.message = format!(
            "{} of {} payments in {} hours were below {low}, as hardly any is here: the usual amount is {usually}; and \
             {} were ordinary where {} are usual",
            look.lows,
            look.lows + look.ordinary,
            look.hours,
            look.ordinary,
            look.usual
        );
        finding.currency = Some(currency);
        let each = self.known.quantile(5_000).saturating_sub(self.low);
        finding.amount_at_stake = Some(each.saturating_mul(look.lows));
        finding.anomaly_score = crate::alert::anomaly_score(look.chance);
        finding.evidence.measures = vec![
            Measure::new("low_payments", look.lows, Unit::Count)
                .expected(look.most)
                .threshold((look.most * 2 + 2).max(COUNT_MIN)),
            Measure::new("ordinary_payments", look.ordinary, Unit::Count).expected(look.usual),
        ];
        finding.evidence.reasons.push(format!(
            "{:.1} % of payments are so low as a rule; so many come by chance with probability {:.1e}",
            look.share * 100.0,
            look.chance
        ));
        finding
    }
}

/// The most that any window of so many hours had that ended by then.
fn most_before(sums: &Sums, until: i64, hours: i64) -> i64 {
    let ends = (until - HOURS..=until).rev();
    let known = ends.take_while(|end| sums.knows(*end));
    known.map(|end| sums.window(end, hours)).max().unwrap_or(0)
}

fn key_of(currency: Currency) -> String {
    format!("{}/prices", currency.as_str())
}
