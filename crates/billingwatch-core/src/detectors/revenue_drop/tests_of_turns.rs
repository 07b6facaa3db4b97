//! Payments that are foretold by the turn of their period alone: subscriptions by the year, first heard of then.

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
