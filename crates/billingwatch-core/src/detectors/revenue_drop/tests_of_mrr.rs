//! Timelines: commitments that go at once, and those that only move.

use crate::testing::check;
use insta::assert_snapshot;

/// A hundred subscriptions of nine days; what happens to forty of them then is told.
fn after_nine_days(then: &str) -> String {
    let mut timeline = String::new();
    for n in 0..100 {
        timeline += &format!("+1s customer.subscription.updated sub=sub_{n} from=0s to=40d\n");
    }
    timeline += "+9d wait\n";
    check("revenue_drop", &(timeline + then + "+10h wait\n"))
}

/// So many cancellations, one `every` so often.
fn cancelled(count: usize, every: &str) -> String {
    let one = |n| format!("+{every} customer.subscription.deleted sub=sub_{n}\n");
    (0..count).map(one).collect()
}

fn begun_anew(count: usize, every: &str) -> String {
    let one = |n| format!("+{every} customer.subscription.created sub=new_{n} to=30d\n");
    (0..count).map(one).collect()
}

#[test]
fn customers_who_leave_one_by_one_are_told_within_minutes() {
    assert_snapshot!(after_nine_days(&cancelled(25, "3m")), @"d9 01:00:00 firing medium mrr:usd: subscriptions will renew for 1,620.00 USD a month, 19 % below the 7-day average of 2,000.00 USD: 81 of them where 100 were");
}

#[test]
fn a_program_that_cancels_is_given_an_hour() {
    assert_snapshot!(after_nine_days(&cancelled(25, "1s")), @"d9 01:07:00 firing medium mrr:usd: subscriptions will renew for 1,500.00 USD a month, 24.8 % below the 7-day average of 1,994.76 USD: 75 of them where 99 were");
}

#[test]
fn a_move_of_all_within_the_hour_is_no_cancellation() {
    for (count, every) in [(25, "1s"), (100, "5s")] {
        let anew = begun_anew(count, every);
        let told = after_nine_days(&format!("{}+40m wait\n{anew}", cancelled(count, every)));
        assert_eq!(told, "", "{count} {every}");
    }
}

#[test]
fn a_few_who_leave_and_come_back_are_nothing() {
    let moved = cancelled(14, "3m") + &begun_anew(14, "1s") + &cancelled(10, "5m");
    assert_eq!(after_nine_days(&moved), "");
}

#[test]
fn prices_that_became_nothing_are_a_loss_and_a_month_given_away_is_none() {
    let free = |how: &str| -> String {
        let one =
            |n| format!("+3m customer.subscription.updated sub=sub_{n} from=-10d to=30d {how}\n");
        (0..25).map(one).collect()
    };
    assert_snapshot!(after_nine_days(&free("amt=0")), @"d9 01:00:00 firing medium mrr:usd: subscriptions will renew for 1,620.00 USD a month, 19 % below the 7-day average of 2,000.00 USD: 81 of them where 100 were");
    assert_eq!(after_nine_days(&free("off_bps=10000")), "");
}
