//! One card on many new customers or [again and again](super::card_rate), one customer with many cards or
//! [with one, again and again](super::one_buyer), and bursts of new customers whose payments look risky, or are [all the same](super::newcomers).
//!
//! Cards that are tried and never pay are card testing, which `charge_failure_spike` tells; what a card that
//! pays for several customers was declined for counts with what it paid. A launch or a flash sale brings many new customers too; each with
//! a card of its own, and as risky as ever.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::Context;
use crate::detectors::words::as_f64;
use crate::event::Event;
use crate::event::charge::{Charge, ChargeStatus};
use crate::few::Few;
use crate::ids::{CustomerId, Key};
use crate::ledger::{Generations, IdText};
use crate::money::Money;
use crate::stats::binomial_tail;
use crate::time::{Span, Timestamp};

use super::busiest::Busiest;
use super::card_rate::CardRate;
use super::declined::Declined;
use super::newcomers::Newcomers;

/// How long cards and customers are counted together.
pub(super) const WINDOW: Span = Span::days(1);

/// At most twice so many cards, and customers with a card, are watched.
pub(super) const WATCHED_MAX: usize = 100_000;

/// How long a customer counts as known, at least; and at most twice so many are.
const KNOWN: (Span, usize) = (Span::days(120), 500_000);

/// A household's card pays for so many: twice as many are none. Who had busier cards has agencies, and these stray.
const HOUSEHOLD: usize = 3;

/// The most pairs kept of one card or customer.
pub(super) const PAIRS_MAX: usize = 100;

/// How long new customers are counted together for a burst.
const BURST: Span = Span::hours(1);

/// New customers that must be known before their risk can be out of the ordinary.
const KNOWN_MIN: f64 = 200.0;

/// Risky new customers in a burst before it is spoken of.
const RISKY_MIN: u64 = 10;

/// How likely a burst may be by chance.
const CHANCE_MAX: f64 = 1e-6;

/// What is kept of what was learned from one day to the next.
const KEPT_A_DAY: f64 = 55.0 / 56.0;

/// Partners of a card, or of a customer: which, when last, and the charge. Nearly all have one, and stay so.
pub(super) type Partners = Few<(Key, Timestamp, IdText)>;

/// One scope's cards and customers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Velocity {
    known: Generations<()>,
    /// New customers by card.
    cards: Generations<Partners>,
    /// Cards by customer.
    customers: Generations<Partners>,
    declined: Declined,
    /// Cards of those who are no customers.
    guests: CardRate,
    /// Cards of customers who buy themselves.
    buyers: CardRate,
    /// The cards with the most new customers, and the customers with the most cards.
    busiest_cards: Busiest,
    busiest_customers: Busiest,
    /// New customers of the last hour: when, the charge, whether risky.
    burst: VecDeque<(Timestamp, IdText, bool)>,
    /// Learned of new customers: risky, and all; decaying.
    usual: (f64, f64),
    newcomers: Newcomers,
    /// When each open alert was last seen to go on.
    open: BTreeMap<String, Timestamp>,
    /// When the first of its memories is due to forget; the epoch while that was not asked.
    #[serde(skip)]
    forgets_at: Timestamp,
}

impl Default for Velocity {
    fn default() -> Self {
        Self {
            known: Generations::new(KNOWN.0, KNOWN.1),
            cards: Generations::new(WINDOW, WATCHED_MAX),
            customers: Generations::new(WINDOW, WATCHED_MAX),
            declined: Declined::default(),
            guests: CardRate::default(),
            buyers: CardRate::default(),
            busiest_cards: Busiest::default(),
            busiest_customers: Busiest::default(),
            burst: VecDeque::new(),
            usual: (0.0, 0.0),
            newcomers: Newcomers::default(),
            open: BTreeMap::new(),
            forgets_at: Timestamp::EPOCH,
        }
    }
}

