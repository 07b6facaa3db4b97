//! Where the database is: the URL, read once, and shown without its password.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Result, StoreError};

/// How to reach the database.
#[derive(Clone)]
pub struct StoreOptions {
    /// `sqlite://PATH` (relative or absolute), `sqlite::memory:` (tests), `postgres://…` or
    /// `postgresql://…`.
    pub url: String,
    /// Connections for reading, at least 1. On PostgreSQL two more are kept for writing.
    pub reader_connections: u32,
    /// How long to wait for a connection, and on SQLite for another process's lock.
    pub connect_timeout: Duration,
}

impl StoreOptions {
    /// The defaults: 4 readers, 5 seconds.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            reader_connections: 4,
            connect_timeout: Duration::from_secs(5),
        }
    }

    /// Whether there is anything at the URL: `false` for an SQLite file that does not exist, which
    /// [`Store::open`](crate::Store::open) would make.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadUrl`] for a URL that means nothing.
    pub fn is_there(&self) -> Result<bool> {
        let target = Target::parse(&self.url)?;
        Ok(target.file().is_none_or(|file| file.exists()))
    }

    /// The database's own name, without host, user and parameters; `None` for SQLite.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadUrl`] for a URL that means nothing.
    pub fn database_name(&self) -> Result<Option<String>> {
        let target = Target::parse(&self.url)?;
        let Place::Postgresql(url) = target.place else {
            return Ok(None);
        };
        let place = url
            .rsplit_once('@')
            .map_or(url.as_str(), |(_, place)| place);
        let place = place.split_once("://").map_or(place, |(_, place)| place);
        let place = place.split('?').next().unwrap_or_default();
        let name = place.split_once('/').map_or("", |(_, name)| name);
        Ok(Some(percent_decode(name)))
    }
}

impl std::fmt::Debug for StoreOptions {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreOptions")
            .field("url", &redact(&self.url))
            .field("reader_connections", &self.reader_connections)
            .field("connect_timeout", &self.connect_timeout)
            .finish()
    }
}

/// Which of the two, and where.
#[derive(Clone)]
pub(crate) enum Place {
    /// A file, or `:memory:`.
    Sqlite(String),
    /// A libpq connection URI.
    Postgresql(String),
}

/// A database URL that was understood.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) place: Place,
    /// For messages: no password.
    pub(crate) name: String,
    secrets: Vec<String>,
}

impl Target {
    /// Chooses the backend by the scheme and by nothing else.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadUrl`], which quotes nothing of the URL: it may hold a password in a place
    /// we do not expect.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let bad = |reason: &str| StoreError::BadUrl {
            reason: reason.to_owned(),
        };
        if let Some(rest) = url.strip_prefix("sqlite:") {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() {
                return Err(bad("it names no file"));
            }
            if path.contains('?') && !path.starts_with("file:") {
                return Err(bad("settings after `?` are not used for SQLite"));
            }
            return Ok(Self {
                place: Place::Sqlite(path.to_owned()),
                name: format!("the SQLite database {path}"),
                secrets: Vec::new(),
            });
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self {
                place: Place::Postgresql(url.to_owned()),
                name: format!("the PostgreSQL database {}", redact(url)),
                secrets: secrets(url),
            });
        }
        let has_scheme = url.contains("://");
        Err(bad(if url.is_empty() {
            "it is empty"
        } else if has_scheme {
            "its scheme is neither sqlite nor postgres"
        } else {
            "it has no scheme"
        }))
    }

    /// The file's path, when it is a plain file.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Sqlite(path) if !self.is_memory() && !path.starts_with("file:") => {
                Some(Path::new(path).to_owned())
            }
            _ => None,
        }
    }

    /// Whether it lives in memory, within one connection.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(&self.place, Place::Sqlite(path) if path == ":memory:")
    }

    /// A client library's words with every part of the password taken out.
    pub(crate) fn scrub(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), "***")
        })
    }
}

