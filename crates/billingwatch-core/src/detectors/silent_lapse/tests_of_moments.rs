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
