//! Payments that are begun and not made, all of them.
//!
//! A customer who is about to pay makes a payment intent, and a minute later a charge succeeds or fails. Where a checkout breaks between
//! the two, intents go on and nothing else does: that says more than few sales do, as who would have paid is there. Some intents
//! are left at any checkout, and bank debits are decided days later; so a run of intents without one attempt is held against
//! chance, as often as this merchant's are left, and against the longest such run that was seen.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::Context;
use crate::event::{Event, EventData, EventType, Family};
use crate::ledger::Fact;
use crate::money::{Currency, Money};
use crate::time::{Span, Timestamp};

use super::super::words::{as_f64, rounded};

/// An intent is given so long.
const GIVEN: Span = Span::minutes(20);

/// So many must there be, and over so long a time: what is made at once is a script's.
const COUNT_MIN: usize = 12;
/// See [`COUNT_MIN`].
const SPAN_MIN: Span = Span::minutes(30);

/// How likely so many may be left by chance.
const CHANCE_MAX: f64 = 1e-6;

/// So many times the longest run that was seen it must be.
const TIMES_LONGEST: usize = 3;

/// Days that must be known, as weekends differ where banks decide; so many are remembered.
const DAYS_MIN: usize = 14;
const DAYS_MAX: usize = 42;

/// Intents that must be known.
const KNOWN_MIN: u32 = 100;

/// A day with so many says which part is tried; of its part so much counts on.
const OF_DAY_MIN: u32 = 10;
const LEAST: f64 = 0.7;

/// No more may come than so many times a day's, were it six hours long, and ten: more are no customers.
const RUSH: f64 = 1.0 / 6.0;
const RUSH_SPARE: f64 = 10.0;

/// The most of a run that are remembered.
const RUN_MAX: usize = 2_000;

/// A run that grew no more for so long is over.
const OVER: Span = Span::days(1);

/// The alert's key.
const KEY: &str = "intents";

/// An intent of which nothing was heard yet.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Made {
    at: Timestamp,
    amount: i64,
    currency: Option<Currency>,
}

/// What one day brought.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Day {
    day: i64,
    /// Intents that were made, and purchases that were tried.
    made: u32,
    tried: u32,
    /// The longest run of intents without an attempt.
    longest: usize,
}

/// One scope's intents.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Unfinished {
    /// Made since an attempt was last heard of.
    run: VecDeque<Made>,
    days: VecDeque<Day>,
    is_told: bool,
}

impl Unfinished {
    /// Takes in an event.
    pub(super) fn note(&mut self, event: &Event, ctx: &mut Context<'_>) {
        let today = ctx.calendar().day(ctx.event_at());
        let intent = match &event.data {
            EventData::PaymentIntent(intent) => Some(intent),
            _ => None,
        };
        if let Some(intent) = intent
            && event.event_type == EventType::PaymentIntentCreated
        {
            self.of_day(today).made += 1;
            if self.run.len() < RUN_MAX && !ctx.is_sent_again() {
                self.run.push_back(Made {
                    at: ctx.event_at(),
                    amount: intent.amount.unwrap_or_default(),
                    currency: intent.currency,
                });
            }
            return;
        }
        if self.days.is_empty() {
            return;
        }
        for fact in ctx.facts() {
            if let Fact::Attempt(attempt) = fact {
                // What no intent began says nothing of intents.
                if attempt.purchase != attempt.charge && !attempt.is_retry {
                    self.of_day(today).tried += 1;
                }
                self.end(attempt.at, ctx);
            }
        }
        if matches!(
            event.event_type,
            EventType::PaymentIntentSucceeded | EventType::PaymentIntentFailed
        ) {
            self.end(ctx.event_at(), ctx);
        }
    }

    /// Somebody tried to pay: no run goes on.
    fn end(&mut self, at: Timestamp, ctx: &mut Context<'_>) {
        if self.run.front().is_none_or(|first| first.at > at) {
            return;
        }
        let before = self.run.len();
        self.run.retain(|made| made.at > at);
        let ended = before - self.run.len();
        if std::mem::take(&mut self.is_told) {
            ctx.clear(
                KEY,
                format!("payments are tried again, after {ended} that were not"),
            );
        } else if let Some(today) = self.days.back_mut() {
            today.longest = today.longest.max(ended);
        }
    }

