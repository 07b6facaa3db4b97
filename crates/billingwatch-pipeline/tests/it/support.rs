//! A world in which every step is taken by hand: a clock that stands still, a store that fails on
//! demand, and a pump that may be dropped and started again at any point.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use billingwatch_alert::Route;
use billingwatch_core::alert::{AlertChange, Severity};
use billingwatch_core::engine::Registry;
use billingwatch_core::stripe::payload::read_envelope;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::testing::{FaultyStore, event_body, probe_registry};
use billingwatch_pipeline::{
    Clock, Ingest, IngestError, IngestOptions, IngestWriter, ManualClock, PipelineStore, Pump,
    PumpOptions, Received, StepReport, event_entry,
};
use billingwatch_store::{AlertFilter, Happened, NewEntry, Page, Store, StoreOptions};

/// Monday 2024-03-04, 00:00 UTC.
pub const START: Timestamp = Timestamp::from_secs(1_709_510_400);

/// What happens: seconds after the start, event id, type. An empty id only lets time pass.
pub const STORY: &[(i64, &str, &str)] = &[
    (5, "evt_a1", "charge.failed"),
    (6, "evt_a2", "charge.failed"),
    (7, "evt_a3", "charge.failed"),
    (65, "evt_a4", "charge.failed"),
    (66, "evt_a5", "charge.failed"),
    (130, "evt_a6", "charge.failed"),
    (131, "evt_a6", "charge.failed"),
    (180, "evt_a7", "charge.updated"),
    (240, "evt_a8", "charge.succeeded"),
    (700, "", ""),
    (1100, "", ""),
    (1500, "evt_b1", "charge.succeeded"),
    (1501, "evt_a3", "charge.failed"),
    (1560, "evt_b2", "charge.failed"),
    (1561, "evt_b3", "charge.failed"),
    (1562, "evt_b4", "charge.failed"),
    (3600, "", ""),
    (3700, "evt_c1", "customer.created"),
    (9000, "", ""),
];

/// An empty database in memory.
pub fn memory_store() -> Store {
    open("sqlite::memory:")
}

/// A database, brought up to date.
pub fn open(url: &str) -> Store {
    let store = Store::open(&StoreOptions::new(url.to_owned())).unwrap();
    store.migrate().unwrap();
    store
}

/// A journal entry of an event about a charge.
pub fn entry(id: &str, event_type: &str, created: Timestamp) -> NewEntry {
    entry_of(&event_body(id, event_type, created))
}

/// A journal entry of an event's bytes.
pub fn entry_of(body: &[u8]) -> NewEntry {
    event_entry("default", read_envelope(body).unwrap(), body.to_vec())
}

pub struct World {
    pub store: Store,
    pub faulty: Arc<FaultyStore>,
    pub clock: Arc<ManualClock>,
    pub pump: Pump,
    pub ingest: Ingest,
    pub writer: IngestWriter,
    pub registry: Registry,
    pub options: PumpOptions,
}

impl World {
    pub fn new() -> Self {
        Self::with(memory_store(), PumpOptions::default())
    }

    pub fn with(store: Store, options: PumpOptions) -> Self {
        let faulty = FaultyStore::new(Arc::new(store.clone()));
        let clock = Arc::new(ManualClock::new(START));
        let (ingest, writer) = Ingest::new(
            faulty.clone(),
            clock.clone(),
            IngestOptions::default(),
            Arc::default(),
        );
        let registry = probe_registry();
        let pump = make_pump(&faulty, &clock, &registry, options);
        Self {
            store,
            faulty,
            clock,
            pump,
            ingest,
            writer,
            registry,
            options,
        }
    }

    /// As if the process had died and come up again.
    pub fn restart(&mut self) {
        self.pump = make_pump(&self.faulty, &self.clock, &self.registry, self.options);
    }

    /// Sends an event once.
    pub fn try_receive(&mut self, id: &str, event_type: &str) -> Result<Received, IngestError> {
        let receipt = self
            .ingest
            .submit(entry(id, event_type, self.clock.now()))?;
        // A planned panic stands for the process's death.
        let _ = catch_unwind(AssertUnwindSafe(|| self.writer.step()));
        // After a panic the answer was dropped with the batch.
        receipt.wait()
    }

