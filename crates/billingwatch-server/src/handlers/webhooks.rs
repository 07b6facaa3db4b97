//! Takes Stripe's posts in: raw bytes, signature, envelope, journal, answer.
//!
//! The bytes are never decoded on the way (a compressed body is bytes that do not verify), never
//! parsed before they verify, and answered 200 only once durable. What nobody understands is kept
//! all the same. The sender is never told to slow down: what cannot be taken now is a 503, which
//! Stripe tries again.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap};
use actix_web::web::{Data, Json, Path, Payload};
use billingwatch_core::stripe::payload::read_envelope;
use billingwatch_core::stripe::signature::{SignatureError, verify};
use billingwatch_pipeline::{IngestError, event_entry};
use billingwatch_store::NewEntry;
use futures_core::Stream;
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{DEFAULT_SOURCE, SourceConfig, Verification};
use crate::error::{ApiError, ErrorBody};
use crate::state::AppState;
use crate::telemetry::Received;

/// The longest body that is compressed on the thread that took it in, a tenth of a millisecond. The
/// writer compresses longer ones: other requests wait for this thread.
const PACKED_HERE_BYTES_MAX: usize = 64 * 1024;

/// The event is durable.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// Always true.
    received: bool,
    /// The same event id came through this source before; nothing was counted twice.
    duplicate: bool,
}

/// Take one Stripe event in
///
/// For the endpoint that the configuration calls `default`. The answer is 200 once the event is
/// durable, whether or not anything here understands it.
#[utoipa::path(
    post,
    path = "/webhooks/stripe",
    operation_id = "receiveEvent",
    tag = "webhooks",
    params(("Stripe-Signature" = String, Header, description = "`t=…,v1=…` as Stripe sends it")),
    request_body(
        content = serde_json::Value,
        content_type = "application/json",
        description = "A Stripe event, exactly as Stripe sent it: the signature is over its bytes"
    ),
    responses(
        (status = 200, description = "The event is durable", body = Accepted),
        (status = 400, description = "The signature did not verify, or the signed body is no event", body = ErrorBody),
        (status = 413, description = "The body is over the limit", body = ErrorBody),
        (status = 503, description = "It cannot be kept now; send it again", body = ErrorBody),
    ),
    security(())
)]
pub(crate) async fn receive(
    state: Data<AppState>,
    req: HttpRequest,
    payload: Payload,
) -> Result<Json<Accepted>, ApiError> {
    receive_from(&state, DEFAULT_SOURCE, &req, payload).await
}

/// Take one Stripe event in, for a named source
///
/// As `/webhooks/stripe`, for another endpoint with signing secrets of its own.
#[utoipa::path(
    post,
    path = "/webhooks/stripe/{source}",
    operation_id = "receiveEventForSource",
    tag = "webhooks",
    params(
        ("source" = String, Path, description = "The source's name in the configuration"),
        ("Stripe-Signature" = String, Header, description = "`t=…,v1=…` as Stripe sends it"),
    ),
    request_body(
        content = serde_json::Value,
        content_type = "application/json",
        description = "A Stripe event, exactly as Stripe sent it"
    ),
    responses(
        (status = 200, description = "The event is durable", body = Accepted),
        (status = 400, description = "The signature did not verify, or the signed body is no event", body = ErrorBody),
        (status = 404, description = "No source of that name", body = ErrorBody),
        (status = 413, description = "The body is over the limit", body = ErrorBody),
        (status = 503, description = "It cannot be kept now; send it again", body = ErrorBody),
    ),
    security(())
)]
pub(crate) async fn receive_named(
    state: Data<AppState>,
    source: Path<String>,
    req: HttpRequest,
    payload: Payload,
) -> Result<Json<Accepted>, ApiError> {
    receive_from(&state, &source, &req, payload).await
}

async fn receive_from(
    state: &AppState,
    name: &str,
    req: &HttpRequest,
    payload: Payload,
) -> Result<Json<Accepted>, ApiError> {
    let source = state
        .sources
        .get(name)
        .ok_or_else(ApiError::unknown_source)?;
    let outcome = take_in(state, name, source, req, payload).await;
    let (counted, answer) = match outcome {
        Ok(is_duplicate) => {
            let counted = if is_duplicate {
                Received::Duplicate
            } else {
                Received::Accepted
            };
            let accepted = Accepted {
                received: true,
                duplicate: is_duplicate,
            };
            (counted, Ok(Json(accepted)))
        }
        Err((counted, error)) => (counted, Err(error)),
    };
    state.telemetry.count_webhook(name, counted);
    answer
}

type Refusal = (Received, ApiError);

/// Whether the event was known already, once it is durable.
async fn take_in(
    state: &AppState,
    name: &str,
    source: &SourceConfig,
    req: &HttpRequest,
    payload: Payload,
) -> Result<bool, Refusal> {
    let body = read_body(state, req, payload).await?;
    authenticate(state, name, source, req, &body)?;
    let envelope = read_envelope(&body).map_err(|error| {
        tracing::warn!(source = name, error = %error, "a signed body is no event");
        let message = format!("the body is not a Stripe event: {error}");
        (Received::BadPayload, ApiError::invalid_payload(message))
    })?;
    let begun_at = Instant::now();
    let mut entry = event_entry(name, envelope, body);
    if entry.body.len() <= PACKED_HERE_BYTES_MAX {
        // There are several of us, and one writer.
        entry = entry.packed();
    }
    let is_duplicate = append(state, entry).await?;
    state
        .telemetry
        .observe_ingest(begun_at.elapsed().as_secs_f64());
    Ok(is_duplicate)
}

/// Room made at once for a body of a stated length: whoever states more has to send it first.
const STATED_BYTES_MAX: usize = 64 * 1024;

