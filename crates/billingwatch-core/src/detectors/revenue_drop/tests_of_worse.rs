//! A loss that is told, and what comes on top of it.

use crate::testing::{check, in_order};

const HOUR: i64 = 3_600;

/// Four weeks of ten sales an hour, then a week of four; and so many of these ten from some hour of its on.
fn told(worse_from: i64, left: i64) -> String {
    let mut lines: Vec<(i64, String)> = Vec::new();
    for hour in 0..32 * 24 {
        lines.push((hour * HOUR + 5, "charge.failed amt=100".to_owned()));
        let since = hour - 28 * 24;
        let count = match since {
            ..0 => 10,
            _ if since >= worse_from => left,
            _ => 4,
        };
        for n in 0..count {
            lines.push((
                hour * HOUR + n * 360,
                "charge.succeeded amt=5000".to_owned(),
            ));
        }
    }
    check("revenue_drop", &in_order(lines))
}

/// What was told after the first day of it.
fn later(told: &str) -> Vec<&str> {
    let is_later = |line: &&str| line.starts_with("d29 1") || line.starts_with("d3");
    told.lines().filter(is_later).collect()
}

#[test]
fn an_outage_on_top_of_a_loss_is_told_again() {
    let told = told(33, 0);
    assert!(told.starts_with("d28 "), "{told}");
    let later = later(&told);
    assert_eq!(later.len(), 1, "{told}");
    assert!(
        later[0].starts_with("d29 1") && later[0].contains("escalated critical"),
        "{told}"
    );
}

#[test]
fn a_loss_that_goes_on_or_worsens_a_little_is_not() {
    assert!(later(&told(33, 4)).is_empty(), "{}", told(33, 4));
    assert!(later(&told(33, 3)).is_empty(), "{}", told(33, 3));
}