    /// Sends an event until it is acknowledged, as Stripe does.
    pub fn receive(&mut self, id: &str, event_type: &str) -> Received {
        for _ in 0..10 {
            if let Ok(received) = self.try_receive(id, event_type) {
                return received;
            }
        }
        panic!("{id} was never acknowledged");
    }

    /// Steps until there is nothing to do, through failures and deaths.
    pub fn pump_until_idle(&mut self) {
        for _ in 0..10_000 {
            match catch_unwind(AssertUnwindSafe(|| self.pump.step())) {
                Ok(Ok(StepReport { is_idle: true, .. })) => return,
                Ok(_) => {}
                Err(_) => self.restart(),
            }
        }
        panic!("the pump never came to rest");
    }

    /// Plays the story; `after` may look in after each event, before the pump does.
    pub fn play(&mut self, mut each: impl FnMut(&mut Self)) {
        for (secs, id, event_type) in STORY {
            self.clock.set(START + Span::secs(*secs));
            if !id.is_empty() {
                self.receive(id, event_type);
            }
            each(self);
        }
    }

    /// Plays the story with the pump at rest after each event.
    pub fn play_live(&mut self) {
        self.play(Self::pump_until_idle);
    }

    /// Everything that was recorded: alert changes, deliveries, suppressed findings.
    pub fn outcome(&self) -> Outcome {
        outcome(&self.store)
    }

    pub fn head_seq(&self) -> i64 {
        PipelineStore::head(&self.store).unwrap().last_seq
    }
}

pub fn make_pump(
    store: &Arc<FaultyStore>,
    clock: &Arc<ManualClock>,
    registry: &Registry,
    options: PumpOptions,
) -> Pump {
    let route = |channel: &str, min_severity| Route {
        channel: channel.to_owned(),
        min_severity,
        sends_test_mode: true,
    };
    Pump::new(
        store.clone(),
        clock.clone(),
        registry.clone(),
        vec![
            route("all", Severity::Low),
            route("worse", Severity::Medium),
            route("worst", Severity::High),
        ],
        options,
    )
}

/// What is in the store after a story.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Every alert change, in order.
    pub changes: Vec<String>,
    /// Every delivery, by alert, revision and channel.
    pub deliveries: Vec<String>,
    /// Every alert as it stands.
    pub alerts: Vec<String>,
}

pub fn outcome(store: &Store) -> Outcome {
    let page = Page::first(200).unwrap();
    let listed = store.list_alerts(&AlertFilter::default(), &page).unwrap();
    let mut changes: Vec<AlertChange> = Vec::new();
    let mut deliveries = Vec::new();
    let mut alerts = Vec::new();
    for row in listed.items {
        let id = row.alert.id.clone();
        for entry in store.alert_history(&id).unwrap() {
            if let Happened::Changed(alert) = entry.what {
                changes.push(AlertChange {
                    at: entry.at,
                    alert: *alert,
                });
            }
        }
        deliveries.extend(
            store
                .alert_deliveries(&id)
                .unwrap()
                .into_iter()
                .map(|row| format!("{id} {} {}", row.revision, row.channel)),
        );
        alerts.push(serde_json::to_string(&row.alert).unwrap());
    }
    changes.sort_by_key(|change| (change.at, change.alert.id.clone(), change.alert.revision));
    deliveries.sort();
    alerts.sort();
    Outcome {
        changes: changes.iter().map(line).collect(),
        deliveries,
        alerts,
    }
}

/// A change, whole.
pub fn line(change: &AlertChange) -> String {
    serde_json::to_string(change).unwrap()
}

/// A change in brief: seconds after the start, status, severity, key, revision.
pub fn brief(change: &AlertChange) -> String {
    let alert = &change.alert;
    format!(
        "+{} {} {} {} r{} n{}",
        change.at.since(START).as_secs(),
        alert.status.as_str(),
        alert.severity,
        alert.key.rsplit(':').next().unwrap(),
        alert.revision,
        alert.count,
    )
}
