//! A channel that answers as told.

use std::sync::{Arc, Mutex, PoisonError};

use super::Inbox;
use crate::channel::{Channel, Message, Outcome};

/// Answers from a script, then delivers; keeps what it was sent. Clones share both.
#[derive(Clone, Debug)]
pub struct ScriptedChannel {
    name: String,
    script: Arc<Mutex<Vec<Outcome>>>,
    sent: Arc<Inbox<Message>>,
}

impl ScriptedChannel {
    /// A channel of that name which answers each attempt with the next of `script`.
    #[must_use]
    pub fn new(name: &str, mut script: Vec<Outcome>) -> Self {
        script.reverse();
        Self {
            name: name.to_owned(),
            script: Arc::new(Mutex::new(script)),
            sent: Arc::default(),
        }
    }

    /// Every attempt so far.
    #[must_use]
    pub fn sent(&self) -> Vec<Message> {
        self.sent.all()
    }

    /// Waits until there were so many attempts.
    #[must_use]
    pub fn wait_for(&self, count: usize) -> Vec<Message> {
        self.sent.wait_for(count)
    }
}

impl Channel for ScriptedChannel {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&self, message: &Message) -> Outcome {
        self.sent.push(message.clone());
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.pop().unwrap_or_else(|| Outcome::Delivered {
            status: Some(200),
            detail: "200 OK".to_owned(),
        })
    }
}
