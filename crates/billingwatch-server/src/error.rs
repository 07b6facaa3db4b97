//! The one shape of every refusal: `{"error": {"code", "message"}}` with a status.
//!
//! A `code` is a fixed word that programs branch on; a `message` is for people. Neither ever says
//! what a secret, a token or a database answered.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use billingwatch_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

/// What a refused request is answered with.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    /// Headers that this refusal calls for, such as `Retry-After`.
    headers: Vec<(header::HeaderName, &'static str)>,
}

/// The body of every refusal.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What went wrong.
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
struct ErrorDetail {
    /// A fixed word for programs; `docs/api.md` lists them all.
    #[schema(example = "not_found")]
    code: Cow<'static, str>,
    /// A sentence for people; its wording may change.
    #[schema(example = "no alert has the id al_0000000000000000")]
    message: String,
}

/// Every code there is, with the status it comes with: what `docs/api.md` lists.
pub(crate) const CODES: [(&str, u16); 22] = [
    ("invalid_query", 400),
    ("invalid_path", 400),
    ("invalid_body", 400),
    ("invalid_cursor", 400),
    ("incomplete_body", 400),
    ("signature_verification_failed", 400),
    ("invalid_payload", 400),
    ("unauthorized", 401),
    ("forbidden", 403),
    ("not_found", 404),
    ("unknown_source", 404),
    ("method_not_allowed", 405),
    ("request_timeout", 408),
    ("already_resolved", 409),
    ("mute_ended", 409),
    ("too_many_mutes", 409),
    ("body_too_large", 413),
    ("unsupported_media_type", 415),
    ("too_many_failures", 429),
    ("headers_too_large", 431),
    ("internal_error", 500),
    ("unavailable", 503),
];

/// How long a sender should wait after a 503, in seconds: Stripe has its own schedule; others heed it.
const RETRY_AFTER_SECS: &str = "5";

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        debug_assert!(
            CODES.contains(&(code, status.as_u16())),
            "{code} is not listed"
        );
        Self {
            status,
            code,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    fn with_header(mut self, name: header::HeaderName, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn invalid_query(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_query", message)
    }

    pub(crate) fn invalid_path(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_path", message)
    }

    pub(crate) fn invalid_body(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_body", message)
    }

    pub(crate) fn invalid_cursor() -> Self {
        let message = "`after` is not a cursor that this server gave out";
        Self::new(StatusCode::BAD_REQUEST, "invalid_cursor", message)
    }

    pub(crate) fn incomplete_body() -> Self {
        let message = "the body ended early or was not readable";
        Self::new(StatusCode::BAD_REQUEST, "incomplete_body", message)
    }

    /// The same words whatever was wrong: a forger learns nothing from them.
    pub(crate) fn signature() -> Self {
        let message = "signature verification failed";
        Self::new(
            StatusCode::BAD_REQUEST,
            "signature_verification_failed",
            message,
        )
    }

    pub(crate) fn invalid_payload(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_payload", message)
    }

    pub(crate) fn unauthorized() -> Self {
        let message = "send a valid API token as `Authorization: Bearer <token>`";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"billingwatch\"")
    }

    /// For guesses at tokens alone. Nothing that Stripe posts is ever answered so.
    pub(crate) fn too_many_failures() -> Self {
        let message = "too many wrong tokens from this address; try again in a few seconds";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", message)
            .with_header(header::RETRY_AFTER, RETRY_AFTER_SECS)
    }

    pub(crate) fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(crate) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn unknown_source() -> Self {
        let message = "no source of that name is configured";
        Self::new(StatusCode::NOT_FOUND, "unknown_source", message)
    }

    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let message = format!("this path takes {allow}");
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            message,
        )
        .with_header(header::ALLOW, allow)
    }

    pub(crate) fn request_timeout() -> Self {
        let message = "the body took too long to arrive";
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
    }

    pub(crate) fn already_resolved() -> Self {
        let message = "the alert has ended already";
        Self::new(StatusCode::CONFLICT, "already_resolved", message)
    }

    pub(crate) fn mute_ended() -> Self {
        let message = "the mute has ended already";
        Self::new(StatusCode::CONFLICT, "mute_ended", message)
    }

    pub(crate) fn too_many_mutes() -> Self {
        let message = "1000 mutes are in force: lift some, or mute a pattern";
        Self::new(StatusCode::CONFLICT, "too_many_mutes", message)
    }

    pub(crate) fn body_too_large(limit_bytes: usize) -> Self {
        let message = format!("the body is larger than {limit_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    pub(crate) fn unsupported_media_type() -> Self {
        let message = "send the body with `Content-Type: application/json`";
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            message,
        )
    }

    pub(crate) fn headers_too_large(limit_bytes: usize) -> Self {
        let message = format!("the request's headers are larger than {limit_bytes} bytes");
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers_too_large",
            message,
        )
    }

    pub(crate) fn internal() -> Self {
        let message = "an error on our side; the log says more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
    }

    /// We cannot take it now and may soon: never 429, which Stripe would count against us.
    pub(crate) fn unavailable(message: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            .with_header(header::RETRY_AFTER, RETRY_AFTER_SECS)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        for (name, value) in &self.headers {
            response.insert_header((name.clone(), *value));
        }
        response.json(ErrorBody {
            error: ErrorDetail {
                code: Cow::Borrowed(self.code),
                message: self.message.to_string(),
            },
        })
    }
}

/// What a query for data fails with: logged here, once, and answered without its words.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::BadPage { .. }) {
            return Self::invalid_cursor();
        }
        tracing::error!(error = %error, "the store failed a request");
        Self::unavailable("the store cannot answer now")
    }
}

/// A blocking task that was cancelled or panicked.
impl From<actix_web::error::BlockingError> for ApiError {
    fn from(_: actix_web::error::BlockingError) -> Self {
        tracing::error!("a blocking task was cancelled");
        Self::internal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order_of_status() {
        for pair in CODES.windows(2) {
            assert!(pair[0].1 <= pair[1].1, "{pair:?}");
        }
        let mut words: Vec<_> = CODES.iter().map(|(code, _)| code).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), CODES.len());
    }

    #[test]
    fn docs_list_every_code_with_its_status() {
        let docs = include_str!("../../../docs/api.md");
        for (code, status) in CODES {
            let row = format!("| `{code}` | {status} |");
            assert!(docs.contains(&row), "docs/api.md lacks the row `{row}`");
        }
    }
}
