//! Memory grows with what is alive, never with what has been.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod support;

use billingwatch_core::engine::{Engine, Registry};
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_simulator::{ApiShape, MerchantKind};

use support::{START_AT, simulate, world};

/// The longest memory of the ledger lasts up to 240 days (twice 120), so a merchant of constant
/// size reaches its largest state after that. From then on events add nothing: the bound is the
/// largest state of the first 480 days, plus a tenth for the merchant's own growth and chance.
#[test]
fn state_stops_growing_while_events_go_on() {
    for shape in ApiShape::ALL {
        let (records, _) = simulate(&world(3, MerchantKind::Indie, *shape, 960));
        let mut engine = Engine::new(Registry::standard());
        let mut next = Timestamp::from_secs(START_AT) + Span::days(20);
        let mut sizes = Vec::new();
        for record in &records {
            if record.received_at >= next {
                sizes.push(engine.snapshot().unwrap().len());
                next = next + Span::days(20);
            }
            engine.apply(record);
            engine.take_changes();
            engine.take_suppressed();
        }
        let (first, second) = sizes.split_at(24);
        let (bound, reached) = (first.iter().max().unwrap(), second.iter().max().unwrap());
        assert!(
            *reached <= bound + bound / 10,
            "seed 3, {shape}: {bound} bytes, then {reached}: {sizes:?}"
        );
    }
}
