//! An input as one piece of memory.
//!
//! Half a million bodies, each a piece of its own made amid the short life of a simulated world, leave
//! holes everywhere in the heap. An allocator then looks through them whenever the engine wants memory:
//! a quarter of the engine's bench was that, and no server or replay ever holds its events so.

use std::sync::Arc;

use billingwatch_core::engine::{Input, Record};
use billingwatch_core::stripe::payload::parse_event;
use billingwatch_core::time::Timestamp;

use crate::{BATCH_RECORDS, Corpus};

/// The events of a [`Corpus`], one behind the other.
#[derive(Debug)]
pub struct Packed {
    /// What the corpus is called in tables and docs.
    pub name: &'static str,
    bodies: Vec<u8>,
    events: Vec<Place>,
}

/// Where an event stands among the bodies.
#[derive(Debug)]
struct Place {
    received_at_ms: i64,
    start: usize,
    end: usize,
}

impl From<Corpus> for Packed {
    fn from(corpus: Corpus) -> Self {
        let mut bodies = Vec::with_capacity(corpus.size_bytes());
        let place = |event: billingwatch_simulator::SimulatedEvent| {
            let start = bodies.len();
            bodies.extend_from_slice(&event.json);
            Place {
                received_at_ms: event.received_at_ms,
                start,
                end: bodies.len(),
            }
        };
        let events = corpus.events.into_iter().map(place).collect();
        Self {
            name: corpus.name,
            bodies,
            events,
        }
    }
}

impl Packed {
    /// How many events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whole days from the first receipt to the last.
    #[must_use]
    pub fn days(&self) -> i64 {
        let ends = self.events.last().zip(self.events.first());
        ends.map_or(0, |(last, first)| {
            (last.received_at_ms - first.received_at_ms) / 86_400_000
        })
    }

    /// The events as the engine takes them, a batch after the other, each read when it is asked for.
    ///
    /// # Errors
    /// What could not be read, and why. The simulator writes no such body, and a bench over fewer events
    /// than it says would be no bench.
    pub fn batches(&self) -> impl Iterator<Item = Result<Vec<Record>, String>> {
        let source: Arc<str> = "default".into();
        self.events.chunks(BATCH_RECORDS).map(move |places| {
            let record = |place: &Place| self.read(place, &source);
            places.iter().map(record).collect()
        })
    }

    fn read(&self, place: &Place, source: &Arc<str>) -> Result<Record, String> {
        let received_at = Timestamp::from_millis(place.received_at_ms);
        let body = self.bodies.get(place.start..place.end).unwrap_or_default();
        let parsed = parse_event(body, received_at).map_err(|error| {
            format!(
                "{error}: {}",
                String::from_utf8_lossy(body.get(..80).unwrap_or(body))
            )
        })?;
        Ok(Record {
            received_at,
            source: source.clone(),
            is_historical: false,
            input: Input::Event(Box::new(parsed)),
        })
    }
}
