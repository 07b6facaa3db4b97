//! Timelines of first attempts that failed and name no next one.

use insta::assert_snapshot;

use crate::testing::check;

/// Payments that fail and are tried again three days later, though nobody announced it.
fn followed(count: usize) -> String {
    let attempt = |n| {
        format!(
            "
            +1m charge.failed ch=ch_{n} cus=cus_{n}
            +1s invoice.payment_failed in=in_{n} sub=sub_{n} cus=cus_{n} tries=1
            +1s customer.subscription.updated sub=sub_{n} cus=cus_{n} status=past_due
            +3d invoice.payment_failed in=in_{n} sub=sub_{n} cus=cus_{n} tries=2
            "
        )
    };
    (0..count).map(attempt).collect()
}

/// One more, and what comes of it.
fn told(count: usize, decline: &str, subscription: &str, then: &str) -> String {
    let timeline = followed(count)
        + &format!(
            "
            +1h {decline}
            +1s invoice.payment_failed in=in_x sub=sub_x cus=cus_x tries=1
            +1s customer.subscription.updated sub=sub_x cus=cus_x status=past_due {subscription}
            {then}
            +25d wait
            "
        );
    check("silent_lapse", &timeline)
}

const DECLINE: &str = "charge.failed ch=ch_x cus=cus_x";

#[test]
fn a_first_attempt_that_is_followed_by_none_is_told_where_others_are_followed() {
    assert_snapshot!(told(10, DECLINE, "", "
        +20d  invoice.paid in=in_x sub=sub_x cus=cus_x
        +1s   customer.subscription.updated sub=sub_x cus=cus_x status=active to=90d
    "), @"
        d36 01:11:00 firing medium sub_x: sub_x is past due: its payment failed 2024-04-03T01:10:21Z, and was not tried again for 6d
        d50 01:10:22 resolved medium sub_x: no attempt is to come any more
        ");
    // Announced as a rule, and not this time: three days are enough.
    let announced = followed(10).replace("tries=1", "tries=1 next=3d");
    let then = "
        +1h charge.failed ch=ch_x cus=cus_x
        +1s invoice.payment_failed in=in_x sub=sub_x cus=cus_x tries=1
        +1s customer.subscription.updated sub=sub_x cus=cus_x status=past_due
        +25d wait
    ";
    assert_snapshot!(check("silent_lapse", &(announced + then)), @"d33 01:11:00 firing medium sub_x: sub_x is past due: its payment failed 2024-04-03T01:10:21Z, and was not tried again for 3d");
}

#[test]
fn where_most_are_left_after_the_first_attempt_it_is_the_policy() {
    let mut timeline = followed(10);
    for n in 20..40 {
        timeline += &format!(
            "
            +1m charge.failed ch=ch_{n} cus=cus_{n}
            +1s invoice.payment_failed in=in_{n} sub=sub_{n} cus=cus_{n} tries=1
            +1s customer.subscription.updated sub=sub_{n} cus=cus_{n} status=past_due
            +9d wait
            "
        );
    }
    let told = check("silent_lapse", &timeline);
    assert_eq!(told.matches("firing").count(), 2, "{told}");
    assert_eq!(told.matches("quiet retry_missing").count(), 18, "{told}");
    // Nobody is ever tried again.
    assert_eq!(
        check("silent_lapse", &timeline.replace("tries=2", "tries=1")),
        ""
    );
}

#[test]
fn what_is_tried_paid_ended_or_cannot_be_tried_is_quiet() {
    let quiet = [
        "+5d invoice.payment_failed in=in_x sub=sub_x cus=cus_x tries=2",
        "+5d invoice.paid in=in_x sub=sub_x cus=cus_x\n\
         +1s customer.subscription.updated sub=sub_x cus=cus_x status=active to=90d",
        "+5d customer.subscription.deleted sub=sub_x cus=cus_x",
        "+5d invoice.marked_uncollectible in=in_x sub=sub_x cus=cus_x",
        "+5d invoice.voided in=in_x sub=sub_x cus=cus_x",
        "+1s customer.subscription.updated sub=sub_x cus=cus_x status=past_due paused",
        // Its next invoice fails as well, which is another attempt, and is paid.
        "+5d invoice.payment_failed in=in_y sub=sub_x cus=cus_x tries=1\n\
         +5d invoice.paid in=in_y sub=sub_x cus=cus_x\n\
         +1s customer.subscription.updated sub=sub_x cus=cus_x status=active to=90d",
    ];
    for then in quiet {
        assert_eq!(told(10, DECLINE, "", then), "", "{then}");
    }
    // Too little is known of how others go on.
    assert_eq!(told(9, DECLINE, "", ""), "");
}

#[test]
fn a_card_declined_for_good_or_a_subscription_that_ends_is_not_awaited() {
    let lost = format!("{DECLINE} code=lost_card");
    assert_snapshot!(told(10, &lost, "", ""), @"d36 01:11:00 quiet retry_missing sub_x: the attempt made 2024-04-03T01:10:21Z was declined for good, or had nothing to charge");
    // A bank debit may not be presented again for most reasons.
    let debit = format!("{DECLINE} type=bacs_debit");
    assert!(told(10, &debit, "", "").contains("quiet retry_missing sub_x"));
    // No charge was made: there is nothing to charge.
    assert_snapshot!(told(10, "wait", "", ""), @"d36 01:11:00 quiet retry_missing sub_x: the attempt made 2024-04-03T01:10:21Z was declined for good, or had nothing to charge");
    assert_snapshot!(told(10, DECLINE, "cancels", ""), @"d36 01:11:00 quiet retry_missing sub_x: no attempt followed the one made 2024-04-03T01:10:21Z, and it is about to end");
    // Declined for good once, and since then not.
    let since = format!("{DECLINE} code=stolen_card\n+1m {DECLINE} code=insufficient_funds");
    assert!(told(10, &since, "", "").contains("firing medium sub_x"));
}

#[test]
fn several_that_nobody_tries_any_more_are_told_as_such() {
    let more = "
        +1m charge.failed ch=ch_z cus=cus_z
        +1s invoice.payment_failed in=in_z sub=sub_z cus=cus_z tries=1
        +1s customer.subscription.updated sub=sub_z cus=cus_z status=past_due
    ";
    let told = told(10, DECLINE, "", more);
    assert!(
        told.contains("2 subscriptions are past due and not tried again"),
        "{told}"
    );
}
