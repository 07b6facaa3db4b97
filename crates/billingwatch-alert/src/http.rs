//! The one HTTP client: strict limits, and errors that keep the target's address to themselves.
//!
//! It goes to no cloud's metadata service ([`guard`](crate::guard)), follows no redirect, heeds no proxy variable, reads little of an answer and never longer
//! than its time limit. Which status means what is [`judge`]d here once, for every channel.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use billingwatch_core::time::{Span, Timestamp};
use chrono::DateTime;
use ureq::http::Uri;
use ureq::unversioned::transport::DefaultConnector;

use crate::channel::Outcome;
use crate::error::ConfigError;
use crate::guard::{self, GuardedResolver, OffLimits};
use crate::text;

/// How long an attempt may take in all, from name look-up to the answer's last byte.
pub(crate) const TIMEOUT_SECS_DEFAULT: u32 = 10;

/// The longest time limit that can be configured.
pub(crate) const TIMEOUT_SECS_MAX: u32 = 60;

/// How much of an unhappy answer is read.
const ANSWER_BYTES_MAX: u64 = 1024;

/// How much of it is kept for the record.
const ANSWER_LEN_MAX: usize = 200;

/// How many headers' worth of bytes an answer may have.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Attempts after which "the request is wrong" (4xx) is believed: about an hour and a half in.
///
/// A 4xx is often a receiver being deployed or a secret being rolled, so a few tries are worth
/// it; three days of sending what is refused are not.
pub(crate) const REFUSED_ATTEMPTS_MAX: u32 = 8;

/// Where requests go. `Debug` and `Display` show no more than the host.
#[derive(Clone)]
pub(crate) struct Target {
    url: String,
    shown: String,
    /// Parts of the address that may be tokens, longest first.
    tokens: Vec<String>,
    /// The operator named this host as one to post to wherever it leads.
    is_allowed: bool,
}

/// Path segments and queries shorter than this are no tokens: hiding `api` would only confuse.
const TOKEN_LEN_MIN: usize = 8;

impl Target {
    /// Checks an address; `key` is named in errors.
    pub(crate) fn parse(key: &str, url: &str, must_be_https: bool) -> Result<Self, ConfigError> {
        Self::parse_allowing(key, url, must_be_https, &[])
    }

    /// The same, for a channel whose operator may name hosts that are off limits otherwise.
    pub(crate) fn parse_allowing(
        key: &str,
        url: &str,
        must_be_https: bool,
        allowed: &[String],
    ) -> Result<Self, ConfigError> {
        let url = url.trim();
        let uri: Uri = url
            .parse()
            .map_err(|_| ConfigError::new(key, "is not a URL; write https://host/path"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(ConfigError::new(
                key,
                "has no scheme or host; write https://host/path",
            ));
        };
        if authority.as_str().contains('@') {
            return Err(ConfigError::new(
                key,
                "has a user name or password in it, which is not sent; remove `user:password@`",
            ));
        }
        match scheme {
            "https" => {}
            "http" if !must_be_https || is_loopback(authority.host()) => {}
            "http" => return Err(ConfigError::new(key, "must begin with https://")),
            _ => return Err(ConfigError::new(key, "must begin with https:// or http://")),
        }
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let mut named = allowed.iter();
        let is_allowed = named.any(|name| name.trim().eq_ignore_ascii_case(bare));
        if !is_allowed && guard::is_host_off_limits(host) {
            return Err(ConfigError::new(key, guard::OffLimits.to_string()));
        }
        let path = uri.path_and_query().map_or("", |p| p.as_str());
        let mut tokens: Vec<String> = path
            .split(['/', '?', '&', '='])
            .filter(|part| part.len() >= TOKEN_LEN_MIN)
            .map(str::to_owned)
            .collect();
        tokens.sort_by_key(|token| std::cmp::Reverse(token.len()));
        Ok(Self {
            url: url.to_owned(),
            shown: format!("{scheme}://{}", authority.as_str()),
            tokens,
            is_allowed,
        })
    }

    /// Takes the address's tokens out of a text, such as an answer that quotes the path.
    fn redact(&self, text: &str) -> String {
        self.tokens.iter().fold(text.to_owned(), |text, token| {
            text.replace(token.as_str(), "…")
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self}/…)")
    }
}

/// Whether a host name stands for this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Checks a time limit; `key` is named in errors.
pub(crate) fn timeout(key: &str, secs: u32) -> Result<Duration, ConfigError> {
    if (1..=TIMEOUT_SECS_MAX).contains(&secs) {
        return Ok(Duration::from_secs(secs.into()));
    }
    Err(ConfigError::new(
        key,
        format!("is {secs}; expected 1 to {TIMEOUT_SECS_MAX} seconds"),
    ))
}

/// Posts JSON to one target, or asks for it.
#[derive(Debug)]
pub(crate) struct HttpClient {
    agent: ureq::Agent,
    target: Target,
    timeout: Duration,
}

impl HttpClient {
    pub(crate) fn new(target: Target, timeout: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .proxy(None)
            .max_response_header_size(HEADER_BYTES_MAX)
            // Alerts are rare: a kept connection would be dead by the next one, and found out by
            // a failed attempt.
            .max_idle_connections(0)
            .user_agent(concat!("billingwatch/", env!("CARGO_PKG_VERSION")))
            .build();
        let resolver = GuardedResolver::new(target.is_allowed);
        Self {
            agent: ureq::Agent::with_parts(config, DefaultConnector::default(), resolver),
            target,
            timeout,
        }
    }

