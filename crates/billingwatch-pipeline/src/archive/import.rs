//! Lines → journal, as history: it teaches the engine, and nobody is told of it.
//!
//! Nothing is imported twice, for the journal knows its event ids: an import that was stopped is
//! taken up by running it again. Each batch is one durable transaction; between two of them there
//! is a pause as long as the batch took, so that a server on the same SQLite file gets its turn.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use billingwatch_core::stripe::payload::read_envelope;
use billingwatch_store::{NewEntry, StoreError};

use crate::clock::Clock;
use crate::ingest::event_entry;
use crate::ports::PipelineStore;
use crate::replay::lines::{self, Chunk, Line, Lines, PLAUSIBLE_SECS, RawEvent};
use crate::replay::{BadLine, NO_TIME, words_of};
use crate::system_clock::Stopwatch;

/// Entries of one transaction, and the bytes of bodies after which it is closed earlier.
const BATCH_ENTRIES: usize = 256;
/// See [`BATCH_ENTRIES`].
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Events of list pages are held back to be put in order, up to so many bytes: beyond it they go in
/// as they are.
const PAGED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What came of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Lines, or documents, read.
    pub lines: u64,
    /// Events now in the journal.
    pub imported: u64,
    /// Events that were there already.
    pub duplicates: u64,
    /// Lines passed over.
    pub bad_lines: u64,
}

/// Who is told how an import goes on.
pub trait ImportSink {
    /// A line that was passed over.
    fn bad_line(&mut self, bad: &BadLine);

    /// Now and then: bytes of the current input read so far, and what came of it.
    fn progress(&mut self, bytes_read: u64, report: &ImportReport);

    /// Waits between two transactions. Tests need not.
    fn pause(&mut self, pause: Duration) {
        std::thread::sleep(pause);
    }
}

/// Why an import ended early. What was imported before stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
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
    /// The journal could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Brings the events of one or more files into a journal.
pub struct Importer {
    store: Arc<dyn PipelineStore>,
    clock: Arc<dyn Clock>,
    source: String,
    report: ImportReport,
    batch: Vec<NewEntry>,
    batch_bytes: usize,
    paged: Vec<NewEntry>,
    paged_bytes: usize,
}

