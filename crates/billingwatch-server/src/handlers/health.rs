//! Is it alive, and can it do its work?
//!
//! Three answers: *alive* (anything but silence), *ready* (events are taken in), *degraded* (events
//! are taken in, and something else is wrong, with its reasons). A balancer must not take a server
//! away for being degraded: its events are kept all the same.
//!
//! Both routes are for machines that carry no token, so they tell numbers and states, never ids,
//! addresses or what a database said.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use billingwatch_pipeline::PipelineStatus;
use billingwatch_pipeline::operations::is_nearly_full;
use billingwatch_pipeline::status::CanaryStatus;
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::AppState;

/// A store that takes longer than this to give a sign of life is as good as away, and whoever asks
/// after our health has no more patience either.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// How the server fares.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`, or `degraded` with its reasons.
    #[schema(example = "ok")]
    status: &'static str,
    /// Events are taken in, whatever else is wrong.
    is_ready: bool,
    /// What is wrong, a sentence each.
    reasons: Vec<String>,
    /// The release that answers.
    version: &'static str,
    /// How long it has run.
    uptime_seconds: i64,
    /// What its work depends on.
    checks: Checks,
}

/// What the server's work depends on.
#[derive(Serialize, ToSchema)]
struct Checks {
    /// The journal's database.
    store: StoreCheck,
    /// The loop that runs the detectors.
    pump: PumpCheck,
    /// What comes in.
    ingest: IngestCheck,
    /// Where alerts go.
    channels: ChannelsCheck,
    /// Where the database lies.
    disk: DiskCheck,
    /// Entries of our own that go through the whole path now and then.
    canary: CanaryCheck,
    /// Where events wait while the database is away; `null` where there is no spool.
    spool: Option<SpoolCheck>,
}

/// Entries of our own that go through the whole path now and then.
#[derive(Serialize, ToSchema)]
struct CanaryCheck {
    /// Whether the newest came through within a minute; `null` before the first.
    is_passing: Option<bool>,
    /// When one last came through.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_passed_at: Option<String>,
    /// How long that one took, from the queue to the detectors' commit; `null` before the first.
    latency_seconds: Option<f64>,
}

/// Where events wait while the database is away.
#[derive(Serialize, ToSchema)]
struct SpoolCheck {
    /// Events go there now, not into the journal.
    is_in_use: bool,
    /// Events that wait for the journal.
    entries: u64,
    /// What they take.
    size_bytes: u64,
    /// What they may take: beyond it events are answered 503.
    size_bytes_max: u64,
    /// How long the first of them has waited.
    oldest_age_seconds: Option<i64>,
    /// Events that the journal refuses, kept all the same and tried again at the next start.
    set_aside: u64,
}

/// Where alerts go.
#[derive(Serialize, ToSchema)]
struct ChannelsCheck {
    /// How many there are.
    configured: usize,
    /// How many failed their last three attempts, or whose target is gone.
    failing: usize,
}

/// Where the database lies.
#[derive(Serialize, ToSchema)]
struct DiskCheck {
    /// Less than 512 MiB, or a tenth of it, are free; `null` where that cannot be told, as with PostgreSQL.
    is_nearly_full: Option<bool>,
}

/// The journal's database.
#[derive(Serialize, ToSchema)]
struct StoreCheck {
    /// It answered a query just now.
    is_reachable: bool,
}

/// The loop that runs the detectors.
#[derive(Serialize, ToSchema)]
struct PumpCheck {
    /// Rebuilt after the start, and at work.
    is_caught_up: bool,
    /// Journal rows the detectors have still to see.
    lag_rows: i64,
    /// How far they are behind the clock while rows wait.
    lag_seconds: i64,
}

/// What comes in.
#[derive(Serialize, ToSchema)]
struct IngestCheck {
    /// Events waiting for their durable commit.
    queue_len: usize,
    /// When the newest event arrived; `null` before the first.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_event_at: Option<String>,
}

