//! The journal as a file of lines, and back: what `billingwatch export` writes and `import` reads.
//!
//! A line is what `replay` reads, `{"received_at": 1709599200.250, "event": {…}}`, and holds every
//! byte of the event as it was received:
//!
//! - A body on one line stands there unchanged.
//! - A body over several lines, as Stripe sends them, has every newline written as a tab, and
//!   `"newlines": "tabs"` before it: outside of texts both are white space that means nothing, inside
//!   of texts JSON allows neither, and as there was no tab before, the way back is exact.
//! - Any other body (with tabs and newlines, with carriage returns, with white space around it, or
//!   not in UTF-8) is written readable, and beside it, as `body_base64`, as it was.
//!
//! `"source"` names the source unless that is `default`; account and mode are in the event itself.
//! Only events are written: settings and resolutions belong to the installation that they were made
//! in.

mod export;
mod import;
mod line;

pub use export::{Batch, export_batch};
pub use import::{ImportError, ImportReport, ImportSink, Importer};
pub use line::{DEFAULT_SOURCE, write_line};
