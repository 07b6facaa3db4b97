//! Verified bytes → one journal row, once.
//!
//! Requests put entries into a bounded queue and await an answer; one writer takes whatever is
//! queued, appends it in **one** durable transaction, and then answers each. So a slow disk makes
//! bigger batches rather than longer waits: at 4 ms a sync, a hundred requests share it. Nothing
//! is answered before it is durable. A full queue refuses at once (Stripe tries again later), and
//! neither detectors nor channels are anywhere on this path.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use billingwatch_core::stripe::payload::Envelope;
use billingwatch_core::time::Timestamp;
use billingwatch_store::{Appended, EntryKind, NewEntry, StoreError};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::planted::{Planted, is_planted};
use crate::ports::PipelineStore;
use crate::spool::{Intake, Spooling, Taken};
use crate::status::IngestCounters;
use crate::system_clock::Stopwatch;
use crate::tail::Tail;
use crate::wake::Wake;

/// Bounds of the queue.
#[derive(Clone, Copy, Debug)]
pub struct IngestOptions {
    /// Most entries waiting; at 10,000 a second, most of a second's worth.
    pub queue_len: usize,
    /// Most bytes of bodies waiting, packed ones beside them, whatever their number.
    pub queue_size_bytes: usize,
    /// Most entries a transaction: beyond some hundreds a bigger batch gains nothing.
    pub batch_max: usize,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self {
            queue_len: 8192,
            queue_size_bytes: 64 * 1024 * 1024,
            batch_max: 512,
        }
    }
}

/// What became of an entry that is now durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its place in the journal; for a repeat, the place of the first. `None` while it waits in the
    /// spool.
    pub seq: Option<i64>,
    /// The same source sent the same event id before; in the spool, as far as the spool knows.
    pub is_duplicate: bool,
}

/// Why an entry was not taken in. Each is a 503 to the sender: try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// As much is waiting as may wait.
    #[error("the ingest queue is full")]
    Full,
    /// The process is going down.
    #[error("ingest is closed: the process is shutting down")]
    Closed,
    /// The store could not take it; what it said.
    #[error("the journal cannot be written: {0}")]
    Unavailable(Arc<str>),
}

/// The answer to come: await it, or [`wait`](Receipt::wait) for it.
#[derive(Debug)]
#[must_use = "the entry is durable only once this says so"]
pub struct Receipt(oneshot::Receiver<Result<Received, IngestError>>);

impl Receipt {
    /// Blocks until the answer is there. For threads outside any async runtime.
    ///
    /// # Errors
    /// [`IngestError::Unavailable`] when the entry is not known to be durable.
    pub fn wait(self) -> Result<Received, IngestError> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(lost()))
    }

    /// The answer, where it is there already. For threads outside any async runtime; ask no more
    /// once it was given.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn poll_now(&mut self) -> Option<Result<Received, IngestError>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(lost())),
        }
    }
}

impl Future for Receipt {
    type Output = Result<Received, IngestError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or_else(|_| Err(lost())))
    }
}

/// The writer died over it: it may or may not be durable, so the sender must try again.
fn lost() -> IngestError {
    IngestError::Unavailable("the writer stopped before it answered".into())
}

/// The journal entry of an event as it came in. The body must be the very bytes the signature was
/// checked over.
#[must_use]
pub fn event_entry(source: &str, envelope: Envelope, body: Vec<u8>) -> NewEntry {
    NewEntry {
        kind: EntryKind::Event,
        source: source.to_owned(),
        event_id: Some(envelope.id),
        event_type: envelope.event_type,
        object_id: envelope.object_id,
        customer_id: envelope.customer_id,
        created_at: envelope.created.map(Timestamp::as_secs),
        account: envelope.account,
        livemode: envelope.livemode,
        api_version: envelope.api_version,
        is_historical: false,
        received_at: None,
        body,
        packed: None,
    }
}

