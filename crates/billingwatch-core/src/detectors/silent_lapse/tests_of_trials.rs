//! Trials that run out.

use crate::testing::check;

/// Trials whose ends are told: one is paid for, one is cancelled, and two more go on.
const USUAL: &str = "
    +0s   customer.subscription.created sub=sub_a status=trialing trial=10d to=10d
    +1h   customer.subscription.created sub=sub_b status=trialing trial=10d to=10d
    +1h   customer.subscription.created sub=sub_c status=trialing trial=10d to=10d
    +1h   customer.subscription.created sub=sub_d status=trialing trial=10d to=10d
    +9d21h customer.subscription.updated sub=sub_a trial=0s
    +1h   customer.subscription.deleted sub=sub_b
    +0s   invoice.paid sub=sub_a in=in_a through=30d
    +1h   customer.subscription.updated sub=sub_c trial=0s
    +1h   customer.subscription.updated sub=sub_d trial=0s
    +0s   invoice.paid sub=sub_c in=in_c through=30d
    +1h   invoice.paid sub=sub_d in=in_d through=30d
";

/// What is told of a trial of two weeks that is made so, and of what follows it.
fn told_after(before: &str, made: &str, after: &str) -> String {
    check(
        "silent_lapse",
        &format!(
            "{before}
    +1d   customer.subscription.created sub=sub_1 {made} amt=4900 status=trialing trial=14d to=14d
    +1s   invoice.paid sub=sub_1 in=in_0 total=0 through=14d
    +11d  customer.subscription.trial_will_end sub=sub_1 {made} amt=4900 status=trialing trial=3d from=-11d to=3d
    {after}"
        ),
    )
}

fn told(made: &str, after: &str) -> String {
    told_after(USUAL, made, after)
}

