//! Sales by the country of the card and by the way of paying: one that stops while the others go on is a broken
//! checkout, and may be too small a part of the money for the whole to show it.
//!
//! A part is held against the same hours of the last four weeks, so neither nights nor weekends are a loss; and only what is
//! nearly gone is told, as shares move with campaigns, prices and seasons. Money for invoices is no sale: renewals bunch.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Severity, Unit};
use crate::event::charge::Charge;
use crate::money::{Currency, Money};
use crate::stats::{median, negative_binomial_head};

use super::super::words::{as_f64, is_for_invoice};
use super::Settings;
use super::currency::chance_max;
use super::hourly::{HOURS, Hourly, Sums};

/// Days that a window is held against, and how many of them must be known.
const DAYS: i64 = 28;
const DAYS_MIN: usize = 14;

/// Windows in which a part may be gone, in hours; by all but the last it is seen to be back.
const WINDOWS: [i64; 4] = [6, 12, 24, 48];

/// Countries, and ways of paying, of one currency; what comes beyond them is let go.
const PARTS_MAX: usize = 24;

/// A longer name is none of Stripe's.
const NAME_BYTES_MAX: usize = 40;

/// Days that are looked at first.
const SAMPLE_DAYS: [i64; 3] = [1, 2, 7];

/// Sales that a window must usually have.
const USUAL_MIN: i64 = 12;

/// What may be left: one in ten of what is usual, and one in four of the poorest day but one.
const LEFT_OF_USUAL: i64 = 10;
/// See [`LEFT_OF_USUAL`].
const LEFT_OF_LEAST: i64 = 4;

/// How much unlikelier than a loss of the whole it must be: many parts are looked at.
const PARTS: f64 = 10.0;

/// What the others must have of their usual sales, in percent: when all is lost, that is told as such.
const OTHERS_MIN: i64 = 60;

/// A country with more of the sales, in percent, shows in the whole.
const SHARE_MAX: i64 = 40;

/// A way of paying may have more: vouchers and debits that were begun before come in while nobody can pay by card, and
/// hide in the whole that nothing new is begun.
const METHOD_SHARE_MAX: i64 = 85;

/// A part with as much of them, in percent, is a loss of high severity.
const SHARE_HIGH: i64 = 15;

/// What of the loss the other ways of paying must have more than usual, in percent, for nothing to be lost.
const MOVED: i64 = 60;

/// For so many hours it is not looked at again then.
const MOVED_FOR: i64 = 7 * 24;

/// At so much of what is usual, in percent, and so many sales it is back.
const BACK_AT: i64 = 40;
/// See [`BACK_AT`].
const BACK_MIN: i64 = 4;

/// After so many hours it is the new usual.
const GIVEN_UP: i64 = 14 * 24;

/// The least that days are taken to stray, as a relative variance: 15 %.
const STRAY_MIN: f64 = 0.02;

/// Sales over which the worth of one is averaged.
const WORTH_OF: i64 = 32;

/// What tells a part's sales from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum By {
    Country,
    Method,
}

/// A part that is gone.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Gone {
    /// The first hour of the window that showed it.
    began: i64,
    /// The hour after that window.
    found: i64,
}

/// One country, or one way of paying.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    by: By,
    name: Box<str>,
    hourly: Hourly,
    /// What a sale brings, of late, in minor units; and over how many.
    worth: (i64, i64),
    gone: Option<Gone>,
    /// Hours, from and before, in which it was gone or too little is known: no yardstick.
    spoilt: VecDeque<(i64, i64)>,
}

/// Sales of one currency.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Sales {
    all: Hourly,
    parts: Vec<Part>,
}

/// Sales of all currencies.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Segments {
    sales: BTreeMap<Currency, Sales>,
    judged: i64,
}

/// What became of a part.
#[derive(Debug)]
pub(super) enum Told {
    Gone(Box<Finding>),
    /// The incident of this key is over, for this reason.
    Over(String, String),
    /// Nothing is lost of this currency, in words.
    Moved(Currency, String),
}

