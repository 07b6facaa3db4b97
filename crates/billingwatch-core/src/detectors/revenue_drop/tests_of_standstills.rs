//! Stories of a currency that nobody pays in any more.

use crate::testing::{check, in_order};

const HOUR: i64 = 3_600;

/// Days that differ as much as no two weeks are alike: so few sales are nothing new here, and none are.
const DAYS: [i64; 11] = [60, 150, 84, 40, 210, 96, 70, 180, 48, 120, 90];

/// A shop that sells for dollars, as ever, and for pesos, as many as each day has, for nine weeks. Nobody pays pesos in the given
/// hours of the story.
fn told(closed: &[(i64, i64)]) -> String {
    let mut sales: Vec<(i64, &str)> = Vec::new();
    for (day, pesos) in (0..63).zip(DAYS.into_iter().cycle()) {
        let all = [("usd", 48), ("mxn", pesos)];
        for (currency, count) in all {
            sales
                .extend((0..count).map(|n| ((day * 24 * count + n * 24) * HOUR / count, currency)));
        }
    }
    let is_closed = |at: i64| {
        let hour = at / HOUR;
        closed
            .iter()
            .any(|(from, len)| (*from..from + len).contains(&hour))
    };
    sales.retain(|(at, currency)| *currency == "usd" || !is_closed(*at));
    let lines = sales
        .into_iter()
        .map(|(at, currency)| (at, format!("charge.succeeded amt=5000 cur={currency}")));
    check("revenue_drop", &in_order(lines.collect()))
}

#[test]
fn hours_without_a_sale_are_told_where_days_are_unlike_each_other() {
    let told = told(&[(60 * 24 + 8, 6)]);
    assert!(told.starts_with("d60 1"), "{told}");
    assert!(told.contains("mxn"), "{told}");
}

#[test]
fn fewer_hours_and_hours_like_those_before_are_not() {
    assert_eq!(told(&[(60 * 24 + 8, 3)]), "", "three hours");
    assert_eq!(
        told(&[(47 * 24 + 9, 4), (60 * 24 + 8, 6)]),
        "",
        "closed before"
    );
    assert_eq!(told(&[]), "", "nothing is wrong");
}
