//! Which payments were counted before their charges came.

use serde::{Deserialize, Serialize};

use crate::ids::Key;
use crate::ledger::Generations;
use crate::time::{Span, Timestamp};

/// Payments that intents announced before their charges did, and how long the charges are awaited: Stripe delivers for three
/// days. This many of each half are remembered.
const HALF_LIFE: Span = Span::days(3);
/// See [`HALF_LIFE`].
const HALF_MAX: usize = 20_000;

/// Charges whose payment an intent told first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Counted(Generations<()>);

impl Default for Counted {
    fn default() -> Self {
        Self(Generations::new(HALF_LIFE, HALF_MAX))
    }
}

impl Counted {
    pub(super) fn contains(&self, charge: Key) -> bool {
        self.0.contains(charge)
    }

    pub(super) fn insert(&mut self, charge: Key) {
        self.0.insert(charge, ());
    }

    pub(super) fn advance_to(&mut self, now: Timestamp) {
        self.0.advance_to(now);
    }
}