impl Velocity {
    /// Takes in a payment by card.
    pub(super) fn take(
        &mut self,
        charge: &Charge,
        event: &Event,
        (count_min, payments_min, newcomers_min): (i64, (i64, i64), i64),
        ctx: &mut Context<'_>,
    ) {
        let at = charge.created.unwrap_or(ctx.event_at()).min(ctx.event_at());
        if ctx.now().since(at) > WINDOW {
            return;
        }
        let Some(fingerprint) = fingerprint_of(charge) else {
            if event.request.is_some() {
                self.newcomers.take_other(at, ctx);
            }
            return;
        };
        let day = ctx.calendar().day(at);
        let Some(customer) = &charge.customer else {
            self.newcomers.take_other(at, ctx);
            let card = (charge, Key::of(fingerprint), fingerprint);
            let at = (at, day, false);
            let often = (self.guests).take(card, event, at, payments_min);
            return self.tell(often, ctx);
        };
        self.start_day(day);
        // Renewals that Stripe itself makes are no doing of somebody new.
        let was_known = self.known.renew(customer.key());
        let is_by_call = event.request.is_some();
        let is_new = is_by_call && !was_known;
        let card_key = Key::of(fingerprint);
        if is_by_call {
            let card = (charge, card_key, fingerprint);
            let when = (at, day, is_new);
            let often = (self.buyers).take(card, event, when, payments_min);
            self.tell_card(card_key, often, ctx);
        }
        let count_min = usize::try_from(count_min).unwrap_or(usize::MAX);

        let cards = self.customers.entry(customer.key(), Partners::default);
        if meet(cards, card_key, at, charge.id.as_str()).is_some() {
            self.tell_customer(customer, (charge, event), (at, day, count_min), ctx);
        }
        if !is_new {
            if is_by_call {
                self.newcomers.take_other(at, ctx);
            }
            return;
        }
        let customers = self.cards.entry(card_key, Partners::default);
        if let Some(count) = meet(customers, customer.key(), at, charge.id.as_str()) {
            let busiest = self.busiest_cards.before(day);
            let spare = usize::from(busiest > HOUSEHOLD);
            if count >= count_min.max(busiest * 2 + spare) {
                let key = format!("card:{fingerprint}");
                let mut finding = grown(&key, count, count_min, charge, event, customers);
                "One card pays for many new customers".clone_into(&mut finding.title);
                finding.message =
                    format!("card {fingerprint} paid for {count} new customers within {WINDOW}");
                finding.subject = Some(fingerprint.to_owned());
                finding.subjects.insert(0, fingerprint.to_owned());
                self.open.insert(key, ctx.now());
                ctx.fire(finding);
                self.busiest_cards.told(card_key);
                self.buyers.told(card_key);
            } else {
                self.busiest_cards.note(card_key, count);
            }
        }
        self.take_new(charge, event, at, ctx);
        if let Some(card) = &charge.card {
            let of = (card, card_key);
            let alike = (self.newcomers).take_new(charge, of, event, (at, newcomers_min), ctx);
            self.tell(alike, ctx);
        }
    }

    /// Takes in a charge on which a card was declined, at the first try of its purchase or not.
    pub(super) fn take_declined(
        &mut self,
        (charge, is_retry): (&Charge, bool),
        event: &Event,
        (count_min, payments_min): (i64, i64),
        ctx: &mut Context<'_>,
    ) {
        let at = charge.created.unwrap_or(ctx.event_at()).min(ctx.event_at());
        let Some(customer) = &charge.customer else {
            return;
        };
        if event.request.is_none() || ctx.now().since(at) > WINDOW {
            return;
        }
        if let Some(fingerprint) = fingerprint_of(charge) {
            self.declined.take(customer.key(), Key::of(fingerprint), at);
            let count_min = usize::try_from(count_min).unwrap_or(usize::MAX);
            let day = ctx.calendar().day(at);
            self.tell_customer(customer, (charge, event), (at, day, count_min), ctx);
            if is_retry {
                return;
            }
            let at = (at, ctx.calendar().day(at));
            let card = (charge, Key::of(fingerprint), fingerprint);
            let often = (self.buyers).take_declined(card, event, at, payments_min);
            self.tell_card(card.1, often, ctx);
        }
    }

