//! The events themselves: what came in, by what it is about, down to the exact bytes.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query};
use billingwatch_core::time::Timestamp;
use billingwatch_store::{EventFilter, EventRow, JournalEntry};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, ErrorBody};
use crate::paging::{self, Paged};
use crate::params;
use crate::state::AppState;

/// The most types that one query may name.
const TYPES_MAX: usize = 20;

/// An event, without its body.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventSummary {
    /// Stripe's id.
    #[schema(example = "evt_1PqRsTuVwXyZ")]
    id: String,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "charge.failed")]
    event_type: String,
    /// Its place in the journal.
    seq: i64,
    /// The source it came through.
    source: String,
    /// The connected account, on Connect platforms.
    account: Option<String>,
    /// Live money, or test mode.
    livemode: bool,
    /// The object it is about.
    object_id: Option<String>,
    /// The customer it is about.
    customer_id: Option<String>,
    /// The API version its body is written in.
    api_version: Option<String>,
    /// When Stripe made it, as far as it said.
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<String>,
    /// When it was received.
    #[schema(format = DateTime)]
    received_at: String,
    /// From a backfill or import: it taught the detectors and alerted nobody.
    is_historical: bool,
}

impl EventSummary {
    pub(crate) fn of(row: EventRow) -> Self {
        Self {
            id: row.event_id,
            event_type: row.event_type,
            seq: row.seq,
            source: row.source,
            account: row.account,
            livemode: row.livemode,
            object_id: row.object_id,
            customer_id: row.customer_id,
            api_version: row.api_version,
            created_at: row.created_at.map(shown_secs),
            received_at: row.received_at.to_string(),
            is_historical: row.is_historical,
        }
    }
}

fn shown_secs(secs: i64) -> String {
    Timestamp::from_secs(secs).to_string()
}

/// An event with what Stripe sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventDetail {
    #[serde(flatten)]
    summary: EventSummary,
    /// The body as JSON; `null` when it cannot be shown as such. `/raw` has the exact bytes.
    #[schema(value_type = serde_json::Value)]
    body: Option<Box<RawValue>>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventQuery {
    /// Only these types; several with commas, such as `charge.failed,charge.succeeded`.
    #[serde(rename = "type")]
    #[param(example = "charge.failed")]
    event_type: Option<String>,
    /// About this customer.
    customer: Option<String>,
    /// About this object: a charge, invoice, subscription, …
    object: Option<String>,
    /// Of this connected account.
    account: Option<String>,
    /// Live money, or test mode.
    livemode: Option<bool>,
    /// Through this source.
    source: Option<String>,
    /// Received then or later: RFC 3339, or Unix seconds.
    since: Option<String>,
    /// Received before then: RFC 3339, or Unix seconds.
    until: Option<String>,
    /// How many, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    after: Option<String>,
}

impl EventQuery {
    fn filter(&self) -> Result<EventFilter, ApiError> {
        Ok(EventFilter {
            types: read_types(self.event_type.as_deref())?,
            customer: params::text("customer", self.customer.as_deref())?,
            object: params::text("object", self.object.as_deref())?,
            account: params::text("account", self.account.as_deref())?,
            livemode: self.livemode,
            source: params::text("source", self.source.as_deref())?,
            received_from: params::instant("since", self.since.as_deref())?,
            received_to: params::instant("until", self.until.as_deref())?,
            ..EventFilter::default()
        })
    }
}

fn read_types(text: Option<&str>) -> Result<Vec<String>, ApiError> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let types: Vec<&str> = text.split(',').map(str::trim).collect();
    if types.len() > TYPES_MAX {
        let message = format!("`type` may name at most {TYPES_MAX} types");
        return Err(ApiError::invalid_query(message));
    }
    types
        .into_iter()
        .map(|one| Ok(params::text("type", Some(one))?.unwrap_or_default()))
        .collect()
}

/// Which events came in?
///
/// Newest first, without their bodies. To read on, send `next_cursor` as `after`. A page that a filter
/// lets few events into may end early, even empty: `next_cursor` alone says whether there is more.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    operation_id = "listEvents",
    tag = "events",
    params(EventQuery),
    responses(
        (status = 200, description = "A page of events", body = Paged<EventSummary>),
        (status = 400, description = "A query that makes no sense", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    state: Data<AppState>,
    query: Query<EventQuery>,
) -> Result<Json<Paged<EventSummary>>, ApiError> {
    let query = query.into_inner();
    let filter = query.filter()?;
    let page = paging::page(query.limit, query.after)?;
    let found = state.query(move |store| {
        let found = store.list_events(&filter, &page)?;
        Ok(Paged::map(found, EventSummary::of))
    });
    Ok(Json(found.await?))
}

/// What did this event say?
#[utoipa::path(
    get,
    path = "/api/v1/events/{id}",
    operation_id = "getEvent",
    tag = "events",
    params(("id" = String, Path, description = "Stripe's event id")),
    responses(
        (status = 200, description = "The event", body = EventDetail),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "No such event", body = ErrorBody),
    )
)]
pub(crate) async fn show(
    state: Data<AppState>,
    id: Path<String>,
) -> Result<Json<EventDetail>, ApiError> {
    let entry = find(&state, id.into_inner()).await?;
    let body = String::from_utf8(entry.body.clone())
        .ok()
        .and_then(|text| RawValue::from_string(text).ok());
    Ok(Json(EventDetail {
        summary: EventSummary::of(row(entry)),
        body,
    }))
}

/// What exactly did Stripe send?
///
/// The bytes as received: the ones the signature was over.
#[utoipa::path(
    get,
    path = "/api/v1/events/{id}/raw",
    operation_id = "getEventBytes",
    tag = "events",
    params(("id" = String, Path, description = "Stripe's event id")),
    responses(
        (status = 200, description = "The bytes", body = serde_json::Value),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 404, description = "No such event", body = ErrorBody),
    )
)]
pub(crate) async fn raw(state: Data<AppState>, id: Path<String>) -> Result<HttpResponse, ApiError> {
    let entry = find(&state, id.into_inner()).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(entry.body))
}

async fn find(state: &AppState, id: String) -> Result<JournalEntry, ApiError> {
    let key = id.clone();
    let found = state.query(move |store| store.get_event(&key)).await?;
    found.ok_or_else(|| ApiError::not_found(format!("no event has the id {}", params::shown(&id))))
}

fn row(entry: JournalEntry) -> EventRow {
    EventRow {
        seq: entry.seq,
        event_id: entry.event_id.unwrap_or_default(),
        event_type: entry.event_type,
        source: entry.source,
        account: entry.account,
        livemode: entry.livemode,
        object_id: entry.object_id,
        customer_id: entry.customer_id,
        api_version: entry.api_version,
        created_at: entry.created_at,
        received_at: entry.received_at,
        is_historical: entry.is_historical,
    }
}
