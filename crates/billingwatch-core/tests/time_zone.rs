//! Habits follow the merchant's clocks: also where they are put forward and back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fmt::Write as _;

use billingwatch_core::calendar::Calendar;
use billingwatch_core::engine::{Engine, Registry, SnapshotError};
use billingwatch_core::testing::{START, check_in};
use billingwatch_core::time::{Span, Timestamp};
use insta::assert_snapshot;

fn zone(name: &str) -> Calendar {
    Calendar::of(name).unwrap()
}

/// A timeline whose lines stand at instants rather than after each other.
struct Story {
    text: String,
    now: Timestamp,
}

impl Story {
    const fn new() -> Self {
        Self {
            text: String::new(),
            now: START,
        }
    }

    fn line(&mut self, at: Timestamp, event: &str) {
        let after = at.since(self.now).as_secs();
        assert!(after >= 0, "{at}");
        writeln!(self.text, "+{after}s {event}").unwrap();
        self.now = at;
    }

    /// So many events, so many minutes apart.
    fn lines(&mut self, at: Timestamp, event: &str, times: i64, minutes: i64) {
        self.line(at, &format!("{event} x{times}/{minutes}m"));
        self.now = at + Span::minutes((times - 1) * minutes);
    }
}

/// Days since the start, and an hour by the merchant's clocks.
fn local(calendar: &Calendar, day: i64, hour: i64) -> Timestamp {
    let noon = START + Span::days(day) + Span::hours(12);
    let begun = calendar.day_start(calendar.day(noon));
    // No story needs the hours in which clocks change.
    let at = begun + Span::hours(hour);
    let moved = calendar.offset_at(begun).as_millis() - calendar.offset_at(at).as_millis();
    at + Span::millis(moved)
}

/// A shop that sells from nine to five, ten payments an hour, and stays closed on the mornings of
/// `lost`.
fn shop(calendar: &Calendar, days: std::ops::Range<i64>, lost: &[i64]) -> String {
    let mut story = Story::new();
    for day in days {
        // Customers come as ever: it is not that no event arrives.
        let is_lost = lost.contains(&day);
        if is_lost {
            story.lines(local(calendar, day, 9), "customer.updated", 50, 6);
        }
        let (from, sold) = if is_lost { (14, 30) } else { (9, 80) };
        let at = local(calendar, day, from);
        story.lines(at, "charge.succeeded amt=5000", sold, 6);
    }
    story.line(story.now + Span::hours(2), "wait");
    story.text
}

#[test]
fn a_shops_hours_move_with_its_clocks() {
    // Berlin's clocks go forward on 31 March (day 27) and back on 27 October (day 237).
    for (name, days) in [
        ("Europe/Berlin", 0..45),
        ("Europe/Berlin", 205..255),
        ("Australia/Lord_Howe", 5..50),
        ("Australia/Lord_Howe", 190..235),
        ("Asia/Kolkata", 0..30),
    ] {
        let calendar = zone(name);
        let told = check_in(
            calendar.clone(),
            "revenue_drop",
            &shop(&calendar, days.clone(), &[]),
        );
        assert_eq!(told, "", "{name} {days:?}");
    }
}

