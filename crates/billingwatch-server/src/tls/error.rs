//! Why there is no TLS: each message names the file and the remedy.

use std::io;
use std::path::PathBuf;

/// A certificate or key that cannot be used. No message repeats what a file holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is missing, or may not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file far larger than any chain or key.
    #[error("{} is larger than 1 MiB, so neither a certificate nor a key", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// No certificate in the file.
    #[error(
        "{} holds no certificate: it must be PEM, with `-----BEGIN CERTIFICATE-----`, the server's own first and then those that lead to its authority",
        path.display()
    )]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// A certificate that cannot be read.
    #[error("{} holds a certificate that cannot be read: {reason}", path.display())]
    BadCertificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No key in the file.
    #[error(
        "{} holds no private key: it must be PEM, with `-----BEGIN PRIVATE KEY-----` (or RSA or EC before PRIVATE)",
        path.display()
    )]
    NoKey {
        /// Which file.
        path: PathBuf,
    },
    /// A key that nobody can read without being asked for a password.
    #[error(
        "{} holds a private key with a password: take it off (`openssl pkey -in KEY -out NEW`) and let only this user read the file",
        path.display()
    )]
    KeyHasPassword {
        /// Which file.
        path: PathBuf,
    },
    /// A key that cannot be read, or of a kind that TLS does not use.
    #[error("{} holds a private key that cannot be used: {reason}", path.display())]
    BadKey {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Each is good, and they do not belong together.
    #[error(
        "the private key in {} does not belong to the first certificate in {}: the server's own certificate must stand first",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// rustls refuses its own settings.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[source] rustls::Error),
}
