//! Bank debits come back days after they were made.

use crate::testing::{check, in_order};

const DAY: i64 = 86_400;

/// Collections of 200 debits on the first days of five months, and what of each comes back on the
/// second morning after; the others succeed on the fourth.
fn rents(returned: [usize; 5]) -> String {
    let mut lines = Vec::new();
    for (month, returned) in returned.into_iter().enumerate() {
        let begin = i64::try_from(month).unwrap_or_default() * 30 * DAY;
        for n in 0..200 {
            let at = begin + i64::try_from(n).unwrap_or_default() * 20;
            let debit = format!("ch=ch_{month}_{n} cus=cus_{n} type=us_bank_account amt=90000");
            lines.push((at, format!("charge.pending {debit}")));
            let (name, after) = if n < returned {
                ("charge.failed code=insufficient_funds", 2)
            } else {
                ("charge.succeeded", 4)
            };
            lines.push((at + after * DAY, format!("{name} {debit} made=-{after}d")));
        }
    }
    in_order(lines) + "+20d wait\n"
}

fn told(timeline: &str) -> Vec<String> {
    let told = check("charge_failure_spike", timeline);
    let lines = told.lines().filter(|line| line.contains("returned_debits"));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_fifth_of_a_collection_that_comes_back_is_one_alert_that_ends() {
    let told = told(&rents([5, 4, 6, 42, 5]));
    let firing = told.iter().filter(|line| line.contains(" firing "));
    assert_eq!(firing.count(), 1, "{told:#?}");
    assert!(
        told[0].contains("bank debits made on 2024-06-02"),
        "{told:#?}"
    );
    assert!(
        told.last().is_some_and(|line| line.contains(" resolved ")),
        "{told:#?}"
    );
}

#[test]
fn what_comes_back_as_a_rule_is_quiet() {
    assert_eq!(told(&rents([5, 4, 6, 11, 2])), [""; 0]);
    // Nor is it more than that, where so much does every month.
    assert_eq!(told(&rents([24, 28, 22, 36, 26])), [""; 0]);
    // Of a stranger nobody knows yet what that is.
    assert_eq!(told(&rents([40, 44, 42, 41, 43])), [""; 0]);
}

#[test]
fn returns_that_come_before_the_successes_are_held_against_all_that_were_made() {
    // On the second morning six returns are all that is known of the collection's end.
    assert_eq!(told(&rents([6, 6, 6, 6, 6])), [""; 0]);
}

#[test]
fn without_a_word_of_how_many_were_made_nothing_is_said() {
    let timeline: String = rents([5, 4, 6, 60, 5])
        .lines()
        .map(|line| {
            let is_pending = line.contains("charge.pending");
            let line = if is_pending {
                line.split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_owned()
                    + " wait"
            } else {
                line.to_owned()
            };
            line + "\n"
        })
        .collect();
    assert_eq!(told(&timeline), [""; 0]);
}
