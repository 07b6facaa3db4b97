//! Who runs the engine where several processes share a store: the lease, by the store's own clock,
//! and what the audit must know of it.

use billingwatch_core::time::{Span, Timestamp};
use billingwatch_store::{Lease, StoreError};

/// The one lease there is, and who had it.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    holder: String,
    token: i64,
    expires_at: Timestamp,
    /// The machine and its life that took or renewed it last.
    taken_by: Option<(usize, u64)>,
    /// The machine and its life that gave it back last.
    given_back_by: Option<(usize, u64)>,
}

impl Leases {
    /// Takes or renews it, as `Store::acquire_lease` does; `None` while another holds it.
    pub(crate) fn acquire(
        &mut self,
        name: &str,
        holder: &str,
        ttl: Span,
        now: Timestamp,
        by: (usize, u64),
        is_for_ever: bool,
    ) -> Option<Lease> {
        let is_own = self.holder == holder;
        let is_free = self.token == 0 || (self.expires_at <= now && !is_for_ever);
        if !is_own && !is_free {
            return None;
        }
        if !is_own {
            self.token += 1;
            holder.clone_into(&mut self.holder);
        }
        self.expires_at = now + ttl;
        self.taken_by = Some(by);
        Some(Lease {
            name: name.to_owned(),
            holder: holder.to_owned(),
            token: self.token,
        })
    }

    pub(crate) fn release(&mut self, lease: &Lease, by: (usize, u64)) {
        if self.is_held(lease) {
            // As the store does: the token still grows with the next holder.
            self.expires_at = Timestamp::EPOCH;
            self.given_back_by = Some(by);
        }
    }

    fn is_held(&self, lease: &Lease) -> bool {
        self.holder == lease.holder && self.token == lease.token
    }

    /// Refuses a step under a lease that another has taken over.
    pub(crate) fn check(&self, lease: &Lease) -> Result<(), StoreError> {
        if self.is_held(lease) {
            return Ok(());
        }
        Err(StoreError::LeaseLost {
            name: lease.name.clone(),
        })
    }

    /// The machine that runs the engine and its life, as far as the store knows.
    pub(crate) const fn leader(&self) -> Option<(usize, u64)> {
        self.taken_by
    }

    pub(crate) fn was_given_back_by(&self, host: usize, life: u64) -> bool {
        self.given_back_by == Some((host, life))
    }
}
