//! Each incident of the simulator raises its detector's alert; a harmless world raises none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod support;

use billingwatch_core::alert::AlertStatus;
use billingwatch_core::engine::Record;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_simulator::{ApiShape, IncidentKind, MerchantKind, Strength};

use support::{Told, last_of, run_until, simulate, with, world};

/// To the end of the world: after it there is nothing but silence.
fn run(records: &[Record]) -> Told {
    run_until(records, last_of(records))
}

/// How long after an incident its alert may still fire: a day is judged when it is complete, and
/// a lapse three days after the payment was due.
fn patience(kind: IncidentKind) -> Span {
    match kind {
        IncidentKind::RevenueDrop => Span::days(2),
        IncidentKind::SilentLapse => Span::days(5),
        _ => Span::hours(2),
    }
}

#[test]
fn every_clear_incident_is_found() {
    let mut missed = Vec::new();
    for kind in IncidentKind::ALL {
        for shape in ApiShape::ALL {
            for seed in [1, 2, 3] {
                let merchant = MerchantKind::SmallSaas;
                let config = with(
                    world(seed, merchant, *shape, 45),
                    *kind,
                    Strength::Clear,
                    32,
                );
                let (records, labels) = simulate(&config);
                let label = &labels[0];
                let told = run(&records);
                let from = Timestamp::from_secs(label.starts_at);
                let until = Timestamp::from_secs(label.ends_at) + patience(*kind);
                let is_found = told.fired().any(|change| {
                    change.alert.detector == kind.detector()
                        && change.at >= from
                        && change.at <= until
                });
                let others: Vec<_> = told
                    .fired()
                    .map(|change| {
                        format!(
                            "{} {} {}",
                            change.at, change.alert.key, change.alert.message
                        )
                    })
                    .collect();
                if !is_found {
                    missed.push(format!(
                        "{kind}: seed {seed}, {merchant}, {shape}, {from} to {until}; fired: {others:#?}"
                    ));
                }
            }
        }
    }
    assert!(
        missed.is_empty(),
        "{} missed\n{}",
        missed.len(),
        missed.join("\n")
    );
}

/// What fires in a world where nothing is wrong.
fn noise(merchant: MerchantKind, days: u32, seed: u64) -> Vec<String> {
    let mut noise = Vec::new();
    for shape in ApiShape::ALL {
        let (records, _) = simulate(&world(seed, merchant, *shape, days));
        for change in run(&records).fired() {
            let (at, key, message) = (change.at, &change.alert.key, &change.alert.message);
            noise.push(format!(
                "{merchant}, {shape}, seed {seed}: {at} {key}: {message}"
            ));
        }
    }
    noise
}

#[test]
fn harmless_worlds_are_quiet() {
    let worlds = [
        (MerchantKind::Indie, 90),
        (MerchantKind::SmallSaas, 60),
        (MerchantKind::Multicurrency, 40),
        (MerchantKind::Saas, 14),
        (MerchantKind::Marketplace, 3),
    ];
    let noise: Vec<String> = worlds
        .iter()
        .flat_map(|(merchant, days)| [1, 2].map(|seed| noise(*merchant, *days, seed)))
        .flatten()
        .collect();
    assert!(noise.is_empty(), "{}\n{}", noise.len(), noise.join("\n"));
}

#[test]
fn a_currency_with_a_dozen_payments_a_day_is_quiet() {
    let noise = noise(MerchantKind::Multicurrency, 40, 3);
    assert!(noise.is_empty(), "{}\n{}", noise.len(), noise.join("\n"));
}

#[test]
fn what_fired_and_is_over_is_told_to_be_over() {
    for kind in [
        IncidentKind::ChargeFailureSpike,
        IncidentKind::WebhookLag,
        IncidentKind::WebhookSilence,
        IncidentKind::FraudSpike,
    ] {
        let config = with(
            world(5, MerchantKind::SmallSaas, ApiShape::Basil, 40),
            kind,
            Strength::Clear,
            32,
        );
        let (records, _) = simulate(&config);
        let told = run(&records);
        for change in told
            .fired()
            .filter(|change| change.alert.detector == kind.detector())
        {
            let is_resolved = told.changes.iter().any(|later| {
                later.alert.id == change.alert.id && later.alert.status == AlertStatus::Resolved
            });
            assert!(
                is_resolved,
                "{kind}, seed 5: {} never ended",
                change.alert.key
            );
        }
    }
}
