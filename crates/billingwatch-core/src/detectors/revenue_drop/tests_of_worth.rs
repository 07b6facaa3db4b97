//! Timelines: as many sales as ever, at other prices.

use std::fmt::Write as _;

use crate::testing::check;

/// What things cost: games, and coins for them.
const PRICES: [i64; 5] = [99, 199, 499, 999, 1_999];

/// Five weeks of 120 sales a day; on the 30th day all prices are so many hundredths, and so many in a hundred are sold.
fn told(price: i64, sold: i64) -> String {
    told_of(120, 24, price, sold)
}

/// The same of so many sales a day, and for so many hours of it.
fn told_of(sales: i64, hours: i64, price: i64, sold: i64) -> String {
    let (mut timeline, mut now) = (String::new(), 0);
    let parts = (0..35 * 24 / hours).map(|part| (part, part * hours / 24));
    for (part, day) in parts {
        let is_so = part * hours == 30 * 24;
        let (price, sold) = if is_so { (price, sold) } else { (100, 100) };
        let count = sales * hours / 24 * sold / 100;
        for n in 0..count {
            let at = part * hours * 3_600 + n * hours * 3_600 / count;
            // By a pattern of no meaning: days differ a little.
            let of = usize::try_from((n * 7 + day * n + day) % 5).unwrap_or_default();
            let _ = writeln!(
                timeline,
                "+{}s charge.succeeded amt={}",
                at - now,
                PRICES[of] * price / 100
            );
            now = at;
        }
    }
    check("revenue_drop", &timeline)
}

#[test]
fn a_day_at_little_more_than_half_the_price_is_a_loss() {
    for price in [50, 60] {
        let told = told(price, 100);
        assert!(told.starts_with("d3"), "{price}: {told}");
        assert!(
            told.contains("on average, where 120 of 7."),
            "{price}: {told}"
        );
    }
}

#[test]
fn a_sale_is_none_if_it_is_small_or_draws_customers() {
    assert_eq!(told(80, 100), "");
    assert_eq!(told(70, 115), "");
    assert_eq!(told(60, 130), "");
    assert_eq!(told(50, 150), "");
}

#[test]
fn six_hours_at_half_the_price_are_a_loss_where_hundreds_are_sold_as_ever() {
    let told = told_of(600, 6, 50, 100);
    assert!(told.starts_with("d30 0"), "{told}");
    assert!(told.contains("on average, where "), "{told}");
}

#[test]
fn a_sale_of_some_hours_is_none_if_it_draws_customers_or_is_little_of_the_day() {
    assert_eq!(told_of(600, 6, 50, 150), "");
    assert_eq!(told_of(600, 6, 80, 100), "");
    assert_eq!(told_of(600, 4, 50, 100), "", "a twelfth of the day");
}
