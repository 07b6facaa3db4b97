//! `billingwatch backtest`: what would have fired on recorded events and, with labels, how right
//! that is; two settings side by side with `--compare`. Which alert belongs to which label is the
//! simulator's `scoring`.

mod report;
mod run;

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use billingwatch_core::engine::Registry;
use billingwatch_simulator::Label;

use crate::assignments;
use crate::cli::BacktestArgs;
use crate::config::{self, Environment, Overrides};
use crate::exit::Ended;
use crate::output;

use run::Run;

/// Runs the recording once, or twice.
///
/// # Errors
/// When the settings are refused, or a file cannot be read.
pub(crate) fn run(args: &BacktestArgs) -> anyhow::Result<Ended> {
    let registry = Registry::standard();
    let specs: Vec<_> = registry.specs().collect();
    let overrides = Overrides {
        config: args.config.config.clone(),
        ..Overrides::default()
    };
    let config = config::load(&overrides, &Environment::read()?, &specs)?;
    let settings = assignments::apply(config.detectors, "--set", &args.set, &specs)?;
    let labels = args.labels.as_deref().map(read_labels).transpose()?;
    let other = if args.compare.is_empty() {
        None
    } else {
        Some(assignments::apply(
            settings.clone(),
            "--compare",
            &args.compare,
            &specs,
        )?)
    };

    let mut runs = vec![Run::over(
        &args.events,
        &registry,
        &settings,
        labels.as_deref(),
    )?];
    if let Some(other) = other {
        runs.push(Run::over(
            &args.events,
            &registry,
            &other,
            labels.as_deref(),
        )?);
    }
    output::say(&if args.json {
        report::json(&runs, labels.is_some())?
    } else {
        report::text(&runs, labels.as_deref())
    })?;
    Ok(if runs.iter().any(|run| run.report.bad_lines > 0) {
        Ended::WithBadLines
    } else {
        Ended::Well
    })
}

fn read_labels(path: &Path) -> anyhow::Result<Vec<Label>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    serde_json::from_reader(std::io::BufReader::new(file))
        .with_context(|| format!("{}: not a list of labels", path.display()))
}
