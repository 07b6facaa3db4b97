//! Renewals whose invoice cannot be finalised, where no event of a subscription is sent.

use crate::testing::check;

/// So many others whose renewal is told as final, by events like these, so long after its draft; then what becomes of one.
fn renewal((others, after, finals): (usize, &str, &[&str]), then: &str) -> String {
    let mut timeline = String::new();
    for n in 0..others {
        let invoice = format!("sub=other_{n} in=other_{n} reason=cycle through=30d");
        timeline += &format!("+30m invoice.created {invoice} made=0s\n");
    }
    timeline += &format!("+{after} wait\n");
    for n in 0..others {
        // As long after its own draft.
        let made = format!("made=-{after}");
        let invoice = format!("sub=other_{n} in=other_{n} reason=cycle through=29d {made}");
        timeline += "+30m wait\n";
        for told in finals {
            timeline += &format!("+0s {told} {invoice}\n");
        }
    }
    let told = check("silent_lapse", &(timeline + then));
    told.lines()
        .filter(|line| line.contains("sub_1") || line.contains("subscriptions"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Fifteen others whose invoices are finalised after an hour, and paid.
const USUAL: (usize, &str, &[&str]) = (15, "1h", &["invoice.finalized", "invoice.paid"]);

/// One renews.
const DRAFT: &str =
    "+0s invoice.created sub=sub_1 cus=cus_1 in=in_1 reason=cycle through=30d made=0s\n";
/// Its invoice is not finalised.
const FAILED: &str = "+1h invoice.finalization_failed sub=sub_1 cus=cus_1 in=in_1 reason=cycle through=30d made=-1h\n";
/// What goes on beside it.
const LIFE: &str = "+12h invoice.paid total=500 x14/12h\n";

#[test]
fn one_that_cannot_be_finalised_is_told_after_the_grace() {
    let told = renewal(USUAL, &format!("{DRAFT}{FAILED}{LIFE}"));
    insta::assert_snapshot!(told, @"d3 16:00:00 firing high sub_1: sub_1 renewed 2024-03-04T16:00:00Z, yet its invoice in_1 for 20.00 USD has not been finalised for 3d: it failed 2024-03-04T17:00:00Z");
    // The failure alone is heard of, or both the other way round, or it is said to be a draft once more.
    let updated = FAILED.replace("finalization_failed", "updated draft");
    for then in [
        FAILED.to_owned(),
        FAILED.replace("+1h", "+0s") + DRAFT,
        format!("{DRAFT}{FAILED}{updated}"),
    ] {
        let told = renewal(USUAL, &format!("{then}{LIFE}"));
        assert_eq!(told.matches("firing").count(), 1, "{then}: {told}");
    }
    // Of one that is worked on a day is waited.
    let told = renewal(USUAL, &format!("{DRAFT}{FAILED}+68h wait\n{updated}{LIFE}"));
    insta::assert_snapshot!(told, @"d4 14:00:00 firing high sub_1: sub_1 renewed 2024-03-04T16:00:00Z, yet its invoice in_1 for 20.00 USD has not been finalised for 3d 22h: it failed 2024-03-04T17:00:00Z");
}

#[test]
fn a_draft_of_which_no_failure_is_told_is_nobodys_lapse() {
    assert_eq!(renewal(USUAL, &format!("{DRAFT}{LIFE}")), "");
    let updated = DRAFT.replace("created", "updated draft");
    assert_eq!(renewal(USUAL, &format!("{DRAFT}{updated}{LIFE}")), "");
}

#[test]
fn many_at_once_are_one_alert() {
    let mut then = String::new();
    for n in 1..=9 {
        then += &format!(
            "+20m invoice.finalization_failed sub=sub_1{n} in=in_1{n} reason=cycle through=30d made=0s\n"
        );
    }
    insta::assert_snapshot!(renewal(USUAL, &format!("{then}{LIFE}")), @"
    d3 16:20:00 firing high sub_11: sub_11 renewed 2024-03-04T16:20:00Z, yet its invoice in_11 for 20.00 USD has not been finalised for 3d: it failed 2024-03-04T16:20:00Z
    d3 16:40:00 escalated high sub_11: 2 subscriptions go on, yet 40.00 USD due from 2024-03-04T16:20:00Z to 2024-03-04T16:40:00Z has not been paid; newest: sub_12
    d3 17:20:00 escalated high sub_11: 4 subscriptions go on, yet 80.00 USD due from 2024-03-04T16:20:00Z to 2024-03-04T17:20:00Z has not been paid; newest: sub_13, sub_14
    d3 18:40:00 escalated critical sub_11: 8 subscriptions go on, yet 160.00 USD due from 2024-03-04T16:20:00Z to 2024-03-04T18:40:00Z has not been paid; newest: sub_15, sub_16, sub_17, sub_18
    d4 18:40:00 escalated critical sub_11: 9 subscriptions go on, yet 180.00 USD due from 2024-03-04T16:20:00Z to 2024-03-04T19:00:00Z has not been paid; newest: sub_19
    ");
}

#[test]
fn it_ends_when_the_invoice_is_settled_or_the_subscription_ends() {
    for (end, why) in [
        ("invoice.finalized sub=sub_1 in=in_1", "finalised"),
        ("invoice.paid sub=sub_1 in=in_1", "paid"),
        ("invoice.voided sub=sub_1 in=in_1", "void"),
        ("invoice_payment.paid in=in_1 paid=2000", "paid"),
        ("invoice.paid sub=sub_1 in=in_2 through=29d", "paid"),
        ("customer.subscription.deleted sub=sub_1", "ended"),
    ] {
        let before = renewal(USUAL, &format!("{DRAFT}{FAILED}+2d {end}\n{LIFE}"));
        assert_eq!(before, "", "{end}");
        let told = renewal(USUAL, &format!("{DRAFT}{FAILED}{LIFE}+1h {end}\n{LIFE}"));
        assert_eq!(told.matches("firing").count(), 1, "{end}: {told}");
        let resolved = told.lines().find(|line| line.contains("resolved"));
        assert!(resolved.is_some_and(|it| it.contains(why)), "{end}: {told}");
        assert_eq!(told.lines().count(), 2, "{end}: {told}");
    }
    // An older invoice that is paid late covers nothing of it.
    let older = "+1h invoice.paid sub=sub_1 in=in_0 from=-30d through=0s\n";
    let told = renewal(USUAL, &format!("{DRAFT}{FAILED}{older}{LIFE}"));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

#[test]
fn the_next_draft_of_it_is_told_by_the_same_alert() {
    let next = FAILED.replace("in_1", "in_2");
    let first = "+1h invoice.paid sub=sub_1 in=in_1 reason=cycle\n";
    let second = "+1h invoice.paid sub=sub_1 in=in_2 reason=cycle through=20d\n";
    let told = renewal(
        USUAL,
        &format!("{FAILED}{LIFE}{LIFE}{LIFE}+9d wait\n{next}{LIFE}{first}{LIFE}"),
    );
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert_eq!(told.matches("resolved").count(), 0, "{told}");
    let told = renewal(
        USUAL,
        &format!("{FAILED}{LIFE}{LIFE}{LIFE}+9d wait\n{next}{LIFE}{second}{LIFE}"),
    );
    assert_eq!(told.matches("resolved").count(), 1, "{told}");
}

#[test]
fn what_asks_for_nothing_is_nobodys_lapse() {
    for other in ["total=0", "test_clock", "due=30d"] {
        let failed = FAILED.replace("through", &format!("{other} through"));
        let told = renewal(USUAL, &format!("{failed}{LIFE}"));
        assert!(!told.contains("firing"), "{other}: {told}");
    }
    for reason in ["manual", "create", "update", "threshold"] {
        let failed = FAILED.replace("cycle", reason);
        assert_eq!(renewal(USUAL, &format!("{failed}{LIFE}")), "", "{reason}");
    }
}

#[test]
fn what_is_final_stays_so_whatever_comes_late() {
    let last = "+1h invoice.finalized sub=sub_1 in=in_1 reason=cycle through=30d made=-1h\n";
    let late = FAILED.replace("made=-1h", "made=-2h late=1h");
    for then in [
        format!("{DRAFT}{FAILED}{last}{LIFE}"),
        format!("{last}{late}{LIFE}"),
        format!("{DRAFT}{FAILED}{last}{late}{LIFE}"),
    ] {
        assert_eq!(renewal(USUAL, &then), "", "{then}");
    }
}

#[test]
fn where_it_is_not_told_what_is_final_nothing_is_said() {
    let both: &[&str] = &["invoice.finalized", "invoice.paid"];
    let quiet = |usual, why: &str| {
        let told = renewal(usual, &format!("{DRAFT}{FAILED}{LIFE}"));
        assert!(!told.contains("firing"), "{why}: {told}");
        assert!(told.contains("quiet draft_unknown sub_1"), "{why}: {told}");
    };
    quiet((6, "1h", both), "hardly any is known");
    quiet((15, "4d", both), "each is final after days");
    quiet((40, "1h", &["invoice.paid"]), "open ones are not told");
}

#[test]
fn where_its_own_events_are_heard_they_say_what_is_due() {
    // Whether they come before the draft or after it: it is told once, in the words for it.
    let own = "+0s customer.subscription.created sub=sub_1 cus=cus_1\n";
    for then in [format!("{own}{FAILED}"), format!("{FAILED}{own}")] {
        let told = renewal(USUAL, &format!("{then}{LIFE}"));
        assert_eq!(told.matches("firing").count(), 1, "{told}");
        assert!(told.contains("sub_1 is active, yet"), "{told}");
        let trial = then.replace("sub=sub_1 cus", "status=trialing trial=30d sub=sub_1 cus");
        let trial = renewal(USUAL, &format!("{trial}{LIFE}"));
        assert!(!trial.contains("firing"), "{trial}");
    }
    // Heard of for the first time after it was told.
    let told = renewal(USUAL, &format!("{FAILED}{LIFE}{own}{LIFE}"));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    let over = "+1h customer.subscription.deleted sub=sub_1\n";
    let told = renewal(USUAL, &format!("{FAILED}{over}{LIFE}"));
    assert_eq!(told, "");
}

#[test]
fn a_silence_after_the_draft_excuses_it() {
    // An invoice is told every five minutes, and then nothing for hours.
    let busy = "+5m invoice.upcoming x2880/5m\n";
    let rest = "+5m invoice.upcoming x1300/5m\n";
    let silence = format!("{busy}{FAILED}+5h5m wait\n{rest}");
    let told = renewal(USUAL, &silence);
    assert!(!told.contains("firing"), "{told}");
    assert!(told.contains("quiet events_missing sub_1"), "{told}");
    // Without a silence it is told.
    let told = renewal(USUAL, &format!("{busy}{FAILED}{rest}"));
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}
