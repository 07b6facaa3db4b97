//! Stand-ins for the other side, and alerts to send (feature `testing`).
//!
//! Servers listen on a loopback port of the system's choice, answer as scripted, keep what they
//! were sent, and end when dropped. Waiting is for a condition, with a limit, never for a time.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a stand-in that cannot start has to fail its test"
)]

mod fixtures;
mod http;
mod scripted;
mod smtp;

pub use fixtures::{alert, changes, escalated, firing, hostile, huge, message, resolved};
pub use http::{Answer, HttpReceiver, Request};
pub use scripted::ScriptedChannel;
pub use smtp::{Mail, SmtpScript, SmtpServer};

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long to wait for what a test expects.
const PATIENCE: Duration = Duration::from_secs(20);

/// A list that can be waited for.
#[derive(Debug)]
struct Inbox<T> {
    items: Mutex<Vec<T>>,
    arrived: Condvar,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self {
            items: Mutex::default(),
            arrived: Condvar::new(),
        }
    }
}

impl<T: Clone> Inbox<T> {
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, item: T) {
        self.lock().push(item);
        self.arrived.notify_all();
    }

    fn all(&self) -> Vec<T> {
        self.lock().clone()
    }

    fn wait_for(&self, count: usize) -> Vec<T> {
        let (items, timeout) = self
            .arrived
            .wait_timeout_while(self.lock(), PATIENCE, |items| items.len() < count)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(
            !timeout.timed_out(),
            "{} of {count} arrived within {PATIENCE:?}",
            items.len()
        );
        items.clone()
    }
}
