//! The file of an export: compressed as its name says, under another name until it is whole, and
//! taken up where an earlier run was stopped.
//!
//! Every some megabytes the compressed stream is ended, as both gzip and zstd files may consist of
//! several, the file is synced, and a note beside it says how far it is good. A run that finds such
//! a note cuts the file there and goes on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::Reached;

/// Bytes of lines after which the file is made good: what a run that is killed does again at most.
const GOOD_EVERY_BYTES: usize = 16 * 1024 * 1024;

/// What is told of an unfinished file.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
struct Note {
    /// The row after which the export began.
    first: i64,
    /// The last row in the file.
    seq: i64,
    /// Events in the file.
    events: u64,
    /// Its length that far.
    size_bytes: u64,
}

/// The file under way.
pub(super) struct OutFile {
    path: PathBuf,
    out: Option<Out>,
    form: Form,
    note: Note,
    is_resumed: bool,
    /// Bytes of lines since it was last made good.
    doubtful_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Gzip,
    Zstd,
}

enum Out {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, BufWriter<File>>>),
}

impl OutFile {
    /// Opens it, or what an earlier run from the same row left of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn open(path: &Path, first: i64) -> io::Result<Self> {
        let form = Form::of(path);
        let found = read_note(path).filter(|note| note.first == first);
        let note = found.unwrap_or(Note {
            first,
            seq: first,
            events: 0,
            size_bytes: 0,
        });
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(beside(path, "partial"))?;
        file.set_len(note.size_bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            path: path.to_owned(),
            out: Some(form.begin(BufWriter::new(file))?),
            form,
            note,
            is_resumed: found.is_some(),
            doubtful_bytes: 0,
        })
    }

    /// Whether an earlier run's work is used.
    pub(super) const fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Events in it.
    pub(super) const fn events(&self) -> u64 {
        self.note.events
    }

    /// The row after which it goes on.
    pub(super) const fn after(&self) -> i64 {
        self.note.seq
    }

    /// Writes some lines.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn write(&mut self, lines: &[u8], reached: Reached) -> io::Result<()> {
        self.out()?.write_all(lines)?;
        self.note.seq = reached.seq;
        self.note.events += reached.events;
        self.doubtful_bytes += lines.len();
        if self.doubtful_bytes >= GOOD_EVERY_BYTES {
            self.make_good()?;
        }
        Ok(())
    }

    /// Gives it its name; how many events are in it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.make_good()?;
        fs::rename(beside(&self.path, "partial"), &self.path)?;
        fs::remove_file(beside(&self.path, "resume"))?;
        Ok(self.note.events)
    }

    fn out(&mut self) -> io::Result<&mut dyn Write> {
        Ok(match &mut self.out {
            Some(Out::Plain(out)) => out,
            Some(Out::Gzip(out)) => out.as_mut(),
            Some(Out::Zstd(out)) => out.as_mut(),
            None => return Err(broken()),
        })
    }

    fn make_good(&mut self) -> io::Result<()> {
        let mut file = match self.out.take() {
            Some(Out::Plain(out)) => out,
            Some(Out::Gzip(out)) => out.finish()?,
            Some(Out::Zstd(out)) => out.finish()?,
            None => return Err(broken()),
        };
        file.flush()?;
        file.get_ref().sync_data()?;
        self.note.size_bytes = file.stream_position()?;
        self.doubtful_bytes = 0;
        self.out = Some(self.form.begin(file)?);
        // Under another name first: a note that is torn would cut the file in the wrong place.
        let (new, note) = (
            beside(&self.path, "resume.new"),
            beside(&self.path, "resume"),
        );
        fs::write(&new, serde_json::to_vec(&self.note)?)?;
        fs::rename(new, note)
    }
}

impl Form {
    fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstd,
            _ => Self::Plain,
        }
    }

    fn begin(self, file: BufWriter<File>) -> io::Result<Out> {
        Ok(match self {
            Self::Plain => Out::Plain(file),
            Self::Gzip => Out::Gzip(Box::new(GzEncoder::new(file, Compression::default()))),
            Self::Zstd => Out::Zstd(Box::new(zstd::stream::write::Encoder::new(file, 0)?)),
        })
    }
}

/// After a failure there is nothing left to write to.
fn broken() -> io::Error {
    io::Error::other("an earlier write failed")
}

/// The note, when there is one and the file is as long as it says.
fn read_note(path: &Path) -> Option<Note> {
    let note: Note = serde_json::from_slice(&fs::read(beside(path, "resume")).ok()?).ok()?;
    let size_bytes = fs::metadata(beside(path, "partial")).ok()?.len();
    (note.size_bytes <= size_bytes).then_some(note)
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::{BufReader, Read};

    use super::*;

    const REACHED: Reached = Reached { seq: 0, events: 1 };

    fn unpacked(path: &Path) -> String {
        let file = BufReader::new(File::open(path).unwrap());
        let mut text = String::new();
        match Form::of(path) {
            Form::Plain => BufReader::new(file).read_to_string(&mut text),
            Form::Gzip => flate2::bufread::MultiGzDecoder::new(file).read_to_string(&mut text),
            Form::Zstd => zstd::stream::read::Decoder::with_buffer(file)
                .unwrap()
                .read_to_string(&mut text),
        }
        .unwrap();
        text
    }

    #[test]
    fn a_file_that_was_left_behind_is_taken_up_where_it_is_good() {
        for name in ["events.jsonl", "events.jsonl.gz", "events.jsonl.zst"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            let mut file = OutFile::open(&path, 4).unwrap();
            assert!(!file.is_resumed());
            file.write(b"five\n", Reached { seq: 5, ..REACHED })
                .unwrap();
            file.make_good().unwrap();
            // Killed: this was written and never made good.
            file.write(b"six\n", Reached { seq: 6, ..REACHED }).unwrap();
            drop(file);
            assert!(!path.exists());

            let mut file = OutFile::open(&path, 4).unwrap();
            assert_eq!(
                (file.is_resumed(), file.after(), file.events()),
                (true, 5, 1)
            );
            file.write(b"six\n", Reached { seq: 6, ..REACHED }).unwrap();
            assert_eq!(file.finish().unwrap(), 2);
            assert_eq!(unpacked(&path), "five\nsix\n", "{name}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn what_an_export_of_another_range_left_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut file = OutFile::open(&path, 0).unwrap();
        file.write(b"one\n", Reached { seq: 1, ..REACHED }).unwrap();
        file.make_good().unwrap();
        drop(file);
        let mut file = OutFile::open(&path, 4).unwrap();
        assert!(!file.is_resumed());
        file.write(b"five\n", Reached { seq: 5, ..REACHED })
            .unwrap();
        file.finish().unwrap();
        assert_eq!(unpacked(&path), "five\n");
    }
}
