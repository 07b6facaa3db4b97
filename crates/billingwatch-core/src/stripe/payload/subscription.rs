//! `subscription`: its period, prices and discounts in the places of all versions.

use std::borrow::Cow;

use serde::de::MapAccess;

use crate::event::EventData;
use crate::event::subscription::{
    Discount, Interval, PauseCollection, Subscription, SubscriptionItem, SubscriptionStatus,
};
use crate::ids::{CustomerId, SubscriptionId};
use crate::money::Currency;

use super::lenient::{Shape, next_key, read, shape_of_map, shape_of_words, skip};
use super::object::Draft;
use super::values::{Decimal, List, Metadata, PaymentSettings, Perhaps, Presence, read_id};

/// Basis points in a whole.
const BPS_WHOLE: i64 = 10_000;

pub(super) struct SubscriptionDraft {
    subscription: Subscription,
    customer_account: Option<CustomerId>,
    items: List<Item>,
    /// The subscription's own plan and quantity, where it has a single one.
    plan: Option<Price>,
    quantity: Option<i64>,
    /// `discount`, deprecated for `discounts`; acacia sends both.
    discount: Option<DiscountRef>,
    discounts: Vec<DiscountRef>,
    trial_settings: TrialSettings,
    has_payment_method: bool,
}

impl Default for SubscriptionDraft {
    fn default() -> Self {
        Self {
            subscription: Subscription {
                id: SubscriptionId::from(""),
                created: None,
                status: SubscriptionStatus::Unknown,
                customer: None,
                currency: None,
                current_period_start: None,
                current_period_end: None,
                billing_cycle_anchor: None,
                items: Vec::new(),
                collection_method: Default::default(),
                days_until_due: None,
                trial_start: None,
                trial_end: None,
                may_end_with_trial: false,
                cancel_at: None,
                cancel_at_period_end: false,
                canceled_at: None,
                ended_at: None,
                cancellation_reason: None,
                pause_collection: None,
                discounts: Vec::new(),
                has_opaque_discounts: false,
                has_passing_discount: false,
                has_schedule: false,
                latest_invoice: None,
                payment_method_types: Vec::new(),
                metadata: Vec::new(),
                has_test_clock: false,
            },
            customer_account: None,
            items: List::default(),
            plan: None,
            quantity: None,
            discount: None,
            discounts: Vec::new(),
            trial_settings: TrialSettings::default(),
            has_payment_method: false,
        }
    }
}

