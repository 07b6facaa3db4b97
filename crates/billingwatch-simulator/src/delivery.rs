//! The way from Stripe to the endpoint: latency, repeats, stragglers, lag and silence.
//!
//! Events wait here until nothing can overtake them any more, so the world comes out in the order of
//! receipt. What waits is what is under way: seconds of events normally, hours of them in a silence.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::config::DeliveryModel;
use crate::rng::Dice;

/// One delivery: an event as it arrives at the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedEvent {
    /// When it arrives, in unix milliseconds.
    pub received_at_ms: i64,
    /// When Stripe says it happened, in unix seconds.
    pub created: i64,
    /// The event's id; a repeated delivery carries the same one.
    pub id: String,
    /// The event's type.
    pub event_type: &'static str,
    /// The request body.
    pub json: Vec<u8>,
}

/// Latency of a perfect delivery, in milliseconds.
const PERFECT_MS: i64 = 250;
/// Deliveries that come twice (the first answer got lost), per million.
const REPEATED_PPM: i64 = 3_000;
/// Deliveries that come some minutes late, per million.
const LATE_PPM: i64 = 4_000;
/// Deliveries whose first attempt failed and that come an hour later, per million.
const RETRIED_PPM: i64 = 200;
/// Changes told under two event ids, per million.
const TWIN_PPM: i64 = 200;
const MINUTE_MS: i64 = 60_000;

/// A disturbance of the deliveries during `from_ms..until_ms`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub(crate) incident: usize,
    pub(crate) from_ms: i64,
    pub(crate) until_ms: i64,
    pub(crate) how: Delay,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Delay {
    /// What happens then arrives this much later.
    Lag { min_ms: i64, max_ms: i64 },
    /// Nothing arrives then; what should have arrives in its order during this long afterwards.
    Silence { drain_ms: i64 },
}

#[derive(Debug)]
struct Pending {
    order: u64,
    event: SimulatedEvent,
}

impl Pending {
    fn key(&self) -> (i64, u64) {
        (self.event.received_at_ms, self.order)
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Pending {}
impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: BinaryHeap<Reverse<Pending>>,
    pushed: u64,
    dice: Dice,
    model: DeliveryModel,
    holds: Vec<Hold>,
}

impl Outbox {
    pub(crate) fn new(model: DeliveryModel, dice: Dice) -> Self {
        Self {
            waiting: BinaryHeap::new(),
            pushed: 0,
            dice,
            model,
            holds: Vec::new(),
        }
    }

    pub(crate) fn add_hold(&mut self, hold: Hold) {
        self.holds.push(hold);
    }

    /// Takes an event that happened at `at_ms`. Answers with the incident that holds it back, if any.
    pub(crate) fn push(&mut self, at_ms: i64, mut event: SimulatedEvent) -> Option<usize> {
        let (received_at_ms, held_by) = self.arrival(at_ms);
        event.received_at_ms = received_at_ms;
        if self.model == DeliveryModel::Realistic {
            if self.dice.chance(REPEATED_PPM) {
                let again = match self.dice.below(10) {
                    0..6 => self.dice.range(1_000, 90_000),
                    6..9 => self.dice.range(5 * MINUTE_MS, 9 * MINUTE_MS),
                    _ => self.dice.range(60 * MINUTE_MS, 120 * MINUTE_MS),
                };
                let (received_at_ms, _) = self.silenced(received_at_ms + again);
                self.queue(SimulatedEvent {
                    received_at_ms,
                    ..event.clone()
                });
            }
            if self.dice.chance(TWIN_PPM) {
                let received_at_ms = event.received_at_ms + self.dice.range(5, 900);
                self.queue(SimulatedEvent {
                    received_at_ms,
                    ..twin(&event)
                });
            }
        }
        self.queue(event);
        held_by
    }

    fn queue(&mut self, event: SimulatedEvent) {
        self.pushed += 1;
        self.waiting.push(Reverse(Pending {
            order: self.pushed,
            event,
        }));
    }

