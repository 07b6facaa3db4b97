//! Timelines of lapses, and of what only looks like one.

use crate::testing::check;
use insta::assert_snapshot;

#[test]
fn a_renewal_that_never_pays_is_one_alert_until_it_does() {
    assert_snapshot!(check("silent_lapse", "
        +0s   customer.subscription.created sub=sub_1 cus=cus_1 amt=4900
        +1s   invoice.paid in=in_1 sub=sub_1 total=4900 through=30d
        +30d  customer.subscription.updated sub=sub_1 cus=cus_1 amt=4900
        +20d  wait
        +1s   invoice.paid in=in_2 sub=sub_1 total=4900 through=10d
    "), @"
        d33 00:01:00 firing high sub_1: sub_1 is active, yet 49.00 USD due 2024-04-03T00:00:01Z has not been paid for 3d
        d50 00:00:02 resolved high sub_1: paid; next due 2024-05-03T00:00:02Z
        ");
}

#[test]
fn one_that_pays_is_quiet() {
    let told = check(
        "silent_lapse",
        "
        +0s   customer.subscription.created sub=sub_1 amt=4900
        +1s   invoice.paid in=in_1 sub=sub_1 total=4900 through=30d
        +30d  customer.subscription.updated sub=sub_1 amt=4900
        +1h   invoice.paid in=in_2 sub=sub_1 total=4900 through=30d
        +30d  wait
    ",
    );
    assert_eq!(told, "");
}

#[test]
fn the_deadline_is_three_days_after_the_period() {
    let timeline = |wait: &str| {
        format!(
            "
        +0s   customer.subscription.created sub=sub_1 amt=4900
        +1s   invoice.paid in=in_1 sub=sub_1 total=4900 through=30d
        +{wait} wait
    "
        )
    };
    assert_eq!(check("silent_lapse", &timeline("32d23h58m")), "");
    assert_eq!(
        check("silent_lapse", &timeline("33d1m"))
            .matches("firing")
            .count(),
        1
    );
}

#[test]
fn nothing_is_due_of_these() {
    for harmless in [
        "status=trialing trial=90d",
        "status=past_due",
        "status=paused",
        "paused",
        "off_bps=10000",
        "amt=0",
        "metered",
        "test_clock",
        "cancels",
        "cancel_at=20d",
        "opaque_discount",
        "days=60",
    ] {
        let told = check(
            "silent_lapse",
            &format!(
                "
            +0s   customer.subscription.updated sub=sub_1 from=-10d to=20d {harmless}
            +40d  wait
        "
            ),
        );
        assert!(!told.contains("firing"), "{harmless}: {told}");
    }
}

#[test]
fn paid_by_hand_and_paid_with_zero_are_paid() {
    let told = check(
        "silent_lapse",
        "
        +0s   customer.subscription.created sub=sub_1
        +1s   invoice.paid in=in_1 sub=sub_1 through=30d out_of_band
        +0s   customer.subscription.created sub=sub_2
        +1s   invoice.paid in=in_2 sub=sub_2 total=0 through=30d
        +32d  wait
    ",
    );
    assert!(!told.contains("firing"), "{told}");
}

#[test]
fn a_stale_update_does_not_overwrite_newer_truth() {
    let told = check(
        "silent_lapse",
        "
        +0s   customer.subscription.updated sub=sub_1 from=-1h to=30d
        +1s   invoice.paid sub=sub_1 through=30d
        +5d   customer.subscription.deleted sub=sub_1
        +1m   customer.subscription.updated sub=sub_1 from=-5d to=25d late=1h
        +60d  wait
    ",
    );
    assert!(!told.contains("firing"), "{told}");
}

#[test]
fn a_paid_proration_extends_no_service() {
    let told = check(
        "silent_lapse",
        "
        +0s   customer.subscription.created sub=sub_1
        +1s   invoice.paid in=in_1 sub=sub_1 through=30d
        +30d  customer.subscription.updated sub=sub_1
        +1d   invoice.paid in=in_2 sub=sub_1 total=300 reason=update proration
        +3d   wait
    ",
    );
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

#[test]
fn a_first_part_of_a_period_is_paid_by_a_line_that_is_a_proration() {
    let told = |reason: &str| {
        let timeline = format!(
            "
        +0s   customer.subscription.created sub=sub_1 to=12d
        +1s   invoice.paid in=in_1 sub=sub_1 total=300 reason={reason} proration through=12d
        +19d  wait
    "
        );
        let told = check("silent_lapse", &timeline);
        told.split(" firing").next().unwrap_or_default().to_owned()
    };
    assert_eq!(told("create"), "d15 00:01:00");
    assert_eq!(told("update"), "d3 00:00:00");
}

#[test]
fn a_silence_of_the_whole_stream_is_one_incident_not_one_a_subscription() {
    let mut timeline = String::from("+0s customer.created x4000/5m\n");
    for n in 0..20 {
        timeline += &format!("+1m customer.subscription.updated sub=sub_{n} from=-1h to=2d\n");
        timeline += &format!("+1s invoice.paid sub=sub_{n} through=2d\n");
    }
    timeline += "+8d wait\n";
    let told = check("silent_lapse", &timeline);
    assert!(!told.contains("firing"), "{told}");
    assert_eq!(told.matches("quiet events_missing").count(), 1, "{told}");
    // The backlog comes, and in it two of them pay: the others are judged once it had its time.
    let mut backlog: String = (0..1_000)
        .map(|n| format!("+1s customer.created late={}m\n", 11_500 - n * 11))
        .collect();
    backlog += "+1m invoice.paid in=in_a sub=sub_0 through=30d late=5d\n\
         +1m invoice.paid in=in_b sub=sub_1 through=30d late=5d\n\
         +1m customer.created x40/5m\n";
    let told = check("silent_lapse", &format!("{timeline}{backlog}"));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert!(told.contains(": 18 subscriptions"), "{told}");
    // No backlog comes: what was paid meanwhile is not known, and nobody is blamed for it, neither
    // while Stripe delivers again nor afterwards.
    for (rest, times) in [("x100/5m", 1), ("x1000/5m", 2)] {
        let told = check(
            "silent_lapse",
            &format!("{timeline}+1m customer.created {rest}\n"),
        );
        assert!(!told.contains("firing"), "{told}");
        assert_eq!(
            told.matches("quiet events_missing sub_").count(),
            20 * times,
            "{told}"
        );
    }
}

/// Thirty-one periods turn on the eleventh day and after, an hour apart, and are paid an hour later;
/// all but the last, which is not paid at all. Then `rest`. Events come every five minutes.
fn the_last_of_many(rest: &str) -> String {
    let lively = "invoice.upcoming x11/5m\n";
    let mut timeline = String::new();
    for n in 0..31 {
        timeline += &format!(
            "+5m customer.subscription.created sub=sub_{n} to=10d\n\
             +1s invoice.paid in=in_{n} sub=sub_{n} through=10d\n\
             +299s {lively}"
        );
    }
    timeline += "+5m invoice.upcoming x2509/5m\n";
    for n in 0..31 {
        timeline += &format!("+5m customer.subscription.updated sub=sub_{n} to=30d\n");
        if n > 0 {
            let paid = n - 1;
            timeline += &format!("+0s invoice.paid in=in_r{paid} sub=sub_{paid} through=29d\n");
        }
        if n < 30 {
            timeline += &format!("+5m {lively}");
        }
    }
    check("silent_lapse", &(timeline + rest))
}

/// When the first alert fired.
fn fired_at(told: &str) -> Option<&str> {
    let mut lines = told.lines().filter(|line| line.contains("firing"));
    lines
        .next()
        .and_then(|line| line.get(..line.find(" firing")?))
}

#[test]
fn an_outage_when_it_could_not_have_paid_postpones_the_verdict() {
    // Its period turns on day 11 at 06:05.
    let usual = the_last_of_many("+5m invoice.upcoming x2000/5m");
    assert_eq!(fired_at(&usual), Some("d14 06:06:00"), "{usual}");
    // Six hours without events, in the night of the day. They never come, and here nobody pays so
    // late: the grace stood still for as long.
    let lost = the_last_of_many("+5m invoice.upcoming x180/5m\n+6h invoice.upcoming x2000/5m");
    assert_eq!(fired_at(&lost), Some("d14 12:06:00"), "{lost}");
    assert_eq!(lost.matches("quiet events_missing sub_30").count(), 1);
    // They come: the grace stood still meanwhile.
    let backlog: String = (0..70)
        .map(|n| format!("+1s invoice.upcoming late={}m\n", 350 - 5 * n))
        .collect();
    let late = the_last_of_many(&format!(
        "+5m invoice.upcoming x180/5m\n+6h invoice.upcoming\n{backlog}+5m invoice.upcoming x2000/5m"
    ));
    assert_eq!(fired_at(&late), Some("d14 12:06:00"), "{late}");
}

#[test]
fn an_outage_when_it_may_have_paid_leaves_it_to_the_next_turn() {
    let told = the_last_of_many("+5m invoice.upcoming x2/5m\n+6h invoice.upcoming x5000/5m");
    assert_eq!(fired_at(&told), None, "{told}");
    assert!(told.contains("may have been paid unseen"), "{told}");
    let told = the_last_of_many("+5m invoice.upcoming x2/5m\n+6h invoice.upcoming x9600/5m");
    assert!(fired_at(&told).is_some(), "{told}");
}

/// Subscriptions that paid once, each some minutes after the one before, for 30 days.
fn renewals(count: u32, minutes: u32) -> String {
    (0..count)
        .map(|n| {
            format!(
                "+{minutes}m customer.subscription.created sub=sub_{n} cus=cus_{n} amt=1000\n\
                 +1s invoice.paid sub=sub_{n} total=1000 through=30d\n"
            )
        })
        .collect()
}

#[test]
fn many_at_once_are_one_alert_that_grows_and_ends() {
    let mut timeline = renewals(12, 1) + "+34d wait\n";
    for n in 0..12 {
        timeline += &format!("+1s invoice.paid in=in_late{n} sub=sub_{n} total=1000 through=30d\n");
    }
    assert_snapshot!(check("silent_lapse", &timeline), @"
        d33 00:02:00 firing high sub_0: sub_0 is active, yet 10.00 USD due 2024-04-03T00:01:01Z has not been paid for 3d
        d33 00:12:00 escalated critical sub_0: 11 subscriptions go on, yet 110.00 USD due from 2024-04-03T00:01:01Z to 2024-04-03T00:11:11Z has not been paid; newest: sub_1, sub_2, sub_3, sub_4, sub_5 and 5 more
        d34 00:12:00 escalated critical sub_0: 12 subscriptions go on, yet 120.00 USD due from 2024-04-03T00:01:01Z to 2024-04-03T00:12:12Z has not been paid; newest: sub_11
        d34 00:12:24 resolved critical sub_0: none of 12 is unpaid any more; the last: paid; next due 2024-05-07T00:12:24Z
        ");
}

/// Of a crowd people hear when it has doubled, and once a day; of a handful within the hour.
#[test]
fn growth_is_told_at_doublings_and_once_a_day() {
    let grown = |renewals: &str| {
        let told = check("silent_lapse", &format!("{renewals}+36d wait\n"));
        assert_eq!(told.matches("firing").count(), 1, "{told}");
        let grown = told.lines().filter(|line| line.contains("escalated"));
        let count_of = |line: &str| line.split(' ').nth(5).map(str::to_owned);
        grown.filter_map(count_of).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(grown(&hours_apart(3, 1)), "2 3");
    assert_eq!(grown(&renewals(40, 17)), "2 4 8 16 32 40");
}

/// Subscriptions that paid once, hours apart.
fn hours_apart(count: usize, hours: usize) -> String {
    let renewal = |n| {
        format!(
            "+{hours}h customer.subscription.created sub=sub_{n}\n\
             +1s invoice.paid in=in_{n} sub=sub_{n} total=1000 through=30d\n"
        )
    };
    (0..count).map(renewal).collect()
}

#[test]
fn two_of_a_day_are_told_one_by_one_and_further_ones_with_the_second() {
    let told = check("silent_lapse", &(hours_apart(2, 5) + "+34d wait\n"));
    assert_eq!(told.matches("firing").count(), 2, "{told}");
    assert!(!told.contains("subscriptions go on"), "{told}");
    let told = check("silent_lapse", &(hours_apart(6, 5) + "+35d wait\n"));
    assert_eq!(told.matches("firing").count(), 2, "{told}");
    assert!(told.contains("5 subscriptions go on"), "{told}");
}

#[test]
fn lapses_days_apart_are_two_incidents() {
    let told = check(
        "silent_lapse",
        "
        +0s  customer.subscription.created sub=sub_1
        +1s  invoice.paid sub=sub_1 through=30d
        +2d  customer.subscription.created sub=sub_2
        +1s  invoice.paid sub=sub_2 through=30d
        +40d wait
    ",
    );
    assert_eq!(told.matches("firing").count(), 2, "{told}");
}

#[test]
fn several_unpaid_periods_of_one_are_one_alert() {
    let told = check(
        "silent_lapse",
        "
        +0s  customer.subscription.created sub=sub_1
        +1s  invoice.paid sub=sub_1 through=30d
        +30d customer.subscription.updated sub=sub_1
        +30d customer.subscription.updated sub=sub_1
        +30d customer.subscription.updated sub=sub_1
        +30d wait
    ",
    );
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert_eq!(told.matches("escalated").count(), 0, "{told}");
}

#[test]
fn a_bank_debit_under_way_is_not_silent() {
    let begun = "
        +0s   customer.subscription.created sub=sub_1 cus=cus_1
        +1s   invoice.paid sub=sub_1 through=30d
        +30d  customer.subscription.updated sub=sub_1 cus=cus_1
        +1h   charge.pending ch=ch_1 cus=cus_1
    ";
    let paid = "
        +6d   charge.succeeded ch=ch_1 cus=cus_1
        +2h   invoice.paid sub=sub_1 through=24d
        +9d   wait
    ";
    let told = check("silent_lapse", &format!("{begun}{paid}"));
    assert!(!told.contains("firing"), "{told}");
    assert!(told.contains("quiet payment_pending sub_1"), "{told}");
    // Three weeks are too long for any debit.
    let told = check("silent_lapse", &format!("{begun}+22d wait\n"));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

#[test]
fn a_debit_that_failed_without_a_word_is_a_lapse() {
    let told = check(
        "silent_lapse",
        "
        +0s   customer.subscription.created sub=sub_1 cus=cus_1
        +1s   invoice.paid sub=sub_1 through=30d
        +30d  customer.subscription.updated sub=sub_1 cus=cus_1
        +1h   charge.pending ch=ch_1 cus=cus_1
        +6d   charge.failed ch=ch_1 cus=cus_1
        +25h  wait
    ",
    );
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

#[test]
fn the_events_of_a_recovery_may_come_in_any_order() {
    let told = check(
        "silent_lapse",
        "
        +0s   customer.subscription.created sub=sub_1
        +1s   invoice.paid sub=sub_1 through=30d
        +30d  customer.subscription.updated sub=sub_1 status=past_due
        +10d  customer.subscription.updated sub=sub_1 from=-10d to=20d
        +2h   invoice.paid sub=sub_1 through=20d
        +19d  wait
    ",
    );
    assert!(!told.contains("firing"), "{told}");
}

#[test]
fn an_attempt_that_failed_is_not_silent() {
    let timeline = |rest: &str| {
        format!(
            "
        +0s   customer.subscription.created sub=sub_1
        +1s   invoice.paid sub=sub_1 through=30d
        +32d  invoice.payment_failed in=in_2 sub=sub_1 through=28d
        +23h  invoice.payment_failed in=in_2 sub=sub_1 through=28d
        +2h   wait
        {rest}
    "
        )
    };
    assert!(!check("silent_lapse", &timeline("")).contains("firing"));
    // A day after the last attempt nothing explains it any more.
    assert!(check("silent_lapse", &timeline("+1d wait")).contains("firing"));
}

#[test]
fn the_shorter_of_two_intervals_has_to_pay_first() {
    let told = check(
        "silent_lapse",
        "
        +0s   customer.subscription.created sub=sub_1 to=30d
        +1s   invoice.paid sub=sub_1 through=30d
        +30d  customer.subscription.updated sub=sub_1 to=30d
        +4d   wait
    ",
    );
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

#[test]
fn from_basil_on_the_payment_comes_by_its_tie() {
    let told = check(
        "silent_lapse",
        "
        +0s   customer.subscription.created sub=sub_1
        +1s   invoice_payment.paid in=in_1 ch=ch_1 paid=2000
        +1s   invoice.finalized in=in_1 sub=sub_1 through=30d
        +32d  wait
    ",
    );
    assert!(!told.contains("firing"), "{told}");
}

#[test]
fn a_subscription_that_starts_active_and_never_pays_is_found() {
    let told = check(
        "silent_lapse",
        "
        +0s      customer.subscription.created sub=sub_1 amt=4900
        +2d23h   wait
        +1h1m    wait
    ",
    );
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

/// Where only invoices are told, a debit on its way shows by what may pay them.
#[test]
fn an_invoice_that_only_a_debit_can_pay_has_ten_days() {
    let told = |by: &str, paid: &str| {
        let timeline = format!(
            "
        +0s   customer.subscription.created sub=sub_1 amt=4900
        +1s   invoice.paid in=in_1 sub=sub_1 total=4900 through=30d
        +30d  customer.subscription.updated sub=sub_1 amt=4900
        +1h   invoice.finalized in=in_2 sub=sub_1 total=4900 {by}
        +6d   {paid}
        +5d   wait
    "
        );
        let told = check("silent_lapse", &timeline);
        told.split(" firing").next().unwrap_or_default().to_owned()
    };
    let paid = "invoice.paid in=in_2 sub=sub_1 total=4900 through=30d";
    assert_eq!(told("by=sepa_debit", paid), "");
    assert_eq!(told("by=sepa_debit", "wait"), "d40 01:01:00");
    assert_eq!(told("by=card", "wait"), "d33 00:01:00");
    assert_eq!(told("", "wait"), "d33 00:01:00");
}

/// Where nothing of an invoice is told before it is paid, the subscription says what may pay it.
#[test]
fn a_debit_that_nothing_announces_has_nine_days() {
    let told = |by: &str, rest: &str| {
        let timeline = format!(
            "
        +0s   customer.subscription.created sub=sub_1 {by}
        +1s   invoice.paid in=in_1 sub=sub_1 through=30d
        +30d  customer.subscription.updated sub=sub_1 {by}
        {rest}
        +6d   wait
    "
        );
        let told = check("silent_lapse", &timeline);
        told.split(" firing").next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        told(
            "by=sepa_debit",
            "+5d invoice.paid in=in_2 sub=sub_1 through=25d"
        ),
        ""
    );
    assert_eq!(told("by=sepa_debit", "+5d wait"), "d39 00:01:00");
    assert_eq!(told("by=card", "+5d wait"), "d33 00:01:00");
    // Elsewhere an invoice is announced, and this one's is not.
    let other = "+1h invoice.finalized in=in_3 sub=sub_2\n+5d wait";
    assert_eq!(told("by=sepa_debit", other), "d33 00:01:00");
}

/// `proration_behavior=none` with an anchor ahead: no invoice, and nothing due, until then.
#[test]
fn a_subscription_that_begins_before_its_anchor_owes_nothing_until_then() {
    let told = |anchor: &str| {
        let timeline = format!(
            "
        +0s   customer.subscription.created sub=sub_1 to=12d {anchor}
        +1m   customer.subscription.updated sub=sub_1 from=-1m to=12d {anchor}
        +19d  wait
    "
        );
        let told = check("silent_lapse", &timeline);
        told.split(" firing").next().unwrap_or_default().to_owned()
    };
    assert_eq!(told("anchor=12d"), "d15 00:01:00");
    assert_eq!(told("anchor=0s"), "d3 00:00:00");
    assert_eq!(told(""), "d3 00:00:00");
}

/// Subscriptions whose first attempts fail, and what comes of the next, promised three days later.
pub(super) fn retries(kept: usize, then: &str) -> String {
    let mut timeline = String::new();
    for n in 0..kept {
        timeline += &format!(
            "
            +1m invoice.payment_failed in=in_{n} sub=sub_{n} cus=cus_{n} tries=1 next=3d
            +1s customer.subscription.updated sub=sub_{n} cus=cus_{n} status=past_due
            +3d invoice.payment_failed in=in_{n} sub=sub_{n} cus=cus_{n} tries=2
            "
        );
    }
    timeline
        + "
        +1h invoice.payment_failed in=in_x sub=sub_x cus=cus_x tries=1 next=3d
        +0s invoice.finalized in=in_x sub=sub_x cus=cus_x tries=0
        +1s customer.subscription.updated sub=sub_x cus=cus_x status=past_due
        "
        + then
}

#[test]
fn a_promised_attempt_that_never_comes_is_told() {
    assert_snapshot!(check("silent_lapse", &retries(3, "
        +7d wait
        +1h invoice.paid in=in_x sub=sub_x cus=cus_x
        +1s customer.subscription.updated sub=sub_x cus=cus_x status=active
    ")), @"
        d15 01:04:00 firing medium sub_x: sub_x is past due, and the attempt that was to come 2024-03-16T01:03:03Z has not come for 3d
        d16 02:03:04 resolved medium sub_x: no attempt is to come any more
        ");
}

#[test]
fn attempts_that_come_are_put_off_or_that_nobody_promised_are_quiet() {
    let quiet = [
        // It comes.
        "+3d invoice.payment_failed in=in_x sub=sub_x cus=cus_x tries=2\n+9d wait\n",
        // It is put off, and comes.
        "+1d invoice.updated in=in_x sub=sub_x cus=cus_x tries=1 next=6d\n+8d wait\n\
         +1h invoice.updated in=in_x sub=sub_x cus=cus_x tries=2\n+9d wait\n",
        // It is given up.
        "+1d invoice.updated in=in_x sub=sub_x cus=cus_x tries=1\n+9d wait\n",
        // The customer pays, or goes.
        "+1d invoice.paid in=in_x sub=sub_x cus=cus_x\n+9d wait\n",
        "+1d customer.subscription.deleted sub=sub_x cus=cus_x\n+9d wait\n",
    ];
    for then in quiet {
        assert_eq!(check("silent_lapse", &retries(3, then)), "", "{then}");
    }
    // Nothing is known of what promises are worth here.
    assert_snapshot!(check("silent_lapse", &retries(2, "+9d wait\n")), @"d12 01:03:00 quiet retry_missing sub_x: no attempt came 2024-03-13T01:02:02Z, and here that says little");
}
