//! A clock that does not believe a leap ahead at once.
//!
//! The pump writes its time into the journal's head, and nothing is ever received before that: a wall
//! clock that is an hour ahead for a minute, and then put right, would make everything that arrives
//! within the next hour look an hour late, and the hour itself silent. So a leap that the steady
//! clock has not seen is believed only once it has lasted. One that is true (a machine that slept)
//! costs those minutes. A step back is told at once, for the journal's time stands still then; and so is
//! the way back from either.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use billingwatch_core::time::{Span, Timestamp};

use crate::clock::Clock;
use crate::planted::{Planted, is_planted};

/// What is no leap: no detector looks that closely.
const LEAP_MIN: Span = Span::minutes(1);

/// How long a leap must last: time servers are asked every few minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// Another clock, with doubts.
pub struct DoubtingClock {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// The newest reading that fitted or had lasted, and what is so of others.
#[derive(Clone, Copy, Debug)]
struct State {
    believed: Timestamp,
    at: Duration,
    /// Since when, and by how much.
    deviation: Option<(Duration, Span)>,
}

impl std::fmt::Debug for DoubtingClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DoubtingClock").finish_non_exhaustive()
    }
}

impl DoubtingClock {
    /// Believes what `clock` says now.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            believed: clock.now(),
            at: clock.steady(),
            deviation: None,
        };
        Self {
            clock,
            state: Mutex::new(state),
        }
    }
}

impl State {
    fn tell(&mut self, wall: Timestamp, steady: Duration) -> Timestamp {
        let passed = steady.saturating_sub(self.at).as_millis();
        let expected = self.believed + Span::millis(i64::try_from(passed).unwrap_or(i64::MAX));
        let leap = wall.since(expected);
        if !is_near(leap, Span::ZERO) && !is_planted(Planted::LeapBelieved) {
            let known = self.deviation.filter(|(_, known)| is_near(leap, *known));
            let (since, _) = *self.deviation.insert(known.unwrap_or_else(|| {
                tracing::warn!(
                    "the clock leapt by {leap}: a leap ahead is believed once it has lasted for ten minutes"
                );
                (steady, leap)
            }));
            if steady.saturating_sub(since) < PATIENCE {
                return wall.min(expected);
            }
        }
        *self = Self {
            believed: wall,
            at: steady,
            deviation: None,
        };
        wall
    }
}

fn is_near(one: Span, other: Span) -> bool {
    one.as_millis().abs_diff(other.as_millis()) <= LEAP_MIN.as_millis().unsigned_abs()
}

impl Clock for DoubtingClock {
    fn now(&self) -> Timestamp {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tell(self.clock.now(), self.clock.steady())
    }

    fn steady(&self) -> Duration {
        self.clock.steady()
    }

    fn real_duration(&self, span: Span) -> Duration {
        self.clock.real_duration(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_700_000_000);

    /// What is told for (seconds by the steady clock, how far the wall clock is off then): how far
    /// that is off.
    fn told(readings: &[(u64, i64)]) -> Vec<i64> {
        let mut state = State {
            believed: START,
            at: Duration::ZERO,
            deviation: None,
        };
        let mut tell = |(steady, off): &(u64, i64)| {
            let passed = i64::try_from(*steady).unwrap_or(0);
            let wall = START + Span::secs(passed + off);
            let now = state.tell(wall, Duration::from_secs(*steady));
            now.since(START).as_secs() - passed
        };
        readings.iter().map(&mut tell).collect()
    }

    #[test]
    fn a_leap_is_believed_once_it_has_lasted() {
        assert_eq!(
            told(&[(1, 3600), (600, 3600), (601, 3600), (602, 3600)]),
            [0, 0, 3600, 3600]
        );
    }

    #[test]
    fn a_leap_that_is_taken_back_leaves_no_trace_and_the_next_is_doubted_anew() {
        assert_eq!(
            told(&[(1, 3600), (500, 3600), (501, 0), (502, 3600), (1101, 3600)]),
            [0; 5]
        );
    }

    #[test]
    fn a_leap_is_not_believed_for_another_that_lasted() {
        assert_eq!(
            told(&[
                (1, -300),
                (595, 3600),
                (610, 3600),
                (620, -300),
                (1300, -300),
                (1301, 0)
            ]),
            [-300, 0, 0, -300, -300, -300]
        );
    }

    #[test]
    fn small_steps_steps_back_and_the_way_back_are_believed_at_once() {
        assert_eq!(
            told(&[(1, 60), (2, 0), (3, -3600), (4, -3590), (5, 0)]),
            [60, 0, -3600, -3590, 0]
        );
    }
}
