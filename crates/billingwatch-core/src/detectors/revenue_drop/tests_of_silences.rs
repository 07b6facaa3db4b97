//! Silences of the endpoint, and renewals that nobody asks for.

use std::ops::Range;

use crate::testing::{check, in_order};

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// The day of the billing run.
const RUN: i64 = 20 * DAY;

/// Something arrives every minute. From nine to eleven 120 subscriptions turn, and are invoiced and paid an hour later, but
/// for those that are not. Nothing of a silence ever arrives.
fn told(is_invoiced: impl Fn(i64) -> bool, silence: Range<i64>) -> String {
    let mut lines: Vec<(i64, String)> = Vec::new();
    for n in 0..(RUN + 2 * DAY) / 60 {
        lines.push((
            n * 60,
            "charge.failed amt=100 code=card_declined".to_owned(),
        ));
    }
    for n in 0..120 {
        let due = RUN + 9 * HOUR + n * 60;
        let seen = 60 + n;
        lines.push((
            seen,
            format!(
                "customer.subscription.updated sub=sub_{n} cus=cus_{n} amt=4900 from=-{}s to={}s",
                31 * DAY - due,
                due - seen
            ),
        ));
        if is_invoiced(n) {
            let paid = format!("invoice.paid sub=sub_{n} in=in_{n} total=4900 through=31d");
            lines.push((due + HOUR, paid));
        }
    }
    lines.retain(|(at, _)| !silence.contains(at));
    check("revenue_drop", &in_order(lines))
}

#[test]
fn a_short_silence_does_not_hide_a_run_that_was_not_invoiced() {
    // The invoices of those that turned from nine to half past ten were to come before it.
    let silence = RUN + 11 * HOUR + 50 * 60..RUN + 12 * HOUR + 10 * 60;
    let told = told(|n| n % 10 < 3, silence);
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert!(told.contains("d20 "), "{told}");
}

#[test]
fn nor_does_one_that_was_over_before_most_of_it_turned() {
    let silence = RUN + 8 * HOUR + 40 * 60..RUN + 9 * HOUR;
    let told = told(|n| n % 10 < 3, silence);
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert!(told.contains("d20 "), "{told}");
}

#[test]
fn invoices_that_were_to_come_in_a_silence_are_not_missed() {
    // All are invoiced, an hour after they turned.
    let silence = RUN + 10 * HOUR + 20 * 60..RUN + 11 * HOUR + 20 * 60;
    let told = told(|_| true, silence);
    assert!(!told.contains(" firing "), "{told}");
    assert!(told.contains("quiet events_missing"), "{told}");
}

#[test]
fn what_a_long_silence_may_hold_is_not_missed() {
    let told = told(|n| n < 10, RUN + 9 * HOUR..RUN + 16 * HOUR);
    assert!(!told.contains(" firing "), "{told}");
}
