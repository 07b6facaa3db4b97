//! Timelines of prices that are wrong.

use crate::testing::{check, in_order};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Days of a shop, by day three sales an hour at various prices; from an hour of the last but two on something is
/// done to the prices of a day's sales.
fn shop(days: i64, then: impl Fn(i64) -> Option<i64>) -> Vec<(i64, String)> {
    let mut lines = Vec::new();
    for day in 0..days {
        for n in 0..42 {
            let at = day * DAY + 8 * HOUR + n * HOUR / 3;
            // From 15 to 65, and each other time something near to the middle.
            let serial = day * 42 + n;
            let price = 1_500 + serial * 7 % 23 * if serial % 2 == 0 { 220 } else { 110 };
            let is_then = day == days - 3;
            let price = if is_then { then(price) } else { Some(price) };
            lines
                .extend(price.map(|price| (at, format!("charge.succeeded req=req_1 amt={price}"))));
        }
    }
    lines
}

fn told(lines: Vec<(i64, String)>) -> String {
    check("revenue_drop", &in_order(lines))
}

#[test]
fn prices_that_lost_a_zero_are_told_within_hours_and_it_ends() {
    insta::assert_snapshot!(told(shop(40, |price| Some(price / 10))), @"
    d37 11:02:00 firing high usd/prices: 9 of 9 payments in 3 hours were below 12.28 USD, as hardly any is here: the usual amount is 30.71 USD; and 0 were ordinary where 9 are usual
    d38 10:02:00 resolved high usd/prices: 6 payments of ordinary amounts in 3 hours, and 0 below them
    ");
}

#[test]
fn a_sale_and_what_is_cheap_beside_the_others_or_as_usual_are_none() {
    assert_eq!(told(shop(40, |price| Some(price / 2))), "");
    // Sold beside the others.
    let mut cheap = shop(40, Some);
    let at = 37 * DAY + 10 * HOUR;
    cheap.extend((0..40).map(|n| {
        (
            at + n * 600,
            "charge.succeeded req=req_1 amt=200".to_owned(),
        )
    }));
    assert_eq!(told(cheap), "");
    // A day of badges instead, which is as usual as once a fortnight.
    let mut badges = shop(40, |price| Some(price / 10));
    let told_first = told(badges.clone());
    assert!(told_first.contains("usd/prices"), "{told_first}");
    for day in [9, 23] {
        let at = day * DAY + 10 * HOUR;
        badges.extend((0..30).map(|n| {
            (
                at + n * 600,
                "charge.succeeded req=req_1 amt=200".to_owned(),
            )
        }));
    }
    let told_then = told(badges);
    assert!(!told_then.contains("usd/prices"), "{told_then}");
    // One customer's.
    let one = shop(40, |price| Some(price / 10)).into_iter();
    let by_one = |(at, line): (i64, String)| {
        let at_then = (37 * DAY..38 * DAY).contains(&at);
        (at, if at_then { line + " cus=cus_one" } else { line })
    };
    let one = told(one.map(by_one).collect());
    assert!(!one.contains("usd/prices"), "{one}");
    // A week is known.
    assert_eq!(told(shop(8, |price| Some(price / 10))), "");
    // What Stripe collects by itself is no price at a checkout.
    let renewals = shop(40, |price| Some(price / 10));
    let by_stripe = |(at, line): &(i64, String)| (*at, line.replace(" req=req_1", ""));
    let renewals = told(renewals.iter().map(by_stripe).collect());
    assert!(!renewals.contains("usd/prices"), "{renewals}");
}

#[test]
fn what_draws_buyers_is_a_sale() {
    let mut lines = shop(40, |price| Some(price / 5));
    let at = 37 * DAY + 8 * HOUR;
    let told_first = told(lines.clone());
    assert!(told_first.contains("usd/prices"), "{told_first}");
    lines.extend((0..150).map(|n| {
        (
            at + n * 180,
            format!("charge.succeeded req=req_1 amt={}", 300 + n),
        )
    }));
    let told_then = told(lines);
    assert!(!told_then.contains("usd/prices"), "{told_then}");
}

#[test]
fn low_prices_that_the_loss_was_told_with_are_not_told_after_it() {
    // Nobody can pay in the morning, and then for a tenth.
    let day = 37 * DAY;
    let lines = shop(40, Some).into_iter().filter_map(|(at, line)| {
        let hour = (at - day).div_euclid(HOUR);
        match hour {
            8..13 => None,
            13..22 => {
                let (name, price) = line.rsplit_once('=')?;
                let price: i64 = price.parse().ok()?;
                Some((at, format!("{name}={}", price / 10)))
            }
            _ => Some((at, line)),
        }
    });
    let told = told(lines.collect());
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert!(!told.contains("usd/prices"), "{told}");
}
