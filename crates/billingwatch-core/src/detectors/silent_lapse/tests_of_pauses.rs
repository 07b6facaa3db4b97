//! Timelines of collection that is paused, and goes on.

use crate::testing::check;

#[test]
fn a_resumed_subscription_owes_nothing_for_the_pause() {
    let told = check(
        "silent_lapse",
        "
        +0s   customer.subscription.created sub=sub_1 to=30d
        +1s   invoice.paid sub=sub_1 through=30d
        +5d   customer.subscription.updated sub=sub_1 from=-5d to=25d paused
        +60d  customer.subscription.updated sub=sub_1 from=-5d to=25d
        +27d  wait
    ",
    );
    assert!(!told.contains("firing"), "{told}");
}

/// A pause that ends of itself, so long after it began; in it a period of thirty days turns after twenty-five.
fn paused_for(resumes: &str) -> String {
    check(
        "silent_lapse",
        &format!(
            "
        +0s   customer.subscription.created sub=sub_1 to=30d
        +1s   invoice.paid sub=sub_1 through=30d
        +5d   customer.subscription.updated sub=sub_1 from=-5d to=25d paused resumes={resumes}
        +40d  wait
    "
        ),
    )
}

#[test]
fn a_pause_that_has_ended_excuses_nothing() {
    let told = paused_for("20d");
    assert!(told.starts_with("d33 "), "{told}");
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    // One that goes on over the turn, if only by hours, means that turn.
    for over in ["25d", "601h", "60d"] {
        assert!(!paused_for(over).contains("firing"), "{over}");
    }
}
