//! Timelines of payers who fail again days later, and of intents that fail before any charge.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use insta::assert_snapshot;

use crate::testing::check;

const NAME: &str = "charge_failure_spike";

/// What fired, escalated and ended.
fn told(timeline: &str) -> String {
    let told = check(NAME, timeline);
    let loud = told.lines().filter(|line| !line.contains(" quiet "));
    loud.map(|line| format!("{line}\n")).collect()
}

/// Ten days with an attempt an hour, of which one in twelve fails.
fn ordinary_days() -> String {
    "+1h charge.succeeded x11/1h\n+1h charge.failed card=new code=insufficient_funds\n".repeat(20)
}

/// Five payers that are declined over a day, and charged again at its end.
fn decliners(again: &str, purchase: &str) -> String {
    let mut story = ordinary_days();
    for payer in 0..5 {
        let _ = writeln!(
            story,
            "+3h charge.failed cus=cus_d{payer} card=d{payer} code=insufficient_funds\n\
             +1m charge.succeeded x6/10m"
        );
    }
    for payer in 0..5 {
        let wait = if payer == 0 { again } else { "1m" };
        let _ = writeln!(
            story,
            "+{wait} charge.failed cus=cus_{purchase}{payer} card={purchase}{payer} \
             pi=pi_again{payer} code=insufficient_funds"
        );
    }
    story
}

#[test]
fn charging_the_decliners_of_yesterday_again_is_no_spike() {
    assert_snapshot!(check(NAME, &decliners("10h", "d")).lines().filter(|line| {
        line.contains("retry_of_known") || !line.contains("quiet")
    }).collect::<Vec<_>>().join("\n"), @"
        d11 05:15:00 quiet retry_of_known_failure ch_276: a payer whose attempt failed in the last days, and that has not paid since
        d11 05:16:00 quiet retry_of_known_failure ch_277: a payer whose attempt failed in the last days, and that has not paid since
        d11 05:17:00 quiet retry_of_known_failure ch_278: a payer whose attempt failed in the last days, and that has not paid since
        d11 05:18:00 quiet retry_of_known_failure ch_279: a payer whose attempt failed in the last days, and that has not paid since
        d11 05:19:00 quiet retry_of_known_failure ch_280: a payer whose attempt failed in the last days, and that has not paid since
        ");
}

#[test]
fn others_who_fail_at_once_are_a_spike_and_so_are_decliners_after_days() {
    assert_eq!(told(&decliners("10h", "e")).matches(" firing ").count(), 1);
    assert_eq!(told(&decliners("4d", "d")).matches(" firing ").count(), 1);
}

#[test]
fn machines_that_fail_count_whoever_they_hit() {
    let story = decliners("10h", "d");
    let (before, again) = story.rsplit_once("+10h").unwrap();
    let again = again.replace("insufficient_funds", "processing_error");
    let outage = format!("{before}+10h{again}");
    assert_eq!(told(&outage).matches(" firing ").count(), 1);
}

#[test]
fn an_open_alert_does_not_close_because_the_same_payers_try_again() {
    let outage = format!(
        "{}+1h charge.failed cus=cus_a code=do_not_honor\n\
         +10m charge.failed cus=cus_b code=do_not_honor\n\
         +10m charge.failed cus=cus_c code=do_not_honor\n\
         +10m charge.failed cus=cus_e code=do_not_honor\n\
         +10m charge.failed cus=cus_f code=do_not_honor\n",
        ordinary_days()
    );
    assert_eq!(told(&outage).matches(" firing ").count(), 1);
    // One in three attempts fails for hours: those of payers who failed at its begin.
    let again = "+2h30m charge.failed cus=cus_a code=do_not_honor\n\
                 +1m charge.succeeded\n+1m charge.succeeded\n\
                 +1m charge.failed cus=cus_b code=do_not_honor\n\
                 +1m charge.succeeded\n+1m charge.succeeded\n\
                 +1m charge.failed cus=cus_c code=do_not_honor\n\
                 +1m charge.succeeded\n+1m charge.succeeded\n"
        .repeat(4);
    assert!(!told(&format!("{outage}{again}")).contains("resolved"));
}

#[test]
fn payers_that_fail_before_any_charge_is_made_are_attempts() {
    let outage = format!(
        "{}+5m payment_intent.payment_failed uncharged guest \
         code=payment_intent_authentication_failure x12/3m",
        ordinary_days()
    );
    assert_snapshot!(told(&outage), @"
        d10 00:14:00 firing high all: 5 of 5 payment attempts failed within 20m (100 %), where 8.3 % is usual; 100.00 USD did not come in. It looks like an outage of 3-D Secure: 4 of 5 failed to authenticate, before any charge was made
        d10 00:30:00 escalated critical all: 10 of 10 payment attempts failed within 30m (100 %), where 8.3 % is usual; 200.00 USD did not come in. It looks like an outage of 3-D Secure: 9 of 10 failed to authenticate, before any charge was made
        ");
}

#[test]
fn one_intent_counts_once_with_its_charge_or_without() {
    let mut both = ordinary_days();
    for payer in 0..3 {
        let _ = writeln!(
            both,
            "+5m payment_intent.payment_failed uncharged cus=cus_{payer} pi=pi_a{payer} \
             code=payment_intent_authentication_failure\n\
             +1s charge.failed cus=cus_{payer} pi=pi_a{payer} code=card_declined\n\
             +1s payment_intent.payment_failed pi=pi_a{payer} cus=cus_{payer}\n\
             +1s payment_intent.payment_failed uncharged cus=cus_{payer} pi=pi_a{payer}"
        );
    }
    assert_eq!(told(&both), "");
}

#[test]
fn a_shop_whose_buyers_often_leave_at_the_bank_learns_it() {
    let day = "+1h payment_intent.payment_failed uncharged guest \
               code=payment_intent_authentication_failure x3/20m\n\
               +20m charge.succeeded x9/20m\n";
    assert!(told(&day.repeat(60)).matches(" firing ").count() <= 1);
    assert_eq!(
        told(&format!(
            "{}+1h wait",
            "+20m charge.succeeded x9/20m\n\
        +1h payment_intent.payment_failed uncharged guest code=x\n"
                .repeat(60)
        )),
        ""
    );
}

#[test]
fn test_mode_is_judged_only_where_that_is_wanted() {
    let told = |word: &str, set: &str| {
        let declined = format!("+0s charge.failed card=new{word} x40/1m\n");
        check("charge_failure_spike", &format!("{set}{declined}"))
    };
    assert!(told("", "").contains("firing"));
    let left_out = told(" test", "");
    assert!(left_out.contains("quiet test_mode") && !left_out.contains("firing"));
    assert!(told(" test", "+0s set charge_failure_spike.test_mode=true\n").contains("firing"));
}
