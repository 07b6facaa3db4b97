//! Binding, running and stopping.
//!
//! Binding is apart from running, so that a port in use is told before anything else starts, and
//! so that a test learns which port it got. Stopping takes no new connection, lets requests that
//! have begun come to their answers, and then returns: only after that should the pipeline be shut
//! down, for those answers wait for it.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::middleware::from_fn;
use actix_web::rt::System;
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use tokio::sync::Notify;

use crate::config::ServerConfig;
use crate::middleware::accompany;
use crate::routes;
use crate::state::{AppState, Services};
use crate::tls::{self, Certificates, TlsError};

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The host is no address of anything.
    #[error(
        "cannot find the address of `{host}`: set HOST to an IP address or a name this machine knows ({reason})"
    )]
    UnknownHost {
        /// The host.
        host: String,
        /// What looking it up said.
        reason: String,
    },
    /// Somebody else listens there.
    #[error("port in use: another program listens on {addr}; stop it, or set PORT to another port")]
    PortInUse {
        /// The address.
        addr: SocketAddr,
    },
    /// This user may not listen there.
    #[error(
        "not allowed to listen on {addr}: ports below 1024 need privileges; set PORT to 1024 or above"
    )]
    NotAllowed {
        /// The address.
        addr: SocketAddr,
    },
    /// This machine does not have the address.
    #[error("this machine has no address {addr}: set HOST to 127.0.0.1, 0.0.0.0 or one of its own")]
    NoSuchAddress {
        /// The address.
        addr: SocketAddr,
    },
    /// Something that is safe only on a loopback address was asked for elsewhere.
    #[error(
        "refusing to listen on {addr}: {what} is for development on a loopback address; set HOST to 127.0.0.1, or configure secrets and tokens"
    )]
    NotLoopback {
        /// The address.
        addr: SocketAddr,
        /// What was asked for.
        what: &'static str,
    },
    /// The operating system refused for another reason.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What it said.
        source: io::Error,
    },
    /// The server ended by a failure.
    #[error("the server failed: {0}")]
    Run(#[source] io::Error),
    /// A metric has no valid name.
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The HTTP server.
#[derive(Debug)]
pub struct Server;

/// A server that holds its port and answers once it runs: connections made before wait.
pub struct Bound {
    listener: TcpListener,
    addr: SocketAddr,
    state: Data<AppState>,
    certificates: Option<Arc<Certificates>>,
    stops_on_signals: bool,
    stop: Arc<Notify>,
}

/// Stops a running server from another thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    stop: Arc<Notify>,
    has_begun: Arc<AtomicBool>,
}

impl Stopper {
    /// Begins the stop; returns at once. [`Bound::run`] returns when it is complete.
    pub fn stop(&self) {
        self.stop.notify_one();
    }

    /// Whether a stop has begun, by this or by a signal: from then on no connection is taken.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// Each names the address and the remedy; see [`ServerError`].
    pub fn bind(config: ServerConfig, services: Services) -> Result<Bound, ServerError> {
        let wanted = resolve(&config.host, config.port)?;
        if let Some(what) = config.needs_loopback()
            && !wanted.ip().is_loopback()
        {
            return Err(ServerError::NotLoopback { addr: wanted, what });
        }
        let certificates = config
            .tls
            .clone()
            .map(|files| Certificates::load(files, services.clock.now()))
            .transpose()?;
        let listener = TcpListener::bind(wanted).map_err(|source| refused(wanted, source))?;
        let addr = listener
            .local_addr()
            .map_err(|source| refused(wanted, source))?;
        Ok(Bound {
            listener,
            addr,
            certificates,
            stops_on_signals: config.stops_on_signals,
            state: Data::new(AppState::new(config, services)?),
            stop: Arc::new(Notify::new()),
        })
    }
}

