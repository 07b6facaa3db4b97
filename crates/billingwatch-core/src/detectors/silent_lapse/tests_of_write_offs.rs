//! Invoices that are written off, or told as overdue.

use crate::testing::check;

#[test]
fn what_was_written_off_is_not_silent_and_the_next_period_is_due() {
    let told = |last: &str| {
        check(
            "silent_lapse",
            &format!(
                "
        +0s   customer.subscription.created sub=sub_1
        +1s   invoice.paid sub=sub_1 in=in_1 through=30d
        +30d  customer.subscription.updated sub=sub_1 from=0s to=30d
        +1h   invoice.finalized sub=sub_1 in=in_2 through=30d
        +1d   customer.subscription.updated sub=sub_1 status=past_due from=-1d to=29d
        +20d  {last}
        +1s   customer.subscription.updated sub=sub_1 from=-21d to=9d
        +5d   wait
    "
            ),
        )
    };
    let off = "invoice.marked_uncollectible sub=sub_1 in=in_2 through=9d";
    assert_eq!(told(off), "");
    let open = told("invoice.updated sub=sub_1 in=in_2 through=9d");
    assert_eq!(open.matches("firing").count(), 1, "{open}");
    let later = told(&format!(
        "{off}\n+1s customer.subscription.updated sub=sub_1 from=-21d to=9d\n+14d wait"
    ));
    assert_eq!(later.matches("firing").count(), 1, "{later}");
}

/// Two sent invoices are overdue at a time, and one of them is written off, which makes the subscription active.
#[test]
fn what_was_told_as_overdue_is_not_silent() {
    let told = |second: &str, after: &str| {
        check(
            "silent_lapse",
            &format!(
                "
        +0s   customer.subscription.created sub=sub_1 days=30
        +1h   invoice.finalized sub=sub_1 in=in_1 through=30d
        +30d  customer.subscription.updated sub=sub_1 days=30 from=-1h to=30d
        +1h   invoice.finalized sub=sub_1 in=in_2 through=30d
        +1h   invoice.overdue sub=sub_1 in=in_1 through=-2h
        +1s   customer.subscription.updated sub=sub_1 days=30 status=past_due from=-3h to=30d
        +30d  customer.subscription.updated sub=sub_1 days=30 status=past_due from=-3h to=30d
        +1h   {second} sub=sub_1 in=in_2 through=-4h
        +1h   invoice.marked_uncollectible sub=sub_1 in=in_1 through=-30d
        +1s   customer.subscription.updated sub=sub_1 days=30 from=-5h to=30d
        +{after} wait
    "
            ),
        )
    };
    let count = |told: String| told.matches("firing").count();
    assert_eq!(count(told("invoice.updated", "20d")), 1);
    assert_eq!(count(told("invoice.overdue", "20d")), 0);
    // The next period is due as ever.
    assert_eq!(count(told("invoice.overdue", "40d")), 1);
}
