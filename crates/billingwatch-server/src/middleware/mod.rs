//! What every request passes through, outermost first: the log line, then the headers.

mod headers;
mod request_log;

pub(crate) use headers::guard_headers;
pub(crate) use request_log::log_request;
