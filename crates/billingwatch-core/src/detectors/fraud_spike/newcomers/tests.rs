//! Timelines: what is a burst, and what brings as many new customers and is none.

use crate::testing::{check, in_order};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Day of the night that is judged, a Friday.
const NIGHT: i64 = 39;

/// A payment of somebody new at a second.
fn new(at: i64, name: &str, amount: i64) -> (i64, String) {
    let line =
        format!("charge.succeeded cus=cus_{name} card=fp_{name} req=req_1 amt={amount} brand=visa");
    (at, line)
}

/// So many days of a shop: by day two an hour are new, pay this and that, and one an hour bought before.
fn shop(days: i64, price: impl Fn(i64) -> i64) -> Vec<(i64, String)> {
    let mut lines = Vec::new();
    for day in 0..days {
        for hour in 8..22 {
            let at = day * DAY + hour * HOUR;
            for n in 0..2 {
                let serial = (day * 24 + hour) * 2 + n;
                lines.push(new(at + n * 1_500, &format!("s{serial}"), price(serial)));
            }
            let regular = format!(
                "charge.succeeded cus=cus_r{} card=fp_r{} req=req_1 amt=2500",
                hour % 8,
                hour % 8
            );
            lines.push((at + 2_000, regular));
        }
    }
    lines
}

fn varied(serial: i64) -> i64 {
    1_500 + serial * 7 % 23 * 250
}

/// So many new customers, one every 80 seconds, from an hour of a day on.
fn burst(day: i64, hour: i64, count: i64, price: impl Fn(i64) -> i64) -> Vec<(i64, String)> {
    let at = day * DAY + hour * HOUR + 120;
    let one = |n| new(at + n * 80, &format!("b{day}x{n}"), price(n));
    (0..count).map(one).collect()
}

fn told(parts: &[Vec<(i64, String)>; 2]) -> String {
    let timeline = in_order(parts.concat());
    check("fraud_spike", &(timeline + "+2d wait\n"))
}

#[test]
fn twenty_who_pay_the_same_at_night_are_told_once_and_it_ends() {
    let told = told(&[shop(NIGHT, varied), burst(NIGHT, 3, 20, |_| 12_000)]);
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert_eq!(told.matches(" resolved ").count(), 1, "{told}");
    assert!(
        told.contains(" firing medium alike:usd: 12 new customers paid 120.00 USD each within 1h"),
        "{told}"
    );
    assert!(told.contains("0 others paid"), "{told}");
}

#[test]
fn fewer_or_at_prices_as_varied_as_ever_are_none() {
    assert_eq!(
        told(&[shop(NIGHT, varied), burst(NIGHT, 3, 9, |_| 12_000)]),
        ""
    );
    assert_eq!(
        told(&[shop(NIGHT, varied), burst(NIGHT, 3, 20, varied)]),
        ""
    );
}

#[test]
fn a_merchant_of_one_price_learns_nothing_from_it() {
    // A newsletter that is read at night.
    assert_eq!(
        told(&[shop(NIGHT, |_| 990), burst(NIGHT, 3, 30, |_| 990)]),
        ""
    );
}

#[test]
fn a_sale_brings_others_as_well() {
    // To two who are new one who bought before, or a guest: as ever.
    for other in ["cus=cus_r3 card=fp_r3", "guest card=new"] {
        let mut sale = burst(NIGHT, 3, 20, |_| 12_000);
        let at = NIGHT * DAY + 3 * HOUR + 130;
        let line = format!("charge.succeeded {other} req=req_1 amt=9900");
        sale.extend((0..10).map(|n| (at + n * 160, line.clone())));
        assert_eq!(told(&[shop(NIGHT, varied), sale]), "", "{other}");
    }
}

