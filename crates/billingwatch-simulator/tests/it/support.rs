//! Builders and readers shared by the tests.

use std::cell::OnceCell;

use billingwatch_simulator::{
    ApiShape, DeliveryModel, IncidentKind, IncidentPlan, Label, MerchantKind, SimulatedEvent,
    Strength, World, WorldConfig,
};
use serde_json::Value;

/// Wednesday, 28 February 2024, 00:00 UTC: a leap year's month end comes on the second day.
pub const START_AT: i64 = 1_709_078_400;
pub const DAY: i64 = 86_400;

pub fn config(merchant: MerchantKind, shape: ApiShape, days: u32) -> WorldConfig {
    WorldConfig {
        seed: 7,
        merchant,
        shape,
        start_at: START_AT,
        days,
        incidents: Vec::new(),
        oddities: true,
        delivery: DeliveryModel::Perfect,
    }
}

pub fn with_incident(
    mut config: WorldConfig,
    kind: IncidentKind,
    strength: Strength,
    at: i64,
) -> WorldConfig {
    config.incidents.push(IncidentPlan { kind, at, strength });
    config
}

/// An event whose body is read when it is asked for.
pub struct Read {
    pub event: SimulatedEvent,
    body: OnceCell<Value>,
}

impl Read {
    pub fn body(&self) -> &Value {
        self.body.get_or_init(|| {
            serde_json::from_slice(&self.event.json)
                .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.event.json)))
        })
    }

    pub fn object(&self) -> &Value {
        &self.body()["data"]["object"]
    }

    pub fn is(&self, event_type: &str) -> bool {
        self.event.event_type == event_type
    }
}

pub fn run(config: &WorldConfig) -> (Vec<Read>, Vec<Label>) {
    let mut world = World::new(config).unwrap();
    let events = world
        .by_ref()
        .map(|event| Read {
            event,
            body: OnceCell::new(),
        })
        .collect();
    (events, world.labels().to_vec())
}
