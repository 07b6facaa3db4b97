//! What people say of an alert: seen, over.
//!
//! Seen is a mark beside the alert. "Over" is told to the engine, as an entry of the
//! journal like any other input, so that a replay ends the alert at the same point.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use billingwatch_core::engine::ResolveAlert;
use billingwatch_store::{NewEntry, Outcome};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AlertDetail, detail, no_alert};
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::state::AppState;

/// The longest note, in characters.
const NOTE_CHARS_MAX: usize = 2000;

/// What there is to say about it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoteBody {
    /// For whoever reads the alert later; at most 2000 characters.
    #[serde(default)]
    #[schema(example = "known: bank maintenance until noon")]
    note: Option<String>,
}

impl NoteBody {
    /// The note without white space around it; `None` when nothing is left.
    pub(super) fn read(self) -> Result<Option<String>, ApiError> {
        read_note(self.note)
    }
}

/// A note without white space around it; `None` when nothing is left.
pub(super) fn read_note(note: Option<String>) -> Result<Option<String>, ApiError> {
    let note = note.unwrap_or_default().trim().to_owned();
    if note.chars().count() > NOTE_CHARS_MAX {
        let message = format!("`note` must have at most {NOTE_CHARS_MAX} characters");
        return Err(ApiError::invalid_body(message));
    }
    Ok(Some(note).filter(|note| !note.is_empty()))
}

/// The end of an alert is in the journal.
#[derive(Serialize, ToSchema)]
pub(crate) struct Resolving {
    /// The alert.
    id: String,
    /// The journal's entry: once the detectors have seen it, the alert is `resolved`.
    journal_seq: i64,
}

/// Say that somebody is on it
///
/// The first to say so stays; saying it again is no error and changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/{id}/acknowledge",
    operation_id = "acknowledgeAlert",
    tag = "alerts",
    params(("id" = String, Path, description = "The alert's id")),
    request_body = NoteBody,
    responses(
        (status = 200, description = "The alert as it is now", body = AlertDetail),
        (status = 400, description = "A body that makes no sense", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 403, description = "The token may read only", body = ErrorBody),
        (status = 404, description = "No such alert", body = ErrorBody),
    )
)]
pub(crate) async fn acknowledge(
    state: Data<AppState>,
    caller: Caller,
    id: Path<String>,
    body: Json<NoteBody>,
) -> Result<Json<AlertDetail>, ApiError> {
    let note = body.into_inner().read()?;
    let (key, now) = (id.clone(), state.clock.now());
    let outcome = state
        .query(move |store| store.acknowledge(&key, &caller.name, note.as_deref(), now))
        .await?;
    after_mark(&state, outcome, id.into_inner()).await
}

pub(super) async fn after_mark(
    state: &AppState,
    outcome: Outcome,
    id: String,
) -> Result<Json<AlertDetail>, ApiError> {
    match outcome {
        Outcome::NotFound => Err(no_alert(&id)),
        Outcome::Done | Outcome::AlreadySo => detail(state, id).await.map(Json),
    }
}

/// Say that it is over
///
/// Answered once that is durable; the detectors see it within moments, and the channels are told.
/// For an hour, and for as long as its detector sees no new occurrence, the same incident is then
/// held back as a suppressed finding; what is more severe, or has twice the money at stake, speaks.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/{id}/resolve",
    operation_id = "resolveAlert",
    tag = "alerts",
    params(("id" = String, Path, description = "The alert's id")),
    request_body = NoteBody,
    responses(
        (status = 202, description = "It is in the journal", body = Resolving),
        (status = 400, description = "A body that makes no sense", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 403, description = "The token may read only", body = ErrorBody),
        (status = 404, description = "No such alert", body = ErrorBody),
        (status = 409, description = "It has ended already", body = ErrorBody),
        (status = 503, description = "It cannot be kept now", body = ErrorBody),
    )
)]
pub(crate) async fn resolve(
    state: Data<AppState>,
    caller: Caller,
    id: Path<String>,
    body: Json<NoteBody>,
) -> Result<HttpResponse, ApiError> {
    let note = body.into_inner().read()?;
    let key = id.clone();
    let found = state.query(move |store| store.get_alert(&key)).await?;
    let alert = found.ok_or_else(|| no_alert(&id))?.alert;
    if !alert.status.is_open() {
        return Err(ApiError::already_resolved());
    }
    let reason = match note {
        Some(note) => format!("resolved by {}: {note}", caller.name),
        None => format!("resolved by {}", caller.name),
    };
    let ended = ResolveAlert {
        alert_id: alert.id.clone(),
        reason,
    };
    let journal_seq = state.enter(NewEntry::resolve(&ended)?).await?;
    Ok(HttpResponse::Accepted().json(Resolving {
        id: alert.id,
        journal_seq,
    }))
}
