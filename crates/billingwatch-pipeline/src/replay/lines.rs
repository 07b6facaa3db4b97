//! Recorded events as lines: JSON Lines, plain, gzip or zstd, and what else people keep them in.
//!
//! Finds where each event begins and ends, and does not parse it: the event's bytes go to the same
//! parser as a webhook's body. A line is an event, `{"received_at": …, "event": …}` (see
//! [`crate::archive`] for what else stands in those that we write), or a list page; a file that
//! begins with an open bracket alone is read as pretty-printed documents.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use billingwatch_core::time::Timestamp;
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The longest line that is read. Stripe's bodies stay far below a megabyte; list pages of a
/// hundred events below a few.
pub const LINE_MAX_BYTES: usize = 32 * 1024 * 1024;

/// The longest pretty-printed file that is read: it has to be in memory as a whole.
pub const DOCUMENT_MAX_BYTES: usize = 256 * 1024 * 1024;

/// Times before and after which a recorded instant is taken for a mistake: Stripe began in 2010.
pub const PLAUSIBLE_SECS: std::ops::Range<i64> = 1_262_304_000..4_102_444_800;

const BUFFER_BYTES: usize = 256 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// RFC 8878, section 3.1.1.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// One event as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEvent<'a> {
    /// When it was received, where the recording says so.
    pub received_at: Option<Timestamp>,
    /// The source it came through, where the recording says so.
    pub source: Option<Cow<'a, str>>,
    /// The event's JSON.
    pub body: &'a [u8],
    /// How the bytes that were once received differ from `body`.
    pub layout: Layout<'a>,
}

/// How an event's bytes were brought into one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout<'a> {
    /// They stand there as they are.
    AsIs,
    /// Every newline was written as a tab, and there were no tabs.
    TabsForNewlines,
    /// They stand beside the event, in Base64.
    Beside(Cow<'a, str>),
}

impl<'a> RawEvent<'a> {
    const fn bare(body: &'a [u8]) -> Self {
        Self {
            received_at: None,
            source: None,
            body,
            layout: Layout::AsIs,
        }
    }

    /// Whether a glance was enough, given whether the event names an object. One that stands bare and
    /// names none may be a row of somebody's table, with a column `id` and the event in another.
    #[must_use]
    pub const fn is_settled(&self, names_object: bool) -> bool {
        names_object || self.received_at.is_some()
    }

    /// The bytes as they were received.
    ///
    /// # Errors
    /// When what stands beside the event is not Base64.
    pub fn received_bytes(&self) -> Result<Cow<'a, [u8]>, String> {
        match &self.layout {
            Layout::AsIs => Ok(Cow::Borrowed(self.body)),
            Layout::TabsForNewlines => {
                let back = |byte: &u8| if *byte == b'\t' { b'\n' } else { *byte };
                Ok(self.body.iter().map(back).collect())
            }
            Layout::Beside(text) => BASE64
                .decode(text.as_bytes())
                .map(Cow::Owned)
                .map_err(|error| format!("`body_base64` is not Base64: {error}")),
        }
    }
}

