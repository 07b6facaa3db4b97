//! Many new customers who all pay the same within an hour, when hardly anybody buys.
//!
//! Who uses up a list of stolen cards makes an account for each and buys what is easily sold, again and
//! again, at night. Counting new customers alone would tell of every campaign; so three things must come
//! together, each compared with what is usual here:
//!
//! - **Many** new customers with a card of their own pay one and the same price within an hour, where this hour of the
//!   day has next to none ([`hours`]).
//! - **Alike**: new customers here usually pay this and that. Who has one price learns nothing from it,
//!   and nothing is told.
//! - **Alone**: next to nobody else buys meanwhile. A sale, a launch or a newsletter brings guests and those who bought before,
//!   about as many as ever to each that is new.
//!
//! In the same way it tells of many who pay [next to nothing](tiny), alike or not, and of many whose cards are
//! [from abroad](abroad).

mod abroad;
mod hours;
mod tiny;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::Context;
use crate::detectors::words::{as_f64, is_for_invoice, rounded};
use crate::event::Event;
use crate::event::charge::{Card, Charge};
use crate::ids::Key;
use crate::ledger::IdText;
use crate::money::{Currency, Money};
use crate::stats::{binomial_tail, negative_binomial_tail};
use crate::time::{Span, Timestamp};

use abroad::Abroad;
use hours::Hours;
use tiny::Tiny;

/// How long new customers are counted together.
const WINDOW: Span = Span::hours(1);

/// Who else bought, and what else was paid, is asked of the shortest of these that holds a burst: somebody's
/// purchase of an hour ago is no part of it.
const WINDOWS: [Span; 3] = [Span::minutes(15), Span::minutes(30), WINDOW];

/// The most new customers of an hour that are looked at; the oldest fall out early beyond it.
const NEW_MAX: usize = 500;

/// New customers with whose payments the next one's is compared.
const COMPARED: usize = 16;

/// Comparisons that must have been made before it is known how alike new customers pay.
const COMPARED_MIN: f64 = 500.0;

/// Taken for known of it: one of so many is alike.
const COMPARED_PRIOR: (f64, f64) = (1.0, 20.0);

/// Days that must be known. Of a record that has just begun everybody is new.
const KNOWN: Span = Span::days(28);

/// How likely so many new customers may be by chance. It is asked at every hour of the year.
const MANY_CHANCE: f64 = 1e-6;

/// How likely it may be that so many of them pay the same.
const ALIKE_CHANCE: f64 = 1e-3;

/// How likely it may be that so few others buy meanwhile.
const ALONE_CHANCE: f64 = 0.01;

/// Others that may buy meanwhile, as a part of what is usual: more are what a sale brings.
const ALONE_PART: f64 = 1.0 / 3.0;

/// What is kept of what was learned from one day to the next.
const KEPT_A_DAY: f64 = 55.0 / 56.0;

type Price = (i64, Currency);

/// A first payment.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Newcomer {
    at: Timestamp,
    price: Price,
    is_tiny: bool,
    is_abroad: bool,
    card: Key,
    charge: IdText,
    brand: IdText<10>,
    country: IdText<2>,
    funding: IdText<10>,
}

/// What new customers of a scope pay, and when.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Newcomers {
    /// Those of the last hour.
    newest: VecDeque<Newcomer>,
    /// Others' payments of the last hour, by the minute.
    others: VecDeque<(Timestamp, u64)>,
    hours: Hours,
    /// What the newest of those paid who have left the hour.
    compared: VecDeque<Price>,
    /// Learned, decaying: pairs of new customers who paid the same, and all.
    alike: (f64, f64),
    /// Learned, decaying: payments of new customers, and of others.
    usual: (f64, f64),
    /// The newest burst that was told: since when, and what was paid.
    told: Option<(Timestamp, Price)>,
    tiny: Tiny,
    abroad: Abroad,
}

/// A burst, and what it is held against.
#[derive(Clone, Copy, Debug)]
struct Burst {
    window: Span,
    alike: u64,
    new: u64,
    others: u64,
    expected: f64,
    limit: u64,
    chance: f64,
    alike_chance: f64,
}

impl Newcomers {
    /// Somebody else paid: a guest, or a customer who did before.
    pub(super) fn take_other(&mut self, at: Timestamp, ctx: &Context<'_>) {
        self.begin(at);
        let minute = at.floor_to(Span::minutes(1));
        // Nearly always the newest; whatever the order of delivery, no more are kept than minutes passed.
        let mut newest = self.others.iter_mut().rev();
        match newest.find(|(known, _)| *known == minute) {
            Some((_, count)) => *count += 1,
            None => self.others.push_back((minute, 1)),
        }
        self.forget(ctx.now());
    }

