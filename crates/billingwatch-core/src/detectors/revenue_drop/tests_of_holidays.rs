//! Days on which people stay at home, and days on which the checkout is broken.

use std::fmt::Write as _;

use crate::testing::check;

const DAY: i64 = 86_400;

/// Easter Monday of 2024, and the Tuesday after: the world begins on the fourth of March.
const EASTER_MONDAY: i64 = 28;

/// A hundred and twenty sales a day in a currency, and on one day so many.
fn told(currency: &str, on: i64, sales: i64) -> String {
    told_of(currency, on, sales, 5_000, |_| 120)
}

/// As many on each day as that, of which so many of 120 come on one of them, each of such an amount.
fn told_of(
    currency: &str,
    on: i64,
    sales: i64,
    amount_then: i64,
    a_day: impl Fn(i64) -> i64,
) -> String {
    let (mut timeline, mut now) = (String::new(), 0);
    let mut at = |at: i64, line: &str| {
        let _ = writeln!(timeline, "+{}s {line}", at - now);
        now = at;
    };
    for day in 0..31 {
        for n in 0..120 {
            let time = day * DAY + n * 720;
            let is_sale = day != on || n * sales / 120 != (n + 1) * sales / 120;
            let is_usual = n * a_day(day) / 120 != (n + 1) * a_day(day) / 120;
            let amount = if day == on { amount_then } else { 5_000 };
            if is_sale && is_usual {
                at(
                    time,
                    &format!("charge.succeeded amt={amount} cur={currency}"),
                );
            } else {
                at(
                    time,
                    &format!("charge.failed amt=100 code=card_declined cur={currency}"),
                );
            }
        }
    }
    check("revenue_drop", &timeline)
}

#[test]
fn people_who_stay_at_home_on_a_holiday_are_no_drop() {
    for currency in ["eur", "gbp"] {
        let told = told(currency, EASTER_MONDAY, 42);
        assert!(!told.contains(" firing "), "{told}");
        // It is said why.
        assert_eq!(told.matches("quiet holiday").count(), 1, "{told}");
    }
}

#[test]
fn a_holiday_does_not_excuse_a_checkout_that_is_nearly_dead() {
    assert!(told("eur", EASTER_MONDAY, 14).contains(" firing "));
}

#[test]
fn offices_are_as_still_on_a_holiday_as_on_a_weekend() {
    let offices = |day: i64| if day % 7 < 5 { 120 } else { 30 };
    let told = told_of("eur", EASTER_MONDAY, 26, 5_000, offices);
    assert!(!told.contains(" firing "), "{told}");
}

#[test]
fn prices_do_not_fall_for_a_holiday() {
    let told = |amount| told_of("eur", EASTER_MONDAY, 100, amount, |_| 120);
    assert!(!told(5_000).contains(" firing "));
    assert!(told(1_500).contains(" firing "));
}

#[test]
fn the_same_on_any_other_day_is_one() {
    assert!(told("eur", EASTER_MONDAY + 1, 42).contains(" firing "));
    assert!(told("usd", EASTER_MONDAY, 42).contains(" firing "));
}

#[test]
fn a_holiday_without_any_sale_is_one() {
    assert!(told("eur", EASTER_MONDAY, 0).contains(" firing "));
}
