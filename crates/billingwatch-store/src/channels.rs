//! Channels as the outbox sees them: switched off or not, and how much is waiting.

use std::collections::BTreeMap;

use billingwatch_core::time::Timestamp;
use diesel::dsl::{count_star, min};
use diesel::prelude::*;

use crate::alerts::Outcome;
use crate::connection::both;
use crate::error::{Result, instant};
use crate::schema::{channels, deliveries};
use crate::store::Store;
use crate::text;

/// One channel. Only those appear that were ever told something or switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRow {
    /// Its name.
    pub name: String,
    /// When it was switched off, if it is.
    pub disabled_at: Option<Timestamp>,
    /// Why.
    pub disabled_reason: Option<String>,
    /// Deliveries that are not settled. Those of a channel that is switched off wait until it is
    /// switched on again.
    pub pending: i64,
    /// When the oldest of them was put into the outbox.
    pub oldest_pending_at: Option<Timestamp>,
    /// Deliveries that arrived.
    pub delivered: i64,
    /// Deliveries that were given up.
    pub gave_up: i64,
}

impl ChannelRow {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            disabled_at: None,
            disabled_reason: None,
            pending: 0,
            oldest_pending_at: None,
            delivered: 0,
            gave_up: 0,
        }
    }
}

impl Store {
    /// Switches a channel off, for a receiver that said it is gone for good. What it was to be told
    /// waits.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from committing.
    pub fn disable_channel(&self, name: &str, reason: &str, at: Timestamp) -> Result<Outcome> {
        let reason = text::note(reason);
        self.write(|conn| {
            let known: Option<Option<i64>> = channels::table
                .find(name)
                .select(channels::disabled_at_ms)
                .first(conn)
                .optional()?;
            if known.flatten().is_some() {
                return Ok(Outcome::AlreadySo);
            }
            let state = (
                channels::disabled_at_ms.eq(at.as_millis()),
                channels::disabled_reason.eq(reason.as_ref()),
            );
            both!(conn, c => diesel::insert_into(channels::table)
                .values((channels::name.eq(name), state))
                .on_conflict(channels::name)
                .do_update()
                .set(state)
                .execute(c))?;
            Ok(Outcome::Done)
        })
    }

    /// Switches a channel on again; [`Outcome::AlreadySo`] for one that is not off.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from committing.
    pub fn enable_channel(&self, name: &str) -> Result<Outcome> {
        self.write(|conn| {
            let changed = diesel::update(
                channels::table
                    .find(name)
                    .filter(channels::disabled_at_ms.is_not_null()),
            )
            .set((
                channels::disabled_at_ms.eq(None::<i64>),
                channels::disabled_reason.eq(None::<String>),
            ))
            .execute(conn)?;
            Ok(if changed == 0 {
                Outcome::AlreadySo
            } else {
                Outcome::Done
            })
        })
    }

    /// Every channel that was ever told something or switched off, by name.
    ///
    /// # Errors
    ///
    /// Whatever keeps the database from answering.
    pub fn channels(&self) -> Result<Vec<ChannelRow>> {
        self.read(|conn| {
            let states: Vec<(String, Option<i64>, Option<String>)> = channels::table.load(conn)?;
            let counts: Vec<(String, String, i64, Option<i64>)> = deliveries::table
                .group_by((deliveries::channel, deliveries::state))
                .select((
                    deliveries::channel,
                    deliveries::state,
                    count_star(),
                    min(deliveries::created_at_ms),
                ))
                .load(conn)?;
            let mut found: BTreeMap<String, ChannelRow> = BTreeMap::new();
            for (name, disabled_at_ms, disabled_reason) in states {
                let row = ChannelRow {
                    disabled_at: disabled_at_ms.map(instant),
                    disabled_reason,
                    ..ChannelRow::new(&name)
                };
                found.insert(name, row);
            }
            for (name, state, count, oldest_at_ms) in counts {
                let row = found
                    .entry(name)
                    .or_insert_with_key(|name| ChannelRow::new(name));
                match state.as_str() {
                    "delivered" => row.delivered = count,
                    "gave_up" => row.gave_up = count,
                    _ => {
                        row.pending = count;
                        row.oldest_pending_at = oldest_at_ms.map(instant);
                    }
                }
            }
            Ok(found.into_values().collect())
        })
    }
}
