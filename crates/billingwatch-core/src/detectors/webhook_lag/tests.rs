//! Timelines: what is late or silent, what is neither, and that one incident is one alert.

use crate::engine::{Engine, Registry};
use crate::testing::{Step, check, records};
use insta::assert_snapshot;

#[test]
fn late_deliveries_fire_and_deliveries_on_time_end_it() {
    assert_snapshot!(check("webhook_lag", "
        +0s  customer.created x100/1m
        +26m customer.created late=25m x8/1m
        +1m  customer.created late=90m x20/1m
        +1m  customer.created x40/1m
    "), @"
        d0 02:07:00 firing medium delivery: 3 of 36 events of the last 1h arrived over 10m after they were made: 25m late as a rule, 25m at worst
        d0 02:22:00 escalated high delivery: 17 of 35 events of the last 1h arrived over 10m after they were made: 1h 30m late as a rule, 1h 30m at worst
        d0 03:02:00 resolved high delivery: 29 of the newest 30 deliveries were on time
        ");
}

#[test]
fn one_retry_after_a_hiccup_is_no_lag() {
    let told = check(
        "webhook_lag",
        "
        +0s  customer.created x50/1m
        +1m  customer.created late=30m x2/1m
        +1m  customer.created x50/1m
    ",
    );
    assert_eq!(told, "");
}

/// A renewal run of an event a second, half an hour long.
const RUN: &str = "+0s customer.created x200/1m\n+1s customer.created x1800/1s\n";

/// Under its load the endpoint answers one in thirty with a 5xx, and Stripe delivers these again half
/// an hour later: most of the little that comes by then, and few of the run.
#[test]
fn redeliveries_of_a_few_events_of_a_renewal_run_are_no_lag() {
    let retries = "+10m customer.created late=35m x60/20s\n+1m customer.created x60/1m\n";
    assert_eq!(check("webhook_lag", &format!("{RUN}{retries}")), "");
}

#[test]
fn what_is_made_after_a_renewal_run_and_comes_late_is_a_lag() {
    let lag = "+36m customer.created late=35m x8/1m\n";
    assert_snapshot!(check("webhook_lag", &format!("{RUN}{lag}")), @"d0 04:27:00 firing medium delivery: 3 of 1324 events of the last 1h arrived over 10m after they were made: 35m late as a rule, 35m at worst");
    // One event of three, among others on time.
    let of_three = "+20s customer.created late=35m\n+20s customer.created x2/20s\n".repeat(12);
    let of_three = format!("{RUN}+1m customer.created x36/1m\n{of_three}");
    let told = check("webhook_lag", &of_three);
    assert!(told.contains("firing medium delivery"), "{told}");
}

#[test]
fn ten_minutes_are_not_late_yet() {
    assert_eq!(
        check("webhook_lag", "+0s customer.created late=10m x50/1m"),
        ""
    );
}

#[test]
fn most_events_minutes_late_are_an_incident_of_a_merchant_whose_events_never_are() {
    assert_snapshot!(check("webhook_lag", "
        +0s  customer.created x1500/1m
        +3m  customer.created late=3m x40/1m
        +1m  customer.created x60/1m
    "), @"
        d1 01:17:00 firing low delivery: 16 of 59 events of the last 1h arrived over 1m after they were made: 3m late as a rule, 3m at worst
        d1 02:11:00 resolved low delivery: 30 of the newest 30 deliveries were on time
        ");
}

#[test]
fn most_events_minutes_late_are_an_incident_however_many_come() {
    // More in ten minutes than deliveries are remembered one by one.
    let told = check(
        "webhook_lag",
        "+0s customer.created x90000/1s\n+3m customer.created late=3m x1500/1s\n",
    );
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    // Ten minutes of them are none yet.
    let told = check(
        "webhook_lag",
        "+0s customer.created x90000/1s\n+3m customer.created late=3m x600/1s\n",
    );
    assert_eq!(told, "");
}

#[test]
fn deliveries_that_are_always_minutes_late_are_usual() {
    for every in ["1m", "20m"] {
        let always = format!("+0s customer.created late=3m x3000/{every}");
        assert_eq!(check("webhook_lag", &always), "");
    }
}

#[test]
fn a_handful_minutes_late_or_what_a_short_pause_held_back_is_no_lag() {
    let calm = "+0s customer.created x1500/1m\n";
    // Every second event, and for ten minutes all.
    let half = "+1m customer.created\n+1m customer.created late=3m\n".repeat(40);
    assert_eq!(check("webhook_lag", &format!("{calm}{half}")), "");
    let short = "+3m customer.created late=3m x9/1m\n+1m customer.created x60/1m\n";
    assert_eq!(check("webhook_lag", &format!("{calm}{short}")), "");
}

#[test]
fn redelivered_events_are_not_counted() {
    let told = check(
        "webhook_lag",
        "
        +0s  customer.created evt=evt_1 x1/1s
        +1h  customer.created evt=evt_1 late=1h x20/1s
    ",
    );
    assert_eq!(told, "");
}

#[test]
fn a_backfill_says_nothing_about_delivery() {
    assert_eq!(
        check(
            "webhook_lag",
            "+0s customer.created late=20d historical x50/1m"
        ),
        ""
    );
}

#[test]
fn an_import_of_a_month_is_no_lag_not_even_its_newest_days() {
    assert_snapshot!(check("webhook_lag", "
        +0s  customer.created x100/1m
        +1m  customer.created late=29d x30/1s
        +1s  customer.created late=10d x30/1s
        +1s  customer.created late=2d x30/1s
        +1s  customer.created late=2h x30/1s
        +1m  customer.created x100/1m
    "), @"d0 01:40:00 quiet backfilled -: events 29d old arrive for the first time, which Stripe tries for three days: an import, or sent again by hand");
}

#[test]
fn an_import_that_comes_first_of_all_is_no_lag() {
    assert_snapshot!(check("webhook_lag", "
        +0s  customer.created late=29d x30/1s
        +1s  customer.created late=2d x30/1s
        +1m  customer.created x100/1m
    "), @"d0 00:00:00 quiet backfilled -: events 29d old arrive for the first time, which Stripe tries for three days: an import, or sent again by hand");
}

/// Lists of Stripe's API begin with the newest.
#[test]
fn an_import_at_first_contact_is_no_lag_whatever_comes_first() {
    assert_snapshot!(check("webhook_lag", "
        +0s  customer.created late=20m x2/1s
        +1s  customer.created late=5h x2/1s
        +1s  customer.created late=2d x2/1s
        +1m  customer.created x100/1m
    "), @"d0 00:00:00 quiet backfilled -: events 20m old arrive, made before the first that ever came: an import, or what gathered while this was set up");
    // A live event may come before it, and hours go by.
    assert_snapshot!(check("webhook_lag", "
        +0s  customer.created x100/1m
        +1s  customer.created late=2h x2/1m
        +1s  customer.created late=2d x20/1s
        +1m  customer.created x100/1m
    "), @"d0 01:39:01 quiet backfilled -: events 2h old arrive, made before the first that ever came: an import, or what gathered while this was set up");
}

#[test]
fn what_is_made_after_first_contact_and_comes_late_is_a_lag_from_the_first_hour_on() {
    let told = check(
        "webhook_lag",
        "
        +0s  customer.created x3/1m
        +26m customer.created late=25m x5/1m
    ",
    );
    assert!(told.contains("firing medium delivery"), "{told}");
}

#[test]
fn what_stripe_delivers_for_the_first_time_after_three_days_is_late() {
    assert_snapshot!(check("webhook_lag", "
        +0s  customer.created x40/2h
        +1m  customer.created late=71h x20/1m
        +1m  customer.created x60/1m
    "), @"
        d3 06:04:00 firing high delivery: 4 of 5 events of the last 1h arrived over 10m after they were made: 2d 23h late as a rule, 2d 23h at worst
        d3 06:50:00 resolved high delivery: 29 of the newest 30 deliveries were on time
        ");
}

#[test]
fn a_lag_after_an_import_is_told_and_some_resent_by_hand_hide_none() {
    assert_snapshot!(check("webhook_lag", "
        +0s  customer.created x100/1m
        +1m  customer.created late=29d x30/1s
        +90m customer.created late=25m x8/1m
        +1m  customer.created x60/1m
    "), @"
        d0 01:40:00 quiet backfilled -: events 29d old arrive for the first time, which Stripe tries for three days: an import, or sent again by hand
        d0 03:12:29 firing medium delivery: 3 of 3 events of the last 1h arrived over 10m after they were made: 25m late as a rule, 25m at worst
        d0 03:47:00 resolved medium delivery: 29 of the newest 30 deliveries were on time
        ");
    assert_snapshot!(check("webhook_lag", "
        +0s  customer.created x100/1m
        +1m  customer.created late=29d x9/1s
        +1m  customer.created late=25m x8/1m
        +1m  customer.created x60/1m
    "), @"
        d0 01:40:00 quiet backfilled -: events 29d old arrive for the first time, which Stripe tries for three days: an import, or sent again by hand
        d0 01:45:08 firing medium delivery: 5 of 60 events of the last 1h arrived over 10m after they were made: 25m late as a rule, 25m at worst
        d0 02:18:00 resolved medium delivery: 29 of the newest 30 deliveries were on time
        ");
}

#[test]
fn silence_at_a_busy_hour_is_loud_until_events_are_on_time_again() {
    assert_snapshot!(check("webhook_lag", "
        +0s  customer.created x3600/3m
        +3h  wait
        +1h  customer.created x10/3m
    "), @"
        d7 12:43:00 firing high delivery: no event for 46m (since 2024-03-11T11:57:00Z), where 15 minutes with events were to be expected
        d7 16:07:00 resolved high delivery: events arrive again since 2024-03-11T15:57:00Z, on time
        ");
}

#[test]
fn the_backlog_of_a_silence_is_no_second_incident() {
    assert_snapshot!(check("webhook_lag", "
        +0s  customer.created x3600/3m
        +4h  customer.created late=3h x60/10s
        +1m  customer.created x20/3m
    "), @"
        d7 12:43:00 firing high delivery: no event for 46m (since 2024-03-11T11:57:00Z), where 15 minutes with events were to be expected
        d7 16:17:00 resolved high delivery: events arrive again since 2024-03-11T15:57:00Z, on time
        ");
}

#[test]
fn a_backlog_among_events_on_time_is_no_second_incident_either() {
    assert_snapshot!(check("webhook_lag", "
        +0s  customer.created x3600/3m
        +4h  customer.created
        +1m  customer.created late=3h x60/10s
        +1m  customer.created x20/3m
    "), @"
        d7 12:43:00 firing high delivery: no event for 46m (since 2024-03-11T11:57:00Z), where 15 minutes with events were to be expected
        d7 16:18:00 resolved high delivery: events arrive again since 2024-03-11T15:57:00Z, on time
        ");
}

#[test]
fn a_backlog_long_after_events_were_on_time_is_told_to_be_harmless() {
    assert_snapshot!(check("webhook_lag", "
        +0s  customer.created x3600/3m
        +4h  customer.created x20/3m
        +1m  customer.created late=3h x60/10s
        +1m  customer.created x20/3m
    "), @"
        d7 12:43:00 firing high delivery: no event for 46m (since 2024-03-11T11:57:00Z), where 15 minutes with events were to be expected
        d7 16:07:00 resolved high delivery: events arrive again since 2024-03-11T15:57:00Z, on time
        d7 16:55:00 quiet backlog_draining -: the backlog of a silence drains: events 3h old arrive
        ");
}

#[test]
fn a_silence_whose_events_go_on_to_come_late_is_one_alert_that_follows() {
    assert_snapshot!(check("webhook_lag", "
        +0s  customer.created x3600/3m
        +1h  customer.created late=45m x60/3m
        +1m  customer.created x40/3m
    "), @"
        d7 12:43:00 firing high delivery: no event for 46m (since 2024-03-11T11:57:00Z), where 15 minutes with events were to be expected
        d7 16:25:00 resolved high delivery: 10 of the newest 10 deliveries were on time
        ");
}

#[test]
fn a_night_of_renewals_is_not_expected_again_a_week_later() {
    // From Monday the fourth, an event every ten minutes of the day and every half hour of the
    // night; on the night to the 12th, a Tuesday, one a minute. A week later it is quiet again.
    let told = check(
        "webhook_lag",
        "
        +0s     customer.created x96/10m
        +30m    customer.created x16/30m
        +10m    customer.created x96/10m
        +30m    customer.created x16/30m
        +10m    customer.created x96/10m
        +30m    customer.created x16/30m
        +10m    customer.created x96/10m
        +30m    customer.created x16/30m
        +10m    customer.created x96/10m
        +30m    customer.created x16/30m
        +10m    customer.created x96/10m
        +30m    customer.created x16/30m
        +10m    customer.created x96/10m
        +30m    customer.created x16/30m
        +10m    customer.created x96/10m
        +1m     customer.created x480/1m
        +10m    customer.created x96/10m
        +30m    customer.created x16/30m
        +10m    customer.created x96/10m
        +30m    customer.created x16/30m
        +10m    customer.created x96/10m
        +30m    customer.created x16/30m
        +10m    customer.created x96/10m
        +30m    customer.created x16/30m
        +10m    customer.created x96/10m
        +30m    customer.created x16/30m
        +10m    customer.created x96/10m
        +30m    customer.created x16/30m
        +10m    customer.created x96/10m
        +3h     customer.created x4/90m
    ",
    );
    assert_eq!(told, "");
}

/// So many days from Monday, 2026-02-09, on: an event every twenty minutes from eight to midnight and
/// every two hours of the night; and one a minute from seven to a quarter to eleven on days of a run.
fn charity(days: u16, is_run: fn(u16) -> bool) -> String {
    let mut timeline = String::from("+707d wait\n");
    for day in 0..days {
        timeline += "+2h invoice.created x3/2h\n";
        timeline += if is_run(day) {
            "+1h invoice.created x225/1m\n+16m invoice.created x40/20m\n"
        } else {
            "+2h invoice.created x49/20m\n"
        };
    }
    timeline
}

/// The 1st and the 15th; three of them are Sundays, the 6th, 20th and 34th day.
fn is_first_or_fifteenth(day: u16) -> bool {
    [6, 20, 34, 51, 65].contains(&day)
}

#[test]
fn runs_on_the_1st_and_the_15th_that_are_sundays_are_not_expected_every_sunday() {
    let told = check("webhook_lag", &charity(80, is_first_or_fifteenth));
    assert_eq!(told, "");
}

#[test]
fn a_silence_of_who_bills_on_the_1st_and_the_15th_is_loud_on_such_a_sunday() {
    // The 22nd of March, from noon on.
    let noon = "+2h invoice.created x3/2h\n+2h invoice.created x13/20m\n+8h wait\n";
    let told = check("webhook_lag", &(charity(41, is_first_or_fifteenth) + noon));
    assert_snapshot!(told, @"d748 18:07:00 firing high delivery: no event for 6h 7m (since 2026-03-22T12:00:00Z), where 16 minutes with events were to be expected");
}

#[test]
fn a_run_of_every_sunday_that_does_not_come_is_loud() {
    let quiet = "+2h invoice.created x3/2h\n+2h invoice.created x10/20m\n";
    let told = check("webhook_lag", &(charity(41, |day| day % 7 == 6) + quiet));
    assert_snapshot!(told, @"
    d748 07:09:00 firing high delivery: no event for 1h 9m (since 2026-03-22T06:00:00Z), where 8 minutes with events were to be expected
    d748 10:41:00 resolved high delivery: 5 of the newest 5 deliveries were on time
    ");
}

#[test]
fn a_family_that_falls_silent_while_others_go_on_is_loud() {
    assert_snapshot!(check("webhook_lag", "
        +0s  charge.succeeded x2160/5m
        +1m  customer.created x1/1m
        +4m  customer.created x60/5m
        +1m  charge.succeeded x3/5m
    "), @"
        d7 13:24:00 firing high families: no charge.* for 1h 29m (since 2024-03-11T11:55:00Z), where 18 minutes with some were to be expected; other events go on
        d7 16:56:00 resolved high families: they arrive again since 2024-03-11T16:56:00Z
        ");
}

#[test]
fn a_family_that_is_silent_for_half_an_hour_is_not() {
    let told = check(
        "webhook_lag",
        "
        +0s  charge.succeeded x2160/5m
        +5m  customer.created x6/5m
        +5m  charge.succeeded x30/5m
    ",
    );
    assert_eq!(told, "");
}

/// A merchant who bills on the 15th of so many months of 31 days and tries again what failed, and
/// sells something every twenty minutes besides.
fn billed_on_the_fifteenth(months: usize) -> String {
    let mut timeline = String::new();
    for day in 0..31 * months {
        if [15, 16, 17, 21, 27].contains(&(day % 31)) {
            timeline += "+5m invoice.created x144/10m\n+5m wait\n";
        } else {
            timeline += "+5m customer.created x72/20m\n+15m wait\n";
        }
    }
    timeline
}

#[test]
fn a_family_that_comes_on_some_days_of_the_month_is_not_silent_on_the_others() {
    let told = check("webhook_lag", &billed_on_the_fifteenth(6));
    assert_eq!(told, "");
}

/// Three hundred subscriptions of one day of the month, and no word of them on the third: the hours of
/// the week do not know that day, the subscriptions do.
#[test]
fn a_family_that_comes_on_some_days_of_the_month_is_missed_when_its_day_has_come() {
    let turn = |of: &str| {
        let line = |n| format!("+2m customer.subscription.{of} sub=sub_{n} to=31d\n");
        (0..300).map(line).collect::<String>()
    };
    let month = "+20m customer.created x2201/20m\n+21m wait\n";
    let told = |third: &str| {
        let timeline = turn("created") + month + &turn("updated") + month + third;
        check("webhook_lag", &timeline)
    };
    assert_eq!(told(&turn("updated")), "");
    assert_snapshot!(told("+2m customer.created x72/20m\n"), @"d62 00:27:00 firing high families: no customer.subscription.* for 30d 14h (since 2024-04-04T10:01:00Z), where 11 minutes with some were to be expected; other events go on");
}

#[test]
fn a_quiet_day_of_everything_is_no_silence_of_a_family() {
    let told = check(
        "webhook_lag",
        "
        +0s   charge.succeeded x4320/5m
        +5m   customer.created x1/1m
        +70m  customer.created x5/70m
        +5m   charge.succeeded x30/5m
    ",
    );
    assert_eq!(told, "");
}

#[test]
fn a_merchant_with_five_events_a_day_is_given_days() {
    let told = check(
        "webhook_lag",
        "
        +0s  customer.created x100/5h
        +30h wait
    ",
    );
    assert_eq!(told, "");
}

#[test]
fn the_first_days_have_no_silence() {
    assert_eq!(
        check("webhook_lag", "+0s customer.created x600/1m\n+30h wait\n"),
        ""
    );
}

/// Weeks of a shop with 20 events a day: five payments at nine, twelve, three and eight o'clock and
/// at ten at night, none at night nor on Sundays.
fn small_shop(weeks: usize) -> String {
    let payment = |after: &str| format!("+{after} charge.succeeded\n+1s customer.created x3/1s\n");
    let day = |first: &str| {
        let mut day = payment(first);
        for after in ["3h", "3h", "5h", "2h"] {
            day += &payment(after);
        }
        day
    };
    let mut timeline = String::new();
    for week in 0..weeks {
        timeline += &day(if week == 0 { "9h" } else { "35h" });
        for _ in 0..5 {
            timeline += &day("11h");
        }
    }
    timeline
}

#[test]
fn a_small_shop_is_told_of_no_quiet_night_nor_sunday() {
    assert_eq!(check("webhook_lag", &(small_shop(8) + "+30h wait\n")), "");
}

#[test]
fn a_small_shop_is_told_of_days_without_any_event_once() {
    let told = check("webhook_lag", &(small_shop(8) + "+10d wait\n"));
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(
        told.contains("firing high delivery: no event for"),
        "{told}"
    );
}

/// Forty subscriptions whose periods turn an hour apart, from the eleventh day on; the last ten
/// turn when `last` says. Nothing arrives after the thirtieth.
fn nothing_after_thirty_turns(last: &str) -> String {
    let mut timeline = String::new();
    for n in 0..40 {
        let to = if n < 30 { "10d" } else { last };
        timeline += &format!("+1h customer.subscription.created sub=sub_{n} to={to}\n");
    }
    timeline += "+1h customer.created x200/1h\n";
    for n in 0..30 {
        timeline += &format!("+1h customer.subscription.updated sub=sub_{n} to=30d\n");
    }
    let told = check("webhook_lag", &(timeline + "+20h wait\n"));
    let mut lines = told.lines().filter(|line| line.contains("delivery:"));
    lines.next().unwrap_or_default().to_owned()
}

/// A stream of an event an hour is silent for most of a day before that is beyond chance; where
/// periods turn meanwhile, it is after a few of them.
#[test]
fn periods_that_turn_without_a_word_make_a_silence_certain() {
    assert_snapshot!(nothing_after_thirty_turns("10d"), @"d11 11:07:00 firing high delivery: no event for 5h 7m (since 2024-03-15T06:00:00Z), where 5 minutes with events were to be expected");
    assert_snapshot!(nothing_after_thirty_turns("20d"), @"d11 20:45:00 firing high delivery: no event for 14h 45m (since 2024-03-15T06:00:00Z), where 15 minutes with events were to be expected");
}

/// A shop that sells every three minutes falls silent, but for a stray event now and then: one
/// incident, until events come at something like their usual rate.
#[test]
fn a_stray_event_does_not_end_a_silence() {
    let told = check(
        "webhook_lag",
        "
        +0s   customer.created x3600/3m
        +3h   customer.updated x6/40m
        +40m  customer.created x20/3m
    ",
    );
    assert_eq!(told.matches("firing").count(), 1, "{told}");
    assert_eq!(told.matches("resolved").count(), 1, "{told}");
    assert!(told.contains("d7 19:0"), "{told}");
}

/// A night of renewals in the first week is no yardstick for the second.
#[test]
fn one_busy_night_of_one_week_is_not_expected_again() {
    let mut timeline = String::from("+0s customer.created x10/2m\n");
    timeline += "+1m customer.created x250/1m\n";
    for _ in 0..20 {
        timeline += "+8h customer.created x60/10m\n";
    }
    let told = check("webhook_lag", &timeline);
    assert!(!told.contains("delivery"), "{told}");
}

/// We were down for two hours of a quiet stream, and Stripe's retries trickle in while new events are
/// on time: they are a backlog, however many pauses there were since.
#[test]
fn retries_of_our_own_outage_are_its_backlog() {
    let mut timeline = String::from("+20m customer.created x300/20m\n+2h customer.created\n");
    for n in 1..6 {
        let late = 15 * n + 100 - 17 * n;
        timeline += &format!("+12m customer.created\n+3m customer.created late={late}m\n");
    }
    let mut engine = Engine::new(Registry::new(vec![Box::new(super::FACTORY)]));
    for step in records(&timeline) {
        match step {
            Step::Record(record) => {
                engine.apply(&record);
            }
            Step::Wait(until) => engine.advance_to(until),
        }
    }
    let titles: Vec<&str> = engine.open_alerts().map(|alert| &*alert.title).collect();
    assert_eq!(titles, ["A backlog of events is arriving"]);
}
