//! What the merchants of a particular trade are for: their rhythms exist, and are Stripe's.

use std::collections::{BTreeMap, BTreeSet};

use billingwatch_simulator::{ApiShape, MerchantKind, World};

use crate::support::{DAY, Read, START_AT, config, run};

const HOUR: i64 = 3_600;

fn of<'a>(events: &'a [Read], event_type: &'static str) -> impl Iterator<Item = &'a Read> {
    events.iter().filter(move |read| read.is(event_type))
}

/// Seconds since midnight on a clock `offset` hours from UTC.
fn local(at: i64, offset: i64) -> i64 {
    (at + offset * HOUR).rem_euclid(DAY)
}

#[test]
fn the_same_configuration_makes_the_same_bytes() {
    for &merchant in MerchantKind::ALL {
        for &shape in ApiShape::ALL {
            let days = match merchant {
                MerchantKind::Marketplace => 1,
                MerchantKind::Saas => 2,
                _ => 10,
            };
            let world = || World::new(&config(merchant, shape, days)).unwrap();
            assert!(world().eq(world()), "{merchant} {shape}");
            let other = World::new(&billingwatch_simulator::WorldConfig {
                seed: 8,
                ..config(merchant, shape, days)
            });
            assert!(!world().eq(other.unwrap()), "{merchant} {shape}");
        }
    }
}

#[test]
fn telecom_bills_by_the_day_the_week_and_the_month() {
    for &shape in ApiShape::ALL {
        let (events, _) = run(&config(MerchantKind::Telecom, shape, 40));
        let mut renewals = BTreeMap::<(String, i64), u32>::new();
        for read in of(&events, "customer.subscription.updated") {
            let s = read.object();
            let item = &s["items"]["data"][0];
            let recurring = &item["price"]["recurring"];
            let unit = recurring["interval"].as_str().unwrap();
            let count = recurring["interval_count"].as_i64().unwrap();
            let period = if shape == ApiShape::Basil { item } else { s };
            let at = |key: &str| period[key].as_i64().unwrap();
            let length = at("current_period_end") - at("current_period_start");
            match unit {
                "day" => assert_eq!(length, count * DAY),
                "week" => assert_eq!(length, count * 7 * DAY),
                _ => assert!((28 * DAY..=31 * DAY).contains(&length), "{length}"),
            }
            if shape == ApiShape::Legacy {
                assert_eq!(s["plan"]["interval"], unit);
                assert_eq!(s["plan"]["interval_count"], count);
            }
            *renewals.entry((unit.to_owned(), count)).or_default() += 1;
        }
        for kind in [("day", 1), ("day", 10), ("week", 1), ("month", 1)] {
            let seen = renewals
                .get(&(kind.0.to_owned(), kind.1))
                .copied()
                .unwrap_or(0);
            assert!(seen > 10, "{kind:?}: {seen}");
        }
    }
}

#[test]
fn telecom_is_done_with_an_invoice_before_the_next_one() {
    let (events, _) = run(&config(MerchantKind::Telecom, ApiShape::Legacy, 60));
    let mut open = BTreeMap::<&str, BTreeSet<&str>>::new();
    let (mut most, mut lost) = (0, 0);
    for read in &events {
        let i = read.object();
        let Some(subscription) = i["subscription"].as_str().filter(|_| i["id"].is_string()) else {
            continue;
        };
        let invoices = open.entry(subscription).or_default();
        match read.event.event_type {
            "invoice.payment_failed" if i["billing_reason"] == "subscription_cycle" => {
                invoices.insert(i["id"].as_str().unwrap());
                most = most.max(invoices.len());
            }
            "invoice.paid" => drop(invoices.remove(i["id"].as_str().unwrap())),
            "invoice.marked_uncollectible" => {
                lost += 1;
                invoices.remove(i["id"].as_str().unwrap());
            }
            _ => {}
        }
    }
    assert_eq!(most, 1, "two invoices of one subscription in dunning");
    assert!(lost > 3, "{lost}");
}

