//! What every request passes through, outermost first: the log line, then the headers, then the
//! hold on bodies that may never end.

mod endless;
mod headers;
mod request_log;

pub(crate) use endless::hold_endless;
pub(crate) use headers::guard_headers;
pub(crate) use request_log::log_request;
