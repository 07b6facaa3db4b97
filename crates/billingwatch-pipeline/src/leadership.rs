//! Who pumps, when several processes share one database.
//!
//! Every process takes events in and delivers; one runs the engine, under a lease that it renews
//! thrice in its life. A holder that dies is replaced when the lease ends; one that goes in order
//! gives it back. One that stalls and wakes up is refused by the store, for its steps carry the
//! lease: see [`StoreError::LeaseLost`]. A database that one process has to itself needs none of it.

use std::sync::Arc;
use std::time::Duration;

use billingwatch_core::time::Span;
use billingwatch_store::{Lease, StoreError};

use crate::clock::Clock;
use crate::ports::PipelineStore;
use crate::pump::CONSUMER;

/// How long a lease lasts: with the time between two looks at it, what a takeover takes at most.
const TTL: Span = Span::secs(6);

/// How often it is renewed, and how often the others try for it.
const RENEW_EVERY: Duration = Duration::from_secs(2);

/// One process's part in it.
pub(crate) struct Leadership {
    store: Arc<dyn PipelineStore>,
    holder: String,
    clock: Arc<dyn Clock>,
    lease: Option<Lease>,
    /// When, by the clock's steady time.
    renewed: Option<Duration>,
}

/// Whether this process may pump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It may.
    Leads,
    /// It may from now on, or another did in between: what it knows may be old.
    LeadsAnew,
    /// Another does.
    Follows,
}

impl Leadership {
    /// For a process of its own: no two are the same.
    pub(crate) fn new(store: Arc<dyn PipelineStore>, clock: Arc<dyn Clock>) -> Self {
        let holder = format!("{}-{:016x}", std::process::id(), rand::random::<u64>());
        Self {
            store,
            holder,
            clock,
            lease: None,
            renewed: None,
        }
    }

    /// Renews the lease, or tries for it, when it is time.
    pub(crate) fn look(&mut self) -> Result<Standing, StoreError> {
        let is_fresh = self
            .renewed
            .is_some_and(|renewed| self.clock.steady().saturating_sub(renewed) < RENEW_EVERY);
        if is_fresh {
            return Ok(self.standing());
        }
        let before = self.lease.take();
        self.renewed = None;
        self.lease = self.store.acquire_lease(CONSUMER, &self.holder, TTL)?;
        self.renewed = Some(self.clock.steady());
        Ok(match (&before, &self.lease) {
            (_, None) => Standing::Follows,
            (Some(old), Some(new)) if old == new => Standing::Leads,
            (_, Some(_)) => Standing::LeadsAnew,
        })
    }

    /// Believes in nothing until the next look.
    pub(crate) fn doubt(&mut self) {
        self.lease = None;
        self.renewed = None;
    }

    /// The lease, for the pump's steps.
    pub(crate) const fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Gives the lease back.
    pub(crate) fn resign(&mut self) {
        if let Some(lease) = self.lease.take()
            && let Err(error) = self.store.release_lease(&lease)
        {
            tracing::warn!(error = %error, "the lease could not be given back; it ends by itself");
        }
    }

    const fn standing(&self) -> Standing {
        if self.lease.is_some() {
            Standing::Leads
        } else {
            Standing::Follows
        }
    }
}

/// How long one that follows waits before it tries again.
pub(crate) const fn follow_interval() -> Duration {
    RENEW_EVERY
}
