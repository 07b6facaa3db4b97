//! The journal's newest rows in memory, on their way from the writer to the pump.
//!
//! What the writer has just committed the pump wants a moment later, byte for byte: to read it back
//! and unpack it would take a third of the pump's time. The store stays the truth. A row is left here
//! only **after** its commit; the pump takes it only if it is the very next one after its cursor,
//! and reads the store wherever there is a gap: rows of another process, of the spool, of a commit
//! that was reported as failed, of before the start. Nothing is lost with what is lost here, so all
//! of it is whenever the store has failed, and whenever an engine is loaded: a store that came back
//! may have forgotten (a replica that took over), and then says so with other rows.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use billingwatch_core::time::Timestamp;
use billingwatch_store::{Appended, NewEntry};

use crate::planted::{Planted, is_planted};
use crate::record::Row;

/// Most rows kept: some times what gathers between two steps of the pump.
const ROWS_MAX: usize = 2048;

/// Most bytes of the batches that they are of.
const SIZE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The longest name of a source that the store keeps as it is; one with a NUL it changes too.
const SOURCE_BYTES_MAX: usize = 255;

/// Rows that are committed and not yet seen by the pump.
#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    rows: VecDeque<TailRow>,
    size_bytes: usize,
}

/// One row: an entry of the batch that it was committed with.
#[derive(Clone, Debug)]
pub(crate) struct TailRow {
    seq: i64,
    received_at: Timestamp,
    batch: Arc<[NewEntry]>,
    index: usize,
    /// What is given back with it: of the last row of a batch that is kept, all of the batch.
    size_bytes: usize,
}

impl TailRow {
    /// The row as the engine reads it; `None` never happens.
    pub(crate) fn row(&self) -> Option<Row<'_>> {
        let entry = self.batch.get(self.index)?;
        Some(Row {
            seq: self.seq,
            kind: entry.kind,
            source: &entry.source,
            received_at: self.received_at,
            is_historical: entry.is_historical,
            body: &entry.body,
        })
    }
}

impl Tail {
    /// Keeps what is new of a batch that is committed, so far as there is room: the oldest rows go
    /// first.
    pub(crate) fn keep(&self, batch: &Arc<[NewEntry]>, appended: &[Appended]) {
        let new = batch.iter().zip(appended).enumerate();
        let mut rows: Vec<TailRow> = new
            .filter(|(_, (entry, appended))| !appended.is_duplicate && is_as_stored(entry))
            .map(|(index, (_, appended))| TailRow {
                seq: appended.seq,
                received_at: appended.received_at,
                batch: Arc::clone(batch),
                index,
                size_bytes: 0,
            })
            .collect();
        let Some(last) = rows.last_mut() else {
            return;
        };
        last.size_bytes = batch.iter().map(size_bytes).sum();
        let mut kept = self.lock();
        kept.size_bytes = kept.size_bytes.saturating_add(last.size_bytes);
        kept.rows.extend(rows);
        while kept.rows.len() > ROWS_MAX || kept.size_bytes > SIZE_BYTES_MAX {
            if kept.pop().is_none() {
                break;
            }
        }
    }

