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

/// Invoices that are paid, and a renewal an hour after whose turn there is one more, and what comes of it.
fn renewal(paid: usize, made: &str, then: &str) -> String {
    let others: String = (0..paid)
        .map(|n| format!("+1m invoice.paid sub=sub_p{n} in=in_p{n} through=30d\n"))
        .collect();
    check(
        "silent_lapse",
        &format!(
            "
        {others}
        +0s   customer.subscription.created sub=sub_1 cus=cus_1 {made}
        +1s   invoice.paid sub=sub_1 cus=cus_1 in=in_1 through=30d
        +30d  customer.subscription.updated sub=sub_1 cus=cus_1 {made}
        +0s   invoice.created sub=sub_1 cus=cus_1 in=in_2 through=30d reason=cycle tries=0
        +1h   invoice.finalized sub=sub_1 cus=cus_1 in=in_2 through=30d reason=cycle tries=0
        {then}
    "
        ),
    )
}

const OFF: &str =
    "+3h invoice.marked_uncollectible sub=sub_1 cus=cus_1 in=in_2 through=30d reason=cycle tries=0";

#[test]
fn a_renewal_that_is_written_off_untried_is_told_while_its_subscription_goes_on() {
    insta::assert_snapshot!(renewal(10, "", &format!("{OFF}\n
        +10d  wait
        +20d  customer.subscription.updated sub=sub_1 cus=cus_1 from=-4h
        +1h   invoice.paid sub=sub_1 cus=cus_1 in=in_3 through=30d
    ")), @"
    d33 00:11:00 firing medium sub_1: sub_1 is active, yet 20.00 USD due 2024-04-03T00:10:01Z was written off 2024-04-03T04:10:01Z, and no payment was tried
    d60 05:10:01 resolved medium sub_1: paid; next due 2024-06-02T05:10:01Z
    ");
    // The next one as well: that is one alert.
    let again = "
        +30d  customer.subscription.updated sub=sub_1 cus=cus_1 from=-4h
        +3h   invoice.marked_uncollectible sub=sub_1 cus=cus_1 in=in_3 through=30d reason=cycle tries=0
        +10d  wait
    ";
    let told = renewal(10, "", &format!("{OFF}\n{again}"));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert_eq!(told.matches("resolved").count(), 0, "{told}");
    // One that is sent, before its time to pay is over.
    let sent = renewal(10, "days=30", &format!("{OFF}\n+10d wait"));
    assert!(sent.contains("before its time to pay was over"), "{sent}");
}

#[test]
fn a_write_off_that_is_no_slip_is_quiet() {
    let quiet = [
        // An attempt was made, or it is no renewal.
        OFF.replace("tries=0", "tries=1"),
        OFF.replace("reason=cycle", "reason=manual"),
        // Nothing is said of attempts.
        OFF.replace(" tries=0", ""),
        // It is paid all the same, or by hand, or beside it.
        format!("{OFF}\n+1d invoice.paid sub=sub_1 cus=cus_1 in=in_2 through=26d out_of_band"),
        // The customer leaves, is put on hold, or a payment failed.
        format!("{OFF}\n+1d customer.subscription.deleted sub=sub_1 cus=cus_1"),
        format!("{OFF}\n+1d customer.subscription.updated sub=sub_1 cus=cus_1 from=-28h to=29d cancels"),
        format!("{OFF}\n+1d customer.subscription.updated sub=sub_1 cus=cus_1 from=-28h to=29d paused"),
        format!(
            "{OFF}\n+1d customer.subscription.updated sub=sub_1 cus=cus_1 from=-28h to=29d status=past_due
             +1d customer.subscription.updated sub=sub_1 cus=cus_1 from=-52h to=28d"
        ),
    ];
    for then in quiet {
        let told = renewal(10, "", &format!("{then}\n+10d wait"));
        assert_eq!(told, "", "{then}");
    }
    let leaving = "+1s customer.subscription.updated sub=sub_1 cus=cus_1 from=-1h cancels";
    let told = renewal(10, "", &format!("{leaving}\n{OFF}\n+10d wait"));
    assert!(!told.contains("firing"), "{told}");
    // A credit note settled it.
    let note = "+1h credit_note.created in=in_2 total=2000";
    assert_eq!(renewal(10, "", &format!("{note}\n{OFF}\n+10d wait")), "");
    // Paid by another payment, before or after.
    let charge = "+1h charge.succeeded cus=cus_1 amt=2000";
    for then in [format!("{charge}\n{OFF}"), format!("{OFF}\n{charge}")] {
        let told = renewal(10, "", &format!("{then}\n+10d wait"));
        assert!(told.contains("quiet written_off sub_1"), "{told}");
        assert!(!told.contains("firing"), "{told}");
    }
    let other = format!("{OFF}\n{}\n+10d wait", charge.replace("2000", "700"));
    assert_eq!(renewal(10, "", &other).matches("firing").count(), 1);
    // What lay open for days was told as such, and whoever writes it off knows of it.
    let late = renewal(
        10,
        "",
        &format!("+4d wait\n{OFF}\n+10d wait").replace("through=30d", "through=26d"),
    );
    assert_eq!(late.matches("firing").count(), 1, "{late}");
    assert!(late.contains("has not been paid for 3d"), "{late}");
    assert!(late.contains("resolved"), "{late}");
}

#[test]
fn where_renewals_are_written_off_as_a_matter_of_course_it_is_quiet() {
    let few = renewal(8, "", &format!("{OFF}\n+10d wait"));
    insta::assert_snapshot!(few, @"d33 00:09:00 quiet written_off sub_1: what was due 2024-04-03T00:08:01Z was written off untried: too little is known of what is usual here");
    // Ten are written off in a night, of as many and thirty that are paid: after two it is the policy.
    let mut timeline: String = (0..30)
        .map(|n| format!("+1m invoice.paid sub=sub_p{n} in=in_p{n} through=30d\n"))
        .collect();
    for n in 0..10 {
        timeline += &format!(
            "+1m customer.subscription.created sub=sub_{n}\n\
             +0s invoice.paid sub=sub_{n} in=in_{n} through=30d\n"
        );
    }
    timeline += "+30d wait\n";
    for n in 0..10 {
        timeline += &format!(
            "+1m customer.subscription.updated sub=sub_{n}\n\
             +1s invoice.marked_uncollectible sub=sub_{n} in=in_x{n} through=30d reason=cycle tries=0\n"
        );
    }
    let told = check("silent_lapse", &(timeline + "+10d wait\n"));
    assert_eq!(told.matches("quiet written_off").count(), 7, "{told}");
}
