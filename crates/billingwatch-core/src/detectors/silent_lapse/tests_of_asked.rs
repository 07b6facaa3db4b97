//! Those who pay by invoice, and whom nobody sends one.

use crate::testing::check;

/// So many others whose renewals were invoiced so long after their turn, and who leave; then what becomes of one
/// renewal.
fn renewal(others: usize, after: &str, then: &str) -> String {
    let mut timeline = String::new();
    for n in 0..others {
        timeline += &format!("+1m customer.subscription.created sub=other_{n} days=30\n");
        timeline += &format!("+1m invoice.paid sub=other_{n} in=first_{n} through=30d due=30d\n");
    }
    timeline += "+0s customer.subscription.created sub=sub_1 days=30\n";
    timeline += "+1h invoice.paid sub=sub_1 in=in_1 through=30d due=30d\n+29d wait\n";
    for n in 0..others {
        let sub = format!("sub=other_{n}");
        timeline +=
            &format!("+1m customer.subscription.updated {sub} days=30 from=-{after} to=26d\n");
        timeline += &format!(
            "+1s invoice.finalized {sub} in=second_{n} through=26d due=30d reason=cycle made=-{after}\n"
        );
        timeline += &format!("+1s customer.subscription.deleted {sub}\n");
    }
    timeline += "+22h wait\n";
    check("silent_lapse", &(timeline + then))
}

/// Its period turns.
const TURN: &str = "+0s customer.subscription.updated sub=sub_1 days=30\n";
/// An hour later an invoice goes out.
const SENT: &str = "+1h invoice.finalized sub=sub_1 in=in_2 through=30d due=30d reason=cycle\n";

