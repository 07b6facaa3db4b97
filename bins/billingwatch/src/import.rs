//! `billingwatch import`: recorded events into the journal, as history.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use billingwatch_pipeline::archive::{ImportReport, ImportSink, Importer};
use billingwatch_pipeline::replay::BadLine;
use billingwatch_pipeline::{PipelineStore, SystemClock};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::ImportArgs;
use crate::config::{self, Environment, Overrides};
use crate::exit::Ended;
use crate::output::{self, Paint, Style};
use crate::{detectors, migrate};

/// The name that stands for standard input.
const STANDARD: &str = "-";

/// The most bad lines that are named; the summary has their number.
const BAD_LINES_TOLD_MAX: u64 = 100;

/// Imports every file in turn.
///
/// # Errors
/// When a file cannot be read to its end, or the journal cannot be written.
pub(crate) fn run(args: &ImportArgs) -> anyhow::Result<Ended> {
    let overrides = Overrides {
        config: args.config.config.clone(),
        database_url: args.database_url.clone(),
        ..Overrides::default()
    };
    let factories = detectors::all();
    let config = config::load(
        &overrides,
        &Environment::read()?,
        &detectors::specs(&factories),
    )?;
    let total_bytes = total_bytes(&args.files)?;
    let store = migrate::open(&config.store)?;
    store.migrate()?;
    let store: Arc<dyn PipelineStore> = Arc::new(store);
    let mut importer = Importer::new(store, Arc::new(SystemClock), &args.source);
    let mut sink = Sink::new(total_bytes);
    let read = args
        .files
        .iter()
        .try_for_each(|path| import(&mut importer, path, &mut sink));
    sink.bar.finish_and_clear();
    let report = importer.report();
    writeln!(io::stdout().lock(), "{}", summary(&report))?;
    read?;
    Ok(if report.bad_lines > 0 {
        Ended::WithBadLines
    } else {
        Ended::Well
    })
}

fn summary(report: &ImportReport) -> String {
    format!(
        "{} lines: {} events imported, {} were there already, {} bad lines",
        report.lines, report.imported, report.duplicates, report.bad_lines
    )
}

fn import(importer: &mut Importer, path: &Path, sink: &mut Sink) -> anyhow::Result<()> {
    sink.begin_file();
    if path == Path::new(STANDARD) {
        return Ok(importer.file("standard input", io::stdin(), sink)?);
    }
    let file = File::open(path).with_context(|| path.display().to_string())?;
    Ok(importer.file(&path.display().to_string(), file, sink)?)
}

/// How much there is to read; `None` when standard input is part of it. A file that is not there is
/// told before anything is imported.
fn total_bytes(files: &[PathBuf]) -> anyhow::Result<Option<u64>> {
    let mut total = Some(0_u64);
    for path in files {
        if path == Path::new(STANDARD) {
            total = None;
            continue;
        }
        let metadata = std::fs::metadata(path).with_context(|| path.display().to_string())?;
        total = total.map(|bytes| bytes.saturating_add(metadata.len()));
    }
    Ok(total)
}

struct Sink {
    bar: ProgressBar,
    earlier_bytes: u64,
    file_bytes: u64,
    bad_lines: u64,
}

impl Sink {
    fn new(total_bytes: Option<u64>) -> Self {
        let (bar, template) = match total_bytes {
            Some(bytes) => (
                ProgressBar::new(bytes),
                "{bar:30} {percent:>3} %  {bytes} of {total_bytes}  {msg}  {eta} left",
            ),
            None => (ProgressBar::no_length(), "{spinner} {bytes}  {msg}"),
        };
        let style = ProgressStyle::with_template(template);
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_draw_target(if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        Self {
            bar,
            earlier_bytes: 0,
            file_bytes: 0,
            bad_lines: 0,
        }
    }

    const fn begin_file(&mut self) {
        self.earlier_bytes = self.earlier_bytes.saturating_add(self.file_bytes);
        self.file_bytes = 0;
    }
}

impl ImportSink for Sink {
    fn bad_line(&mut self, bad: &BadLine) {
        self.bad_lines += 1;
        let label = Paint::stderr().paint(Style::Yellow, "bad line:");
        self.bar.suspend(|| {
            if self.bad_lines <= BAD_LINES_TOLD_MAX {
                output::note(&format!("{label} {bad}"));
            } else if self.bad_lines == BAD_LINES_TOLD_MAX + 1 {
                output::note(&format!("{label} more follow and are counted only"));
            }
        });
    }

    fn progress(&mut self, bytes_read: u64, report: &ImportReport) {
        self.file_bytes = bytes_read;
        self.bar
            .set_position(self.earlier_bytes.saturating_add(bytes_read));
        self.bar.set_message(format!(
            "{} events",
            report.imported.saturating_add(report.duplicates)
        ));
    }
}
