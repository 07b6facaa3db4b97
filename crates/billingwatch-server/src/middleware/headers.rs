//! The bound on what comes in as headers, and the headers that every answer carries.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{Error, ResponseError};

use crate::error::ApiError;

/// The most bytes of target and headers together. The protocol layer cuts off at 128 KiB by
/// itself, without a body in its answer; this bound comes first and answers like all else here.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// For answers that are data, not pages: nothing may be loaded by them.
const CSP_DATA: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; \
    form-action 'none'; sandbox";

/// What every answer carries unless its handler chose otherwise.
const DEFAULTS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, CSP_DATA),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// Over TLS of our own, browsers are told never to ask this host in the clear again: for a year, as
/// RFC 6797 (section 11.2) has it. Behind a proxy that is the proxy's to say.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

pub(crate) async fn guard_headers(
    req: ServiceRequest,
    next: impl AsyncFnOnce(ServiceRequest) -> Result<ServiceResponse<BoxBody>, Error>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_tls = req.app_config().secure();
    let mut response = if head_bytes(&req) > HEAD_BYTES_MAX {
        req.into_response(ApiError::headers_too_large(HEAD_BYTES_MAX).error_response())
    } else {
        next(req).await?
    };
    add_defaults(response.headers_mut());
    if is_tls {
        let headers = response.headers_mut();
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    Ok(response)
}

fn head_bytes(req: &ServiceRequest) -> usize {
    let target = req.uri().path_and_query().map_or(0, |t| t.as_str().len());
    let headers = req.headers().iter();
    headers.fold(target, |sum, (name, value)| {
        sum.saturating_add(name.as_str().len())
            .saturating_add(value.len())
    })
}

fn add_defaults(headers: &mut HeaderMap) {
    for (name, value) in &DEFAULTS {
        if !headers.contains_key(name) {
            headers.insert(name.clone(), HeaderValue::from_static(value));
        }
    }
}
