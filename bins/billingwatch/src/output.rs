//! What people read on a terminal: where colour is wanted, and how errors look.

use std::io::{IsTerminal, Write};

/// A style of the terminal, by its SGR code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// For what must be seen.
    Red,
    /// For what deserves a look.
    Yellow,
    /// For what went well.
    Green,
    /// For names.
    Cyan,
    /// For what may be overlooked.
    Dim,
    /// For headings.
    Bold,
}

/// Colours text, or leaves it alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    is_on: bool,
}

impl Paint {
    /// For standard output: colour on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) fn stdout() -> Self {
        Self {
            is_on: std::io::stdout().is_terminal() && wants_color(),
        }
    }

    /// For standard error.
    pub(crate) fn stderr() -> Self {
        Self {
            is_on: std::io::stderr().is_terminal() && wants_color(),
        }
    }

    /// The text in a style.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if !self.is_on {
            return text.to_owned();
        }
        let code = match style {
            Style::Red => "1;31",
            Style::Yellow => "33",
            Style::Green => "32",
            Style::Cyan => "36",
            Style::Dim => "2",
            Style::Bold => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

fn wants_color() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Says what went wrong. A standard error that is closed cannot be told.
pub(crate) fn error(message: &str) {
    let label = Paint::stderr().paint(Style::Red, "error:");
    let _ = writeln!(std::io::stderr().lock(), "{label} {message}");
}

/// A line of the output proper.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Says something beside the output proper.
pub(crate) fn note(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{message}");
}
