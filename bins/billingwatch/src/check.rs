//! `billingwatch check`: reads the configuration as `serve` would and says what it amounts to.

use std::io::Write;

use billingwatch_pipeline::{Clock, SystemClock};

use crate::cli::CheckArgs;
use crate::config::{self, Config, Environment, Mode, Overrides};
use crate::detectors;
use crate::exit::Ended;
use crate::serve;

/// Checks, and prints a summary that holds no secret.
///
/// # Errors
/// What `serve` would refuse to start with.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<Ended> {
    let overrides = Overrides {
        config: args.config.config.clone(),
        is_dev: args.dev,
        ..Overrides::default()
    };
    let factories = detectors::all();
    let specs = detectors::specs(&factories);
    let config = config::load(&overrides, &Environment::read()?, &specs)?.close()?;
    let mut out = std::io::stdout().lock();
    write!(out, "{}", summary(&config, &tls(&config)?))?;
    Ok(Ended::Well)
}

/// The names of the channels that are on.
fn channels(config: &Config) -> String {
    // They were built once already, when the configuration was read.
    let built = billingwatch_alert::build(&config.alert).unwrap_or_default();
    let names: Vec<&str> = built.iter().map(|channel| channel.name()).collect();
    if names.is_empty() {
        "nobody: no channel is set".to_owned()
    } else {
        names.join(", ")
    }
}

/// What the certificate amounts to. One that has ended is told and not refused: it may be renewed
/// while the server runs.
fn tls(config: &Config) -> anyhow::Result<String> {
    let Some(files) = serve::tls_files(config) else {
        return Ok("off: a reverse proxy answers https".to_owned());
    };
    let certificate = files.load()?;
    if let Some(warning) = certificate.standing(SystemClock.now()).warning() {
        return Ok(format!("WARNING: {warning}"));
    }
    Ok(match certificate.ends_at() {
        Some(ends_at) => format!("on: the certificate holds until {ends_at}"),
        None => "on".to_owned(),
    })
}

/// A line for each thing that is on.
fn summary(config: &Config, tls: &str) -> String {
    let file = config.path.as_ref().map_or_else(
        || "no config file; defaults and environment".to_owned(),
        |path| format!("{} and environment", path.display()),
    );
    let mode = match config.mode {
        Mode::Production => "production: signatures and tokens are required",
        Mode::Development => "development: loopback only, no token",
    };
    let sources: Vec<String> = config
        .sources
        .iter()
        .map(|(name, source)| match source.secrets.len() {
            1 => format!("{name} (1 secret)"),
            len => format!("{name} ({len} secrets)"),
        })
        .collect();
    let off = config
        .detectors
        .iter()
        .filter(|change| change.is_enabled == Some(false))
        .count();
    let changed: usize = config
        .detectors
        .iter()
        .map(|change| change.values.iter().count())
        .sum();
    format!(
        "The configuration is good.\n\
         read from   {file}\n\
         mode        {mode}\n\
         listens on  {}:{}\n\
         tls         {tls}\n\
         store       {}\n\
         sources     {}\n\
         alerts to   {}\n\
         detectors   {} on, {off} off, {changed} settings changed\n\
         time zone   {}\n",
        config.server.host,
        config.server.port,
        config.store.shown_url(),
        sources.join(", "),
        channels(config),
        config.detectors.len() - off,
        config.calendar.name(),
    )
}
