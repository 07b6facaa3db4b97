//! Recorded events → the same engine → changes. Sends nothing, stores nothing, reads no clock.
//!
//! Two recordings can be replayed: files (see [`lines`]) and the journal itself. The journal's
//! replay finds what the live run found, byte for byte: it has the same rows, the same clock and
//! the same settings entries, and ticks are crossed inside the engine.

mod alert_line;
mod journal;
pub mod lines;
mod report;

use std::io::{self, Read};
use std::sync::Arc;

use billingwatch_core::alert::{AlertChange, Suppressed};
use billingwatch_core::detector::SettingsError;
use billingwatch_core::engine::{Applied, Engine, Input, Record, Registry, SettingsChange};
use billingwatch_core::event::{Event, EventData};
use billingwatch_core::stripe::payload::{self, PayloadError};
use billingwatch_core::time::{Span, Timestamp};

pub use alert_line::AlertLine;
pub use journal::replay_journal;
pub use report::{BadLine, ChangeCounts, ReplayReport};

use crate::record::Records;

use lines::{Chunk, Line, Lines, PLAUSIBLE_SECS, RawEvent};

/// Events of list pages that are held back to be put in order; beyond it they go in as they are.
/// The API keeps 30 days of events: half a million is a large merchant's worth.
pub const PAGED_EVENTS_MAX: usize = 500_000;

/// Lines between two reports of progress.
const PROGRESS_LINES: u64 = 4096;

/// Where a replay's findings go.
pub trait ReplaySink {
    /// An alert fired, escalated or resolved.
    ///
    /// # Errors
    /// When it cannot be written; the replay then ends.
    fn change(&mut self, change: &AlertChange) -> io::Result<()>;

    /// Something was recognised as harmless. Does nothing by default.
    fn suppressed(&mut self, suppressed: &Suppressed) {
        let _ = suppressed;
    }

    /// A line that was passed over. Does nothing by default.
    fn bad_line(&mut self, bad: &BadLine) {
        let _ = bad;
    }

    /// Now and then: bytes of the current input read so far, and events in all. Does nothing by
    /// default.
    fn progress(&mut self, bytes_read: u64, events: u64) {
        let _ = (bytes_read, events);
    }
}

/// Collects changes.
impl ReplaySink for Vec<AlertChange> {
    fn change(&mut self, change: &AlertChange) -> io::Result<()> {
        self.push(change.clone());
        Ok(())
    }
}

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The input could not be read, or not read on.
    #[error("{file}: cannot be read after line {line}: {error}")]
    Read {
        /// The input's name.
        file: String,
        /// The last line read.
        line: u64,
        /// What went wrong.
        error: io::Error,
    },
    /// A change could not be written.
    #[error("alerts cannot be written: {0}")]
    Write(io::Error),
    /// The journal could not be read.
    #[error("the journal cannot be read: {0}")]
    Store(#[from] billingwatch_store::StoreError),
}

/// How a file's events are taken.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The source that events are taken to have come through, where their line does not say.
    pub source: String,
    /// How far time passes after the last event, for detectors that wait for what does not come.
    pub run_on: Span,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            source: "default".to_owned(),
            run_on: Span::ZERO,
        }
    }
}

