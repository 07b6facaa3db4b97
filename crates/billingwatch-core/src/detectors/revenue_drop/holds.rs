//! Subscriptions put on hold: many at once are a loss, one now and then is none.
//!
//! Who pauses comes back, and customers do so every day; so a paused subscription is left out of the week
//! that commitments are held against. Left out at once, it would hide a program that switches a third of the
//! income off in an afternoon: nothing is due any more, and nothing is missed. So for a day it is a loss like any
//! other. The same holds for who paid and is given a trial again (`trial_end` moved ahead, as Stripe's API lets
//! any program do), and for who was charged and is sent invoices now: that money waits for the customer's hand.

use serde::{Deserialize, Serialize};

use crate::alert::{Finding, Measure, Unit};
use crate::ids::{Key, KeyMap};
use crate::money::Currency;
use crate::time::{Span, Timestamp};

use super::commitment::Commitment;

/// How long it is news.
const NEWS: Span = Span::hours(24);

/// How a subscription that paid is put on hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Way {
    /// Its collection is paused.
    Paused,
    /// It is in a trial again.
    Trial,
    /// It is sent invoices, and was charged automatically.
    Sent,
}

impl Way {
    const ALL: [Self; 3] = [Self::Paused, Self::Trial, Self::Sent];

    /// The measure that counts them, and what is said of so many.
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Paused => (
                "paused_within_a_day",
                "collection of",
                "was paused within a day",
            ),
            Self::Trial => (
                "put_on_trial_within_a_day",
                "of those who paid",
                "were put on trial within a day",
            ),
            Self::Sent => (
                "sent_invoices_within_a_day",
                "of those who were charged automatically",
                "began to be sent invoices within a day",
            ),
        }
    }
}

/// One that was put on hold of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hold {
    at: Timestamp,
    /// What it was committed to.
    pub(super) commitment: Commitment,
    pub(super) way: Way,
}

/// The holds of the last day: as many as subscriptions that were put on hold in it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Holds {
    fresh: KeyMap<Hold>,
}

impl Holds {
    /// A subscription is put on hold.
    pub(super) fn begin(&mut self, key: Key, at: Timestamp, commitment: Commitment, way: Way) {
        let hold = Hold {
            at,
            commitment,
            way,
        };
        self.fresh.insert(key, hold);
    }

    /// It still is.
    pub(super) fn keep(&mut self, key: Key, hold: Hold) {
        self.fresh.insert(key, hold);
    }

    /// It is so no longer: it goes on, or is gone for good.
    pub(super) fn end(&mut self, key: Key) -> Option<Hold> {
        self.fresh.swap_remove(&key)
    }

    /// Says how many of a currency are part of what is told.
    pub(super) fn describe(&self, currency: Currency, finding: &mut Finding) {
        let of_it = || {
            let holds = self.fresh.values();
            holds.filter(|hold| hold.commitment.currency == currency)
        };
        for way in Way::ALL {
            let count = of_it().filter(|hold| hold.way == way).count();
            if count == 0 {
                continue;
            }
            let (name, before, after) = way.words();
            finding.message += &match way {
                Way::Paused => format!("; {before} {count} {after}"),
                Way::Trial | Way::Sent => format!("; {count} {before} {after}"),
            };
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let measure = Measure::new(name, count, Unit::Count);
            finding.evidence.measures.push(measure);
        }
    }

    /// Gives out those that are news no longer.
    pub(super) fn take_old(&mut self, now: Timestamp) -> Vec<Hold> {
        let mut old = Vec::new();
        self.fresh.retain(|_, hold| {
            let is_fresh = now.since(hold.at) < NEWS;
            if !is_fresh {
                old.push(*hold);
            }
            is_fresh
        });
        old
    }
}

impl Hold {
    /// Whole hours since.
    pub(super) fn hours_since(&self, now: Timestamp) -> usize {
        usize::try_from(now.since(self.at).as_secs() / Span::hours(1).as_secs()).unwrap_or_default()
    }
}
