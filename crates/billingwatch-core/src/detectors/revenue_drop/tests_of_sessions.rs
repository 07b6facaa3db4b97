//! Stories of endpoints that are sent checkout sessions and no charges.

use crate::testing::{check, in_order};

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

#[test]
fn a_sale_that_its_charge_tells_of_as_well_counts_once() {
    let told = |with_sessions: bool| {
        let mut lines = Vec::new();
        for n in 0..35 * 96 {
            let at = n * 900;
            let charge = format!("charge.succeeded ch=ch_{n} pi=pi_{n} cus=cus_{n} amt=4000");
            let session = format!("checkout.session.completed pi=pi_{n} cus=cus_{n} amt=4000");
            lines.push((at, charge));
            if with_sessions {
                lines.push((at + 1, session));
            }
        }
        let dead = (0..48).map(|n| (35 * 86_400 + n * 900, "customer.updated".to_owned()));
        lines.extend(dead);
        check("revenue_drop", &in_order(lines))
    };
    let alone = told(false);
    assert!(alone.contains(" firing "), "{alone}");
    assert_eq!(told(true), alone);
}
