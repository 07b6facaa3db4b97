//! Values as they are written, before anything is made of them, and where each was written.

use std::fmt;
use std::path::PathBuf;

/// A setting's value, typed no further than TOML types it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
    /// A text; empty means that nothing is set.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}

impl Value {
    /// Whether it says nothing: an empty text or list, as in `SMTP_HOST=`.
    pub(crate) fn is_unset(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Int(_) | Self::Bool(_) => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Text(value) => write!(f, "`{value}`"),
            Self::List(items) => write!(f, "a list of {}", items.len()),
        }
    }
}

/// Where a value was written: errors begin with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `billingwatch.default.toml`, part of the binary.
    Default,
    /// A config file.
    File {
        /// Which.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable, or a line of `.env`.
    Env(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("billingwatch.default.toml"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What was written.
    pub(crate) value: Value,
    /// Where.
    pub(crate) origin: Origin,
}
