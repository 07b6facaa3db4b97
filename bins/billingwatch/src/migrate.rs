//! `billingwatch migrate`: brings the store's tables up to date, and opens stores for the others.

use std::io::Write;

use billingwatch_store::{Store, StoreError, StoreOptions};

use crate::cli::MigrateArgs;
use crate::config::{self, Environment, Overrides};
use crate::detectors;
use crate::exit::Ended;

/// Connects, without migrating.
///
/// # Errors
/// What the database says, without its password.
pub(crate) fn open(config: &config::Store) -> Result<Store, StoreError> {
    Store::open(&options(config))
}

/// How to reach the store.
pub(crate) fn options(config: &config::Store) -> StoreOptions {
    StoreOptions {
        url: config.database_url.reveal().to_owned(),
        reader_connections: config.reader_connections,
        connect_timeout: config.connect_timeout,
    }
}

/// Connects to a store that is there: for commands that only read, and must not leave an empty file
/// behind where a name was mistyped.
///
/// # Errors
/// When it is not there, or what the database says.
pub(crate) fn open_existing(config: &config::Store) -> anyhow::Result<Store> {
    let options = StoreOptions::new(config.database_url.reveal());
    if !options.is_there()? {
        anyhow::bail!("{}: there is no such file", config.shown_url());
    }
    Ok(open(config)?)
}

/// Migrates, and names what ran.
///
/// # Errors
/// When the store cannot be reached or changed, or is newer than this program.
pub(crate) fn run(args: &MigrateArgs) -> anyhow::Result<Ended> {
    let overrides = Overrides {
        config: args.config.config.clone(),
        database_url: args.database_url.clone(),
        ..Overrides::default()
    };
    let factories = detectors::all();
    let specs = detectors::specs(&factories);
    let config = config::load(&overrides, &Environment::read()?, &specs)?;
    let names = open(&config.store)?.migrate()?;
    let mut out = std::io::stdout().lock();
    let place = config.store.shown_url();
    if names.is_empty() {
        writeln!(out, "{place} is up to date.")?;
    }
    for name in names {
        writeln!(out, "{place}: ran {name}")?;
    }
    Ok(Ended::Well)
}