    /// A new customer paid by card; what is to be told of it.
    pub(super) fn take_new(
        &mut self,
        charge: &Charge,
        (card, card_key): (&Card, Key),
        event: &Event,
        (at, count_min): (Timestamp, i64),
        ctx: &Context<'_>,
    ) -> Option<Finding> {
        self.forget(ctx.now());
        // Who stands at a counter holds the card.
        let kind = charge.payment_method_type.as_deref();
        if kind.is_some_and(|kind| kind.ends_with("_present")) {
            return None;
        }
        let price = charge.amount_collected().zip(charge.currency)?;
        self.begin(at);
        if self.newest.len() >= NEW_MAX {
            self.newest.pop_front();
        }
        // What the merchant billed is no card tried at a checkout.
        let is_for_invoice = is_for_invoice(charge);
        let is_tiny = self.tiny.take(price) && !is_for_invoice;
        let country = card.country.as_deref().unwrap_or("?").into();
        let is_abroad = self.abroad.is_abroad(&country) && !is_for_invoice;
        self.newest.push_back(Newcomer {
            at,
            price,
            is_tiny,
            is_abroad,
            card: card_key,
            charge: charge.id.as_str().into(),
            brand: card.brand.as_deref().unwrap_or("?").into(),
            country,
            funding: card.funding.as_deref().unwrap_or("?").into(),
        });
        let hour = ctx.calendar().hour_start(at);
        // What few are is asked first.
        let alike = self.newest.iter().filter(|one| one.price == price);
        let alike = alike.filter(|one| one.at >= hour).count() as u64;
        self.hours.note(at, alike, ctx.calendar());
        if is_tiny {
            let tiny = self.newest.iter().filter(|one| one.is_tiny);
            let tiny = tiny.filter(|one| one.at >= hour).count() as u64;
            self.tiny.hours.note(at, tiny, ctx.calendar());
        }
        if is_abroad {
            let abroad = self.newest.iter().filter(|one| one.is_abroad);
            let abroad = abroad.filter(|one| one.at >= hour).count() as u64;
            self.abroad.hours.note(at, abroad, ctx.calendar());
        }
        let told = self.tell_alike(price, event, (at, count_min), ctx);
        // Those who pay one small price are told once.
        if told.is_some() || self.told.is_some() {
            return told;
        }
        let told = is_tiny.then(|| self.tell_tiny(event, (at, count_min), ctx));
        let told = told.flatten();
        if told.is_some() || self.tiny.is_told() || !is_abroad {
            return told;
        }
        self.tell_abroad(event, (at, count_min), ctx)
    }

    fn begin(&mut self, at: Timestamp) {
        self.hours.begin(at);
        self.tiny.hours.begin(at);
        self.abroad.hours.begin(at);
    }

    fn tell_alike(
        &mut self,
        price: Price,
        event: &Event,
        (at, count_min): (Timestamp, i64),
        ctx: &Context<'_>,
    ) -> Option<Finding> {
        if self.alike.1 < COMPARED_MIN {
            return None;
        }
        // The share of the price that most pay is the root of how often two pay the same, at most.
        let (hits, all) = (
            self.alike.0 + COMPARED_PRIOR.0,
            self.alike.1 + COMPARED_PRIOR.1,
        );
        let share = (hits / all).sqrt();
        let is_one = |one: &Newcomer| one.price == price;
        let mut hours = std::mem::take(&mut self.hours);
        let of = (&mut hours, share, true);
        let burst = self.judge(is_one, of, (at, count_min), ctx);
        self.hours = hours;
        let burst = burst?;
        let from = at - WINDOW;
        let same = (self.newest.iter()).filter(|one| one.price == price && one.at > from);
        let finding = describe(&burst, price, &same.collect::<Vec<_>>(), event);
        let first = (self.newest.iter()).find(|one| one.price == price && one.at > from);
        let first_at = first.map_or(at, |one| one.at);
        let is_going_on = self.told.is_some_and(|(_, told)| told == price);
        if !is_going_on {
            self.told = Some((first_at, price));
        }
        self.hours.told(first_at, at, ctx.calendar());
        Some(finding)
    }

