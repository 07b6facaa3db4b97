//! Subscriptions that renew each day.

use crate::testing::{check, in_order};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// 48 subscriptions of 1.50 a day for ten days, two renewing each hour. On the eighth day only one of `kept` is invoiced.
fn told(kept: i64) -> String {
    let mut lines = Vec::new();
    for n in 0..48 {
        let turn = n * HOUR / 2;
        let sub =
            format!("customer.subscription.updated sub=sub_{n} cus=cus_{n} amt=150 from=0s to=1d");
        for day in 0..10 {
            let at = day * DAY + turn;
            lines.push((at, sub.clone()));
            if day != 8 || n % kept == 0 {
                let paid = format!("charge.succeeded ch=ch_{n}_{day} cus=cus_{n} amt=150");
                lines.push((at + HOUR, paid));
                let invoice =
                    format!("invoice.paid sub=sub_{n} in=in_{n}_{day} total=150 through=23h");
                lines.push((at + HOUR, invoice));
            }
        }
    }
    check("revenue_drop", &in_order(lines))
}

#[test]
fn days_on_which_all_pay_are_no_loss() {
    assert_eq!(told(1), "");
}

#[test]
fn a_day_on_which_half_are_not_invoiced_is_told_on_that_day() {
    let told = told(2);
    assert!(told.starts_with("d8 "), "{told}");
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert!(told.contains("resolved"), "{told}");
}
