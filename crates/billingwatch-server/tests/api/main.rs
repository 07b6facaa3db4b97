//! The server as a client sees it: a real server on a free port, over a throw-away store.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests: a failure is a panic"
)]

mod support;

mod alerts;
mod auth;
mod bad_input;
mod bind;
mod contract;
mod detectors;
mod docs;
mod events;
mod health;
mod limits;
mod log;
mod metrics;
mod mutes;
mod operations;
mod suppressed;
mod tls;
mod webhooks;
