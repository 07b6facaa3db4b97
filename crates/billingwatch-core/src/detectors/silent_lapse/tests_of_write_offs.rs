//! Invoices that are written off.

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
