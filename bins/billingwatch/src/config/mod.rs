//! What the binary is told: `billingwatch.toml`, then the environment, then the command line.
//!
//! The embedded `billingwatch.default.toml` is the lowest layer, so it is both the defaults and
//! their reference. Values stay untyped, each with where it was written, until all layers are in;
//! only then are they made into [`Config`]. Building channels, servers and engines of it is the
//! work of the subcommands.

mod channels;
mod env;
mod error;
mod file;
mod keys;
mod layers;
#[cfg(test)]
mod reference;
mod secret;
mod sections;
#[cfg(test)]
mod tests;
mod value;

use std::path::{Path, PathBuf};

use billingwatch_core::detector::DetectorSpec;

pub(crate) use env::Environment;
pub(crate) use error::ConfigError;
use layers::Layers;
pub(crate) use sections::{Config, Log, LogFormat, Mode, Store};

/// Every key with its default and one comment: the lowest layer, and the reference.
pub(crate) const DEFAULTS: &str = include_str!("../../../../billingwatch.default.toml");

/// The last line of it that is written by hand: below it stand the detectors' settings, as their
/// specs tell them. The specs are what holds, so only tests read that part.
const DETECTORS_BELOW: &str = "# Detectors: the rest of this file is written from their specs; \
                               `billingwatch detectors <name>` says more.";

/// The file that is read when it is there and no other is named.
const DEFAULT_PATH: &str = "billingwatch.toml";

/// What the command line says; it has the last word.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// `--dev`.
    pub(crate) is_dev: bool,
    /// `--host`.
    pub(crate) host: Option<String>,
    /// `--port`.
    pub(crate) port: Option<u16>,
    /// `--database-url`.
    pub(crate) database_url: Option<String>,
}

/// Reads all layers.
///
/// # Errors
/// The first thing wrong, in the order of the layers.
pub(crate) fn load(
    overrides: &Overrides,
    environment: &Environment,
    specs: &[&DetectorSpec],
) -> Result<Config, ConfigError> {
    let mut layers = Layers::new();
    layers.add_file(
        &file::Source {
            path: None,
            text: DEFAULTS.split(DETECTORS_BELOW).next().unwrap_or_default(),
        },
        specs,
    )?;
    let path = config_path(overrides, environment)?;
    if let Some(path) = &path {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.clone(),
            error,
        })?;
        layers.add_file(
            &file::Source {
                path: Some(path),
                text: &text,
            },
            specs,
        )?;
    }
    layers.add_environment(environment)?;
    layers.add_overrides(overrides)?;
    sections::build(&layers, path, specs)
}

/// `--config`, else `BILLINGWATCH_CONFIG`, else `./billingwatch.toml` where there is one.
fn config_path(
    overrides: &Overrides,
    environment: &Environment,
) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(path) = &overrides.config {
        return Ok(Some(path.clone()));
    }
    if let Some(path) = environment.get("BILLINGWATCH_CONFIG")? {
        return Ok(Some(PathBuf::from(path)));
    }
    let usual = Path::new(DEFAULT_PATH);
    Ok(usual.exists().then(|| usual.to_owned()))
}