/// What a line holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// One event.
    Event(RawEvent<'a>),
    /// Several, as the API lists them: newest first.
    Page(Vec<RawEvent<'a>>),
}

/// Reads lines and remembers where it is.
pub struct Lines {
    input: Box<dyn BufRead>,
    bytes_read: Rc<Cell<u64>>,
    line: Vec<u8>,
    number: u64,
    is_started: bool,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// A piece of input: a line, or a whole file of documents.
#[derive(Debug)]
pub enum Chunk<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// Pretty-printed documents, from the current line to the end of the file.
    Documents(&'a [u8]),
    /// A line or file that is too long; its bytes are passed over.
    TooLong,
}

impl Lines {
    /// Reads from `input`, through gzip or zstd when it begins with their magic bytes.
    ///
    /// # Errors
    /// When the first bytes cannot be read.
    pub fn open(input: impl Read + 'static) -> io::Result<Self> {
        let bytes_read = Rc::new(Cell::new(0));
        let mut input = BufReader::with_capacity(
            BUFFER_BYTES,
            Counted {
                input,
                bytes_read: Rc::clone(&bytes_read),
            },
        );
        let mut magic = Vec::with_capacity(ZSTD_MAGIC.len());
        let magic_len = u64::try_from(ZSTD_MAGIC.len()).unwrap_or(4);
        input.by_ref().take(magic_len).read_to_end(&mut magic)?;
        let is_gzip = magic.starts_with(&GZIP_MAGIC);
        let is_zstd = magic == ZSTD_MAGIC;
        let whole = io::Cursor::new(magic).chain(input);
        let input: Box<dyn BufRead> = if is_gzip {
            Box::new(BufReader::with_capacity(
                BUFFER_BYTES,
                MultiGzDecoder::new(whole),
            ))
        } else if is_zstd {
            Box::new(BufReader::with_capacity(
                BUFFER_BYTES,
                zstd::stream::read::Decoder::with_buffer(whole)?,
            ))
        } else {
            Box::new(whole)
        };
        Ok(Self {
            input,
            bytes_read,
            line: Vec::new(),
            number: 0,
            is_started: false,
        })
    }

    /// Bytes taken from the input so far, as they are there: compressed, if they are.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.get()
    }

    /// The next piece that is not blank and the number of the line it begins on, from 1; `None` at
    /// the end.
    ///
    /// # Errors
    /// When the input cannot be read on, such as a gzip file that was cut off.
    pub fn next_chunk(&mut self) -> io::Result<Option<(u64, Chunk<'_>)>> {
        loop {
            self.line.clear();
            self.number += 1;
            let len = read_line(&mut self.input, &mut self.line, LINE_MAX_BYTES)?;
            if len == 0 {
                return Ok(None);
            }
            if self.line.len() > LINE_MAX_BYTES {
                self.is_started = true;
                return Ok(Some((self.number, Chunk::TooLong)));
            }
            if !self.is_started && self.line.starts_with(&BYTE_ORDER_MARK) {
                self.line.drain(..BYTE_ORDER_MARK.len());
            }
            if self.line.trim_ascii().is_empty() {
                continue;
            }
            let is_first = !std::mem::replace(&mut self.is_started, true);
            if is_first && is_open_ended(&self.line) {
                let number = self.number;
                return self.read_documents().map(|chunk| Some((number, chunk)));
            }
            return Ok(Some((self.number, Chunk::Line(self.line.trim_ascii()))));
        }
    }

    fn read_documents(&mut self) -> io::Result<Chunk<'_>> {
        let limit = u64::try_from(DOCUMENT_MAX_BYTES).unwrap_or(u64::MAX);
        (&mut self.input).take(limit).read_to_end(&mut self.line)?;
        if self.line.len() > DOCUMENT_MAX_BYTES {
            io::copy(&mut self.input, &mut io::sink())?;
            return Ok(Chunk::TooLong);
        }
        Ok(Chunk::Documents(&self.line))
    }
}

/// Reads up to and including a newline; keeps at most one byte more than `max` and passes over the
/// rest. How many bytes there were. (The standard library's way looks for the newline eight bytes at
/// a time, which took a twentieth of a replay.)
fn read_line(input: &mut dyn BufRead, line: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    let mut len = 0;
    loop {
        let buffer = match input.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = memchr::memchr(b'\n', buffer);
        let used = end.map_or(buffer.len(), |end| end + 1);
        let room = max.saturating_add(1).saturating_sub(line.len());
        line.extend_from_slice(buffer.get(..used.min(room)).unwrap_or_default());
        input.consume(used);
        len += used;
        if end.is_some() || used == 0 {
            return Ok(len);
        }
    }
}

/// A first line that opens a bracket and stops there: the file is pretty-printed. A line that was
/// merely cut off ends otherwise.
fn is_open_ended(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    matches!(line.first(), Some(b'{' | b'['))
        && matches!(line.last(), Some(b'{' | b'[' | b',' | b':'))
}

