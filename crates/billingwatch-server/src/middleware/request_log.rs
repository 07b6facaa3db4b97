//! One log line and one count a request: method, route pattern, status, duration.
//!
//! Never the query string (cursors and, by mistake, tokens), a header or a body; and the pattern
//! instead of the path, so that neither ids nor scans for other software's files fill the log.

use std::time::Instant;

use actix_web::Error;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::web;

use crate::state::AppState;

/// What a path that matches no route is called.
const UNMATCHED: &str = "unmatched";

pub(crate) async fn log_request<B>(
    req: ServiceRequest,
    next: impl AsyncFnOnce(ServiceRequest) -> Result<ServiceResponse<B>, Error>,
) -> Result<ServiceResponse<B>, Error> {
    let begun_at = Instant::now();
    let method = method_label(req.method());
    let state = req.app_data::<web::Data<AppState>>().cloned();
    let response = next(req).await?;
    let elapsed = begun_at.elapsed();
    let route = response
        .request()
        .match_pattern()
        .unwrap_or_else(|| UNMATCHED.to_owned());
    let status = response.status().as_u16();
    if let Some(state) = state {
        state
            .telemetry
            .observe_request(method, &route, status, elapsed.as_secs_f64());
    }
    let duration_ms = elapsed.as_secs_f64() * 1000.0;
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                http.method = method,
                http.route = route,
                http.status = status,
                http.duration_ms = duration_ms,
                "{method} {route} answered {status}"
            )
        };
    }
    match status {
        500.. => log!(warn),
        // Probes come every few seconds and say the same each time.
        _ if route.starts_with("/health") => log!(debug),
        _ => log!(info),
    }
    Ok(response)
}

/// One of a fixed set of words: a client may send any token as a method.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
