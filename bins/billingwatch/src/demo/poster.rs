//! The simulated Stripe's side: signs an event and posts it, as Stripe does.

use std::time::Duration;

use anyhow::{Context, bail};
use billingwatch_core::stripe::signature::{self, Secret};
use billingwatch_core::time::Timestamp;
use ureq::Agent;

/// How long a post may take; the server is on this machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Posts to one endpoint.
pub(super) struct Poster {
    agent: Agent,
    url: String,
    secret: Secret,
}

impl Poster {
    /// Posts to the webhook route of a server.
    pub(super) fn new(server_url: &str, secret: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .proxy(None)
            .http_status_as_error(false)
            .build();
        Self {
            agent: config.into(),
            url: format!("{server_url}/webhooks/stripe"),
            secret: Secret::new(secret),
        }
    }

    /// Signs and posts.
    ///
    /// # Errors
    /// When the server does not answer, or answers otherwise than 200.
    pub(super) fn post(&self, body: &[u8], now: Timestamp) -> anyhow::Result<()> {
        let header = signature::sign(&self.secret, now, body);
        let answer = self
            .agent
            .post(&self.url)
            .header("Stripe-Signature", &header)
            .header("Content-Type", "application/json; charset=utf-8")
            .send(body)
            .context("the server does not answer")?;
        if answer.status() != 200 {
            bail!("the server answered {} to a signed event", answer.status());
        }
        Ok(())
    }
}
