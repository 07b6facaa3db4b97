//! Timelines with their verdicts, as many quiet as loud.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fmt::Write as _;

use insta::assert_snapshot;

use crate::alert::Alert;
use crate::engine::{Engine, Registry};
use crate::testing::{Step, check, records};

const NAME: &str = "charge_failure_spike";

/// What fired, escalated and ended; what was recognised as harmless is left out.
fn told(timeline: &str) -> String {
    check(NAME, timeline)
        .lines()
        .filter(|line| !line.contains(" quiet "))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn fired(timeline: &str) -> usize {
    told(timeline).matches(" firing ").count()
}

/// The engine at the end of a timeline.
fn live(timeline: &str) -> Engine {
    let mut engine = Engine::new(Registry::new(vec![Box::new(super::FACTORY)]));
    for step in records(timeline) {
        match step {
            Step::Record(record) => {
                engine.apply(&record);
            }
            Step::Wait(until) => engine.advance_to(until),
        }
    }
    engine
}

fn open_alert(timeline: &str) -> Alert {
    live(timeline)
        .open_alerts()
        .next()
        .cloned()
        .expect("an open alert")
}

/// Two weeks in which one of 25 attempts fails, one each half hour.
fn ordinary_weeks() -> String {
    "+30m charge.failed card=new code=insufficient_funds\n+30m charge.succeeded x24/30m\n"
        .repeat(27)
}

#[test]
fn an_outage_is_loud_and_its_end_is_told() {
    assert_snapshot!(check(NAME, "
        +0s  charge.succeeded x60/5m
        +1m  charge.failed code=processing_error x12/20s
        +1m  charge.failed code=do_not_honor x30/10s
        +5m  charge.succeeded x90/30s
    "), @"
        d0 04:56:40 firing high all: 3 of 4 payment attempts failed within 5m (75 %), where 4 % is usual; 60.00 USD did not come in. It looks like an outage of the gateway or processor: 3 of 3 failed for technical reasons, most as processing_error
        d0 05:00:00 escalated critical all: 12 of 13 payment attempts failed within 5m (92.3 %), where 4 % is usual; 240.00 USD did not come in. It looks like an outage of the gateway or processor: 12 of 12 failed for technical reasons, most as processing_error
        d0 05:35:00 resolved critical all: 0 of the newest 20 attempts failed
        ");
}

#[test]
fn declines_without_a_common_cause_take_one_more_payer_than_a_machine_that_fails() {
    let calm = ordinary_weeks();
    let outage = |code: &str, times: u32| {
        fired(&format!(
            "{calm}+1m charge.failed card=new code={code} x{times}/1m"
        ))
    };
    assert_eq!(outage("processing_error", 2), 0);
    assert_eq!(outage("processing_error", 3), 1);
    assert_eq!(outage("do_not_honor", 3), 0);
    assert_eq!(outage("do_not_honor", 4), 1);
}

#[test]
fn a_light_outage_is_found_in_hours() {
    // Four in ten fail, nine attempts an hour.
    let light =
        "+7m charge.succeeded x3/7m\n+7m charge.failed card=new code=generic_decline x2/7m\n"
            .repeat(12);
    assert_snapshot!(told(&format!("{}{light}", ordinary_weeks())), @"
        d14 03:43:00 firing medium all: 7 of 18 payment attempts failed within 2h (38.8 %), where 4.5 % is usual; 140.00 USD did not come in. 7 of 7 were declined as generic_decline
        d14 03:51:00 escalated high all: 8 of 18 payment attempts failed within 2h (44.4 %), where 4.5 % is usual; 160.00 USD did not come in. 8 of 8 were declined as generic_decline
        ");
}

#[test]
fn a_merchant_with_an_attempt_an_hour_hears_of_a_day_without_success() {
    let calm =
        "+1h charge.succeeded x30/1h\n+1h charge.failed card=new code=expired_card\n".repeat(12);
    assert_snapshot!(told(&format!("{calm}+1h charge.failed card=new code=generic_decline x12/1h")), @"
        d15 15:00:00 firing high all: 4 of 4 payment attempts failed within 4h (100 %), where 4 % is usual; 80.00 USD did not come in. 3 of 4 were declined as generic_decline
        d15 21:01:00 escalated critical all: 10 of 12 payment attempts failed within 12h (83.3 %), where 4 % is usual; 200.00 USD did not come in. 9 of 10 were declined as generic_decline
        ");
}

#[test]
fn a_few_chance_declines_are_silent() {
    assert_snapshot!(check(NAME, "
        +0s  charge.failed x3/1m
        +1m  charge.succeeded x4/10m
        +1m  charge.failed x3/1m
        +1m  charge.succeeded x30/1m
    "), @"d0 00:34:00 quiet plausible_here -: 4 of 8 payment attempts failed within 1h (50 %), which chance alone may bring where 10 % is usual (probability 2.7e-2)");
    assert_eq!(
        fired(&format!(
            "{}+1m charge.failed card=new x2/1m",
            ordinary_weeks()
        )),
        0
    );
}

#[test]
fn vouchers_that_nobody_paid_are_no_spike() {
    let told = |code| {
        check(
            NAME,
            &format!("+0s charge.succeeded x200/5m\n+5m charge.failed card=new code={code} x20/1m"),
        )
    };
    assert_eq!(told("payment_intent_payment_attempt_expired"), "");
    assert!(told("card_declined").contains("firing"));
}

#[test]
fn dunning_blocked_and_one_stubborn_buyer_are_no_spike() {
    let told = check(
        NAME,
        "
        +0s  charge.succeeded x20/5m
        +1m  charge.failed pi=pi_a cus=cus_a x10/1m
        +1m  charge.failed cus=cus_b card=card_b x10/1m
        +1m  charge.failed blocked cus=cus_c card=card_c x10/1m
        +1h  wait
    ",
    );
    assert!(!told.contains("firing"), "{told}");
    assert_eq!(told.matches("quiet retry_of_failed_purchase").count(), 9);
    assert_eq!(told.matches("quiet same_payer").count(), 9);
    assert_eq!(told.matches("quiet radar_blocked").count(), 10);
}

#[test]
fn one_buyer_with_many_cards_is_one_payer() {
    let retyping = "+1m charge.failed cus=cus_b card=new code=incorrect_cvc x9/1m\n";
    assert_eq!(fired(&format!("{}{retyping}", ordinary_weeks())), 0);
}

#[test]
fn one_card_under_many_customers_is_one_payer() {
    let retyping = "+1m charge.failed card=card_b code=expired_card x9/1m\n";
    assert_eq!(fired(&format!("{}{retyping}", ordinary_weeks())), 0);
}

#[test]
fn what_is_usual_here_is_no_spike() {
    // One in five always fails at this merchant: 20 % is above the line and still usual.
    let day = "+3m charge.failed\n+3m charge.succeeded x4/3m\n".repeat(200);
    assert_eq!(told(&day), "");
    assert!(check(NAME, &day).contains("quiet plausible_here"));
}

#[test]
fn a_batch_of_renewals_is_held_against_renewals() {
    // At checkout hardly any fail; of the renewals, which come in one batch a day, one in four does.
    let day = "+20m charge.succeeded x60/20m\n\
               +1m renewals\n+1m wait\n";
    let batch = "+5s charge.succeeded renewal x3/5s\n\
                 +5s charge.failed renewal card=new code=insufficient_funds\n"
        .repeat(10);
    let days = day.replace("+1m renewals\n", &batch).repeat(10);
    assert_eq!(fired(&days), 0, "{}", told(&days));
    // The same failures at the checkout are a spike.
    let checkout = format!("{days}+1h wait\n{}", batch.replace("renewal ", ""));
    assert_eq!(fired(&checkout), 1);
}

#[test]
fn an_incident_in_the_past_is_no_yardstick() {
    let calm = ordinary_weeks();
    let outage =
        "+1m charge.failed card=new code=generic_decline x60/1m\n+5m charge.succeeded x40/5m\n";
    let later = "+3h charge.failed card=new code=generic_decline x6/1m\n";
    let all = told(&format!("{calm}{outage}{calm}{later}"));
    assert_eq!(all.matches(" firing ").count(), 2, "{all}");
}

#[test]
fn history_teaches_and_is_not_told() {
    let history = "+1h charge.succeeded late=90d historical x20/1s\n\
                   +1s charge.failed card=new late=90d historical x8/1s\n"
        .repeat(12);
    let busy = "+1d charge.succeeded x20/1m\n+1s charge.failed card=new x9/1s\n";
    assert_eq!(
        fired(&format!("{history}{busy}")),
        0,
        "this merchant always fails that often"
    );
    assert_eq!(fired(busy), 1, "and to a stranger it looks like an outage");
}

#[test]
fn silence_does_not_end_it() {
    let told = told(
        "
        +0s  charge.succeeded x20/5m
        +1m  charge.failed x20/10s
        +2d  wait
    ",
    );
    assert_eq!(told.matches(" resolved ").count(), 0, "{told}");
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
}

#[test]
fn it_does_not_flap_while_every_third_attempt_fails() {
    let long =
        "+1m charge.failed card=new code=do_not_honor\n+1m charge.succeeded x2/1m\n".repeat(80);
    let told = told(&format!("{}{long}", ordinary_weeks()));
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert_eq!(told.matches(" resolved ").count(), 0, "{told}");
}

#[test]
fn it_does_not_flap_while_one_currency_of_five_fails() {
    // Nearly all of the euros fail, and they are a fifth of the payments: twenty in a row may look
    // well, and the share of an hour strays around the line.
    let calm = "+2m charge.succeeded x24/2m\n+2m charge.failed card=new code=insufficient_funds\n";
    let part = |failed: &str| {
        format!(
            "+1m charge.succeeded x12/1m\n+1m charge.failed card=new cur=eur code=processing_error x{failed}/30s\n"
        )
    };
    let outage: String = ["5", "4", "1", "1", "1", "5", "1", "1", "4", "3"]
        .map(part)
        .concat();
    let told = told(&format!("{}{outage}{}", calm.repeat(60), calm.repeat(4)));
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert_eq!(told.matches(" resolved ").count(), 1, "{told}");
}

#[test]
fn a_handful_without_a_common_cause_takes_more() {
    let handful = |codes: [&str; 5]| {
        let tries = codes.map(|code| format!("+3m charge.failed card=new code={code}\n"));
        fired(&format!("{}{}", ordinary_weeks(), tries.concat()))
    };
    let declined = "do_not_honor";
    assert_eq!(handful([declined; 5]), 1);
    let mixed = [
        "insufficient_funds",
        declined,
        "expired_card",
        "incorrect_cvc",
    ];
    let four =
        mixed.map(|code| format!("+3m charge.failed card=new code={code}\n+1m charge.succeeded\n"));
    assert_eq!(fired(&format!("{}{}", ordinary_weeks(), four.concat())), 0);
}

#[test]
fn four_of_five_at_a_tiny_merchant_are_chance() {
    // Five attempts a day, one of 24 of which fails.
    let day = "+4h charge.succeeded x5/4h\n+4h wait\n";
    let weeks = format!(
        "{}+1h charge.failed card=new code=expired_card\n",
        day.repeat(5)
    )
    .repeat(6);
    let burst = "+9h charge.succeeded\n+9m charge.failed card=new code=insufficient_funds x2/9m\n\
                 +9m charge.failed card=new code=do_not_honor x2/9m\n";
    assert_eq!(told(&format!("{weeks}{burst}")), "");
    // A gateway that is down is not.
    let outage = "+9h charge.succeeded\n+9m charge.failed card=new code=processing_error x4/9m\n";
    assert_eq!(fired(&format!("{weeks}{outage}")), 1);
}

#[test]
fn evidence_splits_by_what_the_failures_have_in_common() {
    let alert = open_alert(&format!(
        "{}{}",
        "+5m charge.succeeded card=new brand=visa country=DE x30/5m\n\
         +5m charge.succeeded card=new brand=amex country=US x10/5m\n"
            .repeat(5),
        "+1m charge.failed card=new brand=amex country=US code=do_not_honor x5/1m\n\
         +1m charge.failed card=new brand=amex country=US cur=eur code=generic_decline x3/1m\n+2m wait"
    ));
    assert_snapshot!(alert.message, @"8 of 19 payment attempts failed within 1h (42.1 %), where 1.6 % is usual; 100.00 USD did not come in. It looks like a matter of some issuers: 100 % of the failures are amex, which has 27.8 % of all attempts");
    assert_snapshot!(format!("{:#?}", alert.evidence.details), @r#"
        {
            "brand.amex": "8",
            "country.US": "8",
            "currency.EUR": "3",
            "currency.USD": "5",
            "decline_code.do_not_honor": "5",
            "decline_code.generic_decline": "3",
            "distinct_cards": "8",
        }
        "#);
    assert_eq!(alert.evidence.event_ids.len(), 8);
}

/// A shop whose payments are of about 40 dollars, some of which fail.
fn shop() -> String {
    "+10m charge.succeeded card=new amt=4000 x24/10m\n+10m charge.failed card=new amt=4000 code=insufficient_funds\n".repeat(20)
}

#[test]
fn card_testing_is_one_finding_of_its_own() {
    let attack = "+10s charge.failed card=new guest amt=100 code=generic_decline x3/5s\n\
                  +5s  charge.failed card=new guest amt=100 blocked x1/5s\n\
                  +5s  setup_intent.setup_failed card=new code=incorrect_cvc x1/5s\n"
        .repeat(30);
    let after = "+10m charge.succeeded card=new amt=4000 x30/10m\n";
    assert_snapshot!(told(&format!("{}{attack}{after}", shop())), @"
        d3 11:20:20 firing high card_testing: 4 cards were tried in vain within 5m, each 1.0 times: 3 with amounts far below the usual, 3 declined as guessed or reported cards are; 0 of 4 tries succeeded. This is what card testing looks like
        d3 11:30:00 escalated critical card_testing: 100 cards were tried in vain within 15m, each 1.0 times: 80 with amounts far below the usual, 20 blocked by Radar, 19 being saved, 79 declined as guessed or reported cards are; 0 of 100 tries succeeded. This is what card testing looks like
        d3 12:36:00 resolved critical card_testing: no more cards than usual were tried in vain for 1h
        ");
}

#[test]
fn a_spike_that_nobody_paid_after_does_not_hide_card_testing() {
    // A shop that is paid once a month: the run fails, and nothing comes for a week.
    let outage = "+10s charge.failed card=new amt=4000 code=processing_error x30/10s\n+7d wait\n";
    let attack =
        "+10s charge.failed card=new guest amt=100 code=generic_decline x60/5s\n+5m wait\n";
    let told = told(&format!("{}{outage}{attack}", shop()));
    assert_eq!(told.matches(" firing ").count(), 2, "{told}");
    assert!(told.contains(" firing high card_testing"), "{told}");
    assert!(!told.contains(" resolved "), "{told}");
}

#[test]
fn an_attack_that_begins_as_a_spike_is_one_alert() {
    // Of the first cards nothing is known but that they fail.
    let attack = "+10s charge.failed card=new guest amt=4000 code=processing_error x8/10s\n\
                  +10s charge.failed card=new guest amt=100 code=generic_decline x60/5s\n+5m wait\n";
    let told = told(&format!("{}{attack}", shop()));
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
}

#[test]
fn cards_tested_by_saving_them_are_found() {
    let attack = "+20s setup_intent.setup_failed card=new code=incorrect_cvc x40/20s\n";
    assert_snapshot!(told(&format!("{}{attack}", shop())), @"d3 11:22:40 firing high card_testing: 9 cards were tried in vain within 15m, each 1.0 times: 8 being saved, 8 declined as guessed or reported cards are; 1 of 10 tries succeeded. This is what card testing looks like");
}

#[test]
fn cards_tested_on_one_purchase_are_found() {
    let attack =
        "+20s charge.failed guest pi=pi_a card=new amt=100 code=incorrect_number x40/20s\n";
    let told = told(&format!("{}{attack}", shop()));
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
    assert!(told.contains("card_testing"), "{told}");
}

#[test]
fn an_outage_is_not_called_card_testing() {
    let outage = "+20s charge.failed card=new amt=4000 code=generic_decline x40/20s\n";
    let told = told(&format!("{}{outage}", shop()));
    assert!(!told.contains("card_testing"), "{told}");
    assert_eq!(told.matches(" firing ").count(), 1, "{told}");
}

#[test]
fn small_prices_and_single_marks_are_no_card_testing() {
    // Everything costs a dollar here.
    let dollar = shop().replace("amt=4000", "amt=100");
    let outage = "+20s charge.failed card=new amt=100 code=issuer_not_available x40/20s\n";
    assert!(!told(&format!("{dollar}{outage}")).contains("card_testing"));
    // Radar blocks two or three a day; a set-up fails now and then.
    let day = "+1h charge.succeeded card=new amt=4000 x20/1h\n\
               +1m charge.failed card=new amt=4000 blocked x3/1m\n\
               +1m setup_intent.setup_failed card=new code=incorrect_cvc x2/1m\n"
        .repeat(20);
    assert_eq!(fired(&format!("{}{day}", shop())), 0);
    // A launch: twenty times the purchases, the usual share of which fail.
    let launch = "+5s charge.succeeded card=new amt=4000 x24/5s\n\
                  +5s charge.failed card=new amt=4000 code=insufficient_funds\n"
        .repeat(20);
    assert_eq!(fired(&format!("{}{launch}", shop())), 0);
}

#[test]
fn renewals_that_fail_during_card_testing_are_still_told() {
    let attack = "+10s charge.failed card=new guest amt=100 code=generic_decline x60/5s\n";
    let outage = "+1s charge.failed renewal card=new amt=4000 code=processing_error x20/5s\n";
    let told = told(&format!("{}{attack}{outage}+2m wait", shop()));
    assert_eq!(
        told.matches("firing high card_testing").count(),
        1,
        "{told}"
    );
    assert_eq!(
        told.matches(" all:").count() - told.matches("escalated").count(),
        1,
        "{told}"
    );
}

#[test]
fn scaling_all_amounts_changes_no_verdict() {
    let timeline = format!(
        "{}+10s charge.failed card=new guest amt=100 code=generic_decline x60/5s\n\
         +3h charge.succeeded amt=4000 x60/1m\n\
         +1m charge.failed card=new amt=4000 code=do_not_honor x20/1m\n",
        shop()
    );
    let times = |text: &str| -> Vec<String> {
        let heads = text.lines().filter(|line| !line.contains(" quiet "));
        heads
            .map(|line| line.split(':').take(3).collect::<Vec<_>>().join(":"))
            .collect()
    };
    let scaled = timeline
        .replace("amt=4000", "amt=40000")
        .replace("amt=100 ", "amt=1000 ");
    let verdicts = times(&check(NAME, &timeline));
    assert!(verdicts.len() >= 3, "{verdicts:?}");
    assert_eq!(verdicts, times(&check(NAME, &scaled)));
}

#[test]
fn the_window_is_bounded() {
    // An hour of one failure a second, not a day of it.
    let alert = open_alert("+0s charge.failed card=new brand=visa x20000/1s\n");
    let attempts = alert
        .evidence
        .measures
        .iter()
        .find(|m| m.name == "attempts");
    assert!(
        attempts.is_some_and(|m| m.observed <= 3_660),
        "{attempts:?}"
    );
}

/// How many alerts a merchant gets in so many days whose attempts fail by chance alone.
fn by_chance(a_day: u64, failed_percent: u64, days: u64, seed: u64) -> usize {
    let mut state = seed;
    // SplitMix64 (Steele, Lea and Flood 2014).
    let mut random = move |below: u64| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % below
    };
    let mut timeline = String::new();
    let (mut gap, slots) = (0, 17_280);
    for slot in 0..days * slots {
        gap += 5;
        // Twelve hours bring three quarters of a day's attempts.
        let busy = if slot % slots < slots / 2 { 3 } else { 1 };
        if random(2 * slots) >= busy * a_day {
            continue;
        }
        if random(100) < failed_percent {
            let code = match random(6) {
                0 => "insufficient_funds",
                1 | 2 => "do_not_honor",
                _ => "generic_decline",
            };
            let _ = writeln!(timeline, "+{gap}s charge.failed card=new code={code}");
        } else {
            let _ = writeln!(timeline, "+{gap}s charge.succeeded");
        }
        gap = 0;
    }
    fired(&timeline)
}

#[test]
fn chance_alone_keeps_to_the_setting() {
    // Thirty merchant-years of three sizes and two rates: one alert a year may come by chance.
    for (a_day, days) in [(15, 3_000), (60, 2_000), (300, 600)] {
        let alerts: usize = [4, 10]
            .into_iter()
            .map(|percent| by_chance(a_day, percent, days, a_day))
            .sum();
        let years = usize::try_from(2 * days / 365).unwrap();
        assert!(alerts <= years, "{a_day} a day: {alerts} in {years} years");
    }
}

/// Banks there decline a third of all cards: told once at most while nothing is known, and an outage
/// is told all the same.
#[test]
fn a_merchant_whose_cards_are_always_declined_a_lot_is_told_once() {
    let mut timeline = String::new();
    // The declines of each day come in another order.
    for n in 0..600_u64 {
        let is_failed = n.wrapping_mul(2_654_435_761) % 4_294_967_296 / 65_536 % 3 == 0;
        timeline += if is_failed {
            "+12m charge.failed card=new code=do_not_honor\n"
        } else {
            "+12m charge.succeeded\n"
        };
    }
    let at_first = fired(&timeline);
    assert!(at_first <= 1, "{}", told(&timeline));
    timeline += "+1m charge.failed card=new code=do_not_honor x40/1m\n";
    assert_eq!(fired(&timeline), at_first + 1, "{}", told(&timeline));
}

/// A price list that lost a zero: all buy for little, and most of the cards pay.
#[test]
fn small_prices_are_no_card_testing() {
    let cheap = |declined: usize, paid: usize| {
        let mut timeline = ordinary_weeks();
        for n in 0..60 {
            timeline += if n % (declined + paid) < declined {
                "+1m charge.failed card=new amt=200 code=generic_decline\n"
            } else {
                "+1m charge.succeeded amt=200\n"
            };
        }
        told(&timeline)
    };
    assert!(!cheap(1, 5).contains("card_testing"), "{}", cheap(1, 5));
    assert!(cheap(4, 1).contains("card_testing"), "{}", cheap(4, 1));
}

#[test]
fn an_attack_that_was_told_as_a_spike_is_not_told_again_by_its_last_cards() {
    let attack = "+10s charge.failed card=new guest amt=4000 code=processing_error x8/10s\n\
                  +10s charge.failed card=new guest amt=100 code=generic_decline x60/5s\n";
    let after = "+20s charge.succeeded card=new amt=4000 x60/30s\n\
                 +10s charge.failed card=new guest amt=100 code=generic_decline\n+5m wait\n";
    let once = told(&format!("{}{attack}{after}", shop()));
    assert_eq!(once.matches(" resolved ").count(), 1, "{once}");
    assert_eq!(once.matches(" firing ").count(), 1, "{once}");
    // The next one is.
    let again = told(&format!("{}{attack}{after}+2h wait\n{attack}", shop()));
    assert_eq!(again.matches(" firing ").count(), 2, "{again}");
}
