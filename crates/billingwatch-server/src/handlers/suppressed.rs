//! What looked wrong and was recognised as harmless: so that quiet can be explained.

use actix_web::web::{Data, Json, Query};
use billingwatch_core::alert::Suppressed;
use billingwatch_store::SuppressedFilter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, ErrorBody};
use crate::paging::{self, Paged};
use crate::params;
use crate::state::AppState;

/// A finding that was recognised as harmless.
#[derive(Serialize, ToSchema)]
pub(crate) struct SuppressedView {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// Who recognised it.
    detector: String,
    /// The harmless pattern, a fixed word.
    #[schema(example = "dunning_retry")]
    reason: String,
    /// What it was about.
    subject: Option<String>,
    /// What was seen, in one sentence.
    message: String,
    /// The source its events came through.
    source: String,
    /// The connected account, on Connect platforms.
    account: Option<String>,
    /// Live money, or test mode.
    livemode: bool,
}

impl SuppressedView {
    fn of(finding: Suppressed) -> Self {
        Self {
            at: finding.at.to_string(),
            detector: finding.detector,
            reason: finding.reason,
            subject: finding.subject,
            message: finding.message,
            source: finding.scope.source.to_string(),
            account: finding.scope.account.as_deref().map(str::to_owned),
            livemode: finding.scope.livemode,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SuppressedQuery {
    /// Only what this detector recognised.
    detector: Option<String>,
    /// For this reason.
    reason: Option<String>,
    /// About this customer, subscription, charge, invoice or card.
    subject: Option<String>,
    /// Through this source.
    source: Option<String>,
    /// Live money, or test mode.
    livemode: Option<bool>,
    /// How many, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    after: Option<String>,
}

impl SuppressedQuery {
    fn filter(&self) -> Result<SuppressedFilter, ApiError> {
        Ok(SuppressedFilter {
            detector: params::text("detector", self.detector.as_deref())?,
            reason: params::text("reason", self.reason.as_deref())?,
            subject: params::text("subject", self.subject.as_deref())?,
            source: params::text("source", self.source.as_deref())?,
            livemode: self.livemode,
        })
    }
}

/// Why was nobody told?
///
/// Findings that were recognised as harmless, newest first; the newest 100,000 are kept.
#[utoipa::path(
    get,
    path = "/api/v1/suppressed",
    operation_id = "listSuppressed",
    tag = "alerts",
    params(SuppressedQuery),
    responses(
        (status = 200, description = "A page of findings", body = Paged<SuppressedView>),
        (status = 400, description = "A query that makes no sense", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    state: Data<AppState>,
    query: Query<SuppressedQuery>,
) -> Result<Json<Paged<SuppressedView>>, ApiError> {
    let query = query.into_inner();
    let filter = query.filter()?;
    let page = paging::page(query.limit, query.after)?;
    let found = state
        .query(move |store| store.list_suppressed(&filter, &page))
        .await?;
    Ok(Json(Paged::map(found, SuppressedView::of)))
}
