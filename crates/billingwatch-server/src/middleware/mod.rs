//! What every request passes through, outermost first: the log line, then the headers, then the
//! hold on bodies that may never end.

mod endless;
mod headers;
mod request_log;

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;

use endless::hold_endless;
use headers::guard_headers;
use request_log::log_request;

/// All of them as one: three that the framework strings together are three futures on the heap, moved
/// there for each request.
pub(crate) async fn accompany(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let held = async |req| hold_endless(req, next).await;
    let guarded = async |req| guard_headers(req, held).await;
    log_request(req, guarded).await
}
