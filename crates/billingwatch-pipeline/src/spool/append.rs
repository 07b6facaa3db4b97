//! An append to the journal that is waited for only so long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use billingwatch_core::time::Timestamp;
use billingwatch_store::{Appended, NewEntry, StoreError};

use crate::ports::PipelineStore;

type Answer = Result<Vec<Appended>, StoreError>;

/// How the writer appends.
pub(crate) enum Appender {
    /// On its own thread, however long that takes.
    Direct(Arc<dyn PipelineStore>),
    /// On a thread that can be left behind.
    Timed(TimedAppend),
}

impl Appender {
    /// One that is waited for so long.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub(crate) fn timed(store: Arc<dyn PipelineStore>, limit: Duration) -> std::io::Result<Self> {
        TimedAppend::start(store, limit).map(Self::Timed)
    }

    pub(crate) fn append(&self, entries: &Arc<[NewEntry]>, now: Timestamp) -> Answer {
        match self {
            Self::Direct(store) => store.append(entries, now),
            Self::Timed(timed) => timed.append(entries, now),
        }
    }
}

struct Work {
    entries: Arc<[NewEntry]>,
    now: Timestamp,
    answer: mpsc::SyncSender<Answer>,
}

/// A thread that appends. One append at a time: while it hangs in one, the next is late at once, so
/// that no more than one thread and one batch ever hang.
pub(crate) struct TimedAppend {
    work: mpsc::SyncSender<Work>,
    is_busy: Arc<AtomicBool>,
    limit: Duration,
}

impl TimedAppend {
    fn start(store: Arc<dyn PipelineStore>, limit: Duration) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel::<Work>(1);
        let is_busy: Arc<AtomicBool> = Arc::default();
        let busy = Arc::clone(&is_busy);
        // It ends when its sender goes, and is never waited for: it may hang in the store.
        let _detached = thread::Builder::new()
            .name("append".to_owned())
            .spawn(move || {
                for work in receiver {
                    let done =
                        catch_unwind(AssertUnwindSafe(|| store.append(&work.entries, work.now)));
                    busy.store(false, Ordering::SeqCst);
                    let answer = done.unwrap_or_else(|_| Err(away("the append panicked")));
                    // Nobody waits for one that is late.
                    let _ = work.answer.send(answer);
                }
            })?;
        Ok(Self {
            work: sender,
            is_busy,
            limit,
        })
    }

    fn append(&self, entries: &Arc<[NewEntry]>, now: Timestamp) -> Answer {
        if self.is_busy.swap(true, Ordering::SeqCst) {
            return Err(away("an earlier append has not come back"));
        }
        let (answer, answered) = mpsc::sync_channel(1);
        let work = Work {
            entries: Arc::clone(entries),
            now,
            answer,
        };
        if self.work.send(work).is_err() {
            return Err(away("the thread that appends is gone"));
        }
        answered
            .recv_timeout(self.limit)
            .unwrap_or_else(|_| Err(away("it takes too long")))
    }
}

/// It may happen yet, or have happened: the journal knows what comes again.
fn away(reason: &str) -> StoreError {
    StoreError::Busy {
        database: "the journal".to_owned(),
        reason: reason.to_owned(),
    }
}
