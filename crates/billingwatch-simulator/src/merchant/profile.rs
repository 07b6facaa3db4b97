//! The figures of each kind of merchant. Rates are in parts per million, amounts in US cents.

use super::customer::Customer;
use super::trades::{BOX, GYM, PARKING, RESORT, TELECOM};
use crate::calendar::{EVEN_YEAR, Interval, Rhythm, next_day_of_month};
use crate::config::MerchantKind;
use crate::ids::mix;
use crate::money::Currency;

/// Something with a recurring price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    /// Per period and seat; per used unit when metered.
    pub(crate) cents: i64,
    pub(crate) every: Interval,
    pub(crate) metered: bool,
    /// Sold with seats rather than one by one.
    pub(crate) seats: bool,
    pub(crate) weight: i64,
}

pub(super) const fn plan(name: &'static str, cents: i64, every: Interval, weight: i64) -> Plan {
    Plan {
        name,
        cents,
        every,
        metered: false,
        seats: false,
        weight,
    }
}

const fn seats(name: &'static str, cents: i64, every: Interval, weight: i64) -> Plan {
    Plan {
        name,
        cents,
        every,
        metered: false,
        seats: true,
        weight,
    }
}

const fn metered(name: &'static str, cents: i64, weight: i64) -> Plan {
    Plan {
        name,
        cents,
        every: Interval::MONTH,
        metered: true,
        seats: false,
        weight,
    }
}

/// Everybody is billed on this day of each month, within some minutes from this hour (UTC) on: the merchant
/// gave each a `billing_cycle_anchor` there, staggered so that not all of them turn in one second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minutes: i64,
}

impl Run {
    /// When the first run after `at` begins.
    fn next_after(self, at: i64) -> i64 {
        next_day_of_month(at, self.day, self.hour)
    }

    /// The customer's own turn in the first run that has it after `at`.
    pub(crate) fn next_turn(self, customer: Customer, at: i64) -> i64 {
        let secs = u64::try_from(self.minutes * 60).unwrap_or(0).max(1);
        let turn = i64::try_from(mix(customer.number) % secs).unwrap_or(0);
        self.next_after(at - turn) + turn
    }
}

/// How one-off sales go, and by which number metadata tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selling {
    /// Paid when bought.
    AtOnce,
    /// A deposit when booked and the balance before the stay: a `booking`, and which `part` of it.
    Bookings { deposit_percent: i64 },
    /// Paid when a `session` ends, or left unpaid for the nightly job; some begin another one minutes later.
    Sessions { unpaid_ppm: i64, again_ppm: i64 },
}

/// The figures of one kind of merchant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    /// Live subscriptions at the start.
    pub(crate) subscriptions: i64,
    pub(crate) plans: &'static [Plan],
    pub(crate) currencies: &'static [(Currency, i64)],
    /// One-off purchases a day.
    pub(crate) purchases_per_day: i64,
    pub(crate) baskets: &'static [i64],
    pub(crate) selling: Selling,
    /// Purchases carry their number in the metadata.
    pub(crate) order_ids: bool,
    /// Purchases without a customer.
    pub(crate) guests_ppm: i64,
    /// First attempts that are declined.
    pub(crate) declines_ppm: i64,
    /// New subscriptions with a trial.
    pub(crate) trials_ppm: i64,
    /// New subscriptions with a percentage off.
    pub(crate) coupons_ppm: i64,
    /// Subscriptions that pay by invoice, net 30.
    pub(crate) net30_ppm: i64,
    /// Subscriptions that renew on the first of the month.
    pub(crate) first_of_month_ppm: i64,
    /// Everybody is billed on one day of the month.
    pub(crate) run: Option<Run>,
    /// Subscriptions that pay by bank debit once the first invoice is paid by card.
    pub(crate) debits_ppm: i64,
    /// With oddities: subscriptions whose collection is paused in a month.
    pub(crate) pauses_ppm: i64,
    /// Subscriptions that leave in a month.
    pub(crate) churn_ppm: i64,
    /// New subscriptions for each hundred that leave.
    pub(crate) signups_percent: i64,
    /// Payments refunded later.
    pub(crate) refunds_ppm: i64,
    pub(crate) rhythm: Rhythm,
}

impl MerchantKind {
    /// When this merchant next bills everybody at once after `at` (both in unix seconds). `None` where
    /// renewals are spread over the month: there any time is as good for an incident that shows in them.
    #[must_use]
    pub fn next_run(self, at: i64) -> Option<i64> {
        let run = Profile::of(self).run?;
        Some(run.next_after(at))
    }
}

