//! The files of a simulation: written beside their names first, so that a run that was stopped
//! leaves nothing that looks complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use billingwatch_simulator::{Label, SimulatedEvent};
use flate2::Compression;
use flate2::write::GzEncoder;

const EVENTS: &str = "events.jsonl";
const EVENTS_GZIP: &str = "events.jsonl.gz";
const LABELS: &str = "labels.json";

/// The files under way.
pub(super) struct Files {
    directory: PathBuf,
    events_name: &'static str,
    out: Option<Out>,
}

enum Out {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

impl Files {
    /// Makes the directory and opens the events file.
    ///
    /// # Errors
    /// When an earlier run's files are there and may not be replaced, or the file cannot be made.
    pub(super) fn create(
        directory: &Path,
        is_gzip: bool,
        may_replace: bool,
    ) -> anyhow::Result<Self> {
        for name in [EVENTS, EVENTS_GZIP, LABELS] {
            let path = directory.join(name);
            if !may_replace && path.exists() {
                bail!("{}: is there already; --force replaces it", path.display());
            }
        }
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let events_name = if is_gzip { EVENTS_GZIP } else { EVENTS };
        let path = partial(directory, events_name);
        let file = File::create(&path);
        let file = file.with_context(|| format!("{}: cannot be written", path.display()))?;
        let file = BufWriter::new(file);
        let out = if is_gzip {
            Out::Gzip(Box::new(GzEncoder::new(file, Compression::default())))
        } else {
            Out::Plain(file)
        };
        Ok(Self {
            directory: directory.to_owned(),
            events_name,
            out: Some(out),
        })
    }

    /// Where the events end up.
    pub(super) fn events_path(&self) -> PathBuf {
        self.directory.join(self.events_name)
    }

    /// Where the labels end up.
    pub(super) fn labels_path(&self) -> PathBuf {
        self.directory.join(LABELS)
    }

    /// Writes one line; the event's bytes as they are.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn event(&mut self, event: &SimulatedEvent) -> io::Result<()> {
        let out: &mut dyn Write = match &mut self.out {
            Some(Out::Plain(out)) => out,
            Some(Out::Gzip(out)) => out,
            None => return Ok(()),
        };
        let (secs, millis) = (event.received_at_ms / 1000, event.received_at_ms % 1000);
        write!(out, "{{\"received_at\": {secs}.{millis:03}, \"event\": ")?;
        out.write_all(&event.json)?;
        out.write_all(b"}\n")
    }

    /// Ends the events, writes the labels, and gives both their names; how many bytes the events
    /// take.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(super) fn finish(&mut self, labels: &[Label]) -> anyhow::Result<u64> {
        let events = self.events_path();
        let wrong = || format!("{}: cannot be written", events.display());
        let file = match self.out.take() {
            Some(Out::Plain(out)) => Some(out),
            Some(Out::Gzip(out)) => Some(out.finish().with_context(wrong)?),
            None => None,
        };
        if let Some(mut file) = file {
            file.flush().with_context(wrong)?;
        }
        let labels_partial = partial(&self.directory, LABELS);
        let mut text = serde_json::to_string_pretty(labels)?;
        text.push('\n');
        fs::write(&labels_partial, text)
            .with_context(|| format!("{}: cannot be written", self.labels_path().display()))?;

        // The other form of an earlier run would be taken for this one's.
        for name in [EVENTS, EVENTS_GZIP] {
            let path = self.directory.join(name);
            if name != self.events_name && path.exists() {
                fs::remove_file(&path).with_context(|| path.display().to_string())?;
            }
        }
        fs::rename(partial(&self.directory, self.events_name), &events).with_context(wrong)?;
        fs::rename(&labels_partial, self.labels_path())
            .with_context(|| self.labels_path().display().to_string())?;
        Ok(fs::metadata(&events).with_context(wrong)?.len())
    }
}

/// The name while it is not complete.
fn partial(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.partial"))
}
