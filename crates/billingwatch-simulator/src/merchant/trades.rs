//! The figures of merchants whose trade has a rhythm of its own: periods of days, one run a month, a
//! season, a nightly job, bank debits. All of it is ordinary there.

use super::profile::{PLAIN, Profile, Run, SHOP_HOURS, Selling, plan};
use crate::calendar::{Interval, Rhythm};
use crate::money::Currency;

/// The cold half of the year: opens in December, ends with March.
const WINTER: [i64; 12] = [
    2_600, 2_700, 1_900, 600, 80, 60, 90, 90, 80, 150, 500, 2_300,
];
/// Good intentions: many join in January, fewer as the year goes on, some after the summer.
const NEW_YEAR: [i64; 12] = [
    2_400, 1_300, 1_100, 900, 800, 700, 600, 700, 1_200, 1_000, 800, 500,
];
/// Cars: the way to work, the way home.
const STREET_HOURS: [i64; 24] = [
    250, 150, 120, 120, 200, 450, 900, 1_500, 1_700, 1_400, 1_250, 1_300, 1_400, 1_300, 1_250,
    1_350, 1_600, 1_800, 1_650, 1_300, 1_050, 850, 650, 410,
];
const EVERY_DAY: [i64; 7] = [1_000; 7];

pub(super) const TELECOM: Profile = Profile {
    name: "Gulf Connect",
    subscriptions: 170,
    plans: &[
        plan("Monthly", 1_299, Interval::MONTH, 40),
        plan("Weekly", 499, Interval::Days(7), 22),
        plan("Weekly plus", 799, Interval::Days(7), 10),
        plan("Ten days", 599, Interval::Days(10), 6),
        plan("Daily", 99, Interval::Days(1), 22),
    ],
    currencies: &[(Currency::Kwd, 1)],
    purchases_per_day: 14,
    baskets: &[165, 330, 660],
    order_ids: true,
    declines_ppm: 45_000,
    churn_ppm: 50_000,
    // Whose day was not paid is gone the same day, and there are many days.
    signups_percent: 200,
    rhythm: Rhythm {
        hours: &SHOP_HOURS,
        weekdays: &EVERY_DAY,
        utc_offset_hours: 3,
        ..PLAIN.rhythm
    },
    ..PLAIN
};

pub(super) const BOX: Profile = Profile {
    name: "Pantry Box",
    subscriptions: 420,
    plans: &[
        plan("Classic box", 2_900, Interval::MONTH, 55),
        plan("Family box", 4_900, Interval::MONTH, 30),
        plan("Box of the season", 7_900, Interval::Months(3), 15),
    ],
    // Nobody buys but subscribers; this is what a gift would cost.
    baskets: &[2_900, 4_900, 8_700],
    order_ids: true,
    coupons_ppm: 100_000,
    run: Some(Run {
        day: 15,
        hour: 11,
        minutes: 80,
    }),
    churn_ppm: 40_000,
    rhythm: Rhythm {
        utc_offset_hours: -5,
        ..PLAIN.rhythm
    },
    ..PLAIN
};

pub(super) const RESORT: Profile = Profile {
    name: "Larch Valley Lodge",
    // Nobody has it of old; a silent lapse makes some.
    plans: &[plan("Season friends", 2_500, Interval::MONTH, 1)],
    purchases_per_day: 14,
    baskets: &[38_000, 62_000, 95_000, 140_000, 210_000, 320_000],
    selling: Selling::Bookings {
        deposit_percent: 30,
    },
    order_ids: true,
    declines_ppm: 35_000,
    // Who cancels is refunded by the booking, not by chance.
    refunds_ppm: 0,
    rhythm: Rhythm {
        months: &WINTER,
        utc_offset_hours: -7,
        ..PLAIN.rhythm
    },
    ..PLAIN
};

pub(super) const PARKING: Profile = Profile {
    name: "Kerb and Charge",
    subscriptions: 60,
    plans: &[
        plan("Resident permit", 4_500, Interval::MONTH, 4),
        plan("Commuter permit", 9_000, Interval::MONTH, 1),
    ],
    purchases_per_day: 60,
    baskets: &[300, 500, 900],
    selling: Selling::Sessions {
        unpaid_ppm: 200_000,
        again_ppm: 120_000,
    },
    order_ids: true,
    declines_ppm: 35_000,
    churn_ppm: 30_000,
    rhythm: Rhythm {
        hours: &STREET_HOURS,
        weekdays: &[1_150, 1_150, 1_150, 1_150, 1_150, 700, 550],
        utc_offset_hours: -6,
        ..PLAIN.rhythm
    },
    ..PLAIN
};

pub(super) const GYM: Profile = Profile {
    name: "Iron Yard",
    subscriptions: 260,
    plans: &[
        plan("Four weeks", 3_990, Interval::Days(28), 70),
        plan("Four weeks, off-peak", 2_790, Interval::Days(28), 30),
    ],
    currencies: &[(Currency::Eur, 1)],
    purchases_per_day: 5,
    baskets: &[900, 1_500],
    // Each day pass has a number: who takes a friend along buys two.
    order_ids: true,
    guests_ppm: 200_000,
    declines_ppm: 35_000,
    coupons_ppm: 80_000,
    debits_ppm: 750_000,
    pauses_ppm: 40_000,
    churn_ppm: 40_000,
    rhythm: Rhythm {
        months: &NEW_YEAR,
        utc_offset_hours: 1,
        ..PLAIN.rhythm
    },
    ..PLAIN
};
