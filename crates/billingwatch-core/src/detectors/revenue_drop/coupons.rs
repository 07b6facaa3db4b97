//! Discounts that nobody had at the last renewal, and everybody has at this one.
//!
//! A discount of the customer is no word of the subscription: its invoices alone tell it (`total_discount_amounts`). What they
//! took off the last renewal, too, is the price by now; what is off for the first time is given away. One by one that is
//! an offer to somebody who wanted to leave, and every merchant has a usual share of it; a coupon put on all renewals by
//! mistake is none of these.

use serde::{Deserialize, Serialize};

use crate::event::invoice::Invoice;
use crate::event::subscription::SubscriptionStatus;
use crate::ids::{Key, KeyMap};
use crate::ledger::SubscriptionRecord;
use crate::time::Timestamp;

use super::super::words::as_f64;
use super::hours::Hour;

/// Of all renewals due, those that a discount makes cheaper than foretold, until the merchant's own share is known: one
/// in fifty, so that three together are not enough to be a mass.
const OFF_PRIOR: (f64, f64) = (1.0, 50.0);

/// What is kept of it from one hour to the next: a memory of about six weeks.
const KEPT_AN_HOUR: f64 = 1.0 - 1.0 / 1_008.0;

/// Renewals that a stretch must have before its share says how far shares stray: about a day's at a small shop.
const STRETCH_DUES: f64 = 20.0;

/// What the invoices of a subscription took off, beyond what its own price says.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Off {
    /// When the newest renewal was due.
    at: Timestamp,
    /// In parts of the price: by the one before, and by the newest.
    before: u32,
    now: u32,
}

/// One scope's subscriptions whose last renewal, or the one before, was made cheaper by its invoice.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Coupons(KeyMap<Off>);

impl Coupons {
    /// The invoice of the renewal that was due at `at` takes off such a part of its price: which part of that is new.
    pub(super) fn note(&mut self, key: Key, at: Timestamp, part: u32) -> u32 {
        if part == 0 && !self.0.contains_key(&key) {
            return 0;
        }
        let off = self.0.entry(key).or_default();
        // Its invoice is told when it is finalised, and when it is paid.
        if off.at != at {
            (off.at, off.before) = (at, off.now);
        }
        off.now = part;
        let is_new = part.saturating_sub(off.before);
        if (off.before, off.now) == (0, 0) {
            self.0.swap_remove(&key);
        }
        is_new
    }

    /// What was taken off the renewal that was due then.
    pub(super) fn off(&self, key: Key, at: Timestamp) -> u32 {
        let off = self.0.get(&key).filter(|off| off.at == at);
        off.map_or(0, |off| off.now)
    }

    /// Forgets a subscription that is gone.
    pub(super) fn look(&mut self, key: Key, record: Option<&SubscriptionRecord>) {
        use SubscriptionStatus::{Canceled, IncompleteExpired};
        let is_gone =
            |record: &SubscriptionRecord| matches!(record.status, Canceled | IncompleteExpired);
        if !self.0.is_empty() && record.is_none_or(is_gone) {
            self.0.swap_remove(&key);
        }
    }
}

/// How much less an invoice asks than its subscription ever paid: who never paid more was always so cheap, and of whom no payment is
/// known nothing is. Both hold the taxes.
pub(super) fn below_paid(invoice: &Invoice, record: Option<&SubscriptionRecord>) -> i64 {
    let paid = record.map_or(0, |record| record.largest_paid);
    let total = invoice.total.unwrap_or(i64::MAX);
    paid.saturating_sub(total.max(0)).max(0)
}

/// What share of a currency's renewals invoices usually make cheaper, new or not: where half of them are, and each time
/// others, it is no news.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct UsualOff {
    /// In whole ones, and of all due.
    known: (f64, f64),
    /// The same in the stretch under way.
    stretch: (f64, f64),
    /// The largest share of a stretch, fading.
    most: f64,
}

impl UsualOff {
    /// The most that is usual: its average, or what came together before.
    pub(super) fn share(&self) -> f64 {
        let average = (self.known.0 + OFF_PRIOR.0) / (self.known.1 + OFF_PRIOR.1);
        average.max(self.most)
    }

    /// Learns from an hour that is no part of an incident.
    pub(super) fn learn(&mut self, hour: &Hour) {
        let off = as_f64(hour.off_bps.max(0).unsigned_abs()) / 10_000.0;
        let due = f64::from(hour.due.max(0));
        self.most *= KEPT_AN_HOUR;
        for (sum, kept) in [(&mut self.known, KEPT_AN_HOUR), (&mut self.stretch, 1.0)] {
            *sum = (sum.0 * kept + off, sum.1 * kept + due);
        }
        if self.stretch.1 >= STRETCH_DUES {
            // One of them comes by itself.
            let share = (self.stretch.0 - 1.0).max(0.0) / self.stretch.1;
            (self.most, self.stretch) = (self.most.max(share), (0.0, 0.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_off_last_time_is_not_new() {
        let mut coupons = Coupons::default();
        let (key, at) = (Key::of("sub_1"), Timestamp::from_millis);
        assert_eq!(coupons.note(key, at(1), 0), 0);
        assert!(coupons.0.is_empty(), "nothing is kept of who pays in full");
        assert_eq!(coupons.note(key, at(2), 500), 500);
        assert_eq!(coupons.note(key, at(2), 500), 500, "told again");
        assert_eq!(coupons.note(key, at(3), 700), 200);
        assert_eq!((coupons.off(key, at(3)), coupons.off(key, at(2))), (700, 0));
        assert_eq!(coupons.note(key, at(4), 0), 0);
        assert_eq!(coupons.note(key, at(5), 500), 500, "again");
        coupons.look(key, None);
        assert!(coupons.0.is_empty());
    }

    #[test]
    fn what_comes_together_now_and_then_is_usual() {
        let hour = |off: i64| Hour {
            due: 10,
            off_bps: off * 10_000,
            ..Hour::default()
        };
        let mut usual = UsualOff::default();
        for n in 0..1_000 {
            usual.learn(&hour(i64::from(n % 20 == 0)));
        }
        assert!(usual.share() < 0.02, "{}", usual.share());
        for _ in 0..2 {
            usual.learn(&hour(6));
        }
        assert!((0.5..0.6).contains(&usual.share()), "{}", usual.share());
    }
}
