//! Starts the log: lines for people in development, one JSON object a line in production.

use std::io::IsTerminal;

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts the log on standard error.
///
/// # Errors
/// When the filter cannot be read (the configuration has checked it) or a log runs already.
pub(crate) fn start(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(directives(&log.level))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Human => builder.compact().with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow!("the log cannot start: {error}"))
}

/// At `info` the HTTP server's own words about its workers say nothing to an operator.
fn directives(level: &str) -> String {
    match level {
        "info" => "info,actix_server=warn".to_owned(),
        other => other.to_owned(),
    }
}
