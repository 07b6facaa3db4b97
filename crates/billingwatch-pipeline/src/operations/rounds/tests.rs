//! What cannot be recorded is told past the outbox, once, and recorded when it can be.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Mutex;

use billingwatch_alert::Outcome;
use billingwatch_core::alert::{AlertStatus, Severity};
use billingwatch_core::time::{Span, Timestamp};

use super::*;
use crate::deliver::Deliverer;
use crate::status::{LoopStatus, Refusals};
use crate::testing::{FakeChannel, Fault, FaultyStore, MemoryStore, Op, Sent};

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// The wall clock and the steady one, moved together.
#[derive(Default)]
struct TestClock(Mutex<Duration>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.steady().as_millis()).unwrap();
        START + Span::millis(elapsed)
    }

    fn steady(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

/// How the loops fare.
struct Seen {
    status: Mutex<PipelineStatus>,
    refusals: Refusals,
}

struct Round {
    db: MemoryStore,
    store: Arc<FaultyStore>,
    clock: Arc<TestClock>,
    seen: Arc<Seen>,
    watching: OperationsLoop,
    direct: Arc<Direct>,
    deliverer: Deliverer,
    sent: Sent,
}

impl Round {
    fn new() -> Self {
        let db = MemoryStore::new();
        let store = FaultyStore::new(Arc::new(db.clone()));
        let clock = Arc::<TestClock>::default();
        let (channel, sent) = FakeChannel::boxed("hook", Severity::High);
        let route = Route::of(channel.as_ref());
        let deliverer = Deliverer::new(store.clone(), channel, clock.clone());
        let direct = Arc::<Direct>::default();
        let status = Arc::new(Seen {
            status: Mutex::new(PipelineStatus {
                is_leader: true,
                ..PipelineStatus::default()
            }),
            refusals: Refusals::default(),
        });
        let (seen, steady) = (Arc::clone(&status), clock.clone());
        let watching = OperationsLoop::new(
            store.clone(),
            clock.clone(),
            Telling {
                routes: vec![route],
                wakes: vec![Arc::default()],
                direct: vec![Arc::clone(&direct)],
            },
            Box::new(move || PipelineStatus {
                steps_refused: seen.refusals.read(steady.steady()),
                ..seen.status.lock().unwrap().clone()
            }),
            Duration::from_secs(10),
        );
        Self {
            db,
            store,
            clock,
            seen: status,
            watching,
            direct,
            deliverer,
            sent,
        }
    }

    /// The store takes nothing from now on, and the pump says so; or it does again.
    fn set_broken(&self, is_broken: bool) {
        self.store.set_away(is_broken);
        self.seen.status.lock().unwrap().loops = vec![LoopStatus {
            name: "pump".to_owned(),
            is_running: true,
            restarts: 0,
            last_error: is_broken.then(|| "sqlite://billing.db is full".to_owned()),
        }];
    }

    /// So long later the pump tries, the loop looks and the channel sends; the titles sent past the outbox
    /// so far.
    fn after(&mut self, secs: u64) -> Vec<String> {
        *self.clock.0.lock().unwrap() += Duration::from_secs(secs);
        if self.store.head().is_err() {
            self.seen.refusals.note_refused(self.clock.steady());
        } else {
            self.seen.refusals.note_taken();
        }
        self.watching.step();
        self.direct.send_due(&self.deliverer, self.clock.as_ref());
        let messages = self.sent.messages().into_iter();
        messages.map(|one| one.change.alert.title).collect()
    }

    /// Status of every change recorded.
    fn recorded(&self) -> Vec<AlertStatus> {
        let changes = self.db.recorded_changes().into_iter();
        changes.map(|change| change.alert.status).collect()
    }
}

const TITLE: &str = "The database refuses what is written";

#[test]
fn a_store_that_takes_nothing_is_told_once_and_recorded_when_it_does_again() {
    let mut round = Round::new();
    assert!(round.after(0).is_empty());
    round.set_broken(true);
    // A restart of the database is no incident.
    assert!(round.after(10).is_empty());
    assert!(round.after(10).is_empty());
    assert!(round.after(9).is_empty());
    // Found, and recording it has not failed for long.
    assert!(round.after(10).is_empty());
    for _ in 0..20 {
        assert_eq!(round.after(10), [TITLE]);
    }
    assert!(round.recorded().is_empty());
    let message = round.sent.messages().remove(0);
    assert!(message.change.alert.message.contains("billing.db is full"));
    assert_eq!(message.change.alert.severity, Severity::Critical);

    round.set_broken(false);
    round.after(10);
    assert_eq!(round.recorded(), [AlertStatus::Firing]);
    round.after(50);
    assert_eq!(
        round.recorded(),
        [AlertStatus::Firing, AlertStatus::Resolved]
    );
    // It is in the outbox under the key under which it was told, and then its end.
    for _ in 0..2 {
        round.deliverer.step().unwrap();
    }
    let ids = round.sent.delivery_ids();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[1], ids[0]);
    assert_ne!(ids[2], ids[0]);
}

#[test]
fn a_store_that_fails_for_less_than_twenty_seconds_is_no_incident_however_often() {
    let mut round = Round::new();
    for _ in 0..50 {
        round.set_broken(true);
        assert!(round.after(1).is_empty());
        assert!(round.after(10).is_empty());
        assert!(round.after(9).is_empty());
        round.set_broken(false);
        assert!(round.after(1).is_empty());
    }
    assert!(round.recorded().is_empty());
}

#[test]
fn a_moment_of_failure_is_recorded_late_and_told_by_the_outbox_alone() {
    let mut round = Round::new();
    round.after(0);
    round.seen.status.lock().unwrap().lag_secs = 3_600;
    round.after(10);
    round.store.fail_next(Op::CommitStep, Fault::Before);
    assert!(round.after(120).is_empty());
    assert!(round.recorded().is_empty());
    assert!(round.after(1).is_empty());
    assert_eq!(round.recorded(), [AlertStatus::Firing]);
}

#[test]
fn a_commit_that_happened_and_was_reported_as_failed_is_not_repeated() {
    let mut round = Round::new();
    round.after(0);
    round.seen.status.lock().unwrap().lag_secs = 3_600;
    round.after(10);
    round.store.fail_next(Op::CommitStep, Fault::After);
    round.after(120);
    round.after(10);
    round.after(10);
    assert_eq!(round.recorded(), [AlertStatus::Firing]);
}

#[test]
fn a_channel_that_fails_is_tried_again_and_not_for_ever() {
    let mut round = Round::new();
    for _ in 0..9 {
        round.sent.answer(Outcome::Retry {
            detail: "no answer".to_owned(),
            status: None,
            after: None,
        });
    }
    round.set_broken(true);
    for _ in 0..100 {
        round.after(10);
    }
    let attempts: Vec<u32> = round
        .sent
        .messages()
        .iter()
        .map(|one| one.attempt)
        .collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5]);
}
