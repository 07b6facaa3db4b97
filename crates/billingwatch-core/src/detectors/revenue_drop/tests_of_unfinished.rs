//! Payment intents of which nothing comes.

use std::fmt::Write as _;

use crate::testing::check;

/// Twenty days of thirty intents each, of which one in `left` is left; then so many more at such a distance, of which nothing comes, and
/// one that is paid.
fn told(left: usize, then: usize, apart: &str) -> String {
    let mut timeline = String::new();
    for n in 0..600 {
        let paid = if n % left == left - 1 {
            "wait".to_owned()
        } else {
            format!("charge.succeeded pi=pi_{n} ch=ch_{n} amt=2000")
        };
        let _ = writeln!(
            timeline,
            "+47m payment_intent.created pi=pi_{n} amt=2000\n+1m {paid}"
        );
    }
    for n in 0..then {
        let _ = writeln!(
            timeline,
            "+{apart} payment_intent.created pi=pi_t{n} amt=2000"
        );
    }
    timeline += "+1h wait\n+1s payment_intent.created pi=pi_z amt=2000\n+1m charge.succeeded pi=pi_z ch=ch_z amt=2000\n";
    check("revenue_drop", &timeline)
}

#[test]
fn a_checkout_that_breaks_is_told_while_customers_are_there() {
    let told = told(20, 16, "20m");
    assert_eq!(
        told.matches("firing critical intents: ").count(),
        1,
        "{told}"
    );
    assert!(told.contains("payment intents were made within "), "{told}");
    assert!(
        told.contains("resolved critical intents: payments are tried again"),
        "{told}"
    );
}

#[test]
fn few_a_scripts_or_those_left_as_ever_are_nothing() {
    for (left, then, apart) in [
        (20, 9, "20m"),
        (20, 200, "5s"),
        (20, 60, "1m"),
        (2, 16, "20m"),
    ] {
        let told = told(left, then, apart);
        assert!(!told.contains("intents"), "{left} {then} {apart}: {told}");
    }
}

#[test]
fn debits_that_are_decided_on_working_days_are_nothing() {
    let mut timeline = String::new();
    for day in 0..40 {
        for n in 0..24 {
            let _ = writeln!(
                timeline,
                "+1h payment_intent.created pi=pi_{day}_{n} amt=2000"
            );
        }
        // Stories begin on a Monday.
        if day % 7 < 5 {
            for n in 0..24 {
                let _ = writeln!(
                    timeline,
                    "+0s charge.succeeded pi=pi_{day}_{n} ch=ch_{day}_{n} amt=2000"
                );
            }
        }
    }
    let told = check("revenue_drop", &timeline);
    assert!(!told.contains("intents"), "{told}");
}
