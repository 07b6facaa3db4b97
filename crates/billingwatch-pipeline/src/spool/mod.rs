//! Takes events in while the journal's database is away: a local spool, and back into the journal.
//!
//! The writer asks the journal first, for so long as a sender may wait for it. What the journal does
//! not take in that time goes into the spool and is answered then: it is durable. From there on
//! everything goes into the spool, behind what waits, so that the order of receipt is kept, until the
//! [drain](SpoolLoop) has emptied it into the journal.
//!
//! - A row leaves the spool only after the journal's commit. Whoever dies in between appends it
//!   again, and the journal knows it; so it does what a commit left behind that was reported as
//!   failed, or that came after its time was up.
//! - The last portion is handed over: the writer waits a moment for it, or under steady load the
//!   spool would never be empty. Where the moment is not enough it goes on as before.
//! - Rows keep the time at which they were received, and the engine's time does not pass the first
//!   of them while it waits (`clock.rs`).
//! - Only live events wait here: a repeat of anything else the journal could not tell.

mod append;
mod clock;
mod drain;
mod intake;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use billingwatch_core::time::{Span, Timestamp};
use billingwatch_store::{EntryKind, NewEntry, Spool, SpoolUsage, Spooled, StoreError};

use crate::status::Counter;
use crate::wake::Wake;

pub(crate) use append::Appender;
pub(crate) use clock::HeldClock;
pub use drain::SpoolLoop;
pub(crate) use intake::{Intake, Taken};

/// The name of its loop.
pub(crate) const SPOOL: &str = "spool";

/// The file that events wait in; what each method promises is said at [`Spool`].
#[expect(
    clippy::missing_errors_doc,
    reason = "each fails as the spool's own method does"
)]
pub trait SpoolFile: Send + Sync + std::fmt::Debug {
    /// Keeps events durably, all or none; of each, whether it waited there already.
    fn put(&self, entries: &[&NewEntry], now: Timestamp) -> Result<Vec<bool>, StoreError>;
    /// The events that have waited longest, in order.
    fn first(&self, limit: usize) -> Result<Vec<Spooled>, StoreError>;
    /// Removes events up to this place.
    fn remove(&self, last_id: i64) -> Result<(), StoreError>;
    /// Takes an event that the journal refuses out of the order.
    fn set_aside(&self, id: i64, reason: &str) -> Result<(), StoreError>;
    /// What waits.
    fn usage(&self) -> SpoolUsage;
}

impl SpoolFile for Spool {
    fn put(&self, entries: &[&NewEntry], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        Self::put(self, entries, now)
    }

    fn first(&self, limit: usize) -> Result<Vec<Spooled>, StoreError> {
        Self::first(self, limit)
    }

    fn remove(&self, last_id: i64) -> Result<(), StoreError> {
        Self::remove(self, last_id)
    }

    fn set_aside(&self, id: i64, reason: &str) -> Result<(), StoreError> {
        Self::set_aside(self, id, reason)
    }

    fn usage(&self) -> SpoolUsage {
        Self::usage(self)
    }
}

/// A while during which events went into the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When the journal first failed to take an event.
    pub began_at: Timestamp,
    /// When the spool was empty again.
    pub ended_at: Timestamp,
    /// How many events went from the spool into the journal.
    pub events: u64,
}

impl Outage {
    /// How long it lasted.
    #[must_use]
    pub fn duration(&self) -> Span {
        self.ended_at.since(self.began_at)
    }
}

/// How the spool fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolStatus {
    /// What waits.
    pub usage: SpoolUsage,
    /// How long the first of it has waited, in seconds.
    pub oldest_age_secs: Option<i64>,
    /// Since when events go into the spool; `None` while they go into the journal.
    pub spooling_since: Option<Timestamp>,
    /// Events that went into the spool since the start of the process.
    pub spooled: u64,
    /// Events that went from there into the journal.
    pub drained: u64,
    /// The last while that is over.
    pub last_outage: Option<Outage>,
}

impl SpoolStatus {
    /// Whether the last tenth is being filled, or nothing more goes in.
    #[must_use]
    pub const fn is_nearly_full(&self) -> bool {
        self.usage.size_bytes >= self.usage.size_bytes_max / 10 * 9
    }
}