impl Profile {
    pub(crate) const fn of(kind: MerchantKind) -> &'static Self {
        match kind {
            MerchantKind::Indie => &INDIE,
            MerchantKind::SmallSaas => &SMALL_SAAS,
            MerchantKind::Saas => &SAAS,
            MerchantKind::Marketplace => &MARKETPLACE,
            MerchantKind::Multicurrency => &MULTICURRENCY,
            MerchantKind::Telecom => &TELECOM,
            MerchantKind::Box => &BOX,
            MerchantKind::Resort => &RESORT,
            MerchantKind::Parking => &PARKING,
            MerchantKind::Gym => &GYM,
        }
    }

    /// The largest ordinary amount, in US cents: what an outsized refund is measured by.
    pub(crate) fn largest_cents(&self) -> i64 {
        let plans = self
            .plans
            .iter()
            .map(|p| if p.seats { p.cents * 10 } else { p.cents });
        plans
            .chain(self.baskets.iter().copied())
            .max()
            .unwrap_or(10_000)
    }

    /// Renewals a day that can be counted on: none where all of a month come in one run.
    pub(crate) fn renewals_per_day(&self) -> i64 {
        if self.run.is_some() {
            return 0;
        }
        // A plan by the year counts as one by the month: its renewals come in crowds.
        let renewals = |p: &Plan| p.weight * 30 / p.every.days().min(30);
        let weights: i64 = self.plans.iter().map(|p| p.weight).sum();
        let in_month: i64 = self.plans.iter().map(renewals).sum();
        self.subscriptions * in_month / weights.max(1) / 30
    }

    /// New subscriptions a day, in thousandths: what replaces those who leave, and more.
    pub(crate) fn signups_per_day_milli(&self) -> i64 {
        // A third of the trials come to nothing.
        let stay_ppm = 1_000_000 - self.trials_ppm / 3;
        self.subscriptions * self.churn_ppm * self.signups_percent
            / 100
            / 30
            / (stay_ppm / 1_000).max(1)
    }
}

/// What a kind of merchant is that says nothing else.
pub(super) const PLAIN: Profile = Profile {
    name: "",
    subscriptions: 0,
    plans: &[],
    currencies: &[(Currency::Usd, 1)],
    purchases_per_day: 0,
    baskets: &[],
    selling: Selling::AtOnce,
    order_ids: false,
    guests_ppm: 0,
    declines_ppm: 40_000,
    trials_ppm: 0,
    coupons_ppm: 0,
    net30_ppm: 0,
    first_of_month_ppm: 0,
    run: None,
    debits_ppm: 0,
    pauses_ppm: 4_000,
    churn_ppm: 0,
    signups_percent: 110,
    refunds_ppm: 12_000,
    rhythm: Rhythm {
        hours: &SHOP_HOURS,
        weekdays: &SHOP_WEEK,
        month_start: 1_000,
        months: &EVEN_YEAR,
        utc_offset_hours: 0,
    },
};

/// Business customers: busy from nine to five, quiet at the weekend.
const OFFICE_HOURS: [i64; 24] = [
    250, 180, 140, 140, 180, 300, 550, 900, 1_500, 1_900, 2_000, 1_950, 1_700, 1_800, 1_950, 1_900,
    1_700, 1_400, 1_100, 900, 750, 600, 450, 300,
];
/// Consumers: busy at noon and more so in the evening.
pub(super) const SHOP_HOURS: [i64; 24] = [
    450, 280, 180, 140, 150, 220, 400, 650, 900, 1_100, 1_250, 1_350, 1_450, 1_350, 1_250, 1_250,
    1_350, 1_450, 1_600, 1_800, 1_850, 1_700, 1_300, 800,
];
const OFFICE_WEEK: [i64; 7] = [1_250, 1_300, 1_250, 1_200, 1_050, 450, 500];
pub(super) const SHOP_WEEK: [i64; 7] = [900, 880, 900, 950, 1_150, 1_200, 1_020];

const INDIE: Profile = Profile {
    name: "Tiny Tools",
    subscriptions: 70,
    plans: &[
        plan("Hobby", 900, Interval::MONTH, 50),
        plan("Pro", 1_900, Interval::MONTH, 35),
        plan("Pro yearly", 19_000, Interval::YEAR, 15),
    ],
    currencies: &[(Currency::Usd, 1)],
    purchases_per_day: 3,
    baskets: &[1_900, 2_900, 4_900, 7_900],
    order_ids: false,
    guests_ppm: 250_000,
    declines_ppm: 30_000,
    trials_ppm: 200_000,
    coupons_ppm: 100_000,
    net30_ppm: 0,
    first_of_month_ppm: 0,
    churn_ppm: 40_000,
    rhythm: Rhythm {
        hours: &SHOP_HOURS,
        weekdays: &OFFICE_WEEK,
        month_start: 1_100,
        utc_offset_hours: 1,
        ..PLAIN.rhythm
    },
    ..PLAIN
};

