//! TLS by the server itself, for those who run no reverse proxy: a PEM chain and its key.
//!
//! TLS 1.2 and 1.3 by rustls, HTTP/1.1 alone above it: Stripe posts by it, and a second protocol
//! would be a second way in. There is one certificate, whatever name a client asks for.

mod error;
mod fresh;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use billingwatch_core::time::{Span, Timestamp};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use x509_cert::der::Decode;

pub use error::TlsError;
pub(crate) use fresh::{Certificates, keep_fresh};

/// The largest file that is read: chains and keys are a few kilobytes.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// How long before its end a certificate is warned of: those who renew by themselves do so a third of
/// its life before, so by then something is wrong.
const ENDS_SOON: Span = Span::days(14);

/// Where certificate and key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and what leads to its authority, in PEM, in that order.
    pub certificate: PathBuf,
    /// Its private key, in PEM, without a password.
    pub key: PathBuf,
}

/// A certificate, its chain and its key, which go together.
#[derive(Clone, Debug)]
pub struct Certificate {
    certified: Arc<CertifiedKey>,
    /// From when to when it holds; `None` where that cannot be read.
    holds: Option<(Timestamp, Timestamp)>,
}

/// How a certificate stands at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds.
    Good,
    /// It holds from then on.
    Begins(Timestamp),
    /// It holds, and no longer than two weeks.
    EndsSoon(Timestamp),
    /// It holds no longer: nobody will talk to this server, Stripe neither.
    Ended(Timestamp),
}

impl Standing {
    /// What to warn of, if anything.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        Some(match self {
            Self::Good => return None,
            Self::Begins(at) => format!("the TLS certificate holds only from {at} on"),
            Self::EndsSoon(at) => {
                format!("the TLS certificate ends at {at}: renew it before that")
            }
            Self::Ended(at) => format!(
                "the TLS certificate ended at {at}: Stripe and everybody else will refuse to connect until it is renewed"
            ),
        })
    }
}

impl TlsFiles {
    /// Reads both and sees that they go together.
    ///
    /// # Errors
    /// Each names the file and the remedy; see [`TlsError`].
    pub fn load(&self) -> Result<Certificate, TlsError> {
        let read = Pems::read(self)?;
        self.certificate_of(&read, &ring::default_provider())
    }

    fn certificate_of(
        &self,
        read: &Pems,
        provider: &CryptoProvider,
    ) -> Result<Certificate, TlsError> {
        let chain = self.chain_of(&read.certificate)?;
        let key = self.key_of(&read.key)?;
        let holds = chain.first().and_then(|first| validity(first));
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
            let (certificate, key) = (self.certificate.clone(), self.key.clone());
            match error {
                rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { certificate, key },
                rustls::Error::InvalidCertificate(error) => TlsError::BadCertificate {
                    path: certificate,
                    reason: error.to_string(),
                },
                other => TlsError::BadKey {
                    path: key,
                    reason: other.to_string(),
                },
            }
        })?;
        Ok(Certificate {
            certified: Arc::new(certified),
            holds,
        })
    }

    fn chain_of(&self, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let path = || self.certificate.clone();
        let chain: Vec<_> = CertificateDer::pem_slice_iter(text)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsError::BadCertificate {
                path: path(),
                reason: words(&error),
            })?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate { path: path() });
        }
        Ok(chain)
    }

    fn key_of(&self, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
        let path = self.key.clone();
        PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
            pem::Error::NoItemsFound if has(text, b"ENCRYPTED") => {
                TlsError::KeyHasPassword { path }
            }
            pem::Error::NoItemsFound => TlsError::NoKey { path },
            error => TlsError::BadKey {
                path,
                reason: words(&error),
            },
        })
    }
}

impl Certificate {
    /// How it stands.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        match self.holds {
            Some((begins_at, _)) if now < begins_at => Standing::Begins(begins_at),
            Some((_, ends_at)) if now > ends_at => Standing::Ended(ends_at),
            Some((_, ends_at)) if now > ends_at - ENDS_SOON => Standing::EndsSoon(ends_at),
            _ => Standing::Good,
        }
    }

    /// When it ends, where that can be read.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.holds.map(|(_, ends_at)| ends_at)
    }
}

/// What the two files hold.
struct Pems {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pems {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    let mut bounded = file.take(PEM_BYTES_MAX + 1);
    let len = bounded.read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(len).unwrap_or(u64::MAX) > PEM_BYTES_MAX {
        let path = path.to_owned();
        return Err(TlsError::TooLarge { path });
    }
    Ok(bytes)
}

/// What is wrong with the PEM around it.
fn words(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it is cut off: its END line is missing".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "its BEGIN line is damaged".to_owned(),
        other => other.to_string(),
    }
}

fn has(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// From when to when a certificate holds. One that rustls takes and this parser does not is none the
/// worse for it: then nobody is warned.
fn validity(der: &CertificateDer<'_>) -> Option<(Timestamp, Timestamp)> {
    let certificate = x509_cert::Certificate::from_der(der).ok()?;
    let validity = certificate.tbs_certificate().validity();
    let instant = |time: x509_cert::time::Time| {
        let secs = time.to_unix_duration().as_secs();
        i64::try_from(secs).ok().map(Timestamp::from_secs)
    };
    Some((instant(validity.not_before)?, instant(validity.not_after)?))
}

/// How connections are taken.
pub(crate) fn accept_with(
    certificates: Arc<dyn ResolvesServerCert>,
) -> Result<rustls::ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Setup)?;
    Ok(config
        .with_no_client_auth()
        .with_cert_resolver(certificates))
}
