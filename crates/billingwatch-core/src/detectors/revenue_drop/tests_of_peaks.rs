//! Peaks that end, and losses in them.

use std::fmt::Write as _;

use crate::testing::check;

const DAY: i64 = 86_400;

/// So many sales of 50.00 a day.
fn told(sales: impl Fn(i64) -> i64, days: i64) -> String {
    let (mut timeline, mut now) = (String::new(), 0);
    for day in 0..days {
        let sales = sales(day);
        for n in 0..96 {
            let at = day * DAY + n * 900;
            let _ = writeln!(timeline, "+{}s charge.failed amt=100", at - now);
            now = at;
            let count = (n + 1) * sales / 96 - n * sales / 96;
            if count > 0 {
                let _ = writeln!(timeline, "+0s charge.succeeded amt=5000 x{count}/1s");
            }
        }
    }
    check("revenue_drop", &timeline)
}

/// Ordinary days, but for seven weeks of a season, of twice as many.
const fn with_season(day: i64) -> i64 {
    if 42 <= day && day < 91 { 192 } else { 96 }
}

#[test]
fn a_season_that_ends_is_no_loss() {
    assert_eq!(told(with_season, 112), "");
}

#[test]
fn what_is_half_of_the_ordinary_after_a_season_is_one() {
    let told = told(|day| if day < 91 { with_season(day) } else { 48 }, 95);
    assert!(told.starts_with("d91 "), "{told}");
}

#[test]
fn an_outage_in_a_season_is_told_at_once() {
    let told = told(|day| if day == 84 { 0 } else { with_season(day) }, 86);
    assert!(told.starts_with("d84 0"), "{told}");
}

/// Two in a hundred a week: from 90 sales a day to 112.
fn with_growth(day: i64) -> i64 {
    (0..day / 7).fold(9_000, |sales, _| sales * 102 / 100) / 100
}

#[test]
fn who_grows_is_told_of_a_loss_all_the_same() {
    assert_eq!(told(with_growth, 84), "");
    let told = told(
        |day| with_growth(day) * if day < 77 { 100 } else { 55 } / 100,
        80,
    );
    assert!(told.contains("firing"), "{told}");
}

/// A season that comes and fades, week by week.
fn with_fading(day: i64) -> i64 {
    let weeks = [
        48, 64, 96, 144, 192, 192, 192, 160, 128, 96, 72, 54, 40, 30, 22,
    ];
    let week = usize::try_from(day / 7).unwrap_or_default();
    weeks.get(week).copied().unwrap_or_default()
}

#[test]
fn a_season_that_fades_is_no_loss() {
    assert_eq!(told(with_fading, 105), "");
}

#[test]
fn an_outage_while_it_fades_is_one() {
    let told = told(|day| if day < 77 { with_fading(day) } else { 0 }, 79);
    assert!(told.starts_with("d77 "), "{told}");
}

/// A ski season: it comes within a month and goes on for ten weeks.
fn with_long_season(day: i64) -> i64 {
    let weeks = [20, 20, 24, 24, 40, 90];
    let week = usize::try_from(day / 7).unwrap_or_default();
    weeks.get(week).copied().unwrap_or(144)
}

#[test]
fn a_loss_in_the_middle_of_a_season_is_told_whatever_was_before_it() {
    assert_eq!(told(with_long_season, 108), "");
    // Little less than came two months before.
    let lost = |day| if day < 105 { with_long_season(day) } else { 80 };
    let told = told(lost, 108);
    assert!(told.starts_with("d105 "), "{told}");
}

#[test]
fn what_was_ordinary_before_a_campaign_stays_ordinary_for_seven_weeks() {
    let lost = |day| if (42..91).contains(&day) { 144 } else { 48 };
    assert_eq!(told(lost, 94), "");
}

/// Ten weeks of a season, of which the last three have less and less.
#[test]
fn a_long_season_that_has_begun_to_fade_may_go_on_to() {
    let fading = |day: i64| match day / 7 {
        0..=12 => with_long_season(day),
        13 => 110,
        14 => 86,
        _ => 60,
    };
    assert_eq!(told(fading, 112), "");
}

/// Sundays of 200, but for the first, which is the first of a month, of 400.
const fn with_a_rich_sunday(day: i64) -> i64 {
    match day {
        6 => 400,
        _ if day % 7 == 6 => 200,
        _ => 420,
    }
}

#[test]
fn sundays_that_are_poorer_than_the_first_are_told_once_and_not_each_week() {
    let told = told(with_a_rich_sunday, 36);
    assert_eq!(told.matches("firing").count(), 1, "{told}");
}

#[test]
fn an_outage_that_comes_again_a_week_later_is_told_again() {
    let told = told(|day| if day == 13 || day == 20 { 0 } else { 400 }, 23);
    assert_eq!(told.matches("firing").count(), 2, "{told}");
}