const SMALL_SAAS: Profile = Profile {
    name: "Ledgerly",
    subscriptions: 680,
    plans: &[
        plan("Starter", 1_900, Interval::MONTH, 45),
        plan("Team", 4_900, Interval::MONTH, 25),
        seats("Business seats", 1_200, Interval::MONTH, 12),
        plan("Starter yearly", 19_000, Interval::YEAR, 10),
        plan("Team yearly", 49_000, Interval::YEAR, 5),
        metered("API calls", 2, 3),
    ],
    currencies: &[(Currency::Usd, 1)],
    purchases_per_day: 14,
    baskets: &[2_500, 4_000, 5_000, 9_900, 15_000],
    order_ids: false,
    guests_ppm: 100_000,
    declines_ppm: 35_000,
    trials_ppm: 300_000,
    coupons_ppm: 120_000,
    net30_ppm: 30_000,
    first_of_month_ppm: 100_000,
    churn_ppm: 35_000,
    rhythm: Rhythm {
        hours: &OFFICE_HOURS,
        weekdays: &OFFICE_WEEK,
        month_start: 1_250,
        utc_offset_hours: -5,
        ..PLAIN.rhythm
    },
    ..PLAIN
};

const SAAS: Profile = Profile {
    name: "Harborline",
    subscriptions: 8_300,
    plans: &[
        plan("Starter", 2_900, Interval::MONTH, 40),
        plan("Growth", 9_900, Interval::MONTH, 20),
        seats("Scale seats", 1_500, Interval::MONTH, 18),
        plan("Growth yearly", 99_000, Interval::YEAR, 10),
        seats("Scale seats yearly", 15_000, Interval::YEAR, 7),
        metered("Events processed", 3, 5),
    ],
    currencies: &[(Currency::Usd, 1)],
    purchases_per_day: 120,
    baskets: &[2_000, 5_000, 10_000, 12_500, 20_000, 30_000],
    order_ids: true,
    guests_ppm: 0,
    declines_ppm: 40_000,
    trials_ppm: 350_000,
    coupons_ppm: 150_000,
    net30_ppm: 80_000,
    first_of_month_ppm: 150_000,
    churn_ppm: 30_000,
    rhythm: Rhythm {
        hours: &OFFICE_HOURS,
        weekdays: &OFFICE_WEEK,
        month_start: 1_350,
        utc_offset_hours: -8,
        ..PLAIN.rhythm
    },
    ..PLAIN
};

const MARKETPLACE: Profile = Profile {
    name: "Corner Market",
    subscriptions: 0,
    // Nobody has it of old; a silent lapse makes some.
    plans: &[plan("Seller Pro", 2_900, Interval::MONTH, 1)],
    currencies: &[(Currency::Usd, 1)],
    purchases_per_day: 5_500,
    baskets: &[
        799, 1_149, 1_499, 1_850, 2_199, 2_499, 2_999, 3_450, 3_999, 4_599, 5_499, 6_999, 8_999,
        12_999, 18_999,
    ],
    order_ids: true,
    guests_ppm: 150_000,
    declines_ppm: 45_000,
    trials_ppm: 0,
    coupons_ppm: 0,
    net30_ppm: 0,
    first_of_month_ppm: 0,
    churn_ppm: 0,
    rhythm: Rhythm {
        hours: &SHOP_HOURS,
        weekdays: &SHOP_WEEK,
        month_start: 1_200,
        utc_offset_hours: -6,
        ..PLAIN.rhythm
    },
    ..PLAIN
};

const MULTICURRENCY: Profile = Profile {
    name: "Atlas Apps",
    subscriptions: 2_300,
    plans: &[
        plan("Basic", 1_500, Interval::MONTH, 50),
        plan("Plus", 3_900, Interval::MONTH, 30),
        plan("Plus yearly", 39_000, Interval::YEAR, 12),
        seats("Studio seats", 1_000, Interval::MONTH, 8),
    ],
    currencies: &[
        (Currency::Usd, 40),
        (Currency::Eur, 30),
        (Currency::Jpy, 20),
        (Currency::Kwd, 10),
    ],
    purchases_per_day: 55,
    baskets: &[1_500, 2_500, 4_000, 6_000, 9_000],
    order_ids: true,
    guests_ppm: 50_000,
    declines_ppm: 40_000,
    trials_ppm: 250_000,
    coupons_ppm: 120_000,
    net30_ppm: 40_000,
    first_of_month_ppm: 100_000,
    churn_ppm: 35_000,
    rhythm: Rhythm {
        hours: &SHOP_HOURS,
        weekdays: &OFFICE_WEEK,
        month_start: 1_250,
        utc_offset_hours: 0,
        ..PLAIN.rhythm
    },
    ..PLAIN
};
