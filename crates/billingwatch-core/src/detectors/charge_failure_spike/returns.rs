//! Bank debits that come back.
//!
//! A bank debit is pending for days (`charge.pending`), and fails when the bank returns it, one to some
//! fourteen days after it was made. That is no attempt of the hour it comes in: a morning brings all
//! the returns of a collection, and its successes days before or after. So debits are judged by the day
//! they were made on: of how many, known from the first moment, have so many come back? What is still
//! to come can only add to that, so the answer holds whenever it is given.
//!
//! Days that have settled say what share usually comes back. How far days differ is not known of most
//! merchants; the share is taken to be known no better than from [`WEIGHT_MAX`] debits.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::Context;
use crate::event::{Event, EventData, EventType};
use crate::ledger::AttemptFact;
use crate::money::Currency;
use crate::stats::beta_binomial_tail;
use crate::time::{Span, Timestamp};

use super::super::words::{as_f64, bps_of, decline_code, percent};
use super::Settings;
use super::judge::rate_bps;

/// A failure this long after its charge was made is a debit that came back: no card takes as long.
const LATE: Span = Span::hours(24);

/// Days after which all that will come back has: Stripe names up to seven business days for SEPA and
/// BACS debits and four for ACH; a weekend and a holiday on top.
const SETTLED_DAYS: i64 = 14;

/// How many days in a row are judged together: each alone, and a long weekend's.
const WINDOWS: [i64; 2] = [1, 3];

/// Windows that are judged in a year, each once: what was told of it can only be surpassed.
const WINDOWS_A_YEAR: f64 = 365.0 * 2.0;

/// The part of the chance of false alerts that is left to this: the days are few, and how far they
/// differ is guessed.
const CHANCE_PART: f64 = 0.1;

/// What comes back until it is known: 3 % of 50. Nacha warns banks of merchants from 3 % of returns
/// for wrong accounts on, and of 15 % in all.
const PRIOR: (f64, f64) = (1.5, 50.0);

/// See the module's text.
const WEIGHT_MAX: f64 = 300.0;

/// What is kept of the usual from one day to the next: a quarter's collections count.
const KEPT_A_DAY: f64 = 1.0 - 1.0 / 90.0;

/// From this share on it is a severe matter: a third of a collection.
const SEVERE_BPS: i64 = 3_300;

/// So long after the last of them no more are waited for.
const QUIET: Span = Span::days(5);

/// Codes that are counted, those that are told, and event ids that are shown.
const CODES_MAX: usize = 16;
/// See [`CODES_MAX`].
const CODES_TOLD: usize = 3;
/// See [`CODES_MAX`].
const IDS_MAX: usize = 10;

/// The key of the alert.
const KEY: &str = "returned_debits";

/// The debits made on one day.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Collection {
    /// UTC.
    day: i64,
    made: u64,
    returned: u64,
    /// The money that came back.
    amounts: BTreeMap<Currency, i64>,
    codes: BTreeMap<String, u64>,
    /// It was told of: more came back than usual.
    is_told: bool,
}

/// Returns that are told.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    from_day: i64,
    to_day: i64,
    last_at: Timestamp,
    unreported: u64,
    chance: f64,
    usual: f64,
    event_ids: Vec<String>,
}

/// One scope's bank debits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Returns {
    /// The oldest first.
    days: VecDeque<Collection>,
    /// Returned and made, of days that have settled; decaying.
    usual: (f64, f64),
    settled_until: i64,
    told: Option<Told>,
}

impl Returns {
    /// A debit is on its way.
    pub(super) fn hear(&mut self, event: &Event) {
        if event.event_type != EventType::ChargePending {
            return;
        }
        if let EventData::Charge(charge) = &event.data {
            let made_at = charge.created.unwrap_or(event.created).min(event.created);
            match self.day(made_at.day()) {
                Some(day) => day.made += 1,
                None => self.usual.1 += 1.0,
            }
        }
    }