/// How a part did in a window, and how it usually does.
#[derive(Clone, Copy, Debug)]
struct Look {
    hours: i64,
    sales: i64,
    usual: i64,
    /// Its poorest day but one.
    least: i64,
    /// How far its days stray beyond the chance of small numbers, as a relative variance.
    stray: f64,
    others: i64,
    others_usual: i64,
}

/// Sales of a part and of all, added up; the hour after the last; and whose they are.
struct Added<'a> {
    part: Sums,
    all: &'a Sums,
    end: i64,
    currency: Currency,
}

impl Segments {
    /// A payment came in. `limit` bounds the currencies.
    pub(super) fn note(&mut self, charge: &Charge, hour: i64, limit: usize) {
        let country = charge
            .card
            .as_ref()
            .and_then(|card| card.country.as_deref());
        let method = charge.payment_method_type.as_deref();
        let (Some(currency), Some(amount)) = (charge.currency, charge.amount_collected()) else {
            return;
        };
        let is_full = self.sales.len() >= limit && !self.sales.contains_key(&currency);
        if is_full || is_for_invoice(charge) || country.or(method).is_none() {
            return;
        }
        let sales = self.sales.entry(currency).or_default();
        sales.all.note(hour);
        for (by, name) in [(By::Country, country), (By::Method, method)] {
            if let Some(part) = name.and_then(|name| sales.part(by, name)) {
                part.hourly.note(hour);
                let (worth, of) = part.worth;
                let of = (of + 1).min(WORTH_OF);
                part.worth = (worth + amount.saturating_sub(worth) / of, of);
            }
        }
    }

    /// Looks at the hours before `end`. While much of a currency's money is missing (`is_told`) no part of it says anything,
    /// and neither do hours whose events may be missing.
    pub(super) fn judge(
        &mut self,
        end: i64,
        unseen: &[(i64, i64)],
        is_told: impl Fn(Currency) -> bool,
        settings: &Settings,
    ) -> Vec<Told> {
        let mut told = Vec::new();
        let newest = (self.judged.max(end - HOURS), end);
        for (currency, Sales { all, parts }) in &mut self.sales {
            all.advance_to(end);
            let mut added_up = None;
            for part in &mut *parts {
                part.hourly.advance_to(end);
                for hours in unseen {
                    part.spoil(*hours);
                }
                if is_told(*currency) || part.gone.is_some() {
                    part.spoil(newest);
                }
                if part.gone.is_none() && !part.may_be_gone(end) {
                    continue;
                }
                let added = Added {
                    part: part.hourly.sums(),
                    all: added_up.get_or_insert_with(|| all.sums()),
                    end,
                    currency: *currency,
                };
                let step = match part.gone {
                    Some(gone) => part.follow(gone, &added),
                    None => part.look(&added, settings),
                };
                told.extend(step);
            }
            parts.retain(|part| part.gone.is_some() || !part.hourly.is_empty());
        }
        self.judged = end;
        told
    }
}

impl Sales {
    fn part(&mut self, by: By, name: &str) -> Option<&mut Part> {
        // Asked of every payment: nearly all names differ in their first letters.
        let begin = name.as_bytes().first_chunk::<2>();
        let is_alike = |part: &Part| part.name.as_bytes().first_chunk::<2>() == begin;
        let mut parts = self.parts.iter();
        let place = parts.position(|part| part.by == by && is_alike(part) && *part.name == *name);
        if let Some(place) = place {
            return self.parts.get_mut(place);
        }
        let of_kind = self.parts.iter().filter(|part| part.by == by).count();
        if of_kind >= PARTS_MAX || name.len() > NAME_BYTES_MAX {
            return None;
        }
        self.parts.push(Part {
            by,
            name: name.into(),
            hourly: Hourly::default(),
            worth: (0, 0),
            gone: None,
            spoilt: VecDeque::new(),
        });
        self.parts.last_mut()
    }
}

impl Part {
    fn key(&self, currency: Currency) -> String {
        let by = match self.by {
            By::Country => "country",
            By::Method => "method",
        };
        format!("{}/{by}/{}", currency.as_str(), self.name)
    }

    /// Whose sales they are.
    fn whose(&self) -> String {
        match self.by {
            By::Country => format!("cards of {}", self.name),
            By::Method => format!("payments by `{}`", self.name),
        }
    }