#[derive(Debug, Default)]
struct State {
    /// Since when events go into the spool, and how many had been drained by then.
    since: Option<(Timestamp, u64)>,
    /// The drain has what is left in hand: the writer waits a moment.
    is_handing_over: bool,
    last_outage: Option<Outage>,
}

/// Where events go, as the writer, the drain and the pump's clock share it.
#[derive(Debug)]
pub struct Spooling {
    file: Arc<dyn SpoolFile>,
    state: Mutex<State>,
    handed_over: Condvar,
    /// Wakes the drain.
    wake: Arc<Wake>,
    spooled: Counter,
    drained: Counter,
}

impl Spooling {
    /// A spool that may hold events from before; they go into the journal first.
    #[must_use]
    pub fn new(file: Arc<dyn SpoolFile>, now: Timestamp) -> Self {
        let usage = file.usage();
        let since = (usage.entries > 0).then(|| (usage.oldest_at.unwrap_or(now), 0));
        Self {
            file,
            state: Mutex::new(State {
                since,
                ..State::default()
            }),
            handed_over: Condvar::new(),
            wake: Arc::default(),
            spooled: Counter::default(),
            drained: Counter::default(),
        }
    }

    /// How it fares. Costs no query.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> SpoolStatus {
        let state = self.lock();
        let usage = self.file.usage();
        let age_secs = |oldest_at| now.since(oldest_at).as_secs().max(0);
        SpoolStatus {
            usage,
            oldest_age_secs: usage.oldest_at.map(age_secs),
            spooling_since: state.since.map(|(at, _)| at),
            spooled: self.spooled.get(),
            drained: self.drained.get(),
            last_outage: state.last_outage,
        }
    }

    /// From now on events go into the spool, whatever the journal does.
    pub(crate) fn begin(&self, now: Timestamp) {
        self.begin_in(&mut self.lock(), now);
    }

    fn begin_in(&self, state: &mut State, now: Timestamp) {
        if state.since.is_none() {
            state.since = Some((now, self.drained.get()));
        }
        self.wake.notify();
    }

    fn is_spooling(&self) -> bool {
        self.lock().since.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, after a hand-over that is under way, or after so long.
    fn lock_after_hand_over(&self, wait: Duration) -> MutexGuard<'_, State> {
        let state = self.lock();
        if !state.is_handing_over || wait.is_zero() {
            return state;
        }
        let waited = self
            .handed_over
            .wait_timeout_while(state, wait, |state| state.is_handing_over);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Puts what may wait into the file. With the state in hand: the drain must not find the file
    /// empty, and open the way into the journal, while this is on its way.
    fn put(
        &self,
        _state: &MutexGuard<'_, State>,
        entries: &[NewEntry],
        now: Timestamp,
    ) -> Result<Vec<Taken>, StoreError> {
        let waiting: Vec<&NewEntry> = entries.iter().filter(|entry| may_wait(entry)).collect();
        let mut was_there = if waiting.is_empty() {
            Vec::new()
        } else {
            self.file.put(&waiting, now)?
        }
        .into_iter();
        self.spooled.add(waiting.len());
        self.wake.notify();
        Ok(entries
            .iter()
            .map(|entry| match may_wait(entry).then(|| was_there.next()) {
                Some(Some(is_duplicate)) => Taken::Spool { is_duplicate },
                _ => Taken::Nowhere,
            })
            .collect())
    }

    /// The journal takes events again, if nothing waits.
    fn end_if_empty(&self, now: Timestamp) -> bool {
        let mut state = self.lock();
        if self.file.usage().entries > 0 {
            return false;
        }
        if let Some((began_at, drained_before)) = state.since.take() {
            let outage = Outage {
                began_at,
                ended_at: now,
                events: self.drained.get().saturating_sub(drained_before),
            };
            tracing::info!(
                spool.events = outage.events,
                "the spool is empty: events go into the journal again, after {}",
                outage.duration()
            );
            state.last_outage = Some(outage);
        }
        true
    }
}

/// An event's repeat is known by its id; nothing else's is.
fn may_wait(entry: &NewEntry) -> bool {
    entry.kind == EntryKind::Event && entry.event_id.is_some() && !entry.is_historical
}
