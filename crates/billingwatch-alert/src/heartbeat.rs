//! An address to be asked for while all is well, so that somebody else notices when it is not.

use crate::channel::Outcome;
use crate::error::ConfigError;
use crate::http::{self, HttpClient, Target};
use crate::secret::Secret;

/// Asks for one address.
#[derive(Debug)]
pub struct Heartbeat {
    client: HttpClient,
}

impl Heartbeat {
    /// Checks the address; asks for nothing yet. `url` is a secret, for such addresses hold a token.
    ///
    /// # Errors
    /// When the address or the time limit cannot work, named by their keys.
    pub fn new(url: &Secret, timeout_secs: u32) -> Result<Self, ConfigError> {
        let target = Target::parse("heartbeat.url", url.expose(), false)?;
        let timeout = http::timeout("heartbeat.timeout_secs", timeout_secs)?;
        Ok(Self {
            client: HttpClient::new(target, timeout),
        })
    }

    /// One GET, which every such service takes. Blocks up to the time limit.
    ///
    /// # Errors
    /// Why it was not accepted, without the address's token.
    pub fn beat(&self) -> Result<(), String> {
        match self.client.get() {
            Outcome::Delivered { .. } => Ok(()),
            Outcome::Retry { detail, .. } | Outcome::GiveUp { detail, .. } => Err(detail),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_bad_address_is_named_by_its_key() {
        let error = Heartbeat::new(&Secret::from("hc-ping.com/1234"), 10).unwrap_err();
        assert!(error.to_string().starts_with("heartbeat.url: "), "{error}");
        let url = Secret::from("https://hc.example/0f8e-token-0f8e");
        assert!(Heartbeat::new(&url, 0).is_err());
        let heartbeat = Heartbeat::new(&url, 10).unwrap();
        assert!(!format!("{heartbeat:?}").contains("token"));
    }
}
