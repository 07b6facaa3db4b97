//! Numbers: as JSON for people and scripts, as Prometheus text when the client's `Accept` asks.

use std::collections::BTreeMap;

use actix_web::http::header;
use actix_web::web::{Data, Json, Query};
use actix_web::{HttpRequest, HttpResponse};
use billingwatch_core::alert::Severity;
use billingwatch_core::time::Span;
use billingwatch_store::{AlertCount, EventFilter, SuppressedCount, Verdict, VerdictCount};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::events::EventSummary;
use crate::accept::wants_text;
use crate::error::{ApiError, ErrorBody};
use crate::paging;
use crate::pipeline_metrics;
use crate::state::AppState;

/// The shortest and the longest window that can be asked for, in hours.
const WINDOW_HOURS: std::ops::RangeInclusive<f64> = 0.1..=168.0;

/// What Prometheus reads: the text format, which it takes whichever of its formats it asks for.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The events so far, in numbers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Metrics {
    /// Events kept; within the window, when one was asked for.
    total_events: i64,
    /// The same by type.
    events_by_type: BTreeMap<String, i64>,
    /// How long the server has run.
    uptime_seconds: i64,
    /// Detectors that run here.
    detector_count: usize,
    /// The window asked for; `null` for everything kept.
    window_hours: Option<f64>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MetricsQuery {
    /// Only events received in so many hours up to now: 0.1 to 168.
    #[param(minimum = 0.1, maximum = 168)]
    window_hours: Option<f64>,
}

/// How many events came in?
///
/// JSON, unless the `Accept` header prefers `text/plain` or `application/openmetrics-text`: then
/// Prometheus text with everything an operator watches (the window does not apply there).
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "getMetrics",
    tag = "metrics",
    params(MetricsQuery),
    responses(
        (status = 200, description = "The numbers", content(
            (Metrics = "application/json"),
            (String = "text/plain"),
        )),
        (status = 400, description = "A window out of bounds", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
    )
)]
pub(crate) async fn show(
    state: Data<AppState>,
    req: HttpRequest,
    query: Query<MetricsQuery>,
) -> Result<HttpResponse, ApiError> {
    if wants_text(req.headers()) {
        return prometheus_text(&state).await;
    }
    let window_hours = query.window_hours;
    let now = state.clock.now();
    let since = window_hours
        .map(read_window)
        .transpose()?
        .map(|window| now - window);
    let counts = state
        .query(move |store| store.counts_by_type(since))
        .await?;
    let events_by_type: BTreeMap<_, _> = counts.into_iter().collect();
    Ok(HttpResponse::Ok().json(Metrics {
        total_events: events_by_type.values().sum(),
        events_by_type,
        uptime_seconds: now.since(state.started_at).as_secs(),
        detector_count: state.detectors.len(),
        window_hours,
    }))
}

fn read_window(hours: f64) -> Result<Span, ApiError> {
    if !WINDOW_HOURS.contains(&hours) {
        return Err(ApiError::invalid_query(
            "`window_hours` must be from 0.1 to 168",
        ));
    }
    // Within these bounds the product is below 2^30.
    #[expect(clippy::cast_possible_truncation, reason = "bounded just above")]
    let millis = (hours * 3_600_000.0).round() as i64;
    Ok(Span::millis(millis))
}

async fn prometheus_text(state: &AppState) -> Result<HttpResponse, ApiError> {
    let counts = state
        .query(billingwatch_store::Store::alert_counts)
        .await
        // The store being away is just when the other numbers are wanted.
        .unwrap_or_default();
    let now = state.clock.now();
    let mut families = pipeline_metrics::families(&state.pipeline(), now);
    families.push(open_alerts(&counts));
    families.push(pipeline_metrics::gauge(
        "billingwatch_uptime_seconds",
        "How long the server has run.",
        now.since(state.started_at).as_millis() as f64 / 1000.0,
    ));
    families.push(pipeline_metrics::gauges(
        "billingwatch_build_info",
        "1, with the release as a label.",
        [(vec![("version", env!("CARGO_PKG_VERSION"))], 1.0)],
    ));
    let text = state.telemetry.render(families).map_err(|error| {
        tracing::error!(error = %error, "the metrics cannot be written as text");
        ApiError::internal()
    })?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, TEXT_FORMAT))
        .body(text))
}

fn open_alerts(counts: &[AlertCount]) -> prometheus::proto::MetricFamily {
    let open = counts.iter().filter(|count| count.status.is_open());
    let mut by_kind: BTreeMap<(&str, Severity), i64> = BTreeMap::new();
    for count in open {
        *by_kind
            .entry((&count.detector, count.severity))
            .or_default() += count.count;
    }
    pipeline_metrics::gauges(
        "billingwatch_alerts_open",
        "Alerts that have not ended, by detector and severity.",
        by_kind.into_iter().map(|((detector, severity), n)| {
            let labels = vec![("detector", detector), ("severity", severity.as_str())];
            (labels, n as f64)
        }),
    )
}

