//! The engine: records in, alert changes out.

mod record;
mod snapshot;

pub use record::{Input, Record, ResolveAlert, SettingsChange};
pub use snapshot::{SNAPSHOT_VERSION, SnapshotError, decode, encode};