struct Waiting {
    entry: NewEntry,
    answer: oneshot::Sender<Result<Received, IngestError>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    size_bytes: usize,
    is_closed: bool,
    /// The writer sleeps until so many wait. To wake it for each one would cost more than to take it.
    wanted: usize,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    options: IngestOptions,
    counters: Arc<IngestCounters>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until so many wait, the queue is closed, or so much time has passed.
    fn wait_for<'a>(
        &self,
        mut queue: MutexGuard<'a, Queue>,
        len: usize,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, Queue> {
        queue.wanted = len;
        let is_short = |queue: &mut Queue| queue.waiting.len() < len && !queue.is_closed;
        let mut queue = match timeout {
            None => self
                .arrived
                .wait_while(queue, is_short)
                .unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                self.arrived
                    .wait_timeout_while(queue, timeout, is_short)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        queue.wanted = usize::MAX;
        queue
    }
}

/// Where requests leave what they received. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest").finish_non_exhaustive()
    }
}

impl Ingest {
    /// The two ends: what requests hold, and the writer that some thread runs. `committed` is
    /// signalled after each commit that added something.
    #[must_use]
    pub fn new(
        store: Arc<dyn PipelineStore>,
        clock: Arc<dyn Clock>,
        options: IngestOptions,
        committed: Arc<Wake>,
    ) -> (Self, IngestWriter) {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            options,
            counters: Arc::default(),
        });
        let writer = IngestWriter {
            shared: Arc::clone(&shared),
            store,
            clock: Arc::clone(&clock),
            committed,
            tail: Arc::default(),
            intake: None,
            last_len: 0,
            last_took: Duration::ZERO,
        };
        (Self { shared, clock }, writer)
    }

    /// A signature has verified that was made at this time: see [`Clock::note_signed`]. To be told
    /// before the event is submitted.
    pub fn note_signed(&self, signed_at: Timestamp) {
        self.clock.note_signed(signed_at);
    }

    /// Queues an entry. Never blocks.
    ///
    /// # Errors
    /// [`IngestError::Full`] and [`IngestError::Closed`], at once; the entry is then dropped.
    pub fn submit(&self, entry: NewEntry) -> Result<Receipt, IngestError> {
        let (answer, receipt) = oneshot::channel();
        let size_bytes = entry.size_bytes();
        let is_awaited = {
            let options = &self.shared.options;
            let mut queue = self.shared.lock();
            if queue.is_closed {
                return Err(IngestError::Closed);
            }
            let is_full = queue.waiting.len() >= options.queue_len
                // One entry always fits, however large: the body limit is the server's to set.
                || (!queue.waiting.is_empty()
                    && queue.size_bytes.saturating_add(size_bytes) > options.queue_size_bytes);
            if is_full {
                self.shared.counters.refused.add(1);
                return Err(IngestError::Full);
            }
            queue.size_bytes = queue.size_bytes.saturating_add(size_bytes);
            queue.waiting.push_back(Waiting { entry, answer });
            queue.waiting.len() >= queue.wanted
        };
        if is_awaited {
            self.shared.arrived.notify_one();
        }
        Ok(Receipt(receipt))
    }

    /// Takes nothing more; what is queued is still written and answered.
    pub fn close(&self) {
        self.shared.lock().is_closed = true;
        self.shared.arrived.notify_all();
    }

    /// Entries waiting now.
    #[must_use]
    pub fn queue_len(&self) -> usize {
        self.shared.lock().waiting.len()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Arc<IngestCounters> {
        Arc::clone(&self.shared.counters)
    }
}

/// The one writer of the journal in this process.
pub struct IngestWriter {
    shared: Arc<Shared>,
    store: Arc<dyn PipelineStore>,
    clock: Arc<dyn Clock>,
    committed: Arc<Wake>,
    /// Where the pump finds what is committed.
    tail: Arc<Tail>,
    /// Where there is a spool.
    intake: Option<Intake>,
    /// Entries of the last commit.
    last_len: usize,
    /// What that took.
    last_took: Duration,
}

/// A last commit of so many entries means dense traffic. A lone event never waits.
const GATHER_FROM: usize = 4;

