//! `billingwatch replay`: recorded events through the same detectors, with a report; stores and
//! sends nothing.

mod explain;
mod sink;
mod summary;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use billingwatch_core::engine::Registry;
use billingwatch_pipeline::replay::{Replay, ReplayError, ReplayOptions};

use crate::assignments;
use crate::cli::ReplayArgs;
use crate::config::{self, Environment, Overrides};
use crate::exit::Ended;
use crate::output;

use explain::Story;
use sink::Sink;

/// The name that stands for standard input and output.
const STANDARD: &str = "-";

/// Replays every file in turn through one engine.
///
/// # Errors
/// When the settings are refused, a file cannot be read to its end, or alerts cannot be written.
pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<Ended> {
    let registry = Registry::standard();
    let specs: Vec<_> = registry.specs().collect();
    let overrides = Overrides {
        config: args.config.config.clone(),
        ..Overrides::default()
    };
    let config = config::load(&overrides, &Environment::read()?, &specs)?;
    let settings = assignments::apply(config.detectors, "--set", &args.set, &specs)?;
    let registry = registry.clone().in_zone(config.calendar);
    let mut replay = Replay::new(registry, &settings, &ReplayOptions::default())?;

    let story = args.explain.as_deref().map(Story::of);
    let mut sink = Sink::new(output_of(args)?, story, total_bytes(&args.files)?);
    let started = Instant::now();
    let read = args
        .files
        .iter()
        .try_for_each(|path| read(&mut replay, path, &mut sink));
    let report = replay.finish(&mut sink)?;
    let (incidents, story) = sink.finish()?;

    let text = match &story {
        Some(story) => story.render()?,
        None => summary::render(&report, &incidents, started.elapsed()),
    };
    if args.alerts_out.as_deref() == Some(Path::new(STANDARD)) {
        output::note(&text);
    } else {
        writeln!(io::stdout().lock(), "{text}")?;
    }
    // What could be read has been told; what could not decides how it ends.
    read?;
    Ok(if report.bad_lines > 0 {
        Ended::WithBadLines
    } else {
        Ended::Well
    })
}

fn read(replay: &mut Replay, path: &Path, sink: &mut Sink) -> Result<(), ReplayError> {
    let name = path.display().to_string();
    sink.begin_file();
    if path == Path::new(STANDARD) {
        return replay.file("standard input", io::stdin(), sink);
    }
    let file = File::open(path);
    let file = file.map_err(|error| ReplayError::Read {
        file: name.clone(),
        line: 0,
        error,
    })?;
    replay.file(&name, file, sink)
}

fn output_of(args: &ReplayArgs) -> anyhow::Result<Option<Box<dyn Write>>> {
    Ok(match args.alerts_out.as_deref() {
        None => None,
        Some(path) if path == Path::new(STANDARD) => Some(Box::new(BufWriter::new(io::stdout()))),
        Some(path) => {
            let file = File::create(path);
            let file = file.with_context(|| format!("{}: cannot be written", path.display()))?;
            Some(Box::new(BufWriter::new(file)))
        }
    })
}

/// How much there is to read; `None` when standard input is part of it. A file that is not there is
/// told before hours are spent on the others.
fn total_bytes(files: &[PathBuf]) -> anyhow::Result<Option<u64>> {
    let mut total = Some(0_u64);
    for path in files {
        if path == Path::new(STANDARD) {
            total = None;
            continue;
        }
        let metadata = std::fs::metadata(path);
        let metadata = metadata.with_context(|| path.display().to_string())?;
        total = total.map(|bytes| bytes.saturating_add(metadata.len()));
    }
    Ok(total)
}