    fn of_day(&mut self, day: i64) -> &mut Day {
        if self.days.back().is_none_or(|newest| newest.day < day) {
            self.days.push_back(Day {
                day,
                ..Day::default()
            });
            if self.days.len() > DAYS_MAX {
                self.days.pop_front();
            }
        }
        // What comes late counts on the newest day.
        let newest = self.days.len() - 1;
        &mut self.days[newest]
    }

    /// Lets time pass. All is known up to `horizon`.
    pub(super) fn tick(&mut self, horizon: Timestamp, ctx: &mut Context<'_>) {
        if self.run.len() < COUNT_MIN {
            return;
        }
        let is_old = |made: &Made| ctx.now().since(made.at) > OVER;
        if self.run.back().is_some_and(is_old) {
            self.run.clear();
            if std::mem::take(&mut self.is_told) {
                ctx.clear(KEY, format!("no payment was begun for {OVER}"));
            }
            return;
        }
        if self.is_told || ctx.intake().trouble_of(Family::PaymentIntent).is_some() {
            return;
        }
        let until = horizon - GIVEN;
        let count = self.run.iter().take_while(|made| made.at <= until).count();
        if count < COUNT_MIN {
            return;
        }
        let span = self.run[count - 1].at.since(self.run[0].at);
        let Some((part, a_day)) = self.usual() else {
            return;
        };
        let count_f64 = as_f64(count as u64);
        let hours = as_f64(span.as_secs().unsigned_abs()) / 3_600.0;
        let is_rush = count_f64 > RUSH_SPARE + a_day * hours * RUSH;
        let chance = (1.0 - part).powf(count_f64);
        let longest = self.days.iter().map(|day| day.longest).max();
        let is_run = count >= longest.unwrap_or(0) * TIMES_LONGEST;
        if span >= SPAN_MIN && !is_rush && is_run && chance <= CHANCE_MAX {
            self.fire((count, span), (part / LEAST, chance), ctx);
        }
    }

    /// The part that is tried on the worst of the days, and how many intents a day brings.
    fn usual(&self) -> Option<(f64, f64)> {
        let made: u32 = self.days.iter().map(|day| day.made).sum();
        if self.days.len() < DAYS_MIN || made < KNOWN_MIN {
            return None;
        }
        let part = |made: u32, tried: u32| (f64::from(tried) / f64::from(made.max(1))).min(1.0);
        // The run at hand is part of the newest days.
        let known = self.days.iter().take(self.days.len() - 2);
        let large = known.filter(|day| day.made >= OF_DAY_MIN);
        let least = large.map(|day| part(day.made, day.tried)).reduce(f64::min);
        let least = least.unwrap_or_else(|| {
            let tried: u32 = self.days.iter().map(|day| day.tried).sum();
            part(made, tried)
        });
        let days = as_f64(self.days.len() as u64);
        Some((least * LEAST, f64::from(made) / days))
    }

    fn fire(
        &mut self,
        (count, span): (usize, Span),
        (part, chance): (f64, f64),
        ctx: &mut Context<'_>,
    ) {
        self.is_told = true;
        let mut finding = Finding::new(
            KEY,
            Severity::Critical,
            "Payments are begun, and none is made",
        );
        finding.anomaly_score = anomaly_score(chance);
        let currency = self.run.iter().find_map(|made| made.currency);
        let same = self
            .run
            .iter()
            .take(count)
            .filter(|made| made.currency == currency);
        let sum = same.fold(0_i64, |sum, made| sum.saturating_add(made.amount));
        finding.currency = currency;
        finding.amount_at_stake = Some(sum);
        let worth = currency.map(|currency| format!("; {}", Money::new(sum, currency)));
        finding.message = format!(
            "{count} payment intents were made within {span}, and no payment was tried since, where {:.0} % at least are{}",
            part * 100.0,
            worth.unwrap_or_default(),
        );
        finding.occurrences = count as u64;
        let evidence = &mut finding.evidence;
        evidence.measures = vec![
            Measure::new(
                "untried",
                i64::try_from(count).unwrap_or(i64::MAX),
                Unit::Count,
            )
            .expected(rounded((1.0 - part) * as_f64(count as u64)))
            .threshold(i64::try_from(COUNT_MIN).unwrap_or_default()),
        ];
        let reason = format!("so many are left by chance with probability {chance:.1e}");
        evidence.reasons.push(reason);
        ctx.fire(finding);
    }
}