/// Splits documents; each with the number of the line it begins on. After one that is broken
/// nothing more can be found.
pub fn documents<'a>(
    bytes: &'a [u8],
    first_line: u64,
) -> impl Iterator<Item = (u64, Result<&'a [u8], String>)> {
    let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<&'a RawValue>();
    let mut counted = (0, first_line);
    std::iter::from_fn(move || {
        let from = stream.byte_offset();
        let gap = bytes.get(from..).unwrap_or_default();
        let start = from + (gap.len() - gap.trim_ascii_start().len());
        let passed = bytes.get(counted.0..start).unwrap_or_default();
        let newlines = passed.iter().filter(|byte| **byte == b'\n').count();
        counted = (
            start,
            counted
                .1
                .saturating_add(u64::try_from(newlines).unwrap_or(0)),
        );
        let next = stream.next()?;
        let document = next
            .map(|raw| raw.get().as_bytes())
            .map_err(|error| error.to_string());
        Some((counted.1, document))
    })
}

/// Takes a line in the two common forms for what its beginning says, without scanning it; `None`
/// for any other form. When the event parser then refuses the body, or
/// [finds too little in it](RawEvent::is_settled), [`classify`] has the last word.
#[must_use]
pub fn classify_at_a_glance(line: &[u8]) -> Option<RawEvent<'_>> {
    match first_key(line)? {
        b"id" => Some(RawEvent::bare(line)),
        b"received_at" => split_wrapped(line),
        _ => None,
    }
}

/// Finds the events in a line.
///
/// # Errors
/// Why there are none, in words. Whether an event's own bytes make sense is not looked at.
pub fn classify(line: &[u8]) -> Result<Line<'_>, String> {
    let event = |body| Line::Event(RawEvent::bare(body));
    if line.first() == Some(&b'[') {
        let raw: Vec<&RawValue> = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        return page(&raw);
    }
    // Whatever this look cannot read, such as a key given twice, the event parser judges.
    let Ok(probe) = serde_json::from_slice::<Probe<'_>>(line) else {
        return Ok(event(line));
    };
    if let Some(inner) = probe.event {
        return Ok(Line::Event(RawEvent {
            received_at: received_at(probe.received_at)?,
            source: probe.source,
            body: inner.get().as_bytes(),
            layout: match (probe.body_base64, probe.newlines.as_deref()) {
                (Some(text), _) => Layout::Beside(text),
                (None, None) => Layout::AsIs,
                (None, Some("tabs")) => Layout::TabsForNewlines,
                (None, Some(_)) => return Err("`newlines` can only be \"tabs\"".to_owned()),
            },
        }));
    }
    match (probe.object.as_deref(), probe.data) {
        (Some("list"), Some(data)) => {
            let raw: Vec<&RawValue> = serde_json::from_str(data.get())
                .map_err(|_| "a list page whose `data` is not an array".to_owned())?;
            page(&raw)
        }
        _ => Ok(event(line)),
    }
}

#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow, default)]
    received_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    newlines: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    body_base64: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

fn page<'a>(raw: &[&'a RawValue]) -> Result<Line<'a>, String> {
    let mut events = Vec::with_capacity(raw.len());
    for item in raw {
        match classify(item.get().as_bytes())? {
            Line::Event(event) => events.push(event),
            Line::Page(_) => return Err("a list within a list".to_owned()),
        }
    }
    Ok(Line::Page(events))
}

fn received_at(raw: Option<&RawValue>) -> Result<Option<Timestamp>, String> {
    match raw.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(text) => parse_seconds(text.as_bytes()).map(Some).ok_or_else(|| {
            "`received_at` must be Unix seconds between the years 2010 and 2100".to_owned()
        }),
    }
}

