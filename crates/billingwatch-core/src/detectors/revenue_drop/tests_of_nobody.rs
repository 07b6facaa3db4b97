//! Stories of shops with few payments in each of several currencies, and none at all in the end.

use crate::testing::{check, in_order};

const HOUR: i64 = 3_600;

/// So many days of ten payments each in three currencies, at hours that differ; nobody pays in the given hours of the
/// story. Deliveries go on.
fn told(days: i64, closed: &[(i64, i64)]) -> String {
    let mut lines = Vec::new();
    for hour in 0..days * 24 {
        lines.push((hour * HOUR, "customer.updated".to_owned()));
    }
    let is_closed = |hour: i64| {
        closed
            .iter()
            .any(|(from, len)| (*from..from + len).contains(&hour))
    };
    for (day, currency) in (0..days).flat_map(|day| ["eur", "usd", "gbp"].map(|one| (day, one))) {
        // None of them alone brings a dozen in three days.
        let count = 3 + (day + i64::from(currency == "usd")) % 2;
        for n in 0..count {
            let hour = day * 24 + (n * 24 / count + day * 7) % 24;
            if !is_closed(hour) {
                let line = format!("charge.succeeded amt=2500 cur={currency}");
                lines.push((hour * HOUR + 60 * n, line));
            }
        }
    }
    check("revenue_drop", &in_order(lines))
}

#[test]
fn days_without_a_payment_in_any_currency_are_told() {
    let told = told(40, &[(35 * 24, 72)]);
    assert!(
        told.starts_with("d36 ") || told.starts_with("d37 "),
        "{told}"
    );
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert!(told.contains(" resolved "), "{told}");
}

#[test]
fn in_the_second_week_it_takes_longer() {
    let told = told(18, &[(9 * 24, 72)]);
    assert!(
        told.starts_with("d10 ") || told.starts_with("d11 "),
        "{told}"
    );
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert!(told.contains(" resolved "), "{told}");
}

#[test]
fn a_day_and_days_like_those_before_are_not() {
    assert_eq!(told(40, &[(35 * 24, 24)]), "", "ten may stay away");
    let closed = [(20 * 24, 37), (35 * 24, 72)];
    assert_eq!(told(40, &closed), "", "closed before");
    assert_eq!(told(40, &[]), "", "nothing is wrong");
}
