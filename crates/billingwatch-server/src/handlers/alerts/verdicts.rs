//! Whether an alert was right, in a person's judgement; and what to keep quiet for that.
//!
//! A verdict is a mark beside the alert, which precision is counted from. A mute is told to the
//! engine, as an entry of the journal like any other input, so that a replay is quiet at the same
//! points.

use actix_web::web::{Data, Json, Path};
use billingwatch_core::alert::Alert;
use billingwatch_core::engine::{LiftMute, MUTES_MAX, Mute, MuteTarget};
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_store::{NewEntry, Verdict};
use serde::Deserialize;
use utoipa::ToSchema;

use super::marks::{NoteBody, after_mark, read_note};
use super::{AlertDetail, no_alert};
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::params;
use crate::state::AppState;

/// How long a mute holds when nobody says.
const MUTE_DEFAULT: Span = Span::days(30);

/// The longest a mute may hold: what nobody remembers saying must not keep things quiet.
const MUTE_MAX: Span = Span::days(366);

/// What there is to say of a false alarm.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FalsePositiveBody {
    /// For whoever reads the alert later; at most 2000 characters.
    #[serde(default)]
    #[schema(example = "our own test customer")]
    note: Option<String>,
    /// What to keep quiet from now on; nothing when absent.
    #[serde(default)]
    scope: Option<Reach>,
    /// Until when: RFC 3339, or Unix seconds. 30 days from now when absent, at most 366.
    #[serde(default)]
    #[schema(example = "2026-12-31T00:00:00Z")]
    until: Option<String>,
}

/// How far a mute reaches: always one detector, source, account and mode.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reach {
    /// What the detector finds about the same subject.
    Subject,
    /// What it finds under the same title, about whatever subject.
    Pattern,
    /// The same incident again: the same alert key.
    AlertKey,
}

impl Reach {
    fn target(self, alert: &Alert) -> Result<MuteTarget, ApiError> {
        match self {
            Self::Subject => alert
                .subject
                .clone()
                .map(MuteTarget::Subject)
                .ok_or_else(|| {
                    ApiError::invalid_body(
                        "this alert has no subject; `scope` may be pattern or alert_key",
                    )
                }),
            Self::Pattern => Ok(MuteTarget::Pattern(alert.title.clone())),
            Self::AlertKey => Ok(MuteTarget::AlertKey(alert.key.clone())),
        }
    }
}

impl FalsePositiveBody {
    /// Until when to be quiet.
    fn until(&self, now: Timestamp) -> Result<Timestamp, ApiError> {
        let Some(text) = &self.until else {
            return Ok(now + MUTE_DEFAULT);
        };
        let until = params::read_instant(text).ok_or_else(|| {
            ApiError::invalid_body(
                "`until` must be an instant such as 2026-11-21T09:30:00Z, or Unix seconds",
            )
        })?;
        if until <= now || until > now + MUTE_MAX {
            return Err(ApiError::invalid_body(
                "`until` must lie in the future, at most 366 days from now",
            ));
        }
        Ok(until)
    }
}

/// Say that it was wrong
///
/// The alert keeps the verdict, and its detector's precision counts it. With a `scope`, repeats
/// are kept quiet until a date: each incident held back is a suppressed finding that says by whom
/// and until when. An open alert so muted ends. What is more severe, or has twice the money at
/// stake, speaks all the same.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/{id}/false-positive",
    operation_id = "markFalsePositive",
    tag = "alerts",
    params(("id" = String, Path, description = "The alert's id")),
    request_body = FalsePositiveBody,
    responses(
        (status = 200, description = "The alert as it is now", body = AlertDetail),
        (status = 400, description = "A body that makes no sense", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 403, description = "The token may read only", body = ErrorBody),
        (status = 404, description = "No such alert", body = ErrorBody),
        (status = 409, description = "A thousand mutes are in force", body = ErrorBody),
        (status = 503, description = "It cannot be kept now", body = ErrorBody),
    )
)]
pub(crate) async fn mark_false_positive(
    state: Data<AppState>,
    caller: Caller,
    id: Path<String>,
    body: Json<FalsePositiveBody>,
) -> Result<Json<AlertDetail>, ApiError> {
    let (mut body, now) = (body.into_inner(), state.clock.now());
    let note = read_note(body.note.take())?;
    if body.scope.is_none() && body.until.is_some() {
        return Err(ApiError::invalid_body("`until` needs a `scope`"));
    }
    // The mute first: should the verdict fail after it, saying both again replaces the mute.
    if let Some(reach) = body.scope {
        let until = body.until(now)?;
        mute(&state, &caller, &id, reach, until, note.clone()).await?;
    }
    judge(state, caller, id, Verdict::FalsePositive, note).await
}

