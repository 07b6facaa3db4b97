//! How far what arrived can be taken for all there is: nobody is to be blamed for what is still on
//! its way.

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

/// An event this old at arrival does not show that delivery is up to date.
const FRESH: Span = Span::minutes(10);

/// A pause in arrivals this long may be an outage: what was on its way then is still to come.
const PAUSE: Span = Span::hours(1);

/// How long a backlog is given to arrive after a pause, at most.
const DRAIN: Span = Span::hours(2);

/// How far what arrived can be taken for all there is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Arrivals {
    /// The newest arrival of an event that was on time.
    fresh_at: Timestamp,
    newest_at: Timestamp,
    /// When the last pause began, and until when its backlog is waited for.
    pause: (Timestamp, Timestamp),
}

impl Arrivals {
    pub(super) fn take(&mut self, now: Timestamp, event_at: Timestamp) {
        let paused = now.since(self.newest_at);
        if paused >= PAUSE {
            self.pause = (self.newest_at, now + paused.min(DRAIN));
        }
        self.newest_at = now;
        if now.since(event_at) < FRESH {
            self.fresh_at = now;
        }
    }

    /// The newest arrival of an event that was on time.
    pub(super) const fn fresh_at(&self) -> Timestamp {
        self.fresh_at
    }

    /// Everything made before this instant has arrived, or never will.
    pub(super) fn horizon(&self, now: Timestamp) -> Timestamp {
        if now < self.pause.1 {
            self.fresh_at.min(self.pause.0)
        } else {
            self.fresh_at
        }
    }
}
