//! Outbox → one channel, on the channel's own thread.
//!
//! A delivery is leased, sent, and settled. The lease keeps a second process (or a second run) from
//! sending it too while this one is at it; when this process dies in between, the lease runs out
//! and the delivery is sent again, under the same delivery id, by which the receiver drops a
//! repeat: at least once, never silently not at all. Nobody but this channel waits for a slow
//! send. When to try again is decided by [`billingwatch_alert::retry`], not here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use billingwatch_alert::{Channel, Message, Outcome, retry};
use billingwatch_core::alert::AlertChange;
use billingwatch_core::ids::Key;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_store::{Attempt, AttemptOutcome, Delivery};

use crate::clock::Clock;
use crate::error::DeliverError;
use crate::ports::PipelineStore;
use crate::status::DeliveryCounters;
use crate::system_clock::Stopwatch;

/// How much longer a delivery is ours than its channel's own time limit: enough to record what came
/// of it. Short, because it is also what a restart waits before it sends again what was being sent
/// when the process died.
pub const LEASE_MARGIN: Span = Span::secs(20);

/// The longest sleep without a look at the outbox: another process may fill it too.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliverReport {
    /// Nothing was due; when the next is, if any.
    Idle {
        /// When the next delivery is due.
        next_due_at: Option<Timestamp>,
    },
    /// One attempt was made and recorded.
    Sent {
        /// What came of it.
        outcome: AttemptOutcome,
    },
}

/// How a step began.
#[derive(Debug)]
pub enum Begun {
    /// There is nothing to send: the step is over.
    Done(DeliverReport),
    /// This is to be sent, and then to be [ended](Deliverer::end).
    Send(Box<Sending>),
}

/// A delivery under way: leased, not settled.
#[derive(Debug)]
pub struct Sending {
    /// What the channel is given.
    pub message: Message,
    delivery: Delivery,
    first_at: Timestamp,
    stopwatch: Stopwatch,
}

/// An attempt that was made and must be recorded.
struct Settlement {
    delivery: Delivery,
    attempt: Attempt,
    next_attempt_at: Option<Timestamp>,
    /// The target is gone: why.
    disable: Option<String>,
}

/// One channel's deliveries.
pub struct Deliverer {
    store: Arc<dyn PipelineStore>,
    channel: Box<dyn Channel>,
    clock: Arc<dyn Clock>,
    counters: Arc<DeliveryCounters>,
    /// Made, but the store could not record it: recorded before anything else is sent.
    unsettled: Option<Settlement>,
}

impl std::fmt::Debug for Deliverer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliverer")
            .field("channel", &self.channel.name())
            .finish_non_exhaustive()
    }
}