#[test]
fn a_morning_lost_after_the_change_is_told_by_its_own_hours() {
    let berlin = zone("Europe/Berlin");
    let spring = shop(&berlin, 0..32, &[29]);
    let autumn = shop(&berlin, 205..242, &[239]);
    assert_snapshot!(check_in(Calendar::utc(), "revenue_drop", &spring), @"
        d29 09:02:00 firing critical usd: 18 hours brought 0.00 USD, 100 % less than the 1,000.00 USD that subscriptions and usual sales foretold: 0 of 0 renewals paid; 0 other payments where 20 are usual
        d30 11:02:00 resolved critical usd: the last 6 hours brought 2,000.00 USD of 1,500.00 USD expected
        ");
    assert_snapshot!(check_in(berlin.clone(), "revenue_drop", &spring), @"
        d29 09:02:00 firing critical usd: 6 hours brought 0.00 USD, 100 % less than the 1,000.00 USD that subscriptions and usual sales foretold: 0 of 0 renewals paid; 0 other payments where 20 are usual
        d29 21:02:00 resolved critical usd: the last 9 hours brought 1,500.00 USD of 1,500.00 USD expected
        ");
    assert_snapshot!(check_in(berlin, "revenue_drop", &autumn), @"
        d239 10:02:00 firing critical usd: 6 hours brought 0.00 USD, 100 % less than the 1,000.00 USD that subscriptions and usual sales foretold: 0 of 0 renewals paid; 0 other payments where 20 are usual
        d239 22:02:00 resolved critical usd: the last 9 hours brought 1,500.00 USD of 1,500.00 USD expected
        ");
    let howe = zone("Australia/Lord_Howe");
    let autumn = shop(&howe, 5..40, &[36]);
    assert_snapshot!(check_in(howe, "revenue_drop", &autumn), @"
        d36 01:02:00 firing critical usd: 12 hours brought 0.00 USD, 100 % less than the 1,500.00 USD that subscriptions and usual sales foretold: 0 of 0 renewals paid; 0 other payments where 30 are usual
        d36 12:02:00 resolved critical usd: nothing was to be expected in the last 6 hours; what was missing may still be
        ");
    let kolkata = zone("Asia/Kolkata");
    let lost = shop(&kolkata, 0..25, &[22]);
    assert_snapshot!(check_in(kolkata, "revenue_drop", &lost), @"
        d22 05:02:00 firing high usd: 6 hours brought 0.00 USD, 100 % less than the 750.00 USD that subscriptions and usual sales foretold: 0 of 0 renewals paid; 0 other payments where 15 are usual
        d22 06:02:00 escalated critical usd: 7 hours brought 0.00 USD, 100 % less than the 1,250.00 USD that subscriptions and usual sales foretold: 0 of 0 renewals paid; 0 other payments where 25 are usual
        d22 18:02:00 resolved critical usd: the last 9 hours brought 1,250.00 USD of 1,250.00 USD expected
        ");
}

#[test]
fn the_plainest_rule_names_the_local_day() {
    // Before half past six in the evening, in UTC, Kolkata's next day has not begun.
    let mut story = Story::new();
    story.line(START, "set revenue_drop.is_literal=true");
    for day in 0..12 {
        let sold = if day == 10 { 5 } else { 20 };
        let evening = START + Span::days(day) + Span::hours(19);
        story.lines(evening, "charge.succeeded amt=5000", sold, 5);
    }
    story.line(story.now + Span::hours(30), "wait");
    assert_snapshot!(check_in(Calendar::utc(), "revenue_drop", &story.text), @"
        d11 19:01:00 firing critical usd: 2024-03-14 collected 250.00 USD, 75 % below the average of 1,000.00 USD of the 7 days before
        d12 02:00:00 resolved critical usd: 2024-03-15 collected 1,000.00 USD again
        ");
    assert_snapshot!(check_in(zone("Asia/Kolkata"), "revenue_drop", &story.text), @"d11 20:30:00 firing critical usd: 2024-03-15 collected 250.00 USD, 75 % below the average of 1,000.00 USD of the 7 days before");
}

#[test]
fn a_silence_is_judged_by_the_hours_that_the_clocks_show() {
    let berlin = zone("Europe/Berlin");
    let office = |silent: Option<i64>| {
        let mut story = Story::new();
        for day in (0..35).filter(|day| Some(*day) != silent) {
            story.lines(local(&berlin, day, 9), "charge.succeeded", 240, 2);
        }
        story.line(story.now + Span::hours(1), "wait");
        story.text
    };
    assert_eq!(check_in(berlin.clone(), "webhook_lag", &office(None)), "");
    // Nothing comes on the Tuesday after the clocks were put forward. For two weeks an hour has to pass more: renewals
    // keep to UTC, and would come at ten by these clocks.
    let told = check_in(berlin.clone(), "webhook_lag", &office(Some(29)));
    assert_snapshot!(told, @"
        d29 08:25:00 firing high delivery: no event for 17h 27m (since 2024-04-01T14:58:00Z), where 13 minutes with events were to be expected
        d30 07:10:00 resolved high delivery: events arrive again since 2024-04-03T07:00:00Z, on time
        ");
}

#[test]
fn a_snapshot_of_another_zone_is_not_misread() {
    let registry = |name: &str| Registry::standard().in_zone(zone(name));
    let bytes = Engine::new(registry("Europe/Berlin")).snapshot().unwrap();
    assert!(Engine::restore(registry("Europe/Berlin"), &bytes).is_ok());
    for other in ["America/New_York", "UTC"] {
        assert!(
            matches!(
                Engine::restore(registry(other), &bytes),
                Err(SnapshotError::TimeZone)
            ),
            "{other}"
        );
    }
}
