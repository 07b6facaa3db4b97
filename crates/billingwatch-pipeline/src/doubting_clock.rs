//! A clock that does not believe a leap ahead at once.
//!
//! The pump writes its time into the journal's head, and nothing is ever received before that: a wall
//! clock that is an hour ahead for a minute, and then put right, would make everything that arrives
//! within the next hour look an hour late, and the hour itself silent. So a leap that the steady
//! clock has not seen is believed only once it has lasted, or at the first event that was signed just
//! now by that clock: nobody can sign a later one. A true leap (a machine that slept, or that started
//! with a wrong clock and was put right) costs no more than the wait for either. A step back is told
//! at once, for the journal's time stands still then; and so is the way back from either.

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

/// The newest reading that fitted, had lasted or was proven, and what is so of others.
#[derive(Clone, Copy, Debug)]
struct State {
    believed: Timestamp,
    at: Duration,
    doubt: Option<Doubt>,
}

/// A deviation that has not lasted yet.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    since: Duration,
    /// By how much; of leaps ahead on top of each other, the part that is there since then.
    off: Span,
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
            doubt: None,
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
        let off = wall.since(expected);
        if is_small(off) || is_planted(Planted::LeapBelieved) {
            return self.believe(wall, steady);
        }
        let is_ahead = off > Span::ZERO;
        let doubt = match self.doubt {
            // One that grows in leaps (a machine that sleeps again and again) must not be doubted anew
            // each time: then it would be for ever.
            Some(known) if is_ahead && known.off > Span::ZERO => Doubt {
                off: known.off.min(off),
                ..known
            },
            Some(known) if !is_ahead && known.off < Span::ZERO => Doubt { off, ..known },
            _ => {
                let how = if is_ahead {
                    "believed once it has lasted for ten minutes, or an event proves it"
                } else {
                    "believed"
                };
                tracing::warn!("the clock leapt by {off}: that is {how}");
                Doubt { since: steady, off }
            }
        };
        if steady.saturating_sub(doubt.since) < PATIENCE {
            self.doubt = Some(doubt);
            return wall.min(expected);
        }
        self.believe(expected + doubt.off, steady)
    }

    fn believe(&mut self, now: Timestamp, steady: Duration) -> Timestamp {
        *self = Self {
            believed: now,
            at: steady,
            doubt: None,
        };
        now
    }

    /// Somebody else's clock said `signed_at` a moment ago.
    fn compare(&mut self, wall: Timestamp, steady: Duration, signed_at: Timestamp) {
        if is_small(wall.since(signed_at)) {
            self.believe(wall, steady);
        }
    }
}

fn is_small(span: Span) -> bool {
    span.as_millis().unsigned_abs() <= LEAP_MIN.as_millis().unsigned_abs()
}

impl Clock for DoubtingClock {
    fn now(&self) -> Timestamp {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tell(self.clock.now(), self.clock.steady())
    }

    fn steady(&self) -> Duration {
        self.clock.steady()
    }

    fn note_signed(&self, signed_at: Timestamp) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.compare(self.clock.now(), self.clock.steady(), signed_at);
    }

    fn real_duration(&self, span: Span) -> Duration {
        self.clock.real_duration(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn state() -> State {
        State {
            believed: START,
            at: Duration::ZERO,
            doubt: None,
        }
    }

    /// The wall clock, so many seconds after the start and off by so many.
    fn wall(steady: u64, off: i64) -> Timestamp {
        START + Span::secs(i64::try_from(steady).unwrap_or(0) + off)
    }

    /// How far off it is what is told so many seconds after the start.
    fn tell(state: &mut State, steady: u64, off: i64) -> i64 {
        let now = state.tell(wall(steady, off), Duration::from_secs(steady));
        now.since(wall(steady, 0)).as_secs()
    }

    /// What is told for (seconds by the steady clock, how far the wall clock is off then): how far
    /// that is off.
    fn told(readings: &[(u64, i64)]) -> Vec<i64> {
        let mut state = state();
        let readings = readings.iter();
        readings
            .map(|(steady, off)| tell(&mut state, *steady, *off))
            .collect()
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
        // The hour has lasted, the day on top of it has not.
        assert_eq!(
            told(&[(1, 3600), (600, 90_000), (601, 90_000), (602, 3600)]),
            [0, 0, 3600, 3600]
        );
    }

    #[test]
    fn leaps_without_end_are_believed_one_after_the_other() {
        // A machine that is awake for five minutes of each hour.
        let leaps: Vec<(u64, i64)> = (1_u32..100)
            .map(|hour| (u64::from(hour) * 300, i64::from(hour) * 3_300))
            .collect();
        let behind = leaps.iter().zip(told(&leaps));
        let most = behind.map(|((_, off), told)| off - told).max();
        assert_eq!(most, Some(4 * 3_300));
    }

    #[test]
    fn small_steps_steps_back_and_the_way_back_are_believed_at_once() {
        assert_eq!(
            told(&[(1, 60), (2, 0), (3, -3600), (4, -3590), (5, 0)]),
            [60, 0, -3600, -3590, 0]
        );
    }

    #[test]
    fn an_event_signed_just_now_proves_a_leap_and_one_of_another_time_does_not() {
        let mut state = state();
        assert_eq!(tell(&mut state, 10, 3600), 0);
        let at = Duration::from_secs(20);
        state.compare(wall(20, 3600), at, wall(20, 0));
        assert_eq!(tell(&mut state, 21, 3600), 0);
        // Within the tolerance for signatures, and no proof all the same.
        state.compare(wall(22, 3600), at, wall(22, 3600 - 200));
        assert_eq!(tell(&mut state, 23, 3600), 0);
        state.compare(wall(30, 3600), Duration::from_secs(30), wall(30, 3600 - 5));
        assert_eq!(tell(&mut state, 31, 3600), 3600);
        // The clock was wrong all the time, and is put right: the next leap is against that.
        state.compare(wall(40, 0), Duration::from_secs(40), wall(40, -2));
        assert_eq!(tell(&mut state, 41, 3600), 0);
    }
}
