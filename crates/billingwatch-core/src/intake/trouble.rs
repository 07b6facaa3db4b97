//! What is wrong with the arrivals, and from when to when.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::Family;
use crate::time::Timestamp;

use super::rhythm::MINUTE;

/// A backlog that brought this share of the busy minutes that were expected is taken for whole.
const RECOVERED_MIN: f64 = 0.3;

/// From this share on nothing of it is missing: what is expected is itself an estimate.
const WHOLE_MIN: f64 = 0.8;

/// What is wrong with the arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TroubleKind {
    /// Nothing arrived at all, beyond chance: Stripe, the way, or we ourselves were down.
    Silence,
    /// Nothing of one family arrived, while other events did.
    FamilySilence(Family),
    /// First deliveries arrive late.
    Lag,
}

/// A stretch of time whose events are missing or late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// What is wrong.
    pub kind: TroubleKind,
    /// Events made from here on may be missing.
    pub since: Timestamp,
    /// When events arrived again; the backlog may be on its way until some time after.
    pub back_at: Option<Timestamp>,
    /// When deliveries were as usual again.
    pub ended_at: Option<Timestamp>,
    /// Busy minutes that were to be expected in it, and those that came in the end.
    pub(super) expected: f64,
    arrived: f64,
    newest_made: Timestamp,
    pub(super) found_at: Timestamp,
}

impl Trouble {
    pub(super) const fn new(kind: TroubleKind, since: Timestamp, found_at: Timestamp) -> Self {
        Self {
            kind,
            since,
            found_at,
            back_at: None,
            ended_at: None,
            expected: 0.0,
            arrived: 0.0,
            newest_made: Timestamp::EPOCH,
        }
    }

    /// The word for suppressed findings: `events_missing` or `events_late`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self.kind {
            TroubleKind::Silence | TroubleKind::FamilySilence(_) => "events_missing",
            TroubleKind::Lag => "events_late",
        }
    }

    /// Whether its events are missing for good, as far as is known: it was a silence, and no
    /// backlog worth the name has arrived.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.kind != TroubleKind::Lag && self.arrived < self.expected * RECOVERED_MIN
    }

    /// Whether a silence's backlog brought all that it held back.
    pub(super) fn is_whole(&self) -> bool {
        self.arrived >= self.expected * WHOLE_MIN
    }

    /// Whether nothing of it has ever come.
    pub(super) fn is_empty(&self) -> bool {
        self.arrived <= 0.0
    }

    /// Busy minutes that a silence had to have, by what is usual.
    pub(crate) fn expected_minutes(&self) -> i64 {
        crate::stats::rounded(self.expected)
    }

    /// Busy minutes of it that its backlog brought.
    pub(crate) fn arrived_minutes(&self) -> i64 {
        crate::stats::rounded(self.arrived)
    }

    /// Whether events of this family are affected.
    #[must_use]
    pub fn affects(&self, family: Family) -> bool {
        match self.kind {
            TroubleKind::FamilySilence(silent) => silent == family,
            TroubleKind::Silence | TroubleKind::Lag => true,
        }
    }

    /// Whether an event made then would have been sent in it.
    pub(super) fn covers(&self, made_at: Timestamp) -> bool {
        self.since - MINUTE <= made_at && self.back_at.is_none_or(|back_at| made_at <= back_at)
    }

    pub(super) fn recover(&mut self, made_at: Timestamp) {
        let minute = made_at.floor_to(MINUTE);
        if minute != self.newest_made {
            self.newest_made = minute;
            self.arrived += 1.0;
        }
    }
}

impl fmt::Display for Trouble {
    /// Such as `no events arrived from 2024-03-04T10:00:00Z to 2024-03-04T13:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TroubleKind::Silence => f.write_str("no events arrived")?,
            TroubleKind::FamilySilence(family) => {
                write!(f, "no {}.* events arrived", family.prefix())?;
            }
            TroubleKind::Lag => f.write_str("events arrived late")?,
        }
        match self.back_at.or(self.ended_at) {
            Some(until) => write!(f, " from {} to {until}", self.since),
            None => write!(f, " since {}", self.since),
        }
    }
}
