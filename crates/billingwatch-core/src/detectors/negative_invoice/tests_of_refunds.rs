//! Timelines of refunds: to one customer, at odd hours, and after free days.

use insta::assert_snapshot;

use super::one_customer::TOLD_MAX;
use crate::testing::{check, in_order};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Weeks of a shop: so many payments a day by anybody, and on working days refunds at 10:00, 12:00, 14:00 and so on, each of a
/// payment of the day before.
struct Shop {
    lines: Vec<(i64, String)>,
    made: usize,
}

impl Shop {
    /// The timelines begin on a Monday (2024-03-04).
    fn new(days: i64, refunds: impl Fn(i64) -> i64) -> Self {
        let mut shop = Self {
            lines: Vec::new(),
            made: 0,
        };
        for day in 0..days {
            for n in 0..60 {
                shop.at(day * DAY + n * DAY / 60, "charge.succeeded".to_owned());
            }
            let every = 8 * HOUR / refunds(day).max(1);
            for n in 0..refunds(day) {
                shop.refund(day * DAY + 10 * HOUR + n * every);
            }
        }
        shop
    }

    fn at(&mut self, secs: i64, line: String) -> &mut Self {
        self.lines.push((secs, line));
        self
    }

    /// A payment of a day ago is given back.
    fn refund(&mut self, secs: i64) -> &mut Self {
        let n = self.made;
        self.made += 1;
        let paid = format!("charge.succeeded ch=ch_r{n} cus=cus_r{n}");
        self.at((secs - DAY).max(0), paid)
            .at(secs, format!("refund.created ch=ch_r{n}"))
    }

    /// A customer who pays each second day, and is given all of it back.
    fn again(&mut self, first: i64, paid: i64, back: i64) -> &mut Self {
        for n in 0..paid {
            let charge = format!("ch_{first}_{n}");
            self.at(
                first * DAY + n * 2 * DAY,
                format!("charge.succeeded ch={charge} cus=cus_x amt=3000"),
            );
            self.at(
                back * DAY + n * 2 * HOUR,
                format!("refund.created ch={charge} amt=3000"),
            );
        }
        self
    }

    fn told(&self) -> String {
        check("negative_invoice", &in_order(self.lines.clone()))
    }
}

/// Four on working days.
const fn at_work(day: i64) -> i64 {
    if day % 7 < 5 { 4 } else { 0 }
}