/// In dense traffic entries are gathered for this share of what the last commit took, or until as
/// many wait as a commit should take ([`share_of`]). To wait for longer leaves the disk idle; not to
/// wait makes commits of a few, and each writes a page of every index.
const GATHER_SHARE: u32 = 2;

/// From so many on, half of those under way are written at a time. Were it all of them, every sender
/// would wait for the one commit, and then the disk for every sender.
const HALVE_FROM: usize = 64;

/// How many of those under way (who wait, or were answered by the last commit and are on their way
/// again) a commit should take.
const fn share_of(under_way: usize) -> usize {
    if under_way < HALVE_FROM {
        under_way
    } else {
        under_way.div_ceil(2)
    }
}

/// However long the last commit took.
const GATHER_MAX: Duration = Duration::from_millis(4);

impl std::fmt::Debug for IngestWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IngestWriter").finish_non_exhaustive()
    }
}

impl IngestWriter {
    /// Where the pump finds what is committed.
    pub(crate) fn tail(&self) -> Arc<Tail> {
        Arc::clone(&self.tail)
    }

    /// What the journal does not take goes into a spool.
    pub fn spool_into(&mut self, spool: Arc<Spooling>) {
        self.intake = Some(Intake::new(Arc::clone(&self.store), spool));
    }

