//! Timelines: as many sales as ever, at other prices.

use std::fmt::Write as _;

use crate::testing::check;

const DAY: i64 = 86_400;

/// What things cost: games, and coins for them.
const PRICES: [i64; 5] = [99, 199, 499, 999, 1_999];

/// Five weeks of 120 sales a day; on the 30th day all prices are so many hundredths, and so many in a hundred are sold.
fn told(price: i64, sold: i64) -> String {
    let (mut timeline, mut now) = (String::new(), 0);
    for day in 0..35 {
        let (price, sold) = if day == 30 { (price, sold) } else { (100, 100) };
        for n in 0..120 * sold / 100 {
            let at = day * DAY + n * DAY * 100 / (120 * sold);
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