/// What each detector has found.
#[derive(Serialize, ToSchema)]
pub(crate) struct DetectorMetrics {
    /// Each detector, also those that found nothing.
    detectors: Vec<DetectorNumbers>,
}

/// What a detector has found.
#[derive(Serialize, ToSchema)]
struct DetectorNumbers {
    /// The detector.
    #[schema(example = "charge_failure_spike")]
    name: String,
    /// Alerts in all.
    alerts_total: i64,
    /// Alerts that have not ended.
    alerts_open: i64,
    /// Alerts by the worst severity they had.
    alerts_by_severity: BTreeMap<&'static str, i64>,
    /// Alerts that people judged right.
    true_positives: i64,
    /// Alerts that people judged wrong.
    false_positives: i64,
    /// The share of right ones among those judged, 0 to 1; `null` while none was judged.
    #[schema(example = 0.95)]
    precision: Option<f64>,
    /// Suppressed findings, among the newest 100,000 of all detectors.
    suppressed_total: i64,
    /// The same by reason.
    suppressed_by_reason: BTreeMap<String, i64>,
}

impl DetectorNumbers {
    fn none(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            alerts_total: 0,
            alerts_open: 0,
            alerts_by_severity: Severity::ALL.iter().map(|s| (s.as_str(), 0)).collect(),
            true_positives: 0,
            false_positives: 0,
            precision: None,
            suppressed_total: 0,
            suppressed_by_reason: BTreeMap::new(),
        }
    }

    fn add_alerts(&mut self, count: &AlertCount) {
        self.alerts_total += count.count;
        if count.status.is_open() {
            self.alerts_open += count.count;
        }
        *self
            .alerts_by_severity
            .entry(count.severity.as_str())
            .or_default() += count.count;
    }

    fn add_verdicts(&mut self, count: &VerdictCount) {
        match count.verdict {
            Verdict::TruePositive => self.true_positives += count.count,
            Verdict::FalsePositive => self.false_positives += count.count,
        }
        let judged = self.true_positives + self.false_positives;
        // Three decimals: more would pretend to a certainty that marks do not have.
        self.precision = (judged > 0)
            .then(|| ((self.true_positives * 1000 + judged / 2) / judged) as f64 / 1000.0);
    }

    fn add_suppressed(&mut self, count: &SuppressedCount) {
        self.suppressed_total += count.count;
        *self
            .suppressed_by_reason
            .entry(count.reason.clone())
            .or_default() += count.count;
    }
}

/// What has each detector found?
#[utoipa::path(
    get,
    path = "/metrics/detectors",
    operation_id = "getDetectorMetrics",
    tag = "metrics",
    responses(
        (status = 200, description = "The numbers", body = DetectorMetrics),
        (status = 401, description = "No valid token", body = ErrorBody),
    )
)]
pub(crate) async fn detectors(state: Data<AppState>) -> Result<Json<DetectorMetrics>, ApiError> {
    let (alerts, verdicts, suppressed) = state
        .query(|store| {
            Ok((
                store.alert_counts()?,
                store.verdict_counts()?,
                store.suppressed_counts()?,
            ))
        })
        .await?;
    let mut by_name: BTreeMap<String, DetectorNumbers> = BTreeMap::new();
    for spec in &state.detectors {
        by_name.insert(spec.name.to_owned(), DetectorNumbers::none(spec.name));
    }
    // Also what a detector found that runs here no longer.
    let mut of = |name: &str, add: &mut dyn FnMut(&mut DetectorNumbers)| {
        let numbers = by_name.entry(name.to_owned());
        add(numbers.or_insert_with(|| DetectorNumbers::none(name)));
    };
    for count in &alerts {
        of(&count.detector, &mut |numbers| numbers.add_alerts(count));
    }
    for count in &verdicts {
        of(&count.detector, &mut |numbers| numbers.add_verdicts(count));
    }
    for count in &suppressed {
        of(&count.detector, &mut |numbers| {
            numbers.add_suppressed(count)
        });
    }
    Ok(Json(DetectorMetrics {
        detectors: by_name.into_values().collect(),
    }))
}

/// The newest events.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecentEvents {
    /// How many are listed.
    count: usize,
    /// Newest first, without their bodies.
    events: Vec<EventSummary>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecentQuery {
    /// How many, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

/// Which events came in lately?
#[utoipa::path(
    get,
    path = "/metrics/recent-events",
    operation_id = "recentEvents",
    tag = "metrics",
    params(RecentQuery),
    responses(
        (status = 200, description = "The newest events", body = RecentEvents),
        (status = 400, description = "A query that makes no sense", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
    )
)]
pub(crate) async fn recent_events(
    state: Data<AppState>,
    query: Query<RecentQuery>,
) -> Result<Json<RecentEvents>, ApiError> {
    let page = paging::page(query.limit, None)?;
    let found = state
        .query(move |store| store.list_events(&EventFilter::default(), &page))
        .await?;
    let events: Vec<_> = found.items.into_iter().map(EventSummary::of).collect();
    Ok(Json(RecentEvents {
        count: events.len(),
        events,
    }))
}