#[test]
fn one_customer_who_is_given_back_payment_after_payment_is_told() {
    assert_snapshot!(Shop::new(40, at_work).again(10, 7, 31).told(), @"
        d31 08:00:00 firing medium customer:ch_10_0: the customer of ch_10_0 was given back 5 payments of 5 days within 1d, 150.00 USD
        d38 12:00:00 resolved medium customer:ch_10_0: nothing more happened to it within 7d
        ");
}

#[test]
fn a_few_or_those_of_one_day_are_returns() {
    assert_eq!(Shop::new(40, at_work).again(10, 4, 31).told(), "");
    let mut shop = Shop::new(40, at_work);
    for n in 0..7 {
        shop.at(
            20 * DAY + n * 60,
            format!("charge.succeeded ch=ch_o{n} cus=cus_o"),
        );
        shop.at(31 * DAY + n * 600, format!("refund.created ch=ch_o{n}"));
    }
    assert_eq!(shop.told(), "");
    // The first is no example.
    let mut shop = Shop::new(40, at_work);
    for n in 0..6 {
        shop.at(
            n * 2 * DAY,
            format!("charge.succeeded ch=ch_p{n} cus=cus_p"),
        );
        shop.at(14 * DAY + n * HOUR, format!("refund.created ch=ch_p{n}"));
    }
    let told = shop.again(12, 8, 31).told();
    assert_eq!(told.matches("firing").count(), 2, "{told}");
    assert!(told.starts_with("d14 "), "{told}");
}

/// A customer who buys so often, every nine hours from a day on, and is given one in so many back two hours later.
fn round_trips(shop: &mut Shop, (first, customer): (i64, &str), bought: i64, one_in: i64) {
    for n in 0..bought {
        let charge = format!("ch_{customer}_{n}");
        let at = first * DAY + n * 9 * HOUR;
        shop.at(
            at,
            format!("charge.succeeded ch={charge} cus=cus_{customer} amt=3000"),
        );
        if n % one_in == 0 {
            shop.at(
                at + 2 * HOUR,
                format!("refund.created ch={charge} amt=3000"),
            );
        }
    }
}

#[test]
fn who_buys_and_is_given_it_back_again_and_again_is_told() {
    let mut shop = Shop::new(40, at_work);
    round_trips(&mut shop, (25, "x"), 9, 1);
    assert_snapshot!(shop.told(), @"
    d26 14:00:00 firing medium customer:ch_x_0: the customer of ch_x_0 was given back 5 payments of 2 days within 7d, most of what it paid in that time, 150.00 USD
    d35 02:00:00 resolved medium customer:ch_x_0: nothing more happened to it within 7d
    ");
    // Few, or some of many.
    for (bought, one_in) in [(4, 1), (15, 2)] {
        let mut shop = Shop::new(40, at_work);
        round_trips(&mut shop, (25, "x"), bought, one_in);
        assert_eq!(shop.told(), "", "{bought} {one_in}");
    }
    // Deposits are given back to everybody: after some it is the merchant's way.
    let mut shop = Shop::new(40, at_work);
    for n in 0..7 {
        round_trips(&mut shop, (15 + 3 * n, &format!("d{n}")), 6, 1);
    }
    let told = shop.told();
    assert_eq!(told.matches("firing").count(), TOLD_MAX, "{told}");
}

#[test]
fn a_night_of_refunds_is_a_wave_where_refunds_are_made_by_day() {
    let mut shop = Shop::new(40, at_work);
    for n in 0..10 {
        shop.refund(31 * DAY + 2 * HOUR + n * 540);
    }
    assert_snapshot!(shop.told(), @"
        d31 03:03:00 firing high refund_wave: 8 charges were refunded within 6h, at hours at which none are usual: 12.5 % of the payments of a day; 160.00 USD given back
        d32 02:27:00 resolved high refund_wave: 0 charges refunded within 6h, 3.0 are usual
        ");
    // By day as many are two days' work.
    let mut shop = Shop::new(40, at_work);
    for n in 0..6 {
        shop.refund(31 * DAY + 10 * HOUR + 300 + n * 4_800);
    }
    assert_eq!(shop.told(), "");
}

#[test]
fn a_monday_makes_up_for_the_weekend() {
    let monday = |count: i64| {
        Shop::new(31, move |day| match day {
            28 => count,
            _ if day % 7 < 5 => 2,
            _ => 0,
        })
        .told()
    };
    assert_eq!(monday(9), "");
    assert!(monday(24).contains("firing"));
    // On a Sunday nobody makes up for a Saturday.
    let sunday = Shop::new(31, |day| match day {
        27 => 14,
        _ if day % 7 < 5 => 2,
        _ => 0,
    });
    assert!(sunday.told().contains("firing"));
    // The same on a Thursday is a wave.
    let thursday = Shop::new(31, |day| match day {
        24 => 12,
        _ if day % 7 < 5 => 2,
        _ => 0,
    });
    assert!(thursday.told().contains("firing"));
}

#[test]
fn a_payment_that_stands_alone_is_not_given_back_unseen() {
    // Invoices of 100 to 14,900, as many as there are, and one of so much, which is refunded two days later.
    let told = |known: i64, amount: i64, of: &str| {
        let mut lines: Vec<(i64, String)> = (0..known)
            .map(|n| {
                let amount = [10_000, 49_000, 1_490_000][usize::try_from(n % 3).unwrap_or(0)];
                (
                    n * 30 * DAY / known,
                    format!("charge.succeeded amt={amount}"),
                )
            })
            .collect();
        let paid = 30 * DAY;
        lines.push((paid, format!("charge.succeeded ch=ch_big amt={amount}{of}")));
        lines.push((
            paid + 2 * DAY,
            format!("refund.created ch=ch_big amt={amount}"),
        ));
        check("negative_invoice", &in_order(lines))
    };
    let alone = told(60, 2_980_000, "");
    assert_eq!(alone.matches("firing").count(), 1, "{alone}");
    assert_eq!(told(60, 2_000_000, ""), "", "much like the largest");
    assert_eq!(told(30, 2_980_000, ""), "", "of few it must be three times");
    assert!(told(30, 5_900_000, "").contains("firing"));
    assert_eq!(told(15, 5_900_000, ""), "", "hardly anything is known");
}

#[test]
fn days_on_which_nobody_works_do_not_make_the_others_seem_to_stray() {
    let at_work = |day: i64| if day % 7 < 5 { 14 } else { 0 };
    // A Friday on which two or three times as many are given back, and one on which half as many more are.
    let friday = |more: i64| {
        let mut shop = Shop::new(45, at_work);
        for n in 0..more {
            shop.refund(39 * DAY + 13 * HOUR + n * 400);
        }
        shop.told()
    };
    assert!(friday(24).starts_with("d39 "), "{}", friday(24));
    assert_eq!(friday(7), "");
}

#[test]
fn payments_of_long_ago_are_no_weeks_that_are_known() {
    let told = |old: bool| {
        let mut shop = Shop::new(5, |_| 0);
        if old {
            let refund = "charge.refunded ch=ch_old made=-20d amt=4000 refunded=4000";
            shop.at(DAY, refund.to_owned());
        }
        for n in 0..20 {
            shop.refund(4 * DAY + 10 * HOUR + n * 60);
        }
        shop.told()
    };
    // A week must be known before a wave is spoken of.
    assert_eq!(told(false), "");
    assert_eq!(told(true), "");
}

#[test]
fn a_wave_of_the_first_week_is_told_where_refunds_are_made_every_day() {
    // Six a day; on Friday so many within the hour.
    let told = |refunds: &dyn Fn(i64) -> i64, wave: i64| {
        let mut shop = Shop::new(5, refunds);
        for n in 0..wave {
            shop.refund(4 * DAY + 20 * HOUR + n * HOUR / wave);
        }
        shop.told()
    };
    assert_snapshot!(told(&|_| 6, 40), @"
    d4 20:28:30 firing high refund_wave: 20 charges were refunded within 1h, where 1.0 are usual: 25.6 % of the payments of a day; 400.00 USD given back
    d4 20:57:00 escalated critical refund_wave: 39 charges were refunded within 1h, where 1.0 are usual: 50 % of the payments of a day; 780.00 USD given back
    ");
    assert_eq!(told(&|_| 6, 14), "");
    // Who makes none on Wednesdays may make them once a week.
    assert_eq!(told(&|day| if day == 2 { 0 } else { 6 }, 40), "");
}
