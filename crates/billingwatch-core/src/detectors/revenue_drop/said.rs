//! What an event says of a subscription and its invoice, as far as money is foretold by it.

use crate::event::invoice::BillingReason;
use crate::event::subscription::Subscription;
use crate::event::{Event, EventData, EventType};
use crate::ledger::SubscriptionRecord;
use crate::time::Timestamp;

use super::coupons;
use super::dues::{Billed, Price, SETTLE};
use super::mrr::Discounted;

/// What an event says of the discounts of its subscription.
pub(super) fn discounted(event: &Event) -> Discounted {
    match &event.data {
        EventData::Subscription(sent) => Discounted {
            is_so: !sent.discounts.is_empty() || sent.has_opaque_discounts,
            is_once: sent.has_passing_discount,
        },
        _ => Discounted::default(),
    }
}

/// When the subscription that an event is about was created.
pub(super) fn created(event: &Event) -> Option<Timestamp> {
    match &event.data {
        EventData::Subscription(sent) => sent.created,
        _ => None,
    }
}

/// Whether a subscription ended because nobody paid for it, by Stripe's word (`cancellation_details`).
pub(super) fn is_unpaid(event: &Event) -> bool {
    match &event.data {
        EventData::Subscription(sent) => {
            sent.cancellation_reason.as_deref() == Some("payment_failed")
        }
        _ => false,
    }
}

/// A subscription that was there before its period began: then its period turned.
pub(super) fn turned(event: &Event) -> Option<&Subscription> {
    let EventData::Subscription(sent) = &event.data else {
        return None;
    };
    let is_older = sent
        .created
        .zip(sent.current_period_start)
        .is_some_and(|(created, start)| created + SETTLE < start);
    let is_update = event.event_type == EventType::SubscriptionUpdated;
    (is_update && is_older).then_some(&**sent)
}

/// What an invoice's event says of its discounts.
pub(super) fn billed(event: &Event, record: Option<&SubscriptionRecord>) -> Option<Billed> {
    let EventData::Invoice(invoice) = &event.data else {
        return None;
    };
    Some(Billed {
        subtotal: invoice.subtotal?,
        off: invoice.discount_amount,
        below_paid: coupons::below_paid(invoice, record),
        price: None,
    })
}

/// What a renewal's invoice asks for its period, before discounts, balance, prorations and credits by hand: Stripe's `subtotal`
/// knows of no balance and no tax on top, but of discounts on single items, so all discounts are added to it.
pub(super) fn price(event: &Event, record: &SubscriptionRecord) -> Option<Price> {
    let EventData::Invoice(invoice) = &event.data else {
        return None;
    };
    // The last period of one that ends may be shorter than others, and what other pages hold nobody knows.
    let is_whole = record.ends_at.is_none() && !invoice.has_more_lines;
    if !is_whole || invoice.billing_reason != BillingReason::SubscriptionCycle {
        return None;
    }
    let regular = invoice.lines.iter().filter(|line| !line.is_proration);
    let lines = regular.fold(0_i64, |sum, line| sum.saturating_add(line.amount.max(0)));
    let asked = invoice.subtotal?.max(lines);
    // A price that it never paid (by the dozen, in another currency) is none.
    let paid = Some(record.largest_paid).filter(|paid| *paid > 0);
    Some(Price {
        most: paid.unwrap_or(i64::MAX),
        asked: asked.saturating_add(invoice.discount_amount.max(0)),
    })
}
