//! Is it alive, and can it do its work?
//!
//! Both routes are for machines that carry no token, so they tell numbers and states, never ids,
//! addresses or what a database said.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use billingwatch_pipeline::PipelineStatus;
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::AppState;

/// Behind by more than this, the detectors no longer speak of the present.
const LAG_SECS_MAX: i64 = 60;

/// A store that takes longer than this to give a sign of life is as good as away, and whoever asks
/// after our health has no more patience either.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// How the server fares.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`, or `degraded` with its reasons.
    #[schema(example = "ok")]
    status: &'static str,
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
/// The same answer as `/health`, with status 503 when `status` is `degraded`: for load balancers
/// and orchestrators.
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
    if health.reasons.is_empty() {
        HttpResponse::Ok().json(health)
    } else {
        HttpResponse::ServiceUnavailable().json(health)
    }
}

async fn look(state: &AppState) -> Health {
    let pipeline = state.pipeline();
    let ping = state.query(billingwatch_store::Store::ping);
    let is_reachable = matches!(
        actix_web::rt::time::timeout(PING_TIMEOUT, ping).await,
        Ok(Ok(()))
    );
    let reasons = reasons(&pipeline, is_reachable, state.is_stopping());
    Health {
        status: if reasons.is_empty() { "ok" } else { "degraded" },
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
        },
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
    if !pipeline.is_caught_up {
        reasons.push("the detectors are being rebuilt from the journal".to_owned());
    }
    if pipeline.lag_secs > LAG_SECS_MAX {
        reasons.push(format!(
            "the detectors are {} s and {} rows behind",
            pipeline.lag_secs, pipeline.lag_rows
        ));
    }
    for one in &pipeline.loops {
        // A channel that cannot be reached is the delivery log's to tell: events are kept and
        // judged all the same, and no restart of ours would mend it.
        if one.name.starts_with("deliver") {
            continue;
        }
        if !one.is_running {
            reasons.push(format!("the {} loop does not run", one.name));
        } else if one.last_error.is_some() {
            reasons.push(format!("the {} loop fails and tries again", one.name));
        }
    }
    reasons
}