    fn arrival(&mut self, at_ms: i64) -> (i64, Option<usize>) {
        let latency = match self.model {
            DeliveryModel::Perfect => PERFECT_MS,
            DeliveryModel::Realistic => {
                let usual = 120 + self.dice.wait(450).min(8_000);
                if self.dice.chance(LATE_PPM) {
                    usual + self.dice.range(MINUTE_MS, 8 * MINUTE_MS)
                } else if self.dice.chance(RETRIED_PPM) {
                    usual + self.dice.range(60 * MINUTE_MS, 70 * MINUTE_MS)
                } else {
                    usual
                }
            }
        };
        let mut received_at_ms = at_ms + latency;
        let mut held_by = None;
        for hold in &self.holds {
            if let Delay::Lag { min_ms, max_ms } = hold.how
                && (hold.from_ms..hold.until_ms).contains(&at_ms)
            {
                received_at_ms += self.dice.range(min_ms, max_ms);
                held_by = Some(hold.incident);
            }
        }
        let (received_at_ms, silenced_by) = self.silenced(received_at_ms);
        (received_at_ms, silenced_by.or(held_by))
    }

    /// Moves an arrival out of a silence, to its place in the backlog that drains afterwards.
    fn silenced(&self, received_at_ms: i64) -> (i64, Option<usize>) {
        for hold in &self.holds {
            if let Delay::Silence { drain_ms } = hold.how
                && (hold.from_ms..hold.until_ms).contains(&received_at_ms)
            {
                let length = (hold.until_ms - hold.from_ms).max(1);
                let place = (received_at_ms - hold.from_ms) * drain_ms / length;
                return (hold.until_ms + place, Some(hold.incident));
            }
        }
        (received_at_ms, None)
    }

    /// The next delivery, if it arrives no later than `limit_ms`.
    pub(crate) fn pop_until(&mut self, limit_ms: i64) -> Option<SimulatedEvent> {
        if self.waiting.peek()?.0.event.received_at_ms > limit_ms {
            return None;
        }
        self.waiting.pop().map(|Reverse(pending)| pending.event)
    }
}

/// The same change under another event id. The id stands first in the body and keeps its length.
fn twin(event: &SimulatedEvent) -> SimulatedEvent {
    let mut copy = event.clone();
    let id: String = swap_last(&event.id);
    let start = br#"{"id":""#.len();
    if let Some(place) = copy.json.get_mut(start..start + id.len()) {
        place.copy_from_slice(id.as_bytes());
    }
    copy.id = id;
    copy
}

/// An id nobody else has: the last three characters are a function of the others, and never these.
fn swap_last(id: &str) -> String {
    let mut out = id.to_owned();
    let last = out.pop();
    out.push(if last == Some('z') { '0' } else { 'z' });
    out
}

#[cfg(test)]
mod tests {
    use super::{Delay, Hold, Outbox, SimulatedEvent};
    use crate::config::DeliveryModel;
    use crate::rng::Dice;

    fn event(created: i64) -> SimulatedEvent {
        SimulatedEvent {
            received_at_ms: 0,
            created,
            id: format!("evt_1abc{created}"),
            event_type: "test",
            json: format!(r#"{{"id":"evt_1abc{created}"}}"#).into_bytes(),
        }
    }

    #[test]
    fn a_silence_lets_nothing_through_and_drains_in_order() {
        let mut outbox = Outbox::new(DeliveryModel::Perfect, Dice::new(1, 1));
        outbox.add_hold(Hold {
            incident: 3,
            from_ms: 10_000,
            until_ms: 20_000,
            how: Delay::Silence { drain_ms: 1_000 },
        });
        let held: Vec<_> = (8..22)
            .map(|s| outbox.push(s * 1_000, event(s)).is_some())
            .collect();
        assert_eq!(held.iter().filter(|h| **h).count(), 10);
        let mut last = 0;
        while let Some(event) = outbox.pop_until(i64::MAX) {
            assert!(event.received_at_ms >= last);
            assert!(
                !(10_000..20_000).contains(&event.received_at_ms),
                "{event:?}"
            );
            last = event.received_at_ms;
        }
    }

    #[test]
    fn realistic_delivery_repeats_and_twins() {
        let mut outbox = Outbox::new(DeliveryModel::Realistic, Dice::new(1, 1));
        for s in 0..20_000 {
            outbox.push(s * 1_000, event(s));
        }
        let mut ids = std::collections::BTreeMap::<String, u32>::new();
        let mut total = 0;
        while let Some(event) = outbox.pop_until(i64::MAX) {
            assert!(String::from_utf8_lossy(&event.json).contains(&event.id));
            *ids.entry(event.id).or_default() += 1;
            total += 1;
        }
        assert!((20_030..20_150).contains(&total), "{total}");
        assert!(ids.values().any(|n| *n == 2));
        assert!(ids.len() > 20_000, "some changes came under two ids");
    }
}
