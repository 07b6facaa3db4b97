//! The figures of each kind of merchant. Rates are in parts per million, amounts in US cents.

use crate::calendar::Rhythm;
use crate::config::MerchantKind;
use crate::money::Currency;

/// Something with a recurring price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    /// Per period and seat; per used unit when metered.
    pub(crate) cents: i64,
    /// Months in a period: 1 or 12.
    pub(crate) months: u32,
    pub(crate) metered: bool,
    /// Sold with seats rather than one by one.
    pub(crate) seats: bool,
    pub(crate) weight: i64,
}

const fn plan(name: &'static str, cents: i64, months: u32, weight: i64) -> Plan {
    Plan {
        name,
        cents,
        months,
        metered: false,
        seats: false,
        weight,
    }
}

const fn seats(name: &'static str, cents: i64, months: u32, weight: i64) -> Plan {
    Plan {
        name,
        cents,
        months,
        metered: false,
        seats: true,
        weight,
    }
}

const fn metered(name: &'static str, cents: i64, weight: i64) -> Plan {
    Plan {
        name,
        cents,
        months: 1,
        metered: true,
        seats: false,
        weight,
    }
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
    /// Purchases carry an order id in their metadata.
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
    /// Subscriptions that leave in a month.
    pub(crate) churn_ppm: i64,
    pub(crate) rhythm: Rhythm,
}

impl Profile {
    pub(crate) const fn of(kind: MerchantKind) -> &'static Self {
        match kind {
            MerchantKind::Indie => &INDIE,
            MerchantKind::SmallSaas => &SMALL_SAAS,
            MerchantKind::Saas => &SAAS,
            MerchantKind::Marketplace => &MARKETPLACE,
            MerchantKind::Multicurrency => &MULTICURRENCY,
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

    /// New subscriptions a day, in thousandths: what replaces those who leave, and a tenth more.
    pub(crate) fn signups_per_day_milli(&self) -> i64 {
        // A third of the trials come to nothing.
        let stay_ppm = 1_000_000 - self.trials_ppm / 3;
        self.subscriptions * self.churn_ppm * 11 / 10 / 30 / (stay_ppm / 1_000).max(1)
    }
}

/// Business customers: busy from nine to five, quiet at the weekend.
const OFFICE_HOURS: [i64; 24] = [
    250, 180, 140, 140, 180, 300, 550, 900, 1_500, 1_900, 2_000, 1_950, 1_700, 1_800, 1_950, 1_900,
    1_700, 1_400, 1_100, 900, 750, 600, 450, 300,
];
/// Consumers: busy at noon and more so in the evening.
const SHOP_HOURS: [i64; 24] = [
    450, 280, 180, 140, 150, 220, 400, 650, 900, 1_100, 1_250, 1_350, 1_450, 1_350, 1_250, 1_250,
    1_350, 1_450, 1_600, 1_800, 1_850, 1_700, 1_300, 800,
];
const OFFICE_WEEK: [i64; 7] = [1_250, 1_300, 1_250, 1_200, 1_050, 450, 500];
const SHOP_WEEK: [i64; 7] = [900, 880, 900, 950, 1_150, 1_200, 1_020];

const INDIE: Profile = Profile {
    name: "Tiny Tools",
    subscriptions: 70,
    plans: &[
        plan("Hobby", 900, 1, 50),
        plan("Pro", 1_900, 1, 35),
        plan("Pro yearly", 19_000, 12, 15),
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
    },
};

const SMALL_SAAS: Profile = Profile {
    name: "Ledgerly",
    subscriptions: 680,
    plans: &[
        plan("Starter", 1_900, 1, 45),
        plan("Team", 4_900, 1, 25),
        seats("Business seats", 1_200, 1, 12),
        plan("Starter yearly", 19_000, 12, 10),
        plan("Team yearly", 49_000, 12, 5),
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
    },
};

const SAAS: Profile = Profile {
    name: "Harborline",
    subscriptions: 8_300,
    plans: &[
        plan("Starter", 2_900, 1, 40),
        plan("Growth", 9_900, 1, 20),
        seats("Scale seats", 1_500, 1, 18),
        plan("Growth yearly", 99_000, 12, 10),
        seats("Scale seats yearly", 15_000, 12, 7),
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
    },
};

const MARKETPLACE: Profile = Profile {
    name: "Corner Market",
    subscriptions: 0,
    // Nobody has it of old; a silent lapse makes some.
    plans: &[plan("Seller Pro", 2_900, 1, 1)],
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
    },
};

const MULTICURRENCY: Profile = Profile {
    name: "Atlas Apps",
    subscriptions: 2_300,
    plans: &[
        plan("Basic", 1_500, 1, 50),
        plan("Plus", 3_900, 1, 30),
        plan("Plus yearly", 39_000, 12, 12),
        seats("Studio seats", 1_000, 1, 8),
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
    },
};
