//! Renewals that should have paid, and which did: expected against collected, free of weekdays and
//! calendars, because every subscription says itself when it pays next and how much.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{Key, KeyMap};
use crate::ledger::SubscriptionRecord;
use crate::money::Currency;
use crate::time::{Span, Timestamp};

/// A payment this long before it is due is the one that was due.
const EARLY: Span = Span::hours(12);

/// A payment foretold by a subscription.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Due {
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) is_paid: bool,
}

/// Foretold payments in order of time; one or two for each subscription that will pay.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Renewals {
    dues: BTreeMap<(Timestamp, Key), Due>,
    /// The newest due time of each subscription.
    next_of: KeyMap<Timestamp>,
}

impl Renewals {
    /// Takes in what is now known of a subscription; `is_paid` says that it just paid.
    pub(super) fn look(
        &mut self,
        key: Key,
        record: Option<&SubscriptionRecord>,
        is_paid: bool,
        now: Timestamp,
    ) {
        let next = record.and_then(foretell);
        if let Some(old_at) = self.next_of.get(&key).copied() {
            if next.is_some_and(|(at, _)| at == old_at) && !is_paid {
                return;
            }
            if is_paid && old_at - EARLY <= now {
                if let Some(due) = self.dues.get_mut(&(old_at, key)) {
                    due.is_paid = true;
                }
            } else if old_at > now {
                // Called off or moved before it was due: nothing was to be expected.
                self.dues.remove(&(old_at, key));
            }
            if next.is_some_and(|(at, _)| at == old_at) {
                return;
            }
            self.next_of.swap_remove(&key);
        }
        if let Some((at, due)) = next
            && at > now - EARLY
        {
            self.dues.insert((at, key), due);
            self.next_of.insert(key, at);
        }
    }

    /// The earliest foretold payment due before `horizon`, taken out.
    pub(super) fn take_before(&mut self, horizon: Timestamp) -> Option<(Timestamp, Due)> {
        let entry = self
            .dues
            .first_entry()
            .filter(|entry| entry.key().0 < horizon)?;
        let ((at, key), due) = entry.remove_entry();
        if self.next_of.get(&key) == Some(&at) {
            self.next_of.swap_remove(&key);
        }
        Some((at, due))
    }
}

/// When a subscription charged automatically pays next, and how much, if that can be said.
fn foretell(record: &SubscriptionRecord) -> Option<(Timestamp, Due)> {
    let at = record.due_at().ok()?;
    let is_certain = record.payment_term == Span::ZERO && !record.has_opaque_discounts;
    let amount = record.amount.filter(|amount| *amount > 0)?;
    let currency = record.currency.filter(|_| is_certain)?;
    Some((
        at,
        Due {
            amount,
            currency,
            is_paid: false,
        },
    ))
}