    /// Tells of a customer who used many cards, of which some paid.
    fn tell_customer(
        &mut self,
        customer: &CustomerId,
        (charge, event): (&Charge, &Event),
        (at, day, count_min): (Timestamp, i64, usize),
        ctx: &mut Context<'_>,
    ) {
        let Some(cards) = self.customers.get(customer.key()) else {
            return;
        };
        let paid = cards.len();
        let count = paid + self.declined.beside(customer.key(), cards, at);
        if count < 2 {
            return;
        }
        if count < count_min.max(self.busiest_customers.before(day) * 2 + 1) {
            // An example is what was paid with, as ever.
            if charge.status != ChargeStatus::Failed {
                self.busiest_customers.note(customer.key(), count);
            }
            return;
        }
        let key = format!("customer:{customer}");
        let mut finding = grown(&key, count, count_min, charge, event, cards);
        "A customer paid with many cards".clone_into(&mut finding.title);
        finding.message = match count - paid {
            0 => format!("{customer} paid with {count} different cards within {WINDOW}"),
            declined => format!(
                "{customer} paid with {paid} different cards within {WINDOW}, and {declined} others were declined"
            ),
        };
        finding.subject = Some(customer.to_string());
        finding.subjects.insert(0, customer.to_string());
        self.open.insert(key, ctx.now());
        ctx.fire(finding);
        self.busiest_customers.told(customer.key());
    }

    /// Forgets, and ends what did not go on for a day.
    pub(super) fn tick(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        if now >= self.forgets_at {
            let due = [
                self.known.advance_to(now),
                self.cards.advance_to(now),
                self.customers.advance_to(now),
                self.declined.advance_to(now),
                self.guests.advance_to(now),
                self.buyers.advance_to(now),
            ];
            self.forgets_at = due.into_iter().fold(Timestamp::MAX, Timestamp::min);
        }
        self.forget_burst(now);
        self.newcomers.forget(now);
        if self
            .open
            .values()
            .all(|seen_at| now.since(*seen_at) < WINDOW)
        {
            return;
        }
        let over = |(_, seen_at): &(&String, &Timestamp)| now.since(**seen_at) >= WINDOW;
        let over: Vec<String> = self
            .open
            .iter()
            .filter(over)
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            self.open.remove(&key);
            self.newcomers.clear(&key);
            ctx.clear(key, format!("no more of it within {WINDOW}"));
        }
    }

    /// A card of several customers is told, and no example of a busy one.
    fn tell_card(&mut self, card: Key, finding: Option<Finding>, ctx: &mut Context<'_>) {
        if finding.is_some() {
            self.busiest_cards.told(card);
        }
        self.tell(finding, ctx);
    }

    fn tell(&mut self, finding: Option<Finding>, ctx: &mut Context<'_>) {
        if let Some(finding) = finding {
            self.open.insert(finding.key.clone(), ctx.now());
            ctx.fire(finding);
        }
    }

    /// A new customer paid: is there a burst of risky ones?
    fn take_new(&mut self, charge: &Charge, event: &Event, at: Timestamp, ctx: &mut Context<'_>) {
        const KEY: &str = "new_customers";
        let is_prepaid = charge
            .card
            .as_ref()
            .is_some_and(|card| card.funding.as_deref() == Some("prepaid"));
        let risk = charge.outcome.risk_level.as_deref();
        let is_risky = is_prepaid || matches!(risk, Some("elevated" | "highest"));
        self.burst
            .push_back((at, charge.id.as_str().into(), is_risky));
        if self.burst.len() > WATCHED_MAX {
            self.burst.pop_front();
        }
        self.forget_burst(ctx.now());
        if !is_risky {
            return;
        }
        let risky = self.burst.iter().filter(|(.., is_risky)| *is_risky).count() as u64;
        let all = self.burst.len() as u64;
        if risky < RISKY_MIN || risky * 2 < all || self.usual.1 < KNOWN_MIN {
            return;
        }
        let share = (self.usual.0 + 1.0) / (self.usual.1 + 2.0);
        let chance = binomial_tail(risky, all, share);
        if chance > CHANCE_MAX {
            return;
        }
        let severity = if risky >= 3 * RISKY_MIN {
            Severity::High
        } else {
            Severity::Medium
        };
        let mut finding = Finding::new(KEY, severity, "Many risky new customers pay at once");
        finding.anomaly_score = anomaly_score(chance);
        finding.message = format!(
            "{risky} of {all} new customers within {BURST} paid with prepaid cards or at an elevated \
             risk, where {:.1} are usual",
            share * as_f64(all)
        );
        let newest = self.burst.iter().rev().filter(|(.., is_risky)| *is_risky);
        finding.subjects = newest.take(20).map(|(_, id, _)| id.to_string()).collect();
        finding.subject = finding.subjects.first().cloned();
        finding.evidence.object_ids = finding.subjects.clone();
        finding.evidence.event_ids.push(event.id.to_string());
        let risky = i64::try_from(risky).unwrap_or(i64::MAX);
        finding.evidence.measures = vec![
            Measure::new("risky_new_customers", risky, Unit::Count)
                .threshold(i64::try_from(RISKY_MIN).unwrap_or(i64::MAX)),
            Measure::new(
                "new_customers",
                i64::try_from(all).unwrap_or(i64::MAX),
                Unit::Count,
            ),
        ];
        finding.evidence.reasons.push(format!(
            "at the usual share so many are risky by chance with probability {chance:.1e}"
        ));
        self.open.insert(KEY.to_owned(), ctx.now());
        ctx.fire(finding);
    }

    /// What leaves the hour in peace becomes part of what is usual.
    fn forget_burst(&mut self, now: Timestamp) {
        // Asked every minute: nearly always there are none.
        let is_old = |(at, ..): &(Timestamp, IdText, bool)| now.since(*at) > BURST;
        if !self.burst.front().is_some_and(is_old) {
            return;
        }
        let is_peace = !self.open.contains_key("new_customers");
        while self.burst.front().is_some_and(is_old) {
            if let Some((.., is_risky)) = self.burst.pop_front()
                && is_peace
            {
                self.usual.0 += f64::from(u8::from(is_risky));
                self.usual.1 += 1.0;
            }
        }
    }

    fn start_day(&mut self, day: i64) {
        self.busiest_customers.start_day(day);
        if self.busiest_cards.start_day(day) {
            self.usual = (self.usual.0 * KEPT_A_DAY, self.usual.1 * KEPT_A_DAY);
            self.newcomers.start_day();
        }
    }
}