/// Unix seconds, with or without decimals, to the millisecond.
fn parse_seconds(text: &[u8]) -> Option<Timestamp> {
    let secs: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let millis = (secs * 1000.0).round();
    if !(1e12..1e13).contains(&millis) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "within bounds just checked"
    )]
    let at = Timestamp::from_millis(millis as i64);
    PLAUSIBLE_SECS.contains(&at.as_secs()).then_some(at)
}

/// The first key of an object, when it is written without escapes.
fn first_key(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"{")?.trim_ascii_start();
    let rest = rest.strip_prefix(b"\"")?;
    let end = rest.iter().take(32).position(|byte| *byte == b'"')?;
    rest.get(..end)
}

/// Splits `{"received_at": 1709599200.25, "event": {…}}` without scanning the event, which would
/// cost as much as half its parsing; `source` and `newlines` may stand between the two. What is
/// taken for the event may have a tail (`…}, "more": {}`); the event parser takes exactly one object
/// and refuses that.
fn split_wrapped(line: &[u8]) -> Option<RawEvent<'_>> {
    let rest = after_key(line.strip_prefix(b"{")?, b"\"received_at\"")?;
    let end = rest
        .iter()
        .take(32)
        .position(|byte| *byte == b',' || is_space(*byte))?;
    let (number, rest) = rest.split_at(end);
    if !is_plain_number(number) {
        return None;
    }
    let at = parse_seconds(number)?;
    let mut rest = after_comma(rest)?;
    let mut source = None;
    if let Some(after) = after_key(rest, b"\"source\"") {
        let (text, after) = plain_text(after)?;
        source = Some(Cow::Borrowed(text));
        rest = after_comma(after)?;
    }
    let mut layout = Layout::AsIs;
    if let Some(after) = after_key(rest, b"\"newlines\"") {
        let ("tabs", after) = plain_text(after)? else {
            return None;
        };
        layout = Layout::TabsForNewlines;
        rest = after_comma(after)?;
    }
    let rest = after_key(rest, b"\"event\"")?;
    let body = trim_end(rest.strip_suffix(b"}")?);
    (body.starts_with(b"{") && body.ends_with(b"}")).then_some(RawEvent {
        received_at: Some(at),
        source,
        body,
        layout,
    })
}

/// Digits with or without decimals, as JSON has them too; Rust would take `1.` and `+1` as well.
fn is_plain_number(text: &[u8]) -> bool {
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let is_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    !text.starts_with(b"0") && parts.all(is_digits)
}

/// What JSON takes for a space; other languages have more of them.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn trim_start(text: &[u8]) -> &[u8] {
    let from = text.iter().position(|byte| !is_space(*byte));
    text.get(from.unwrap_or(text.len())..).unwrap_or_default()
}

fn trim_end(text: &[u8]) -> &[u8] {
    let last = text.iter().rposition(|byte| !is_space(*byte));
    text.get(..last.map_or(0, |last| last + 1))
        .unwrap_or_default()
}

fn after_comma(text: &[u8]) -> Option<&[u8]> {
    trim_start(text).strip_prefix(b",")
}

/// A short text without escapes, and what follows it. One with control characters is no JSON.
fn plain_text(text: &[u8]) -> Option<(&str, &[u8])> {
    let rest = text.strip_prefix(b"\"")?;
    let end = rest.iter().take(256).position(|byte| *byte == b'"')?;
    let (inner, rest) = rest.split_at(end);
    if inner.iter().any(|byte| *byte == b'\\' || *byte < b' ') {
        return None;
    }
    Some((std::str::from_utf8(inner).ok()?, rest.get(1..)?))
}

fn after_key<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let rest = trim_start(text).strip_prefix(key)?;
    let rest = trim_start(rest).strip_prefix(b":")?;
    Some(trim_start(rest))
}

struct Counted<R> {
    input: R,
    bytes_read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.input.read(buffer)?;
        let total = self.bytes_read.get() + u64::try_from(len).unwrap_or(0);
        self.bytes_read.set(total);
        Ok(len)
    }
}
