//! `billingwatch simulate`: a simulated merchant's events as a recording for `replay` and
//! `backtest`, with labels that say what is wrong in them. How a merchant is simulated stands in
//! the simulator; this places the incidents and writes the files.

mod files;
mod plan;

use std::collections::BTreeMap;
use std::io::IsTerminal;

use anyhow::Context;
use billingwatch_core::time::Timestamp;
use billingwatch_simulator::{ApiShape, DeliveryModel, Label, World, WorldConfig};
use chrono::NaiveTime;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::SimulateArgs;
use crate::exit::{Ended, UsageError};
use crate::output;
use crate::words::{grouped, minute};

use files::Files;

/// Events between two looks at the progress bar.
const PROGRESS_EVENTS: u64 = 4096;

/// Simulates and writes.
///
/// # Errors
/// When the arguments make no world, files of an earlier run are in the way, or one cannot be
/// written.
pub(crate) fn run(args: &SimulateArgs) -> anyhow::Result<Ended> {
    let config = config(args)?;
    let mut files = Files::create(&args.out, args.gzip, args.force)?;
    let mut world = World::new(&config).map_err(|error| UsageError(error.to_string()))?;

    let bar = bar(u64::from(config.days));
    let mut events = 0_u64;
    for event in world.by_ref() {
        files
            .event(&event)
            .with_context(|| format!("{}: cannot be written", files.events_path().display()))?;
        events += 1;
        if events.is_multiple_of(PROGRESS_EVENTS) {
            let days = (event.received_at_ms / 1000 - config.start_at) / 86_400;
            bar.set_position(u64::try_from(days).unwrap_or(0));
            bar.set_message(format!("{} events", grouped(events)));
        }
    }
    bar.finish_and_clear();
    let labels = world.labels();
    let bytes = files.finish(labels)?;
    output::say(&summary(&config, labels, events, bytes, &files))?;
    Ok(Ended::Well)
}

fn config(args: &SimulateArgs) -> Result<WorldConfig, UsageError> {
    let start_at = args.start.and_time(NaiveTime::MIN).and_utc().timestamp();
    let kinds = plan::kinds(&args.incidents)?;
    let strengths = plan::strengths(&args.strength)?;
    let config = WorldConfig {
        seed: args.seed,
        merchant: args.merchant,
        shape: args.shape,
        start_at,
        days: args.days,
        incidents: plan::spread(start_at, args.days, &kinds, &strengths)?,
        oddities: true,
        delivery: DeliveryModel::Realistic,
    };
    config
        .validate()
        .map_err(|error| UsageError(error.to_string()))?;
    Ok(config)
}

fn bar(days: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} day {pos} of {len}  {msg}  {eta} left");
    let bar =
        ProgressBar::new(days).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_draw_target(if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    });
    bar
}

/// What was written, and what to do with it.
fn summary(
    config: &WorldConfig,
    labels: &[Label],
    events: u64,
    bytes: u64,
    files: &Files,
) -> String {
    let version = ApiShape::api_version(config.shape);
    let mut lines = vec![
        format!(
            "{}: {} days of a simulated merchant ({}, API {version}, seed {}) from {} UTC",
            files.events_path().display(),
            config.days,
            config.merchant,
            config.seed,
            minute(Timestamp::from_secs(config.start_at)),
        ),
        format!("  {} events, {} bytes", grouped(events), grouped(bytes)),
        format!(
            "{}: {} incidents",
            files.labels_path().display(),
            labels.len()
        ),
    ];
    let mut kinds: BTreeMap<&str, Vec<&Label>> = BTreeMap::new();
    for label in labels {
        kinds.entry(label.kind.as_str()).or_default().push(label);
    }
    for (kind, labels) in kinds {
        let told: Vec<String> = labels
            .iter()
            .map(|label| {
                let at = minute(Timestamp::from_secs(label.starts_at));
                format!("{at} {}", label.strength)
            })
            .collect();
        lines.push(format!("  {kind:<20}  {}", told.join(", ")));
    }
    lines.push(format!(
        "See how well the detectors do: billingwatch backtest {} --labels {}",
        files.events_path().display(),
        files.labels_path().display(),
    ));
    lines.join("\n")
}
