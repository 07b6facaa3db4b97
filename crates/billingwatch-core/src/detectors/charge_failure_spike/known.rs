//! Payers whose failing is known: what they try again in vain is no new failure.
//!
//! A merchant may charge yesterday's decliners again by a job of its own. Each such try is a new
//! purchase and most of them fail as they did, all within minutes: nothing broke. What fails by
//! machines counts whoever it hits, and so does everything while an alert is open.

use serde::{Deserialize, Serialize};

use crate::detector::Context;
use crate::event::Event;
use crate::ids::Key;
use crate::ledger::Generations;
use crate::time::{Span, Timestamp};

use super::ChargeFailureSpike;
use super::failures::{Who, is_technical, object_of};

/// From so long after a failure on a further one is a retry of it; before it is one payer who tries
/// on (see [`same_payer`](super::failures)).
const RETRY_FROM: Span = Span::hours(1);

/// Until so long after the newest failure a further one is a retry: a daily job that rests at the
/// weekend.
const RETRY_UNTIL: Span = Span::hours(72);

/// Who has failed for longer than this fails anew: Stripe's own retries end after two weeks (Stripe
/// docs: Automate payment retries).
const KNOWN_MAX: Span = Span::days(14);

/// A failure that arrives later than this is not remembered: a payment that followed it may have
/// arrived before it.
const TRANSIT: Span = Span::minutes(5);

/// At most twice so many payers are remembered.
const PAYERS_HALF_MAX: usize = 20_000;

/// The failures of one payer since the last payment.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Failing {
    first_at: Timestamp,
    last_at: Timestamp,
    /// The newest payment: failures made before it are settled.
    paid_at: Timestamp,
}

/// Payers that failed in the last days and have not paid since.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Known {
    payers: Generations<Failing>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            // An entry lives for a half life at least.
            payers: Generations::new(RETRY_UNTIL, PAYERS_HALF_MAX),
        }
    }
}

impl Known {
    /// A payer failed: whether that is a retry of what failed before.
    pub(super) fn fails(&mut self, payer: Key, at: Timestamp, now: Timestamp) -> bool {
        let is_new = |known: &Failing| {
            known.paid_at >= known.last_at
                || at.since(known.last_at) > RETRY_UNTIL
                || at.since(known.first_at) > KNOWN_MAX
        };
        let is_prompt = now.since(at) <= TRANSIT;
        let Some(known) = self.payers.get_mut(payer) else {
            if is_prompt {
                let failing = Failing {
                    first_at: at,
                    last_at: at,
                    paid_at: Timestamp::EPOCH,
                };
                self.payers.insert(payer, failing);
            }
            return false;
        };
        if at <= known.paid_at {
            return false;
        }
        let is_anew = is_new(known);
        let is_retry = !is_anew && at.since(known.first_at) > RETRY_FROM;
        if is_anew && is_prompt {
            known.first_at = at;
        }
        if !is_anew || is_prompt {
            known.last_at = known.last_at.max(at);
        }
        is_retry
    }

    /// A payer paid: the next failure is a new one.
    pub(super) fn pays(&mut self, payer: Key, at: Timestamp) {
        if self.payers.contains(payer)
            && let Some(known) = self.payers.get_mut(payer)
        {
            known.paid_at = known.paid_at.max(at);
        }
    }

    pub(super) fn advance_to(&mut self, now: Timestamp) {
        self.payers.advance_to(now);
    }
}

impl ChargeFailureSpike {
    /// Whether a payer that failed anew only tried again what failed before. It is remembered in any
    /// case.
    pub(super) fn is_known(
        &mut self,
        who: &Who<'_>,
        at: Timestamp,
        code: &str,
        event: &Event,
        ctx: &mut Context<'_>,
    ) -> bool {
        let Some(payer) = who.payer() else {
            return false;
        };
        let is_retry = self.known.fails(payer, at, ctx.now());
        let is_known = is_retry && self.spike.is_none() && !is_technical(code);
        if is_known {
            let message =
                "a payer whose attempt failed in the last days, and that has not paid since";
            ctx.suppress("retry_of_known_failure", Some(object_of(event)), message);
        }
        is_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_709_510_400);

    fn payer() -> Key {
        Key::of("cus_1")
    }

    fn fails(known: &mut Known, hours: i64) -> bool {
        let at = START + Span::hours(hours);
        known.advance_to(at);
        known.fails(payer(), at, at)
    }

    #[test]
    fn a_further_failure_is_a_retry_from_an_hour_to_three_days() {
        for (hours, is_retry) in [(0, false), (1, false), (2, true), (72, true), (73, false)] {
            let mut known = Known::default();
            assert!(!fails(&mut known, 0));
            assert_eq!(fails(&mut known, hours), is_retry, "{hours}");
        }
    }

    #[test]
    fn a_payment_makes_the_next_failure_a_new_one_whichever_arrives_first() {
        let mut known = Known::default();
        assert!(!fails(&mut known, 0));
        known.pays(payer(), START + Span::hours(24));
        // Made before the payment, and arrived after it.
        let early = START + Span::hours(20);
        assert!(!known.fails(payer(), early, START + Span::hours(25)));
        assert!(!fails(&mut known, 26));
        assert!(fails(&mut known, 50));
    }

    #[test]
    fn who_fails_each_day_for_longer_than_two_weeks_fails_anew() {
        let mut known = Known::default();
        let retries = (0..30).filter(|day| fails(&mut known, day * 24)).count();
        // The first, and the fifteenth day after it.
        assert_eq!(retries, 28);
    }

    #[test]
    fn what_arrives_late_is_not_remembered() {
        let mut known = Known::default();
        assert!(!known.fails(payer(), START, START + Span::minutes(6)));
        assert!(!fails(&mut known, 24));
    }

    #[test]
    fn the_bound_holds() {
        let mut known = Known::default();
        for number in 0..100_000 {
            known.fails(Key::of(&format!("cus_{number}")), START, START);
        }
        assert_eq!(known.payers.len(), 2 * PAYERS_HALF_MAX);
    }
}
