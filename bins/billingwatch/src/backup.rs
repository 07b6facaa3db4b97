//! `billingwatch backup`: a copy of the SQLite journal, beside a running server.

use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context, bail};
use billingwatch_store::Backup;

use crate::cli::BackupArgs;
use crate::config::{self, Environment, Overrides};
use crate::exit::Ended;
use crate::{detectors, migrate, output};

/// Writes the copy under another name, checks it, syncs it, and gives it its name.
///
/// # Errors
/// When the file is there already, the journal is in PostgreSQL, or either cannot be used.
pub(crate) fn run(args: &BackupArgs) -> anyhow::Result<Ended> {
    let overrides = Overrides {
        config: args.config.config.clone(),
        database_url: args.database_url.clone(),
        ..Overrides::default()
    };
    let factories = detectors::all();
    let config = config::load(
        &overrides,
        &Environment::read()?,
        &detectors::specs(&factories),
    )?;
    let file = &args.file;
    if file.exists() {
        bail!("{}: is there already", file.display());
    }
    let store = migrate::open_existing(&config.store)?;
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let wrong = || format!("{}: cannot be written", file.display());
    if partial.exists() {
        // An earlier run's, that was stopped.
        fs::remove_file(&partial).with_context(wrong)?;
    }
    match store.backup(&partial)? {
        Backup::Written => {}
        Backup::NotAFile => bail!("the journal is in PostgreSQL: use pg_dump, or `export`"),
    }
    let written = File::options().write(true).open(&partial);
    let written = written.with_context(wrong)?;
    written.sync_all().with_context(wrong)?;
    let size_bytes = written.metadata().with_context(wrong)?.len();
    fs::rename(&partial, file).with_context(wrong)?;
    output::note(&format!("{}: {size_bytes} bytes, checked", file.display()));
    Ok(Ended::Well)
}
