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

/// Of the hundred, so many are changed like this, one by one.
fn changed(count: usize, how: &str) -> String {
    let one = |n| format!("+3m customer.subscription.updated sub=sub_{n} from=-10d to=30d {how}\n");
    after_nine_days(&(0..count).map(one).collect::<String>())
}

#[test]
fn prices_that_became_nothing_are_a_loss() {
    assert_snapshot!(changed(25, "amt=0"), @"d9 01:00:00 firing medium mrr:usd: subscriptions will renew for 1,620.00 USD a month, 19 % below the 7-day average of 2,000.00 USD: 81 of them where 100 were");
}

#[test]
fn a_coupon_for_many_is_a_loss_whatever_it_leaves_and_one_for_a_few_is_none() {
    assert_snapshot!(changed(25, "off_bps=10000"), @"d9 01:00:00 firing medium mrr:usd: subscriptions will renew for 1,620.00 USD a month, 19 % below the 7-day average of 2,000.00 USD: 100 of them where 100 were, at lower prices or with discounts");
    assert!(changed(50, "off_bps=5000").contains(" firing medium mrr:usd: "));
    assert_eq!(changed(12, "off_bps=10000"), "");
    assert_eq!(changed(25, "off_bps=5000"), "");
}

#[test]
fn a_month_given_away_is_no_less_committed() {
    assert_eq!(changed(100, "off_bps=10000 off_once"), "");
}

#[test]
fn one_large_customer_who_gets_a_discount_is_no_mass() {
    let mut timeline =
        "+1s customer.subscription.updated sub=large from=0s to=40d amt=900000\n".to_owned();
    for n in 0..100 {
        timeline += &format!("+1s customer.subscription.updated sub=sub_{n} from=0s to=40d\n");
    }
    timeline += "+9d customer.subscription.updated sub=large from=-9d to=31d amt=900000 off_bps=10000\n+10h wait\n";
    assert_eq!(check("revenue_drop", &timeline), "");
}

#[test]
fn a_discount_that_comes_and_goes_leaves_no_trace() {
    let mut moved = String::new();
    for _ in 0..4 {
        for how in ["off_bps=9000", ""] {
            for n in 0..14 {
                moved += &format!(
                    "+1m customer.subscription.updated sub=sub_{n} from=-9d to=31d {how}\n"
                );
            }
        }
    }
    assert_eq!(after_nine_days(&(moved + &cancelled(14, "1m"))), "");
}
