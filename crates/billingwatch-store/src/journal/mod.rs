//! The journal: all inputs in arrival order, each with a sequence number and the time it came in.
//!
//! `journal_head` is one row. An appender's transaction first locks it, which keeps every other
//! appender waiting until this one commits; then it takes the next sequence numbers from it. So
//! numbers are in commit order and without gaps, and the time of receipt never goes back: a reader
//! that has read up to a number can never later find a lower one, on either backend.

mod append;
pub(crate) mod codec;
mod list;
mod postgresql;
mod read;
mod sqlite;

use billingwatch_core::time::Timestamp;

pub use append::APPEND_MAX;
pub use codec::PackedBody;
pub use list::EventFilter;
pub use read::READ_MAX;

use crate::error::{Result, StoreError};

/// What a journal entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Stripe sent an event.
    Event,
    /// Somebody changed a detector's settings; the body is a `SettingsChange` as JSON.
    Settings,
    /// Somebody declared an alert over; the body is a `ResolveAlert` as JSON.
    Resolve,
    /// Somebody muted something; the body is a `Mute` as JSON.
    Mute,
    /// Somebody lifted a mute; the body is a `LiftMute` as JSON.
    Lift,
    /// The watch tries itself: see [`NewEntry::canary`]. The body is empty.
    Canary,
}

impl EntryKind {
    const ALL: [Self; 6] = [
        Self::Event,
        Self::Settings,
        Self::Resolve,
        Self::Mute,
        Self::Lift,
        Self::Canary,
    ];

    /// Its name, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Settings => "settings",
            Self::Resolve => "resolve",
            Self::Mute => "mute",
            Self::Lift => "lift",
            Self::Canary => "canary",
        }
    }

    fn from_stored(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| StoreError::unreadable("a journal entry's kind", text))
    }
}

/// What is to be appended.
///
/// Texts longer than 255 bytes are kept cut, with a hash; the body is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// What it is.
    pub kind: EntryKind,
    /// The configured Stripe endpoint it came through.
    pub source: String,
    /// Stripe's id. An event must have one; nothing else may.
    pub event_id: Option<String>,
    /// Stripe's event type, or the kind's name.
    pub event_type: String,
    /// The object the event is about.
    pub object_id: Option<String>,
    /// The customer it is about.
    pub customer_id: Option<String>,
    /// When Stripe says it was created, Unix seconds.
    pub created_at: Option<i64>,
    /// The connected account.
    pub account: Option<String>,
    /// Live money, or test mode.
    pub livemode: bool,
    /// The API version the body is written in.
    pub api_version: Option<String>,
    /// From a backfill or import.
    pub is_historical: bool,
    /// When it was received, for entries that come later than that: historical ones, and those that
    /// waited in a [`Spool`](crate::Spool). Kept between the journal's own time, as receive times
    /// never decrease, and the present. `None` is now.
    pub received_at: Option<Timestamp>,
    /// The input byte for byte as it came.
    pub body: Vec<u8>,
    /// The body as it is stored, where somebody has made it ([`NewEntry::packed`]); else the append
    /// does.
    pub packed: Option<PackedBody>,
}

/// What became of one entry of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where it stands in the journal; for a duplicate, where its first arrival stands.
    pub seq: i64,
    /// When the journal says that it was received; for a duplicate, the journal's time now.
    pub received_at: Timestamp,
    /// Whether it was there already (or earlier in the same batch): nothing was written.
    pub is_duplicate: bool,
}

/// The journal's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last sequence number given out; 0 for an empty journal.
    pub last_seq: i64,
    /// The journal's time: no entry appended from now on is received before it.
    pub at: Timestamp,
}

/// One entry, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Where it stands.
    pub seq: i64,
    /// What it is.
    pub kind: EntryKind,
    /// The configured Stripe endpoint it came through.
    pub source: String,
    /// Stripe's id, for events.
    pub event_id: Option<String>,
    /// Stripe's event type, or the kind's name.
    pub event_type: String,
    /// The object the event is about.
    pub object_id: Option<String>,
    /// The customer it is about.
    pub customer_id: Option<String>,
    /// When Stripe says it was created, Unix seconds.
    pub created_at: Option<i64>,
    /// When it was received.
    pub received_at: Timestamp,
    /// The connected account.
    pub account: Option<String>,
    /// Live money, or test mode.
    pub livemode: bool,
    /// The API version the body is written in.
    pub api_version: Option<String>,
    /// From a backfill or import.
    pub is_historical: bool,
    /// The input byte for byte as it came.
    pub body: Vec<u8>,
}

/// One event of a list: everything but the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Where it stands in the journal.
    pub seq: i64,
    /// The configured Stripe endpoint it came through.
    pub source: String,
    /// Stripe's id.
    pub event_id: String,
    /// Stripe's event type.
    pub event_type: String,
    /// The object it is about.
    pub object_id: Option<String>,
    /// The customer it is about.
    pub customer_id: Option<String>,
    /// When Stripe says it was created, Unix seconds.
    pub created_at: Option<i64>,
    /// When it was received.
    pub received_at: Timestamp,
    /// The connected account.
    pub account: Option<String>,
    /// Live money, or test mode.
    pub livemode: bool,
    /// The API version the body is written in.
    pub api_version: Option<String>,
    /// From a backfill or import.
    pub is_historical: bool,
}
