//! Timelines: renewals that did not run, and silences that came of it, or did not.

use crate::testing::check;

/// Subscriptions whose periods turn on the eleventh day from 00:05 on, ten minutes apart, up to
/// which an invoice is told every five minutes: then nothing for five hours, and `rest`.
fn silence_at_the_turn_of(count: u32, rest: &str) -> String {
    let mut timeline = String::new();
    for n in 0..count {
        timeline += &format!(
            "+5m customer.subscription.created sub=sub_{n} to=10d\n\
             +1s invoice.paid in=in_{n} sub=sub_{n} through=10d\n\
             +299s invoice.upcoming\n"
        );
    }
    let steps = 10 * 24 * 12 - 2 * count - 1;
    timeline += &format!("+5m invoice.upcoming x{steps}/5m\n+5h5m invoice.upcoming\n");
    check("silent_lapse", &(timeline + rest))
}

#[test]
fn renewals_that_did_not_run_are_all_told_though_nothing_else_happened() {
    // Thirty turns lie in the silence and ten come after it: none of them is paid.
    let told = silence_at_the_turn_of(40, "+5m invoice.upcoming x1300/5m\n");
    let last = told
        .lines()
        .rfind(|line| line.contains("silent_lapse") || line.contains("sub_"));
    assert!(told.contains(": 40 subscriptions go on"), "{last:?}");
}

#[test]
fn a_loss_of_deliveries_blames_nobody_when_its_neighbours_pay() {
    let mut rest = String::new();
    for n in 30..40 {
        rest += &format!(
            "+5m customer.subscription.updated sub=sub_{n} to=10d\n\
             +1s invoice.paid in=in_r{n} sub=sub_{n} through=10d\n\
             +299s invoice.upcoming\n"
        );
    }
    rest += "+5m invoice.upcoming x1300/5m\n";
    let told = silence_at_the_turn_of(40, &rest);
    assert!(!told.contains("firing"), "{told}");
    assert!(told.contains("may have been paid unseen"), "{told}");
}

/// Twenty subscriptions turn while no invoice is told for five hours and charges are: of guests, or
/// of their customers.
fn silence_of_invoices(is_paid: bool) -> String {
    let mut charges = 0;
    let mut charge = |customer: &str| {
        charges += 1;
        format!("+0s charge.succeeded ch=ch_{charges} cus={customer}\n")
    };
    let mut timeline = String::new();
    for n in 0..20 {
        timeline += &format!(
            "+5m customer.subscription.created sub=sub_{n} cus=cus_{n} to=10d\n\
             +1s invoice.paid in=in_{n} sub=sub_{n} cus=cus_{n} through=10d\n\
             +299s invoice.upcoming\n"
        );
    }
    for _ in 0..10 * 24 * 12 - 41 {
        timeline += &format!("+5m invoice.upcoming\n{}", charge("cus_guest"));
    }
    for n in 0..61 {
        let customer = if is_paid { n } else { 100 + n };
        timeline += &format!(
            "+5m customer.updated\n{}",
            charge(&format!("cus_{customer}"))
        );
    }
    for _ in 0..1_300 {
        timeline += &format!("+5m invoice.upcoming\n{}", charge("cus_guest"));
    }
    check("silent_lapse", &timeline)
}

#[test]
fn charges_witness_what_was_paid_while_invoices_were_silent() {
    let told = silence_of_invoices(false);
    assert!(told.contains(": 20 subscriptions go on"), "{told}");
    let told = silence_of_invoices(true);
    assert!(!told.contains("firing"), "{told}");
    assert!(told.contains("may have been paid unseen"), "{told}");
}
