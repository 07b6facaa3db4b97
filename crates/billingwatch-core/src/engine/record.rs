//! What goes into the engine: journal records, in order of their sequence numbers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::detector::SettingValues;
use crate::event::Event;
use crate::time::Timestamp;

use super::mute::{LiftMute, Mute};

/// One entry of the journal.
#[derive(Clone, Debug)]
pub struct Record {
    /// When we received it. Never decreases from record to record in a journal; where it does (a
    /// file put together by hand) engine time stands still rather than going back.
    pub received_at: Timestamp,
    /// The configured Stripe endpoint it came through.
    pub source: Arc<str>,
    /// From a backfill or import: teaches, and never alerts.
    pub is_historical: bool,
    /// What it is.
    pub input: Input,
}

/// What a journal entry says.
#[derive(Clone, Debug)]
pub enum Input {
    /// Stripe sent an event.
    Event(Box<Event>),
    /// Somebody changed a detector's settings.
    Settings(SettingsChange),
    /// Somebody declared an alert over.
    Resolve(ResolveAlert),
    /// Somebody wants to hear no more of something.
    Mute(Mute),
    /// Somebody wants to hear of it again.
    Lift(LiftMute),
    /// The watch tries itself: nothing but time passes.
    Canary,
}

/// Overrides for one detector, for one source or for all; replaces those set before in that place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    /// The detector.
    pub detector: String,
    /// The source it is for; `None` for all.
    #[serde(default)]
    pub source: Option<String>,
    /// Whether it runs at all; `None` leaves that as it is.
    #[serde(default)]
    pub is_enabled: Option<bool>,
    /// The overrides.
    #[serde(default)]
    pub values: SettingValues,
}

/// A person's word that an alert is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolveAlert {
    /// The alert's id.
    pub alert_id: String,
    /// Why, in words.
    pub reason: String,
}
