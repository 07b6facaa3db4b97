//! The writer's side: into the journal, or into the spool.

use std::sync::Arc;
use std::time::Duration;

use billingwatch_core::time::Timestamp;
use billingwatch_store::{Appended, NewEntry, StoreError};

use super::{Appender, Spooling};
use crate::planted::{Planted, is_planted};
use crate::ports::PipelineStore;

/// How long the journal has to take a batch. A sender is answered within a second, whatever happens;
/// a healthy database takes some milliseconds.
const APPEND_PATIENCE: Duration = Duration::from_millis(400);

/// How long a batch waits for the last of the spool to be in the journal.
const HAND_OVER_PATIENCE: Duration = Duration::from_millis(200);

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is in the journal.
    Journal(Appended),
    /// It waits in the spool.
    Spool {
        /// It waited there already.
        is_duplicate: bool,
    },
    /// The journal is away, and this cannot wait.
    Nowhere,
}

/// Takes batches in.
pub(crate) struct Intake {
    spool: Arc<Spooling>,
    appender: Appender,
    hand_over_patience: Duration,
}

impl Intake {
    /// One that waits for the journal as long as that takes: all in one thread.
    pub(crate) fn new(store: Arc<dyn PipelineStore>, spool: Arc<Spooling>) -> Self {
        Self {
            spool,
            appender: Appender::Direct(store),
            hand_over_patience: Duration::ZERO,
        }
    }

    /// Waits for the journal no longer than a sender should.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub(crate) fn limit_waits(&mut self) -> std::io::Result<()> {
        if let Appender::Direct(store) = &self.appender {
            self.appender = Appender::timed(Arc::clone(store), APPEND_PATIENCE)?;
            self.hand_over_patience = HAND_OVER_PATIENCE;
        }
        Ok(())
    }

    /// Keeps a batch durably: all of it in one place.
    ///
    /// # Errors
    /// When neither could take it; or what the journal says of an entry that contradicts itself.
    pub(crate) fn keep(
        &self,
        entries: &Arc<[NewEntry]>,
        now: Timestamp,
    ) -> Result<Vec<Taken>, StoreError> {
        let state = self.spool.lock_after_hand_over(self.hand_over_patience);
        if state.since.is_some() && !is_planted(Planted::SpoolOvertaken) {
            return self.spool.put(&state, entries, now);
        }
        drop(state);
        match self.appender.append(entries, now) {
            Ok(appended) => Ok(appended.into_iter().map(Taken::Journal).collect()),
            Err(error @ (StoreError::BadEntry { .. } | StoreError::Unreadable { .. })) => {
                Err(error)
            }
            Err(error) => {
                tracing::error!(
                    error = %error,
                    "the journal takes no events, they go into the spool: {error}"
                );
                let mut state = self.spool.lock();
                self.spool.begin_in(&mut state, now);
                self.spool.put(&state, entries, now)
            }
        }
    }
}
