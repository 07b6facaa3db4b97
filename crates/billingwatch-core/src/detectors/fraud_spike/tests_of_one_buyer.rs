//! One customer who pays again and again, or with many cards.

use crate::testing::check;
use insta::assert_snapshot;

/// Ten days of customers who buy up to three times within three hours.
fn customers() -> String {
    let mut days = String::new();
    for day in 0..10 {
        for (gap, amount) in [("4h", 2_500), ("5m", 1_900), ("40m", 4_900)] {
            days += &format!(
                "+{gap} charge.succeeded cus=cus_r{day} card=fp_r{day} amt={amount} req=req_0\n"
            );
        }
        days += "+19h charge.succeeded cus=cus_old card=fp_old amt=2500 req=req_0\n";
    }
    days
}

/// So many purchases of a customer by one card, four minutes apart.
fn spree(customer: &str, purchases: i64) -> String {
    let purchase = |n| {
        let amount = 4_000 + n * 700;
        format!("+4m charge.succeeded cus={customer} card=fp_{customer} amt={amount} req=req_1\n")
    };
    (0..purchases).map(purchase).collect()
}

fn told(timeline: &str) -> String {
    check("fraud_spike", timeline)
}

#[test]
fn a_new_customer_who_pays_again_and_again() {
    let of = |purchases| told(&(customers() + &spree("cus_new", purchases) + "+2d wait\n"));
    assert_snapshot!(of(10), @"
        d9 22:02:00 firing medium customer:cus_new: cus_new, who is new, paid 8 times by card fp_cus_new within 3h, 516.00 USD
        d10 22:10:00 resolved medium customer:cus_new: no more of it within 1d
        ");
    assert_eq!(of(7), "");
    // A shop's old customer, and what the merchant billed.
    let by = |customer: &str| told(&(customers() + &spree(customer, 10)));
    assert_eq!(by("cus_old"), "");
    let billed = spree("cus_new", 10).replace(" req", " desc=Payment_for_Invoice req");
    assert_eq!(told(&(customers() + &billed)), "");
    // Renewals that Stripe makes, and a purchase sent ten times, which is told as a duplicate.
    let renewed = spree("cus_new", 10).replace(" req=req_1", "");
    assert_eq!(told(&(customers() + &renewed)), "");
    let again = "+1m charge.succeeded cus=cus_new card=fp_x amt=4000 req=req_1 x10/1m\n";
    assert_eq!(told(&(customers() + again)), "");
    // Slowly, over a day.
    let slow = spree("cus_new", 12).replace("+4m", "+40m");
    assert_eq!(told(&(customers() + &slow)), "");
}

#[test]
fn where_customers_buy_ten_times_in_an_hour_it_is_usual() {
    let days: String = (0..12)
        .map(|day| spree(&format!("cus_g{day}"), 10).replace("fp_cus", "fp") + "+1d wait\n")
        .collect();
    assert_eq!(told(&days), "");
    assert_eq!(told(&(days.clone() + &spree("cus_new", 20))), "");
    assert!(told(&(days + &spree("cus_new", 21))).contains("paid 21 times"));
    // What came on one day is an exception, and takes one more; the third such day makes it usual.
    let once = |times| {
        let days: String = (0..times)
            .map(|day| spree(&format!("cus_g{day}"), 10) + "+1d wait\n")
            .collect();
        told(&(days + &customers() + &spree("cus_new", 11))).contains("paid 11 times")
    };
    assert_eq!([1, 2, 3].map(once), [true, true, false]);
}

#[test]
fn before_a_week_is_known_everybody_is_new() {
    let of = |days: usize| {
        let day = "+1d charge.succeeded cus=cus_r card=fp_r amt=900 req=req_0\n";
        told(&(day.repeat(days) + &spree("cus_new", 30)))
    };
    assert_eq!(of(6), "");
    assert!(of(9).contains("firing"), "{}", of(9));
}

#[test]
fn who_was_told_does_not_hide_the_next() {
    let again = customers() + &spree("cus_a", 12) + "+10d wait\n" + &spree("cus_b", 12);
    assert_eq!(told(&again).matches(" firing ").count(), 2);
}

/// A customer who pays with so many cards, each after so many others that were declined.
fn cards(paid: usize, declined: usize) -> String {
    let mut timeline = String::new();
    for card in 0..paid {
        for other in 0..declined {
            timeline += &format!(
                "+2m charge.failed cus=cus_new card=fp_{card}x{other} amt=1000 req=req_1\n"
            );
        }
        timeline +=
            &format!("+2m charge.succeeded cus=cus_new card=fp_{card} amt=1000 req=req_1\n");
    }
    timeline
}

#[test]
fn declined_cards_count_beside_those_that_paid() {
    assert_snapshot!(told(&(customers() + &cards(4, 1))), @"d9 21:42:00 firing medium customer:cus_new: cus_new paid with 3 different cards within 1d, and 3 others were declined");
    assert_eq!(told(&(customers() + &cards(4, 0))), "");
    // A buyer in trouble, who pays with one card or with two in the end.
    assert_eq!(told(&(customers() + &cards(1, 9))), "");
    assert_eq!(told(&(customers() + &cards(2, 2))), "");
    // Nobody has so many cards of their own.
    let told_of_list = told(&(customers() + &cards(2, 9)));
    assert!(
        told_of_list.contains("2 different cards within 1d, and 1"),
        "{told_of_list}"
    );
    // The same card declined, and then paying, is one.
    let same = cards(4, 1).replace("x0 amt", " amt");
    assert_eq!(told(&(customers() + &same)), "");
}
