//! `billingwatch export`: the journal's events as lines, to a file or to standard output.

mod file;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use billingwatch_core::time::Timestamp;
use billingwatch_pipeline::PipelineStore;
use billingwatch_pipeline::archive::export_batch;
use billingwatch_store::Store;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::ExportArgs;
use crate::config::{self, Environment, Overrides};
use crate::exit::Ended;
use crate::{detectors, migrate, output, since};

use file::OutFile;

/// The name that stands for standard output.
const STANDARD: &str = "-";

/// Exports what the journal holds when it starts; a server may go on writing.
///
/// # Errors
/// When the journal cannot be read or the lines cannot be written.
pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<Ended> {
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
    let since = args.since.as_deref().map(since::parse).transpose()?;
    let store = migrate::open_existing(&config.store)?;
    let head = store.head()?;
    let first = first_seq(&store, since)?;
    let store: Arc<dyn PipelineStore> = Arc::new(store);
    let events = match args.out.as_deref() {
        None => to_stdout(store.as_ref(), first, head.last_seq)?,
        Some(path) if path == Path::new(STANDARD) => {
            to_stdout(store.as_ref(), first, head.last_seq)?
        }
        Some(path) => to_file(store.as_ref(), path, args, first, head.last_seq)?,
    };
    output::note(&format!("{events} events exported"));
    Ok(Ended::Well)
}

/// The row after which the export begins.
fn first_seq(store: &Store, since: Option<Timestamp>) -> anyhow::Result<i64> {
    Ok(match since {
        None => 0,
        Some(since) => match store.first_seq_since(since)? {
            Some(seq) => seq - 1,
            None => i64::MAX,
        },
    })
}

fn to_stdout(store: &dyn PipelineStore, after: i64, until: i64) -> anyhow::Result<u64> {
    // A terminal shows the lines themselves: a bar would be in between.
    let is_shown = !io::stdout().is_terminal();
    let mut out = io::stdout().lock();
    let events = copy(store, after, until, is_shown, |lines, _| {
        Ok(out.write_all(lines)?)
    })?;
    out.flush()?;
    Ok(events)
}

fn to_file(
    store: &dyn PipelineStore,
    path: &Path,
    args: &ExportArgs,
    first: i64,
    until: i64,
) -> anyhow::Result<u64> {
    if path.exists() && !args.force {
        bail!("{}: is there already; --force replaces it", path.display());
    }
    let mut file = OutFile::open(path, first)
        .with_context(|| format!("{}: cannot be written", path.display()))?;
    if file.is_resumed() {
        output::note(&format!(
            "goes on after {} events that an export that was stopped left behind",
            file.events()
        ));
    }
    let written = copy(store, file.after(), until, true, |lines, batch| {
        file.write(lines, batch)
            .with_context(|| format!("{}: cannot be written", path.display()))
    });
    written?;
    file.finish()
        .with_context(|| format!("{}: cannot be written", path.display()))
}

/// Where a batch ended, for whoever keeps track.
#[derive(Clone, Copy, Debug)]
struct Reached {
    seq: i64,
    events: u64,
}

/// Hands the lines of each batch on; the number of events.
fn copy(
    store: &dyn PipelineStore,
    after: i64,
    until: i64,
    is_shown: bool,
    mut take: impl FnMut(&[u8], Reached) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let bar = bar(until.saturating_sub(after), is_shown);
    let mut events = 0;
    let mut at = after;
    let mut lines = Vec::new();
    while let Some(batch) = export_batch(store, at, until, &mut lines)? {
        let reached = Reached {
            seq: batch.last_seq,
            events: batch.events,
        };
        take(&lines, reached)?;
        lines.clear();
        events += batch.events;
        bar.inc(u64::try_from(batch.last_seq - at).unwrap_or(0));
        at = batch.last_seq;
    }
    bar.finish_and_clear();
    Ok(events)
}

fn bar(rows: i64, is_shown: bool) -> ProgressBar {
    let template = "{bar:30} {percent:>3} %  {pos} of {len} rows  {per_sec}  {eta} left";
    let style = ProgressStyle::with_template(template);
    let bar = ProgressBar::new(u64::try_from(rows).unwrap_or(0))
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_draw_target(if is_shown && io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    });
    bar
}
