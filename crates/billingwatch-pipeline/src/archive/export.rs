//! Journal → lines.

use std::io;

use billingwatch_store::{EntryKind, StoreError};

use super::write_line;
use crate::ports::PipelineStore;

/// Rows read at a time: with bodies of a megabyte each, the most a server takes unless told
/// otherwise, a quarter of a gigabyte.
const BATCH_ROWS: i64 = 256;

/// What one read of the journal gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The last row looked at: where the next batch begins after.
    pub last_seq: i64,
    /// Lines written.
    pub events: u64,
}

/// Appends the lines of the next rows after `after`, none of them beyond `until`, to `out`; `None`
/// when there are no more. Reads in the order of the journal, each time in a query of its own: a
/// server may go on writing beside it.
///
/// # Errors
/// Whatever keeps the store from answering.
pub fn export_batch(
    store: &dyn PipelineStore,
    after: i64,
    until: i64,
    out: &mut Vec<u8>,
) -> Result<Option<Batch>, StoreError> {
    let limit = BATCH_ROWS.min(until.saturating_sub(after));
    if limit <= 0 {
        return Ok(None);
    }
    let mut rows = store.read_after(after, limit)?;
    // Where old rows were deleted, the next ones may be beyond the end.
    rows.retain(|row| row.seq <= until);
    let Some(last) = rows.last() else {
        return Ok(None);
    };
    let mut batch = Batch {
        last_seq: last.seq,
        events: 0,
    };
    for row in rows.iter().filter(|row| row.kind == EntryKind::Event) {
        write_line(out, row).map_err(|error: io::Error| StoreError::Unreadable {
            what: "a journal row".to_owned(),
            reason: error.to_string(),
        })?;
        batch.events += 1;
    }
    Ok(Some(batch))
}
