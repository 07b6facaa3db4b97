//! The store in memory, on which the simulation stands, answers as the real ones do: some thousand
//! random calls, each put to both, each answer compared.

use std::fmt::Debug;

use billingwatch_core::alert::{Alert, AlertChange, AlertStatus, Evidence, Severity, Suppressed};
use billingwatch_core::detector::SettingValues;
use billingwatch_core::engine::SettingsChange;
use billingwatch_core::ids::Scope;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::PipelineStore;
use billingwatch_pipeline::testing::MemoryStore;
use billingwatch_store::{
    Attempt, AttemptOutcome, Cursor, Delivery, NewDelivery, NewEntry, Step, StoreError,
};

use crate::support::{START, entry};

const CONSUMER: &str = "engine";
const CHANNELS: [&str; 2] = ["mail", "hook"];

/// Chance of its own: the same calls on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % n
    }

    fn small(&mut self, n: u64) -> i64 {
        i64::try_from(self.below(n)).unwrap()
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A real store and the model of it.
struct Pair<'a> {
    real: &'a dyn PipelineStore,
    model: MemoryStore,
    dice: Dice,
    now: Timestamp,
    leased: Vec<Delivery>,
    revisions: [u32; 3],
    calls: usize,
}

/// What can be compared of an answer: errors by what they mean, not by their words.
fn answer<T: Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(StoreError::CursorMoved { found, .. }) => format!("moved to {found}"),
        Err(StoreError::BadEntry { .. }) => "a bad entry".to_owned(),
        Err(error) if error.is_transient() => panic!("the test's database is away: {error}"),
        Err(_) => "refused".to_owned(),
    }
}

