//! A renewed certificate is taken up while the server runs: within half a minute, or at once on
//! SIGHUP, which is what those who renew certificates send.
//!
//! Contents are compared, not times: links are swapped and clocks differ. A pair of which only one
//! half was replaced yet does not go together; then the old one stays until it does.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use billingwatch_core::time::Timestamp;
use billingwatch_pipeline::Clock;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use super::{Certificate, Pems, Standing, TlsError, TlsFiles};

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// The certificate in use.
pub(crate) struct Certificates {
    files: TlsFiles,
    current: RwLock<Certificate>,
    seen: Mutex<Seen>,
}

/// What was seen last, so that nothing is said or done twice.
struct Seen {
    /// Of what the files held; `None` when they could not be read.
    digest: Option<[u8; 32]>,
    standing: Standing,
}

impl Certificates {
    /// Reads both files.
    ///
    /// # Errors
    /// As [`TlsFiles::load`].
    pub(crate) fn load(files: TlsFiles, now: Timestamp) -> Result<Arc<Self>, TlsError> {
        let read = Pems::read(&files)?;
        let certificate = files.certificate_of(&read, &ring::default_provider())?;
        let standing = certificate.standing(now);
        warn_of(standing);
        Ok(Arc::new(Self {
            seen: Mutex::new(Seen {
                digest: Some(read.digest()),
                standing,
            }),
            current: RwLock::new(certificate),
            files,
        }))
    }

    /// Looks at the files again. What is wrong with them is said once, and the old pair stays.
    pub(crate) fn refresh(&self, now: Timestamp) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let read = Pems::read(&self.files);
        let digest = read.as_ref().ok().map(Pems::digest);
        if digest != seen.digest {
            seen.digest = digest;
            let certificate =
                read.and_then(|read| self.files.certificate_of(&read, &ring::default_provider()));
            match certificate {
                Ok(certificate) => {
                    let ends_at = certificate.ends_at().map(|at| at.to_string());
                    tracing::info!(
                        tls.ends_at = ends_at,
                        "the TLS certificate was replaced and is in use"
                    );
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = certificate;
                }
                Err(error) => tracing::error!(
                    error = %error,
                    "the new TLS certificate is not taken, the old one stays in use: {error}"
                ),
            }
        }
        let standing = self.current().standing(now);
        if standing != seen.standing {
            seen.standing = standing;
            warn_of(standing);
        }
    }

    pub(super) fn current(&self) -> Certificate {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().certified)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl Pems {
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.certificate.len().to_le_bytes());
        digest.update(&self.certificate);
        digest.update(&self.key);
        digest.finalize().into()
    }
}

fn warn_of(standing: Standing) {
    if let Some(warning) = standing.warning() {
        tracing::warn!("{warning}");
    }
}

/// Looks at the files for as long as the server runs.
#[cfg(unix)]
pub(crate) fn keep_fresh(
    certificates: Arc<Certificates>,
    clock: Arc<dyn Clock>,
    on_signals: bool,
) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = on_signals
        .then(|| signal(SignalKind::hangup()))
        .transpose()?;
    actix_web::rt::spawn(async move {
        loop {
            match &mut hangups {
                Some(hangups) => {
                    let _ = actix_web::rt::time::timeout(LOOK_INTERVAL, hangups.recv()).await;
                }
                None => actix_web::rt::time::sleep(LOOK_INTERVAL).await,
            }
            certificates.refresh(clock.now());
        }
    });
    Ok(())
}

/// Looks at the files for as long as the server runs.
#[cfg(not(unix))]
pub(crate) fn keep_fresh(
    certificates: Arc<Certificates>,
    clock: Arc<dyn Clock>,
    _on_signals: bool,
) -> io::Result<()> {
    actix_web::rt::spawn(async move {
        loop {
            actix_web::rt::time::sleep(LOOK_INTERVAL).await;
            certificates.refresh(clock.now());
        }
    });
    Ok(())
}