/// The raw body, never more of it than the limit.
async fn read_body(
    state: &AppState,
    req: &HttpRequest,
    payload: Payload,
) -> Result<Vec<u8>, Refusal> {
    let limit_bytes = state.limits.body_bytes;
    let reading = collect(payload, stated_bytes(req.headers()), limit_bytes);
    match actix_web::rt::time::timeout(state.limits.request_timeout, reading).await {
        Err(_) => Err((Received::Incomplete, ApiError::request_timeout())),
        Ok(Err(Cut::TooLong)) => Err((Received::TooLarge, ApiError::body_too_large(limit_bytes))),
        Ok(Err(Cut::Broken)) => Err((Received::Incomplete, ApiError::incomplete_body())),
        Ok(Ok(body)) => Ok(body),
    }
}

/// Why a body was not read to its end.
enum Cut {
    TooLong,
    Broken,
}

/// Reads a body into no more memory than it needs: it is kept until the detectors have seen it, and
/// the framework's own way makes room for 32 KiB each time.
async fn collect(
    mut payload: Payload,
    stated_bytes: usize,
    limit_bytes: usize,
) -> Result<Vec<u8>, Cut> {
    let mut body = Vec::with_capacity(stated_bytes.min(STATED_BYTES_MAX).min(limit_bytes));
    while let Some(piece) = poll_fn(|context| Pin::new(&mut payload).poll_next(context)).await {
        let piece = piece.map_err(|_| Cut::Broken)?;
        if body.len().saturating_add(piece.len()) > limit_bytes {
            return Err(Cut::TooLong);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// What the sender says of the body's length; 0 where it says nothing that makes sense.
fn stated_bytes(headers: &HeaderMap) -> usize {
    let stated = headers.get(CONTENT_LENGTH);
    let stated = stated.and_then(|value| value.to_str().ok()?.parse().ok());
    stated.unwrap_or(0)
}

fn authenticate(
    state: &AppState,
    name: &str,
    source: &SourceConfig,
    req: &HttpRequest,
    body: &[u8],
) -> Result<(), Refusal> {
    let Verification::Signed { secrets, tolerance } = &source.verification else {
        return Ok(());
    };
    let verified = signature_header(req.headers())
        .and_then(|header| verify(header, body, secrets, *tolerance, state.clock.now()));
    let verified = verified.map(|verified| state.ingest.note_signed(verified.timestamp));
    verified.map_err(|error| {
        // The reason is for the operator; the header's content for nobody. An address that goes on
        // and on is counted, and fills no disk.
        let address = req.peer_addr().map(|peer| peer.ip());
        if state.forgeries.note(address, state.clock.now()) {
            tracing::warn!(
                source = name,
                reason = error.code(),
                "a signature did not verify: {error}"
            );
        }
        state.telemetry.count_verify_failure(name, error.code());
        state.ingest.counters().count_bad_signature(name);
        (Received::BadSignature, ApiError::signature())
    })
}

/// The one `Stripe-Signature` header. Stripe sends one; of two, a proxy and we might trust
/// different ones.
fn signature_header(headers: &HeaderMap) -> Result<Option<&[u8]>, SignatureError> {
    let mut values = headers.get_all("stripe-signature");
    let first = values.next();
    if values.next().is_some() {
        return Err(SignatureError::Malformed("the header is there twice"));
    }
    Ok(first.map(|value| value.as_bytes()))
}

async fn append(state: &AppState, entry: NewEntry) -> Result<bool, Refusal> {
    let unavailable = |message| (Received::Unavailable, ApiError::unavailable(message));
    let receipt = state.ingest.submit(entry).map_err(|error| match error {
        IngestError::Full => unavailable("too much is waiting to be kept; send it again"),
        _ => unavailable("the server is stopping; send it again"),
    })?;
    let waiting = actix_web::rt::time::timeout(state.durable_timeout(), receipt);
    match waiting.await {
        Ok(Ok(received)) => Ok(received.is_duplicate),
        // The writer has logged why, once for the whole batch.
        Ok(Err(_)) => Err(unavailable("the event could not be kept; send it again")),
        Err(_) => Err(unavailable(
            "keeping the event takes too long; send it again",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use actix_web::FromRequest;
    use actix_web::test::TestRequest;

    use super::*;

    async fn read(body: &[u8], stated: &str, limit_bytes: usize) -> Result<Vec<u8>, Cut> {
        let (req, mut payload) = TestRequest::post()
            .set_payload(body.to_vec())
            .insert_header((CONTENT_LENGTH, stated))
            .to_http_parts();
        let payload = Payload::from_request(&req, &mut payload).await.unwrap();
        collect(payload, stated_bytes(req.headers()), limit_bytes).await
    }

    #[actix_web::test]
    async fn a_body_takes_no_more_memory_than_it_needs() {
        let sent = vec![b'x'; 2_500];
        let body = read(&sent, "2500", 10_000).await.unwrap_or_default();
        assert_eq!(body, sent);
        assert_eq!(body.capacity(), 2_500);
        for stated in ["999999999999", "18446744073709551616", "-1", "", "many"] {
            let body = read(&sent, stated, 1 << 30).await.unwrap_or_default();
            assert_eq!(body, sent, "stated: {stated}");
            assert!(body.capacity() <= STATED_BYTES_MAX, "stated: {stated}");
        }
    }

    #[actix_web::test]
    async fn a_body_over_the_limit_is_cut_whatever_it_states() {
        for stated in ["11", "5", ""] {
            let read = read(b"hello world", stated, 10).await;
            assert!(matches!(read, Err(Cut::TooLong)), "stated: {stated}");
        }
        let just = read(b"hello worl", "10", 10).await;
        assert_eq!(just.unwrap_or_default(), b"hello worl");
    }
}
