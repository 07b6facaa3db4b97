//! Outbox → channel: in order, at least once, with every attempt recorded.

use std::sync::Arc;

use billingwatch_alert::Outcome;
use billingwatch_core::alert::Severity;
use billingwatch_core::time::Span;
use billingwatch_pipeline::testing::{FakeChannel, Fault, Op, Sent};
use billingwatch_pipeline::{Clock, DeliverReport, Deliverer};
use billingwatch_store::AttemptOutcome;

use crate::support::{START, World};

fn deliverer(world: &World, channel: &str) -> (Deliverer, Sent) {
    let (channel, sent) = FakeChannel::boxed(channel, Severity::Low);
    let store = world.faulty.clone();
    (Deliverer::new(store, channel, world.clock.clone()), sent)
}

/// A world in which one alert has fired.
fn fired() -> World {
    let mut world = World::new();
    for n in 1..=3 {
        world.receive(&format!("evt_{n}"), "charge.failed");
    }
    world.pump_until_idle();
    world
}

fn deliver_all(deliverer: &mut Deliverer) -> usize {
    let mut sent = 0;
    while let DeliverReport::Sent { .. } = deliverer.step().unwrap() {
        sent += 1;
    }
    sent
}

fn retry() -> Outcome {
    Outcome::Retry {
        detail: "503".to_owned(),
        status: Some(503),
        after: None,
    }
}

/// (number, outcome, status) of every attempt for a channel, oldest first.
fn attempts(world: &World, channel: &str) -> Vec<String> {
    let page = billingwatch_store::Page::first(200).unwrap();
    let alerts = world
        .store
        .list_alerts(&billingwatch_store::AlertFilter::default(), &page)
        .unwrap();
    let mut attempts = Vec::new();
    for row in alerts.items {
        for delivery in world.store.alert_deliveries(&row.alert.id).unwrap() {
            if delivery.channel == channel {
                attempts.extend(
                    delivery
                        .attempts
                        .iter()
                        .map(|attempt| format!("r{} {:?}", delivery.revision, attempt.outcome)),
                );
            }
        }
    }
    attempts
}

