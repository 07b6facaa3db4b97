//! What happened, as a number always and in words when asked for.

use billingwatch_core::time::{Span, Timestamp};

use crate::stripe::START;

/// The most lines kept: the end is what tells why.
const LINES_MAX: usize = 5_000;

#[derive(Debug)]
pub(crate) struct Trace {
    lines: Option<Vec<String>>,
    fingerprint: u64,
}

impl Trace {
    pub(crate) const fn new(with_lines: bool) -> Self {
        Self {
            lines: if with_lines { Some(Vec::new()) } else { None },
            // FNV-1a's offset basis.
            fingerprint: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// Notes what happened; the words are made only when they are wanted.
    pub(crate) fn note(
        &mut self,
        now: Timestamp,
        kind: u8,
        of: u64,
        words: impl FnOnce() -> String,
    ) {
        let at = now.as_millis().to_le_bytes();
        for byte in at.into_iter().chain([kind]).chain(of.to_le_bytes()) {
            self.fingerprint ^= u64::from(byte);
            self.fingerprint = self.fingerprint.wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(lines) = &mut self.lines {
            if lines.len() == LINES_MAX {
                lines.drain(..LINES_MAX / 2);
            }
            lines.push(format!("+{} {}", clock(now.since(START)), words()));
        }
    }

    pub(crate) const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.clone().unwrap_or_default()
    }
}

fn clock(span: Span) -> String {
    let (secs, millis) = (span.as_secs(), span.as_millis() % 1000);
    let (hours, minutes) = (secs / 3600, secs / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{millis:03}", secs % 60)
}
