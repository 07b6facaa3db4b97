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

/// A hundred plans of instalments, known for ten days, as long as their periods last; what happens then is told.
fn of_instalments(then: &str) -> String {
    let mut timeline = String::new();
    for n in 0..100 {
        // Sixty of them have a last period to come.
        let end = if n < 60 { 40 } else { 200 };
        timeline += &format!(
            "+1s customer.subscription.updated sub=sub_{n} from=-20d to=10d cancel_at={end}d\n"
        );
    }
    timeline += "+10d wait\n";
    check("revenue_drop", &(timeline + then + "+10h wait\n"))
}

#[test]
fn ends_that_came_with_the_contract_are_no_news() {
    // Their last period begins, and they will not renew.
    let last: String = (0..60)
        .map(|n| {
            format!("+5s customer.subscription.updated sub=sub_{n} from=0s to=30d cancel_at=30d\n")
        })
        .collect();
    let is_told = |then: &str| of_instalments(then).contains("mrr:");
    assert!(!is_told(&last));
    // Stripe ends them; their last periods were never told.
    let ended: String = (0..60)
        .map(|n| format!("+5s customer.subscription.deleted sub=sub_{n}\n"))
        .collect();
    assert!(!is_told(&format!("+30d wait\n{ended}")));
}

#[test]
fn who_leaves_before_the_end_of_the_contract_is_news() {
    let told = of_instalments(&cancelled(40, "3m"));
    assert!(told.contains("firing medium mrr:usd"), "{told}");
    let sooner: String = (0..40)
        .map(|n| {
            format!("+3m customer.subscription.updated sub=sub_{n} from=0s to=30d cancel_at=10d\n")
        })
        .collect();
    let told = of_instalments(&sooner);
    assert!(told.contains("firing medium mrr:usd"), "{told}");
}

#[test]
fn a_word_of_cancellation_is_news_when_it_is_given() {
    for end in ["cancel_at=30d", "cancel_at=60d born=-10d", "cancels"] {
        let told = changed(25, end);
        assert!(
            told.starts_with("d9 01:0") && told.contains("19 % below"),
            "{end}: {told}"
        );
    }
    // A schedule says on the first day how it ends; contracts are brought over, each with its year.
    assert_eq!(changed(100, "cancel_at=60d born=-1h"), "");
    assert_eq!(changed(100, "cancel_at=300d born=-10d"), "");
}

