//! Failed attempts to show who one is, counted by address, so that guessing is slow.
//!
//! Only failures count, never work: a well-signed event or a good token is never slowed by anything
//! here. An address that failed too often has further tokens refused unexamined for a while, but for
//! tokens that were accepted before: behind a shared proxy, a guesser cannot lock others out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use billingwatch_core::time::{Span, Timestamp};

/// Failures that an address may have before it waits.
pub(crate) const FAILURES_MAX: u32 = 100;

/// One failure is forgotten in so long: then twenty guesses a minute are what an address has.
const FORGET_SPAN: Span = Span::secs(3);

/// The most addresses remembered; beyond it, what is new shares one place.
const ADDRESSES_MAX: usize = 10_000;

/// The most accepted tokens remembered, as digests.
const ACCEPTED_MAX: usize = 1_000;

/// Failures by address, and tokens that are known to be good.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// What is left to forget of each, and since when.
    counts: BTreeMap<Option<IpAddr>, Count>,
    accepted: BTreeSet<[u8; 32]>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    failures: u32,
    at: Timestamp,
}

impl Count {
    /// The count as it is now, with what was forgotten meanwhile taken off.
    fn aged(self, now: Timestamp) -> Self {
        let forgotten = now.since(self.at).as_millis().max(0) / FORGET_SPAN.as_millis();
        let forgotten = u32::try_from(forgotten).unwrap_or(u32::MAX);
        Self {
            failures: self.failures.saturating_sub(forgotten),
            // What is left of a span counts on.
            at: if forgotten == 0 { self.at } else { now },
        }
    }
}

impl Failures {
    /// Whether an address failed too often to be looked at now.
    pub(crate) fn is_too_many(&self, address: Option<IpAddr>, now: Timestamp) -> bool {
        let inner = self.lock();
        let count = inner.counts.get(&place(address));
        count.is_some_and(|count| count.aged(now).failures >= FAILURES_MAX)
    }

    /// Counts a failure; whether that is one of the first, which a log may name.
    pub(crate) fn note(&self, address: Option<IpAddr>, now: Timestamp) -> bool {
        let mut inner = self.lock();
        let mut place = place(address);
        if inner.counts.len() >= ADDRESSES_MAX && !inner.counts.contains_key(&place) {
            inner.counts.retain(|_, count| count.aged(now).failures > 0);
            if inner.counts.len() >= ADDRESSES_MAX {
                place = None;
            }
        }
        let count = inner.counts.entry(place).or_insert(Count {
            failures: 0,
            at: now,
        });
        *count = count.aged(now);
        // No more than the bound: else a burst would be paid for by hours of waiting.
        let is_early = count.failures < FAILURES_MAX;
        count.failures = count.failures.saturating_add(1).min(FAILURES_MAX);
        if count.failures == 1 {
            count.at = now;
        }
        is_early
    }

    /// Remembers that a token was accepted.
    pub(crate) fn accept(&self, digest: [u8; 32]) {
        let mut inner = self.lock();
        if inner.accepted.len() < ACCEPTED_MAX {
            inner.accepted.insert(digest);
        }
    }

    /// Whether a token was accepted before. It is looked up all the same: it may be revoked.
    pub(crate) fn was_accepted(&self, digest: &[u8; 32]) -> bool {
        self.lock().accepted.contains(digest)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one address: of IPv6, the /64 that one subscriber has.
fn place(address: Option<IpAddr>) -> Option<IpAddr> {
    let IpAddr::V6(v6) = address? else {
        return address;
    };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return Some(v4.into());
    }
    let network = u128::from(v6) & !u128::from(u64::MAX);
    Some(IpAddr::V6(network.into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_hundred_failures_then_twenty_a_minute() {
        let failures = Failures::default();
        let one = address("203.0.113.9");
        for n in 0..FAILURES_MAX {
            assert!(!failures.is_too_many(one, START), "{n}");
            assert!(failures.note(one, START));
        }
        assert!(failures.is_too_many(one, START));
        assert!(!failures.note(one, START));
        // Another address is another matter.
        assert!(!failures.is_too_many(address("203.0.113.10"), START));
        assert!(!failures.is_too_many(None, START));
        // However many came, one is forgotten every three seconds.
        for _ in 0..1_000 {
            failures.note(one, START);
        }
        assert!(failures.is_too_many(one, START + Span::millis(2_999)));
        assert!(!failures.is_too_many(one, START + Span::secs(3)));
        failures.note(one, START + Span::secs(3));
        assert!(failures.is_too_many(one, START + Span::secs(3)));
        assert!(!failures.is_too_many(one, START + Span::secs(6)));
        // A clock that goes back forgives nothing and counts nothing twice.
        assert!(!failures.is_too_many(one, START + Span::secs(60)));
    }

    #[test]
    fn an_ipv6_subscriber_is_one_address() {
        let failures = Failures::default();
        for n in 0..FAILURES_MAX {
            failures.note(address(&format!("2001:db8:0:1::{n:x}")), START);
        }
        assert!(failures.is_too_many(address("2001:db8:0:1:ffff::1"), START));
        assert!(!failures.is_too_many(address("2001:db8:0:2::1"), START));
        for _ in 0..FAILURES_MAX {
            failures.note(address("::ffff:203.0.113.9"), START);
        }
        assert!(failures.is_too_many(address("203.0.113.9"), START));
        assert!(!failures.is_too_many(address("203.0.113.10"), START));
    }

    #[test]
    fn addresses_and_tokens_are_bounded() {
        let failures = Failures::default();
        let nth = |n: usize| {
            let n = u32::try_from(n).unwrap();
            Some(IpAddr::from(n.to_be_bytes()))
        };
        for n in 0..ADDRESSES_MAX + 150 {
            failures.note(nth(n), START);
        }
        assert!(failures.lock().counts.len() <= ADDRESSES_MAX + 1);
        // What found no room waits together.
        assert!(failures.is_too_many(None, START));
        // Room is made by forgetting.
        failures.note(nth(ADDRESSES_MAX + 160), START + Span::minutes(2));
        assert!(failures.lock().counts.len() < 10);
        for n in 0..ACCEPTED_MAX + 1 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_be_bytes());
            failures.accept(digest);
        }
        assert_eq!(failures.lock().accepted.len(), ACCEPTED_MAX);
    }
}