/// Is it alive, and how does it fare?
///
/// 200 for as long as the process answers; `status` and `reasons` say whether it can do its work.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "getHealth",
    tag = "service",
    responses((status = 200, description = "Alive", body = Health)),
    security(())
)]
pub(crate) async fn show(state: Data<AppState>) -> HttpResponse {
    HttpResponse::Ok().json(look(&state).await)
}

/// Can it do its work?
///
/// The same answer as `/health`, with status 503 when events are not taken in (`is_ready` is
/// false): for load balancers and orchestrators.
#[utoipa::path(
    get,
    path = "/health/ready",
    operation_id = "getReadiness",
    tag = "service",
    responses(
        (status = 200, description = "Ready", body = Health),
        (status = 503, description = "Not ready; the reasons are in the body", body = Health),
    ),
    security(())
)]
pub(crate) async fn ready(state: Data<AppState>) -> HttpResponse {
    let health = look(&state).await;
    if health.is_ready {
        HttpResponse::Ok().json(health)
    } else {
        HttpResponse::ServiceUnavailable().json(health)
    }
}

async fn look(state: &AppState) -> Health {
    let pipeline = state.pipeline();
    let ping = state.query(|store| {
        store.ping()?;
        Ok(store.disk_space())
    });
    let answer = actix_web::rt::time::timeout(PING_TIMEOUT, ping).await;
    let (is_reachable, disk) = match answer {
        Ok(Ok(disk)) => (true, disk),
        Ok(Err(_)) | Err(_) => (false, None),
    };
    let is_stopping = state.is_stopping();
    let is_nearly_full = disk.map(is_nearly_full);
    // A balancer should know before the first event is refused.
    let spool_takes = pipeline.spool.is_some_and(|spool| !spool.is_nearly_full());
    let mut reasons = reasons(&pipeline, is_reachable, is_stopping);
    if is_nearly_full == Some(true) {
        reasons.push("the database's disk is nearly full".to_owned());
    }
    let takes_entries = pipeline
        .loops
        .iter()
        .all(|one| one.name != "ingest" || one.is_running);
    Health {
        status: if reasons.is_empty() { "ok" } else { "degraded" },
        is_ready: (is_reachable || spool_takes) && takes_entries && !is_stopping,
        reasons,
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: state.clock.now().since(state.started_at).as_secs(),
        checks: Checks {
            store: StoreCheck { is_reachable },
            pump: PumpCheck {
                is_caught_up: pipeline.is_caught_up,
                lag_rows: pipeline.lag_rows,
                lag_seconds: pipeline.lag_secs,
            },
            ingest: IngestCheck {
                queue_len: pipeline.queue_len,
                last_event_at: pipeline.last_event_at.map(|at| at.to_string()),
            },
            channels: ChannelsCheck {
                configured: pipeline.channels.len(),
                failing: pipeline.channels.iter().filter(|c| c.is_failing()).count(),
            },
            disk: DiskCheck { is_nearly_full },
            canary: canary(&pipeline.canary),
            spool: pipeline.spool.map(|spool| SpoolCheck {
                is_in_use: spool.spooling_since.is_some(),
                entries: spool.usage.entries,
                size_bytes: spool.usage.size_bytes,
                size_bytes_max: spool.usage.size_bytes_max,
                oldest_age_seconds: spool.oldest_age_secs,
                set_aside: spool.usage.set_aside,
            }),
        },
    }
}

fn canary(status: &CanaryStatus) -> CanaryCheck {
    let is_known = status.passed > 0 || status.failed > 0;
    CanaryCheck {
        is_passing: is_known.then_some(!status.is_failing),
        last_passed_at: status.last_passed_at.map(|at| at.to_string()),
        latency_seconds: (status.passed > 0).then_some(status.last_latency_micros as f64 / 1e6),
    }
}

fn reasons(pipeline: &PipelineStatus, is_reachable: bool, is_stopping: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    if is_stopping {
        reasons.push("the server is stopping".to_owned());
    }
    if !is_reachable {
        reasons.push("the store does not answer".to_owned());
    }
    reasons.extend(pipeline.faults());
    reasons
}
