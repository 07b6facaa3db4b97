//! Stories of a currency that is new.

use std::fmt::Write as _;

use crate::testing::check;

const DAY: i64 = 86_400;

/// A shop that sells for dollars, for nine weeks; from some day on for pesos as well: so many on each day, the last of which ends when
/// `until` hours of it are over.
fn told(from: i64, pesos: impl Fn(i64) -> i64, until: i64) -> String {
    let mut sales: Vec<(i64, &str)> = Vec::new();
    for day in 0..63 {
        for n in 0..48 {
            sales.push((day * DAY + n * DAY / 48, "usd"));
        }
        let count = if day < from { 0 } else { pesos(day - from) };
        for n in 0..count {
            let at = n * DAY / count;
            if day < 62 || at < until * 3_600 {
                sales.push((day * DAY + at, "mxn"));
            }
        }
    }
    sales.sort_unstable();
    let (mut timeline, mut now) = (String::new(), 0);
    for (at, currency) in sales {
        let _ = writeln!(
            timeline,
            "+{}s charge.succeeded amt=5000 cur={currency}",
            at - now
        );
        now = at;
    }
    check("revenue_drop", &timeline)
}

#[test]
fn an_outage_of_a_currency_four_weeks_old_is_told() {
    // It grew, and brings as much as ever: weeks in which nobody was asked for it are no yardstick.
    let told = told(34, |day| (40 + 8 * day).min(140), 9);
    assert!(told.starts_with("d62 "), "{told}");
    assert!(
        told.contains("firing critical mxn") || told.contains("mxn: "),
        "{told}"
    );
}

#[test]
fn a_currency_of_some_days_or_that_began_with_a_crowd_says_nothing() {
    assert_eq!(told(50, |_| 120, 9), "", "twelve days");
    assert_eq!(
        told(34, |day| if day < 4 { 400 } else { 100 }, 24),
        "",
        "a launch"
    );
    assert_eq!(
        told(34, |day| (40 + 8 * day).min(140), 24),
        "",
        "nothing is wrong"
    );
}
