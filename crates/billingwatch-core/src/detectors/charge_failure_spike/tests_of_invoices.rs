//! Endpoints that are sent invoices alone: their attempts are told by those.

use crate::testing::check;

/// So many renewals a day for three weeks, of which one in thirty fails at first; then so many fail of so many.
fn renewals(then: &str) -> String {
    let mut timeline = String::new();
    for n in 0..630 {
        let invoice = format!("in=in_{n} sub=sub_{n} cus=cus_{n} reason=cycle through=30d");
        let told = if n % 30 == 7 {
            "payment_failed"
        } else {
            "paid"
        };
        timeline += &format!("+48m invoice.{told} {invoice}\n");
    }
    check("charge_failure_spike", &(timeline + then + "+2h wait\n"))
}

/// Renewals one after another that fail, but each third.
fn failing(count: usize, how: &str) -> String {
    let one = |n| {
        let told = if n % 3 == 2 { "paid" } else { "payment_failed" };
        format!(
            "+20m invoice.{told} in=late_{n} sub=late_{n} cus=late_{n} reason=cycle through=30d {how}\n"
        )
    };
    (0..count).map(one).collect()
}

#[test]
fn renewals_that_fail_are_told_where_invoices_alone_are_sent() {
    let told = renewals(&failing(18, ""));
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
}

#[test]
fn ordinary_ones_and_tries_of_the_same_invoice_are_not() {
    assert!(!renewals("").contains("firing"));
    let again =
        "+10m invoice.payment_failed in=in_x sub=sub_x cus=cus_x reason=cycle through=30d\n";
    let told = renewals(&again.repeat(12));
    assert!(!told.contains("firing"), "{told}");
}

#[test]
fn what_is_paid_when_the_customer_likes_or_by_other_means_tries_nothing() {
    let told = renewals(&failing(18, "due=30d"));
    assert!(!told.contains("firing"), "{told}");
}

#[test]
fn where_charges_are_told_invoices_are_no_further_attempts() {
    // Each failed renewal by its charge and its invoice: as many as by its charge alone.
    let mut both = String::new();
    let mut alone = String::new();
    for n in 0..200 {
        let told = if n % 30 == 7 { "failed" } else { "succeeded" };
        let charge = format!("+1h charge.{told} cus=cus_{n}\n");
        let word = if told == "failed" {
            "payment_failed"
        } else {
            "paid"
        };
        both += &format!(
            "{charge}+1s invoice.{word} in=in_{n} sub=sub_{n} cus=cus_{n} reason=cycle through=30d\n+0s wait\n"
        );
        alone += &format!("{charge}+1s wait\n");
    }
    for n in 0..12 {
        let charge = format!("+5m charge.failed cus=late_{n}\n");
        both += &format!(
            "{charge}+0s invoice.payment_failed in=late_{n} sub=late_{n} cus=late_{n} reason=cycle through=30d\n"
        );
        alone += &charge;
    }
    let of = |timeline: &str| check("charge_failure_spike", timeline);
    let (both, alone) = (of(&both), of(&alone));
    assert!(both.contains("firing"), "{both}");
    assert_eq!(both, alone);
}
