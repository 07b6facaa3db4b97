//! Timelines: the events of one moment, with a tick between them.

use crate::testing::check;

/// A period's turn, and three days later something that fails; the rest follows after a tick.
fn failure(debit: &str, decided: &str) -> String {
    check(
        "silent_lapse",
        &format!(
            "
            +0s   customer.subscription.created sub=sub_1 cus=cus_1
            +1s   invoice.paid sub=sub_1 through=30d
            +30d  customer.subscription.updated sub=sub_1 cus=cus_1
            {debit}
            {decided}
            "
        ),
    )
}

const PENDING: &str = "+1h charge.pending ch=ch_1 cus=cus_1";

const FAILED: &str = "
    +6d   charge.failed ch=ch_1 cus=cus_1
    +5s   customer.subscription.updated sub=sub_1 cus=cus_1
";

const PAST_DUE: &str = "+2m customer.subscription.updated sub=sub_1 cus=cus_1 status=past_due";

#[test]
fn a_debit_that_fails_is_followed_by_its_subscription() {
    let told = failure(PENDING, &format!("{FAILED}{PAST_DUE}\n+3d wait\n"));
    assert!(!told.contains("firing"), "{told}");
}

#[test]
fn when_nothing_follows_it_is_a_lapse_after_a_day() {
    let told = failure(PENDING, &format!("{FAILED}+23h wait\n"));
    assert!(!told.contains("firing"), "{told}");
    let told = failure(PENDING, &format!("{FAILED}+25h wait\n"));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

/// Nobody heard of the attempt before: it fails in the minute of the verdict.
#[test]
fn a_failure_in_the_minute_of_the_verdict_is_followed_by_its_subscription() {
    let failed = "+71h charge.failed ch=ch_1 cus=cus_1\n+59m charge.failed ch=ch_2 cus=cus_1\n";
    let told = failure("", &format!("{failed}{PAST_DUE}\n+3d wait\n"));
    assert!(!told.contains("firing"), "{told}");
    let told = failure("", &format!("{failed}+13m wait\n"));
    assert!(!told.contains("firing"), "{told}");
    let told = failure("", &format!("{failed}+20m wait\n"));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

/// Two invoices of a weekly plan fail and are tried again, and the older one is paid first.
fn two_in_dunning(then: &str) -> String {
    check(
        "silent_lapse",
        &format!(
            "
            +0s   customer.subscription.created sub=sub_1 cus=cus_1 to=7d
            +1s   invoice.paid sub=sub_1 in=in_1 through=7d
            +7d   customer.subscription.updated sub=sub_1 cus=cus_1 to=7d
            +1h   invoice.payment_failed sub=sub_1 in=in_2 tries=1 next=3d through=7d
            +1s   customer.subscription.updated sub=sub_1 cus=cus_1 from=-1h to=7d status=past_due
            +3d   invoice.payment_failed sub=sub_1 in=in_2 tries=2 next=5d through=4d
            +4d   customer.subscription.updated sub=sub_1 cus=cus_1 to=7d status=past_due
            +1h   invoice.payment_failed sub=sub_1 in=in_3 tries=1 next=4d through=7d
            +23h  invoice.paid sub=sub_1 in=in_2 through=-1d
            +1s   customer.subscription.updated sub=sub_1 cus=cus_1 from=-1d to=6d
            {then}
            "
        ),
    )
}

#[test]
fn while_the_newer_of_two_invoices_is_tried_again_it_is_not_silent() {
    // Paid four days after its turn, as was announced.
    assert_eq!(
        two_in_dunning("+75h invoice.paid sub=sub_1 in=in_3 through=3d\n+3d wait\n"),
        ""
    );
    // It fails once more, and the next attempt is announced.
    let again = "
        +75h  invoice.payment_failed sub=sub_1 in=in_3 tries=2 next=2d through=3d
        +47h  wait
        +1h   invoice.paid sub=sub_1 in=in_3 through=1d
        +1d   wait
    ";
    assert_eq!(two_in_dunning(again), "");
    // The announced attempt is not made.
    assert_eq!(two_in_dunning("+96h wait\n"), "");
    let told = two_in_dunning("+98h wait\n");
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}
