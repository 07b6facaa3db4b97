//! Metered subscriptions that renew together.

use crate::testing::{check, in_order};

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// Five weeks of 120 subscriptions that are billed by use each week; `used` says what one of them uses in which week, of its usual
/// amount in hundredths. Cards are paid with meanwhile.
fn told(used: impl Fn(i64, i64) -> i64) -> String {
    let mut lines: Vec<(i64, String)> = Vec::new();
    for n in 0..5 * 7 * 24 {
        lines.push((n * HOUR, "charge.failed amt=100".to_owned()));
    }
    for sub in 0..120 {
        let made = format!("customer.subscription.updated sub=sub_{sub} cus=cus_{sub} metered");
        lines.push((sub, format!("{made} from=-1d to=6d")));
        for week in 0..5 {
            let at = 6 * DAY + week * 7 * DAY + sub;
            // The first is large, and brings a fifth of all.
            let usual = if sub == 0 {
                60_000
            } else {
                1_000 + 700 * (sub * 7 % 11) / 11 * 2
            };
            // By a pattern of no meaning: each differs a little from week to week.
            let amount = usual * (95 + (sub * 3 + week * 5) % 11) / 100 * used(sub, week) / 100;
            let invoice = format!(
                "sub=sub_{sub} in=in_{sub}_{week} reason=cycle total={amount} subtotal={amount}"
            );
            lines.push((at, format!("{made} from=0s to=7d")));
            lines.push((
                at + HOUR,
                format!("invoice.finalized {invoice} from=-7d through=0s"),
            ));
            if amount > 0 {
                let charge =
                    format!("charge.succeeded ch=ch_{sub}_{week} cus=cus_{sub} amt={amount}");
                lines.push((at + HOUR + 1, charge));
            }
            lines.push((
                at + HOUR + 2,
                format!("invoice.paid {invoice} from=-7d through=0s"),
            ));
        }
    }
    check("revenue_drop", &in_order(lines))
}

#[test]
fn a_meter_that_sends_nothing_is_told_within_hours() {
    let told = told(|_, week| if week == 4 { 0 } else { 100 });
    assert!(told.starts_with("d34 "), "{told}");
    let what = "120 invoices of metered subscriptions ask for 0.00 USD, where ";
    assert!(told.contains(what), "{told}");
}

#[test]
fn one_that_loses_most_of_its_use_is_told() {
    let told = told(|sub, week| if week == 4 && sub % 8 != 0 { 0 } else { 100 });
    assert!(told.contains("firing"), "{told}");
}

#[test]
fn half_of_the_meters_that_send_nothing_are_told_and_a_milder_season_is_not() {
    let half = |sub: i64, week: i64| if week == 2 && sub % 2 == 0 { 5 } else { 100 };
    let told_of_half = told(half);
    assert!(told_of_half.contains("firing"), "{told_of_half}");
    // All of them use as much less.
    assert_eq!(told(|_, week| if week >= 2 { 55 } else { 100 }), "");
    // Here half of them hardly use anything every other week.
    let on_and_off = |sub: i64, week: i64| if (sub + week) % 2 == 0 { 5 } else { 100 };
    assert_eq!(told(on_and_off), "");
}

#[test]
fn a_customer_who_uses_nothing_is_no_incident_and_a_slack_week_is_none() {
    assert_eq!(told(|_, _| 100), "");
    assert_eq!(
        told(|sub, week| if week == 4 && sub == 0 { 0 } else { 100 }),
        ""
    );
    assert_eq!(told(|_, week| if week == 4 { 75 } else { 100 }), "");
    // Whoever began with much is no yardstick for what follows.
    assert_eq!(told(|_, week| if week == 0 { 300 } else { 100 }), "");
    // Nothing is known yet.
    assert_eq!(told(|_, week| if week == 1 { 0 } else { 100 }), "");
}
