#![doc = include_str!("../README.md")]

mod accept;
mod auth;
mod config;
mod error;
mod failures;
mod handlers;
mod middleware;
mod openapi;
mod paging;
mod params;
mod pipeline_metrics;
mod routes;
mod server;
mod state;
mod telemetry;
mod tls;

pub use config::{Access, DEFAULT_SOURCE, Limits, ServerConfig, SourceConfig, Verification};
pub use server::{Bound, Server, ServerError, Stopper};
pub use state::{Services, StatusReader};
pub use tls::{Certificate, Standing, TlsError, TlsFiles};

/// The OpenAPI 3.1 document of every route, as indented JSON.
#[must_use]
pub fn openapi_json() -> String {
    openapi::to_json()
}