impl std::fmt::Debug for Importer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Importer")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl Importer {
    /// An import that has read nothing yet; `source` is what events came through whose line names
    /// none.
    #[must_use]
    pub fn new(store: Arc<dyn PipelineStore>, clock: Arc<dyn Clock>, source: &str) -> Self {
        Self {
            store,
            clock,
            source: source.to_owned(),
            report: ImportReport::default(),
            batch: Vec::new(),
            batch_bytes: 0,
            paged: Vec::new(),
            paged_bytes: 0,
        }
    }

    /// Imports one input to its end; `file` is its name in reports.
    ///
    /// # Errors
    /// When it cannot be read to its end, or the journal cannot be written.
    pub fn file(
        &mut self,
        file: &str,
        input: impl Read + 'static,
        sink: &mut dyn ImportSink,
    ) -> Result<(), ImportError> {
        let unreadable = |line, error| ImportError::Read {
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
            self.chunk(file, &chunk, number, sink);
            if self.is_full() {
                self.write(sink)?;
                sink.progress(lines.bytes_read(), &self.report);
            }
        };
        // What could be read is kept, also when the rest cannot be.
        self.order_pages();
        self.write(sink)?;
        sink.progress(lines.bytes_read(), &self.report);
        outcome
    }

    /// What came of it so far.
    #[must_use]
    pub const fn report(&self) -> ImportReport {
        self.report
    }

    fn chunk(&mut self, file: &str, chunk: &Chunk<'_>, number: u64, sink: &mut dyn ImportSink) {
        match chunk {
            Chunk::Line(line) => self.line(file, number, line, sink),
            Chunk::TooLong => {
                self.report.lines += 1;
                self.bad(file, number, "longer than may be read", sink);
            }
            Chunk::Documents(bytes) => {
                for (number, document) in lines::documents(bytes, number) {
                    match document {
                        Ok(document) => self.line(file, number, document, sink),
                        Err(reason) => {
                            self.report.lines += 1;
                            self.bad(file, number, &reason, sink);
                        }
                    }
                }
            }
        }
    }

    fn line(&mut self, file: &str, number: u64, line: &[u8], sink: &mut dyn ImportSink) {
        self.report.lines += 1;
        if let Some(raw) = lines::classify_at_a_glance(line)
            && let Ok(entry) = self.entry(&raw)
            && raw.is_settled(entry.object_id.is_some())
        {
            self.order_pages();
            return self.queue(entry);
        }
        match lines::classify(line) {
            Err(reason) => self.bad(file, number, &reason, sink),
            Ok(Line::Event(raw)) => match self.entry(&raw) {
                Ok(entry) => {
                    self.order_pages();
                    self.queue(entry);
                }
                Err(reason) => self.bad(file, number, &reason, sink),
            },
            Ok(Line::Page(page)) => {
                for raw in page {
                    match self.entry(&raw) {
                        Ok(entry) => {
                            self.paged_bytes = self.paged_bytes.saturating_add(entry.body.len());
                            self.paged.push(entry);
                        }
                        Err(reason) => self.bad(file, number, &reason, sink),
                    }
                }
                if self.paged_bytes >= PAGED_BYTES_MAX {
                    self.order_pages();
                }
            }
        }
    }

    fn entry(&self, raw: &RawEvent<'_>) -> Result<NewEntry, String> {
        let body = raw.received_bytes()?.into_owned();
        let envelope = read_envelope(&body).map_err(|error| words_of(&error))?;
        let received_at = raw
            .received_at
            .or(envelope.created)
            .filter(|at| PLAUSIBLE_SECS.contains(&at.as_secs()))
            .ok_or(NO_TIME)?;
        let source = raw.source.as_deref().unwrap_or(&self.source);
        Ok(NewEntry {
            is_historical: true,
            received_at: Some(received_at),
            ..event_entry(source, envelope, body)
        })
    }

    /// Puts the events of list pages in order, oldest first: the API lists newest first.
    fn order_pages(&mut self) {
        if self.paged.is_empty() {
            return;
        }
        self.paged_bytes = 0;
        let mut paged = std::mem::take(&mut self.paged);
        let at = |entry: &NewEntry| entry.received_at;
        // Turned round before a stable sort: events of one second then keep their order of making.
        if paged.first().map(at) > paged.last().map(at) {
            paged.reverse();
        }
        paged.sort_by_key(at);
        for entry in paged {
            self.queue(entry);
        }
    }

    fn queue(&mut self, entry: NewEntry) {
        self.batch_bytes = self.batch_bytes.saturating_add(entry.body.len());
        self.batch.push(entry);
    }

    const fn is_full(&self) -> bool {
        self.batch.len() >= BATCH_ENTRIES || self.batch_bytes >= BATCH_BYTES
    }

    /// Writes what is queued; after each transaction a pause as long as it took.
    fn write(&mut self, sink: &mut dyn ImportSink) -> Result<(), ImportError> {
        for entries in self.batch.chunks(BATCH_ENTRIES) {
            let stopwatch = Stopwatch::start();
            for row in self.store.append(entries, self.clock.now())? {
                if row.is_duplicate {
                    self.report.duplicates += 1;
                } else {
                    self.report.imported += 1;
                }
            }
            sink.pause(stopwatch.elapsed());
        }
        self.batch.clear();
        self.batch_bytes = 0;
        Ok(())
    }

    fn bad(&mut self, file: &str, line: u64, reason: &str, sink: &mut dyn ImportSink) {
        self.report.bad_lines += 1;
        sink.bad_line(&BadLine {
            file: file.to_owned(),
            line,
            reason: reason.to_owned(),
        });
    }
}
