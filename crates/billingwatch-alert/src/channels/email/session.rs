//! One SMTP conversation: connect, encrypt, log in, offer the mail to each recipient.
//!
//! A 4xx reply, a broken connection and anything before the mail itself (greeting, STARTTLS,
//! log-in) may be mended by waiting or by whoever runs the servers, and is tried again for three
//! days. A 5xx reply to the sender, to a recipient or to the mail is a verdict on it, and final.

use std::fmt;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use billingwatch_core::time::Span;
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;

/// "Authentication required" (RFC 4954): a matter of settings, though it answers `MAIL`.
const AUTHENTICATION_REQUIRED: u16 = 530;

/// How long recipients are offered the mail. Each reply may take up to the time limit, so a server
/// that dawdles over fifty recipients would otherwise hold the channel for minutes; who was not
/// reached is tried again alone.
pub(super) const OFFER_MAX: Duration = Duration::from_secs(60);

/// The replies that may use their full time, in what is called the longest conversation.
const SLOW_REPLIES: u32 = 4;

/// How the conversation is encrypted.
pub(super) enum Security {
    Plain,
    Starttls(TlsParameters),
    Implicit(TlsParameters),
}

/// A server and how to talk to it. `Debug` shows no credentials.
pub(super) struct Session {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    timeout: Duration,
    pub(super) offer_max: Duration,
}

/// Who got the mail.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) accepted: Vec<Address>,
    /// Refused for good.
    pub(super) refused: Vec<Refusal>,
    /// Put off.
    pub(super) deferred: Vec<Refusal>,
    /// The reply to the mail itself.
    pub(super) code: Option<u16>,
}

/// A recipient who was not taken.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) address: Address,
    pub(super) code: Option<u16>,
    pub(super) reply: String,
}

/// Why nobody got the mail.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) detail: String,
    pub(super) code: Option<u16>,
    /// Whether it would fail for ever.
    pub(super) is_final: bool,
}

impl Session {
    pub(super) fn new(
        host: String,
        port: u16,
        security: Security,
        credentials: Option<Credentials>,
        timeout: Duration,
    ) -> Self {
        Self {
            host,
            port,
            security,
            credentials,
            timeout,
            offer_max: OFFER_MAX,
        }
    }

    /// `host:port`.
    pub(super) fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// How long a conversation takes at most, with a server that uses its full time for a few replies
    /// besides those to the recipients. One that does so for every reply takes longer: another
    /// process may then send the mail too, under the same `Message-ID`.
    pub(super) fn time_limit(&self) -> Span {
        let limit = OFFER_MAX.saturating_add(self.timeout.saturating_mul(SLOW_REPLIES));
        Span::secs(i64::try_from(limit.as_secs()).unwrap_or(i64::MAX))
    }

    pub(super) fn deliver(
        &self,
        from: &Address,
        to: &[Address],
        mail: &[u8],
    ) -> Result<Report, Failure> {
        let mut connection = self.open()?;
        let report = self.offer(&mut connection, from, to, mail);
        // Says goodbye and closes; what that answers changes nothing.
        connection.abort();
        report
    }

    fn open(&self) -> Result<SmtpConnection, Failure> {
        let hello = ClientId::default();
        let at_once = match &self.security {
            Security::Implicit(parameters) => Some(parameters),
            Security::Plain | Security::Starttls(_) => None,
        };
        let address = (self.host.as_str(), self.port);
        let mut connection =
            SmtpConnection::connect(address, Some(self.timeout), &hello, at_once, None)
                .map_err(|error| self.setup("connecting", &error))?;
        if let Security::Starttls(parameters) = &self.security {
            if !connection.can_starttls() {
                connection.abort();
                return Err(Failure {
                    detail: "the server does not offer STARTTLS, and nothing is sent without: \
                             set SMTP_TLS=implicit, or none for a server on this machine"
                        .to_owned(),
                    code: None,
                    is_final: false,
                });
            }
            connection
                .starttls(parameters, &hello)
                .map_err(|error| self.setup("STARTTLS", &error))?;
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            if let Err(error) = connection.auth(&mechanisms, credentials) {
                connection.abort();
                return Err(self.setup("logging in", &error));
            }
        }
        Ok(connection)
    }

    fn offer(
        &self,
        connection: &mut SmtpConnection,
        from: &Address,
        to: &[Address],
        mail: &[u8],
    ) -> Result<Report, Failure> {
        connection
            .command(Mail::new(Some(from.clone()), Vec::new()))
            .map_err(|error| self.verdict("the sender", &error))?;
        let mut report = Report::default();
        let started = Instant::now();
        for address in to {
            if started.elapsed() >= self.offer_max {
                report.deferred.push(Refusal {
                    address: address.clone(),
                    code: None,
                    reply: "a recipient: the server took too long over the others".to_owned(),
                });
                continue;
            }
            let error = match connection.command(Rcpt::new(address.clone(), Vec::new())) {
                Ok(_) => {
                    report.accepted.push(address.clone());
                    continue;
                }
                Err(error) => error,
            };
            let refusal = Refusal {
                address: address.clone(),
                code: code(&error),
                reply: self.describe("a recipient", &error),
            };
            if error.is_permanent() {
                report.refused.push(refusal);
            } else if error.is_transient() {
                report.deferred.push(refusal);
            } else {
                return Err(self.verdict("a recipient", &error));
            }
        }
        if report.accepted.is_empty() {
            return Ok(report);
        }
        connection
            .command(Data)
            .map_err(|error| self.verdict("the mail", &error))?;
        let reply = connection
            .message(mail)
            .map_err(|error| self.verdict("the mail", &error))?;
        report.code = Some(u16::from(reply.code()));
        Ok(report)
    }

    /// A failure before the mail was looked at.
    fn setup(&self, stage: &str, error: &Error) -> Failure {
        Failure {
            detail: self.describe(stage, error),
            code: code(error),
            is_final: false,
        }
    }

    /// A failure that may be a verdict on the mail.
    fn verdict(&self, what: &str, error: &Error) -> Failure {
        let code = code(error);
        Failure {
            detail: self.describe(what, error),
            code,
            is_final: error.is_permanent() && code != Some(AUTHENTICATION_REQUIRED),
        }
    }

    fn describe(&self, stage: &str, error: &Error) -> String {
        if is_timeout(error) {
            return format!("{stage}: no answer within {} s", self.timeout.as_secs());
        }
        let mut text = format!("{stage}: {error}");
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        text
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.server())
    }
}

fn code(error: &Error) -> Option<u16> {
    error.status().map(u16::from)
}

/// A socket that ran out of time says `WouldBlock` on Linux.
fn is_timeout(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock);
        }
        source = cause.source();
    }
    false
}
