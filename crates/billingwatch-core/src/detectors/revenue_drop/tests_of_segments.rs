//! Stories of one country, or one way of paying, that stops.

use insta::assert_snapshot;

use super::tests::{Story, steps};

const DAY: i64 = 86_400;

/// Sales of a day: so many of this country's cards, at all hours.
fn of(story: &mut Story, country: &str, day: i64, count: i64) {
    paid(
        story,
        &format!("card=of_{country} country={country} type=card"),
        day,
        count,
    );
}

fn paid(story: &mut Story, words: &str, day: i64, count: i64) {
    for n in 0..count {
        let at = day * DAY + (2 * n + 1) * DAY / (2 * count);
        story.at(at, format!("charge.succeeded amt=5000 {words}"));
    }
}

/// Germany's share of the sales of each day from the thirtieth on, after as many weeks of 24 a day.
fn german(days: &[i64], others: i64) -> String {
    let mut story = Story::default();
    for day in 0..30 + i64::try_from(days.len()).unwrap_or_default() {
        let late = usize::try_from(day - 30)
            .ok()
            .and_then(|late| days.get(late));
        // One in six days is poorer by a fifth.
        let usual = if day % 6 == 0 { 19 } else { 24 };
        of(&mut story, "DE", day, late.copied().unwrap_or(usual));
        of(
            &mut story,
            "FR",
            day,
            if late.is_some() { others } else { 200 },
        );
    }
    story.told_until(30 + i64::try_from(days.len()).unwrap_or_default())
}

#[test]
fn a_country_whose_sales_stop_is_told_and_is_over_when_they_are_back() {
    assert_snapshot!(german(&[0, 0, 24], 200), @"
    d30 22:02:00 firing medium usd/country/DE: cards of DE brought 2 sales in 24 hours where 24 are usual, of some 50.00 USD each, while others brought 200 where 200 are
    d32 04:02:00 resolved medium usd/country/DE: 4 sales in the last 6 hours, where 6 are usual
    ");
}

#[test]
fn a_country_that_stays_away_is_given_up_and_not_told_again() {
    assert_eq!(steps(&german(&[0; 20], 200)), ["firing", "resolved"]);
}

#[test]
fn a_poor_day_of_a_country_is_none() {
    for left in [6, 12, 24, 60] {
        assert!(german(&[left, left], 200).is_empty(), "{left} left");
    }
}

#[test]
fn where_all_sales_stop_the_whole_is_told_and_no_part() {
    let told = german(&[0, 0], 10);
    assert_eq!(steps(&told), ["firing", "escalated", "escalated"]);
    assert!(!told.contains("country"), "{told}");
}

#[test]
fn a_way_of_paying_that_stops_is_told_unless_the_others_take_its_place() {
    let told = |others: i64| {
        let mut story = Story::default();
        for day in 0..32 {
            let is_off = day >= 30;
            paid(&mut story, "type=klarna", day, if is_off { 0 } else { 24 });
            paid(
                &mut story,
                "type=card",
                day,
                if is_off { others } else { 160 },
            );
        }
        story.told_until(32)
    };
    assert_snapshot!(told(160), @"d30 22:02:00 firing medium usd/method/klarna: payments by `klarna` brought 2 sales in 24 hours where 24 are usual, of some 50.00 USD each, while others brought 160 where 160 are");
    assert_snapshot!(told(184), @"d30 22:02:00 quiet paid_otherwise usd: payments by `klarna` came 2 times in 24 hours where 24 are usual, and the others 182 times where 160 are: they pay in another way");
}

#[test]
fn vouchers_that_still_come_in_do_not_hide_that_nobody_pays_by_card() {
    let told = |cards: i64| {
        let mut story = Story::default();
        for day in 0..31 {
            paid(&mut story, "type=oxxo", day, 24);
            paid(
                &mut story,
                "type=card",
                day,
                if day < 30 { 72 } else { cards },
            );
        }
        story.told_until(31)
    };
    let stopped = told(0);
    assert!(stopped.contains("firing high usd/method/card"), "{stopped}");
    assert!(!told(20).contains("method/card"), "{}", told(20));
}

#[test]
fn a_country_known_for_days_alone_or_of_few_sales_says_nothing() {
    let mut story = Story::default();
    for day in 0..32 {
        of(&mut story, "FR", day, 200);
        // A campaign of three weeks.
        of(
            &mut story,
            "DE",
            day,
            if (9..30).contains(&day) { 30 } else { 0 },
        );
        of(&mut story, "AT", day, if day < 30 { 5 } else { 0 });
    }
    assert_eq!(story.told_until(32), "");
}