impl Pair<'_> {
    fn both<T: Debug>(&mut self, call: impl Fn(&dyn PipelineStore) -> Result<T, StoreError>) {
        let (real, model) = (answer(call(self.real)), answer(call(&self.model)));
        assert_eq!(model, real, "call {} of seed {}", self.calls, self.dice.0);
        self.calls += 1;
    }

    fn step(&mut self) {
        self.now = self.now + Span::millis(self.dice.small(30_000) - 5_000);
        match self.dice.below(12) {
            0..=2 => self.append(),
            3 => {
                let now = self.now;
                self.both(move |store| store.touch_head(now));
            }
            4 => {
                let (seq, limit) = (self.dice.small(40), self.dice.small(9) - 1);
                self.both(move |store| store.read_after(seq, limit));
            }
            5..=7 => self.commit(),
            8 | 9 => self.lease(),
            10 => self.settle(),
            _ => self.look(),
        }
    }

    fn append(&mut self) {
        let now = self.now;
        let len = self.dice.below(5);
        let entries: Vec<NewEntry> = (0..len).map(|_| self.entry()).collect();
        self.both(move |store| store.append(&entries, now));
    }

    fn entry(&mut self) -> NewEntry {
        if self.dice.chance(10) {
            let change = SettingsChange {
                detector: format!("detector_{}", self.dice.below(3)),
                source: self.dice.chance(50).then(|| "eu".to_owned()),
                is_enabled: Some(self.dice.chance(50)),
                values: SettingValues::new(),
            };
            let mut entry = NewEntry::settings(&change).unwrap();
            if self.dice.chance(20) {
                entry.body = b"nonsense".to_vec();
            }
            return entry;
        }
        let id = format!("evt_{}", self.dice.below(60));
        let mut entry = entry(&id, "charge.failed", self.now);
        if self.dice.chance(20) {
            "eu".clone_into(&mut entry.source);
        }
        if self.dice.chance(15) {
            // What is not historical waited in a spool.
            entry.is_historical = self.dice.chance(70);
            entry.received_at = Some(self.now + Span::secs(self.dice.small(7200) - 3600));
        }
        if self.dice.chance(2) {
            entry.event_id = None;
        }
        entry
    }

    fn commit(&mut self) {
        let committed = self.real.cursor(CONSUMER).unwrap();
        let mut expected = committed.unwrap_or(Cursor::START);
        if self.dice.chance(10) {
            expected.seq += 1;
        }
        let cursor = Cursor {
            seq: expected.seq + self.dice.small(3),
            at: expected.at + Span::millis(self.dice.small(2)),
        };
        let changes: Vec<AlertChange> = (0..self.dice.below(4)).map(|_| self.change()).collect();
        let mut updates: Vec<Alert> = Vec::new();
        if let Some(change) = changes.last().filter(|_| self.dice.chance(50)) {
            let mut alert = change.alert.clone();
            alert.count += 5;
            updates.push(alert);
        }
        let deliveries: Vec<NewDelivery> = changes
            .iter()
            .flat_map(|change| CHANNELS.map(|channel| (channel, change)))
            .map(|(channel, change)| NewDelivery {
                channel: channel.to_owned(),
                alert_id: change.alert.id.clone(),
                revision: change.alert.revision,
                body: "{}".to_owned(),
            })
            .collect();
        let suppressed = [Suppressed {
            at: cursor.at,
            detector: "probe".to_owned(),
            scope: Scope::new("default", None, true),
            reason: "not_counted".to_owned(),
            subject: None,
            message: "nothing".to_owned(),
        }];
        let snapshot = self.dice.chance(50).then(|| vec![7; 9]);
        self.both(|store| {
            store.commit_step(&Step {
                changes: &changes,
                updates: &updates,
                suppressed: &suppressed,
                deliveries: &deliveries,
                snapshot: snapshot.as_deref(),
                ..Step::new(CONSUMER, expected, cursor)
            })
        });
    }

    /// Mostly the next revision of an alert; now and then one that is there already.
    fn change(&mut self) -> AlertChange {
        let alert = usize::try_from(self.dice.below(3)).unwrap();
        if !self.dice.chance(5) {
            self.revisions[alert] += 1;
        }
        let revision = self.revisions[alert].max(1);
        let status = match self.dice.below(3) {
            0 => AlertStatus::Firing,
            1 => AlertStatus::Escalated,
            _ => AlertStatus::Resolved,
        };
        let fired_at = START + Span::secs(i64::try_from(alert).unwrap());
        AlertChange {
            at: START,
            alert: Alert {
                id: format!("al_{alert}"),
                key: format!("probe:default/-/live:{alert}"),
                detector: "probe".to_owned(),
                scope: Scope::new("default", None, true),
                status,
                severity: Severity::High,
                anomaly_score: 0.5,
                title: "Charges fail".to_owned(),
                message: "Charges fail".to_owned(),
                subject: None,
                subjects: vec!["cus_1".to_owned()],
                currency: None,
                amount_at_stake: None,
                evidence: Evidence::default(),
                count: 1,
                revision,
                fired_at,
                last_seen_at: fired_at,
                resolved_at: (status == AlertStatus::Resolved).then_some(fired_at),
                resolution: None,
            },
        }
    }

    fn lease(&mut self) {
        let channel = CHANNELS[usize::try_from(self.dice.below(2)).unwrap()];
        let lease = Span::secs(self.dice.small(60));
        let (now, limit) = (self.now, self.dice.small(3) + 1);
        let mut leased = Vec::new();
        for store in [self.real, &self.model as &dyn PipelineStore] {
            leased.push(store.lease_due(channel, now, lease, limit).unwrap());
        }
        assert_eq!(leased[1], leased[0], "call {}", self.calls);
        self.leased.append(&mut leased[0]);
        self.both(move |store| store.next_due_at(channel));
    }

    fn settle(&mut self) {
        if self.leased.is_empty() {
            return;
        }
        let len = u64::try_from(self.leased.len()).unwrap();
        let index = usize::try_from(self.dice.below(len)).unwrap();
        // Now and then twice, or long after somebody else has it.
        let delivery = self.leased[index].clone();
        if self.dice.chance(70) {
            self.leased.remove(index);
        }
        let outcome = match self.dice.below(4) {
            0 | 1 => AttemptOutcome::Retry,
            2 => AttemptOutcome::Delivered,
            _ => AttemptOutcome::GaveUp,
        };
        let attempt = Attempt {
            number: delivery.attempt,
            at: self.now,
            duration_ms: self.dice.small(900),
            outcome,
            status_code: Some(500),
            detail: "said so".to_owned(),
        };
        let next = self
            .dice
            .chance(80)
            .then(|| self.now + Span::secs(self.dice.small(90)));
        self.both(|store| store.settle(delivery.id, &attempt, next));
        self.both(|store| store.attempts(&delivery));
    }

    fn look(&mut self) {
        let alert = format!("al_{}", self.dice.below(4));
        self.both(|store| store.channels_told(&alert));
        self.both(|store| store.last_revision(&alert));
        self.both(|store| store.open_alerts());
        self.both(|store| store.list_settings());
        self.both(|store| store.head());
        self.both(|store| store.cursor(CONSUMER));
        self.both(|store| store.snapshots(CONSUMER));
        if self.dice.chance(3) {
            let now = self.now;
            self.both(move |store| store.disable_channel("hook", "410 Gone", now));
        }
    }
}

#[test]
fn the_model_answers_as_the_real_store_does() {
    for seed in 1..=4 {
        billingwatch_store::testing::each_backend(|store| {
            let real: &billingwatch_store::Store = store;
            let mut pair = Pair {
                real,
                model: MemoryStore::new(),
                dice: Dice(seed * 7919),
                now: START,
                leased: Vec::new(),
                revisions: [0; 3],
                calls: 0,
            };
            for _ in 0..250 {
                pair.step();
            }
            let all = |store: &dyn PipelineStore| store.read_after(0, 10_000).unwrap();
            assert_eq!(all(&pair.model), all(real));
            assert!(pair.calls > 200);
        });
    }
}
