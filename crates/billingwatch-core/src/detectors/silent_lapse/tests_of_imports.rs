//! Timelines: what comes in another order than it happened in, and what was before the first of it.

use insta::assert_snapshot;

use super::tests::retries;
use crate::testing::check;

#[test]
fn an_older_word_of_an_invoice_promises_no_attempt_any_more() {
    // The first attempt failed and was to be followed by another; told a day or more later.
    let older = "invoice.payment_failed in=in_x sub=sub_x cus=cus_x tries=1";
    let quiet = [
        // Paid since, which its subscription does not say yet.
        format!("+1d invoice.paid in=in_x sub=sub_x cus=cus_x\n+1h {older} next=3d late=25h\n"),
        // The last attempt failed as well.
        format!(
            "+3d invoice.payment_failed in=in_x sub=sub_x cus=cus_x tries=2\n\
             +1h {older} next=3d late=73h\n"
        ),
        // It was put off, and then given up.
        format!(
            "+3d invoice.updated in=in_x sub=sub_x cus=cus_x tries=1\n\
             +1h {older} next=3d late=72h\n\
             +1h invoice.updated in=in_x sub=sub_x cus=cus_x tries=1 next=2d late=48h\n"
        ),
    ];
    for then in quiet {
        let then = then + "+12d wait\n";
        assert_eq!(check("silent_lapse", &retries(3, &then)), "", "{then}");
    }
}

#[test]
fn a_draft_that_comes_late_takes_no_promise_back() {
    let then = "+1h invoice.created in=in_x sub=sub_x cus=cus_x late=2h\n+8d wait\n";
    let told = check("silent_lapse", &retries(3, then));
    assert!(told.contains("firing medium sub_x"), "{told}");
}

#[test]
fn a_draft_that_comes_late_does_not_say_what_an_invoice_comes_to() {
    let told = check(
        "silent_lapse",
        "
        +0s  customer.subscription.created sub=sub_1 to=30d
        +1s  invoice.finalized in=in_1 sub=sub_1 total=2000 through=30d
        +1s  invoice.created in=in_1 sub=sub_1 total=2500 through=30d late=10s
        +1s  invoice_payment.paid in=in_1 paid=2000
        +20d wait
    ",
    );
    assert_eq!(told, "");
}

/// A pause from the 25th day to the 40th, and the turn in it; imported on the 45th.
fn imported_pause(order: [usize; 5]) -> String {
    let events = [
        "customer.subscription.created sub=sub_1 to=30d late=45d",
        "invoice.paid in=in_1 sub=sub_1 through=30d late=45d",
        "customer.subscription.updated sub=sub_1 from=-25d to=5d late=20d paused",
        "customer.subscription.updated sub=sub_1 from=0s to=30d late=15d paused",
        "customer.subscription.updated sub=sub_1 from=-10d to=20d late=5d",
    ];
    let events = order.map(|index| format!("+1s {} historical\n", events[index]));
    let timeline = format!("+45d customer.updated\n{}+14d wait\n", events.concat());
    check("silent_lapse", &timeline)
}

#[test]
fn a_pause_that_is_told_after_its_end_was_a_pause() {
    for order in [
        [0, 1, 2, 3, 4],
        [4, 3, 2, 1, 0],
        [0, 1, 4, 2, 3],
        [0, 4, 3, 1, 2],
    ] {
        assert_eq!(imported_pause(order), "", "{order:?}");
    }
}

#[test]
fn a_period_that_began_before_anything_was_heard_counts_as_paid() {
    // Invoiced and paid at one in the morning; listened to from five on.
    assert_snapshot!(check("silent_lapse", "
        +0s  customer.subscription.updated sub=sub_1 from=-5h to=25d
        +35d wait
    "), @"d28 00:00:00 firing high sub_1: sub_1 is active, yet 20.00 USD due 2024-03-29T00:00:00Z has not been paid for 3d");
    // Begun while we listened, it is to be paid for, whenever its subscription is met.
    assert_snapshot!(check("silent_lapse", "
        +0s  customer.updated
        +6h  customer.subscription.updated sub=sub_1 from=-5h to=25d
        +20d wait
    "), @"d3 01:00:00 firing high sub_1: sub_1 is active, yet 20.00 USD due 2024-03-04T01:00:00Z has not been paid for 3d");
}