    fn spoil(&mut self, (from, until): (i64, i64)) {
        let mut known = self.spoilt.iter();
        if known.any(|known| known.0 <= from && until <= known.1) {
            return;
        }
        match self.spoilt.back_mut() {
            Some(last) if from >= last.0 && from <= last.1 => last.1 = last.1.max(until),
            _ => self.spoilt.push_back((from, until)),
        }
        while self
            .spoilt
            .front()
            .is_some_and(|(_, until)| *until < self.hourly.end() - HOURS)
        {
            self.spoilt.pop_front();
        }
    }

    fn is_spoilt(&self, end: i64, hours: i64) -> bool {
        let mut spoilt = self.spoilt.iter();
        spoilt.any(|(from, until)| *from < end && *until > end - hours)
    }

    /// A window, if enough is known of the same hours of other days.
    fn window(&self, hours: i64, added: &Added<'_>) -> Option<Look> {
        let end = added.end;
        let days = (1..=DAYS).map(|day| end - day * 24);
        let known = days.filter(|end| added.all.knows(end - hours) && !self.is_spoilt(*end, hours));
        let (mut usual, mut all_usual) = (Vec::with_capacity(32), Vec::with_capacity(32));
        for end in known {
            usual.push(added.part.window(end, hours));
            all_usual.push(added.all.window(end, hours));
        }
        if usual.len() < DAYS_MIN {
            return None;
        }
        let stray = stray(&usual);
        let (middle, all_middle) = (median(&mut usual), median(&mut all_usual));
        let sales = added.part.window(end, hours);
        Some(Look {
            hours,
            sales,
            usual: middle,
            // Sorted by the median.
            least: usual.get(1).copied().unwrap_or_default(),
            stray,
            others: added.all.window(end, hours) - sales,
            others_usual: all_middle - middle,
        })
    }

    /// Whether it may be gone: asked first, as it is cheap and nearly never so. Of a few days the poorest but one
    /// is no poorer than that of all.
    fn may_be_gone(&self, end: i64) -> bool {
        let mut windows = WINDOWS.into_iter();
        windows.any(|hours| self.may_be_gone_in(end, hours))
    }

    /// The same of one window.
    fn may_be_gone_in(&self, end: i64, hours: i64) -> bool {
        let sales = self.hourly.count(end, hours);
        let is_more = |day: i64| {
            let before = end - day * 24;
            // Nothing is known of what is spoilt, so it rules nothing out.
            self.is_spoilt(before, hours)
                || sales * LEFT_OF_LEAST < self.hourly.count(before, hours)
        };
        // The poorest but one had more where two of them had.
        let [first, second, third] = SAMPLE_DAYS;
        match (is_more(first), is_more(second)) {
            (true, true) => true,
            (false, false) => false,
            _ => is_more(third),
        }
    }

    fn look(&mut self, added: &Added<'_>, settings: &Settings) -> Option<Told> {
        // Half of the days have what a window must usually have, and no hour is in more than two windows of a length.
        if added.part.total() * 4 < USUAL_MIN * i64::try_from(DAYS_MIN).unwrap_or(0) {
            return None;
        }
        let seen = WINDOWS
            .into_iter()
            .filter(|hours| !self.is_spoilt(added.end, *hours));
        let seen = seen.filter(|hours| self.may_be_gone_in(added.end, *hours));
        let mut looks = seen.filter_map(|hours| self.window(hours, added));
        let look = looks.find(|look| look.is_gone(self.by, settings))?;
        drop(looks);
        let began = added.end - look.hours;
        if self.by == By::Method && look.has_moved() {
            self.spoil((began, added.end + MOVED_FOR));
            let message = format!(
                "{} came {} times in {} hours where {} are usual, and the others {} times where {} are: \
                 they pay in another way",
                self.whose(),
                look.sales,
                look.hours,
                look.usual,
                look.others,
                look.others_usual
            );
            return Some(Told::Moved(added.currency, message));
        }
        self.spoil((began, added.end));
        self.gone = Some(Gone {
            began,
            found: added.end,
        });
        Some(Told::Gone(Box::new(self.describe(&look, added.currency))))
    }

