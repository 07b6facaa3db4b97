//! What a detector sees of Stripe: one event, typed where detectors need it.
//!
//! These types know nothing of JSON; [`crate::stripe::payload`] fills them from every shape that
//! any API version sends. A field that Stripe left out, or sent in a form nobody understands, is
//! `None`: no event is refused for it.

mod event_type;
mod object;

pub mod charge;
pub mod checkout_session;
pub mod credit_note;
pub mod dispute;
pub mod intent;
pub mod invoice;
pub mod refund;
pub mod subscription;

pub use event_type::{EventType, Family, FamilySet};
pub use object::{EventData, OtherObject};

use crate::ids::{AccountId, EventId};
use crate::time::Timestamp;

/// One Stripe event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `evt_…`, unique within an account and mode.
    pub id: EventId,
    /// What happened.
    pub event_type: EventType,
    /// When Stripe made the event; whole seconds, many events share one.
    pub created: Timestamp,
    /// Live money, or test mode.
    pub livemode: bool,
    /// The connected account it is about, for Connect platforms.
    pub account: Option<AccountId>,
    /// The API version its body is written in.
    pub api_version: Option<Box<str>>,
    /// The API call that caused it; `None` when Stripe's own automation did.
    pub request: Option<Request>,
    /// The object it is about.
    pub data: EventData,
}

/// The API call that caused an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `req_…`; `None` means that Stripe's automation acted.
    pub id: Option<Box<str>>,
    /// The caller's idempotency key: a prime clue for duplicate charges.
    pub idempotency_key: Option<Box<str>>,
}
