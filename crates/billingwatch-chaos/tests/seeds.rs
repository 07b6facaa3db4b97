//! A few seeds hold, a seed is one story, and every planted bug is found: the long forms are the
//! program's.

#![allow(clippy::panic, reason = "tests")]

use billingwatch_chaos::{Bug, play};

/// Enough to notice when something is badly wrong; thousands are played by the program.
const SEEDS: u64 = 25;

#[test]
fn seeds_hold() {
    for seed in 0..SEEDS {
        let (report, outcome) = play(seed, None, false);
        if let Err(broken) = outcome {
            panic!(
                "{}\nplay it again: cargo run -p billingwatch-chaos -- --seed {seed}",
                broken.reason
            );
        }
        assert!(report.acknowledged > 0, "seed {seed} is no story");
    }
}

#[test]
fn a_seed_is_the_same_story_each_time() {
    for seed in [1, 7] {
        let (first, _) = play(seed, None, true);
        let (second, _) = play(seed, None, true);
        assert_eq!(first, second, "seed {seed}");
        assert!(first.trace.len() > 50);
    }
}

#[test]
fn every_planted_bug_is_found() {
    for bug in Bug::ALL {
        let found = (0..bug.seeds()).find(|seed| play(*seed, Some(*bug), false).1.is_err());
        assert!(
            found.is_some(),
            "{} was not found within {} seeds",
            bug.name(),
            bug.seeds()
        );
    }
}

#[test]
fn names_of_bugs_are_read_as_they_are_written() {
    for bug in Bug::ALL {
        assert_eq!(Bug::named(bug.name()), Some(*bug));
    }
    assert_eq!(Bug::named("none"), None);
}
