//! Merchants at whom nothing is wrong: attempts that fail by chance alone, for years.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use crate::testing::check;

const NAME: &str = "charge_failure_spike";

/// What `chance_alerts_per_year` is by default.
const A_YEAR: u64 = 3;

/// A merchant whose attempts fail by chance alone.
#[derive(Clone, Copy)]
struct Merchant {
    a_day: u64,
    failed_permille: u64,
    /// Each hour has a rate of its own: the usual one, or one so much higher or lower.
    stray_percent: u64,
}

impl Merchant {
    const fn steady(a_day: u64, failed_permille: u64) -> Self {
        Self {
            a_day,
            failed_permille,
            stray_percent: 0,
        }
    }
}

/// How many alerts it gets in so many days.
fn by_chance(merchant: Merchant, days: u64, seed: u64) -> u64 {
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
    let mut rate = 100;
    for slot in 0..days * slots {
        gap += 5;
        if slot % 720 == 0 && merchant.stray_percent > 0 {
            rate = 100 - merchant.stray_percent + random(3) * merchant.stray_percent;
        }
        // Twelve hours bring three quarters of a day's attempts.
        let busy = if slot % slots < slots / 2 { 3 } else { 1 };
        if random(2 * slots) >= busy * merchant.a_day {
            continue;
        }
        if random(100_000) < merchant.failed_permille * rate {
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
    let told = check(NAME, &timeline);
    u64::try_from(told.matches(" firing ").count()).unwrap()
}

#[test]
fn chance_alone_keeps_to_the_setting() {
    // Thirty merchant-years of three sizes and two rates.
    for (a_day, days) in [(15, 3_000), (60, 2_000), (300, 600)] {
        let alerts: u64 = [40, 100]
            .into_iter()
            .map(|permille| by_chance(Merchant::steady(a_day, permille), days, a_day))
            .sum();
        let may = A_YEAR * 2 * days / 365;
        assert!(alerts <= may, "{a_day} a day: {alerts}, may {may}");
    }
}

#[test]
fn rates_that_stray_by_a_quarter_keep_to_the_setting() {
    // One in ten fails, and one in five: in one hour a quarter more, in the next a quarter less.
    for failed_permille in [100, 200] {
        let merchant = Merchant {
            stray_percent: 30,
            ..Merchant::steady(300, failed_permille)
        };
        let alerts = by_chance(merchant, 600, failed_permille);
        let may = A_YEAR * 600 / 365;
        assert!(alerts <= may, "{failed_permille}: {alerts}, may {may}");
    }
}
