//! One file a resource: its query and view structs, then its handlers.

pub(crate) mod alerts;
pub(crate) mod detectors;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod mutes;
pub(crate) mod suppressed;
pub(crate) mod webhooks;
