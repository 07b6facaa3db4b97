//! Bank debits come back days after they were made.

use crate::alert::AlertStatus;
use crate::engine::{Engine, Registry};
use crate::testing::{Step, check, in_order, records};

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

/// How many events the alert counts when it is over.
fn counted(timeline: &str) -> Vec<u64> {
    let mut factories = crate::detectors::all();
    factories.retain(|factory| factory.spec().name == "charge_failure_spike");
    let mut engine = Engine::new(Registry::new(factories));
    let mut counts = Vec::new();
    for step in records(timeline) {
        match step {
            Step::Record(record) => drop(engine.apply(&record)),
            Step::Wait(until) => engine.advance_to(until),
        }
        for change in engine.take_changes() {
            let alert = change.alert;
            if alert.status == AlertStatus::Resolved && alert.title.starts_with("Bank debits") {
                counts.push(alert.count);
            }
        }
    }
    counts
}

#[test]
fn what_came_back_of_a_day_before_it_was_told_of_is_counted_too() {
    // Months of collections on two days in a row; of the last, four of the second day come back before
    // the first day's forty make an alert, and then thirty-six more.
    let mut lines = Vec::new();
    for month in 0..5_i64 {
        for (day, others) in [(0, 4), (1, 4)] {
            let begin = (month * 30 + day) * DAY;
            for n in 0..200 {
                let at = begin + n * 20;
                let debit = format!(
                    "ch=ch_{month}_{day}_{n} cus=cus_{day}_{n} type=us_bank_account amt=90000"
                );
                lines.push((at, format!("charge.pending {debit}")));
                let returned = if month < 4 { others } else { 40 };
                let is_early = month == 4 && day == 1 && n < 4;
                let (name, after) = match n {
                    _ if is_early => ("charge.failed code=insufficient_funds", 1),
                    _ if n < returned => ("charge.failed code=insufficient_funds", 3),
                    _ => ("charge.succeeded", 4),
                };
                let late = if is_early { 3_600 } else { 0 };
                lines.push((
                    at + after * DAY + late,
                    format!("{name} {debit} made=-{after}d"),
                ));
            }
        }
    }
    let timeline = in_order(lines) + "+20d wait\n";
    assert_eq!(
        told(&timeline)
            .iter()
            .filter(|line| line.contains(" firing "))
            .count(),
        1
    );
    assert_eq!(counted(&timeline), [80]);
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
