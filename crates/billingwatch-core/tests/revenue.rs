//! A loss of revenue is the same whatever its currency's unit is worth, and however its events arrive.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod support;

use std::sync::Arc;

use billingwatch_core::engine::{Input, Record};
use billingwatch_core::stripe::payload::parse_event;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_simulator::{ApiShape, IncidentKind, MerchantKind, Strength, World, WorldConfig};

use support::{Chance, last_of, run_until, simulate, with, world};

/// A merchant that loses four fifths of its payments for two days.
fn losing(seed: u64, merchant: MerchantKind, shape: ApiShape) -> WorldConfig {
    let config = world(seed, merchant, shape, 40);
    with(config, IncidentKind::RevenueDrop, Strength::Clear, 32)
}

fn over_worlds(check: impl Fn(&WorldConfig)) {
    for (seed, merchant, shape) in [
        (1, MerchantKind::SmallSaas, ApiShape::Basil),
        (7, MerchantKind::SmallSaas, ApiShape::Legacy),
        (42, MerchantKind::Multicurrency, ApiShape::Basil),
    ] {
        check(&losing(seed, merchant, shape));
    }
}

/// What `revenue_drop` said, step by step: when, whether it fired, escalated or ended, how bad it was.
fn steps(records: &[Record]) -> Vec<(Timestamp, String)> {
    let told = run_until(records, last_of(records));
    let ours = told
        .changes
        .iter()
        .filter(|change| change.alert.detector == "revenue_drop");
    ours.map(|change| {
        let alert = &change.alert;
        let words = format!(
            "{} {} {}",
            alert.key,
            alert.status.as_str(),
            alert.severity.as_str()
        );
        (change.at, words)
    })
    .collect()
}

/// Everything that is an amount of money in an event, ten times as much.
fn tenfold(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                let is_amount = name.contains("amount")
                    || name.contains("total")
                    || name.contains("balance")
                    || name.contains("credit_notes");
                match field {
                    serde_json::Value::Number(number) if is_amount => {
                        let tenfold = number.as_i64().map(|number| number * 10);
                        *field = tenfold.unwrap().into();
                    }
                    serde_json::Value::String(decimal) if name == "unit_amount_decimal" => {
                        *decimal = format!("{decimal}0");
                    }
                    _ => tenfold(field),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(tenfold),
        _ => {}
    }
}

fn simulate_tenfold(config: &WorldConfig) -> Vec<Record> {
    let source: Arc<str> = "default".into();
    World::new(config)
        .unwrap()
        .map(|event| {
            let received_at = Timestamp::from_millis(event.received_at_ms);
            let mut value: serde_json::Value = serde_json::from_slice(event.json.as_ref()).unwrap();
            tenfold(&mut value);
            let json = serde_json::to_vec(&value).unwrap();
            Record {
                received_at,
                source: source.clone(),
                is_historical: false,
                input: Input::Event(Box::new(parse_event(&json, received_at).unwrap())),
            }
        })
        .collect()
}

#[test]
fn ten_times_the_amounts_are_the_same_loss() {
    over_worlds(|config| {
        let (records, _) = simulate(config);
        let told = steps(&records);
        let fired = told.iter().filter(|(_, words)| words.contains("firing"));
        assert_eq!(fired.count(), 1, "seed {}: {told:?}", config.seed);
        assert_eq!(
            told,
            steps(&simulate_tenfold(config)),
            "seed {}",
            config.seed
        );
    });
}

#[test]
fn shuffled_and_repeated_deliveries_are_the_same_loss() {
    over_worlds(|config| {
        let (records, _) = simulate(config);
        let mut chance = Chance::new(config.seed);
        let mut shuffled = records.clone();
        for record in &records {
            if chance.one_in(4) {
                shuffled.push(record.clone());
            }
        }
        for record in &mut shuffled {
            record.received_at = record.received_at + chance.span(Span::minutes(3));
        }
        shuffled.sort_by_key(|record| record.received_at);
        let ends = |records: &[Record]| -> Vec<String> {
            let told = steps(records).into_iter().map(|(_, words)| words);
            told.filter(|words| !words.contains("escalated")).collect()
        };
        let (told, theirs) = (ends(&records), ends(&shuffled));
        let keys = |told: &[String]| -> Vec<String> {
            told.iter()
                .map(|words| words.rsplit_once(' ').unwrap().0.to_owned())
                .collect()
        };
        assert_eq!(keys(&told), keys(&theirs), "seed {}", config.seed);
    });
}
