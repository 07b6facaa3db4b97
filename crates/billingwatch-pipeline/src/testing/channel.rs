//! A channel that records what it is given and answers as told.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use billingwatch_alert::{Channel, Message, Outcome};
use billingwatch_core::alert::Severity;

/// What a [`FakeChannel`] was given, and how it answers; shared with the test.
#[derive(Clone, Default)]
pub struct Sent {
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    answers: VecDeque<Outcome>,
    is_hanging: bool,
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent").finish_non_exhaustive()
    }
}

impl Sent {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything given so far.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.lock().messages.clone()
    }

    /// The delivery ids given so far.
    #[must_use]
    pub fn delivery_ids(&self) -> Vec<String> {
        let state = self.lock();
        state
            .messages
            .iter()
            .map(|message| message.delivery_id.clone())
            .collect()
    }

    /// Answers one send so; without any answer left, sends are accepted.
    pub fn answer(&self, outcome: Outcome) {
        self.lock().answers.push_back(outcome);
    }

    /// Sends hang from now on, or go on.
    pub fn set_hanging(&self, is_hanging: bool) {
        self.lock().is_hanging = is_hanging;
        self.shared.1.notify_all();
    }

    /// Blocks until so many messages were given.
    pub fn wait_for(&self, len: usize) -> Vec<Message> {
        let state = self
            .shared
            .1
            .wait_while(self.lock(), |state| state.messages.len() < len)
            .unwrap_or_else(PoisonError::into_inner);
        state.messages.clone()
    }
}

/// A channel that sends nothing anywhere.
#[derive(Debug)]
pub struct FakeChannel {
    name: String,
    min_severity: Severity,
    sent: Sent,
}

impl FakeChannel {
    /// A channel of this name, and what the test holds of it.
    #[must_use]
    pub fn boxed(name: &str, min_severity: Severity) -> (Box<dyn Channel>, Sent) {
        let sent = Sent::default();
        let channel = Self {
            name: name.to_owned(),
            min_severity,
            sent: sent.clone(),
        };
        (Box::new(channel), sent)
    }
}

impl Channel for FakeChannel {
    fn name(&self) -> &str {
        &self.name
    }

    fn min_severity(&self) -> Severity {
        self.min_severity
    }

    fn send(&self, message: &Message) -> Outcome {
        let mut state = self.sent.lock();
        state.messages.push(message.clone());
        self.sent.shared.1.notify_all();
        let mut state = self
            .sent
            .shared
            .1
            .wait_while(state, |state| state.is_hanging)
            .unwrap_or_else(PoisonError::into_inner);
        state.answers.pop_front().unwrap_or(Outcome::Delivered {
            status: Some(200),
            detail: "taken".to_owned(),
        })
    }
}
