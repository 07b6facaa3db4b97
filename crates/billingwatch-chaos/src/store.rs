//! The store as one process sees it: calls take time, fail, seem to fail, and are where processes die.
//!
//! What is committed sits in the model store that all processes share; what is not dies with the
//! process. Bugs of a store are planted here.

use std::panic::resume_unwind;
use std::sync::{Arc, Weak};

use billingwatch_core::alert::Alert;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::PipelineStore;
use billingwatch_pipeline::testing::{MemoryStore, Op};
use billingwatch_store::{
    Appended, Attempt, Cursor, Delivery, Head, JournalEntry, Lease, NewEntry, SettingsOverride,
    Snapshot, Step, StoreError,
};

use crate::bug::Bug;
use crate::faults::Fate;
use crate::world::World;

/// What a process that dies in the middle of a step unwinds with.
#[derive(Debug)]
struct Died;

pub(crate) struct SimStore {
    world: Weak<World>,
    host: usize,
    life: u64,
}

impl SimStore {
    pub(crate) fn new(world: &Arc<World>, host: usize, life: u64) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::downgrade(world),
            host,
            life,
        })
    }

    fn world(&self) -> Result<Arc<World>, StoreError> {
        self.world.upgrade().ok_or_else(|| away("the end"))
    }

    /// Whoever died while time passed does not come back.
    fn pass(&self, world: &Arc<World>, span: Span) {
        world.pass(span);
        if !world.hosts[self.host].is_alive(self.life) {
            resume_unwind(Box::new(Died));
        }
    }

    fn die(&self, world: &Arc<World>) -> ! {
        world.hosts[self.host].die(world);
        resume_unwind(Box::new(Died))
    }

    fn call<T>(
        &self,
        op: Op,
        work: impl FnOnce(&Arc<World>, &MemoryStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let world = self.world()?;
        let (fate, before, after) = world.fate();
        if fate != Fate::Works {
            world.note(b'f', self.life, || {
                format!("process {}: {op:?} {fate:?}", self.host)
            });
        }
        self.pass(&world, before);
        match fate {
            Fate::FailsBefore => return Err(self.failure(&world, op)),
            Fate::DiesBefore => self.die(&world),
            Fate::Panics => {
                note_repeat(&world, op);
                resume_unwind(Box::new("planned"))
            }
            Fate::Works | Fate::FailsAfter | Fate::DiesAfter => {}
        }
        if op == Op::CommitStep
            && let Some(stall) = world.stall()
        {
            world.note(b'z', self.life, || {
                format!("process {}: {op:?} stalls for {stall}", self.host)
            });
            self.pass(&world, stall);
        }
        let done = work(&world, &world.db)?;
        self.pass(&world, after);
        match fate {
            Fate::FailsAfter => Err(self.failure(&world, op)),
            Fate::DiesAfter => self.die(&world),
            _ => Ok(done),
        }
    }

    fn failure(&self, world: &World, op: Op) -> StoreError {
        note_repeat(world, op);
        if world.dice().chance(150) {
            return StoreError::Database {
                database: "simulated".to_owned(),
                reason: "said something nobody has heard before".to_owned(),
            };
        }
        away("planned")
    }

    /// Between two transactions that ought to be one.
    fn gap(&self, world: &Arc<World>) {
        let (wait, dies) = {
            let mut dice = world.dice();
            (Span::millis(dice.range(1, 30)), dice.chance(60))
        };
        self.pass(world, wait);
        if dies && !world.weather().is_calm {
            self.die(world);
        }
    }

    fn append_as(
        &self,
        world: &Arc<World>,
        entries: &[NewEntry],
        now: Timestamp,
    ) -> Result<Vec<Appended>, StoreError> {
        let db = &world.db;
        let before = db.head()?;
        if world.has(Bug::RepeatsUnknown) {
            db.with_tables(|tables| tables.forget_known());
        }
        let appended = db.append(entries, now)?;
        for entry in entries {
            world.note_kept(entry, None);
        }
        if world.has(Bug::AppendUnsynced) {
            world.hosts[self.host].note_unsynced(world.now(), before.last_seq);
        }
        if world.has(Bug::NumbersBeforeCommit) {
            let rows = db.with_tables(|tables| tables.take_out_after(before.last_seq));
            let wait = Span::millis(world.dice().range(1, 30));
            world.pass(wait);
            db.with_tables(|tables| tables.put_back(rows));
            self.pass(world, Span::ZERO);
        }
        Ok(appended)
    }

    fn commit_as(&self, world: &Arc<World>, step: &Step<'_>) -> Result<(), StoreError> {
        let db = &world.db;
        if let Some(lease) = step.lease {
            let held = world.leases().check(lease);
            if !world.has(Bug::LeaseWithoutFence) {
                held?;
            } else if held.is_err() {
                world.accuse(format!(
                    "process {} commits a step under a lease that another has taken over",
                    self.host
                ));
            }
        }
        match world.bug {
            Some(Bug::CursorApart) => {
                db.commit_step(&Step::new(step.consumer, step.expected, step.cursor))?;
                self.gap(world);
                db.commit_step(&Step {
                    expected: step.cursor,
                    ..*step
                })
            }
            Some(Bug::OutboxApart) => {
                db.commit_step(&Step {
                    deliveries: &[],
                    ..*step
                })?;
                if !step.deliveries.is_empty() {
                    self.gap(world);
                }
                let cursor = db.cursor(step.consumer)?.unwrap_or_default();
                db.commit_step(&Step {
                    deliveries: step.deliveries,
                    ..Step::new(step.consumer, cursor, cursor)
                })
            }
            Some(Bug::SnapshotApart) => {
                if let Some(bytes) = step.snapshot {
                    let place = Cursor {
                        seq: step.expected.seq,
                        at: step.cursor.at,
                    };
                    db.with_tables(|tables| tables.keep_snapshot(step.consumer, place, bytes));
                    self.gap(world);
                }
                db.commit_step(&Step {
                    snapshot: None,
                    ..*step
                })
            }
            Some(Bug::CursorUnchecked) => {
                let expected = db.cursor(step.consumer)?.unwrap_or_default();
                db.commit_step(&Step { expected, ..*step })
            }
            _ => db.commit_step(step),
        }
    }
}

