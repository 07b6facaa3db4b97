//! `billingwatch backtest`: what would have fired on recorded or stored events and, with labels,
//! how right that is; two settings side by side with `--compare`. Which alert belongs to which label is the
//! simulator's `scoring`.

mod report;
mod run;

use std::fs::File;
use std::path::Path;

use anyhow::{Context, bail};
use billingwatch_core::engine::{Registry, SettingsChange};
use billingwatch_core::time::Timestamp;
use billingwatch_simulator::Label;
use billingwatch_store::Store;

use crate::assignments;
use crate::cli::BacktestArgs;
use crate::config::{self, Environment, Overrides};
use crate::exit::Ended;
use crate::{migrate, output, since};

use run::{Recording, Run};

/// Runs the recording, or what is stored, once or twice.
///
/// # Errors
/// When the settings are refused, or a file cannot be read.
pub(crate) fn run(args: &BacktestArgs) -> anyhow::Result<Ended> {
    let registry = Registry::standard();
    let since = args.since.as_deref().map(since::parse).transpose()?;
    let specs: Vec<_> = registry.specs().collect();
    let overrides = Overrides {
        config: args.config.config.clone(),
        database_url: args.database_url.clone(),
        ..Overrides::default()
    };
    let config = config::load(&overrides, &Environment::read()?, &specs)?;
    let store = args
        .from_store
        .then(|| migrate::open_existing(&config.store))
        .transpose()?;
    let recording = match (&store, &args.events) {
        (Some(store), _) => Recording::Stored(store),
        (None, Some(path)) => Recording::File(path),
        (None, None) => bail!("name a file of events, or say --from-store"),
    };
    let mut settings = config.detectors;
    if let Some(store) = &store {
        settings.extend(of_single_sources(store)?);
    }
    let settings = assignments::apply(settings, "--set", &args.set, &specs)?;
    let registry = registry.clone().in_zone(config.calendar);
    let labels = args.labels.as_deref().map(read_labels).transpose()?;
    let labels = labels.map(|labels| judged(labels, since));
    let mut all_settings = vec![settings.clone()];
    if !args.compare.is_empty() {
        all_settings.push(assignments::apply(
            settings,
            "--compare",
            &args.compare,
            &specs,
        )?);
    }

    let mut runs = Vec::with_capacity(all_settings.len());
    for settings in &all_settings {
        runs.push(Run::over(
            &recording,
            since,
            &registry,
            settings,
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

/// What was set through the API for one source alone. For all sources the config file has the last
/// word, as it has at each start of `serve`.
fn of_single_sources(store: &Store) -> anyhow::Result<Vec<SettingsChange>> {
    let in_force = store.list_settings()?.into_iter().map(|row| row.change);
    Ok(in_force.filter(|change| change.source.is_some()).collect())
}

/// Labels of what began before cannot all be found by what fires since.
fn judged(mut labels: Vec<Label>, since: Option<Timestamp>) -> Vec<Label> {
    labels.retain(|label| since.is_none_or(|since| label.starts_at >= since.as_secs()));
    labels
}

fn read_labels(path: &Path) -> anyhow::Result<Vec<Label>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    serde_json::from_reader(std::io::BufReader::new(file))
        .with_context(|| format!("{}: not a list of labels", path.display()))
}