#[test]
fn box_bills_everybody_on_the_fifteenth_and_nobody_between() {
    for &shape in ApiShape::ALL {
        // From 28 February: the runs of 15 March and 15 April, at eleven.
        let first = START_AT + 16 * DAY + 11 * HOUR;
        assert_eq!(MerchantKind::Box.next_run(START_AT), Some(first));
        let second = first + 31 * DAY;
        assert_eq!(MerchantKind::Box.next_run(first), Some(second));
        let is_turn = |at: i64| {
            [first, second, second + 30 * DAY]
                .iter()
                .any(|run| (*run..run + 80 * 60).contains(&at))
        };
        let (events, _) = run(&config(MerchantKind::Box, shape, 49));
        let (mut inside, mut outside, mut stubs) = (0, 0, 0);
        for read in of(&events, "invoice.paid") {
            let (at, i) = (read.event.created, read.object());
            let at_run = [first, second]
                .iter()
                .any(|run| (*run..run + 3 * HOUR).contains(&at));
            if i["billing_reason"] == "subscription_cycle" {
                inside += u32::from(at_run);
                outside += u32::from(!at_run);
            }
            let lines = &i["lines"]["data"][0];
            if i["billing_reason"] == "subscription_create" {
                stubs += 1;
                let end = lines["period"]["end"].as_i64().unwrap();
                assert!(is_turn(end));
                assert!(lines["amount"].as_i64().unwrap() < 7_900);
            }
        }
        // Those declined at first are paid later.
        assert!(inside > 600 && outside * 10 < inside, "{inside} {outside}");
        assert!(stubs > 10, "{stubs}");
        for read in of(&events, "customer.subscription.created") {
            let anchor = read.object()["billing_cycle_anchor"].as_i64().unwrap();
            assert!(is_turn(anchor));
        }
        let between = first + DAY..second - 4 * DAY;
        let payments =
            of(&events, "charge.succeeded").filter(|r| between.contains(&r.event.created));
        let per_day = payments.count() / 26;
        assert!(per_day < 3, "{per_day} payments a day");
    }
}

#[test]
fn resort_has_a_season_and_refunds_at_night() {
    let mut plan = config(MerchantKind::Resort, ApiShape::Basil, 300);
    // 1 September 2023: summer, the whole season, and summer again.
    plan.start_at = 1_693_526_400;
    let (events, _) = run(&plan);
    let day = |read: &Read| (read.event.created - plan.start_at) / DAY;
    let in_days = |event_type, days: std::ops::Range<i64>| {
        of(&events, event_type)
            .filter(|read| days.contains(&day(read)))
            .count()
    };
    let (summer, winter) = (
        in_days("charge.succeeded", 0..30),
        in_days("charge.succeeded", 122..152),
    );
    assert!(
        summer < 120 && winter > 20 * summer.max(20),
        "{summer} {winter}"
    );
    let after = in_days("charge.succeeded", 260..290);
    assert!(after * 5 < winter, "{after} {winter}");
    assert!(in_days("charge.captured", 90..210) > 200);
    assert!(in_days("charge.expired", 90..210) > 30);

    let mut nights = BTreeMap::<i64, u32>::new();
    let mut refunds = 0;
    for read in of(&events, "refund.created") {
        // A release is Stripe's own, and sold again is by hand.
        if read.object()["reason"] == "requested_by_customer"
            && local(read.event.created, -7) / (HOUR / 2) == 4
        {
            *nights.entry(day(read)).or_default() += 1;
        }
        refunds += u32::from(read.object()["reason"] == "requested_by_customer");
    }
    let at_night: u32 = nights.values().sum();
    assert!(at_night * 10 > refunds * 7, "{at_night} of {refunds}");
    assert!(nights.values().any(|of_one| *of_one >= 8), "{nights:?}");

    let mut parts = BTreeMap::<String, BTreeSet<String>>::new();
    for read in of(&events, "charge.succeeded") {
        let metadata = &read.object()["metadata"];
        let booking = metadata["booking"].as_str().unwrap().to_owned();
        let part = metadata["part"].as_str().unwrap().to_owned();
        parts.entry(booking).or_default().insert(part);
    }
    let whole = parts.values().filter(|parts| parts.len() == 3).count();
    assert!(whole > 300, "{whole} of {}", parts.len());
}

