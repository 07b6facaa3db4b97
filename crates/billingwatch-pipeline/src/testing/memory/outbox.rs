//! Deliveries: queued, leased, settled.

use billingwatch_core::time::{Span, Timestamp};
use billingwatch_store::outbox::LEASE_MAX;
use billingwatch_store::{
    Attempt, AttemptOutcome, Delivery, DeliveryRow, DeliveryState, NewDelivery,
};

use super::Tables;

/// A delivery as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Row {
    id: i64,
    channel: String,
    pub(super) alert_id: String,
    revision: u32,
    body: String,
    state: DeliveryState,
    /// Leases so far.
    attempts: u32,
    pub(super) attempts_made: Vec<Attempt>,
    pub(super) created_at: Timestamp,
    pub(super) due_at: Timestamp,
    settled_at: Option<Timestamp>,
}

impl Row {
    pub(super) fn settle(&mut self, state: DeliveryState, at: Timestamp) {
        self.state = state;
        self.settled_at = Some(at);
    }

    pub(super) fn listed(&self) -> DeliveryRow {
        let is_waiting = self.settled_at.is_none() && self.due_at > Timestamp::EPOCH;
        DeliveryRow {
            id: self.id,
            channel: self.channel.clone(),
            revision: self.revision,
            state: self.state,
            created_at: self.created_at,
            next_attempt_at: is_waiting.then_some(self.due_at),
            settled_at: self.settled_at,
            attempts: self.attempts_made.clone(),
        }
    }
}

impl Tables {
    /// Due at the beginning of time, so that a clock set back keeps nobody waiting.
    pub(super) fn enqueue(&mut self, new: &[NewDelivery], created_at: Timestamp) {
        for delivery in new {
            let key = (
                delivery.alert_id.clone(),
                delivery.channel.clone(),
                delivery.revision,
            );
            if self.delivery_keys.contains_key(&key) {
                continue;
            }
            self.last_delivery_id += 1;
            let id = self.last_delivery_id;
            self.delivery_keys.insert(key, id);
            self.deliveries.insert(
                id,
                Row {
                    id,
                    channel: delivery.channel.clone(),
                    alert_id: delivery.alert_id.clone(),
                    revision: delivery.revision,
                    body: delivery.body.clone(),
                    state: DeliveryState::Pending,
                    attempts: 0,
                    attempts_made: Vec::new(),
                    created_at,
                    due_at: Timestamp::EPOCH,
                    settled_at: None,
                },
            );
        }
    }

    pub(super) fn channels_told(&self, alert_id: &str) -> Vec<String> {
        let of_alert = self.deliveries.values();
        of_alert
            .filter(|row| row.alert_id == alert_id)
            .map(|row| row.channel.clone())
            .collect()
    }

    fn is_blocked(&self, row: &Row) -> bool {
        self.deliveries.values().any(|earlier| {
            earlier.alert_id == row.alert_id
                && earlier.channel == row.channel
                && earlier.revision < row.revision
                && earlier.settled_at.is_none()
        })
    }

    /// What waits for a channel and is not behind an earlier change of its alert.
    fn waiting(&self, channel: &str, is_ordered: bool) -> impl Iterator<Item = &Row> {
        self.deliveries
            .values()
            .filter(move |row| row.channel == channel && row.settled_at.is_none())
            .filter(move |row| !is_ordered || !self.is_blocked(row))
    }

    pub(super) fn lease(
        &mut self,
        channel: &str,
        now: Timestamp,
        lease: Span,
        limit: i64,
        is_ordered: bool,
    ) -> Vec<Delivery> {
        if self.disabled.contains_key(channel) {
            return Vec::new();
        }
        let mut due: Vec<(Timestamp, i64)> = self
            .waiting(channel, is_ordered)
            .filter(|row| row.due_at <= now)
            .map(|row| (row.due_at, row.id))
            .collect();
        due.sort_unstable();
        due.truncate(usize::try_from(limit.clamp(0, LEASE_MAX)).unwrap_or(0));
        let mut leased = Vec::with_capacity(due.len());
        for (_, id) in due {
            if let Some(row) = self.deliveries.get_mut(&id) {
                row.due_at = now + lease;
                row.attempts += 1;
                leased.push(Delivery {
                    id,
                    channel: row.channel.clone(),
                    alert_id: row.alert_id.clone(),
                    revision: row.revision,
                    attempt: row.attempts,
                    created_at: row.created_at,
                    body: row.body.clone(),
                });
            }
        }
        leased
    }

    pub(super) fn settle(&mut self, id: i64, attempt: &Attempt, next: Option<Timestamp>) {
        let Some(row) = self.deliveries.get_mut(&id) else {
            return;
        };
        row.attempts_made.push(attempt.clone());
        if row.settled_at.is_some() {
            return;
        }
        let ended_at = attempt.at + Span::millis(attempt.duration_ms);
        match (attempt.outcome, next) {
            // Of a lease that ran out: the next attempt is under way.
            (AttemptOutcome::Retry, Some(_)) if row.attempts != attempt.number => {}
            (AttemptOutcome::Retry, Some(next)) => row.due_at = next,
            (AttemptOutcome::Delivered, _) => row.settle(DeliveryState::Delivered, ended_at),
            (AttemptOutcome::GaveUp, _) | (AttemptOutcome::Retry, None) => {
                row.settle(DeliveryState::GaveUp, ended_at);
            }
        }
    }

    pub(super) fn next_due_at(&self, channel: &str) -> Option<Timestamp> {
        if self.disabled.contains_key(channel) {
            return None;
        }
        self.waiting(channel, true).map(|row| row.due_at).min()
    }
}
