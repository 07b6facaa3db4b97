//! The journal's time is ahead of the machine's clock: it stands still until that has caught up.
//!
//! So it is where a server started while its clock was ahead, and the clock was put right then; and
//! where another process on the same database has such a clock.

use billingwatch_core::alert::{Measure, Severity, Unit};
use billingwatch_core::time::Span;

use super::{Condition, Now, Operations, Reading};

/// How far ahead is worth a word. Half of what a delivery may be late, by default, before it is told.
const AHEAD_MIN: Span = Span::minutes(5);

/// It is over within this.
const AHEAD_WELL: Span = Span::minutes(1);

/// For so long: a clock that was behind for a moment harms nothing.
const AHEAD_PATIENCE: Span = Span::minutes(10);

impl Operations {
    /// Whether what arrives is stamped with a time to come.
    pub(super) fn clock(&mut self, reading: &Reading) -> Now {
        let key = "clock".to_owned();
        let ahead = reading.status.engine_now.since(reading.at);
        if ahead <= AHEAD_MIN {
            self.ahead_since = None;
            return if ahead > AHEAD_WELL {
                Now::Unsure
            } else {
                Now::Well {
                    key,
                    reason: "the clock has come as far as the journal's time",
                }
            };
        }
        let since = *self.ahead_since.get_or_insert(reading.at);
        if reading.at.since(since) < AHEAD_PATIENCE {
            return Now::Unsure;
        }
        let minutes = ahead.as_secs() / 60;
        Now::Bad(Box::new(Condition {
            key,
            severity: Severity::High,
            title: "The journal's time is ahead of the clock",
            message: format!(
                "the journal's time is {minutes} min ahead of this machine's clock and stands still until then: what arrives \
                 seems to come later than it does"
            ),
            subject: None,
            measure: Measure::new("ahead", ahead.as_secs(), Unit::Seconds)
                .threshold(AHEAD_MIN.as_secs()),
            advice: "this machine's clock is wrong, or it was when the server started, or that of \
                another server on the same database is; every event is kept and judged all the same",
        }))
    }
}
