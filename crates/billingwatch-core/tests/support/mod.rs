//! What the integration tests share: simulated worlds as records, chance from a seed, and a run of
//! the engine over records.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support: each test program uses a part of it"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use billingwatch_core::alert::{AlertChange, AlertStatus};
use billingwatch_core::engine::{Engine, Input, Record, Registry};
use billingwatch_core::stripe::payload::parse_event;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_simulator::{
    ApiShape, DeliveryModel, IncidentKind, IncidentPlan, Label, MerchantKind, Strength, World,
    WorldConfig,
};

/// Monday 2024-01-01 00:00 UTC.
pub(crate) const START_AT: i64 = 1_704_067_200;
pub(crate) const DAY: i64 = 86_400;

/// A harmless world with the oddities of real ones.
pub(crate) fn world(seed: u64, merchant: MerchantKind, shape: ApiShape, days: u32) -> WorldConfig {
    WorldConfig {
        seed,
        merchant,
        shape,
        start_at: START_AT,
        days,
        incidents: Vec::new(),
        oddities: true,
        delivery: DeliveryModel::Realistic,
    }
}

/// Adds an incident at noon of a day.
pub(crate) fn with(
    mut config: WorldConfig,
    kind: IncidentKind,
    strength: Strength,
    day: i64,
) -> WorldConfig {
    let at = START_AT + day * DAY + DAY / 2;
    config.incidents.push(IncidentPlan { kind, at, strength });
    config
}

/// A world as the journal would hold it, and what is wrong in it.
pub(crate) fn simulate(config: &WorldConfig) -> (Vec<Record>, Vec<Label>) {
    let mut world = World::new(config).unwrap();
    let source: Arc<str> = "default".into();
    let records = world
        .by_ref()
        .map(|event| {
            let received_at = Timestamp::from_millis(event.received_at_ms);
            Record {
                received_at,
                source: source.clone(),
                is_historical: false,
                input: Input::Event(Box::new(parse_event(&event.json, received_at).unwrap())),
            }
        })
        .collect();
    (records, world.labels().to_vec())
}

/// Everything that an engine said.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) changes: Vec<AlertChange>,
    /// Changes and suppressed findings as JSON, a line each.
    pub(crate) lines: Vec<String>,
}

impl Told {
    pub(crate) fn take(&mut self, engine: &mut Engine) {
        for change in engine.take_changes() {
            self.lines.push(serde_json::to_string(&change).unwrap());
            self.changes.push(change);
        }
        for quiet in engine.take_suppressed() {
            self.lines.push(serde_json::to_string(&quiet).unwrap());
        }
    }

    pub(crate) fn fired(&self) -> impl Iterator<Item = &AlertChange> {
        let is_firing = |change: &&AlertChange| change.alert.status == AlertStatus::Firing;
        self.changes.iter().filter(is_firing)
    }

    /// The alerts that lasted, by detector, scope and what they are about.
    ///
    /// Two things depend on the order of delivery, and both are seen through here. Of three equal
    /// charges the alert is named after the one that was known first; so what it is about stands
    /// for the key, where there is such a thing. And an alert that a late event explains away
    /// within minutes (the refund between two equal charges, delivered after the second) fires in
    /// one order, ends by itself, and does not fire in another.
    pub(crate) fn lasting(&self) -> BTreeSet<String> {
        let lasts = |fired: &&AlertChange| {
            !self.changes.iter().any(|change| {
                change.alert.id == fired.alert.id
                    && change.alert.status == AlertStatus::Resolved
                    && change.at.since(fired.at) < Span::minutes(10)
            })
        };
        self.fired().filter(lasts).map(incident).collect()
    }

    /// What became of an incident, for a failure's message.
    pub(crate) fn story_of(&self, name: &str) -> Vec<String> {
        let steps = self
            .changes
            .iter()
            .filter(|change| incident(change) == name);
        steps
            .map(|change| {
                let (at, alert) = (change.at, &change.alert);
                let ids = &alert.evidence.event_ids;
                let reason = alert.resolution.as_ref().unwrap_or(&alert.message);
                format!("{at} {}: {reason} {ids:?}", alert.status.as_str())
            })
            .collect()
    }

    /// Fails, with the seed and the first line that differs.
    pub(crate) fn assert_same(&self, other: &Self, what: &str, config: &WorldConfig) {
        let (seed, shape, merchant) = (config.seed, config.shape, config.merchant);
        for (index, (left, right)) in self.lines.iter().zip(&other.lines).enumerate() {
            assert!(
                left == right,
                "{what}: seed {seed}, {merchant}, {shape}: line {index} differs\n{left}\n{right}"
            );
        }
        assert_eq!(
            self.lines.len(),
            other.lines.len(),
            "{what}: seed {seed}, {merchant}, {shape}: one said more: {:?} {:?}",
            self.lines.get(other.lines.len()),
            other.lines.get(self.lines.len()),
        );
    }
}

fn incident(change: &AlertChange) -> String {
    let alert = &change.alert;
    let about = alert.subject.as_ref().unwrap_or(&alert.key);
    format!("{} {} {about}", alert.detector, alert.scope)
}

/// A week after the last record: the whole merchant is silent by then.
pub(crate) fn end_of(records: &[Record]) -> Timestamp {
    last_of(records) + Span::days(7)
}

/// The last record's time.
pub(crate) fn last_of(records: &[Record]) -> Timestamp {
    records.last().unwrap().received_at
}

/// Records through a new engine with all detectors, and a week of silence.
pub(crate) fn run(records: &[Record]) -> Told {
    run_until(records, end_of(records))
}

/// Records through a new engine with all detectors, and the time until `end`.
pub(crate) fn run_until(records: &[Record], end: Timestamp) -> Told {
    let mut engine = Engine::new(Registry::standard());
    let mut told = Told::default();
    for record in records {
        engine.apply(record);
        told.take(&mut engine);
    }
    engine.advance_to(end);
    told.take(&mut engine);
    told
}

/// Chance from a seed (SplitMix64): the same on every machine.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// True once in `n`.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A length of time below `bound`.
    pub(crate) fn span(&mut self, bound: Span) -> Span {
        let millis = u64::try_from(bound.as_millis()).unwrap();
        Span::millis(i64::try_from(self.below(millis)).unwrap())
    }
}