#[test]
fn a_renewal_of_which_no_invoice_goes_out_is_told_after_the_grace() {
    insta::assert_snapshot!(renewal(6, "1h", &format!("{TURN}+5d wait\n")), @"d33 01:12:00 firing high sub_1: sub_1 is active, yet nobody was asked to pay the 20.00 USD due for its period since 2024-04-03T01:12:00Z: no event told of an invoice for it");
    // Nor does one that stays a draft ask for anything, and an invoice ends it, though its days to pay have just begun.
    let draft = "+1s invoice.created sub=sub_1 in=in_2 through=30d due=30d reason=cycle\n";
    insta::assert_snapshot!(renewal(6, "1h", &format!("{TURN}{draft}+5d wait\n{SENT}+20d wait\n")), @"
    d33 01:12:00 firing high sub_1: sub_1 is active, yet nobody was asked to pay the 20.00 USD due for its period since 2024-04-03T01:12:00Z: no event told of an invoice for it
    d35 00:18:13 resolved high sub_1: invoiced; next due 2024-05-08T00:18:13Z
    ");
    // Nothing at all happens at the turn.
    let others_go_on = "+12h invoice.paid total=500 x14/12h\n";
    let told = renewal(6, "1h", others_go_on);
    assert_eq!(told.matches("firing").count(), 1, "nothing at all: {told}");
}

#[test]
fn an_invoice_that_is_out_leaves_its_days_to_pay() {
    let told = |days: &str| renewal(6, "1h", &format!("{TURN}{SENT}+{days} wait\n"));
    assert_eq!(told("32d"), "");
    assert_eq!(told("34d").matches("firing").count(), 1, "{}", told("34d"));
    // They count from when it went out.
    let late = format!("{TURN}+2d wait\n{SENT}+32d wait\n");
    assert_eq!(renewal(6, "1h", &late), "");
}

#[test]
fn a_void_invoice_asks_for_nothing_unless_another_takes_its_place() {
    let void = "+1d invoice.voided sub=sub_1 in=in_2 through=29d due=29d reason=cycle\n";
    insta::assert_snapshot!(renewal(6, "1h", &format!("{TURN}{SENT}{void}+5d wait\n")), @"d33 01:12:00 firing high sub_1: sub_1 is active, yet nobody was asked to pay the 20.00 USD due for its period since 2024-04-03T01:12:00Z: the invoice for it is void since 2024-04-04T00:18:12Z");
    let another = "+2h invoice.finalized sub=sub_1 in=in_3 through=29d due=30d reason=manual\n";
    assert_eq!(
        renewal(6, "1h", &format!("{TURN}{SENT}{void}{another}+25d wait\n")),
        ""
    );
    // Whatever comes of it afterwards, it stays void.
    let stale = "+1s invoice.updated sub=sub_1 in=in_2 through=29d due=29d reason=cycle\n";
    let told = renewal(6, "1h", &format!("{TURN}{SENT}{void}{stale}+5d wait\n"));
    assert_eq!(told.matches("firing").count(), 1);
}

#[test]
fn where_invoices_go_out_late_or_are_not_told_of_nothing_is_said_before_the_days_to_pay() {
    let then = format!("{TURN}+28d wait\n");
    assert_eq!(renewal(6, "4d", &then), "", "each is looked over first");
    assert_eq!(renewal(3, "1h", &then), "", "hardly any is known");
    let told = renewal(3, "1h", &format!("{TURN}+35d wait\n"));
    assert!(told.contains("sub_1 is active, yet"), "{told}");
}

/// So many others who pay their invoice so long after it was sent, and one that pays so many of its own in time; then one is
/// not paid, Stripe says so, and something happens.
fn overdue((others, own): (usize, usize), after: &str, then: &str) -> String {
    let mut timeline = String::new();
    for n in 0..others {
        let sub = format!("sub=other_{n}");
        timeline += &format!("+1m customer.subscription.created {sub} days=30\n");
        timeline += &format!("+1m invoice.finalized {sub} in=first_{n} through=30d due=30d\n");
    }
    timeline += &format!("+{after} wait\n");
    for n in 0..others {
        timeline += &format!("+1s invoice.paid sub=other_{n} in=first_{n} through=20d\n");
        timeline += &format!("+1s customer.subscription.deleted sub=other_{n}\n");
    }
    timeline += "+0s customer.subscription.created sub=sub_1 cus=cus_1 days=30\n";
    for n in 0..own {
        timeline += &format!("+1h invoice.finalized sub=sub_1 in=own_{n} through=30d due=2d\n");
        timeline += &format!("+1d invoice.paid sub=sub_1 in=own_{n} through=29d due=2d\n");
    }
    timeline += "
        +0s   customer.subscription.updated sub=sub_1 cus=cus_1 days=30
        +1h   invoice.finalized sub=sub_1 in=in_1 through=30d due=30d
        +30d  customer.subscription.updated sub=sub_1 cus=cus_1 days=30 from=-1h to=30d
        +1h   invoice.finalized sub=sub_1 in=in_2 through=30d due=30d reason=cycle
        +1m   invoice.overdue sub=sub_1 in=in_1 through=-1h due=-1h
        +1s   customer.subscription.updated sub=sub_1 cus=cus_1 days=30 status=past_due from=-1h to=30d
    ";
    let told = check("silent_lapse", &(timeline + then));
    // What the others make of it is none of it.
    told.lines()
        .filter(|line| line.contains("sub_1"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn an_overdue_invoice_is_told_where_others_pay_in_time() {
    let paid = "+10d wait\n+1s invoice.paid sub=sub_1 in=in_1 through=-10d\n+1d wait\n";
    insta::assert_snapshot!(overdue((22, 2), "10d", paid), @"
    d45 03:46:00 firing medium sub_1: sub_1 has not paid the 20.00 USD that invoice in_1 asked for by 2024-04-15T03:45:44Z, for 3d
    d52 04:45:46 resolved medium sub_1: its invoice is settled
    ");
    assert_eq!(
        overdue((12, 2), "10d", "+10d wait\n"),
        "",
        "hardly any is known"
    );
    assert_eq!(
        overdue((22, 2), "40d", "+10d wait\n"),
        "",
        "everybody pays late"
    );
    assert_eq!(
        overdue((22, 1), "10d", "+10d wait\n"),
        "",
        "its own habit is not known"
    );
    for end in [
        "+1d invoice.paid sub=sub_1 in=in_1 through=-10d\n",
        "+1d invoice.voided sub=sub_1 in=in_1 due=1d\n",
        "+1d customer.subscription.deleted sub=sub_1\n",
        "+1d charge.pending cus=cus_1 amt=2000\n",
    ] {
        let told = overdue((22, 2), "10d", &format!("{end}+10d wait\n"));
        assert!(!told.contains("firing"), "{end}: {told}");
    }
    // Who was late before is late again.
    let next = "+12h invoice.paid total=500 x80/12h\n";
    let told = overdue((60, 2), "10d", &format!("{paid}{next}"));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}
