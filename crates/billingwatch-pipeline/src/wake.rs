//! A wake-up that cannot be lost: what was signalled before the wait began ends the wait at once.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// One sleeper, many wakers.
#[derive(Debug, Default)]
pub struct Wake {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Wake {
    /// A wake-up nobody has signalled.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            is_set: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    /// Ends the current wait, or the next one. Never blocks for long.
    pub fn notify(&self) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits until signalled or until `timeout` has passed; whether it was signalled. Takes the
    /// signal with it.
    pub fn wait(&self, timeout: Duration) -> bool {
        let guard = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut is_set, _) = self
            .changed
            .wait_timeout_while(guard, timeout, |is_set| !*is_set)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *is_set)
    }

    /// Whether it was signalled, without waiting. Takes the signal with it.
    pub fn take(&self) -> bool {
        std::mem::take(&mut *self.is_set.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_before_the_wait_is_not_lost_and_counts_once() {
        let wake = Wake::new();
        wake.notify();
        wake.notify();
        assert!(wake.wait(Duration::from_secs(60)));
        assert!(!wake.wait(Duration::ZERO));
        wake.notify();
        assert!(wake.take());
        assert!(!wake.take());
    }
}
