//! Late events of a merchant of a handful a day, and sessions that stop.

use crate::testing::check;

/// A merchant of an event every 40 minutes, for ten days; then these.
fn of_a_tiny_merchant(then: &str) -> String {
    check(
        "webhook_lag",
        &format!("+0s customer.created x360/40m\n{then}"),
    )
}

#[test]
fn at_a_tiny_merchant_four_late_ones_on_end_are_a_lag_however_far_apart() {
    let told = of_a_tiny_merchant(
        "+80m customer.created late=70m\n+70m customer.created late=95m\n\
         +65m customer.created late=100m\n+75m customer.created late=90m\n+1h wait",
    );
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert!(
        told.contains(" arrived over 10m after they were made"),
        "{told}"
    );
}

#[test]
fn three_of_them_or_four_with_one_on_time_between_are_none() {
    for then in [
        "+80m customer.created late=70m\n+70m customer.created late=95m\n+65m customer.created late=100m\n+3h wait",
        "+80m customer.created late=70m\n+70m customer.created late=95m\n+30m customer.created\n\
         +65m customer.created late=100m\n+75m customer.created late=90m\n+1h wait",
    ] {
        let told = of_a_tiny_merchant(then);
        assert!(!told.contains("after they were made"), "{told}");
    }
}

#[test]
fn checkout_sessions_that_stop_while_charges_go_on_are_told() {
    let mut timeline = String::new();
    for n in 0..2_400 {
        let session = if n < 2_300 {
            format!("checkout.session.completed id=cs_{n}")
        } else {
            "wait".to_owned()
        };
        timeline += &format!("+10m charge.succeeded ch=ch_{n}\n+1s {session}\n");
    }
    let told = check("webhook_lag", &timeline);
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert!(told.contains("no checkout.session.* for "), "{told}");
}