#[test]
fn a_weekly_drop_is_usual_at_its_hour() {
    let mut lines = shop(NIGHT, varied);
    for week in 1..5 {
        lines.extend(burst(NIGHT - 7 * week, 3, 9, |_| 4_500));
    }
    assert_eq!(told(&[lines.clone(), burst(NIGHT, 3, 18, |_| 5_500)]), "");
    // On another night, at another hour, it is none.
    let other = told(&[lines, burst(NIGHT - 3, 1, 18, |_| 5_500)]);
    assert_eq!(other.matches(" firing ").count(), 1, "{other}");
}

#[test]
fn a_record_of_less_than_four_weeks_says_nothing() {
    assert_eq!(told(&[shop(27, varied), burst(27, 3, 20, |_| 12_000)]), "");
    // Nor does what was imported before it.
    let mut imported = shop(27, varied);
    imported
        .iter_mut()
        .for_each(|(_, line)| *line += " historical");
    assert_eq!(told(&[imported, burst(27, 3, 20, |_| 12_000)]), "");
}

#[test]
fn who_holds_the_card_and_what_one_card_pays_are_no_burst() {
    let counter = |(at, line): (i64, String)| (at, line + " type=card_present");
    let at_counter = burst(NIGHT, 3, 20, |_| 12_000).into_iter().map(counter);
    assert_eq!(told(&[shop(NIGHT, varied), at_counter.collect()]), "");
    // Staff who try the checkout: accounts of all kinds, and two cards.
    let staff = (0..20).map(|n| {
        let line = format!(
            "charge.succeeded cus=cus_t{n} card=fp_t{} req=req_1 amt=100",
            n % 5
        );
        (NIGHT * DAY + 3 * HOUR + n * 80, line)
    });
    let told = told(&[shop(NIGHT, varied), staff.collect()]);
    assert!(!told.contains("alike"), "{told}");
}

#[test]
fn what_stripe_renews_is_nobody_new() {
    let renewed = |(at, line): (i64, String)| (at, line.replace(" req=req_1", ""));
    let renewals = burst(NIGHT, 3, 20, |_| 12_000).into_iter().map(renewed);
    assert_eq!(told(&[shop(NIGHT, varied), renewals.collect()]), "");
}

/// Prices of next to nothing, no two alike.
fn tiny(serial: i64) -> i64 {
    101 + serial
}

/// The same, after three who pay what is usual.
fn tested(serial: i64) -> i64 {
    if serial < 3 {
        varied(serial)
    } else {
        tiny(serial)
    }
}

#[test]
fn forty_who_pay_next_to_nothing_are_told_once_and_it_ends() {
    let found = told(&[shop(NIGHT, varied), burst(NIGHT, 3, 43, tested)]);
    assert_eq!(found.matches(" firing ").count(), 1, "{found}");
    assert_eq!(found.matches(" resolved ").count(), 1, "{found}");
    assert!(
        found.contains(
            " firing medium tiny: 10 new customers paid a quarter of the usual or less within 1h"
        ),
        "{found}"
    );
    // In the daytime it takes as many more as are usual then.
    let day = told(&[shop(NIGHT + 1, varied), burst(NIGHT, 14, 43, tested)]);
    assert_eq!(day.matches(" firing ").count(), 1, "{day}");
}

#[test]
fn small_payments_that_are_few_or_usual_or_of_everybody_are_none() {
    assert_eq!(
        told(&[shop(NIGHT, varied), burst(NIGHT, 3, 12, tested)]),
        ""
    );
    // A shop where every third newcomer buys a trifle.
    let trifles = |serial: i64| {
        if serial % 3 == 0 {
            tiny(serial % 50)
        } else {
            varied(serial)
        }
    };
    let of = |count| told(&[shop(NIGHT, trifles), burst(NIGHT, 3, count, trifles)]);
    assert_eq!(of(30), "");
    // What was billed at a wrong price, as to subscribers who were not heard of before.
    let billed = burst(NIGHT, 3, 43, tested).into_iter();
    let billed = billed.map(|(at, line)| (at, format!("{line} in=in_{at}")));
    assert_eq!(told(&[shop(NIGHT, varied), billed.collect()]), "");
    // A price list that lost a zero: who bought before buys as well.
    let nobody_else = told(&[shop(NIGHT, varied), burst(NIGHT, 3, 40, tiny)]);
    assert_eq!(nobody_else, "");
    let lost = |n: i64| {
        let mut lines = burst(NIGHT, 3, 43, tested);
        let at = NIGHT * DAY + 3 * HOUR;
        lines.extend((0..n).map(|n| {
            let who = n % 8;
            (
                at + 150 + n * 160,
                format!("charge.succeeded cus=cus_r{who} card=fp_r{who} req=req_1 amt=250"),
            )
        }));
        told(&[shop(NIGHT, varied), lines])
    };
    assert_eq!(lost(20), "");
}

