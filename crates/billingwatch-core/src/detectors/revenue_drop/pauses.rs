//! Subscriptions put on hold: many at once are a loss, one now and then is none.
//!
//! Who pauses comes back, and customers do so every day; so a paused subscription is left out of the week
//! that commitments are held against. Left out at once, it would hide a program that switches a third of the
//! income off in an afternoon: nothing is due any more, and nothing is missed. So for a day it is a loss like any
//! other.

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Unit};
use crate::ids::{Key, KeyMap};
use crate::money::Currency;
use crate::time::{Span, Timestamp};

use super::mrr::Commitment;

/// How long a pause is news.
const NEWS: Span = Span::hours(24);

/// One that was put on hold of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pause {
    at: Timestamp,
    /// What it was committed to.
    pub(super) commitment: Commitment,
}

/// The pauses of the last day: as many as subscriptions that were put on hold in it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Pauses {
    fresh: KeyMap<Pause>,
}

impl Pauses {
    /// A subscription is put on hold.
    pub(super) fn begin(&mut self, key: Key, at: Timestamp, commitment: Commitment) {
        self.fresh.insert(key, Pause { at, commitment });
    }

    /// It still is.
    pub(super) fn keep(&mut self, key: Key, pause: Pause) {
        self.fresh.insert(key, pause);
    }

    /// It is so no longer: it goes on, or is gone for good.
    pub(super) fn end(&mut self, key: Key) -> Option<Pause> {
        self.fresh.swap_remove(&key)
    }

    /// Says how many of a currency are part of what is told.
    pub(super) fn describe(&self, currency: Currency, finding: &mut Finding) {
        let is_of_it = |pause: &&Pause| pause.commitment.currency == currency;
        let count = self.fresh.values().filter(is_of_it).count();
        if count > 0 {
            finding.message += &format!("; collection of {count} was paused within a day");
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let measure = Measure::new("paused_within_a_day", count, Unit::Count);
            finding.evidence.measures.push(measure);
        }
    }

    /// Gives out those that are news no longer.
    pub(super) fn take_old(&mut self, now: Timestamp) -> Vec<Pause> {
        let mut old = Vec::new();
        self.fresh.retain(|_, pause| {
            let is_fresh = now.since(pause.at) < NEWS;
            if !is_fresh {
                old.push(*pause);
            }
            is_fresh
        });
        old
    }
}

impl Pause {
    /// Whole hours since.
    pub(super) fn hours_since(&self, now: Timestamp) -> usize {
        usize::try_from(now.since(self.at).as_secs() / Span::hours(1).as_secs()).unwrap_or_default()
    }
}
