//! Signing by Standard Webhooks 1.0.0.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use billingwatch_core::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::ConfigError;
use crate::secret::Secret;

/// The shortest signing key, bytes. The scheme asks senders for 24; sixteen cannot be guessed.
const KEY_BYTES_MIN: usize = 16;

/// A key as the scheme wants it: bytes.
#[derive(Clone)]
pub(super) struct SigningKey(Vec<u8>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(redacted)")
    }
}

impl SigningKey {
    pub(super) fn parse(secret: &Secret) -> Result<Self, ConfigError> {
        let key = "alert.webhook.secrets (ALERT_WEBHOOK_SECRET)";
        let bytes = match secret.expose().strip_prefix("whsec_") {
            Some(encoded) => BASE64.decode(encoded).map_err(|_| {
                ConfigError::new(
                    key,
                    "begins with whsec_ and is no Base64 after it; \
                     make one with: echo whsec_$(openssl rand -base64 32)",
                )
            })?,
            None => secret.expose().as_bytes().to_vec(),
        };
        if bytes.len() < KEY_BYTES_MIN {
            return Err(ConfigError::new(
                key,
                format!(
                    "is shorter than {KEY_BYTES_MIN} bytes; \
                     make one with: echo whsec_$(openssl rand -base64 32)"
                ),
            ));
        }
        Ok(Self(bytes))
    }

    pub(super) fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        sign(&self.0, id, at.as_secs(), body)
    }
}

/// The `webhook-signature` of a body: `v1,` and the Base64 of HMAC-SHA256 over `id.timestamp.body`
/// (Standard Webhooks 1.0.0, "Signature scheme").
#[must_use]
pub fn sign(key: &[u8], id: &str, timestamp_secs: i64, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        // HMAC takes keys of any length; an empty signature verifies nowhere.
        return "v1,".to_owned();
    };
    mac.update(format!("{id}.{timestamp_secs}.").as_bytes());
    mac.update(body);
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn signatures_are_those_of_the_scheme() {
        // The vector of the scheme's own reference library (standard-webhooks, Rust).
        let key =
            SigningKey::parse(&Secret::from("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")).unwrap();
        let body = br#"{"email":"test@example.com","username":"test_user"}"#;
        let at = Timestamp::from_secs(1_649_367_553);
        assert_eq!(
            key.sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", at, body),
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
        );
    }
}
