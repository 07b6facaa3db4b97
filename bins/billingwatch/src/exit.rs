//! How a run ends: its exit code, and the one line that says why.

use std::process::ExitCode;

use billingwatch_core::detector::SettingsError;
use billingwatch_pipeline::StartError;
use billingwatch_pipeline::replay::ReplayError;
use billingwatch_server::TlsError;
use billingwatch_store::StoreError;

use crate::config::ConfigError;
use crate::output;

/// What a subcommand ends with when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It worked.
    Well,
    /// `replay`, `import`: some lines could not be read.
    WithBadLines,
    /// `demo --exit`: a detector did not find its incident.
    WithoutAlert,
}

/// A command line that clap cannot judge, such as a `--set` that is no `key=value`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// The exit code; an error is said on standard error first.
pub(crate) fn code(result: anyhow::Result<Ended>) -> ExitCode {
    match result {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::WithBadLines) => ExitCode::from(3),
        Ok(Ended::WithoutAlert) => ExitCode::FAILURE,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&format!("{error:#}"));
            if is_usage(&error) {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn is_usage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.is::<UsageError>()
            || cause.is::<SettingsError>()
            || cause.is::<TlsError>()
            || matches!(cause.downcast_ref(), Some(StartError::Settings(_)))
            || matches!(cause.downcast_ref(), Some(StoreError::BadUrl { .. }))
    })
}

/// Whoever reads our output has seen enough, as in `billingwatch detectors | head -1`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = match cause.downcast_ref() {
            Some(ReplayError::Write(error)) => Some(error),
            _ => cause.downcast_ref::<std::io::Error>(),
        };
        io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