impl Deliverer {
    /// A deliverer that has sent nothing yet.
    #[must_use]
    pub fn new(
        store: Arc<dyn PipelineStore>,
        channel: Box<dyn Channel>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            channel,
            clock,
            counters: Arc::default(),
            unsettled: None,
        }
    }

    /// The channel's name.
    #[must_use]
    pub fn channel_name(&self) -> &str {
        self.channel.name()
    }

    /// How long a delivery is ours once it is leased.
    #[must_use]
    pub fn lease(&self) -> Span {
        self.channel.time_limit() + LEASE_MARGIN
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Arc<DeliveryCounters> {
        Arc::clone(&self.counters)
    }

    /// Makes one attempt at what has been due longest, and records it.
    ///
    /// # Errors
    /// When the store fails. An attempt that could not be recorded is recorded by a later step,
    /// or, when the process ends before that, made again.
    pub fn step(&mut self) -> Result<DeliverReport, DeliverError> {
        match self.begin()? {
            Begun::Done(report) => Ok(report),
            Begun::Send(sending) => {
                let outcome = self.send(&sending);
                self.end(*sending, &outcome)
            }
        }
    }

    /// The first part of a [`step`](Self::step): up to the send.
    ///
    /// # Errors
    /// As `step`.
    pub fn begin(&mut self) -> Result<Begun, DeliverError> {
        self.count_failure(Self::try_begin)
    }

    /// The middle part: asks the channel. Blocks for as long as the channel does.
    #[must_use]
    pub fn send(&self, sending: &Sending) -> Outcome {
        self.send_message(&sending.message)
    }

    /// A channel's panic costs one attempt, not the thread with everything still queued.
    pub(crate) fn send_message(&self, message: &Message) -> Outcome {
        catch_unwind(AssertUnwindSafe(|| self.channel.send(message))).unwrap_or_else(|_| {
            Outcome::Retry {
                detail: "the channel panicked".to_owned(),
                status: None,
                after: None,
            }
        })
    }

    /// The last part: records what came of it.
    ///
    /// # Errors
    /// As `step`.
    pub fn end(
        &mut self,
        sending: Sending,
        outcome: &Outcome,
    ) -> Result<DeliverReport, DeliverError> {
        self.counters.send_time.observe(sending.stopwatch.elapsed());
        let settlement = self.settlement(sending, outcome);
        self.count_failure(|this| this.settle(settlement))
    }

    fn count_failure<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, DeliverError>,
    ) -> Result<T, DeliverError> {
        let outcome = work(self);
        if outcome.is_err() {
            self.counters.failures.add(1);
        }
        outcome
    }

    fn try_begin(&mut self) -> Result<Begun, DeliverError> {
        if let Some(settlement) = self.unsettled.take() {
            return self.settle_again(settlement).map(Begun::Done);
        }
        let now = self.clock.now();
        // One at a time: a lease then never runs out while others are sent before it.
        let leased = self
            .store
            .lease_due(self.channel.name(), now, self.lease(), 1)?
            .into_iter()
            .next();
        let Some(delivery) = leased else {
            let next_due_at = self.store.next_due_at(self.channel.name())?;
            return Ok(Begun::Done(DeliverReport::Idle { next_due_at }));
        };
        // Asked for before the send: a store that fails here costs a lease, not a repeat.
        let first_at = self
            .first_attempt_at(&delivery)?
            .unwrap_or_else(|| self.clock.now());
        let at = self.clock.now();
        let change: Result<AlertChange, _> = serde_json::from_str(&delivery.body);
        match change {
            Ok(change) => Ok(Begun::Send(Box::new(Sending {
                message: Message::new(change, self.channel.name(), delivery.attempt, at),
                delivery,
                first_at,
                stopwatch: Stopwatch::start(),
            }))),
            Err(error) => self
                .settle(unreadable(delivery, at, &error))
                .map(Begun::Done),
        }
    }

    /// How long to sleep before the next look at the outbox.
    #[must_use]
    pub fn sleep_for(&self, next_due_at: Option<Timestamp>) -> Duration {
        let Some(due_at) = next_due_at else {
            return POLL_INTERVAL;
        };
        let wait = due_at.since(self.clock.now());
        // Never zero: what is due and cannot be leased is somebody else's for now.
        self.clock
            .real_duration(wait)
            .clamp(Duration::from_millis(50), POLL_INTERVAL)
    }

    /// What an outcome means for the delivery.
    fn settlement(&self, sending: Sending, outcome: &Outcome) -> Settlement {
        let Sending {
            message,
            delivery,
            first_at,
            stopwatch,
        } = sending;
        let detail = outcome.detail().to_owned();
        let status_code = outcome.status();
        let (result, next_attempt_at, disable) = match outcome {
            Outcome::Delivered { .. } => (AttemptOutcome::Delivered, None, None),
            Outcome::Retry { after, .. } => {
                match self.next_attempt_at(&delivery, first_at, *after) {
                    Some(next) => (AttemptOutcome::Retry, Some(next), None),
                    None => (AttemptOutcome::GaveUp, None, None),
                }
            }
            Outcome::GiveUp {
                disable_channel, ..
            } => {
                let disable = disable_channel.then(|| detail.clone());
                (AttemptOutcome::GaveUp, None, disable)
            }
        };
        Settlement {
            attempt: Attempt {
                number: delivery.attempt,
                at: message.sent_at,
                duration_ms: stopwatch.elapsed_ms(),
                outcome: result,
                status_code,
                detail,
            },
            delivery,
            next_attempt_at,
            disable,
        }
    }

    /// When the first attempt was made: the three days count from there, not from the alert, which
    /// may be old news when the engine was behind.
    fn first_attempt_at(&self, delivery: &Delivery) -> Result<Option<Timestamp>, DeliverError> {
        if delivery.attempt <= 1 {
            return Ok(None);
        }
        let attempts = self.store.attempts(delivery)?;
        Ok(attempts.first().map(|attempt| attempt.at))
    }

    fn next_attempt_at(
        &self,
        delivery: &Delivery,
        first_at: Timestamp,
        after: Option<Span>,
    ) -> Option<Timestamp> {
        let revision = delivery.revision.to_string();
        let seed = Key::of_parts(&[&delivery.channel, &delivery.alert_id, &revision]);
        let now = self.clock.now();
        retry::next_attempt_at(delivery.attempt, first_at, now, after, seed.as_u64())
    }

    fn settle(&mut self, settlement: Settlement) -> Result<DeliverReport, DeliverError> {
        if let Err(error) = self.record(&settlement) {
            self.unsettled = Some(settlement);
            return Err(error);
        }
        Ok(self.note(&settlement))
    }

    /// Counts and logs what came of an attempt.
    fn note(&self, settlement: &Settlement) -> DeliverReport {
        let channel = self.channel.name();
        let attempt = &settlement.attempt;
        match attempt.outcome {
            AttemptOutcome::Delivered => {
                self.counters.delivered.add(1);
                self.counters.note_accepted();
            }
            AttemptOutcome::Retry => {
                self.counters.retried.add(1);
                self.counters.note_failed(attempt.at);
                tracing::warn!(
                    channel,
                    detail = attempt.detail,
                    "{channel}: will be tried again"
                );
            }
            AttemptOutcome::GaveUp => {
                self.counters.gave_up.add(1);
                self.counters.note_failed(attempt.at);
                tracing::error!(channel, detail = attempt.detail, "{channel}: given up");
                if settlement.disable.is_some() {
                    self.counters.is_disabled.set(1);
                    tracing::error!(
                        channel,
                        "{channel}: disabled until the next start, for its target says that it is gone"
                    );
                }
            }
        }
        DeliverReport::Sent {
            outcome: attempt.outcome,
        }
    }

    /// The store said that it failed, which it may say of what it did.
    fn settle_again(&mut self, settlement: Settlement) -> Result<DeliverReport, DeliverError> {
        let number = settlement.attempt.number;
        let attempts = match self.store.attempts(&settlement.delivery) {
            Ok(attempts) => attempts,
            Err(error) => {
                self.unsettled = Some(settlement);
                return Err(error.into());
            }
        };
        if attempts.iter().any(|attempt| attempt.number == number) {
            return Ok(self.note(&settlement));
        }
        self.settle(settlement)
    }

    fn record(&self, settlement: &Settlement) -> Result<(), DeliverError> {
        if let Some(reason) = &settlement.disable {
            // First: a channel that is gone must not be asked again even if the rest fails.
            self.store
                .disable_channel(self.channel.name(), reason, settlement.attempt.at)?;
        }
        self.store.settle(
            settlement.delivery.id,
            &settlement.attempt,
            settlement.next_attempt_at,
        )?;
        Ok(())
    }
}

/// A delivery whose stored message is none: it will not be one the next time either.
fn unreadable(delivery: Delivery, at: Timestamp, error: &serde_json::Error) -> Settlement {
    Settlement {
        attempt: Attempt {
            number: delivery.attempt,
            at,
            duration_ms: 0,
            outcome: AttemptOutcome::GaveUp,
            status_code: None,
            detail: format!("the stored message cannot be read: {error}"),
        },
        delivery,
        next_attempt_at: None,
        disable: None,
    }
}
