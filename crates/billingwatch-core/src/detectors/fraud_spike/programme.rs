//! How near a merchant is to the programmes of the card networks, as far as events show it.
//!
//! Visa's VAMP holds disputes and early fraud warnings of a calendar month, a charge in both twice,
//! against the captured Visa payments of that month. Mastercard's ECP holds the chargebacks of a
//! month against the payments of the month before. Both count what Stripe's API never shows, so
//! every figure here is an estimate, and likely low. (Stripe docs: Dispute and fraud card monitoring
//! programs.)

use serde::{Deserialize, Serialize};

use crate::alert::Severity;
use crate::money::share_bps;
use crate::time::Timestamp;

/// VAMP calls a merchant excessive from so many, and so large a share (since 1 April 2026).
const VAMP_EXCESSIVE: (i64, i64) = (1_500, 150);

/// VAMP calls a merchant non-compliant from so many, and so large a share.
const VAMP_NON_COMPLIANT: (i64, i64) = (5, 50);

/// ECP begins at so many chargebacks, and so large a share.
const ECP: (i64, i64) = (100, 150);

/// A card network whose programme is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Network {
    Visa,
    Mastercard,
}

impl Network {
    /// The network of a card's brand.
    pub(super) fn of_brand(brand: &str) -> Option<Self> {
        match brand {
            "visa" => Some(Self::Visa),
            "mastercard" => Some(Self::Mastercard),
            _ => None,
        }
    }
}

/// One calendar month's counts, UTC.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Month {
    number: i64,
    visa_payments: i64,
    visa_against: i64,
    mastercard_payments: i64,
    mastercard_disputes: i64,
}

/// This month and the one before.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Programme {
    now: Month,
    before: Month,
    /// The day that was asked about last, and the number of its month.
    #[serde(skip)]
    day: Option<(i64, i64)>,
}

impl Programme {
    pub(super) fn count_payment(&mut self, network: Network, at: Timestamp) {
        if let Some(month) = self.month(at) {
            match network {
                Network::Visa => month.visa_payments += 1,
                Network::Mastercard => month.mastercard_payments += 1,
            }
        }
    }

    pub(super) fn count_against(&mut self, network: Network, is_warning: bool, at: Timestamp) {
        if let Some(month) = self.month(at) {
            match (network, is_warning) {
                (Network::Visa, _) => month.visa_against += 1,
                (Network::Mastercard, false) => month.mastercard_disputes += 1,
                // Mastercard's programme counts chargebacks alone.
                (Network::Mastercard, true) => {}
            }
        }
    }

    /// Visa's count, and its share of the month's payments in basis points.
    pub(super) fn vamp(&self) -> (i64, i64) {
        let month = self.now;
        let share = share_bps(month.visa_against, month.visa_payments.max(1));
        (month.visa_against, share)
    }

    /// Mastercard's count, and its share of the payments of the month before in basis points;
    /// none while that month is unknown.
    pub(super) fn ecp(&self) -> Option<(i64, i64)> {
        let payments = self.before.mastercard_payments;
        let disputes = self.now.mastercard_disputes;
        (payments > 0).then(|| (disputes, share_bps(disputes, payments)))
    }

    /// How bad that is.
    pub(super) fn severity(&self) -> Severity {
        let reaches =
            |(count, share): (i64, i64), line: (i64, i64)| count >= line.0 && share >= line.1;
        let vamp = self.vamp();
        if reaches(vamp, VAMP_EXCESSIVE) || self.ecp().is_some_and(|ecp| reaches(ecp, ECP)) {
            Severity::Critical
        } else if reaches(vamp, VAMP_NON_COMPLIANT) {
            Severity::High
        } else {
            Severity::Medium
        }
    }

    /// The counts of a month; none for months that are over.
    fn month(&mut self, at: Timestamp) -> Option<&mut Month> {
        let number = match self.day {
            Some((day, number)) if day == at.day() => number,
            _ => month_number(at)?,
        };
        self.day = Some((at.day(), number));
        if number > self.now.number {
            let is_next = number == self.now.number + 1;
            self.before = if is_next { self.now } else { Month::default() };
            self.now = Month {
                number,
                ..Month::default()
            };
        }
        if number == self.now.number {
            Some(&mut self.now)
        } else if number == self.before.number {
            Some(&mut self.before)
        } else {
            None
        }
    }
}

fn month_number(at: Timestamp) -> Option<i64> {
    use chrono::Datelike;
    let at = at.to_utc()?;
    Some(i64::from(at.year()) * 12 + i64::from(at.month0()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    #[test]
    fn vamp_counts_this_month_and_ecp_holds_it_against_the_last() {
        let january = Timestamp::from_secs(1_704_100_000);
        let february = january + Span::days(31);
        let mut programme = Programme::default();
        for _ in 0..1_000 {
            programme.count_payment(Network::Visa, january);
            programme.count_payment(Network::Mastercard, january);
        }
        assert_eq!(programme.ecp(), None);
        for _ in 0..4 {
            programme.count_against(Network::Visa, false, january);
        }
        assert_eq!(programme.severity(), Severity::Medium);
        programme.count_against(Network::Visa, true, january);
        assert_eq!(programme.vamp(), (5, 50));
        assert_eq!(programme.severity(), Severity::High);
        for _ in 0..100 {
            programme.count_against(Network::Mastercard, false, february);
            programme.count_against(Network::Mastercard, true, february);
        }
        assert_eq!(programme.vamp(), (0, 0));
        assert_eq!(programme.ecp(), Some((100, 1_000)));
        assert_eq!(programme.severity(), Severity::Critical);
    }
}