#[test]
fn a_trial_of_whose_end_nothing_is_heard_is_told_after_three_days() {
    let early = told("", "+5d23h wait");
    assert_eq!(early, "");
    insta::assert_snapshot!(told("", "
        +9d   wait
        +1s   customer.subscription.updated sub=sub_1 amt=4900
        +1s   invoice.paid sub=sub_1 in=in_1 total=4900 through=30d
    "), @"
        d28 04:01:00 firing high sub_1: sub_1 is still in trial, yet its trial ended 2024-03-29T04:00:01Z, 3d ago: 49.00 USD was not asked for
        d31 04:00:03 resolved high sub_1: paid; next due 2024-05-04T04:00:03Z
        ");
}

#[test]
fn a_trial_whose_end_is_told_is_quiet() {
    for after in [
        "+3d customer.subscription.updated sub=sub_1 amt=4900 trial=0s
         +1h invoice.paid sub=sub_1 in=in_1 total=4900 through=30d",
        "+3d customer.subscription.updated sub=sub_1 status=past_due",
        "+3d customer.subscription.updated sub=sub_1 status=paused trial=0s",
        "+3d customer.subscription.deleted sub=sub_1",
        // What ended begins no trial any more.
        "+1d customer.subscription.deleted sub=sub_1
         +1d customer.subscription.updated sub=sub_1 amt=4900 status=trialing trial=5d from=-13d to=5d",
        // Its update may have been lost: it was paid, or tried.
        "+3d invoice.paid sub=sub_1 in=in_1 total=4900 through=30d",
        "+3d1h invoice.payment_failed sub=sub_1 in=in_1 total=4900 tries=1",
        // It goes on for a month.
        "+1d customer.subscription.updated sub=sub_1 amt=4900 status=trialing trial=30d from=-12d to=30d",
        "+1d customer.subscription.updated sub=sub_1 amt=4900 status=trialing trial=2d from=-12d to=2d cancels",
    ] {
        assert_eq!(told("", &format!("{after}\n+15d wait")), "", "{after}");
    }
}

#[test]
fn nothing_is_due_after_these_trials() {
    let silence = "+15d wait";
    assert_eq!(told("", silence).matches("firing").count(), 1);
    for made in [
        "may_end_with_trial",
        "cancels",
        "cancel_at=3d",
        "off_bps=10000",
        "amt=0",
        "metered",
        "paused",
        "test_clock",
        "opaque_discount",
        "schedule",
        "days=30",
    ] {
        let told = told(made, silence);
        assert!(!told.contains("firing"), "{made}: {told}");
    }
}

#[test]
fn where_ends_of_trials_are_not_told_nothing_is_said() {
    let silence = "+15d wait";
    // Nothing is known of other trials, or their events are not subscribed to.
    assert!(!told_after("", "", silence).contains("firing"));
    let unheard = |what: &str| {
        USUAL
            .lines()
            .filter(|line| !line.contains(what))
            .fold(String::new(), |all, line| all + line + "\n")
    };
    assert!(!told_after(&unheard("subscription.updated"), "", silence).contains("firing"));
    // A trial may have been cut short, where no end is ever told.
    let without_ends = unheard("deleted")
        + "
    +0s customer.subscription.created sub=sub_e status=trialing trial=1d to=1d
    +1d customer.subscription.updated sub=sub_e trial=0s
    +0s invoice.paid sub=sub_e in=in_e through=30d
    ";
    assert!(!told_after(&without_ends, "", silence).contains("firing"));
}

/// A trial with a schedule, whose period turns when it is over; and what is heard of it then.
fn told_of_schedule(first: &str, after: &str) -> String {
    check(
        "silent_lapse",
        &format!(
            "
    +0s   customer.subscription.created sub=sub_1 amt=600 schedule status=trialing trial=14d to=14d
    +1s   invoice.paid sub=sub_1 in=in_0 total=0 through=14d
    +13d23h59m59s customer.subscription.updated sub=sub_1 {first} schedule trial=0s to=30d
    {after}
    +20d  wait
    "
        ),
    )
}

#[test]
fn after_a_trial_what_a_schedule_shows_is_owed_if_nothing_at_all_was_invoiced() {
    insta::assert_snapshot!(told_of_schedule("amt=600", ""), @"d17 00:01:00 firing high sub_1: sub_1 is active, yet 6.00 USD due 2024-03-18T00:00:01Z has not been paid for 3d");
}

#[test]
fn a_phase_that_a_schedule_makes_free_is_invoiced_with_zero() {
    let free = "+1h invoice.paid sub=sub_1 in=in_1 total=0 through=30d";
    assert!(!told_of_schedule("amt=600", free).contains("firing"));
    for first in ["amt=0", "amt=600 off_bps=10000", "amt=600 opaque_discount"] {
        let told = told_of_schedule(first, "");
        assert!(!told.contains("firing"), "{first}: {told}");
    }
    // Met when the period had turned already: what came of the turn nobody knows.
    let told = check(
        "silent_lapse",
        "
    +0s   customer.subscription.updated sub=sub_1 amt=600 schedule from=-10d to=20d
    +15d  wait
    ",
    );
    assert_eq!(told, "");
}

#[test]
fn what_a_schedule_shows_at_the_turn_with_which_it_is_met_is_owed() {
    let told = |first: &str, after: &str| {
        check(
            "silent_lapse",
            &format!(
                "
    +0s   customer.updated
    +1d   customer.subscription.updated sub=sub_1 amt=600 schedule {first} from=0s to=30d
    {after}
    +12d  wait
    "
            ),
        )
    };
    let draft = "+1s invoice.created sub=sub_1 in=in_1 total=600 through=30d";
    insta::assert_snapshot!(told("born=-90d", draft), @"d4 00:00:00 firing high sub_1: sub_1 is active, yet 6.00 USD due 2024-03-05T00:00:00Z has not been paid for 3d");
    // It is made now: whether its schedule begins with a free phase nobody knows.
    assert_eq!(told("born=0s", draft), "");
    let paid = "+1h invoice.paid sub=sub_1 in=in_1 total=600 through=30d";
    assert_eq!(told("born=-90d", paid), "");
}

#[test]
fn a_trial_that_ends_in_a_silence_is_left_to_the_end_of_its_first_period() {
    let told = |after: &str| {
        check(
            "silent_lapse",
            &format!(
                "{USUAL}
    +1h   customer.subscription.deleted sub=sub_a
    +1h   customer.subscription.deleted sub=sub_c
    +1h   customer.subscription.deleted sub=sub_d
    +5m   invoice.upcoming x8040/5m
    +5m   customer.subscription.created sub=sub_1 status=trialing trial=7d to=7d
    +5m   invoice.upcoming x1920/5m
    +15h  wait
    +5m   invoice.upcoming x5760/5m
    {after}"
            ),
        )
    };
    let quiet = told("+0s wait");
    assert!(quiet.contains("quiet events_missing sub_1"), "{quiet}");
    assert!(!quiet.contains("firing"), "{quiet}");
    let later = told("+5m invoice.upcoming x5760/5m");
    assert_eq!(later.matches("firing").count(), 1, "{later}");
}
