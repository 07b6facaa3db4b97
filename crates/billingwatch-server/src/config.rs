//! What the server is told at start: where to listen, who may ask, which sources post.
//!
//! Reading files and the environment is the binary's work; these are the values it found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use billingwatch_core::stripe::signature::{Secret, Tolerance};

use crate::tls::TlsFiles;

/// The source that `POST /webhooks/stripe` is for.
pub const DEFAULT_SOURCE: &str = "default";

/// Everything the server is told at start.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address to listen on; a name is looked up.
    pub host: String,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
    /// The certificate to answer https with; `None` for plain http.
    pub tls: Option<TlsFiles>,
    /// Who may ask for data.
    pub access: Access,
    /// The Stripe endpoints that may post, by name; `default` is the one without a name in its path.
    pub sources: BTreeMap<String, SourceConfig>,
    /// Bounds and time limits.
    pub limits: Limits,
    /// Stop on SIGINT and SIGTERM. A program that has its own handling switches this off and uses
    /// [`Stopper`](crate::Stopper).
    pub stops_on_signals: bool,
}

/// Who may ask for data. The health, documentation and webhook routes ask for no token.
#[derive(Clone)]
pub enum Access {
    /// Callers with one of these tokens, or one that the store knows.
    Tokens(Vec<String>),
    /// Everyone who reaches the port: development, on a loopback address only.
    Open,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(tokens) => write!(f, "Tokens({} configured)", tokens.len()),
            Self::Open => f.write_str("Open"),
        }
    }
}

/// One Stripe endpoint that posts to us.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// How its posts are known to be Stripe's.
    pub verification: Verification,
}

/// How a post is known to be Stripe's.
#[derive(Clone, Debug)]
pub enum Verification {
    /// By a signature under any of these secrets, made within `tolerance` of now.
    Signed {
        /// The endpoint's signing secrets; several while one is being rolled.
        secrets: Vec<Secret>,
        /// How far the signature's timestamp may be from now.
        tolerance: Tolerance,
    },
    /// Not at all: development, on a loopback address only.
    Unverified,
}

impl Verification {
    /// Signed under these secrets, with Stripe's usual tolerance.
    #[must_use]
    pub fn signed(secrets: Vec<Secret>) -> Self {
        Self::Signed {
            secrets,
            tolerance: Tolerance::DEFAULT,
        }
    }
}

/// Bounds and time limits of the server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Threads that answer requests.
    pub workers: usize,
    /// The largest webhook body, in bytes. Stripe's events are rarely beyond 256 KiB.
    pub body_bytes: usize,
    /// Connections at once, over all workers.
    pub connections: usize,
    /// Threads that wait for the database, over all workers.
    pub blocking_threads: usize,
    /// How long a TLS handshake may take; each takes the place of a connection meanwhile.
    pub handshake_timeout: Duration,
    /// How long a request's head may take to arrive, and then its body.
    pub request_timeout: Duration,
    /// How long a webhook waits for its event to be durable before it is answered 503. On a disk
    /// whose commits usually take longer than a third of this, three times what they take.
    pub durable_timeout: Duration,
    /// How long a connection may idle between requests.
    pub keep_alive: Duration,
    /// How long a stop waits for requests that have begun.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            workers: 2,
            body_bytes: 1024 * 1024,
            connections: 4096,
            blocking_threads: 8,
            handshake_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            // Stripe hears within a second that it should try again.
            durable_timeout: Duration::from_millis(900),
            keep_alive: Duration::from_secs(75),
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

impl ServerConfig {
    /// A server on this address with these sources and otherwise defaults.
    #[must_use]
    pub fn new(
        host: &str,
        port: u16,
        access: Access,
        sources: BTreeMap<String, SourceConfig>,
    ) -> Self {
        Self {
            host: host.to_owned(),
            port,
            tls: None,
            access,
            sources,
            limits: Limits::default(),
            stops_on_signals: true,
        }
    }

    /// Whether anything here is safe only where nobody else can reach the port.
    pub(crate) fn needs_loopback(&self) -> Option<&'static str> {
        if matches!(self.access, Access::Open) {
            return Some("access without a token");
        }
        self.sources
            .values()
            .any(|source| matches!(source.verification, Verification::Unverified))
            .then_some("a source without signature verification")
    }
}