/// Say that it was right
///
/// The alert keeps the verdict, and its detector's precision counts it. Mutes that were said of
/// this alert are lifted.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/{id}/true-positive",
    operation_id = "markTruePositive",
    tag = "alerts",
    params(("id" = String, Path, description = "The alert's id")),
    request_body = NoteBody,
    responses(
        (status = 200, description = "The alert as it is now", body = AlertDetail),
        (status = 400, description = "A body that makes no sense", body = ErrorBody),
        (status = 401, description = "No valid token", body = ErrorBody),
        (status = 403, description = "The token may read only", body = ErrorBody),
        (status = 404, description = "No such alert", body = ErrorBody),
        (status = 503, description = "It cannot be kept now", body = ErrorBody),
    )
)]
pub(crate) async fn mark_true_positive(
    state: Data<AppState>,
    caller: Caller,
    id: Path<String>,
    body: Json<NoteBody>,
) -> Result<Json<AlertDetail>, ApiError> {
    let note = body.into_inner().read()?;
    let (key, now) = (id.clone(), state.clock.now());
    let said = state.query(move |store| store.alert_mutes(&key)).await?;
    for row in said.iter().filter(|row| row.is_in_force(now)) {
        let lift = LiftMute {
            mute_id: row.mute.id.clone(),
            by: caller.name.clone(),
        };
        state.enter(NewEntry::lift(&lift)?).await?;
    }
    judge(state, caller, id, Verdict::TruePositive, note).await
}

async fn judge(
    state: Data<AppState>,
    caller: Caller,
    id: Path<String>,
    verdict: Verdict,
    note: Option<String>,
) -> Result<Json<AlertDetail>, ApiError> {
    let (key, now) = (id.clone(), state.clock.now());
    let outcome = state
        .query(move |store| store.set_verdict(&key, verdict, &caller.name, note.as_deref(), now))
        .await?;
    after_mark(&state, outcome, id.into_inner()).await
}

/// Enters a mute of what an alert found.
async fn mute(
    state: &AppState,
    caller: &Caller,
    id: &str,
    reach: Reach,
    until: Timestamp,
    note: Option<String>,
) -> Result<(), ApiError> {
    let (key, now) = (id.to_owned(), state.clock.now());
    let (found, in_force) = state
        .query(move |store| Ok((store.get_alert(&key)?, store.count_mutes(now)?)))
        .await?;
    let alert = found.ok_or_else(|| no_alert(id))?.alert;
    // Never more in all than the engine takes in one scope, so that it refuses none.
    if usize::try_from(in_force).is_ok_and(|count| count >= MUTES_MAX) {
        return Err(ApiError::too_many_mutes());
    }
    let target = reach.target(&alert)?;
    // Another subject's money says nothing of a pattern's.
    let amount = alert
        .amount_at_stake
        .filter(|_| !matches!(reach, Reach::Pattern));
    let mute = Mute {
        id: Mute::id_of(&alert.id, &target),
        by: caller.name.clone(),
        until,
        detector: alert.detector,
        scope: alert.scope,
        target,
        severity_max: alert.severity,
        amount_judged: amount,
        currency: alert.currency,
        alert_id: alert.id,
        note,
    };
    state.enter(NewEntry::mute(&mute)?).await?;
    Ok(())
}
