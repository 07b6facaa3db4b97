//! Payments that are foretold by the turn of their period alone: subscriptions by the year, first heard of then.

use insta::assert_snapshot;

use crate::testing::{check, in_order};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// What comes of a subscription that turns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It is invoiced and paid an hour later.
    Paid,
    /// Its invoice is told as paid before the turn is.
    PaidBefore,
    /// Its invoice is told before the turn is, and paid days later.
    AskedBefore,
    /// Nothing comes.
    Lost,
}

/// Fourteen days, on each of which 24 subscriptions of a year ago turn, one each hour.
fn told(turn_of: impl Fn(i64, i64) -> Turn) -> String {
    let mut lines = Vec::new();
    for day in 0..14 {
        for n in 0..24 {
            let (id, at) = (format!("{day}_{n}"), day * DAY + n * HOUR);
            let turn = turn_of(day, n);
            let before = i64::from(matches!(turn, Turn::PaidBefore | Turn::AskedBefore));
            lines.push((at + before * 60, format!(
                "customer.subscription.updated sub=sub_{id} cus=cus_{id} amt=1500 born=-365d from=-{}s to=365d latest=in_{id}",
                before * 60,
            )));
            let invoice = format!("sub=sub_{id} in=in_{id} total=1500 through=365d");
            let paid = |at| {
                let charge = format!("charge.succeeded ch=ch_{id} cus=cus_{id} amt=1500");
                [(at, charge), (at, format!("invoice.paid {invoice}"))]
            };
            match turn {
                Turn::Paid => lines.extend(paid(at + HOUR)),
                Turn::PaidBefore => lines.extend(paid(at)),
                Turn::AskedBefore => lines.push((at, format!("invoice.finalized {invoice}"))),
                Turn::Lost => {}
            }
        }
    }
    check("revenue_drop", &in_order(lines))
}

#[test]
fn turns_that_are_paid_are_no_loss_in_whatever_order_they_are_told() {
    assert_eq!(told(|_, _| Turn::Paid), "");
    let from_the_tenth = |turn| {
        told(|day, _| match day {
            0..10 => Turn::Paid,
            _ => turn,
        })
    };
    assert_eq!(from_the_tenth(Turn::PaidBefore), "");
    let asked = from_the_tenth(Turn::AskedBefore);
    assert!(
        asked.contains("quiet dunning") && !asked.contains("firing"),
        "{asked}"
    );
    // One in twenty-four nobody asks for.
    assert_eq!(
        told(|_, n| if n == 7 { Turn::Lost } else { Turn::Paid }),
        ""
    );
}

#[test]
fn a_day_of_turns_that_nobody_invoices_is_told_on_that_day() {
    let told = told(|day, n| {
        if day == 10 && n % 4 != 0 {
            Turn::Lost
        } else {
            Turn::Paid
        }
    });
    assert!(told.starts_with("d10 "), "{told}");
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert!(told.contains("not even invoiced"), "{told}");
}

#[test]
fn turns_say_nothing_where_payments_are_not_told() {
    assert_eq!(told(|_, _| Turn::Lost), "");
}

/// Sixty days of sales; forty subscriptions renew on the tenth and the fortieth, one every half hour, and what comes of each is
/// told.
fn monthly(turn_of: impl Fn(i64, i64) -> Turn) -> String {
    let mut lines = Vec::new();
    for half in 0..60 * 48 {
        let at = half * HOUR / 2 + 60;
        lines.push((at, "charge.succeeded amt=1000".to_owned()));
    }
    for n in 0..40 {
        let due = |month: i64| (10 + 30 * month) * DAY + n * HOUR / 2;
        let sub = format!("customer.subscription.updated sub=sub_{n} cus=cus_{n} amt=9900");
        lines.push((60 + n, format!("{sub} from=-20d to={}s", due(0) - 60 - n)));
        for month in 0..2 {
            lines.push((due(month), format!("{sub} from=0s to=30d")));
            if turn_of(month, n) == Turn::Paid {
                let at = due(month) + HOUR;
                let charge = format!("charge.succeeded ch=ch_{month}_{n} cus=cus_{n} amt=9900");
                lines.push((at, charge));
                lines.push((
                    at,
                    format!("invoice.paid sub=sub_{n} in=in_{month}_{n} total=9900 through=30d"),
                ));
            }
        }
    }
    check("revenue_drop", &in_order(lines))
}

#[test]
fn a_loss_of_one_months_renewals_is_over_when_no_more_are_due_and_the_next_months_is_another() {
    let lost = monthly(|month, n| {
        if n % 2 == month {
            Turn::Lost
        } else {
            Turn::Paid
        }
    });
    assert_snapshot!(lost, @"
    d10 06:02:00 firing high usd: 72 hours brought 396.00 USD, 49.4 % less than the 784.08 USD that subscriptions and usual sales foretold: 4 of 8 renewals paid, 4 not even invoiced; 0 other payments where 0 are usual
    d14 01:02:00 resolved high usd: nothing was to be expected in the last 72 hours; what was missing may still be
    d40 06:02:00 firing medium usd: 72 hours brought 1,440.00 USD, 16.9 % less than the 1,734.03 USD that subscriptions and usual sales foretold: 0 of 3 renewals paid, 3 not even invoiced; 144 other payments where 144 are usual
    d40 10:02:00 escalated high usd: 72 hours brought 1,440.00 USD, 32.2 % less than the 2,126.07 USD that subscriptions and usual sales foretold: 0 of 7 renewals paid, 7 not even invoiced; 144 other payments where 144 are usual
    d40 18:02:00 escalated critical usd: 72 hours brought 1,440.00 USD, 50.5 % less than the 2,910.15 USD that subscriptions and usual sales foretold: 0 of 15 renewals paid, 15 not even invoiced; 144 other payments where 144 are usual
    d44 02:02:00 resolved critical usd: hardly anything is due any more, and the last 72 hours brought 1,440.00 USD of 1,440.00 USD expected; what was missing may still be
    ");
    let paid = monthly(|_, _| Turn::Paid);
    assert_eq!(paid, "");
}
