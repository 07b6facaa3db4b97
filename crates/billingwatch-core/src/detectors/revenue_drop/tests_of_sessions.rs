//! Stories of endpoints that are sent checkout sessions and no charges.

use crate::testing::check;

/// Five weeks of 96 sales a day, announced so, and half a day on which customers come and nobody pays.
fn told(sale: &str) -> String {
    let day = format!("+0s {sale} x96/15m\n+15m wait\n");
    let dead = "+0s customer.updated x48/15m\n";
    check("revenue_drop", &format!("{}{dead}", day.repeat(35)))
}

#[test]
fn sales_that_only_sessions_tell_of_are_watched() {
    let told = told("checkout.session.completed amt=4000");
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert!(told.contains("usd"), "{told}");
}

#[test]
fn a_session_that_is_not_paid_is_no_sale() {
    assert_eq!(told("checkout.session.completed amt=4000 unpaid"), "");
}
