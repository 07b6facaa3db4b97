//! Renewals whose invoices stay drafts, where invoices alone tell of subscriptions.

use std::fmt::Write as _;

use crate::testing::check;

const RENEWAL: &str = "reason=cycle total=1000";

/// Thirty invoices over ten days, each final so many minutes after it was made; then a crowd of which so many are final an hour
/// later, and after ten hours all. `with` stands beside each.
fn told(minutes: i64, crowd: usize, prompt: usize, with: &str) -> String {
    let mut timeline = String::new();
    for n in 0..30 {
        let rest = 8 * 60 - minutes;
        let _ = writeln!(
            timeline,
            "+{rest}m invoice.created in=in_{n} sub=sub_{n} {with}"
        );
        let _ = writeln!(
            timeline,
            "+{minutes}m invoice.finalized in=in_{n} sub=sub_{n} reason=cycle total=1000"
        );
    }
    for n in 0..crowd {
        let _ = writeln!(
            timeline,
            "+1s invoice.created in=in_c{n} sub=sub_{n} {with}"
        );
    }
    timeline += "+1h wait\n";
    for n in 0..prompt {
        let _ = writeln!(
            timeline,
            "+1s invoice.finalized in=in_c{n} sub=sub_{n} reason=cycle total=1000"
        );
    }
    timeline += "+9h wait\n";
    for n in prompt..crowd {
        let _ = writeln!(
            timeline,
            "+1s invoice.finalized in=in_c{n} sub=sub_{n} reason=cycle total=1000"
        );
    }
    check("revenue_drop", &(timeline + "+5h wait\n"))
}

#[test]
fn a_crowd_of_drafts_is_told_within_hours_and_over_when_they_are_final() {
    let told = told(60, 50, 3, RENEWAL);
    assert_eq!(told.matches("firing critical drafts").count(), 1, "{told}");
    assert!(told.contains("47 of 51 invoices of renewals are drafts still, 3h and more after they were made: 470.00 USD not asked for"), "{told}");
    assert!(told.contains("d10 03:"), "{told}");
    assert_eq!(
        told.matches("resolved critical drafts").count(),
        1,
        "{told}"
    );
}

#[test]
fn finalised_in_time_few_or_late_as_a_rule_nothing_is_told() {
    for (minutes, crowd, prompt) in [(60, 50, 50), (60, 50, 30), (60, 19, 0), (300, 50, 0)] {
        let told = told(minutes, crowd, prompt, RENEWAL);
        assert!(
            !told.contains("drafts"),
            "{minutes} {crowd} {prompt}: {told}"
        );
    }
}

#[test]
fn what_asks_for_nothing_or_is_no_renewal_is_not_counted() {
    for with in [
        "reason=cycle total=0",
        "reason=manual total=1000",
        "reason=update total=1000",
    ] {
        let told = told(60, 50, 0, with);
        assert!(!told.contains("drafts"), "{with}: {told}");
    }
}

/// The first renewals of all, after thirty first invoices; so many hours later they are final.
fn first(crowd: usize, hours: usize, with: &str) -> String {
    let mut timeline = String::new();
    for n in 0..30 {
        let _ = writeln!(
            timeline,
            "+8h invoice.created in=in_{n} sub=sub_{n} reason=create total=1000\n\
             +1s invoice.finalized in=in_{n} sub=sub_{n} reason=create total=1000"
        );
    }
    for n in 0..crowd {
        let _ = writeln!(
            timeline,
            "+1s invoice.created in=in_c{n} sub=sub_{n} reason=cycle {with}"
        );
    }
    let _ = writeln!(timeline, "+{hours}h wait");
    for n in 0..crowd {
        let _ = writeln!(
            timeline,
            "+1s invoice.finalized in=in_c{n} sub=sub_{n} reason=cycle"
        );
    }
    check("revenue_drop", &timeline)
}

#[test]
fn of_the_first_renewals_stripes_own_hour_is_expected_where_stripe_finalises_them() {
    let told = first(150, 8, "auto");
    assert_eq!(told.matches("firing critical drafts").count(), 1, "{told}");
    for (crowd, hours, with) in [
        (150, 2, "auto"),
        (80, 8, "auto"),
        (150, 8, ""),
        (150, 8, "by_hand"),
    ] {
        let told = first(crowd, hours, with);
        assert!(!told.contains("drafts"), "{crowd} {hours} {with}: {told}");
    }
}
