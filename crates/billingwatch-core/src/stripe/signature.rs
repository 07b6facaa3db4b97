//! `Stripe-Signature`: header, raw body, secrets and the time → verified, or a named error.
//!
//! The header is `t=<unix seconds>,v1=<hex>[,v1=<hex>…][,v0=<hex>]`; what is signed is the text of
//! `t`, a full stop and the raw body, by HMAC-SHA256. The key is the whole secret as UTF-8,
//! `whsec_` included. (Standard Webhooks secrets look the same and work otherwise: they decode the
//! rest from base64 and sign an id too. Nothing is shared with them.)
//!
//! Where Stripe's own SDKs differ, this is what holds here:
//!
//! - **Future timestamps** beyond the tolerance are refused. The SDKs let them pass; the
//!   documentation speaks of the difference, and a clock that far ahead is worth knowing of.
//! - **Several `t`** are refused unless they are equal (Python takes the first, Node and Go the
//!   last): Stripe sends one, and two would let the sender choose what is checked.
//! - **Items that are no `key=value`** are passed over, as in Python and Node (Go refuses the
//!   header), and so is white space around items, which proxies add when they fold headers.
//! - **The signature is checked before the age**, as in Python and Node: "too old" is then only
//!   said of what Stripe did sign, so the reason points at the clock and never at a forger.
//! - **No tolerance of zero.** In the SDKs it turns the check off; here [`Tolerance`] cannot be
//!   zero, and [`Tolerance::UNCHECKED`] has to be asked for by name.
//! - **Upper-case hex** is no signature, as in the SDKs, which compare the text.
//! - Only `v1` counts. Other schemes, `v0` among them, are passed over: no downgrade.
//!
//! It does not look into the body: a signed body that is no JSON verifies.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::time::{Span, Timestamp};

/// The longest header that is read, in bytes. Stripe's are some 100 to 400.
pub const HEADER_BYTES_MAX: usize = 4096;

/// The most `v1` signatures that are read. Stripe sends one for each secret still alive.
pub const SIGNATURES_MAX: usize = 16;

/// Digits in the longest timestamp that is read; more are beyond any calendar.
const TIMESTAMP_DIGITS_MAX: usize = 15;

/// An endpoint's signing secret, `whsec_…`. It never shows itself.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// The whole secret as the dashboard shows it, `whsec_` included.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Whether it holds white space: the usual slip of a paste, since Stripe's never do.
    #[must_use]
    pub fn has_whitespace(&self) -> bool {
        self.0.chars().any(char::is_whitespace)
    }

    /// Whether it begins with `whsec_`, as all of Stripe's do.
    #[must_use]
    pub fn has_prefix(&self) -> bool {
        self.0.starts_with("whsec_")
    }

    /// Whether there is nothing in it: a key that anybody could sign with.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// How far a signature's time may lie from ours, before or after. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance(Option<Span>);

impl Tolerance {
    /// 300 seconds, the default of Stripe's SDKs.
    pub const DEFAULT: Self = Self(Some(Span::secs(300)));

    /// Any age passes: for reading captured deliveries again, never for a live endpoint.
    pub const UNCHECKED: Self = Self(None);

    /// This far and no farther.
    ///
    /// # Errors
    ///
    /// When the span is zero or negative, which elsewhere silently means "any age".
    pub fn within(span: Span) -> Result<Self, ToleranceError> {
        if span <= Span::ZERO {
            return Err(ToleranceError(span.as_secs()));
        }
        Ok(Self(Some(span)))
    }
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A tolerance that would let everything pass, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signature tolerance of {0} s makes no sense: it has to be more than zero")]
pub struct ToleranceError(i64);

/// A body that Stripe signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Which of the secrets signed it: it tells the endpoint, and with it the mode.
    pub secret_index: usize,
    /// When this attempt was signed. Each retry is signed anew: this is not the event's time.
    pub timestamp: Timestamp,
}

/// Why a body is not taken for Stripe's.
///
/// The texts are for the operator's log; a sender is told no more than that it failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No header, or an empty one.
    #[error("no Stripe-Signature header")]
    Missing,
    /// No body: a proxy or a body parser took it.
    #[error("no payload to verify")]
    NoPayload,
    /// The header has no readable time, two different ones, or is out of bounds.
    #[error("unable to extract timestamp and signatures from the header: {0}")]
    Malformed(&'static str),
    /// Only schemes other than `v1`.
    #[error("no signatures with the expected scheme v1")]
    NoExpectedScheme,
    /// Nothing to verify with.
    #[error("no signing secret is configured")]
    NoSecret,
    /// None of the signatures is by one of the secrets.
    #[error(
        "no signature matches the payload{}",
        if *.secret_has_whitespace {
            "; a configured signing secret contains white space, which Stripe's never do"
        } else {
            ""
        }
    )]
    Mismatch {
        /// One of the secrets looks badly pasted.
        secret_has_whitespace: bool,
    },
    /// Signed longer ago than the tolerance.
    #[error("the signature is {age} old, which is beyond the tolerance")]
    TooOld {
        /// How long ago it was signed.
        age: Span,
    },
    /// Signed farther in the future than the tolerance: one of the two clocks is wrong.
    #[error("the signature is {ahead} in the future, which is beyond the tolerance")]
    InFuture {
        /// How far ahead.
        ahead: Span,
    },
}

impl SignatureError {
    /// Every [`code`](Self::code) there is, for counters that start at zero.
    pub const CODES: [&'static str; 8] = [
        "missing",
        "no_payload",
        "malformed",
        "no_expected_scheme",
        "no_secret",
        "mismatch",
        "too_old",
        "in_future",
    ];

