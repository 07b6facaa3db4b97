//! What can go wrong in a step. Loops log it, wait and try again.

use billingwatch_core::engine::SnapshotError;
use billingwatch_store::StoreError;

/// Why a pump step came to nothing. Nothing is lost: the next step starts from what is committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PumpError {
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    /// The journal ends before the cursor: another or an older journal was put in place.
    #[error(
        "the journal ends at {last_seq}, before the engine's cursor {cursor}: it is not the journal this cursor belongs to"
    )]
    JournalShort {
        /// The journal's last row.
        last_seq: i64,
        /// The last row committed.
        cursor: i64,
    },
    /// A row that must be there is not.
    #[error("the journal has no row {0}, which the engine needs to be rebuilt")]
    Gap(i64),
    /// An alert could not be written as JSON.
    #[error("an alert cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The engine's state could not be written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl PumpError {
    /// Whether another process worked in this one's place.
    #[must_use]
    pub const fn is_overtaken(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::LeaseLost { .. } | StoreError::CursorMoved { .. })
        )
    }

    /// Whether the store could not be read or written.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Store(_)) && !self.is_overtaken()
    }
}

/// Why a delivery step came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliverError {
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}
