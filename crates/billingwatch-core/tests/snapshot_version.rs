//! A snapshot of a fixed world, so that no change of what a snapshot holds goes by unversioned.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use billingwatch_core::engine::{Engine, Registry, SNAPSHOT_VERSION};
use billingwatch_simulator::{ApiShape, IncidentKind, MerchantKind, Strength};
use sha2::{Digest, Sha256};

use support::{simulate, with, world};

/// Where this fails, either what the engine keeps has changed, in its layout or in what its rules
/// make of the same events, or the simulator's world has. After the first raise [`SNAPSHOT_VERSION`]:
/// an older snapshot would be misread, or be gone on from by other rules than it was made by. Then
/// take the new digests.
#[test]
fn what_a_snapshot_holds_changes_with_its_version_only() {
    let kinds = [
        (IncidentKind::DuplicateCharge, 12),
        (IncidentKind::ChargeFailureSpike, 18),
        (IncidentKind::FraudSpike, 24),
        (IncidentKind::SilentLapse, 28),
    ];
    let digests = ApiShape::ALL.iter().map(|shape| {
        let config = world(5, MerchantKind::SmallSaas, *shape, 36);
        let config = kinds.into_iter().fold(config, |config, (kind, day)| {
            with(config, kind, Strength::Clear, day)
        });
        let (records, _) = simulate(&config);
        let mut engine = Engine::new(Registry::standard());
        for record in &records {
            engine.apply(record);
            engine.take_changes();
            engine.take_suppressed();
        }
        let bytes = engine.snapshot().unwrap();
        assert!(bytes.len() > 10_000, "{shape}: {} bytes", bytes.len());
        format!("{shape}: {}", hex::encode(&Sha256::digest(&bytes)[..8]))
    });
    let digests = digests.collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(format!("version {SNAPSHOT_VERSION}\n{digests}"), @"
        version 15
        legacy: d167ba6060982312
        basil: f569b21b074b245d
        ");
}