    /// A short fixed word for it, for counters and logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::NoPayload => "no_payload",
            Self::Malformed(_) => "malformed",
            Self::NoExpectedScheme => "no_expected_scheme",
            Self::NoSecret => "no_secret",
            Self::Mismatch { .. } => "mismatch",
            Self::TooOld { .. } => "too_old",
            Self::InFuture { .. } => "in_future",
        }
    }
}

/// Checks that a body was signed with one of the secrets, and lately.
///
/// `header` is the value of `Stripe-Signature`, `body` the raw bytes as received. Comparison takes
/// the same time wherever the texts differ.
///
/// # Errors
///
/// See [`SignatureError`].
pub fn verify(
    header: Option<&[u8]>,
    body: &[u8],
    secrets: &[Secret],
    tolerance: Tolerance,
    now: Timestamp,
) -> Result<Verified, SignatureError> {
    let header = match header.map(<[u8]>::trim_ascii) {
        None | Some([]) => return Err(SignatureError::Missing),
        Some(header) => header,
    };
    if body.is_empty() {
        return Err(SignatureError::NoPayload);
    }
    let header = Header::read(header)?;
    if header.signatures_seen == 0 {
        return Err(SignatureError::NoExpectedScheme);
    }
    let secrets_used = || secrets.iter().filter(|secret| !secret.is_empty());
    if secrets_used().next().is_none() {
        return Err(SignatureError::NoSecret);
    }
    let secret_index = secrets
        .iter()
        .position(|secret| !secret.is_empty() && header.is_signed_by(secret, body))
        .ok_or_else(|| SignatureError::Mismatch {
            secret_has_whitespace: secrets_used().any(Secret::has_whitespace),
        })?;
    let timestamp = Timestamp::from_secs(header.timestamp_secs);
    check_age(timestamp, tolerance, now)?;
    Ok(Verified {
        secret_index,
        timestamp,
    })
}

/// The header value that Stripe would send for this body at this time: for tests, simulators and
/// the demo.
#[must_use]
pub fn sign(secret: &Secret, at: Timestamp, body: &[u8]) -> String {
    let t = at.as_secs().to_string();
    let signature = hex::encode(authentication_code(secret, t.as_bytes(), body));
    format!("t={t},v1={signature}")
}

fn check_age(
    timestamp: Timestamp,
    tolerance: Tolerance,
    now: Timestamp,
) -> Result<(), SignatureError> {
    let Some(limit) = tolerance.0 else {
        return Ok(());
    };
    let age = now.since(timestamp);
    let ahead = timestamp.since(now);
    if age > limit {
        return Err(SignatureError::TooOld { age });
    }
    if ahead > limit {
        return Err(SignatureError::InFuture { ahead });
    }
    Ok(())
}

fn authentication_code(secret: &Secret, timestamp: &[u8], body: &[u8]) -> [u8; 32] {
    #[expect(
        clippy::expect_used,
        reason = "HMAC hashes or pads a key of any length; the error is for other MACs"
    )]
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.0.as_bytes()).expect("HMAC takes any key length");
    mac.update(timestamp);
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

/// The header taken apart.
struct Header<'a> {
    /// `t` as it appears, since that text is what was signed.
    timestamp: &'a [u8],
    timestamp_secs: i64,
    /// Those `v1` that are 64 lower-case hex digits.
    signatures: Vec<[u8; 32]>,
    /// How many `v1` there were, readable or not.
    signatures_seen: usize,
}

impl<'a> Header<'a> {
    fn read(header: &'a [u8]) -> Result<Self, SignatureError> {
        if header.len() > HEADER_BYTES_MAX {
            return Err(SignatureError::Malformed("it is too long"));
        }
        let mut timestamp: Option<&[u8]> = None;
        let mut signatures = Vec::with_capacity(2);
        let mut signatures_seen = 0;
        for item in header.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if let Some(text) = item.strip_prefix(b"t=") {
                if timestamp.is_some_and(|earlier| earlier != text) {
                    return Err(SignatureError::Malformed("it has two timestamps"));
                }
                timestamp = Some(text);
            } else if let Some(text) = item.strip_prefix(b"v1=") {
                signatures_seen += 1;
                if signatures_seen > SIGNATURES_MAX {
                    return Err(SignatureError::Malformed("it has too many signatures"));
                }
                signatures.extend(decode_signature(text));
            }
        }
        let timestamp = timestamp.ok_or(SignatureError::Malformed("it has no timestamp"))?;
        Ok(Self {
            timestamp,
            timestamp_secs: read_timestamp(timestamp)
                .ok_or(SignatureError::Malformed("its timestamp is no number"))?,
            signatures,
            signatures_seen,
        })
    }

    fn is_signed_by(&self, secret: &Secret, body: &[u8]) -> bool {
        if self.signatures.is_empty() {
            return false;
        }
        let expected = authentication_code(secret, self.timestamp, body);
        self.signatures
            .iter()
            .fold(subtle::Choice::from(0), |is_found, signature| {
                is_found | signature.ct_eq(&expected)
            })
            .into()
    }
}

fn read_timestamp(text: &[u8]) -> Option<i64> {
    if text.len() > TIMESTAMP_DIGITS_MAX || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn decode_signature(text: &[u8]) -> Option<[u8; 32]> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut signature = [0; 32];
    hex::decode_to_slice(text, &mut signature).ok()?;
    Some(signature)
}
