//! Attempt number to the time of the next one. Pure: no clock, no randomness of its own.

use billingwatch_core::time::{Span, Timestamp};

/// How long a delivery is tried before it is given up: what Stripe itself does.
pub const GIVE_UP_AFTER: Span = Span::days(3);

/// The wait after the first failed attempt.
pub const FIRST_DELAY: Span = Span::secs(5);

/// By how much each wait is longer than the one before.
pub const GROWTH: i64 = 3;

/// The longest wait between two attempts, asked for or not.
///
/// Long enough to leave a dead receiver alone, short enough that one which comes back is told on
/// the same day.
pub const DELAY_MAX: Span = Span::hours(6);

/// When to try again after attempt number `attempt` (from 1) failed; `None` to give up.
///
/// Waits grow threefold from five seconds to six hours, each moved by up to a tenth either way by
/// `jitter_seed`, so that what failed together does not come back together. `after` is the wait
/// the receiver asked for: it is honoured when longer than ours, up to [`DELAY_MAX`]. The last
/// attempt is made [`GIVE_UP_AFTER`] after `first_at`.
///
/// ```
/// use billingwatch_alert::retry;
/// use billingwatch_core::time::{Span, Timestamp};
///
/// let first_at = Timestamp::from_secs(1_700_000_000);
/// let next_at = retry::next_attempt_at(1, first_at, first_at, None, 7).unwrap();
/// assert!((4_500..=5_500).contains(&next_at.since(first_at).as_millis()));
///
/// let too_late = first_at + Span::days(3);
/// assert_eq!(retry::next_attempt_at(9, first_at, too_late, None, 7), None);
/// ```
#[must_use]
pub fn next_attempt_at(
    attempt: u32,
    first_at: Timestamp,
    now: Timestamp,
    after: Option<Span>,
    jitter_seed: u64,
) -> Option<Timestamp> {
    let deadline = first_at + GIVE_UP_AFTER;
    if now >= deadline {
        return None;
    }
    let backoff = jittered(backoff(attempt), attempt, jitter_seed);
    let asked = after.unwrap_or(Span::ZERO).min(DELAY_MAX);
    Some((now + backoff.max(asked)).min(deadline))
}

/// The wait after so many failed attempts, before jitter.
fn backoff(attempt: u32) -> Span {
    let factor = GROWTH.saturating_pow(attempt.saturating_sub(1));
    let millis = FIRST_DELAY.as_millis().saturating_mul(factor);
    Span::millis(millis).min(DELAY_MAX)
}

/// Moves a wait by up to a tenth of itself, either way.
fn jittered(delay: Span, attempt: u32, seed: u64) -> Span {
    let tenth = delay.as_millis() / 10;
    let noise = splitmix64(seed ^ u64::from(attempt)) % 2001;
    let thousandths = i64::try_from(noise).unwrap_or(1000) - 1000;
    Span::millis(delay.as_millis() + tenth * thousandths / 1000)
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014): spreads neighbouring seeds evenly.
fn splitmix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const FIRST: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[test]
    fn waits_grow_to_six_hours_and_end_after_three_days() {
        let mut now = FIRST;
        let mut waits = Vec::new();
        for attempt in 1.. {
            let Some(next) = next_attempt_at(attempt, FIRST, now, None, 42) else {
                break;
            };
            waits.push(next.since(now));
            now = next;
        }
        assert_eq!(now, FIRST + GIVE_UP_AFTER);
        assert_eq!(waits.len(), 20);
        let bare: Vec<String> = (1..=9).map(|n| backoff(n).to_string()).collect();
        assert_eq!(
            bare,
            [
                "5s", "15s", "45s", "2m 15s", "6m 45s", "20m 15s", "1h", "3h 2m", "6h"
            ]
        );
        for (n, wait) in (1..).zip(&waits[..waits.len() - 1]) {
            let off = (wait.as_millis() - backoff(n).as_millis()).abs();
            assert!(off <= backoff(n).as_millis() / 10, "{n}: {wait}");
        }
    }

    #[test]
    fn what_failed_together_comes_back_apart() {
        let at = |seed| next_attempt_at(5, FIRST, FIRST, None, seed).unwrap();
        let mut all: Vec<_> = (0..100).map(at).collect();
        assert_eq!(at(1), at(1));
        all.sort();
        all.dedup();
        assert!(all.len() > 90, "{}", all.len());
    }

    #[test]
    fn a_wait_asked_for_is_honoured_and_capped() {
        let next = |secs| next_attempt_at(1, FIRST, FIRST, Some(Span::secs(secs)), 0).unwrap();
        assert_eq!(next(90), FIRST + Span::secs(90));
        assert_eq!(next(i64::MAX), FIRST + DELAY_MAX);
        for too_short in [0, 1, -5, i64::MIN] {
            assert!(next(too_short) > FIRST + Span::secs(4), "{too_short}");
        }
    }

    #[test]
    fn extremes_neither_panic_nor_pass_the_deadline() {
        for attempt in [0, 1, 40, u32::MAX] {
            let next = next_attempt_at(attempt, FIRST, FIRST, None, u64::MAX).unwrap();
            assert!(next > FIRST && next <= FIRST + GIVE_UP_AFTER, "{attempt}");
        }
        let late = FIRST + GIVE_UP_AFTER - Span::secs(1);
        assert_eq!(
            next_attempt_at(12, FIRST, late, None, 0),
            Some(FIRST + GIVE_UP_AFTER)
        );
        assert_eq!(next_attempt_at(1, FIRST, Timestamp::MAX, None, 0), None);
    }
}