#[test]
fn parking_numbers_its_sessions_and_collects_at_night() {
    for &shape in ApiShape::ALL {
        let (events, _) = run(&config(MerchantKind::Parking, shape, 21));
        let (mut tried, mut failed, mut again) = (0_u32, 0_u32, 0);
        let mut last = BTreeMap::<(String, i64), (i64, String, String)>::new();
        let mut night_sessions = BTreeMap::<String, BTreeSet<String>>::new();
        let refunded: BTreeSet<&str> = of(&events, "refund.created")
            .map(|read| read.object()["charge"].as_str().unwrap())
            .collect();
        for read in &events {
            let told = read.is("charge.succeeded") || read.is("charge.failed");
            let c = read.object();
            let Some(session) = c["metadata"]["session"].as_str().filter(|_| told) else {
                continue;
            };
            assert!(session.parse::<u64>().unwrap() > 48_000);
            let at = read.event.created;
            let night = (3 * HOUR..3 * HOUR + HOUR / 2).contains(&local(at, -6));
            if night {
                tried += 1;
                failed += u32::from(read.is("charge.failed"));
                let intents = night_sessions.entry(session.to_owned()).or_default();
                intents.insert(c["payment_intent"].as_str().unwrap().to_owned());
            }
            if read.is("charge.succeeded") {
                let amount = c["amount"].as_i64().unwrap();
                assert!([300, 500, 900].contains(&amount));
                let key = (c["customer"].to_string(), amount);
                let now = (at, session.to_owned(), c["id"].as_str().unwrap().to_owned());
                if let Some((before, other, charge)) = last.insert(key, now)
                    && at - before < 15 * 60
                    && !night
                {
                    // The same session is paid twice by whoever had the first payment back.
                    assert!(other != session || refunded.contains(charge.as_str()));
                    again += u32::from(other != session);
                }
            }
        }
        assert!(tried > 300, "{tried}");
        assert!(
            (55..=75).contains(&(failed * 100 / tried)),
            "{failed} of {tried}"
        );
        assert!(again > 40, "{again}");
        assert!(night_sessions.values().all(|intents| intents.len() == 1));
    }
}

#[test]
fn gym_debits_are_pending_for_days_and_freezes_happen() {
    for &shape in ApiShape::ALL {
        let mut plan = config(MerchantKind::Gym, shape, 120);
        // 1 December 2023: the new year's rush lies ahead.
        plan.start_at = 1_701_388_800;
        let (events, _) = run(&plan);
        let mut asked = BTreeMap::new();
        let (mut paid, mut returned) = (0, 0);
        for read in &events {
            let c = read.object();
            let id = || c["id"].as_str().unwrap();
            match read.event.event_type {
                "charge.pending" => {
                    assert_eq!(
                        (&c["status"], &c["paid"]),
                        (&"pending".into(), &false.into())
                    );
                    assert_eq!(c["payment_method_details"]["type"], "sepa_debit");
                    assert!(asked.insert(id(), read.event.created).is_none());
                }
                "charge.succeeded" | "charge.failed" => {
                    let debit = c["payment_method_details"]["type"] == "sepa_debit";
                    let Some(at) = asked.remove(id()) else {
                        assert!(!debit, "{c}");
                        continue;
                    };
                    assert!(debit && (3 * DAY..=6 * DAY).contains(&(read.event.created - at)));
                    paid += i32::from(read.is("charge.succeeded"));
                    returned += i32::from(read.is("charge.failed"));
                }
                _ => {}
            }
        }
        assert!(
            paid > 400 && returned > 5 && returned * 10 < paid,
            "{paid} {returned}"
        );
        let frozen = of(&events, "customer.subscription.updated")
            .filter(|r| {
                r.body()["data"]["previous_attributes"]
                    .get("pause_collection")
                    .is_some()
            })
            .count();
        assert!(frozen > 30, "{frozen}");
        let joined = |days: std::ops::Range<i64>| {
            of(&events, "customer.subscription.created")
                .filter(|r| days.contains(&((r.event.created - plan.start_at) / DAY)))
                .count()
        };
        assert!(joined(31..62) > 2 * joined(0..31), "the rush of January");
    }
}
