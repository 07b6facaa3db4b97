//! `[alert.email]`: who writes to whom, through which server.

use std::path::PathBuf;

use billingwatch_core::alert::Severity;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use serde::Deserialize;

use super::Email;
use super::session::{Security, Session};
use crate::channel::Channel;
use crate::config::{Lookup, set, split};
use crate::error::ConfigError;
use crate::http::{self, TIMEOUT_SECS_DEFAULT};
use crate::secret::Secret;

/// The submission port, STARTTLS (RFC 6409).
const PORT_DEFAULT: u16 = 587;
/// The submission port that speaks TLS at once (RFC 8314).
const PORT_IMPLICIT_TLS: u16 = 465;
/// The most recipients: more belong on a mailing list.
const RECIPIENTS_MAX: usize = 50;
/// The largest CA file read, bytes.
const CA_FILE_BYTES_MAX: u64 = 1024 * 1024;

const KEY_FROM: &str = "alert.email.from (ALERT_EMAIL_FROM)";
const KEY_TO: &str = "alert.email.to (ALERT_EMAIL_TO)";
const KEY_HOST: &str = "alert.email.smtp_host (SMTP_HOST)";
const KEY_PORT: &str = "alert.email.smtp_port (SMTP_PORT)";
const KEY_USER: &str = "alert.email.smtp_user (SMTP_USER)";
const KEY_PASS: &str = "alert.email.smtp_pass (SMTP_PASS)";
const KEY_TLS: &str = "alert.email.smtp_tls (SMTP_TLS)";
const KEY_CA: &str = "alert.email.smtp_ca_file (SMTP_CA_FILE)";

/// How the conversation is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// Plain at first, then STARTTLS, or nothing is sent.
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// None: allowed to a server on this machine only.
    None,
}

/// `[alert.email]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmailConfig {
    /// The sender (`ALERT_EMAIL_FROM`): an address, or `Name <address>`.
    pub from: String,
    /// The recipients (`ALERT_EMAIL_TO`, comma separated), at most 50; none is off.
    pub to: Vec<String>,
    /// The server (`SMTP_HOST`).
    pub smtp_host: String,
    /// Its port (`SMTP_PORT`): 587 if none is named, or 465 with `smtp_tls = "implicit"`.
    pub smtp_port: Option<u16>,
    /// The user to log in as (`SMTP_USER`); empty to send without.
    pub smtp_user: String,
    /// The user's password (`SMTP_PASS`).
    pub smtp_pass: Secret,
    /// `starttls`, `implicit` or `none` (`SMTP_TLS`): by the port if none is named.
    pub smtp_tls: Option<SmtpTls>,
    /// A PEM file of root certificates to trust besides the usual ones (`SMTP_CA_FILE`).
    pub smtp_ca_file: Option<PathBuf>,
    /// The mildest severity sent.
    pub min_severity: Severity,
    /// Whether alerts on test mode are sent as well.
    pub test_mode: bool,
    /// How long to wait for a connection, and for each reply, 1 to 60.
    pub timeout_secs: u32,
}

impl Default for EmailConfig {
    fn default() -> Self {
        Self {
            from: String::new(),
            to: Vec::new(),
            smtp_host: String::new(),
            smtp_port: None,
            smtp_user: String::new(),
            smtp_pass: Secret::default(),
            smtp_tls: None,
            smtp_ca_file: None,
            min_severity: Severity::Low,
            test_mode: true,
            timeout_secs: TIMEOUT_SECS_DEFAULT,
        }
    }
}

impl EmailConfig {
    pub(crate) fn apply_env(&mut self, lookup: &Lookup<'_>) -> Result<(), ConfigError> {
        let get = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        set(&mut self.from, lookup, "ALERT_EMAIL_FROM");
        if let Some(value) = get("ALERT_EMAIL_TO") {
            self.to = split(&value);
        }
        set(&mut self.smtp_host, lookup, "SMTP_HOST");
        if let Some(value) = get("SMTP_PORT") {
            let port = value.trim().parse().map_err(|_| {
                ConfigError::new(KEY_PORT, "is not a port; write a number such as 587")
            })?;
            self.smtp_port = Some(port);
        }
        set(&mut self.smtp_user, lookup, "SMTP_USER");
        set(&mut self.smtp_pass, lookup, "SMTP_PASS");
        if let Some(value) = get("SMTP_TLS") {
            self.smtp_tls = Some(match value.trim() {
                "starttls" => SmtpTls::Starttls,
                "implicit" => SmtpTls::Implicit,
                "none" => SmtpTls::None,
                _ => {
                    return Err(ConfigError::new(
                        KEY_TLS,
                        "expected starttls, implicit or none",
                    ));
                }
            });
        }
        if let Some(value) = get("SMTP_CA_FILE") {
            self.smtp_ca_file = Some(PathBuf::from(value.trim()));
        }
        Ok(())
    }

    pub(in crate::channels) fn build(&self) -> Result<Option<Box<dyn Channel>>, ConfigError> {
        let is_off = self.to.is_empty() && self.from.is_empty() && self.smtp_host.is_empty();
        if is_off {
            return Ok(None);
        }
        Ok(Some(Box::new(Email::new(self)?)))
    }