    fn tell_tiny(
        &mut self,
        event: &Event,
        (at, count_min): (Timestamp, i64),
        ctx: &Context<'_>,
    ) -> Option<Finding> {
        let share = self.tiny.share()?;
        let mut hours = std::mem::take(&mut self.tiny.hours);
        let of = (&mut hours, share, true);
        let burst = self.judge(|one| one.is_tiny, of, (at, count_min), ctx);
        self.tiny.hours = hours;
        let burst = burst?;
        let from = at - WINDOW;
        let newest = self.newest.iter().filter(|one| one.at > from);
        let (tiny, ordinary): (Vec<&Newcomer>, Vec<&Newcomer>) =
            newest.partition(|one| one.is_tiny);
        let others = self.others.iter().filter(|(minute, _)| *minute > from);
        let others: u64 = others.map(|(_, count)| count).sum();
        // Where nobody pays an ordinary price it is the prices that are small.
        if ordinary.len() as u64 + others < tiny::ORDINARY_MIN {
            return None;
        }
        let finding = tiny::describe(&burst, &tiny, event);
        let first_at = tiny.first().map_or(at, |one| one.at);
        self.tiny.told((first_at, at), ctx.calendar());
        Some(finding)
    }

    fn tell_abroad(
        &mut self,
        event: &Event,
        (at, count_min): (Timestamp, i64),
        ctx: &Context<'_>,
    ) -> Option<Finding> {
        let share = self.abroad.share()?;
        let mut hours = std::mem::take(&mut self.abroad.hours);
        // Where they come from tells them from a crowd, whoever buys meanwhile.
        let of = (&mut hours, share, false);
        let burst = self.judge(|one| one.is_abroad, of, (at, count_min), ctx);
        self.abroad.hours = hours;
        let burst = burst?;
        let from = at - WINDOW;
        let newest = self.newest.iter();
        let ones: Vec<&Newcomer> = newest
            .filter(|one| one.is_abroad && one.at > from)
            .collect();
        if !abroad::is_from_everywhere(&burst, &ones) {
            return None;
        }
        let finding = abroad::describe(&burst, &ones, event);
        let first_at = ones.first().map_or(at, |one| one.at);
        self.abroad.told((first_at, at), ctx.calendar());
        Some(finding)
    }

    /// A day begins: what was learned counts for less.
    pub(super) fn start_day(&mut self) {
        for (one, all) in [&mut self.alike, &mut self.usual] {
            *one *= KEPT_A_DAY;
            *all *= KEPT_A_DAY;
        }
        self.tiny.start_day();
        self.abroad.start_day();
    }

    /// What leaves the hour becomes part of what is usual, unless it is of a burst that was told.
    pub(super) fn forget(&mut self, now: Timestamp) {
        while let Some(&(minute, count)) = self.others.front()
            && now.since(minute) > WINDOW
        {
            self.others.pop_front();
            self.usual.1 += as_f64(count);
        }
        while let Some(one) = self.newest.front()
            && now.since(one.at) > WINDOW
        {
            let (at, price) = (one.at, one.price);
            self.tiny.learn(one);
            self.abroad.learn(one);
            self.newest.pop_front();
            let is_told = |(from, told): (Timestamp, Price)| told == price && at >= from;
            if self.told.is_some_and(is_told) {
                continue;
            }
            self.usual.0 += 1.0;
            let same = self.compared.iter().filter(|known| **known == price);
            self.alike.0 += as_f64(same.count() as u64);
            self.alike.1 += as_f64(self.compared.len() as u64);
            if self.compared.len() >= COMPARED {
                self.compared.pop_front();
            }
            self.compared.push_back(price);
        }
    }

    /// An alert is over.
    pub(super) fn clear(&mut self, key: &str) {
        if self.told.is_some_and(|(_, price)| key_of(price) == key) {
            self.told = None;
        }
        if key == tiny::KEY {
            self.tiny.clear();
        }
        if key == abroad::KEY {
            self.abroad.clear();
        }
    }

