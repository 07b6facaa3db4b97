//! What is left of a crowd when most of it has paid.

use std::fmt::Write as _;

use crate::testing::check;

/// So many that paid once lapse together; five days later so many of them pay, and nothing happens for two days.
fn told(lapse: usize, pay: usize) -> String {
    let mut timeline = String::new();
    for n in 0..lapse {
        let _ = writeln!(
            timeline,
            "+5s customer.subscription.created sub=sub_{n} amt=1000"
        );
        let _ = writeln!(
            timeline,
            "+1s invoice.paid sub=sub_{n} in=in_{n} total=1000 through=30d"
        );
    }
    timeline += "+38d wait\n";
    for n in 0..pay {
        let _ = writeln!(
            timeline,
            "+5s invoice.paid sub=sub_{n} in=in_late{n} total=1000 through=30d"
        );
    }
    check("silent_lapse", &(timeline + "+2d wait\n"))
}

#[test]
fn those_left_of_a_crowd_are_named_a_day_after_the_last_one_paid() {
    let told = told(600, 598);
    let last = told.lines().last().unwrap_or_default();
    assert!(
        last.contains("escalated critical sub_0: 2 of 600"),
        "{told}"
    );
    assert!(last.ends_with("left: sub_598, sub_599"), "{told}");
    assert!(last.contains("d39 "), "{told}");
    assert_eq!(told.matches("left: ").count(), 1, "{told}");
}

#[test]
fn where_most_are_left_or_all_have_paid_nothing_more_is_told() {
    assert!(!told(40, 19).contains("left: "));
    let all = told(40, 40);
    assert!(!all.contains("left: ") && all.contains("resolved"), "{all}");
    // Of a handful each was told by itself.
    assert!(!told(7, 6).contains("left: "));
}
