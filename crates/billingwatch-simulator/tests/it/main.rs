//! The simulator from outside: what its events say, and whether they say it truthfully.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod consistency;
mod delivery;
mod incidents;
mod shapes;
mod support;
mod trades;
mod volume;
