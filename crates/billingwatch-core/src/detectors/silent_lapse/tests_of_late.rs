//! Subscriptions that pay days after their turn as a matter of course, where invoices alone tell of it.

use std::fmt::Write as _;

use crate::testing::check;

/// A subscription that turns each week and is paid so many hours later each time; 30 others pay at once.
fn told(hours: &[i64]) -> String {
    let mut timeline = String::new();
    for (week, hours) in hours.iter().enumerate() {
        let event = if week == 0 { "created" } else { "updated" };
        let _ = writeln!(
            timeline,
            "+0s customer.subscription.{event} sub=sub_1 amt=1000 to=7d"
        );
        let _ = writeln!(
            timeline,
            "+1h invoice.finalized in=in_{week} sub=sub_1 total=1000 through=7d"
        );
        let rest = 7 * 24 - 1 - hours;
        let _ = writeln!(
            timeline,
            "+{hours}h invoice.paid in=in_{week} sub=sub_1 total=1000 from=-{}h through={rest}h",
            hours + 1
        );
        let _ = writeln!(timeline, "+{rest}h wait");
    }
    check("silent_lapse", &timeline)
}

#[test]
fn a_debit_that_nobody_announces_is_told_once() {
    let told = told(&[0, 120, 124, 118, 110, 126]);
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

#[test]
fn beyond_what_it_takes_it_is_told_again() {
    let told = told(&[0, 80, 80, 160, 80]);
    assert_eq!(told.matches("firing").count(), 2, "{told}");
}
