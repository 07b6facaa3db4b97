#![doc = include_str!("../README.md")]

mod checkpoint;
mod connection;
mod disk;
mod error;
mod migrate;
mod schema;
mod store;
mod text;
mod url;

pub mod alerts;
pub mod backup;
pub mod channels;
pub mod cursors;
pub mod journal;
pub mod leases;
pub mod mutes;
pub mod outbox;
pub mod page;
pub mod retention;
pub mod settings;
mod spool;
pub mod step;
pub mod suppressed;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tokens;

pub use alerts::{
    AlertCount, AlertFilter, AlertRow, Happened, HistoryEntry, Outcome, Verdict, VerdictCount,
};
pub use backup::Backup;
pub use channels::ChannelRow;
pub use cursors::{Cursor, Snapshot};
pub use disk::DiskSpace;
pub use error::StoreError;
pub use journal::{
    Appended, EntryKind, EventFilter, EventRow, Head, JournalEntry, NewEntry, PackedBody,
};
pub use leases::Lease;
pub use mutes::{MuteFilter, MuteRow};
pub use outbox::{Attempt, AttemptOutcome, Delivery, DeliveryRow, DeliveryState, NewDelivery};
pub use page::{Page, PageOf};
pub use retention::{Keep, SourceUsage};
pub use settings::SettingsOverride;
pub use spool::{Spool, SpoolOptions, SpoolUsage, Spooled};
pub use step::Step;
pub use store::Store;
pub use suppressed::{SuppressedCount, SuppressedFilter};
pub use tokens::{TokenRole, TokenRow, token_hash};
pub use url::StoreOptions;
