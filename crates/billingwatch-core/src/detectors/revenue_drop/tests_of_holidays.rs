//! Days on which people stay at home, and days on which the checkout is broken.

use std::fmt::Write as _;

use crate::testing::check;

const DAY: i64 = 86_400;

/// Easter Monday of 2024, and the Tuesday after: the world begins on the fourth of March.
const EASTER_MONDAY: i64 = 28;

/// A hundred and twenty sales a day in a currency, and on one day so many.
fn told(currency: &str, on: i64, sales: i64) -> String {
    let (mut timeline, mut now) = (String::new(), 0);
    let mut at = |at: i64, line: &str| {
        let _ = writeln!(timeline, "+{}s {line}", at - now);
        now = at;
    };
    for day in 0..31 {
        for n in 0..120 {
            let time = day * DAY + n * 720;
            let is_sale = day != on || n * sales / 120 != (n + 1) * sales / 120;
            if is_sale {
                at(time, &format!("charge.succeeded amt=5000 cur={currency}"));
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
    assert_eq!(told("eur", EASTER_MONDAY, 42), "");
    assert_eq!(told("gbp", EASTER_MONDAY, 42), "");
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