impl Bound {
    /// The address it listens on, with the real port.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The scheme and address it answers at.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = match self.certificates {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{}", self.addr)
    }

    /// What stops it once it runs; may be used before, too.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper {
            stop: Arc::clone(&self.stop),
            has_begun: Arc::clone(&self.state.is_stopping),
        }
    }

    /// Answers requests until it is stopped, then lets those that have begun end. Blocks.
    ///
    /// # Errors
    /// When the operating system fails the server.
    pub fn run(self) -> Result<(), ServerError> {
        let accept = match &self.certificates {
            Some(certificates) => Some(tls::accept_with(certificates.clone())?),
            None => None,
        };
        System::new()
            .block_on(self.serve(accept))
            .map_err(ServerError::Run)
    }

    async fn serve(self, accept: Option<rustls::ServerConfig>) -> io::Result<()> {
        let state = self.state.clone();
        let limits = state.limits.clone();
        let workers = limits.workers.max(1);
        if self.stops_on_signals {
            stop_on_signals(&self.stop)?;
        }
        if let Some(certificates) = self.certificates {
            let clock = Arc::clone(&self.state.clock);
            tls::keep_fresh(certificates, clock, self.stops_on_signals)?;
        }
        let stop = stopping(self.state, self.stop);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .configure(routes::configure)
                .wrap(from_fn(accompany))
        })
        .workers(workers)
        .max_connections(share(limits.connections, workers))
        // Else few who connect and say nothing keep all others from their handshake.
        .max_connection_rate(share(limits.connections, workers))
        .tls_handshake_timeout(limits.handshake_timeout.min(limits.request_timeout))
        .worker_max_blocking_threads(share(limits.blocking_threads, workers))
        .client_request_timeout(limits.request_timeout)
        .client_disconnect_timeout(limits.request_timeout)
        .keep_alive(limits.keep_alive)
        .shutdown_timeout(limits.shutdown_timeout.as_secs())
        .shutdown_signal(stop);
        let server = match accept {
            Some(accept) => server.listen_rustls_0_23(self.listener, accept)?,
            None => server.listen(self.listener)?,
        };
        server.run().await
    }
}

/// Ends when the server should stop.
async fn stopping(state: Data<AppState>, stop: Arc<Notify>) {
    stop.notified().await;
    tracing::info!("stopping: requests that have begun are answered first");
    state.begin_stop();
}

/// Turns SIGINT and SIGTERM alike into a stop that lets requests end.
#[cfg(unix)]
fn stop_on_signals(stop: &Arc<Notify>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signals = signal(kind)?;
        let stop = Arc::clone(stop);
        actix_web::rt::spawn(async move {
            signals.recv().await;
            stop.notify_one();
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn stop_on_signals(stop: &Arc<Notify>) -> io::Result<()> {
    let stop = Arc::clone(stop);
    actix_web::rt::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.notify_one();
        }
    });
    Ok(())
}

/// A worker's share, never none.
fn share(total: usize, workers: usize) -> usize {
    NonZeroUsize::new(workers)
        .map_or(total, |workers| total / workers)
        .max(1)
}

/// One address: of several that a name has, an IPv4 one, as `localhost` in a URL usually means.
fn resolve(host: &str, port: u16) -> Result<SocketAddr, ServerError> {
    let unknown = |reason: String| ServerError::UnknownHost {
        host: host.to_owned(),
        reason,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found: Vec<_> = (bare, port)
        .to_socket_addrs()
        .map_err(|error| unknown(error.to_string()))?
        .collect();
    found
        .iter()
        .find(|addr| addr.is_ipv4())
        .or_else(|| found.first())
        .copied()
        .ok_or_else(|| unknown("it has no address".to_owned()))
}

fn refused(addr: SocketAddr, source: io::Error) -> ServerError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ServerError::PortInUse { addr },
        io::ErrorKind::PermissionDenied => ServerError::NotAllowed { addr },
        io::ErrorKind::AddrNotAvailable => ServerError::NoSuchAddress { addr },
        _ => ServerError::Listen { addr, source },
    }
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}