/// A replay of one or more files through one engine.
pub struct Replay {
    engine: Engine,
    source: Arc<str>,
    run_on: Span,
    report: ReplayReport,
    records: Records,
    paged: Vec<Recorded>,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl Replay {
    /// A replay that has read nothing yet.
    ///
    /// # Errors
    /// The first setting that is unknown or out of bounds.
    pub fn new(
        registry: Registry,
        settings: &[SettingsChange],
        options: &ReplayOptions,
    ) -> Result<Self, SettingsError> {
        let mut engine = Engine::new(registry);
        for change in settings {
            engine.set(change)?;
        }
        Ok(Self {
            engine,
            source: options.source.as_str().into(),
            run_on: options.run_on,
            report: ReplayReport::default(),
            records: Records::default(),
            paged: Vec::new(),
        })
    }

    /// Reads one input to its end; `file` is its name in reports.
    ///
    /// # Errors
    /// When it cannot be read to its end (what was read counts), or a change cannot be written.
    pub fn file(
        &mut self,
        file: &str,
        input: impl Read + 'static,
        sink: &mut dyn ReplaySink,
    ) -> Result<(), ReplayError> {
        let unreadable = |line, error| ReplayError::Read {
            file: file.to_owned(),
            line,
            error,
        };
        let mut lines = Lines::open(input).map_err(|error| unreadable(0, error))?;
        let mut last_number = 0;
        let outcome = loop {
            let (number, chunk) = match lines.next_chunk() {
                Ok(Some(next)) => next,
                Ok(None) => break Ok(()),
                Err(error) => break Err(unreadable(last_number, error)),
            };
            last_number = number;
            match chunk {
                Chunk::Line(_) | Chunk::TooLong => self.report.lines += 1,
                Chunk::Documents(_) => {}
            }
            self.chunk(file, &chunk, number, sink)?;
            if self.report.lines.is_multiple_of(PROGRESS_LINES) {
                sink.progress(lines.bytes_read(), self.report.events);
            }
        };
        self.flush_pages(sink)?;
        sink.progress(lines.bytes_read(), self.report.events);
        outcome
    }

    /// Lets the last time pass and says what was seen.
    ///
    /// # Errors
    /// When a change cannot be written.
    pub fn finish(mut self, sink: &mut dyn ReplaySink) -> Result<ReplayReport, ReplayError> {
        if self.run_on > Span::ZERO {
            self.engine.advance_to(self.engine.now() + self.run_on);
            self.take(sink)?;
        }
        self.report.open_at_end = self.engine.open_alerts().count();
        self.report.scopes = self.engine.scopes().count();
        Ok(self.report)
    }

    fn chunk(
        &mut self,
        file: &str,
        chunk: &Chunk<'_>,
        number: u64,
        sink: &mut dyn ReplaySink,
    ) -> Result<(), ReplayError> {
        match chunk {
            Chunk::Line(line) => self.line(file, number, line, sink),
            Chunk::TooLong => {
                self.bad(file, number, "longer than may be read", sink);
                Ok(())
            }
            Chunk::Documents(bytes) => {
                for (number, document) in lines::documents(bytes, number) {
                    self.report.lines += 1;
                    match document {
                        Ok(document) => self.line(file, number, document, sink)?,
                        Err(reason) => self.bad(file, number, &reason, sink),
                    }
                }
                Ok(())
            }
        }
    }

    fn line(
        &mut self,
        file: &str,
        number: u64,
        line: &[u8],
        sink: &mut dyn ReplaySink,
    ) -> Result<(), ReplayError> {
        if let Some(raw) = lines::classify_at_a_glance(line)
            && let Ok(recorded) = self.read_event(&raw)
            && raw.is_settled(names_object(&recorded.event))
        {
            self.flush_pages(sink)?;
            return self.apply(recorded, sink);
        }
        match lines::classify(line) {
            Err(reason) => self.bad(file, number, &reason, sink),
            Ok(Line::Event(raw)) => match self.read_event(&raw) {
                Ok(recorded) => {
                    self.flush_pages(sink)?;
                    return self.apply(recorded, sink);
                }
                Err(reason) => self.bad(file, number, &reason, sink),
            },
            Ok(Line::Page(page)) => {
                for raw in page {
                    match self.read_event(&raw) {
                        Ok(recorded) => self.paged.push(recorded),
                        Err(reason) => self.bad(file, number, &reason, sink),
                    }
                }
                if self.paged.len() >= PAGED_EVENTS_MAX {
                    self.flush_pages(sink)?;
                }
            }
        }
        Ok(())
    }

    /// Puts the events of list pages in order, oldest first, and takes them in.
    ///
    /// The API lists newest first, page after page, so order is known only at the end of the run.
    fn flush_pages(&mut self, sink: &mut dyn ReplaySink) -> Result<(), ReplayError> {
        if self.paged.is_empty() {
            return Ok(());
        }
        let mut events = std::mem::take(&mut self.paged);
        // Turned round before a stable sort: events of one second then keep their order of making.
        let at = |recorded: &Recorded| recorded.received_at;
        if events.first().map(at) > events.last().map(at) {
            events.reverse();
        }
        events.sort_by_key(at);
        for recorded in events {
            self.apply(recorded, sink)?;
        }
        Ok(())
    }

    /// Parses an event and says when it was received, and through which source.
    fn read_event(&mut self, raw: &RawEvent<'_>) -> Result<Recorded, String> {
        let (received_at, event) = read_event(raw)?;
        let source = match &raw.source {
            Some(name) => self.records.source(name),
            None => Arc::clone(&self.source),
        };
        Ok(Recorded {
            received_at,
            source,
            event,
        })
    }

    fn apply(&mut self, recorded: Recorded, sink: &mut dyn ReplaySink) -> Result<(), ReplayError> {
        let record = Record {
            received_at: recorded.received_at,
            source: recorded.source,
            is_historical: false,
            input: Input::Event(recorded.event),
        };
        self.record(&record, sink)
    }

    fn record(&mut self, record: &Record, sink: &mut dyn ReplaySink) -> Result<(), ReplayError> {
        let report = &mut self.report;
        report.events += 1;
        report.first_at = report.first_at.or(Some(record.received_at));
        if record.received_at < self.engine.now() {
            report.out_of_order += 1;
        }
        report.last_at = report.last_at.max(Some(record.received_at));
        match self.engine.apply(record) {
            Applied::New => {}
            Applied::Duplicate => self.report.duplicates += 1,
            Applied::Refused(_) => self.report.refused += 1,
        }
        self.take(sink)
    }

    fn take(&mut self, sink: &mut dyn ReplaySink) -> Result<(), ReplayError> {
        report::take(&mut self.engine, &mut self.report, sink)
    }

    fn bad(&mut self, file: &str, line: u64, reason: &str, sink: &mut dyn ReplaySink) {
        self.report.bad_lines += 1;
        sink.bad_line(&BadLine {
            file: file.to_owned(),
            line,
            reason: reason.to_owned(),
        });
    }
}

/// An event of a recording, parsed.
struct Recorded {
    received_at: Timestamp,
    source: Arc<str>,
    event: Box<Event>,
}

fn read_event(raw: &RawEvent<'_>) -> Result<(Timestamp, Box<Event>), String> {
    // The parser puts "now" where `created` makes no sense; without a `received_at` an instant no
    // recording can have tells that case apart.
    let never = Timestamp::from_secs(PLAUSIBLE_SECS.end);
    let now = raw.received_at.unwrap_or(never);
    let event = payload::parse_event(raw.body, now).map_err(|error| words_of(&error))?;
    let received_at = raw.received_at.unwrap_or(event.created);
    if !PLAUSIBLE_SECS.contains(&received_at.as_secs()) {
        return Err(NO_TIME.to_owned());
    }
    Ok((received_at, Box::new(event)))
}

fn names_object(event: &Event) -> bool {
    !matches!(&event.data, EventData::Other(object) if object.id.is_none())
}

/// Why a line without a time is passed over.
pub(crate) const NO_TIME: &str =
    "no `received_at`, and `created` is not a time between the years 2010 and 2100";

/// Why an event cannot be read, where its line's number is told beside it.
pub(crate) fn words_of(error: &PayloadError) -> String {
    match error {
        // The line's number is told already, and it is not 1.
        PayloadError::NotJson { line: 1, column } => format!("not JSON, at column {column}"),
        error => error.to_string(),
    }
}
