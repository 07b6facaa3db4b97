//! From what is committed back to an engine: snapshot, then the rows after it, output dropped.
//!
//! A snapshot of another version or of other detectors is not used: the engine then reads the
//! whole journal again. Either way it takes as many steps as it takes, so that a shutdown need not
//! wait for it.

use billingwatch_core::engine::Engine;
use billingwatch_core::time::Timestamp;
use billingwatch_store::Cursor;

use super::collect::Collected;
use super::reconcile::reconcile;
use super::{CONSUMER, Pump, Ready, State, StepReport};
use crate::error::PumpError;
use crate::planted::{Planted, is_planted};

/// An engine on its way to the committed cursor.
pub(super) struct CatchUp {
    engine: Engine,
    at_seq: i64,
    target: Cursor,
    /// Rows read again, which the next snapshot will spare.
    rows: u32,
    /// No snapshot could be used.
    is_from_scratch: bool,
}

impl Pump {
    /// Starts from the newest snapshot that can be used.
    pub(super) fn load(&mut self) -> Result<StepReport, PumpError> {
        self.tail.clear();
        let target = self.store.cursor(CONSUMER)?.unwrap_or(Cursor {
            seq: 0,
            at: Timestamp::EPOCH,
        });
        let head = self.store.head()?;
        if head.last_seq < target.seq {
            return Err(PumpError::JournalShort {
                last_seq: head.last_seq,
                cursor: target.seq,
            });
        }
        let (engine, at_seq) = self.restore(target)?;
        self.counters.rebuilds.add(1);
        self.counters.head_seq.raise_to(head.last_seq);
        self.note_cursor(target);
        self.publish_if_committed(target);
        tracing::info!(
            from_seq = at_seq,
            to_seq = target.seq,
            "engine loaded at row {at_seq}, reading up to row {}",
            target.seq
        );
        self.state = State::CatchingUp(Box::new(CatchUp {
            engine,
            at_seq,
            target,
            rows: 0,
            is_from_scratch: at_seq == 0,
        }));
        Ok(REBUILDING)
    }

    fn restore(&self, target: Cursor) -> Result<(Engine, i64), PumpError> {
        for snapshot in self.store.snapshots(CONSUMER)? {
            if snapshot.seq > target.seq {
                continue;
            }
            match Engine::restore(self.registry.clone(), &snapshot.bytes) {
                Ok(engine) => return Ok((engine, snapshot.seq)),
                Err(error) => {
                    tracing::warn!(error = %error, "an engine snapshot is not usable");
                }
            }
        }
        Ok((Engine::new(self.registry.clone()), 0))
    }

    /// A commit that was reported as failed had happened after all: its changes are news.
    fn publish_if_committed(&mut self, committed: Cursor) {
        if let Some((cursor, changes)) = self.doubtful.take()
            && cursor == committed
        {
            self.publish(&changes);
        }
    }

    /// Reads some rows again.
    pub(super) fn catch_up(&mut self, mut catch_up: Box<CatchUp>) -> Result<StepReport, PumpError> {
        let wanted = catch_up.target.seq - catch_up.at_seq;
        let limit = wanted.min(i64::from(self.options.batch_rows.max(1)));
        let mut report = REBUILDING;
        if limit > 0 {
            let rows = match self.store.read_after(catch_up.at_seq, limit) {
                Ok(rows) => rows,
                Err(error) => {
                    // What was read is good: a database that comes and goes must not begin a long
                    // rebuild anew each time.
                    self.state = State::CatchingUp(catch_up);
                    return Err(error.into());
                }
            };
            // Sequence numbers have no gaps, so the row after the last one must be there.
            let Some(last) = rows.last() else {
                return Err(PumpError::Gap(catch_up.at_seq + 1));
            };
            for row in &rows {
                self.apply_row(&mut catch_up.engine, row.into(), false);
                self.counters
                    .last_event_at_ms
                    .raise_to(row.received_at.as_millis());
            }
            catch_up.at_seq = last.seq;
            report.rows = rows.len();
            catch_up.rows = catch_up
                .rows
                .saturating_add(u32::try_from(rows.len()).unwrap_or(u32::MAX));
            if !is_planted(Planted::RebuildTellsAgain) {
                // Committed before: dropped.
                drop(Collected::take(&mut catch_up.engine));
            }
        }
        if catch_up.at_seq < catch_up.target.seq {
            self.state = State::CatchingUp(catch_up);
            return Ok(report);
        }
        catch_up.engine.advance_to(catch_up.target.at);
        let found_again = Collected::take(&mut catch_up.engine);
        let mut ready = Box::new(Ready {
            engine: catch_up.engine,
            cursor: catch_up.target,
            rows_since_snapshot: catch_up.rows,
            snapshot_at: self.clock.now(),
        });
        if is_planted(Planted::RebuildTellsAgain) && !found_again.changes.is_empty() {
            self.commit(&mut ready, catch_up.target, found_again, false)?;
        }
        if catch_up.is_from_scratch && catch_up.target.seq > 0 {
            let collected = reconcile(&ready.engine, self.store.as_ref())?;
            report.changes = collected.changes.len();
            // With a snapshot, so that the next start has nothing to reconcile.
            let is_needed = report.changes > 0;
            if is_needed {
                report.deliveries = self.commit(&mut ready, catch_up.target, collected, true)?;
            }
        }
        self.state = State::Ready(ready);
        Ok(report)
    }
}

const REBUILDING: StepReport = StepReport {
    rows: 0,
    changes: 0,
    deliveries: 0,
    is_rebuilding: true,
    is_idle: false,
};
