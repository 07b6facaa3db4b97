//! Endpoints that are sent subscriptions and charges, or payment intents, and no invoice.

use std::fmt::Write as _;

use crate::testing::check;
use insta::assert_snapshot;

/// What is told of a subscription's renewal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Renewal {
    Paid,
    PaidLate,
    TurnedUnpaid,
    Untold,
}

/// Eight monthly subscriptions over some months; `renewal` says what becomes of each, by number and month. `by` is the event of a
/// payment.
fn months(count: usize, by: &str, renewal: impl Fn(usize, usize) -> Renewal) -> String {
    months_of(count, by, "", renewal)
}

fn months_of(
    count: usize,
    by: &str,
    with: &str,
    renewal: impl Fn(usize, usize) -> Renewal,
) -> String {
    let mut timeline = String::new();
    for month in 0..count {
        let event = if month == 0 { "created" } else { "updated" };
        for n in 0..8 {
            let renewal = renewal(n, month);
            let turn =
                format!("customer.subscription.{event} sub=sub_{n} cus=cus_{n} amt=1000 {with}");
            let turn = if renewal == Renewal::Untold {
                "wait".to_owned()
            } else {
                turn
            };
            // Taxes come on top of the price.
            let paid = format!("{by} cus=cus_{n} ch=ch_{month}_{n} pi=pi_{month}_{n} amt=1080");
            let paid = if renewal == Renewal::Paid {
                paid
            } else {
                "wait".to_owned()
            };
            let _ = writeln!(timeline, "+5s {turn}\n+1h {paid}");
        }
        timeline += "+5d wait\n";
        for n in 0..8 {
            let paid = format!("{by} cus=cus_{n} ch=ch_{month}_{n} pi=pi_{month}_{n} amt=1080");
            let paid = if renewal(n, month) == Renewal::PaidLate {
                paid
            } else {
                "wait".to_owned()
            };
            let _ = writeln!(timeline, "+1m {paid}");
        }
        timeline += "+2127080s wait\n";
    }
    timeline
}

#[test]
fn who_pays_by_charges_or_intents_pays() {
    for by in ["charge.succeeded", "payment_intent.succeeded"] {
        let told = check("silent_lapse", &months(4, by, |_, _| Renewal::Paid));
        assert_eq!(told, "", "{by}");
    }
}

#[test]
fn who_paid_before_and_does_not_is_told_until_it_does() {
    let renewal = |n, month| match (n, month) {
        (3, 2) => Renewal::TurnedUnpaid,
        _ => Renewal::Paid,
    };
    assert_snapshot!(check("silent_lapse", &months(4, "charge.succeeded", renewal)), @"
    d63 02:01:00 firing high sub_3: sub_3 is active, yet 10.00 USD due 2024-05-03T02:00:20Z has not been paid for 3d
    d90 01:00:20 resolved high sub_3: paid; next due 2024-07-02T00:00:20Z
    ");
}

#[test]
fn whose_period_does_not_turn_is_told_at_once() {
    let renewal = |n, month| match (n, month) {
        (3, 1..) => Renewal::Untold,
        _ => Renewal::Paid,
    };
    assert_snapshot!(check("silent_lapse", &months(2, "charge.succeeded", renewal)), @"d33 03:01:00 firing high sub_3: sub_3 is active, yet 10.00 USD due 2024-04-03T03:00:20Z has not been paid for 3d");
}

#[test]
fn who_never_paid_by_a_charge_is_nobodys_matter() {
    // By hand, from a balance, by another account: nobody knows.
    let renewal = |n, _| {
        if n == 3 {
            Renewal::TurnedUnpaid
        } else {
            Renewal::Paid
        }
    };
    let told = check("silent_lapse", &months(4, "charge.succeeded", renewal));
    assert!(!told.contains("firing"), "{told}");
    assert!(told.contains("payments_untold"), "{told}");
}

#[test]
fn sent_invoices_are_nobodys_matter() {
    let renewal = |_, month| {
        if month < 2 {
            Renewal::Paid
        } else {
            Renewal::TurnedUnpaid
        }
    };
    let timeline = months_of(4, "charge.succeeded", "days=10", renewal);
    let told = check("silent_lapse", &timeline);
    assert!(!told.contains("firing"), "{told}");
}

#[test]
fn where_only_subscriptions_are_told_nobody_is_blamed() {
    let told = check(
        "silent_lapse",
        &months(4, "wait", |_, _| Renewal::TurnedUnpaid),
    );
    assert!(!told.contains("firing"), "{told}");
}

#[test]
fn who_pays_days_late_once_is_given_as_long_again() {
    let renewal = |n, _| {
        if n == 3 {
            Renewal::PaidLate
        } else {
            Renewal::Paid
        }
    };
    let told = check("silent_lapse", &months(4, "charge.succeeded", renewal));
    assert!(!told.contains("firing"), "{told}");
    let renewal = |n, month| match (n, month) {
        (3, 1..) => Renewal::PaidLate,
        _ => Renewal::Paid,
    };
    let told = check("silent_lapse", &months(4, "charge.succeeded", renewal));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

#[test]
fn once_invoices_are_told_they_alone_count() {
    let mut timeline = months(2, "charge.succeeded", |_, _| Renewal::Paid);
    for n in 0..8 {
        let _ = writeln!(
            timeline,
            "+5s customer.subscription.updated sub=sub_{n} cus=cus_{n} amt=1000"
        );
        let paid = if n == 3 {
            "wait".to_owned()
        } else {
            format!("invoice.paid in=in_{n} sub=sub_{n} total=1080 through=30d")
        };
        let _ = writeln!(
            timeline,
            "+1h {paid}\n+1s charge.succeeded cus=cus_{n} amt=1080"
        );
    }
    let told = check("silent_lapse", &(timeline + "+10d wait\n"));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert!(told.contains("sub_3 is active"), "{told}");
}

#[test]
fn a_credit_of_a_dearer_plan_may_have_paid() {
    let mut timeline = months(2, "charge.succeeded", |_, _| Renewal::Paid);
    for n in 0..8 {
        let price = if n == 3 { 400 } else { 1_000 };
        let _ = writeln!(
            timeline,
            "+5s customer.subscription.updated sub=sub_{n} cus=cus_{n} amt={price}"
        );
        let paid = if n == 3 || n == 5 {
            "wait".to_owned()
        } else {
            format!("charge.succeeded cus=cus_{n} amt=1080")
        };
        let _ = writeln!(timeline, "+1h {paid}");
    }
    let told = check("silent_lapse", &(timeline + "+10d wait\n"));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert!(told.contains("sub_5 is active"), "{told}");
}
