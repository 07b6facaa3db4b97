//! Timelines: those who leave within hours, fewer than the sum of what is committed would show.

use crate::testing::check;
use insta::assert_snapshot;

/// Two hundred subscriptions of a month, of which one is given up every two days; what happens then is told.
fn after_weeks(then: &str) -> String {
    let mut timeline = String::new();
    for n in 0..200 {
        timeline += &format!("+1s customer.subscription.updated sub=sub_{n} from=0s to=90d\n");
    }
    for n in 0..10 {
        timeline += &format!("+2d customer.subscription.deleted sub=sub_{n}\n");
    }
    check(
        "revenue_drop",
        &(timeline + "+2d wait\n" + then + "+10h wait\n"),
    )
}

/// So many of them leave, one `every` so often.
fn leave(from: usize, count: usize, every: &str, how: &str) -> String {
    let one = |n| format!("+{every} customer.subscription.deleted sub=sub_{n} {how}\n");
    (from..from + count).map(one).collect()
}

#[test]
fn a_few_in_a_hundred_who_leave_in_an_afternoon_are_told_once() {
    assert_snapshot!(after_weeks(&leave(20, 10, "11m", "")), @"d22 02:04:00 firing medium mrr:usd: 10 of 190 subscriptions were given up within 3h, 5.2 %, where 1 at most are on ordinary days: 10 of them brought 200.00 USD a month");
    // By a program.
    assert_snapshot!(after_weeks(&leave(20, 12, "1s", "")), @"d22 01:09:00 firing medium mrr:usd: 12 of 190 subscriptions were given up within 3h, 6.3 %, where 1 at most are on ordinary days: 12 of them brought 240.00 USD a month");
    // At the end of their period.
    let told = after_weeks(&changed(20..32, "9m", "cancels"));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

/// The same, by an update each.
fn changed(which: std::ops::Range<usize>, every: &str, how: &str) -> String {
    let one =
        |n| format!("+{every} customer.subscription.updated sub=sub_{n} from=-22d to=68d {how}\n");
    which.map(one).collect()
}

#[test]
fn it_is_over_when_they_come_back_or_after_a_week() {
    let gone = changed(20..30, "11m", "cancels");
    let back = changed(20..26, "5m", "");
    assert_snapshot!(after_weeks(&format!("{gone}+5h wait\n{back}")), @"
    d22 02:04:00 firing medium mrr:usd: 10 of 190 subscriptions were given up within 3h, 5.2 %, where 1 at most are on ordinary days: 10 of them brought 200.00 USD a month
    d22 07:19:00 resolved medium mrr:usd: as many as half of them came back
    ");
    assert_snapshot!(after_weeks(&format!("{gone}+8d wait\n")), @"
    d22 02:04:00 firing medium mrr:usd: 10 of 190 subscriptions were given up within 3h, 5.2 %, where 1 at most are on ordinary days: 10 of them brought 200.00 USD a month
    d29 02:04:00 resolved medium mrr:usd: no such wave for 7d
    ");
    // Who thinks better of it within the hour was never told.
    assert_eq!(
        after_weeks(
            &(changed(20..32, "1s", "cancels") + "+30m wait\n" + &changed(20..32, "1s", ""))
        ),
        ""
    );
}

#[test]
fn a_wave_that_grows_is_the_same_alert() {
    let told = after_weeks(&(leave(20, 10, "11m", "") + &leave(40, 60, "2m", "")));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert!(told.contains("escalated"), "{told}");
}

#[test]
fn a_few_or_those_that_did_not_pay_are_none() {
    assert_eq!(after_weeks(&leave(20, 7, "11m", "")), "");
    assert_eq!(after_weeks(&leave(20, 12, "11m", "why=payment_failed")), "");
    let mut overdue = String::new();
    for n in 20..32 {
        overdue += &format!(
            "+1s customer.subscription.updated sub=sub_{n} from=-22d to=68d status=past_due\n"
        );
    }
    let told = after_weeks(&format!("{overdue}+1d wait\n{}", leave(20, 12, "11m", "")));
    assert_eq!(told, "");
    // Over days.
    assert_eq!(after_weeks(&leave(20, 12, "4h", "")), "");
}

#[test]
fn a_move_of_all_within_the_hour_is_none() {
    let mut moved = leave(20, 20, "1s", "");
    for n in 0..20 {
        moved += &format!("+2m customer.subscription.created sub=new_{n} to=30d\n");
    }
    assert_eq!(after_weeks(&moved), "");
}

#[test]
fn what_is_cleared_away_now_and_then_is_usual() {
    let mut timeline = String::new();
    for n in 0..400 {
        timeline += &format!("+1s customer.subscription.updated sub=sub_{n} from=0s to=90d\n");
    }
    for week in 0..5 {
        timeline += &format!("+7d wait\n{}", leave(week * 13, 13, "1s", ""));
    }
    let told = check("revenue_drop", &(timeline + "+10h wait\n"));
    // The first two weeks are too few to say anything, and the third is told.
    assert!(told.matches("firing").count() <= 1, "{told}");
}