impl Draft for SubscriptionDraft {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &[u8], map: &mut A) -> Result<(), A::Error> {
        let subscription = &mut self.subscription;
        match key {
            b"created" => subscription.created = read(map)?,
            b"status" => subscription.status = read(map)?,
            b"customer" => subscription.customer = read_id(map)?,
            b"customer_account" => self.customer_account = read_id(map)?,
            b"currency" => subscription.currency = read(map)?,
            b"current_period_start" => subscription.current_period_start = read(map)?,
            b"current_period_end" => subscription.current_period_end = read(map)?,
            b"billing_cycle_anchor" => subscription.billing_cycle_anchor = read(map)?,
            b"items" => self.items = read(map)?,
            b"plan" => self.plan = read::<Perhaps<Price>, A>(map)?.0,
            b"quantity" => self.quantity = read(map)?,
            // `billing` until 2019-10-17.
            b"collection_method" | b"billing" => subscription.collection_method = read(map)?,
            b"days_until_due" => subscription.days_until_due = read(map)?,
            b"trial_start" => subscription.trial_start = read(map)?,
            b"trial_end" => subscription.trial_end = read(map)?,
            b"trial_settings" => self.trial_settings = read(map)?,
            b"default_payment_method" | b"default_source" => {
                self.has_payment_method |= read::<Presence, A>(map)?.0;
            }
            b"cancel_at" => subscription.cancel_at = read(map)?,
            b"cancel_at_period_end" => subscription.cancel_at_period_end = read(map)?,
            b"canceled_at" => subscription.canceled_at = read(map)?,
            b"ended_at" => subscription.ended_at = read(map)?,
            b"cancellation_details" => {
                subscription.cancellation_reason = read::<CancellationDetails, A>(map)?.reason;
            }
            b"pause_collection" => {
                subscription.pause_collection = read::<Perhaps<PauseCollection>, A>(map)?.0;
            }
            b"discount" => self.discount = read(map)?,
            b"discounts" => {
                let discounts: Vec<Option<DiscountRef>> = read(map)?;
                self.discounts = discounts.into_iter().flatten().collect();
            }
            b"schedule" => subscription.has_schedule = read::<Presence, A>(map)?.0,
            b"latest_invoice" => subscription.latest_invoice = read_id(map)?,
            b"payment_settings" => {
                subscription.payment_method_types = read::<PaymentSettings, A>(map)?.types;
            }
            b"metadata" => subscription.metadata = read::<Metadata, A>(map)?.0,
            b"test_clock" => subscription.has_test_clock = read::<Presence, A>(map)?.0,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn finish(mut self, id: Option<Box<str>>) -> Option<EventData> {
        let mut subscription = self.subscription;
        subscription.id = id?.into();
        subscription.customer = subscription.customer.or(self.customer_account);
        subscription.may_end_with_trial =
            self.trial_settings.end_behavior.is_an_end && !self.has_payment_method;
        if self.items.data.is_empty() {
            self.items.data.extend(self.plan.map(|price| Item {
                price: Some(price),
                quantity: self.quantity,
                ..Item::default()
            }));
        }
        let items = &self.items.data;
        let of_an_item = || items.iter().find_map(|item| item.price.as_ref()?.currency);
        subscription.currency = subscription.currency.or_else(of_an_item);
        // What a discount on one of the items takes off the whole is not worked out.
        subscription.has_opaque_discounts = items.iter().any(|item| item.has_discounts);
        subscription.items = self.items.data.into_iter().map(Item::finish).collect();
        // Items may have periods of their own: that of the item which pays next counts.
        let items = subscription.items.iter();
        let next = items
            .filter(|item| item.current_period_end.is_some())
            .min_by_key(|item| (item.current_period_end, item.current_period_start));
        if let Some(next) = next {
            subscription.current_period_start = subscription
                .current_period_start
                .or(next.current_period_start);
            subscription.current_period_end =
                subscription.current_period_end.or(next.current_period_end);
        }
        let refs = self.discount.into_iter().chain(self.discounts).collect();
        read_discounts(&mut subscription, refs);
        Some(EventData::Subscription(Box::new(subscription)))
    }
}

/// The same discount may come twice: whole as `discount`, and as a bare id in `discounts`.
fn read_discounts(subscription: &mut Subscription, mut refs: Vec<DiscountRef>) {
    // Those that say what they take off come before those that do not.
    refs.sort_by_key(|discount| discount.off.is_none());
    let mut seen: Vec<Box<str>> = Vec::new();
    for DiscountRef {
        id,
        off,
        is_passing,
    } in refs
    {
        if id.as_ref().is_some_and(|id| seen.contains(id)) {
            continue;
        }
        match off {
            Some(off) => {
                subscription.discounts.push(off);
                subscription.has_passing_discount |= is_passing;
            }
            None => subscription.has_opaque_discounts = true,
        }
        seen.extend(id);
    }
}

shape_of_words!(SubscriptionStatus {
    "incomplete" => Incomplete,
    "incomplete_expired" => IncompleteExpired,
    "trialing" => Trialing,
    "active" => Active,
    "past_due" => PastDue,
    "canceled" => Canceled,
    "unpaid" => Unpaid,
    "paused" => Paused,
});

/// What becomes of a trial at its end.
#[derive(Default)]
struct TrialSettings {
    end_behavior: EndBehavior,
}

shape_of_map!(TrialSettings {
    b"end_behavior" => |this, map| this.end_behavior = read(map)?,
});

#[derive(Default)]
struct EndBehavior {
    /// Without a payment method it is cancelled, or paused; by default it is invoiced.
    is_an_end: bool,
}

shape_of_map!(EndBehavior {
    b"missing_payment_method" => |this, map| {
        let behavior = read::<Option<Cow<'de, str>>, A>(map)?;
        this.is_an_end = matches!(behavior.as_deref(), Some("cancel" | "pause"));
    },
});

#[derive(Default)]
struct CancellationDetails {
    reason: Option<Box<str>>,
}

shape_of_map!(CancellationDetails {
    b"reason" => |this, map| this.reason = read(map)?,
});

shape_of_map!(PauseCollection {
    b"resumes_at" => |this, map| this.resumes_at = read(map)?,
});

#[derive(Default)]
struct Item {
    item: SubscriptionItem,
    price: Option<Price>,
    plan: Option<Price>,
    quantity: Option<i64>,
    has_discounts: bool,
}

shape_of_map!(Item {
    b"price" => |this, map| this.price = read::<Perhaps<Price>, A>(map)?.0,
    b"plan" => |this, map| this.plan = read::<Perhaps<Price>, A>(map)?.0,
    b"quantity" => |this, map| this.quantity = read(map)?,
    b"current_period_start" => |this, map| this.item.current_period_start = read(map)?,
    b"current_period_end" => |this, map| this.item.current_period_end = read(map)?,
    b"discounts" => |this, map| {
        let discounts: Vec<Option<DiscountRef>> = read(map)?;
        this.has_discounts = discounts.iter().any(Option::is_some);
    },
});

impl Item {
    fn finish(self) -> SubscriptionItem {
        let mut item = self.item;
        item.quantity = self.quantity;
        if let Some(price) = self.price.or(self.plan) {
            item.unit_amount = price
                .unit_amount
                .or(price.unit_amount_decimal)
                .filter(|_| !price.is_tiered);
            item.is_metered = price.recurring.is_metered;
            item.interval = price.recurring.interval;
            item.interval_count = price.recurring.count.filter(|n| *n > 0).unwrap_or(1);
        }
        item
    }
}

/// A price, or the plan it was called before: the same under other names, and flat.
#[derive(Default)]
struct Price {
    unit_amount: Option<i64>,
    unit_amount_decimal: Option<i64>,
    currency: Option<Currency>,
    is_tiered: bool,
    recurring: Recurring,
}

shape_of_map!(Price {
    b"unit_amount" => |this, map| this.unit_amount = read(map)?,
    b"amount" => |this, map| this.unit_amount = read(map)?,
    b"unit_amount_decimal" => |this, map| this.unit_amount_decimal = read::<Decimal<0>, A>(map)?.0,
    b"amount_decimal" => |this, map| this.unit_amount_decimal = read::<Decimal<0>, A>(map)?.0,
    b"currency" => |this, map| this.currency = read(map)?,
    b"billing_scheme" => |this, map| this.is_tiered = is_word(map, "tiered")?,
    b"recurring" => |this, map| this.recurring = read(map)?,
    b"interval" => |this, map| this.recurring.interval = read(map)?,
    b"interval_count" => |this, map| this.recurring.count = read(map)?,
    b"usage_type" => |this, map| this.recurring.is_metered = is_word(map, "metered")?,
});

#[derive(Default)]
struct Recurring {
    interval: Interval,
    count: Option<i64>,
    is_metered: bool,
}

shape_of_map!(Recurring {
    b"interval" => |this, map| this.interval = read(map)?,
    b"interval_count" => |this, map| this.count = read(map)?,
    b"usage_type" => |this, map| this.is_metered = is_word(map, "metered")?,
});

shape_of_words!(Interval {
    "day" => Day,
    "week" => Week,
    "month" => Month,
    "year" => Year,
});

fn is_word<'de, A: MapAccess<'de>>(map: &mut A, word: &str) -> Result<bool, A::Error> {
    Ok(read::<Option<Cow<'de, str>>, A>(map)?.as_deref() == Some(word))
}

/// A discount: a bare id, or an object with the coupon in it or in its `source`.
struct DiscountRef {
    id: Option<Box<str>>,
    off: Option<Discount>,
    is_passing: bool,
}

impl<'de> Shape<'de> for Option<DiscountRef> {
    fn of_text(text: Cow<'de, str>) -> Self {
        Some(DiscountRef {
            id: Some(text.into()),
            off: None,
            is_passing: false,
        })
    }

    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut id = None;
        let mut coupon = Coupon::default();
        let mut source = Source::default();
        while let Some(key) = next_key(&mut map)? {
            match key.as_bytes() {
                b"id" => id = read(&mut map)?,
                b"coupon" => coupon = read(&mut map)?,
                b"source" => source = read(&mut map)?,
                _ => skip(&mut map)?,
            }
        }
        let off = coupon.off().or_else(|| source.coupon.off());
        Ok(Some(DiscountRef {
            id,
            off,
            is_passing: coupon.is_once || source.coupon.is_once,
        }))
    }
}

#[derive(Default)]
struct Source {
    coupon: Coupon,
}

shape_of_map!(Source {
    b"coupon" => |this, map| this.coupon = read(map)?,
});

#[derive(Default)]
struct Coupon {
    percent_off_bps: Option<i64>,
    amount_off: Option<i64>,
    is_once: bool,
}

shape_of_map!(Coupon {
    b"percent_off" => |this, map| this.percent_off_bps = read::<Decimal<2>, A>(map)?.0,
    b"amount_off" => |this, map| this.amount_off = read(map)?,
    b"duration" => |this, map| this.is_once = is_word(map, "once")?,
});

impl Coupon {
    fn off(&self) -> Option<Discount> {
        let percent = self
            .percent_off_bps
            .filter(|bps| (0..=BPS_WHOLE).contains(bps));
        percent
            .map(Discount::PercentBps)
            .or(self.amount_off.map(Discount::Amount))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::stripe::payload::parse_event;
    use crate::time::Timestamp;

    #[test]
    fn a_trial_may_end_its_subscription_where_no_payment_method_is_known() {
        let may_end = |behavior: &str, more: &str| {
            let body = format!(
                r#"{{"id":"evt_1","object":"event","created":1700000000,"livemode":true,
                "type":"customer.subscription.created","data":{{"object":{{"id":"sub_1","object":"subscription",
                "status":"trialing","trial_settings":{{"end_behavior":{{"missing_payment_method":"{behavior}"}}}}{more}}}}}}}"#
            );
            let event = parse_event(body.as_bytes(), Timestamp::from_secs(1_700_000_001)).unwrap();
            match event.data {
                EventData::Subscription(subscription) => subscription.may_end_with_trial,
                _ => panic!("no subscription"),
            }
        };
        assert!(may_end("cancel", ""));
        assert!(may_end("pause", r#","default_payment_method":null"#));
        assert!(!may_end("create_invoice", ""));
        assert!(!may_end("cancel", r#","default_payment_method":"pm_1""#));
        assert!(!may_end("cancel", r#","default_source":"card_1""#));
    }
}