    /// Whether those who are like this one are a burst, held against the hours of such and the share they
    /// usually have of all new customers; and whether they must be `alone`.
    fn judge(
        &self,
        is_one: impl Fn(&Newcomer) -> bool,
        (hours, share, alone): (&mut Hours, f64, bool),
        (at, count_min): (Timestamp, i64),
        ctx: &Context<'_>,
    ) -> Option<Burst> {
        let count_min = u64::try_from(count_min).unwrap_or(u64::MAX);
        if (self.newest.len() as u64) < count_min || hours.known_for(at) < KNOWN {
            return None;
        }
        let from = at - WINDOW;
        let same = (self.newest.iter()).filter(|one| is_one(one) && one.at > from);
        let same_of_hour = same.clone().count() as u64;
        if same_of_hour < count_min {
            return None;
        }
        let usual = hours.usual(at, ctx.calendar())?;
        let limit = count_min.max(usual.most * 2 + 1);
        if same_of_hour < limit {
            return None;
        }
        // One card for many is another alert.
        let cards: BTreeSet<Key> = same.map(|one| one.card).collect();
        let alike_of_hour = cards.len() as u64;
        if alike_of_hour < limit {
            return None;
        }
        let chance = negative_binomial_tail(alike_of_hour, usual.mean, usual.stray);
        if chance > MANY_CHANCE {
            return None;
        }
        let share_new = (self.usual.0 + 1.0) / (self.usual.0 + self.usual.1 + 2.0);
        WINDOWS.into_iter().find_map(|window| {
            let from = at - window;
            let new: Vec<&Newcomer> = self.newest.iter().filter(|one| one.at > from).collect();
            let same = new.iter().filter(|one| is_one(one));
            let cards: BTreeSet<Key> = same.map(|one| one.card).collect();
            let (alike, new) = (cards.len() as u64, new.len() as u64);
            let others = self.others.iter().filter(|(minute, _)| *minute > from);
            let others: u64 = others.map(|(_, count)| count).sum();
            let all = new + others;
            let alike_chance = binomial_tail(alike, new, share);
            let is_alone = !alone
                || binomial_tail(new, all, share_new) <= ALONE_CHANCE
                    && as_f64(others) <= as_f64(all) * (1.0 - share_new) * ALONE_PART;
            let is_burst = alike >= count_min && alike_chance <= ALIKE_CHANCE && is_alone;
            is_burst.then_some(Burst {
                window,
                alike: alike_of_hour,
                new,
                others,
                expected: usual.mean,
                limit,
                chance,
                alike_chance,
            })
        })
    }
}

/// One alert a currency.
fn key_of((_, currency): Price) -> String {
    format!("alike:{}", currency.as_str())
}

fn describe(burst: &Burst, price: Price, same: &[&Newcomer], event: &Event) -> Finding {
    let (amount, currency) = price;
    let title = "Many new customers pay the same at once";
    let mut finding = Finding::new(key_of(price), Severity::Medium, title);
    finding.anomaly_score = anomaly_score(burst.chance);
    let sum = (same.iter()).fold(0_i64, |sum, one| sum.saturating_add(one.price.0));
    finding.message = format!(
        "{} new customers paid {} each within {WINDOW}, each by a card of its own, where {:.1} who pay \
         the same are usual at this hour; {} others paid within {}; {}",
        burst.alike,
        Money::new(amount, currency),
        burst.expected,
        burst.others,
        burst.window,
        Money::new(sum, currency),
    );
    finding.currency = Some(currency);
    finding.amount_at_stake = Some(sum);
    burst.show("alike_new_customers", same, event, &mut finding);
    let evidence = &mut finding.evidence;
    evidence
        .measures
        .push(Measure::new("price", amount, Unit::MinorUnits));
    evidence.reasons = vec![
        format!(
            "so many come by chance with probability {:.1e}, and pay the same with {:.1e}",
            burst.chance, burst.alike_chance
        ),
        format!(
            "cards: {}; issued in {}; {}",
            counted(same.iter().map(|one| one.brand.as_str())),
            counted(same.iter().map(|one| one.country.as_str())),
            counted(same.iter().map(|one| one.funding.as_str())),
        ),
    ];
    finding
}

impl Burst {
    /// Whom it is about, and the numbers that it was judged by; `alike` is what those are called who are alike.
    fn show(&self, alike: &'static str, ones: &[&Newcomer], event: &Event, finding: &mut Finding) {
        let newest = ones.iter().rev().take(20);
        finding.subjects = newest.map(|one| one.charge.to_string()).collect();
        finding.subject = finding.subjects.first().cloned();
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let evidence = &mut finding.evidence;
        evidence.object_ids.clone_from(&finding.subjects);
        evidence.event_ids.push(event.id.to_string());
        evidence.measures = vec![
            Measure::new(alike, number(self.alike), Unit::Count)
                .expected(rounded(self.expected))
                .threshold(number(self.limit)),
            Measure::new("new_customers", number(self.new), Unit::Count),
            Measure::new("other_payments", number(self.others), Unit::Count),
        ];
    }
}

/// The commonest words and how often each comes, such as `visa 9, amex 2`.
fn counted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let words = counts.iter().take(5).map(|(word, count)| match *word {
        "?" => format!("unknown {count}"),
        word => format!("{word} {count}"),
    });
    words.collect::<Vec<String>>().join(", ")
}

#[cfg(test)]
mod tests;