    /// An attempt failed: looks whether it is a debit that came back.
    pub(super) fn fail(
        &mut self,
        attempt: &AttemptFact,
        event: &Event,
        settings: &Settings,
        ctx: &mut Context<'_>,
    ) {
        if ctx.event_at().since(attempt.at) < LATE || attempt.is_retry {
            return;
        }
        let made_on = attempt.at.day();
        let before = self.of_told();
        let Some(day) = self.day(made_on) else {
            // An import: it shows what is usual.
            self.usual.0 = (self.usual.0 + 1.0).min(self.usual.1);
            return;
        };
        if day.returned >= day.made {
            // Nobody said that it was on its way: of how many it is one cannot be told.
            return;
        }
        day.note(attempt, decline_code(event));
        let is_new = self.judge(made_on, settings, ctx);
        let after = self.of_told();
        let is_of_told = |told: &&mut Told| (told.from_day..=told.to_day).contains(&made_on);
        if let Some(told) = self.told.as_mut().filter(is_of_told) {
            told.note(event);
            // Also what came back earlier of the days that it is about only now.
            told.unreported += after.saturating_sub(before);
        }
        if is_new {
            self.report(settings, ctx);
        }
    }

    /// Time passed.
    pub(super) fn tick(&mut self, settings: &Settings, ctx: &mut Context<'_>) {
        let today = ctx.now().day();
        if today > self.settled_until + SETTLED_DAYS {
            self.settle(today, settings);
        }
        let Some(told) = &mut self.told else { return };
        if ctx.now().since(told.last_at) >= QUIET {
            ctx.clear(KEY, format!("no more of them came back for {QUIET}"));
            self.told = None;
        } else if told.unreported > 0 {
            self.report(settings, ctx);
        }
    }

    /// Learns from days of which nothing more is to come.
    fn settle(&mut self, today: i64, settings: &Settings) {
        let passed = i32::try_from(today - SETTLED_DAYS - self.settled_until).unwrap_or(i32::MAX);
        let kept = KEPT_A_DAY.powi(passed.clamp(0, 10_000));
        self.usual = (self.usual.0 * kept, self.usual.1 * kept);
        self.settled_until = today - SETTLED_DAYS;
        while let Some(day) = self.days.front()
            && day.day <= self.settled_until
        {
            let made = as_f64(day.made);
            // What was told must not become usual at once; what lasts does so in the end.
            let most = as_f64(settings.rate_bps_max.unsigned_abs()) / 10_000.0 * made;
            let returned = as_f64(day.returned);
            let returned = if day.is_told {
                returned.min(most)
            } else {
                returned
            };
            self.usual = (self.usual.0 + returned, self.usual.1 + made);
            self.days.pop_front();
        }
    }

    /// The collection of a day; none of one that has settled.
    fn day(&mut self, day: i64) -> Option<&mut Collection> {
        if day <= self.settled_until {
            return None;
        }
        let place = self.days.partition_point(|known| known.day < day);
        if self.days.get(place).is_none_or(|known| known.day != day) {
            let new = Collection {
                day,
                ..Collection::default()
            };
            self.days.insert(place, new);
        }
        self.days.get_mut(place)
    }

    fn between(&self, from: i64, to: i64) -> impl Iterator<Item = &Collection> {
        let days = self.days.iter();
        days.filter(move |day| (from..=to).contains(&day.day))
    }

    /// Made and returned.
    fn sums(&self, from: i64, to: i64) -> (u64, u64) {
        self.between(from, to)
            .fold((0, 0), |(made, returned), day| {
                (made + day.made, returned + day.returned)
            })
    }

    fn usual_share(&self) -> f64 {
        (self.usual.0 + PRIOR.0) / (self.usual.1 + PRIOR.1)
    }

    /// How many have come back of the days that are told.
    fn of_told(&self) -> u64 {
        let told = self.told.as_ref();
        told.map_or(0, |told| self.sums(told.from_day, told.to_day).1)
    }