#[test]
fn each_channel_hears_what_it_wants_and_only_those_told_of_the_start_hear_the_end() {
    let mut world = World::new();
    world.play_live();
    let told = |name: &str| {
        let (mut deliverer, sent) = deliverer(&world, name);
        deliver_all(&mut deliverer);
        sent.messages()
            .iter()
            .map(|message| crate::support::brief(&message.change))
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(told("all"), @r"
    +7 firing medium failures r1 n1
    +66 escalated high failures r2 n3
    +240 resolved high failures r3 n4
    +840 firing low quiet r1 n1
    +1500 resolved low quiet r2 n1
    +1562 firing high failures r4 n5
    +2220 firing low quiet r3 n2
    ");
    insta::assert_snapshot!(told("worse"), @r"
    +7 firing medium failures r1 n1
    +66 escalated high failures r2 n3
    +240 resolved high failures r3 n4
    +1562 firing high failures r4 n5
    ");
    insta::assert_snapshot!(told("worst"), @r"
    +66 escalated high failures r2 n3
    +240 resolved high failures r3 n4
    +1562 firing high failures r4 n5
    ");
    assert_eq!(told("all"), "", "delivered a second time");
}

#[test]
fn a_failed_attempt_is_made_again_under_the_same_id() {
    let world = fired();
    let (mut deliverer, sent) = deliverer(&world, "all");
    sent.answer(retry());
    sent.answer(retry());
    let report = deliverer.step().unwrap();
    let outcome = AttemptOutcome::Retry;
    assert_eq!(report, DeliverReport::Sent { outcome });
    let DeliverReport::Idle { next_due_at } = deliverer.step().unwrap() else {
        panic!("sent again at once");
    };
    let wait = next_due_at.unwrap().since(START);
    assert!((4_500..=5_500).contains(&wait.as_millis()), "{wait}");
    assert!(deliverer.sleep_for(next_due_at) <= std::time::Duration::from_secs(5));

    world.clock.advance(wait);
    assert_eq!(deliver_all(&mut deliverer), 1);
    world.clock.advance(Span::minutes(1));
    assert_eq!(deliver_all(&mut deliverer), 1);
    let ids = sent.delivery_ids();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let numbers: Vec<u32> = sent.messages().iter().map(|sent| sent.attempt).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(
        attempts(&world, "all"),
        ["r1 Retry", "r1 Retry", "r1 Delivered"]
    );
}

#[test]
fn after_three_days_it_is_given_up_and_said_so() {
    let world = fired();
    let (mut deliverer, sent) = deliverer(&world, "all");
    for _ in 0..40 {
        sent.answer(retry());
    }
    let mut last = None;
    loop {
        match deliverer.step().unwrap() {
            DeliverReport::Sent { outcome } => last = Some(outcome),
            DeliverReport::Idle {
                next_due_at: Some(due_at),
            } => world.clock.set(due_at),
            DeliverReport::Idle { next_due_at: None } => break,
        }
    }
    assert_eq!(last, Some(AttemptOutcome::GaveUp));
    let age = world.clock.now().since(START);
    assert_eq!(age, Span::days(3));
    assert!(sent.messages().len() < 30, "{}", sent.messages().len());
    assert_eq!(deliverer.counters().gave_up.get(), 1);
}

#[test]
fn gone_disables_the_channel_and_only_that() {
    let mut world = fired();
    let (mut gone, sent) = deliverer(&world, "all");
    sent.answer(Outcome::GiveUp {
        detail: "410 Gone".to_owned(),
        status: Some(410),
        disable_channel: true,
    });
    assert_eq!(deliver_all(&mut gone), 1);
    world.receive("evt_4", "charge.succeeded");
    world.pump_until_idle();
    assert_eq!(deliver_all(&mut gone), 0, "asked a target that is gone");
    let (mut other, other_sent) = deliverer(&world, "worse");
    assert_eq!(deliver_all(&mut other), 2);
    assert_eq!(other_sent.messages().len(), 2);
    let channels = world.store.channels().unwrap();
    let row = channels.iter().find(|row| row.name == "all").unwrap();
    assert_eq!(row.disabled_reason.as_deref(), Some("410 Gone"));
}

#[test]
fn an_attempt_that_cannot_be_recorded_is_recorded_later_and_not_made_again() {
    let world = fired();
    let (mut deliverer, sent) = deliverer(&world, "all");
    world.faulty.fail_next(Op::Settle, Fault::Before);
    assert!(deliverer.step().is_err());
    assert_eq!(deliver_all(&mut deliverer), 1);
    assert_eq!(sent.messages().len(), 1);
    assert_eq!(attempts(&world, "all"), ["r1 Delivered"]);
}

#[test]
fn a_settlement_reported_as_failed_that_happened_is_not_recorded_twice() {
    let world = fired();
    let (mut deliverer, sent) = deliverer(&world, "all");
    world.faulty.fail_next(Op::Settle, Fault::After);
    assert!(deliverer.step().is_err());
    // Whatever the store says of the repeat, nothing is sent again and the loop goes on.
    let _ = deliverer.step();
    world.clock.advance(deliverer.lease() + Span::minutes(1));
    assert_eq!(deliver_all(&mut deliverer), 0);
    assert_eq!(sent.messages().len(), 1);
    assert_eq!(attempts(&world, "all"), ["r1 Delivered"]);
}

#[test]
fn who_dies_after_sending_gives_it_back_when_the_lease_runs_out() {
    let world = fired();
    let (mut dying, first) = deliverer(&world, "all");
    world.faulty.fail_next(Op::Settle, Fault::Before);
    assert!(dying.step().is_err());
    drop(dying);
    let (mut next, second) = deliverer(&world, "all");
    assert_eq!(deliver_all(&mut next), 0, "the lease was not kept");
    world.clock.advance(next.lease());
    assert_eq!(deliver_all(&mut next), 1);
    assert_eq!(first.delivery_ids(), second.delivery_ids());
}

#[test]
fn two_runs_at_once_send_each_delivery_once() {
    let mut world = World::new();
    world.play_live();
    let (mut one, first) = deliverer(&world, "all");
    let (mut two, second) = deliverer(&world, "all");
    loop {
        let reports = [one.step().unwrap(), two.step().unwrap()];
        if reports
            .iter()
            .all(|report| matches!(report, DeliverReport::Idle { .. }))
        {
            break;
        }
    }
    let mut ids = first.delivery_ids();
    ids.extend(second.delivery_ids());
    let total = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), total);
}

#[test]
fn a_later_change_waits_for_the_earlier_one_of_its_alert() {
    let mut world = fired();
    let (mut deliverer, sent) = deliverer(&world, "all");
    sent.answer(retry());
    assert_eq!(deliver_all(&mut deliverer), 1);
    world.receive("evt_4", "charge.succeeded");
    world.pump_until_idle();
    assert_eq!(deliver_all(&mut deliverer), 0, "the end before the start");
    world.clock.advance(Span::minutes(1));
    assert_eq!(deliver_all(&mut deliverer), 2);
    let revisions: Vec<u32> = sent
        .messages()
        .iter()
        .map(|message| message.change.alert.revision)
        .collect();
    assert_eq!(revisions, [1, 1, 2]);
}

#[test]
fn a_channel_that_panics_costs_one_attempt() {
    struct Panics(
        Box<dyn billingwatch_alert::Channel>,
        std::sync::atomic::AtomicBool,
    );
    impl billingwatch_alert::Channel for Panics {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn send(&self, message: &billingwatch_alert::Message) -> Outcome {
            assert!(
                self.1.swap(true, std::sync::atomic::Ordering::SeqCst),
                "planned"
            );
            self.0.send(message)
        }
    }
    let world = fired();
    let (inner, sent) = FakeChannel::boxed("all", Severity::Low);
    let channel = Box::new(Panics(inner, false.into()));
    let clock: Arc<dyn Clock> = world.clock.clone();
    let mut deliverer = Deliverer::new(world.faulty.clone(), channel, clock);
    assert_eq!(deliver_all(&mut deliverer), 1);
    world.clock.advance(Span::minutes(1));
    assert_eq!(deliver_all(&mut deliverer), 1);
    assert_eq!(sent.messages().len(), 1);
    assert_eq!(attempts(&world, "all"), ["r1 Retry", "r1 Delivered"]);
}

#[test]
fn what_history_shows_pages_nobody() {
    let mut world = World::new();
    let mut entries = Vec::new();
    for (n, minutes) in [0, 60, 61].into_iter().enumerate() {
        let at = START - Span::days(30) + Span::minutes(minutes);
        let mut entry = crate::support::entry(&format!("evt_{n}"), "charge.succeeded", at);
        entry.is_historical = true;
        entry.received_at = Some(at);
        entries.push(entry);
    }
    billingwatch_pipeline::PipelineStore::append(&world.store, &entries, START).unwrap();
    while world.pump.step().unwrap().rows < 3 {}
    let outcome = world.outcome();
    assert_eq!(outcome.changes.len(), 0, "{outcome:#?}");
    assert_eq!(outcome.deliveries.len(), 0, "{outcome:#?}");
}