#[test]
fn small_payments_by_one_card_are_another_alert() {
    let one_card = burst(NIGHT, 3, 43, tested)
        .into_iter()
        .map(|(at, line)| {
            (
                at,
                line.replace(&format!("card=fp_b{NIGHT}x"), "card=fp_x note="),
            )
        })
        .collect();
    let found = told(&[shop(NIGHT, varied), one_card]);
    assert!(!found.contains("tiny"), "{found}");
}

/// The same with cards of countries, by the serial number.
fn from(lines: Vec<(i64, String)>, country: impl Fn(usize) -> &'static str) -> Vec<(i64, String)> {
    let with =
        |(n, (at, line)): (usize, (i64, String))| (at, format!("{line} country={}", country(n)));
    lines.into_iter().enumerate().map(with).collect()
}

/// Nine of ten from the United States.
fn at_home(n: usize) -> &'static str {
    ["US", "US", "US", "US", "US", "CA", "US", "US", "US", "US"][n % 10]
}

/// From everywhere.
fn everywhere(n: usize) -> &'static str {
    ["NG", "BR", "US", "VN", "ID"][n % 5]
}

#[test]
fn many_cards_from_everywhere_are_told_once_and_it_ends() {
    let of_shop = from(shop(NIGHT, varied), at_home);
    let told = told(&[of_shop, from(burst(NIGHT, 15, 25, varied), everywhere)]);
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert_eq!(told.matches(" resolved ").count(), 1, "{told}");
    assert!(told.contains(" firing medium abroad: "), "{told}");
    assert!(
        told.contains("new customers paid by cards from abroad within 1h"),
        "{told}"
    );
}

#[test]
fn they_are_told_where_everybody_is_new() {
    let only_new = |(_, line): &(i64, String)| !line.contains("cus_r");
    let of_shop: Vec<_> = shop(NIGHT, varied).into_iter().filter(only_new).collect();
    let burst = from(burst(NIGHT, 15, 25, varied), everywhere);
    let told = told(&[from(of_shop, at_home), burst]);
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
}

#[test]
fn a_crowd_that_has_a_home_is_none() {
    let of_shop = from(shop(NIGHT, varied), at_home);
    // A paper there wrote of the shop; some of its readers live elsewhere.
    let readers = |n: usize| ["BR", "BR", "BR", "PT", "BR", "AO", "BR"][n % 7];
    for crowd in [readers, at_home] {
        let crowd = from(burst(NIGHT, 15, 40, varied), crowd);
        assert_eq!(told(&[of_shop.clone(), crowd]), "");
    }
}

#[test]
fn who_sells_to_the_world_hears_nothing_of_it() {
    let everywhere = |n: usize| ["NG", "BR", "US", "VN", "ID", "DE", "JP", "IN", "MX"][n % 9];
    let of_shop = from(shop(NIGHT, varied), everywhere);
    let crowd = from(burst(NIGHT, 15, 40, varied), everywhere);
    assert_eq!(told(&[of_shop, crowd]), "");
    // Nor does who is told nothing of countries.
    let unknown = burst(NIGHT, 15, 40, varied);
    assert_eq!(told(&[shop(NIGHT, varied), unknown]), "");
}
