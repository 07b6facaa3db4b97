//! Stories of customers who buy the same again as a matter of course, and of carts from several sellers.

use crate::testing::{check, in_order};

const DAY: i64 = 86_400;

/// So many days of 30 sales, of which every fifth is bought again after so many seconds; of the days, how many have that
/// given back.
fn arcade(days: i64, apart: i64, given_back: i64) -> Vec<(i64, String)> {
    let mut lines = Vec::new();
    for n in 0..days * 30 {
        let at = n * 2_880;
        let bought = |ch: &str| format!("charge.succeeded ch={ch}_{n} cus=cus_{n} amt=500");
        lines.push((at, bought("a")));
        if n % 5 == 0 {
            lines.push((at + apart, bought("b")));
            if at < given_back * DAY {
                lines.push((at + apart + 600, format!("refund.created ch=b_{n} amt=500")));
            }
        }
    }
    lines
}

/// Days on which a duplicate was told, and those on which one was found to be a habit.
fn told(lines: Vec<(i64, String)>) -> (Vec<String>, usize) {
    let told = check("duplicate_charge", &in_order(lines));
    let day = |line: &str| {
        line.split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let firing = told.lines().filter(|line| line.contains(" firing "));
    let mut days: Vec<String> = firing.map(day).collect();
    days.dedup();
    (days, told.matches("quiet bought_again").count())
}

#[test]
fn who_buys_credits_again_every_day_is_not_told_for_ever() {
    let (days, quiet) = told(arcade(12, 150, 0));
    assert_eq!(days, ["d0", "d1", "d2", "d3", "d4"]);
    assert_eq!(quiet, 7 * 6);
}

#[test]
fn a_form_sent_twice_is_told_all_the_same() {
    let mut lines = arcade(12, 150, 0);
    for (n, after) in [0, 4].into_iter().enumerate() {
        let sent = format!("charge.succeeded ch=twice_{n} cus=cus_twice amt=500");
        lines.push((10 * DAY + 100 + after, sent));
    }
    let (days, _) = told(lines);
    assert!(days.contains(&"d10".to_owned()), "{days:?}");
}

#[test]
fn seconds_are_never_a_habit() {
    assert_eq!(told(arcade(8, 20, 0)).0.len(), 8);
}

#[test]
fn what_is_given_back_is_no_habit() {
    let (days, quiet) = told(arcade(9, 150, 3));
    assert_eq!((days.len(), quiet), (9, 0), "{days:?}");
}

#[test]
fn a_cart_of_two_sellers_is_two_charges() {
    let told = |to: &str| {
        let story = format!(
            "+0s charge.succeeded cus=cus_1 amt=3100 meta.order_id=7 to=acct_a
             +1s charge.succeeded cus=cus_1 amt=3100 meta.order_id=7 {to}\n"
        );
        check("duplicate_charge", &story)
    };
    let apart = told("to=acct_b");
    assert!(apart.contains("quiet different_seller"), "{apart}");
    assert!(!apart.contains(" firing "), "{apart}");
    assert!(told("to=acct_a").contains(" firing "));
    assert!(told("").contains(" firing "));
}

#[test]
fn test_mode_is_judged_only_where_that_is_wanted() {
    let told = |set: &str| {
        let charge = "charge.succeeded cus=cus_1 amt=2000 test\n";
        check(
            "duplicate_charge",
            &format!("{set}+0s {charge}+9s {charge}"),
        )
    };
    let left_out = told("");
    assert!(left_out.contains("quiet test_mode") && !left_out.contains(" firing "));
    assert!(told("+0s set duplicate_charge.test_mode=true\n").contains(" firing "));
}