    /// The longest that one attempt takes.
    pub(crate) fn time_limit(&self) -> Span {
        Span::secs(i64::try_from(self.timeout.as_secs()).unwrap_or(i64::MAX))
    }

    /// One attempt. `gone` lists the statuses by which this service says that the target is no
    /// more.
    pub(crate) fn post(&self, attempt: &Attempt<'_>, gone: &[u16]) -> Outcome {
        let mut request = self
            .agent
            .post(&self.target.url)
            .header("content-type", "application/json");
        for (name, value) in attempt.headers {
            request = request.header(*name, value);
        }
        match request.send(attempt.body) {
            Ok(response) => self.read(response, attempt, gone),
            Err(error) => self.failed(&error),
        }
    }

    /// One request for the address itself.
    pub(crate) fn get(&self) -> Outcome {
        let attempt = Attempt {
            number: 1,
            // Only a date in an unhappy answer is held against it.
            sent_at: Timestamp::EPOCH,
            headers: &[],
            body: &[],
        };
        match self.agent.get(&self.target.url).call() {
            Ok(response) => self.read(response, &attempt, &[]),
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &ureq::Error) -> Outcome {
        Outcome::Retry {
            detail: format!("{}: {}", self.target, self.describe(error)),
            status: None,
            after: None,
        }
    }

    fn read(
        &self,
        mut response: ureq::http::Response<ureq::Body>,
        attempt: &Attempt<'_>,
        gone: &[u16],
    ) -> Outcome {
        let status = response.status().as_u16();
        let mut detail = format!("{}: {}", self.target, response.status());
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| parse_retry_after(value, attempt.sent_at));
        if !response.status().is_success() {
            let mut start = Vec::new();
            let reader = response.body_mut().as_reader();
            // What was read before an error or the time limit still tells something.
            let _partial = reader.take(ANSWER_BYTES_MAX).read_to_end(&mut start);
            let start = self.shown(&String::from_utf8_lossy(&start));
            if !start.is_empty() {
                detail = format!("{detail}: {start}");
            }
        }
        judge(status, retry_after, attempt.number, gone, detail)
    }

    /// Words from elsewhere, fit for the record.
    fn shown(&self, words: &str) -> String {
        text::line(&self.target.redact(words), ANSWER_LEN_MAX)
    }

    fn describe(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(_) => format!("no answer within {} s", self.timeout.as_secs()),
            ureq::Error::HostNotFound => "the host name is not known".to_owned(),
            ureq::Error::ConnectionFailed => "the connection failed".to_owned(),
            // Look-up and TLS failures come as these too, and say more than their kind.
            ureq::Error::Io(error) => self.shown(&error.to_string()),
            ureq::Error::Rustls(error) => self.shown(&error.to_string()),
            ureq::Error::Tls(what) => format!("TLS: {what}"),
            ureq::Error::LargeResponseHeader(..) => "the answer's headers are too large".to_owned(),
            ureq::Error::Protocol(_) => "the answer is not HTTP".to_owned(),
            ureq::Error::Other(error) if error.is::<OffLimits>() => OffLimits.to_string(),
            // Others may quote the address.
            _ => "the request failed".to_owned(),
        }
    }
}

/// What one attempt sends.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) number: u32,
    pub(crate) sent_at: Timestamp,
    pub(crate) headers: &'a [(&'a str, String)],
    pub(crate) body: &'a [u8],
}

