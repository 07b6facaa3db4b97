//! Each merchant makes about as many events as its kind promises, with the rhythm of a real one.

use std::collections::BTreeSet;

use billingwatch_simulator::{ApiShape, MerchantKind, World};

use crate::support::{DAY, START_AT, config, run};

fn per_day(merchant: MerchantKind, shape: ApiShape, days: u32) -> usize {
    let world = World::new(&config(merchant, shape, days)).unwrap();
    world.count() / usize::try_from(days).unwrap()
}

#[test]
fn volume_is_as_stated() {
    for &shape in ApiShape::ALL {
        for (merchant, days, range) in [
            (MerchantKind::Indie, 60, 20..=60),
            (MerchantKind::SmallSaas, 30, 220..=400),
            (MerchantKind::Saas, 30, 2_300..=3_800),
            (MerchantKind::Marketplace, 7, 15_000..=30_000),
            (MerchantKind::Multicurrency, 30, 700..=1_300),
            (MerchantKind::Telecom, 30, 350..=700),
            (MerchantKind::Box, 60, 110..=240),
            (MerchantKind::Resort, 30, 100..=400),
            (MerchantKind::Parking, 30, 250..=500),
            (MerchantKind::Gym, 60, 80..=200),
        ] {
            let count = per_day(merchant, shape, days);
            assert!(range.contains(&count), "{merchant} {shape}: {count}");
        }
    }
}

#[test]
fn purchases_follow_the_clock_and_the_week() {
    let world = World::new(&config(MerchantKind::Saas, ApiShape::Basil, 28)).unwrap();
    let mut weekdays = [0_u32; 7];
    let mut hours = [0_u32; 24];
    for event in world.filter(|e| e.event_type == "payment_intent.created") {
        // 28 February 2024 was a Wednesday.
        weekdays[usize::try_from((event.created - START_AT) / DAY % 7).unwrap()] += 1;
        hours[usize::try_from(event.created / 3_600 % 24).unwrap()] += 1;
    }
    // Saturday is the third day counted from Wednesday; ten in the morning is 18 h UTC there.
    assert!(weekdays[3] * 10 < weekdays[0] * 9, "{weekdays:?}");
    assert!(hours[10] * 2 < hours[18], "{hours:?}");
}

#[test]
fn base_failure_rate_is_realistic() {
    for &merchant in MerchantKind::ALL {
        let days = match merchant {
            MerchantKind::Marketplace => 2,
            MerchantKind::Saas => 10,
            _ => 60,
        };
        let mut intents = BTreeSet::new();
        let (mut failed, mut all) = (0, 0);
        for read in run(&config(merchant, ApiShape::Legacy, days)).0 {
            let attempt = read.is("charge.failed") || read.is("charge.succeeded");
            // Later attempts are retries; what counts is the first of each payment.
            if attempt && intents.insert(read.object()["payment_intent"].to_string()) {
                all += 1;
                failed += u32::from(read.is("charge.failed"));
            }
        }
        // Its job at night tries those who drove off without paying.
        let most = if merchant == MerchantKind::Parking {
            20
        } else {
            6
        };
        assert!(
            failed * 1_000 >= all * 15 && failed * 100 <= all * most,
            "{merchant}: {failed} of {all}"
        );
    }
}

#[test]
fn months_pass_in_bounded_numbers_of_live_subscriptions() {
    let mut world = World::new(&config(MerchantKind::SmallSaas, ApiShape::Legacy, 400)).unwrap();
    let (mut created, mut deleted) = (0, 0);
    for event in world.by_ref() {
        created += i32::from(event.event_type == "customer.subscription.created");
        deleted += i32::from(event.event_type == "customer.subscription.deleted");
    }
    assert!(created > 100 && deleted > 100, "{created} {deleted}");
    assert!((created - deleted).abs() < 300, "{created} {deleted}");
}
