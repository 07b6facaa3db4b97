//! `billingwatch completions`: a completion script for a shell.

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs};
use crate::exit::Ended;

/// Writes the script to standard output.
///
/// # Errors
/// Never; clap writes what it can.
pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<Ended> {
    let mut command = Cli::command();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "billingwatch", &mut script);
    std::io::Write::write_all(&mut std::io::stdout().lock(), &script)?;
    Ok(Ended::Well)
}
