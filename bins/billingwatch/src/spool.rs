//! The spool of `serve`: where events wait while PostgreSQL is away.

use std::sync::Arc;

use billingwatch_store::{Spool, SpoolOptions};

use crate::config;
use crate::migrate;

/// Opens the spool; `None` for SQLite, which lies on this machine as the spool would, and where it is
/// switched off.
///
/// # Errors
/// When the file that was named cannot be used. Where nobody named one, and the working directory
/// takes no file, `serve` does without and says so.
pub(crate) fn open(store: &config::Store) -> anyhow::Result<Option<Arc<Spool>>> {
    let (Some(wanted), Some(database)) = (&store.spool, migrate::options(store).database_name()?)
    else {
        return Ok(None);
    };
    let options = SpoolOptions {
        path: wanted.path.clone(),
        size_bytes_max: wanted.size_bytes_max,
        database,
    };
    match Spool::open(&options) {
        Ok(spool) => {
            tracing::info!(
                spool.path = %spool.path().display(),
                spool.entries = spool.usage().entries,
                "events wait in {} while the database is away",
                spool.path().display()
            );
            Ok(Some(Arc::new(spool)))
        }
        Err(error) if error.is_transient() && !wanted.is_named => {
            tracing::warn!(
                error = %error,
                "there is no spool, and events are refused while the database is away: set store.spool: {error}"
            );
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
