//! What the book keeps quiet because a person said so: mutes, and ends declared by hand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Finding};
use crate::time::{Span, Timestamp};

use super::book::{OPEN_ALERTS_MAX, REOPEN_SPAN};
use super::mute::{Judged, MUTES_MAX, Mute};

/// So long after a person declared an alert over, new occurrences of it are held back: a rolling
/// hour still holds what was mended, and paging again for that would teach nobody anything.
pub const RESOLVE_HOLD: Span = Span::hours(1);

/// A scope's mutes and ends by hand.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Quiet {
    /// In force, in the order they were said.
    mutes: Vec<Mute>,
    /// Incidents that a mute holds back now, by full key, and when each was last seen.
    held: BTreeMap<String, Timestamp>,
    /// Alerts that a person declared over and that their detector may still see, by full key.
    closed: BTreeMap<String, Closed>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Closed {
    reason: String,
    at: Timestamp,
    judged: Judged,
    seen_at: Timestamp,
    is_told: bool,
}

/// A finding that is not to be told.
pub(super) struct Silenced {
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// The first of its incident: worth a suppressed finding. Those after it are the same story.
    pub(super) is_first: bool,
}

impl Quiet {
    /// Puts a mute in force.
    pub(super) fn mute(&mut self, mute: Mute, now: Timestamp) -> Result<(), String> {
        if mute.until <= now {
            return Err(format!("the mute {} ended at {}", mute.id, mute.until));
        }
        self.mutes.retain(|one| one.id != mute.id);
        if self.mutes.len() >= MUTES_MAX {
            return Err(format!("more than {MUTES_MAX} mutes in force"));
        }
        self.mutes.push(mute);
        Ok(())
    }

    /// Ends a mute; false when none with this id is in force.
    pub(super) fn lift(&mut self, id: &str) -> bool {
        let count = self.mutes.len();
        self.mutes.retain(|mute| mute.id != id);
        self.mutes.len() < count
    }

    /// Notes that a person declared an alert over.
    pub(super) fn close(&mut self, alert: &Alert, reason: &str, now: Timestamp) {
        if self.closed.len() >= OPEN_ALERTS_MAX {
            return;
        }
        let closed = Closed {
            reason: reason.to_owned(),
            at: now,
            judged: Judged::of(alert),
            seen_at: now,
            is_told: false,
        };
        self.closed.insert(alert.key.clone(), closed);
    }

    /// The detector itself saw the incident end: what begins after this is news.
    pub(super) fn clear(&mut self, key: &str) {
        self.held.remove(key);
        self.closed.remove(key);
    }

    /// Whether a finding under a key with no open alert is to be kept quiet, and in which words.
    pub(super) fn silence(
        &mut self,
        detector: &str,
        key: &str,
        finding: &Finding,
        now: Timestamp,
    ) -> Option<Silenced> {
        if self.mutes.is_empty() && self.closed.is_empty() {
            return None;
        }
        let covering = self
            .mutes
            .iter()
            .find(|mute| mute.covers(detector, key, finding, now));
        if let Some(mute) = covering {
            let message = format!(
                "muted by {} until {}: {}",
                mute.by, mute.until, finding.message
            );
            let is_known = self.held.contains_key(key);
            // Beyond the bound each finding is told as if it were the first.
            if is_known || self.held.len() < OPEN_ALERTS_MAX {
                self.held.insert(key.to_owned(), now);
            }
            return Some(Silenced {
                reason: "muted",
                message,
                is_first: !is_known,
            });
        }
        self.held.remove(key);
        let closed = self.closed.get_mut(key)?;
        // What the detector itself calls news is none of what was declared over.
        let is_held =
            !finding.is_news && (finding.occurrences == 0 || now.since(closed.at) < RESOLVE_HOLD);
        let (amount, currency) = (finding.amount_at_stake, finding.currency);
        if !is_held
            || closed
                .judged
                .is_exceeded(finding.severity, amount, currency)
        {
            self.closed.remove(key);
            return None;
        }
        closed.seen_at = now;
        Some(Silenced {
            reason: "resolved_by_hand",
            message: format!("{}; still seen: {}", closed.reason, finding.message),
            is_first: !std::mem::replace(&mut closed.is_told, true),
        })
    }

    /// Forgets mutes that ended, and incidents not seen for a while.
    pub(super) fn advance_to(&mut self, now: Timestamp) {
        self.mutes.retain(|mute| now < mute.until);
        if !self.held.is_empty() {
            self.held
                .retain(|_, seen_at| now.since(*seen_at) < REOPEN_SPAN);
        }
        if !self.closed.is_empty() {
            self.closed
                .retain(|_, closed| now.since(closed.seen_at) < REOPEN_SPAN);
        }
    }
}
