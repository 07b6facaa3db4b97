//! What every handler reads: the services it was started with and its own counters.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use billingwatch_core::detector::DetectorSpec;
use billingwatch_core::engine::Registry;
use billingwatch_core::time::Timestamp;
use billingwatch_pipeline::{Clock, Ingest, PipelineStatus};
use billingwatch_store::{NewEntry, Store};

use crate::auth::Gate;
use crate::config::{Limits, ServerConfig, SourceConfig};
use crate::error::ApiError;
use crate::failures::Failures;
use crate::telemetry::Telemetry;

/// The longest that anybody waits for a commit: below the half minute after which senders are known to
/// hang up. A person's word waits so long in any case.
const DURABLE_TIMEOUT_MAX: Duration = Duration::from_secs(20);

/// Reads how the pipeline fares; costs no query.
pub type StatusReader = Arc<dyn Fn() -> PipelineStatus + Send + Sync>;

/// What the server stands on. It holds no detector: it appends, and reads what is stored.
#[derive(Clone)]
pub struct Services {
    /// Where events, alerts and deliveries are read.
    pub store: Store,
    /// Where verified events are left.
    pub ingest: Ingest,
    /// How the pipeline fares.
    pub status: StatusReader,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Which detectors run.
    pub registry: Registry,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// The services, with what the server keeps of its own.
pub(crate) struct AppState {
    pub(crate) store: Store,
    pub(crate) ingest: Ingest,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) detectors: Vec<DetectorSpec>,
    pub(crate) gate: Gate,
    /// Tokens that were none.
    pub(crate) guesses: Failures,
    /// Signatures that were none.
    pub(crate) forgeries: Failures,
    pub(crate) sources: BTreeMap<String, SourceConfig>,
    pub(crate) limits: Limits,
    pub(crate) telemetry: Telemetry,
    pub(crate) started_at: Timestamp,
    status: StatusReader,
    pub(crate) is_stopping: Arc<AtomicBool>,
}

impl AppState {
    pub(crate) fn new(config: ServerConfig, services: Services) -> Result<Self, prometheus::Error> {
        let telemetry = Telemetry::new(config.sources.keys().map(String::as_str))?;
        Ok(Self {
            gate: Gate::new(&config.access),
            guesses: Failures::default(),
            forgeries: Failures::default(),
            sources: config.sources,
            limits: config.limits,
            telemetry,
            started_at: services.clock.now(),
            store: services.store,
            ingest: services.ingest,
            clock: services.clock,
            detectors: services.registry.specs().cloned().collect(),
            status: services.status,
            is_stopping: Arc::default(),
        })
    }

    pub(crate) fn pipeline(&self) -> PipelineStatus {
        (self.status)()
    }

    /// Asks the store something on a thread that may wait.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Store) -> Result<T, billingwatch_store::StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let store = self.store.clone();
        let asked = actix_web::web::block(move || {
            stand_back();
            ask(&store)
        });
        Ok(asked.await??)
    }

    /// How long a webhook waits to be durable. A slow disk is slow for all: answering 503 to what is
    /// kept a moment later would have it sent again and again.
    pub(crate) fn durable_timeout(&self) -> Duration {
        let usual = self.ingest.counters().usual_commit();
        let patient = usual.saturating_mul(3).min(DURABLE_TIMEOUT_MAX);
        self.limits.durable_timeout.max(patient)
    }

    /// Leaves an entry in the journal; its sequence number, once it is durable.
    pub(crate) async fn enter(&self, entry: NewEntry) -> Result<i64, ApiError> {
        let unavailable = || ApiError::unavailable("it could not be kept; send it again");
        let receipt = self.ingest.submit(entry).map_err(|_| unavailable())?;
        let received = actix_web::rt::time::timeout(DURABLE_TIMEOUT_MAX, receipt)
            .await
            .map_err(|_| unavailable())?
            .map_err(|_| unavailable())?;
        received.seq.ok_or_else(unavailable)
    }

    /// No new work should be sent here: a stop has begun.
    pub(crate) fn begin_stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }
}

/// How much less of a busy machine a thread gets that answers questions: one tenth of what a thread
/// gets that takes events in. On an idle one it has all it wants.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Lets events go first, once for each thread: on Linux niceness is a thread's own. What such a
/// thread writes, a person has asked for (a mark, a verdict): one short transaction, for which
/// events then wait some milliseconds longer on a busy machine.
#[cfg(target_os = "linux")]
fn stand_back() {
    thread_local! {
        static STANDS_BACK: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }
    if !STANDS_BACK.replace(true) {
        // Refused, it is as before.
        let _ = rustix::process::nice(NICENESS);
    }
}

#[cfg(not(target_os = "linux"))]
const fn stand_back() {}
