//! The stored journal as a recording.

use billingwatch_core::engine::{Applied, Engine, Input, Registry};
use billingwatch_store::EntryKind;

use super::{Replay, ReplayError, ReplayReport, ReplaySink, report};
use crate::ports::PipelineStore;
use crate::pump::CONSUMER;
use crate::record::Records;

/// Rows read at a time.
const BATCH_ROWS: i64 = 512;

/// Runs the journal, from its first row, through a new engine.
///
/// Reads up to what the live engine has committed when there is one (and lets as much time pass as
/// it has), else up to the journal's end. Settings come from the journal's own entries.
///
/// # Errors
/// When the journal cannot be read, or a change cannot be written.
pub fn replay_journal(
    store: &dyn PipelineStore,
    registry: Registry,
    sink: &mut dyn ReplaySink,
) -> Result<ReplayReport, ReplayError> {
    let (last_seq, until) = match store.cursor(CONSUMER)? {
        Some(cursor) => (cursor.seq, cursor.at),
        None => {
            let head = store.head()?;
            (head.last_seq, head.at)
        }
    };
    let mut engine = Engine::new(registry);
    let mut records = Records::default();
    let mut report = ReplayReport::default();
    let mut at_seq = 0;
    while at_seq < last_seq {
        let rows = store.read_after(at_seq, BATCH_ROWS.min(last_seq - at_seq))?;
        let Some(last) = rows.last() else { break };
        at_seq = last.seq;
        for row in &rows {
            report.lines += 1;
            let Ok(record) = records.read(row.into()) else {
                report.bad_lines += 1;
                engine.advance_to(row.received_at);
                continue;
            };
            if matches!(record.input, Input::Event(_)) {
                report.events += 1;
                report.first_at = report.first_at.or(Some(row.received_at));
                report.last_at = report.last_at.max(Some(row.received_at));
            }
            match engine.apply(&record) {
                Applied::New => {}
                Applied::Duplicate => report.duplicates += 1,
                Applied::Refused(_) => report.refused += 1,
            }
            report::take(&mut engine, &mut report, sink)?;
        }
        sink.progress(0, report.events);
    }
    engine.advance_to(until);
    report::take(&mut engine, &mut report, sink)?;
    report.open_at_end = engine.open_alerts().count();
    report.scopes = engine.scopes().count();
    Ok(report)
}

impl Replay {
    /// Reads the events of the journal up to its present end, and lets as much time pass as the
    /// journal's clock has seen. Unlike [`replay_journal`] it keeps to this replay's own settings:
    /// settings that were changed on the way and alerts that a person declared over are passed by.
    /// Historical events teach and are never told, as ever.
    ///
    /// # Errors
    /// When the journal cannot be read, or a change cannot be written.
    pub fn journal(
        &mut self,
        store: &dyn PipelineStore,
        sink: &mut dyn ReplaySink,
    ) -> Result<(), ReplayError> {
        let head = store.head()?;
        let mut records = Records::default();
        let mut at_seq = 0;
        while at_seq < head.last_seq {
            let rows = store.read_after(at_seq, BATCH_ROWS.min(head.last_seq - at_seq))?;
            let Some(last) = rows.last() else { break };
            at_seq = last.seq;
            for row in rows.iter().filter(|row| row.kind == EntryKind::Event) {
                self.report.lines += 1;
                match records.read(row.into()) {
                    Ok(record) => self.record(&record, sink)?,
                    Err(reason) => {
                        let number = u64::try_from(row.seq).unwrap_or_default();
                        self.bad("the journal", number, &reason, sink);
                    }
                }
            }
            sink.progress(0, self.report.events);
        }
        self.engine.advance_to(head.at);
        self.take(sink)
    }
}
