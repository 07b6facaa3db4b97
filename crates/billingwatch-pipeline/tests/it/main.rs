//! The loops, a step at a time: one binary, a file per subject.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "tests"
)]

mod archive;
mod contract;
mod crash;
mod delivery;
mod ingest;
mod replay;
mod restart;
mod runtime;
mod settings;
mod spool;
mod standard;
mod support;