    pub(super) fn sender(&self) -> Result<Mailbox, ConfigError> {
        mailbox(KEY_FROM, &self.from)
    }

    pub(super) fn recipients(&self) -> Result<Vec<Mailbox>, ConfigError> {
        if self.to.is_empty() || self.to.len() > RECIPIENTS_MAX {
            return Err(ConfigError::new(
                KEY_TO,
                format!(
                    "names {} recipients; expected 1 to {RECIPIENTS_MAX}",
                    self.to.len()
                ),
            ));
        }
        let mut all: Vec<Mailbox> = Vec::new();
        for text in &self.to {
            let mailbox = mailbox(KEY_TO, text)?;
            if !all.iter().any(|known| known.email == mailbox.email) {
                all.push(mailbox);
            }
        }
        Ok(all)
    }

    pub(super) fn session(&self) -> Result<Session, ConfigError> {
        let host = self.smtp_host.trim();
        if host.is_empty() {
            return Err(ConfigError::new(
                KEY_HOST,
                "is missing; name the mail server",
            ));
        }
        if host.contains([':', '/', '@', ' ']) && host.parse::<std::net::IpAddr>().is_err() {
            return Err(ConfigError::new(
                KEY_HOST,
                "is not a host name; write it bare, and the port in SMTP_PORT",
            ));
        }
        let tls = self.smtp_tls.unwrap_or(match self.smtp_port {
            Some(PORT_IMPLICIT_TLS) => SmtpTls::Implicit,
            _ => SmtpTls::Starttls,
        });
        let port = self.smtp_port.unwrap_or(match tls {
            SmtpTls::Implicit => PORT_IMPLICIT_TLS,
            SmtpTls::Starttls | SmtpTls::None => PORT_DEFAULT,
        });
        Ok(Session::new(
            host.to_owned(),
            port,
            self.security(host, tls)?,
            self.credentials()?,
            http::timeout("alert.email.timeout_secs", self.timeout_secs)?,
        ))
    }

    fn security(&self, host: &str, tls: SmtpTls) -> Result<Security, ConfigError> {
        if tls == SmtpTls::None {
            if !http::is_loopback(host) {
                return Err(ConfigError::new(
                    KEY_TLS,
                    "none is allowed to a server on this machine only; use starttls or implicit",
                ));
            }
            return Ok(Security::Plain);
        }
        let mut builder = TlsParameters::builder(host.to_owned());
        if let Some(certificate) = self.certificate()? {
            builder = builder.add_root_certificate(certificate);
        }
        let parameters = builder
            .build_rustls()
            .map_err(|error| ConfigError::new(KEY_CA, error.to_string()))?;
        Ok(match tls {
            SmtpTls::Implicit => Security::Implicit(parameters),
            SmtpTls::Starttls | SmtpTls::None => Security::Starttls(parameters),
        })
    }

    fn certificate(&self) -> Result<Option<Certificate>, ConfigError> {
        use std::io::Read;
        let Some(path) = &self.smtp_ca_file else {
            return Ok(None);
        };
        let unreadable = |error: std::io::Error| {
            ConfigError::new(KEY_CA, format!("{}: {error}", path.display()))
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut pem = Vec::new();
        file.take(CA_FILE_BYTES_MAX)
            .read_to_end(&mut pem)
            .map_err(unreadable)?;
        let problem = || {
            let path = path.display();
            ConfigError::new(KEY_CA, format!("{path} holds no PEM certificate"))
        };
        // Without this, a file of anything else would be taken as an empty list.
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(problem());
        }
        Certificate::from_pem(&pem).map(Some).map_err(|_| problem())
    }

    fn credentials(&self) -> Result<Option<Credentials>, ConfigError> {
        match (self.smtp_user.is_empty(), self.smtp_pass.is_empty()) {
            (true, true) => Ok(None),
            (false, false) => Ok(Some(Credentials::new(
                self.smtp_user.clone(),
                self.smtp_pass.expose().to_owned(),
            ))),
            (true, false) => Err(ConfigError::new(KEY_USER, "is missing beside a password")),
            (false, true) => Err(ConfigError::new(KEY_PASS, "is missing beside a user")),
        }
    }
}

fn mailbox(key: &str, text: &str) -> Result<Mailbox, ConfigError> {
    let shown: String = text.chars().take(80).collect();
    let mailbox: Mailbox = text.trim().parse().map_err(|_| {
        ConfigError::new(
            key,
            format!(
                "`{shown}` is no e-mail address; write name@example.com or Name <name@example.com>"
            ),
        )
    })?;
    // Not every server takes other letters in addresses (SMTPUTF8), and those that do not would
    // refuse at the worst moment.
    if !mailbox.email.to_string().is_ascii() {
        return Err(ConfigError::new(
            key,
            format!("`{shown}` has letters outside ASCII; write the domain in its xn-- form"),
        ));
    }
    Ok(mailbox)
}