/// What was sent and could not be settled may be sent again.
fn note_repeat(world: &World, op: Op) {
    if matches!(op, Op::Settle | Op::Attempts) {
        world.receivers().excuses += 1;
    }
}

fn away(reason: &str) -> StoreError {
    StoreError::Unreachable {
        database: "simulated".to_owned(),
        reason: reason.to_owned(),
    }
}

impl PipelineStore for SimStore {
    fn append(&self, entries: &[NewEntry], now: Timestamp) -> Result<Vec<Appended>, StoreError> {
        self.call(Op::Append, |world, _| self.append_as(world, entries, now))
    }

    fn touch_head(&self, now: Timestamp) -> Result<Head, StoreError> {
        self.call(Op::TouchHead, |_, db| db.touch_head(now))
    }

    fn head(&self) -> Result<Head, StoreError> {
        self.call(Op::Head, |_, db| db.head())
    }

    fn read_after(&self, seq: i64, limit: i64) -> Result<Vec<JournalEntry>, StoreError> {
        self.call(Op::ReadAfter, |_, db| db.read_after(seq, limit))
    }

    fn cursor(&self, consumer: &str) -> Result<Option<Cursor>, StoreError> {
        self.call(Op::Cursor, |_, db| db.cursor(consumer))
    }

    fn snapshots(&self, consumer: &str) -> Result<Vec<Snapshot>, StoreError> {
        self.call(Op::Snapshots, |_, db| db.snapshots(consumer))
    }

    fn commit_step(&self, step: &Step<'_>) -> Result<(), StoreError> {
        self.call(Op::CommitStep, |world, _| self.commit_as(world, step))
    }

    fn is_shared(&self) -> bool {
        self.world().is_ok_and(|world| world.plan.is_shared)
    }

    fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        ttl: Span,
    ) -> Result<Option<Lease>, StoreError> {
        self.call(Op::AcquireLease, |world, _| {
            let is_for_ever = world.has(Bug::LeaderForEver);
            let by = (self.host, self.life);
            let now = world.now();
            let lease = world
                .leases()
                .acquire(name, holder, ttl, now, by, is_for_ever);
            Ok(lease)
        })
    }

    fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        self.call(Op::ReleaseLease, |world, _| {
            world.leases().release(lease, (self.host, self.life));
            Ok(())
        })
    }

    fn list_settings(&self) -> Result<Vec<SettingsOverride>, StoreError> {
        self.call(Op::ListSettings, |_, db| db.list_settings())
    }

    fn channels_told(&self, alert_id: &str) -> Result<Vec<String>, StoreError> {
        self.call(Op::ChannelsTold, |_, db| db.channels_told(alert_id))
    }

    fn open_alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.call(Op::OpenAlerts, |_, db| db.open_alerts())
    }

    fn last_revision(&self, alert_id: &str) -> Result<u32, StoreError> {
        self.call(Op::LastRevision, |_, db| db.last_revision(alert_id))
    }

    fn lease_due(
        &self,
        channel: &str,
        now: Timestamp,
        lease: Span,
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.call(Op::LeaseDue, |world, db| {
            let leased = if world.has(Bug::LaterChangeFirst) {
                db.with_tables(|tables| tables.lease_out_of_order(channel, now, lease))
            } else {
                db.lease_due(channel, now, lease, limit)?
            };
            for delivery in &leased {
                db.with_tables(|tables| match world.bug {
                    Some(Bug::LeaseForEver) => tables.set_due(delivery.id, Timestamp::MAX),
                    Some(Bug::LeaseOfNoLength) => tables.set_due(delivery.id, now),
                    Some(Bug::SettledBeforeSent) => tables.settle_unsent(delivery.id),
                    _ => {}
                });
            }
            Ok(leased)
        })
    }

    fn attempts(&self, delivery: &Delivery) -> Result<Vec<Attempt>, StoreError> {
        self.call(Op::Attempts, |_, db| db.attempts(delivery))
    }

    fn settle(
        &self,
        delivery_id: i64,
        attempt: &Attempt,
        next_attempt_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.call(Op::Settle, |_, db| {
            db.settle(delivery_id, attempt, next_attempt_at)
        })
    }

    fn disable_channel(&self, name: &str, reason: &str, at: Timestamp) -> Result<(), StoreError> {
        self.call(Op::DisableChannel, |_, db| {
            db.disable_channel(name, reason, at)
        })
    }

    fn next_due_at(&self, channel: &str) -> Result<Option<Timestamp>, StoreError> {
        self.call(Op::NextDueAt, |_, db| db.next_due_at(channel))
    }
}
