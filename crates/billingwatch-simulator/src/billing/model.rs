//! What is kept of a live subscription, and of an invoice while it is open.

use crate::calendar::Interval;
use crate::ids::Id;
use crate::merchant::customer::{Card, Customer};
use crate::money::Currency;

/// Stripe's subscription statuses, as far as they occur here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Incomplete,
    IncompleteExpired,
    Trialing,
    Active,
    PastDue,
    Canceled,
    Paused,
}

impl Status {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Canceled => "canceled",
            Self::Paused => "paused",
        }
    }
}

/// `pause_collection`: the subscription stays active, its invoices come to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) behavior: &'static str,
    pub(crate) resumes_at: Option<i64>,
}

/// A lapse to come: the first period that ends at or after `from` is the last one paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lapse {
    pub(crate) incident: usize,
    pub(crate) from: i64,
}

/// A live subscription; about 250 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscription {
    pub(crate) id: Id,
    pub(crate) customer: Customer,
    /// Another subscription has the same customer.
    pub(crate) shared: bool,
    pub(crate) card: Card,
    /// An index into the profile's plans.
    pub(crate) plan: usize,
    pub(crate) currency: Currency,
    /// Seats; 1 where the plan has none.
    pub(crate) quantity: i64,
    /// The price of one seat, in minor units.
    pub(crate) unit_amount: i64,
    pub(crate) every: Interval,
    pub(crate) metered: bool,
    pub(crate) status: Status,
    pub(crate) created_at: i64,
    /// Where the periods are counted from.
    pub(crate) anchor_at: i64,
    /// Periods from the anchor to the end of the current one; 0 before the first whole one.
    pub(crate) periods_done: u32,
    pub(crate) period_start: i64,
    pub(crate) period_end: i64,
    pub(crate) trial_end: Option<i64>,
    /// Pays by invoice, net 30, rather than by card on its own.
    pub(crate) net30: bool,
    /// Pays by bank debit from the second invoice on.
    pub(crate) debit: bool,
    /// Trial users who never gave a card are paused at its end.
    pub(crate) has_card: bool,
    pub(crate) percent_off: i64,
    pub(crate) pause: Option<Pause>,
    pub(crate) cancel_at_period_end: bool,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) cancel_reason: Option<&'static str>,
    pub(crate) latest_invoice: Option<Id>,
    /// The customer's credit (negative) left by a downgrade.
    pub(crate) balance: i64,
    /// What was last paid within this world, in minor units.
    pub(crate) last_paid: i64,
    /// The incident that will make it lapse.
    pub(crate) lapses: Option<Lapse>,
    /// Nothing voluntary happens to it: an incident needs it as it is.
    pub(crate) reserved: bool,
}

impl Subscription {
    /// What later invoices are paid by.
    pub(crate) fn method(&self) -> Id {
        if self.debit {
            self.card.bank_account()
        } else {
            self.card.payment_method()
        }
    }

    pub(crate) fn discount(&self, gross: i64) -> i64 {
        self.currency.round(gross * self.percent_off / 100)
    }
}

/// A line of an invoice, before the discount.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) amount: i64,
    pub(crate) quantity: i64,
    /// The plan it is for: after a change of plan not the subscription's own any more.
    pub(crate) plan: usize,
    pub(crate) unit_amount: i64,
    pub(crate) description: &'static str,
    pub(crate) proration: bool,
    /// Made by hand, not by the subscription.
    pub(crate) manual: bool,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// An invoice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invoice {
    pub(crate) id: Id,
    pub(crate) customer: Customer,
    pub(crate) subscription: Option<Id>,
    pub(crate) currency: Currency,
    pub(crate) billing_reason: &'static str,
    pub(crate) status: &'static str,
    pub(crate) lines: [Option<Line>; 2],
    pub(crate) percent_off: i64,
    pub(crate) discount: i64,
    pub(crate) starting_balance: i64,
    pub(crate) ending_balance: Option<i64>,
    pub(crate) amount_paid: i64,
    pub(crate) attempts: i64,
    pub(crate) next_attempt_at: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) period_start: i64,
    pub(crate) period_end: i64,
    pub(crate) finalized_at: Option<i64>,
    pub(crate) paid_at: Option<i64>,
    pub(crate) uncollectible_at: Option<i64>,
    pub(crate) voided_at: Option<i64>,
    pub(crate) due_at: Option<i64>,
    pub(crate) net30: bool,
    pub(crate) debit: bool,
    pub(crate) auto_advance: bool,
    pub(crate) out_of_band: bool,
    pub(crate) card: Card,
    pub(crate) intent: Option<Id>,
    pub(crate) charge: Option<Id>,
}

impl Invoice {
    pub(crate) fn subtotal(&self) -> i64 {
        self.lines.iter().flatten().map(|line| line.amount).sum()
    }

    pub(crate) fn total(&self) -> i64 {
        self.subtotal() - self.discount
    }

    /// What is left to pay after the customer's credit; never below zero.
    pub(crate) fn amount_due(&self) -> i64 {
        (self.total() + self.starting_balance).max(0)
    }

    /// The customer's balance once this invoice has used it, or added to it.
    pub(crate) fn balance_after(&self) -> i64 {
        (self.total() + self.starting_balance).min(0)
    }
}

/// Names a slot and who was in it, so that a task for a gone subscription finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SubKey {
    slot: usize,
    generation: u32,
}

/// The live subscriptions, in slots that are used again.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    slots: Vec<(u32, Option<Subscription>)>,
    free: Vec<usize>,
}

impl Subscriptions {
    pub(crate) fn insert(&mut self, subscription: Subscription) -> SubKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            self.slots.len() - 1
        });
        let (generation, place) = &mut self.slots[slot];
        *place = Some(subscription);
        SubKey {
            slot,
            generation: *generation,
        }
    }

    pub(crate) fn get(&self, key: SubKey) -> Option<&Subscription> {
        self.slots
            .get(key.slot)
            .filter(|(g, _)| *g == key.generation)?
            .1
            .as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: SubKey) -> Option<&mut Subscription> {
        self.slots
            .get_mut(key.slot)
            .filter(|(g, _)| *g == key.generation)?
            .1
            .as_mut()
    }

    pub(crate) fn remove(&mut self, key: SubKey) {
        if let Some((generation, place)) = self.slots.get_mut(key.slot)
            && *generation == key.generation
            && place.take().is_some()
        {
            *generation = generation.wrapping_add(1);
            self.free.push(key.slot);
        }
    }

    /// How many slots were ever used at once: the bound of this memory.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = SubKey> + '_ {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, (_, s))| s.is_some())
            .map(|(slot, (generation, _))| SubKey {
                slot,
                generation: *generation,
            })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use crate::{ApiShape, DeliveryModel, MerchantKind, World, WorldConfig};

    #[test]
    fn slots_grow_with_live_subscriptions_not_with_days() {
        let config = WorldConfig {
            seed: 1,
            merchant: MerchantKind::SmallSaas,
            shape: ApiShape::Basil,
            start_at: 1_709_078_400,
            days: 500,
            incidents: Vec::new(),
            oddities: true,
            delivery: DeliveryModel::Realistic,
        };
        let mut world = World::new(&config).unwrap();
        let created = world
            .by_ref()
            .filter(|e| e.event_type == "customer.subscription.created")
            .count();
        assert!(created > 300, "{created}");
        let slots = world.subscriptions.capacity();
        assert!(
            slots < 680 + created / 2,
            "{slots} slots for {created} newcomers"
        );
    }
}