#[test]
fn who_leaves_at_the_end_of_a_notice_is_not_told_again() {
    let gone: String = (0..25)
        .map(|n| format!("+1m customer.subscription.deleted sub=sub_{n}\n"))
        .collect();
    let told = after_nine_days(
        &((0..25)
            .map(|n| {
                format!("+3m customer.subscription.updated sub=sub_{n} from=-10d to=30d cancel_at=60d born=-10d\n")
            })
            .collect::<String>()
            + "+51d wait\n"
            + &gone),
    );
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

/// So many are put on hold, one `every` so often.
fn paused(count: usize, every: &str) -> String {
    let one =
        |n| format!("+{every} customer.subscription.updated sub=sub_{n} from=-9d to=31d paused\n");
    (0..count).map(one).collect()
}

fn resumed(count: usize) -> String {
    let one = |n| format!("+1s customer.subscription.updated sub=sub_{n} from=-9d to=31d\n");
    (0..count).map(one).collect()
}

#[test]
fn a_third_put_on_hold_in_an_afternoon_is_a_loss() {
    assert_snapshot!(after_nine_days(&paused(33, "5m")), @"d9 01:32:00 firing medium mrr:usd: subscriptions will renew for 1,640.00 USD a month, 17.9 % below the 7-day average of 1,998.57 USD: 82 of them where 99 were; collection of 18 was paused within a day");
}

#[test]
fn a_hold_of_an_hour_is_none() {
    let back = format!("{}+40m wait\n{}", paused(33, "1s"), resumed(33));
    assert_eq!(after_nine_days(&back), "");
}

#[test]
fn customers_who_pause_day_by_day_are_left_out_of_the_week_before() {
    assert_eq!(after_nine_days(&paused(45, "4h")), "");
}

#[test]
fn who_is_gone_for_good_after_a_pause_is_no_second_loss() {
    let gone = paused(12, "1s") + "+30h wait\n" + &cancelled(12, "1s");
    assert_eq!(after_nine_days(&gone), "");
    let at_once = paused(12, "1s") + &cancelled(14, "1s") + "+3h wait\n";
    assert_eq!(after_nine_days(&at_once), "");
}

#[test]
fn a_told_pause_ends_when_they_go_on() {
    let told = after_nine_days(&format!("{}+30h wait\n{}", paused(33, "5m"), resumed(33)));
    assert_snapshot!(told, @"
    d9 01:32:00 firing medium mrr:usd: subscriptions will renew for 1,640.00 USD a month, 17.9 % below the 7-day average of 1,998.57 USD: 82 of them where 99 were; collection of 18 was paused within a day
    d10 08:47:00 resolved medium mrr:usd: committed 1,720.00 USD a month, where the 7-day average is 1,877.85 USD by now
    ");
}

/// So many of a hundred are changed like this in an afternoon, one after the other.
fn put(count: usize, how: &str) -> String {
    let one = |n| format!("+5m customer.subscription.updated sub=sub_{n} from=-9d to=31d {how}\n");
    (0..count).map(one).collect()
}

#[test]
fn a_third_put_back_on_trial_is_a_loss_and_a_few_are_none() {
    let on_trial = "status=trialing trial=31d";
    assert_snapshot!(after_nine_days(&put(33, on_trial)), @"d9 01:32:00 firing medium mrr:usd: subscriptions will renew for 1,640.00 USD a month, 17.9 % below the 7-day average of 1,998.57 USD: 82 of them where 99 were; 18 of those who paid were put on trial within a day");
    assert_eq!(after_nine_days(&put(14, on_trial)), "");
    // Trials that are new were never committed.
    let begun: String = (0..60)
        .map(|n| format!("+5m customer.subscription.created sub=new_{n} {on_trial}\n"))
        .collect();
    assert_eq!(after_nine_days(&begun), "");
}

#[test]
fn a_third_that_is_sent_invoices_from_now_on_is_told_for_a_day() {
    let told = after_nine_days(&(put(33, "days=30") + "+30h wait\n" + &put(33, "days=30")));
    assert_snapshot!(told, @"
    d9 01:32:00 firing medium mrr:usd: subscriptions will renew for 1,640.00 USD a month, 17.9 % below the 7-day average of 1,998.57 USD: 82 of them where 99 were; 18 of those who were charged automatically began to be sent invoices within a day
    d10 10:17:00 resolved medium mrr:usd: committed 1,700.00 USD a month, where the 7-day average is 1,872.14 USD by now
    ");
    assert_eq!(after_nine_days(&put(14, "days=30")), "");
    // Who always was sent invoices is no news.
    let begun: String = (0..60)
        .map(|n| format!("+5m customer.subscription.created sub=new_{n} to=30d days=30\n"))
        .collect();
    assert_eq!(
        after_nine_days(&(begun + "+9d wait\n" + &put(14, "days=30"))),
        ""
    );
}

/// A hundred subscriptions are known; each hour of nine days one more is heard of, made at this time. Then
/// so many of the hundred leave.
fn while_others_are_met(created: impl Fn(usize) -> String, count: usize) -> String {
    let mut timeline = String::new();
    for n in 0..100 {
        timeline +=
            &format!("+1s customer.subscription.updated sub=sub_{n} born=-100d from=0s to=40d\n");
    }
    for n in 0..9 * 24 {
        timeline += &format!(
            "+1h customer.subscription.updated sub=old_{n} {} from=0s to=30d\n",
            created(n)
        );
    }
    check(
        "revenue_drop",
        &(timeline + &cancelled(count, "3m") + "+10h wait\n"),
    )
}

#[test]
fn old_subscriptions_that_are_met_one_by_one_are_no_growth() {
    // 60 of 316 are a fifth; held against a week in which the others were not known they would be none.
    let told = while_others_are_met(|_| "born=-100d".to_owned(), 60);
    assert!(told.contains(" firing medium mrr:usd: "), "{told}");
    // New ones are growth.
    assert_eq!(while_others_are_met(|_| "born=0s".to_owned(), 60), "");
}