    /// With a spool: waits for the journal no longer than a sender should. Appends are then made on
    /// a thread of their own.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub fn limit_waits(&mut self) -> std::io::Result<()> {
        self.intake.as_mut().map_or(Ok(()), Intake::limit_waits)
    }

    /// Waits for entries and writes a batch of them; `false` when closed and drained.
    pub fn run_once(&mut self) -> bool {
        let share = {
            let queue = self.shared.wait_for(self.shared.lock(), 1, None);
            if queue.waiting.is_empty() {
                return false;
            }
            let under_way = |queue: &Queue| self.last_len.saturating_add(queue.waiting.len());
            let queue = if self.last_len >= GATHER_FROM {
                let len = share_of(under_way(&queue)).min(self.shared.options.batch_max);
                let patience = (self.last_took / GATHER_SHARE).min(GATHER_MAX);
                self.shared.wait_for(queue, len, Some(patience))
            } else {
                queue
            };
            share_of(under_way(&queue))
        };
        self.last_len = self.write(share);
        true
    }

    /// Writes what is queued, up to `batch_max` entries, in one transaction, and answers each.
    /// How many there were.
    pub fn step(&mut self) -> usize {
        self.write(usize::MAX)
    }

    /// As [`step`](Self::step), at most so many.
    fn write(&mut self, len_max: usize) -> usize {
        let (entries, answers) = self.take_batch(len_max);
        if entries.is_empty() {
            return 0;
        }
        let len = entries.len();
        let entries: Arc<[NewEntry]> = entries.into();
        if is_planted(Planted::WakeBeforeAppend) {
            self.committed.notify();
        }
        let stopwatch = Stopwatch::start();
        if is_planted(Planted::AnswerBeforeAppend) {
            self.answer(answers, &vec![Taken::Journal(UNWRITTEN); len]);
            let _ = self.store.append(&entries, self.clock.now());
            return len;
        }
        let outcome = self.keep(&entries);
        let counters = &self.shared.counters;
        self.last_took = stopwatch.elapsed();
        counters.note_commit(self.last_took, outcome.is_ok());
        match outcome {
            Ok(taken) => self.answer(answers, &taken),
            // One entry contradicts itself: the others must not pay for it.
            Err(StoreError::BadEntry { .. }) if len > 1 => self.append_singly(&entries, answers),
            Err(error) => {
                tracing::error!(error = %error, entries = len, "the journal cannot be written: {error}");
                self.refuse(answers, &error);
            }
        }
        len
    }

    fn append_singly(&self, entries: &[NewEntry], answers: Vec<Answer>) {
        for (entry, answer) in entries.iter().zip(answers) {
            match self.keep(&Arc::from([entry.clone()])) {
                Ok(taken) => self.answer(vec![answer], &taken),
                Err(error) => self.refuse(vec![answer], &error),
            }
        }
    }

    fn keep(&self, entries: &Arc<[NewEntry]>) -> Result<Vec<Taken>, StoreError> {
        let now = self.clock.now();
        match &self.intake {
            Some(intake) => {
                let taken = intake.keep(entries, now);
                self.leave(entries, taken.as_deref().ok().and_then(all_in_journal));
                taken
            }
            None => {
                let appended = self.store.append(entries, now);
                self.leave(entries, appended.as_ref().ok().cloned());
                Ok(appended?.into_iter().map(Taken::Journal).collect())
            }
        }
    }

    /// Leaves what is in the journal for the pump. What is not, or not for certain, the journal tells
    /// by itself when it is there again.
    fn leave(&self, entries: &Arc<[NewEntry]>, appended: Option<Vec<Appended>>) {
        match appended {
            Some(appended) => self.tail.keep(entries, &appended),
            None => self.tail.clear(),
        }
    }

    fn take_batch(&self, len_max: usize) -> (Vec<NewEntry>, Vec<Answer>) {
        let mut queue = self.shared.lock();
        let len = queue
            .waiting
            .len()
            .min(len_max.min(self.shared.options.batch_max).max(1));
        let batch: Vec<Waiting> = queue.waiting.drain(..len).collect();
        let size_bytes: usize = batch.iter().map(|waiting| waiting.entry.size_bytes()).sum();
        queue.size_bytes = queue.size_bytes.saturating_sub(size_bytes);
        drop(queue);
        batch
            .into_iter()
            .map(|waiting| (waiting.entry, waiting.answer))
            .unzip()
    }

    fn answer(&self, answers: Vec<Answer>, taken: &[Taken]) {
        let counters = &self.shared.counters;
        let appended: Vec<Appended> = taken.iter().filter_map(in_journal).collect();
        counters.batches.add(usize::from(!appended.is_empty()));
        let is_new = counters.note_appended(&appended);
        if is_new && !is_planted(Planted::WakeBeforeAppend) {
            self.committed.notify();
        }
        for (answer, taken) in answers.into_iter().zip(taken) {
            let received = match *taken {
                Taken::Journal(row) => {
                    counters.refusals.note_taken();
                    Ok(Received {
                        seq: Some(row.seq),
                        is_duplicate: row.is_duplicate,
                    })
                }
                Taken::Spool { is_duplicate } => {
                    counters.refusals.note_taken();
                    Ok(Received {
                        seq: None,
                        is_duplicate,
                    })
                }
                Taken::Nowhere => {
                    counters.failed.add(1);
                    counters.refusals.note_refused(self.clock.steady());
                    Err(IngestError::Unavailable("the journal is away".into()))
                }
            };
            // Whoever no longer waits (a client that hung up) is not an error.
            let _ = answer.send(received);
        }
    }

    fn refuse(&self, answers: Vec<Answer>, error: &StoreError) {
        let counters = &self.shared.counters;
        counters.failed.add(answers.len());
        // An entry that contradicts itself says nothing of the store.
        if !matches!(error, StoreError::BadEntry { .. }) {
            counters.refusals.note_refused(self.clock.steady());
        }
        let error: Arc<str> = error.to_string().into();
        for answer in answers {
            let _ = answer.send(Err(IngestError::Unavailable(Arc::clone(&error))));
        }
    }
}

/// Whoever still waits when the writer goes is told so, rather than left waiting.
impl Drop for IngestWriter {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.is_closed = true;
        queue.waiting.clear();
        queue.size_bytes = 0;
    }
}

/// `None` unless all of it is.
fn all_in_journal(taken: &[Taken]) -> Option<Vec<Appended>> {
    taken.iter().map(in_journal).collect()
}

const fn in_journal(taken: &Taken) -> Option<Appended> {
    match taken {
        Taken::Journal(appended) => Some(*appended),
        Taken::Spool { .. } | Taken::Nowhere => None,
    }
}

/// What a writer would say that answers before it appends.
const UNWRITTEN: Appended = Appended {
    seq: 0,
    received_at: Timestamp::EPOCH,
    is_duplicate: false,
};

type Answer = oneshot::Sender<Result<Received, IngestError>>;