fn fingerprint_of(charge: &Charge) -> Option<&str> {
    charge.card.as_ref()?.fingerprint.as_deref()
}

/// Notes a partner; how many there are within the window, if it is a new one.
fn meet(partners: &mut Partners, partner: Key, at: Timestamp, charge: &str) -> Option<usize> {
    partners.retain(|(_, seen_at, _)| at.since(*seen_at) <= WINDOW);
    if let Some(known) = partners.iter_mut().find(|(known, ..)| *known == partner) {
        known.1 = known.1.max(at);
        return None;
    }
    if partners.len() < PAIRS_MAX {
        partners.push((partner, at, charge.into()));
    }
    (partners.len() > 1).then_some(partners.len())
}

fn grown(
    key: &str,
    count: usize,
    count_min: usize,
    charge: &Charge,
    event: &Event,
    partners: &Partners,
) -> Finding {
    let severity = if count >= count_min.saturating_mul(2) {
        Severity::High
    } else {
        Severity::Medium
    };
    let mut finding = Finding::new(key, severity, "");
    let charges = partners.iter().rev().take(20);
    finding.subjects = charges.map(|(.., charge)| charge.to_string()).collect();
    if let (Some(amount), Some(currency)) = (charge.amount, charge.currency) {
        let newest = Money::new(amount, currency);
        finding.currency = Some(currency);
        let reason = format!("the newest of these payments is of {newest}");
        finding.evidence.reasons.push(reason);
    }
    finding.evidence.object_ids = finding.subjects.clone();
    finding.evidence.event_ids.push(event.id.to_string());
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let count_min = i64::try_from(count_min).unwrap_or(i64::MAX);
    finding.evidence.measures =
        vec![Measure::new("distinct", count, Unit::Count).threshold(count_min)];
    finding
}