    fn follow(&mut self, gone: Gone, added: &Added<'_>) -> Option<Told> {
        let since_found = |hours: &i64| added.end - hours >= gone.found.min(gone.began + 24);
        let windows = WINDOWS.into_iter().filter(since_found);
        let mut looks = windows.filter_map(|hours| self.window(hours, added));
        let back = looks.find(Look::is_back);
        drop(looks);
        let reason = match back {
            Some(look) => format!(
                "{} sales in the last {} hours, where {} are usual",
                look.sales, look.hours, look.usual
            ),
            None if added.end - gone.began >= GIVEN_UP => {
                // What was usual before is so no longer, or it would be told again.
                self.hourly = Hourly::default();
                self.spoilt.clear();
                "they stay away, and are no longer expected".to_owned()
            }
            None => return None,
        };
        self.gone = None;
        Some(Told::Over(self.key(added.currency), reason))
    }

    fn describe(&self, look: &Look, currency: Currency) -> Finding {
        let severity = if look.share() >= SHARE_HIGH {
            Severity::High
        } else {
            Severity::Medium
        };
        let title = match self.by {
            By::Country => "Sales from one country stopped",
            By::Method => "Sales by one way of paying stopped",
        };
        let mut finding = Finding::new(self.key(currency), severity, title);
        let worth = Money::new(self.worth.0, currency);
        let lost = (look.usual - look.sales).saturating_mul(self.worth.0.max(0));
        finding.message = format!(
            "{} brought {} sales in {} hours where {} are usual, of some {worth} each, while others brought {} \
             where {} are",
            self.whose(),
            look.sales,
            look.hours,
            look.usual,
            look.others,
            look.others_usual
        );
        finding.currency = Some(currency);
        finding.amount_at_stake = Some(lost);
        finding.evidence.measures = vec![
            Measure::new("sales", look.sales, Unit::Count)
                .expected(look.usual)
                .threshold(look.usual / LEFT_OF_USUAL),
            Measure::new("other_sales", look.others, Unit::Count).expected(look.others_usual),
            Measure::new("poorest_day_but_one", look.least, Unit::Count),
        ];
        let part = look.share();
        finding.evidence.reasons.push(format!(
            "they are {part} % of all sales; the same hours of four weeks are the yardstick"
        ));
        finding
    }
}

impl Look {
    /// Whether nearly all of it is gone though the others go on.
    fn is_gone(&self, by: By, settings: &Settings) -> bool {
        let share_max = match by {
            By::Country => SHARE_MAX,
            By::Method => METHOD_SHARE_MAX,
        };
        let others_go_on = self.others * 100 >= self.others_usual * OTHERS_MIN;
        let is_nearly_gone =
            self.sales * LEFT_OF_USUAL <= self.usual && self.sales * LEFT_OF_LEAST < self.least;
        let chance = || {
            let usual = as_f64(self.usual.unsigned_abs());
            negative_binomial_head(self.sales.unsigned_abs(), usual, self.stray)
        };
        self.usual >= USUAL_MIN
            && is_nearly_gone
            && others_go_on
            && self.share() <= share_max
            && chance() * PARTS <= chance_max(settings)
    }

    /// What it usually is of all sales, in percent.
    const fn share(&self) -> i64 {
        let all = self.usual + self.others_usual;
        if all > 0 { self.usual * 100 / all } else { 100 }
    }

    /// Whether those who paid in this way pay in another.
    const fn has_moved(&self) -> bool {
        (self.others - self.others_usual) * 100 >= (self.usual - self.sales) * MOVED
    }

    const fn is_back(&self) -> bool {
        self.sales >= BACK_MIN && self.sales * 100 >= self.usual * BACK_AT
    }
}

/// How far counts stray beyond the chance of small numbers, as a relative variance.
fn stray(counts: &[i64]) -> f64 {
    let len = as_f64(counts.len() as u64);
    let floats = || counts.iter().map(|count| as_f64(count.unsigned_abs()));
    let mean = floats().sum::<f64>() / len;
    let variance = floats().map(|count| (count - mean).powi(2)).sum::<f64>() / len;
    ((variance - mean) / (mean * mean)).max(STRAY_MIN)
}
