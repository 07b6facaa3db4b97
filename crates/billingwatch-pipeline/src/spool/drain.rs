//! Empties the spool into the journal, in order, once the journal takes events again.

use std::sync::Arc;
use std::time::Duration;

use billingwatch_store::{Appended, NewEntry, Spooled, StoreError};

use super::{SPOOL, Spooling};
use crate::clock::Clock;
use crate::planted::{Planted, is_planted};
use crate::ports::PipelineStore;
use crate::status::IngestCounters;
use crate::supervise::{LoopControl, Next};
use crate::wake::Wake;

/// Events a transaction.
const BATCH: usize = 512;

/// How long it sleeps with nothing to do; what goes into the spool wakes it.
const IDLE: Duration = Duration::from_secs(60);

/// So many times in a row must the journal refuse an event, and take a question, before the event is
/// set aside.
const REFUSALS_MAX: u32 = 3;

/// The loop that empties the spool.
pub struct SpoolLoop {
    spool: Arc<Spooling>,
    store: Arc<dyn PipelineStore>,
    clock: Arc<dyn Clock>,
    /// Wakes the pump.
    committed: Arc<Wake>,
    counters: Arc<IngestCounters>,
    control: Arc<LoopControl>,
    /// The last append succeeded: the journal is there, and the last of the spool can be handed over.
    is_flowing: bool,
    /// The event that the journal refused last, and how often in a row.
    refused: Option<(i64, u32)>,
}

impl std::fmt::Debug for SpoolLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpoolLoop").finish_non_exhaustive()
    }
}

impl SpoolLoop {
    pub(crate) fn new(
        spool: Arc<Spooling>,
        store: Arc<dyn PipelineStore>,
        clock: Arc<dyn Clock>,
        committed: Arc<Wake>,
        counters: Arc<IngestCounters>,
    ) -> Self {
        let control = LoopControl::new(SPOOL, Arc::clone(&spool.wake));
        Self {
            spool,
            store,
            clock,
            committed,
            counters,
            control,
            is_flowing: false,
            refused: None,
        }
    }

    /// What it shares with those who watch and stop it.
    #[must_use]
    pub fn control(&self) -> Arc<LoopControl> {
        Arc::clone(&self.control)
    }

    /// What it shares with the writer.
    #[must_use]
    pub fn spooling(&self) -> Arc<Spooling> {
        Arc::clone(&self.spool)
    }

    /// One portion into the journal. At a stop it goes on for as long as that succeeds; what is left
    /// then is durable, and goes first at the next start.
    pub fn step(&mut self) -> Next {
        let is_stopping = self.control.is_stopping();
        if !self.spool.is_spooling() {
            return if is_stopping {
                Next::Done
            } else {
                Next::Sleep(IDLE)
            };
        }
        match self.drain() {
            Ok(()) => Next::Again,
            Err(_) if is_stopping => Next::Done,
            Err(error) => Next::Failed(error.to_string()),
        }
    }

    fn drain(&mut self) -> Result<(), StoreError> {
        let waiting = self.spool.file.first(BATCH)?;
        let Some(last_id) = waiting.last().map(|one| one.id) else {
            // The spool itself failed to take what the journal did not: a question tells whether
            // the journal is there again.
            self.store.head()?;
            self.spool.end_if_empty(self.clock.now());
            return Ok(());
        };
        let handing_over = (self.is_flowing && waiting.len() < BATCH).then(|| {
            self.spool.lock().is_handing_over = true;
            HandingOver(Arc::clone(&self.spool))
        });
        self.is_flowing = false;
        let entries: Vec<NewEntry> = waiting.iter().map(|one| one.entry.clone()).collect();
        if is_planted(Planted::SpoolRemovedBeforeAppend) {
            self.spool.file.remove(last_id)?;
        }
        match self.store.append(&entries, self.clock.now()) {
            Ok(appended) => {
                self.spool.file.remove(last_id)?;
                note(&self.counters, &self.spool, &self.committed, &appended);
                self.is_flowing = true;
            }
            Err(error) if error.is_transient() => return Err(error),
            // One of them may be at fault: the others must not wait for it.
            Err(_) => {
                drop(handing_over);
                return self.drain_singly(&waiting);
            }
        }
        self.spool.end_if_empty(self.clock.now());
        drop(handing_over);
        Ok(())
    }

    fn drain_singly(&mut self, waiting: &[Spooled]) -> Result<(), StoreError> {
        for one in waiting {
            let entry = std::slice::from_ref(&one.entry);
            match self.store.append(entry, self.clock.now()) {
                Ok(appended) => {
                    self.spool.file.remove(one.id)?;
                    note(&self.counters, &self.spool, &self.committed, &appended);
                }
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => self.refuse(one, error)?,
            }
        }
        self.is_flowing = true;
        Ok(())
    }

    /// Sets an event aside that the journal has refused often enough while it was there.
    fn refuse(&mut self, one: &Spooled, error: StoreError) -> Result<(), StoreError> {
        self.store.head()?;
        let before = self.refused.filter(|(id, _)| *id == one.id);
        let times = before.map_or(0, |(_, times)| times) + 1;
        self.refused = Some((one.id, times));
        if times < REFUSALS_MAX {
            return Err(error);
        }
        let event_id = one.entry.event_id.as_deref().unwrap_or_default();
        tracing::error!(
            event.id = event_id,
            error = %error,
            "the journal refuses event {event_id}, it is set aside in the spool: {error}"
        );
        self.spool.file.set_aside(one.id, &error.to_string())
    }
}

fn note(counters: &IngestCounters, spool: &Spooling, committed: &Wake, appended: &[Appended]) {
    spool.drained.add(appended.len());
    if counters.note_appended(appended) {
        committed.notify();
    }
}

/// Lets the writer go on when the hand-over ends, however it ends.
struct HandingOver(Arc<Spooling>);

impl Drop for HandingOver {
    fn drop(&mut self) {
        self.0.lock().is_handing_over = false;
        self.0.handed_over.notify_all();
    }
}
