//! Engine state to bytes and back, with a version in front.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The layout of everything a snapshot holds. Any change of a state struct raises it; a snapshot of
/// another version is refused, and the engine is rebuilt from the journal. `tests/snapshot_version.rs`
/// fails where it was forgotten.
pub const SNAPSHOT_VERSION: u32 = 15;

/// Why a snapshot could not be written or taken back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It was written by another version of the engine.
    #[error(
        "the snapshot has version {found}, this engine writes {SNAPSHOT_VERSION}: rebuild from the journal"
    )]
    Version {
        /// The version found.
        found: u32,
    },
    /// It names a detector that is not registered, or lacks one that is.
    #[error("the snapshot's detectors are not this engine's: rebuild from the journal")]
    Detectors,
    /// What it learned by the hour and by the day was learned by other clocks.
    #[error("the snapshot is of another time zone: rebuild from the journal")]
    TimeZone,
    /// The bytes are broken, or the state cannot be written.
    #[error("the snapshot cannot be read or written: {0}")]
    Codec(#[from] postcard::Error),
}

/// Any serde type as compact bytes.
///
/// # Errors
/// When the type's own serialisation fails.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, SnapshotError> {
    Ok(postcard::to_stdvec(value)?)
}

/// The counterpart of [`encode`].
///
/// # Errors
/// When the bytes do not hold such a value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, SnapshotError> {
    Ok(postcard::from_bytes(bytes)?)
}