    /// Holds the days around one to what is usual: opens the alert, or has it tell of further days.
    /// Says whether it is new.
    fn judge(&mut self, made_on: i64, settings: &Settings, ctx: &Context<'_>) -> bool {
        let usual = self.usual_share();
        let weight = (self.usual.1 + PRIOR.1).min(WEIGHT_MAX);
        let allowed =
            as_f64(settings.chance_alerts_per_year.unsigned_abs()) * CHANCE_PART / WINDOWS_A_YEAR;
        for days in WINDOWS {
            for to in made_on..made_on + days {
                let from = to - days + 1;
                let (made, returned) = self.sums(from, to);
                if returned < settings.failures_min.unsigned_abs()
                    || rate_bps(returned, made) <= settings.rate_bps_max
                {
                    continue;
                }
                let chance = beta_binomial_tail(returned, made, usual, weight);
                if chance > allowed {
                    continue;
                }
                for day in &mut self.days {
                    day.is_told |= (from..=to).contains(&day.day);
                }
                let is_new = self.told.is_none();
                let told = self.told.get_or_insert_with(|| Told {
                    from_day: from,
                    to_day: to,
                    last_at: ctx.now(),
                    unreported: 0,
                    chance,
                    usual,
                    event_ids: Vec::new(),
                });
                (told.from_day, told.to_day) = (told.from_day.min(from), told.to_day.max(to));
                told.chance = told.chance.min(chance);
                return is_new;
            }
        }
        false
    }

    fn report(&mut self, settings: &Settings, ctx: &mut Context<'_>) {
        let Some(told) = &self.told else { return };
        let (made, returned) = self.sums(told.from_day, told.to_day);
        let rate = rate_bps(returned, made);
        let severity = if rate >= SEVERE_BPS {
            Severity::High
        } else {
            Severity::Medium
        };
        let mut finding = Finding::new(KEY, severity, "Bank debits come back");
        let (from, to) = (date(told.from_day), date(told.to_day));
        let when = if from == to {
            format!("on {from}")
        } else {
            format!("from {from} to {to}")
        };
        finding.message = format!(
            "{returned} of the {made} bank debits made {when} have come back so far ({}), where {} \
             do as a rule",
            percent(rate),
            percent(bps_of(told.usual)),
        );
        finding.anomaly_score = anomaly_score(told.chance);
        let (mut amounts, mut codes) = (BTreeMap::new(), BTreeMap::new());
        for day in self.between(told.from_day, told.to_day) {
            for (currency, amount) in &day.amounts {
                let sum: &mut i64 = amounts.entry(*currency).or_default();
                *sum = sum.saturating_add(*amount);
            }
            for (code, count) in &day.codes {
                *codes.entry(code.as_str()).or_default() += count;
            }
        }
        if let Some((currency, amount)) = amounts.into_iter().max_by_key(|(_, amount)| *amount) {
            finding.currency = Some(currency);
            finding.amount_at_stake = Some(amount);
        }
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        finding.evidence.measures = vec![
            Measure::new("return_rate", rate, Unit::BasisPoints)
                .expected(bps_of(told.usual))
                .threshold(settings.rate_bps_max),
            Measure::new("returned", count(returned), Unit::Count),
            Measure::new("debits", count(made), Unit::Count),
        ];
        let mut codes: Vec<(&str, u64)> = codes.into_iter().collect();
        codes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (code, count) in codes.into_iter().take(CODES_TOLD) {
            finding
                .evidence
                .reasons
                .push(format!("{count} with the code `{code}`"));
        }
        finding.evidence.reasons.push(format!(
            "at the usual rate so many come back by chance with probability {:.1e}",
            told.chance
        ));
        finding.evidence.event_ids.clone_from(&told.event_ids);
        finding.occurrences = told.unreported;
        ctx.fire(finding);
        if let Some(told) = &mut self.told {
            told.unreported = 0;
        }
    }
}

impl Collection {
    fn note(&mut self, attempt: &AttemptFact, code: &str) {
        self.returned += 1;
        let amount = self.amounts.entry(attempt.currency).or_default();
        *amount = amount.saturating_add(attempt.amount);
        if self.codes.len() < CODES_MAX || self.codes.contains_key(code) {
            *self.codes.entry(code.to_owned()).or_default() += 1;
        }
    }
}

impl Told {
    fn note(&mut self, event: &Event) {
        self.last_at = self.last_at.max(event.created);
        if self.event_ids.len() < IDS_MAX {
            self.event_ids.push(event.id.to_string());
        }
    }
}

fn date(day: i64) -> String {
    let at = (Timestamp::EPOCH + Span::days(day)).to_string();
    at.split('T').next().unwrap_or_default().to_owned()
}
