//! Timelines of short outages: what Stripe's retries bring afterwards, and what is a lag all the same.

use std::fmt::Write as _;

use insta::assert_snapshot;

use crate::testing::check;

const NAME: &str = "webhook_lag";

/// An event a minute.
const CALM: &str = "+0s customer.created x100/1m\n";

/// Retries of what was made in so many minutes, from the first that nothing came in on: every other minute, beside
/// what is made since.
fn retries(minutes: u32, first_late: u32) -> String {
    let mut timeline = String::new();
    for n in 0..minutes {
        let late = first_late + n;
        let _ = writeln!(
            timeline,
            "+1m customer.created late={late}m\n+1m customer.created"
        );
    }
    timeline
}

#[test]
fn retries_of_what_was_made_in_a_few_minutes_are_no_lag_once_that_is_over() {
    // Nothing came for seven minutes; twelve minutes later the retries begin.
    let told = check(
        NAME,
        &format!("{CALM}+7m customer.created x12/1m\n{}", retries(6, 18)),
    );
    assert_snapshot!(told, @"d0 02:06:00 quiet short_outage -: events 22m old arrive, made from 2024-03-04T01:40:00Z to 2024-03-04T01:44:00Z, when nothing came at once, while what was made since is on time: a short outage that is over");
}

/// Stripe's first retry comes soon: it shows that the endpoint is back before anything new is made.
#[test]
fn an_early_retry_shows_that_it_is_over_where_little_comes() {
    let told = check(
        NAME,
        "
        +0s  customer.created x100/30m
        +11m customer.created late=2m
        +10m customer.created late=16m
        +1m  customer.created late=13m
        +8m  customer.created late=25m
        +20m customer.created x20/30m
    ",
    );
    assert_snapshot!(told, @"d2 02:00:00 quiet short_outage -: events 25m old arrive, made from 2024-03-06T01:35:00Z to 2024-03-06T01:39:00Z, when nothing came at once, while what was made since is on time: a short outage that is over");
}

#[test]
fn the_same_is_a_lag_where_what_is_made_since_is_late_as_well() {
    let told = check(
        NAME,
        &format!("{CALM}+19m customer.created late=18m x6/1m\n"),
    );
    assert_snapshot!(told, @"d0 02:00:00 firing medium delivery: 3 of 43 events of the last 1h arrived over 10m after they were made: 18m late as a rule, 18m at worst");
}

#[test]
fn the_same_is_a_lag_where_others_of_these_minutes_came_at_once() {
    let told = check(
        NAME,
        &format!("{CALM}+1m customer.created x18/1m\n{}", retries(6, 18)),
    );
    assert_snapshot!(told, @"d0 02:06:00 firing medium delivery: 5 of 61 events of the last 1h arrived over 10m after they were made: 20m late as a rule, 22m at worst");
}

#[test]
fn a_longer_outage_is_told_though_it_is_over() {
    let told = check(
        NAME,
        &format!("{CALM}+20m customer.created x5/1m\n{}", retries(19, 24)),
    );
    assert_snapshot!(told, @"
        d0 02:10:00 quiet short_outage -: events 27m old arrive, made from 2024-03-04T01:40:00Z to 2024-03-04T01:43:00Z, when nothing came at once, while what was made since is on time: a short outage that is over
        d0 02:30:00 firing medium delivery: 14 of 42 events of the last 1h arrived over 10m after they were made: 30m 30s late as a rule, 37m at worst
        ");
}

/// A pause that is odd says how long it was, before its backlog does.
#[test]
fn a_longer_outage_is_told_at_once_where_the_pause_is_odd() {
    let told = check(
        NAME,
        "
        +0s  customer.created x3600/3m
        +27m customer.created x3/3m
        +1m  customer.created late=31m
        +1m  customer.created late=29m
        +1m  customer.created late=27m
    ",
    );
    assert_snapshot!(told, @"d7 12:33:00 firing medium delivery: 3 of 15 events of the last 1h arrived over 10m after they were made: 29m late as a rule, 31m at worst");
}

#[test]
fn what_is_hours_late_was_refused_for_longer() {
    let told = check(
        NAME,
        &format!("{CALM}+12m customer.created x12/10m\n{}", retries(6, 121)),
    );
    assert!(told.contains("firing high delivery"), "{told}");
}

#[test]
fn a_second_outage_within_the_hour_is_told() {
    let told = check(
        NAME,
        &format!(
            "{CALM}+7m customer.created x12/1m\n{}+7m customer.created x12/1m\n{}",
            retries(6, 18),
            retries(6, 18)
        ),
    );
    assert_snapshot!(told, @"
        d0 02:06:00 quiet short_outage -: events 22m old arrive, made from 2024-03-04T01:40:00Z to 2024-03-04T01:44:00Z, when nothing came at once, while what was made since is on time: a short outage that is over
        d0 02:32:00 firing medium delivery: 9 of 49 events of the last 1h arrived over 10m after they were made: 20m late as a rule, 23m at worst
        ");
}
