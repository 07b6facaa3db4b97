//! New customers whose cards come from all over the world, where nearly everybody's come from a few countries.
//!
//! Stolen cards are sold by the hundred, from wherever they were stolen. Whoever uses them up buys at ordinary
//! prices, so neither alike nor tiny, and most of them work. What tells is where they were issued: a paper that wrote
//! of the shop abroad brings readers of one country, a thief brings cards of several.

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Severity, anomaly_score};
use crate::calendar::Calendar;
use crate::detectors::words::as_f64;
use crate::event::Event;
use crate::ledger::IdText;
use crate::time::Timestamp;

use super::hours::Hours;
use super::{Burst, KEPT_A_DAY, Newcomer, WINDOW, counted};

/// The commonest countries that together have this share of all new customers are home.
const HOME_SHARE: f64 = 0.8;

/// New customers that must be known before it is known where they come from.
const KNOWN_MIN: f64 = 100.0;

/// Taken for known of it: one of so many comes from abroad.
const PRIOR: (f64, f64) = (1.0, 20.0);

/// Countries that are remembered; the rarest give way.
const COUNTRIES_MAX: usize = 64;

/// A country of which less than this is left is forgotten.
const FORGOTTEN: f64 = 0.1;

/// The fewest countries that a burst comes from.
const FROM_MIN: usize = 3;

/// The most of it that may come from one of them.
const FROM_ONE_PART: f64 = 0.6;

/// How likely it may be that so many of those who are new come from abroad: a crowd has a home, too, and it
/// need not be the shop's.
const ABROAD_CHANCE: f64 = 1e-6;

/// The key of its alert.
pub(super) const KEY: &str = "abroad";

type Country = IdText<2>;

/// Where new customers of a scope have their cards from.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Abroad {
    /// Learned, decaying: new customers by country.
    countries: Vec<(Country, f64)>,
    /// Those that are home, as of the day's beginning; none while too few are known.
    home: Vec<Country>,
    /// The share of those that are not, as of then.
    share: f64,
    pub(super) hours: Hours,
    /// Since when those of the newest burst paid that was told.
    told_from: Option<Timestamp>,
}

impl Abroad {
    /// Whether a card of this country is seldom seen here. `?` stands for one that Stripe does not know.
    pub(super) fn is_abroad(&self, country: &Country) -> bool {
        country.as_str() != "?" && !self.home.is_empty() && !self.home.contains(country)
    }

    /// The share of new customers from abroad, where it is known.
    pub(super) fn share(&self) -> Option<f64> {
        (!self.home.is_empty()).then_some(self.share)
    }

    /// Somebody leaves the hour, and is learned from unless it was told.
    pub(super) fn learn(&mut self, one: &Newcomer) {
        let is_told = one.is_abroad && self.told_from.is_some_and(|from| one.at >= from);
        if is_told || one.country.as_str() == "?" {
            return;
        }
        let mut known = self.countries.iter_mut();
        if let Some((_, count)) = known.find(|(country, _)| *country == one.country) {
            *count += 1.0;
            return;
        }
        if self.countries.len() >= COUNTRIES_MAX {
            let counts = self.countries.iter().enumerate();
            let rarest = counts.min_by(|(_, (_, one)), (_, (_, other))| one.total_cmp(other));
            if let Some((place, _)) = rarest {
                self.countries.swap_remove(place);
            }
        }
        self.countries.push((one.country.clone(), 1.0));
    }

    /// What is home is said anew each day.
    pub(super) fn start_day(&mut self) {
        for (_, count) in &mut self.countries {
            *count *= KEPT_A_DAY;
        }
        self.countries.retain(|(_, count)| *count >= FORGOTTEN);
        self.countries
            .sort_by(|(_, one), (_, other)| other.total_cmp(one));
        self.home.clear();
        let all: f64 = self.countries.iter().map(|(_, count)| count).sum();
        if all < KNOWN_MIN {
            return;
        }
        let mut at_home = 0.0;
        for (country, count) in &self.countries {
            if at_home >= all * HOME_SHARE {
                break;
            }
            at_home += count;
            self.home.push(country.clone());
        }
        self.share = (all - at_home + PRIOR.0) / (all + PRIOR.1);
    }

    /// A burst is told, of what was paid since an instant.
    pub(super) fn told(&mut self, (from, to): (Timestamp, Timestamp), calendar: &Calendar) {
        self.told_from.get_or_insert(from);
        self.hours.told(from, to, calendar);
    }

    /// Its alert is over.
    pub(super) const fn clear(&mut self) {
        self.told_from = None;
    }
}

/// Whether those from abroad come from so many countries, and so many of those who are new are of them, that no
/// crowd is like it.
pub(super) fn is_from_everywhere(burst: &Burst, ones: &[&Newcomer]) -> bool {
    let mut countries: Vec<(&str, u64)> = Vec::new();
    for one in ones {
        let country = one.country.as_str();
        match countries.iter_mut().find(|(known, _)| *known == country) {
            Some((_, count)) => *count += 1,
            None => countries.push((country, 1)),
        }
    }
    let most = countries.iter().map(|(_, count)| *count).max();
    let all = as_f64(ones.len() as u64);
    countries.len() >= FROM_MIN
        && as_f64(most.unwrap_or(0)) <= all * FROM_ONE_PART
        && burst.alike_chance <= ABROAD_CHANCE
}

pub(super) fn describe(burst: &Burst, ones: &[&Newcomer], event: &Event) -> Finding {
    let title = "Many new customers pay by cards from abroad at once";
    let mut finding = Finding::new(KEY, Severity::Medium, title);
    finding.anomaly_score = anomaly_score(burst.chance);
    finding.message = format!(
        "{} new customers paid by cards from abroad within {WINDOW}, each by a card of its own, where {:.1} are \
         usual at this hour; {} others paid within {}. Stolen cards are used up in this way",
        burst.alike, burst.expected, burst.others, burst.window,
    );
    if let Some(currency) = ones.last().map(|one| one.price.1) {
        let prices = ones.iter().map(|one| one.price);
        let prices = prices.filter(|(_, of)| *of == currency);
        finding.currency = Some(currency);
        finding.amount_at_stake =
            Some(prices.fold(0_i64, |sum, (amount, _)| sum.saturating_add(amount)));
    }
    burst.show("new_customers_from_abroad", ones, event, &mut finding);
    finding.evidence.reasons = vec![
        format!(
            "so many come by chance with probability {:.1e}, and so many of them from abroad with {:.1e}",
            burst.chance, burst.alike_chance
        ),
        format!(
            "cards: issued in {}; {}",
            counted(ones.iter().map(|one| one.country.as_str())),
            counted(ones.iter().map(|one| one.funding.as_str())),
        ),
    ];
    finding
}