/// The URL without passwords: neither before the `@` nor in a parameter.
pub(crate) fn redact(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.starts_with("sqlite:") {
            url.to_owned()
        } else {
            "***".to_owned()
        };
    };
    if scheme == "sqlite" {
        return url.to_owned();
    }
    let (userinfo, place) = rest
        .rsplit_once('@')
        .map_or((None, rest), |(userinfo, place)| (Some(userinfo), place));
    let (address, parameters) = place
        .split_once('?')
        .map_or((place, None), |(address, parameters)| {
            (address, Some(parameters))
        });
    let mut shown = format!("{scheme}://");
    if let Some(userinfo) = userinfo {
        let user = userinfo.split(':').next().unwrap_or_default();
        shown.push_str(user);
        if user.len() < userinfo.len() {
            shown.push_str(":***");
        }
        shown.push('@');
    }
    shown.push_str(address);
    for (n, parameter) in parameters.iter().flat_map(|p| p.split('&')).enumerate() {
        shown.push(if n == 0 { '?' } else { '&' });
        match parameter.split_once('=') {
            Some((name, _)) if name.contains("password") => {
                shown.push_str(name);
                shown.push_str("=***");
            }
            _ => shown.push_str(parameter),
        }
    }
    shown
}

/// Every text that would give the password away, longest first: libpq quotes pieces of an URL it
/// cannot read, cut at its delimiters.
fn secrets(url: &str) -> Vec<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let mut found = Vec::new();
    if let Some((userinfo, _)) = rest.rsplit_once('@')
        && let Some((_, password)) = userinfo.split_once(':')
    {
        found.push(password.to_owned());
        found.push(percent_decode(password));
        found.extend(
            password
                .split(['/', ':', '@', '?', '#', '[', ']', '&'])
                .map(str::to_owned),
        );
    }
    for parameter in rest.split(['?', '&']) {
        if let Some((name, value)) = parameter.split_once('=')
            && name.contains("password")
        {
            found.push(value.to_owned());
            found.push(percent_decode(value));
        }
    }
    found.retain(|secret| secret.len() > 1);
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found.dedup();
    found
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex_digits = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex_digits.and_then(|digits| hex::decode(digits).ok()) {
            Some(byte) => {
                decoded.extend(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_shown() {
        let shown: Vec<String> = [
            "postgres://bw:s3cret@db:5432/billing?sslmode=require",
            "postgres://bw@db/billing",
            "postgresql://db/billing?user=bw&password=s3cret&sslpassword=s3cret",
            "postgres://bw:s3/cr@et?x@db/billing",
            "sqlite://billingwatch.db",
            "host=db password=s3cret",
        ]
        .into_iter()
        .map(redact)
        .collect();
        assert_eq!(
            shown,
            [
                "postgres://bw:***@db:5432/billing?sslmode=require",
                "postgres://bw@db/billing",
                "postgresql://db/billing?user=bw&password=***&sslpassword=***",
                "postgres://bw:***@db/billing",
                "sqlite://billingwatch.db",
                "***",
            ]
        );
        let options = StoreOptions::new("postgres://bw:s3cret@db/billing");
        assert!(!format!("{options:?}").contains("s3cret"));
    }

    #[test]
    fn a_database_has_a_name_of_its_own() {
        for (url, name) in [
            (
                "postgres://bw:s3/cr@et@db:5432/billing?sslmode=require",
                "billing",
            ),
            ("postgresql:///bill%20ing", "bill ing"),
            ("postgres://db", ""),
        ] {
            let found = StoreOptions::new(url).database_name().unwrap();
            assert_eq!(found.as_deref(), Some(name), "{url}");
        }
        let sqlite = StoreOptions::new("sqlite://billing.db");
        assert_eq!(sqlite.database_name().unwrap(), None);
    }

    #[test]
    fn what_a_library_says_is_scrubbed() {
        let target = Target::parse("postgres://bw:pa%2Fs/5th@db/billing").unwrap();
        assert_eq!(
            target.scrub("invalid integer value \"pa%2Fs\" for option \"port\", pa/s/5th"),
            "invalid integer value \"***\" for option \"port\", ***"
        );
    }

    #[test]
    fn only_known_schemes_are_taken() {
        for (url, reason) in [
            ("", "it is empty"),
            ("host=db dbname=x password=s3cret", "it has no scheme"),
            (
                "mysql://root:s3cret@db/x",
                "its scheme is neither sqlite nor postgres",
            ),
            ("billingwatch.db", "it has no scheme"),
            ("sqlite://", "it names no file"),
            (
                "sqlite://x.db?mode=rwc",
                "settings after `?` are not used for SQLite",
            ),
        ] {
            let error = Target::parse(url).err().unwrap().to_string();
            assert!(error.contains(reason), "{url}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert!(Target::parse("sqlite::memory:").unwrap().is_memory());
        assert!(
            Target::parse("sqlite:///var/lib/b.db")
                .unwrap()
                .file()
                .is_some()
        );
    }
}
