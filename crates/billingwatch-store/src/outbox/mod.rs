//! Whom to tell what: one row for each channel and change, kept until it is settled.
//!
//! Changes of one alert reach one channel in order: a later one is not leased while an earlier one
//! is unsettled. A lease is nothing but a due time in the future, so that a process that dies while
//! sending gives its rows back by itself; the receiver may then hear the same thing twice, with the
//! same key.

mod queue;
mod rows;

use billingwatch_core::time::Timestamp;

pub(crate) use queue::enqueue;

use crate::error::{Result, StoreError};

/// The most rows one lease takes, whatever is asked for.
pub const LEASE_MAX: i64 = 1000;

/// Something to tell a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// The channel's name.
    pub channel: String,
    /// The alert.
    pub alert_id: String,
    /// Which of its changes.
    pub revision: u32,
    /// The `AlertChange` as JSON.
    pub body: String,
}

/// A delivery that the caller holds a lease on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its row.
    pub id: i64,
    /// The channel's name.
    pub channel: String,
    /// The alert.
    pub alert_id: String,
    /// Which of its changes.
    pub revision: u32,
    /// The number of the attempt that this lease is for, from 1.
    pub attempt: u32,
    /// When it was put into the outbox (engine time).
    pub created_at: Timestamp,
    /// The `AlertChange` as JSON.
    pub body: String,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The receiver has it.
    Delivered,
    /// Not this time.
    Retry,
    /// Not ever.
    GaveUp,
}

impl AttemptOutcome {
    /// Its name, as stored and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry => "retry",
            Self::GaveUp => "gave_up",
        }
    }

    fn from_stored(text: &str) -> Result<Self> {
        [Self::Delivered, Self::Retry, Self::GaveUp]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or_else(|| StoreError::unreadable("an attempt's outcome", text))
    }
}

/// One attempt to tell one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number: the [`Delivery::attempt`] of the lease it was made under.
    pub number: u32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, milliseconds.
    pub duration_ms: i64,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What the receiver's protocol said, such as 200 or 550.
    pub status_code: Option<u16>,
    /// In words.
    pub detail: String,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be tried, or being tried.
    Pending,
    /// The receiver has it.
    Delivered,
    /// It will not be tried again.
    GaveUp,
}

impl DeliveryState {
    /// Its name, as stored and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::GaveUp => "gave_up",
        }
    }

    fn from_stored(text: &str) -> Result<Self> {
        [Self::Pending, Self::Delivered, Self::GaveUp]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| StoreError::unreadable("a delivery's state", text))
    }
}

/// A delivery with all its attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its row.
    pub id: i64,
    /// The channel's name.
    pub channel: String,
    /// Which of the alert's changes.
    pub revision: u32,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it was put into the outbox (engine time).
    pub created_at: Timestamp,
    /// When it will be tried next; `None` once settled, or for one that is due at once.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was delivered or given up.
    pub settled_at: Option<Timestamp>,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
}
