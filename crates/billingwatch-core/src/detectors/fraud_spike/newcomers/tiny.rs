//! New customers who pay next to nothing.
//!
//! Some lists of cards are good: most are approved, each for an amount that its holder will not notice,
//! and the test is done (Stripe docs: Protect yourself from card testing). No share of failures tells of
//! it. What tells is that so many newcomers at once pay so little, each by a card of its own, while those
//! who bought before buy no more than ever: a sale, and a price list that lost a zero, bring them too.

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Severity, anomaly_score};
use crate::calendar::Calendar;
use crate::event::Event;
use crate::money::{Currency, Money};
use crate::stats::AmountHistogram;
use crate::time::Timestamp;

use super::hours::Hours;
use super::{Burst, KEPT_A_DAY, Newcomer, Price, WINDOW};

/// An amount so many times below the usual one is tiny.
const TINY_PARTS: i64 = 4;

/// Amounts in a currency without which none is called tiny.
const AMOUNTS_MIN: u64 = 30;

/// Currencies whose usual amounts are known; further ones have no tiny amounts.
const CURRENCIES_MAX: usize = 16;

/// New customers that must be known before it is known how many of them pay so little.
const KNOWN_MIN: f64 = 200.0;

/// Taken for known of it: one of so many pays so little.
const PRIOR: (f64, f64) = (1.0, 20.0);

/// Others, or newcomers at an ordinary price, that must pay within the hour. Where everybody is new, a price
/// list that lost a zero and a coupon put on everything look the same until somebody pays what is usual.
pub(super) const ORDINARY_MIN: u64 = 3;

/// The key of its alert.
pub(super) const KEY: &str = "tiny";

/// What new customers of a scope pay, and how many pay next to nothing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Tiny {
    amounts: Vec<(Currency, AmountHistogram)>,
    pub(super) hours: Hours,
    /// Learned, decaying: new customers who paid so little, and all.
    usual: (f64, f64),
    /// Since when those of the newest burst paid that was told.
    told_from: Option<Timestamp>,
}

impl Tiny {
    /// Whether a first payment is far below what is usual, which it is part of from then on.
    pub(super) fn take(&mut self, (amount, currency): Price) -> bool {
        let known = self
            .amounts
            .iter()
            .position(|(known, _)| *known == currency);
        let index = known.unwrap_or(self.amounts.len());
        if index >= CURRENCIES_MAX {
            return false;
        }
        if known.is_none() {
            self.amounts.push((currency, AmountHistogram::default()));
        }
        let Some((_, histogram)) = self.amounts.get_mut(index) else {
            return false;
        };
        let is_tiny = histogram.total() >= AMOUNTS_MIN
            && amount.saturating_mul(TINY_PARTS) <= histogram.middle();
        histogram.add(amount);
        is_tiny
    }

    /// The share of new customers who pay so little, where it is known.
    pub(super) fn share(&self) -> Option<f64> {
        let (tiny, all) = self.usual;
        (all >= KNOWN_MIN).then(|| (tiny + PRIOR.0) / (all + PRIOR.1))
    }

    /// Somebody leaves the hour, and is learned from unless it was told.
    pub(super) fn learn(&mut self, one: &Newcomer) {
        let is_told = one.is_tiny && self.told_from.is_some_and(|from| one.at >= from);
        if !is_told {
            self.usual.0 += f64::from(u8::from(one.is_tiny));
            self.usual.1 += 1.0;
        }
    }

    /// A burst is told, of what was paid since an instant.
    pub(super) fn told(&mut self, (from, to): (Timestamp, Timestamp), calendar: &Calendar) {
        self.told_from.get_or_insert(from);
        self.hours.told(from, to, calendar);
    }

    /// Whether its alert is open.
    pub(super) const fn is_told(&self) -> bool {
        self.told_from.is_some()
    }

    /// Its alert is over.
    pub(super) const fn clear(&mut self) {
        self.told_from = None;
    }

    pub(super) fn start_day(&mut self) {
        self.usual.0 *= KEPT_A_DAY;
        self.usual.1 *= KEPT_A_DAY;
    }
}

pub(super) fn describe(burst: &Burst, tiny: &[&Newcomer], event: &Event) -> Finding {
    let title = "Many new customers pay next to nothing at once";
    let mut finding = Finding::new(KEY, Severity::Medium, title);
    finding.anomaly_score = anomaly_score(burst.chance);
    let currency = tiny.last().map(|one| one.price.1);
    finding.message = format!(
        "{} new customers paid a quarter of the usual or less within {WINDOW}, each by a card of its own, \
         where {:.1} are usual at this hour; {} others paid within {}",
        burst.alike, burst.expected, burst.others, burst.window,
    );
    if let Some(currency) = currency {
        let amounts = || {
            tiny.iter()
                .filter(|one| one.price.1 == currency)
                .map(|one| one.price.0)
        };
        let sum = amounts().fold(0_i64, i64::saturating_add);
        let (least, most) = (amounts().min().unwrap_or(0), amounts().max().unwrap_or(0));
        finding.message += &format!(
            "; of {} to {} each. Cards are tested in this way whose holders shall not notice",
            Money::new(least, currency),
            Money::new(most, currency)
        );
        finding.currency = Some(currency);
        finding.amount_at_stake = Some(sum);
    }
    burst.show("tiny_new_customers", tiny, event, &mut finding);
    let evidence = &mut finding.evidence;
    evidence.reasons.push(format!(
        "so many come by chance with probability {:.1e}, and pay so little with {:.1e}",
        burst.chance, burst.alike_chance
    ));
    finding
}
