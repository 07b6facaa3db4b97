//! Checks and generated pages of this repository: `cargo run -p xtask -- --help`.

mod detection;
mod doc_examples;
mod docs;
mod tidy;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Checks and generated pages of the BillingWatch repository")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Writes the generated parts of the docs; with --check, only says whether they are current.
    Docs {
        /// Change nothing; fail when something would change.
        #[arg(long)]
        check: bool,
    },
    /// Checks what lints cannot: module headers, arrows between crates, paired migrations.
    Tidy,
    /// Runs the detectors over simulated merchants and prints recall, false alarms and delay.
    Detection(detection::Options),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Docs { check } => docs::run(check),
        Task::Tidy => tidy::run(),
        Task::Detection(options) => detection::run(&options),
    }
}
