//! What was found: lists, one in full, and the marks people leave.

mod marks;
mod verdicts;
mod views;

use std::str::FromStr;

use actix_web::web::{Data, Json, Path, Query};
use billingwatch_core::alert::{AlertStatus, Severity};
use billingwatch_store::AlertFilter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub(crate) use marks::{__path_acknowledge, __path_resolve, acknowledge, resolve};
pub(crate) use verdicts::{
    __path_mark_false_positive, __path_mark_true_positive, mark_false_positive, mark_true_positive,
};
pub(crate) use views::{AlertDetail, AlertSummary};

use crate::error::{ApiError, ErrorBody};
use crate::handlers::mutes::MuteView;
use crate::paging::{self, Paged};
use crate::params;
use crate::state::AppState;

/// The newest alerts.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecentAlerts {
    /// How many are listed.
    count: usize,
    /// Newest first.
    alerts: Vec<AlertSummary>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecentQuery {
    /// How many, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

/// Which alerts fired lately?
#[utoipa::path(
    get,
    path = "/webhooks/alerts",
    operation_id = "recentAlerts",
    tag = "alerts",
    params(RecentQuery),
    responses(
        (status = 200, description = "The newest alerts", body = RecentAlerts),
        (status = 400, description = "A query that makes no sense", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
    )
)]
pub(crate) async fn recent(
    state: Data<AppState>,
    query: Query<RecentQuery>,
) -> Result<Json<RecentAlerts>, ApiError> {
    let page = paging::page(query.limit, None)?;
    let found = state
        .query(move |store| store.list_alerts(&AlertFilter::default(), &page))
        .await?;
    let alerts: Vec<_> = found.items.iter().map(AlertSummary::of).collect();
    Ok(Json(RecentAlerts {
        count: alerts.len(),
        alerts,
    }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlertQuery {
    /// Only this detector's.
    detector: Option<String>,
    /// `firing`, `escalated` or `resolved`; `open` is the first two.
    status: Option<String>,
    /// At least this bad: `low`, `medium`, `high` or `critical`.
    severity: Option<String>,
    /// About this customer, subscription, charge, invoice or card.
    subject: Option<String>,
    /// Through this source.
    source: Option<String>,
    /// Live money, or test mode.
    livemode: Option<bool>,
    /// Fired then or later: RFC 3339, or Unix seconds.
    since: Option<String>,
    /// Fired before then: RFC 3339, or Unix seconds.
    until: Option<String>,
    /// How many, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    after: Option<String>,
}

impl AlertQuery {
    fn filter(&self) -> Result<AlertFilter, ApiError> {
        let status = self.status.as_deref();
        Ok(AlertFilter {
            detector: params::text("detector", self.detector.as_deref())?,
            status: status
                .filter(|word| *word != "open")
                .map(read_status)
                .transpose()?,
            open_only: status == Some("open"),
            severity_min: self.severity.as_deref().map(read_severity).transpose()?,
            subject: params::text("subject", self.subject.as_deref())?,
            source: params::text("source", self.source.as_deref())?,
            livemode: self.livemode,
            since: params::instant("since", self.since.as_deref())?,
            until: params::instant("until", self.until.as_deref())?,
            ..AlertFilter::default()
        })
    }
}

fn read_status(word: &str) -> Result<AlertStatus, ApiError> {
    [
        AlertStatus::Firing,
        AlertStatus::Escalated,
        AlertStatus::Resolved,
    ]
    .into_iter()
    .find(|status| status.as_str() == word)
    .ok_or_else(|| ApiError::invalid_query("`status` must be open, firing, escalated or resolved"))
}

fn read_severity(word: &str) -> Result<Severity, ApiError> {
    Severity::from_str(word)
        .map_err(|_| ApiError::invalid_query("`severity` must be low, medium, high or critical"))
}

/// Which alerts match?
///
/// Newest first. To read on, send `next_cursor` as `after`. A page that a filter lets few alerts into
/// may end early, even empty: `next_cursor` alone says whether there is more.
#[utoipa::path(
    get,
    path = "/api/v1/alerts",
    operation_id = "listAlerts",
    tag = "alerts",
    params(AlertQuery),
    responses(
        (status = 200, description = "A page of alerts", body = Paged<AlertSummary>),
        (status = 400, description = "A query that makes no sense", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    state: Data<AppState>,
    query: Query<AlertQuery>,
) -> Result<Json<Paged<AlertSummary>>, ApiError> {
    let query = query.into_inner();
    let filter = query.filter()?;
    let page = paging::page(query.limit, query.after)?;
    let found = state
        .query(move |store| store.list_alerts(&filter, &page))
        .await?;
    Ok(Json(Paged::map(found, |row| AlertSummary::of(&row))))
}

/// What is known of one alert?
///
/// With its evidence, its history and what each channel was told.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/{id}",
    operation_id = "getAlert",
    tag = "alerts",
    params(("id" = String, Path, description = "The alert's id", example = "al_0123456789abcdef")),
    responses(
        (status = 200, description = "The alert", body = AlertDetail),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "No such alert", body = ErrorBody),
    )
)]
pub(crate) async fn show(
    state: Data<AppState>,
    id: Path<String>,
) -> Result<Json<AlertDetail>, ApiError> {
    detail(&state, id.into_inner()).await.map(Json)
}

async fn detail(state: &AppState, id: String) -> Result<AlertDetail, ApiError> {
    let key = id.clone();
    let found = state
        .query(move |store| {
            let Some(row) = store.get_alert(&key)? else {
                return Ok(None);
            };
            let history = store.alert_history(&key)?;
            let deliveries = store.alert_deliveries(&key)?;
            let mutes = store.alert_mutes(&key)?;
            Ok(Some((row, history, deliveries, mutes)))
        })
        .await?;
    let (row, history, deliveries, mutes) = found.ok_or_else(|| no_alert(&id))?;
    let now = state.clock.now();
    let mutes = mutes.into_iter().map(|row| MuteView::of(row, now));
    Ok(AlertDetail::of(row, history, deliveries, mutes.collect()))
}

fn no_alert(id: &str) -> ApiError {
    ApiError::not_found(format!("no alert has the id {}", params::shown(id)))
}
