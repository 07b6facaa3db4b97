//! The same configuration yields the same bytes, and events come in the order of receipt.

use std::collections::BTreeMap;

use billingwatch_simulator::{
    ApiShape, DeliveryModel, IncidentKind, MerchantKind, SimulatedEvent, Strength, World,
};

use crate::support::{DAY, START_AT, config, with_incident};

#[test]
fn same_config_same_bytes() {
    for &merchant in MerchantKind::ALL {
        let mut plan = config(merchant, ApiShape::Basil, 3);
        plan.delivery = DeliveryModel::Realistic;
        for &kind in IncidentKind::ALL {
            plan = with_incident(plan, kind, Strength::Moderate, START_AT + DAY);
        }
        let one: Vec<SimulatedEvent> = World::new(&plan).unwrap().collect();
        let two: Vec<SimulatedEvent> = World::new(&plan).unwrap().collect();
        assert!(one == two, "{merchant}");
        plan.seed += 1;
        let other: Vec<SimulatedEvent> = World::new(&plan).unwrap().collect();
        assert!(one != other, "{merchant}");
    }
}

#[test]
fn events_come_in_the_order_of_receipt_and_never_before_they_happen() {
    for &delivery in DeliveryModel::ALL {
        for kind in [IncidentKind::WebhookLag, IncidentKind::WebhookSilence] {
            let plan = config(MerchantKind::SmallSaas, ApiShape::Legacy, 20);
            let mut plan = with_incident(plan, kind, Strength::Clear, START_AT + 5 * DAY);
            plan.delivery = delivery;
            let mut last = 0;
            for event in World::new(&plan).unwrap() {
                assert!(event.received_at_ms >= last);
                assert!(event.received_at_ms / 1_000 >= event.created);
                last = event.received_at_ms;
            }
        }
    }
}

#[test]
fn realistic_delivery_repeats_disorders_and_delays() {
    let mut plan = config(MerchantKind::Saas, ApiShape::Legacy, 10);
    plan.delivery = DeliveryModel::Realistic;
    let mut ids = BTreeMap::<String, u32>::new();
    let (mut late, mut swapped, mut last) = (0, 0, 0);
    for event in World::new(&plan).unwrap() {
        late += u32::from(event.received_at_ms / 1_000 - event.created > 60);
        swapped += u32::from(event.created < last);
        last = event.created;
        *ids.entry(event.id).or_default() += 1;
    }
    assert!(ids.values().any(|n| *n > 1));
    assert!(late > 20 && swapped > 100, "{late} {swapped}");
}
