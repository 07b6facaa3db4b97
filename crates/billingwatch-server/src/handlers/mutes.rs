//! What people muted: read, and lifted.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query};
use billingwatch_core::engine::{LiftMute, MuteTarget};
use billingwatch_core::time::Timestamp;
use billingwatch_store::{MuteFilter, MuteRow, NewEntry};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::paging::{self, Paged};
use crate::params;
use crate::state::AppState;

/// Something a person wants to hear no more of.
#[derive(Serialize, ToSchema)]
pub(crate) struct MuteView {
    /// Its id.
    #[schema(example = "mu_0123456789abcdef")]
    id: String,
    /// Whether it holds anything back now.
    is_in_force: bool,
    /// The detector it is about.
    detector: String,
    /// `subject`, `pattern` or `alert_key`.
    scope: &'static str,
    /// The subject, title or alert key it covers.
    target: String,
    /// The source whose events it is about.
    source: String,
    /// The connected account, on Connect platforms.
    account: Option<String>,
    /// Live money, or test mode.
    livemode: bool,
    /// What is more severe than this speaks.
    severity_max: &'static str,
    /// Twice this much money at stake speaks, in minor units; `null` when money does not matter.
    amount_judged: Option<i64>,
    /// The currency of `amount_judged`.
    currency: Option<String>,
    /// The alert it was said of.
    alert_id: String,
    /// The name of the token it was said with.
    by: String,
    /// Why, in words.
    note: Option<String>,
    /// When it was said.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it ends by itself.
    #[schema(format = DateTime)]
    until: String,
    /// When somebody lifted it before that.
    #[schema(value_type = Option<String>, format = DateTime)]
    lifted_at: Option<String>,
    /// Who did.
    lifted_by: Option<String>,
}

impl MuteView {
    pub(crate) fn of(row: MuteRow, now: Timestamp) -> Self {
        let is_in_force = row.is_in_force(now);
        let mute = row.mute;
        let (scope, target) = match mute.target {
            MuteTarget::Subject(target) => ("subject", target),
            MuteTarget::Pattern(target) => ("pattern", target),
            MuteTarget::AlertKey(target) => ("alert_key", target),
        };
        Self {
            id: mute.id,
            is_in_force,
            detector: mute.detector,
            scope,
            target,
            source: mute.scope.source.to_string(),
            account: mute.scope.account.as_deref().map(str::to_owned),
            livemode: mute.scope.livemode,
            severity_max: mute.severity_max.as_str(),
            amount_judged: mute.amount_judged,
            currency: mute.currency.map(|currency| currency.as_str().to_owned()),
            alert_id: mute.alert_id,
            by: mute.by,
            note: mute.note,
            created_at: row.created_at.to_string(),
            until: mute.until.to_string(),
            lifted_at: row.lifted_at.map(|at| at.to_string()),
            lifted_by: row.lifted_by,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MuteQuery {
    /// Only of this detector's findings.
    detector: Option<String>,
    /// Also those that ended or were lifted.
    #[serde(default)]
    ended: bool,
    /// How many, 1 to 200; 50 when absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    after: Option<String>,
}

/// What is muted?
///
/// Newest first: what is in force, or with `ended=true` everything that ever was.
#[utoipa::path(
    get,
    path = "/api/v1/mutes",
    operation_id = "listMutes",
    tag = "alerts",
    params(MuteQuery),
    responses(
        (status = 200, description = "A page of mutes", body = Paged<MuteView>),
        (status = 400, description = "A query that makes no sense", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    state: Data<AppState>,
    query: Query<MuteQuery>,
) -> Result<Json<Paged<MuteView>>, ApiError> {
    let (query, now) = (query.into_inner(), state.clock.now());
    let filter = MuteFilter {
        detector: params::text("detector", query.detector.as_deref())?,
        in_force_at: (!query.ended).then_some(now),
    };
    let page = paging::page(query.limit, query.after)?;
    let found = state
        .query(move |store| store.list_mutes(&filter, &page))
        .await?;
    Ok(Json(Paged::map(found, |row| MuteView::of(row, now))))
}

/// The end of a mute is in the journal.
#[derive(Serialize, ToSchema)]
pub(crate) struct Lifting {
    /// The mute.
    id: String,
    /// The journal's entry: once the detectors have seen it, what was held back is told.
    journal_seq: i64,
}

/// Lift a mute
///
/// Answered once that is durable. What its detector sees from then on is told again; what was
/// held back before stays among the suppressed findings.
#[utoipa::path(
    delete,
    path = "/api/v1/mutes/{id}",
    operation_id = "liftMute",
    tag = "alerts",
    params(("id" = String, Path, description = "The mute's id")),
    responses(
        (status = 202, description = "It is in the journal", body = Lifting),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 403, description = "The token may read only", body = ErrorBody),
        (status = 404, description = "No such mute", body = ErrorBody),
        (status = 409, description = "It has ended already", body = ErrorBody),
        (status = 503, description = "It cannot be kept now", body = ErrorBody),
    )
)]
pub(crate) async fn lift(
    state: Data<AppState>,
    caller: Caller,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (key, now) = (id.clone(), state.clock.now());
    let found = state.query(move |store| store.get_mute(&key)).await?;
    let row = found
        .ok_or_else(|| ApiError::not_found(format!("no mute has the id {}", params::shown(&id))))?;
    if !row.is_in_force(now) {
        return Err(ApiError::mute_ended());
    }
    let lift = LiftMute {
        mute_id: row.mute.id,
        by: caller.name,
    };
    let journal_seq = state.enter(NewEntry::lift(&lift)?).await?;
    Ok(HttpResponse::Accepted().json(Lifting {
        id: lift.mute_id,
        journal_seq,
    }))
}