    /// Takes the rows that follow this one, at most so many; forgets those before. None where one is
    /// missing between them: the store has that one too, and so all in one go.
    pub(crate) fn take_after(&self, seq: i64, limit: usize) -> Vec<TailRow> {
        let mut kept = self.lock();
        while kept.rows.front().is_some_and(|row| row.seq <= seq) {
            kept.pop();
        }
        let len = kept.rows.len().min(limit);
        let mut places = (seq.saturating_add(1)..).zip(kept.rows.iter().take(len));
        let is_whole = places.all(|(place, row)| row.seq == place);
        if !is_whole && !is_planted(Planted::TailPassesOverGaps) {
            return Vec::new();
        }
        (0..len).map_while(|_| kept.pop()).collect()
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        *self.lock() = Kept::default();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn pop(&mut self) -> Option<TailRow> {
        let row = self.rows.pop_front()?;
        self.size_bytes = self.size_bytes.saturating_sub(row.size_bytes);
        Some(row)
    }
}

/// Whether what the engine sees of it is the same here and in the store.
fn is_as_stored(entry: &NewEntry) -> bool {
    entry.source.len() <= SOURCE_BYTES_MAX && !entry.source.contains('\0')
}

fn size_bytes(entry: &NewEntry) -> usize {
    let unused = entry.body.capacity().saturating_sub(entry.body.len());
    size_of::<NewEntry>()
        .saturating_add(entry.size_bytes())
        .saturating_add(unused)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use billingwatch_store::testing::each_backend;
    use billingwatch_store::{EntryKind, Store};

    use super::*;
    use crate::clock::ManualClock;
    use crate::ingest::{Ingest, IngestOptions};
    use crate::wake::Wake;

    fn entry(source: &str, body_bytes: usize) -> NewEntry {
        NewEntry {
            kind: EntryKind::Event,
            source: source.to_owned(),
            event_id: Some("evt_1".to_owned()),
            event_type: "charge.succeeded".to_owned(),
            object_id: None,
            customer_id: None,
            created_at: None,
            account: None,
            livemode: true,
            api_version: None,
            is_historical: false,
            received_at: None,
            body: vec![b'x'; body_bytes],
            packed: None,
        }
    }

    fn appended(seq: i64) -> Appended {
        Appended {
            seq,
            received_at: Timestamp::from_secs(seq),
            is_duplicate: false,
        }
    }

    fn duplicate(seq: i64) -> Appended {
        Appended {
            is_duplicate: true,
            ..appended(seq)
        }
    }

    /// A tail of batches of one row.
    fn tail(seqs: impl IntoIterator<Item = i64>) -> Tail {
        let tail = Tail::default();
        for seq in seqs {
            tail.keep(&Arc::from([entry("default", 10)]), &[appended(seq)]);
        }
        tail
    }

    fn taken(tail: &Tail, after: i64, limit: usize) -> Vec<i64> {
        let rows = tail.take_after(after, limit);
        rows.iter().map(|row| row.row().unwrap().seq).collect()
    }

    #[test]
    fn rows_are_taken_in_order_once_and_only_where_none_is_missing() {
        let tail = tail([3, 4, 5, 8, 9]);
        assert_eq!(taken(&tail, 1, 2), [0_i64; 0], "2 is missing");
        assert_eq!(taken(&tail, 2, 2), [3, 4]);
        assert_eq!(taken(&tail, 2, 1), [0_i64; 0], "they are gone");
        assert_eq!(taken(&tail, 4, 2), [0_i64; 0], "6 is missing");
        assert_eq!(taken(&tail, 4, 1), [5]);
        assert_eq!(taken(&tail, 8, 10), [9], "8 came from the store");
        assert_eq!(taken(&tail, 9, 10), [0_i64; 0]);
    }

    #[test]
    fn what_the_store_would_change_or_has_already_is_not_kept() {
        let tail = Tail::default();
        let batch: Arc<[NewEntry]> = Arc::from([
            entry("a\0b", 1),
            entry(&"a".repeat(256), 1),
            entry("default", 1),
            entry("default", 1),
        ]);
        let seqs = [appended(1), appended(2), duplicate(1), appended(3)];
        tail.keep(&batch, &seqs);
        assert_eq!(taken(&tail, 0, 10), [0_i64; 0]);
        let rows = tail.take_after(2, 10);
        let row = rows[0].row().unwrap();
        assert_eq!((row.seq, row.received_at), (3, Timestamp::from_secs(3)));
    }

    #[test]
    fn it_is_bounded_by_rows_and_the_newest_stay() {
        let rows = i64::try_from(ROWS_MAX).unwrap();
        let many = tail(1..=rows + 5);
        assert_eq!(taken(&many, 4, 10), [0_i64; 0]);
        assert_eq!(taken(&many, 5, usize::MAX).len(), ROWS_MAX);
    }

    #[test]
    fn it_is_bounded_by_bytes_and_counts_what_a_batch_holds_beside_its_new_rows() {
        let tail = Tail::default();
        let half = entry("default", SIZE_BYTES_MAX / 2 - 1000);
        for seq in [1, 3, 5] {
            let repeat = half.clone();
            let batch: Arc<[NewEntry]> =
                Arc::from([entry("default", 1), repeat, entry("default", 1)]);
            let seqs = [appended(seq), duplicate(1), appended(seq + 1)];
            tail.keep(&batch, &seqs);
        }
        assert!(tail.lock().size_bytes <= SIZE_BYTES_MAX);
        assert_eq!(
            taken(&tail, 2, 10),
            [3, 4, 5, 6],
            "the oldest batch is gone"
        );
        assert_eq!(tail.lock().size_bytes, 0);
        let too_large = entry("default", SIZE_BYTES_MAX + 1);
        tail.keep(&Arc::from([too_large]), &[appended(7)]);
        assert_eq!(taken(&tail, 6, 10), [0_i64; 0]);
        assert_eq!(tail.lock().size_bytes, 0);
    }

    #[test]
    fn the_pump_sees_here_what_it_would_read_in_the_store() {
        let event = |id: &str, received_at: Option<i64>| NewEntry {
            event_id: Some(id.to_owned()),
            is_historical: received_at.is_some(),
            received_at: received_at.map(Timestamp::from_secs),
            ..entry("default", 3000)
        };
        let canary = NewEntry {
            kind: EntryKind::Canary,
            event_id: None,
            ..entry("eu", 2)
        };
        each_backend(|store| {
            let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_000)));
            let committed: Arc<Wake> = Arc::default();
            let (ingest, mut writer) = Ingest::new(
                Arc::new(Store::clone(store)),
                clock.clone(),
                IngestOptions::default(),
                committed,
            );
            let mut put = |entries: &[NewEntry]| {
                for entry in entries {
                    let _receipt = ingest.submit(entry.clone()).unwrap();
                }
                assert_eq!(writer.step(), entries.len());
            };
            let early = event("evt_2", Some(500));
            put(&[event("evt_1", None), event("evt_1", None), early]);
            // Set back, and one that says it came in the future.
            clock.set(Timestamp::from_secs(900));
            let late = event("evt_4", Some(2_000));
            put(&[
                event("evt_2", None),
                event("evt_3", None),
                canary.clone(),
                late,
            ]);
            clock.set(Timestamp::from_secs(3_000));
            let odd = entry(&"a".repeat(300), 1);
            put(&[event("evt_5", Some(1_500)), event("evt_6", None), odd]);
            let stored = store.read_after(0, 100).unwrap();
            let stored: Vec<Row<'_>> = stored.iter().map(Row::from).collect();
            let kept = writer.tail().take_after(0, 100);
            let kept: Vec<Row<'_>> = kept.iter().filter_map(TailRow::row).collect();
            assert_eq!(kept.len(), 7);
            // The last one's source is not as it was sent.
            assert_eq!(kept, stored[..7]);
            assert_eq!(stored.len(), 8);
        });
    }
}
