//! What is told past the outbox: that the store takes nothing.
//!
//! An alert is recorded first and told then, so that it is told at least once. When recording itself
//! is what fails, the channels are handed the change as it is, each on its own thread. It goes under
//! the key that it will have in the outbox once it is recorded, so that a receiver drops the repeat.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use billingwatch_alert::{Message, Outcome, Route};
use billingwatch_core::alert::{AlertChange, AlertStatus};

use crate::clock::Clock;
use crate::deliver::Deliverer;
use crate::operations::is_failure_of;

/// Attempts at one message. It is not durable, and neither is anything else meanwhile.
const ATTEMPTS_MAX: u32 = 5;

/// Between two of them.
const RETRY_EVERY: Duration = Duration::from_secs(30);

/// Messages that wait at most: there are fewer conditions than that.
const WAITING_MAX: usize = 16;

/// One channel's direct messages: filled by the loop that looks at the others, emptied by the
/// channel's own.
#[derive(Debug, Default)]
pub(crate) struct Direct {
    waiting: Mutex<VecDeque<Waiting>>,
}

#[derive(Clone, Debug)]
struct Waiting {
    change: AlertChange,
    attempt: u32,
    /// Not before, by the clock's steady time.
    due: Duration,
}

impl Direct {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, change: &AlertChange) {
        let mut waiting = self.lock();
        if waiting.len() < WAITING_MAX {
            waiting.push_back(Waiting {
                change: change.clone(),
                attempt: 1,
                due: Duration::ZERO,
            });
        }
    }

    fn take_due(&self, now: Duration) -> Option<Waiting> {
        let mut waiting = self.lock();
        let index = waiting.iter().position(|one| one.due <= now)?;
        waiting.remove(index)
    }

    /// Sends what is due, if anything is: one message.
    pub(crate) fn send_due(&self, deliverer: &Deliverer, clock: &dyn Clock) {
        let Some(one) = self.take_due(clock.steady()) else {
            return;
        };
        let channel = deliverer.channel_name();
        let message = Message::new(one.change.clone(), channel, one.attempt, clock.now());
        let outcome = deliverer.send_message(&message);
        let detail = outcome.detail();
        match outcome {
            Outcome::Delivered { .. } => {
                tracing::info!(channel, detail, "{channel}: told past the outbox");
            }
            Outcome::Retry { .. } if one.attempt < ATTEMPTS_MAX => {
                tracing::warn!(
                    channel,
                    detail,
                    "{channel}: could not be told past the outbox yet"
                );
                self.lock().push_back(Waiting {
                    attempt: one.attempt + 1,
                    due: clock.steady() + RETRY_EVERY,
                    ..one
                });
            }
            Outcome::Retry { .. } | Outcome::GiveUp { .. } => {
                tracing::error!(channel, detail, "{channel}: not told past the outbox");
            }
        }
    }
}

/// Hands changes to the channels that want them. An end is not among them: it is recorded first. Nor
/// is a channel told of its own failure.
pub(crate) fn tell(routes: &[Route], channels: &[Arc<Direct>], changes: &[&AlertChange]) {
    for change in changes {
        if change.alert.status == AlertStatus::Resolved {
            continue;
        }
        for (route, channel) in routes.iter().zip(channels) {
            if route.wants(change) && !is_failure_of(&route.channel, &change.alert) {
                channel.put(change);
            }
        }
    }
}