/// What an HTTP status means for a delivery.
///
/// | status | outcome |
/// |---|---|
/// | 2xx | delivered |
/// | 410, and what else the service says for "gone" | give up, and disable the channel |
/// | 408, 425, 429, 5xx, no answer | retry for three days, `Retry-After` honoured |
/// | 3xx | retry: it is not followed, since alerts go only where they were told to go; whoever corrects the address within three days gets them |
/// | other 4xx | retry, up to [`REFUSED_ATTEMPTS_MAX`] attempts, then give up |
/// | anything else | retry |
pub(crate) fn judge(
    status: u16,
    after: Option<Span>,
    attempt: u32,
    gone: &[u16],
    detail: String,
) -> Outcome {
    let status_kept = Some(status);
    match status {
        200..=299 => Outcome::Delivered {
            status: status_kept,
            detail,
        },
        _ if gone.contains(&status) => Outcome::GiveUp {
            detail,
            status: status_kept,
            disable_channel: true,
        },
        408 | 425 | 429 => Outcome::Retry {
            detail,
            status: status_kept,
            after,
        },
        400..=499 if attempt >= REFUSED_ATTEMPTS_MAX => Outcome::GiveUp {
            detail,
            status: status_kept,
            disable_channel: false,
        },
        300..=399 => Outcome::Retry {
            detail: format!("{detail} (redirects are not followed: configure the new address)"),
            status: status_kept,
            after,
        },
        _ => Outcome::Retry {
            detail,
            status: status_kept,
            after,
        },
    }
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn parse_retry_after(value: &str, now: Timestamp) -> Option<Span> {
    let value = value.trim();
    if let Ok(secs) = value.parse::<u32>() {
        return Some(Span::secs(secs.into()));
    }
    let at = DateTime::parse_from_rfc2822(value).ok()?;
    let wait = Timestamp::from_secs(at.timestamp()).since(now);
    Some(wait.max(Span::ZERO))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::from_secs(1_445_412_420);
        let read = |value| parse_retry_after(value, now).map(Span::as_secs);
        assert_eq!(read("120"), Some(120));
        assert_eq!(read(" 0 "), Some(0));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(60));
        assert_eq!(read("Wed, 21 Oct 2015 07:00:00 GMT"), Some(0));
        for nonsense in [
            "",
            "-1",
            "soon",
            "1.5",
            "99999999999999999999",
            "Wed, 99 Oct",
        ] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn addresses_are_checked_and_errors_name_key_and_remedy() {
        let parse = |url, strict| Target::parse("webhook.url", url, strict);
        for url in [
            "",
            "example.com",
            "/path",
            "ftp://h/",
            "https://u:p@h/",
            "https://",
            "a b",
        ] {
            let error = parse(url, false).unwrap_err().to_string();
            assert!(error.starts_with("webhook.url: "), "{error}");
            assert!(!error.contains("u:p"), "{error}");
        }
        assert!(parse("http://receiver:8080/x", false).is_ok());
        assert!(parse("http://receiver:8080/x", true).is_err());
        for url in [
            "http://127.0.0.1:1/x",
            "http://localhost/x",
            "http://[::1]:9/x",
        ] {
            assert!(parse(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_metadata_service_is_no_target_unless_named() {
        let parse = |url, allowed: &[&str]| {
            let allowed: Vec<String> = allowed.iter().map(|&name| name.to_owned()).collect();
            Target::parse_allowing("webhook.url", url, false, &allowed)
        };
        let error = parse("http://169.254.169.254/latest", &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "webhook.url: the host's address is link-local or a cloud's metadata service, where nothing is posted"
        );
        assert!(parse("http://metadata.google.internal/x", &["other"]).is_err());
        assert!(parse("http://[fe80::1]:80/x", &[]).is_err());
        assert!(parse("http://169.254.7.7:80/x", &["169.254.7.7"]).is_ok());
        assert!(parse("http://[fe80::1]:80/x", &["FE80::1"]).is_ok());
        assert!(parse("http://10.0.0.7/x", &[]).is_ok());
    }

    #[test]
    fn tokens_in_the_address_show_nowhere() {
        let url = "https://hooks.example.com/services/T0000/B000000000/s3cr3t-t0ken?key=abcdefgh12";
        let target = Target::parse("slack.url", url, true).unwrap();
        let shown = format!(
            "{target} {target:?} {}",
            target.redact("Cannot POST /services/T0000/B000000000/s3cr3t-t0ken?key=abcdefgh12")
        );
        for token in ["s3cr3t", "B0000", "abcdefgh12"] {
            assert!(!shown.contains(token), "{shown}");
        }
        assert!(shown.contains("https://hooks.example.com"));
    }
}
