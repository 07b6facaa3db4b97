//! Sales that break off within the hour, and those that only fade in the evening.

use std::fmt::Write as _;

use insta::assert_snapshot;

use crate::testing::check;

const HOUR: i64 = 3_600;

/// So many sales of 40.00 in each hour of each day, from a Monday on.
fn told(days: i64, sales: impl Fn(i64, i64) -> i64) -> String {
    let (mut timeline, mut now) = (String::new(), 0);
    for hour in 0..days * 24 {
        let count = sales(hour / 24, hour % 24);
        let _ = writeln!(timeline, "+{}s customer.updated", hour * HOUR - now);
        now = hour * HOUR;
        if count > 0 {
            let every = HOUR / count;
            let _ = writeln!(timeline, "+0s charge.succeeded amt=4000 x{count}/{every}s");
            now += (count - 1) * every;
        }
    }
    check("revenue_drop", &timeline)
}

/// Awake from eight to ten in the evening, with a meal at noon.
const fn by_day(hour: i64) -> i64 {
    match hour {
        12 | 13 => 600,
        8..=21 => 200,
        _ => 0,
    }
}

/// Sales that rise until noon, and fall by a quarter from hour to hour in the evening.
const fn fading(hour: i64) -> i64 {
    match hour {
        0..=7 => 20,
        8..=17 => 240,
        18 => 180,
        19 => 135,
        20 => 100,
        21 => 75,
        22 => 56,
        _ => 42,
    }
}

#[test]
fn an_outage_of_two_hours_is_told_in_the_first_week_of_who_sleeps() {
    let outage = |day: i64, hour: i64| match (day, hour) {
        (3, 17 | 18) => 20,
        _ => by_day(hour),
    };
    assert_snapshot!(told(5, outage), @"
    d3 18:02:00 firing medium usd: 1 hour brought 800.00 USD, 87.5 % less than the 6,400.00 USD that subscriptions and usual sales foretold: 0 of 0 renewals paid; 20 other payments where 160 are usual
    d4 12:02:00 resolved medium usd: the last 3 hours brought 24,000.00 USD of 19,200.00 USD expected
    ");
}

#[test]
fn a_day_that_is_quieter_from_its_morning_on_is_none() {
    assert_eq!(told(4, |_, hour| by_day(hour)), "");
    let quieter = |day: i64, hour: i64| {
        if day == 3 {
            by_day(hour) / 3
        } else {
            by_day(hour)
        }
    };
    assert_eq!(told(5, quieter), "");
}

#[test]
fn a_sale_that_is_over_and_a_meal_that_nobody_takes_are_none() {
    let sale = |day: i64, hour: i64| match (day, hour) {
        (2, 15..=17) => 900,
        _ => by_day(hour),
    };
    assert_eq!(told(4, sale), "");
    let no_meal = |day: i64, hour: i64| {
        if day == 3 {
            by_day(hour).min(200)
        } else {
            by_day(hour)
        }
    };
    assert_eq!(told(5, no_meal), "");
}

#[test]
fn who_sleeps_may_close_at_noon_on_the_first_saturday() {
    let half_day = |day: i64, hour: i64| {
        if day >= 5 && hour >= 12 {
            0
        } else {
            by_day(hour)
        }
    };
    assert_eq!(told(6, half_day), "");
    // Who sells at all hours does not.
    let day_and_night = |day: i64, hour: i64| match (day, hour) {
        (5, 12 | 13) => 3,
        _ => 100,
    };
    assert!(told(6, day_and_night).starts_with("d5 1"));
}

#[test]
fn an_hour_that_brings_a_tenth_is_told_once_weeks_are_known() {
    let outage = |day: i64, hour: i64| match (day, hour) {
        (16, 15) => 24,
        _ => fading(hour),
    };
    assert_snapshot!(told(18, outage), @"
    d16 16:02:00 firing medium usd: 1 hour brought 960.00 USD, 90 % less than the 9,600.00 USD that subscriptions and usual sales foretold: 0 of 0 renewals paid; 24 other payments where 240 are usual
    d17 01:02:00 resolved medium usd: the last 6 hours brought 17,120.00 USD of 17,120.00 USD expected
    ");
    let poor = |day: i64, hour: i64| match (day, hour) {
        (16, 15) => 150,
        _ => fading(hour),
    };
    assert_eq!(told(18, poor), "");
}

#[test]
fn what_is_lost_of_an_evening_is_told_though_an_hour_later_less_is_usual() {
    let outage = |day: i64, hour: i64| match (day, hour) {
        (16, 18..) => fading(hour) * 35 / 100,
        _ => fading(hour),
    };
    let told_of_outage = told(18, outage);
    assert!(told_of_outage.starts_with("d16 19"), "{told_of_outage}");
    // From that Sunday on all comes an hour earlier: clocks were put forward.
    let earlier = |day: i64, hour: i64| {
        if day >= 20 {
            fading((hour + 1) % 24)
        } else {
            fading(hour)
        }
    };
    assert_eq!(told(27, earlier), "");
}
