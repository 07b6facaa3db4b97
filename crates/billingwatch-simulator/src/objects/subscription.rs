//! The subscription. Its period stands on it (Legacy) or on its items (Basil).

use super::Env;
use crate::billing::{Status, Subscription};
use crate::ids::{Id, Kind, mix};
use crate::json::Writer;

pub(crate) fn write(w: &mut Writer, env: &Env, s: &Subscription) {
    w.field("id", s.id);
    w.fields(r#""object":"subscription","application":null,"application_fee_percent":null"#);
    w.raw(
        "automatic_tax",
        r#"{"disabled_reason":null,"enabled":false,"liability":null}"#,
    );
    w.field("billing_cycle_anchor", s.anchor_at);
    w.null("billing_cycle_anchor_config");
    if env.is_basil() {
        w.raw("billing_mode", r#"{"type":"classic"}"#);
    }
    w.null("billing_thresholds");
    w.field("cancel_at", s.cancel_at_period_end.then_some(s.period_end));
    w.field("cancel_at_period_end", s.cancel_at_period_end);
    w.field("canceled_at", s.canceled_at);
    w.obj("cancellation_details", |w| {
        w.fields(r#""comment":null,"feedback":null"#);
        w.field("reason", s.cancel_reason);
    });
    w.field(
        "collection_method",
        if s.net30 {
            "send_invoice"
        } else {
            "charge_automatically"
        },
    );
    w.field("created", s.created_at);
    w.field("currency", s.currency.code());
    if !env.is_basil() {
        w.field("current_period_end", s.period_end);
        w.field("current_period_start", s.period_start);
    }
    w.field("customer", s.customer.id());
    w.field("days_until_due", s.net30.then_some(30));
    let pays_by_card = !s.net30 && s.has_card;
    w.field("default_payment_method", pays_by_card.then(|| s.method()));
    w.fields(r#""default_source":null,"default_tax_rates":[],"description":null"#);
    if env.is_basil() {
        w.list("discounts", |w| {
            if s.percent_off > 0 {
                w.item(|w| write_discount(w, s));
            }
        });
    } else if s.percent_off > 0 {
        w.obj("discount", |w| write_discount(w, s));
    } else {
        w.null("discount");
    }
    w.field("ended_at", s.ended_at);
    w.raw(
        "invoice_settings",
        r#"{"account_tax_ids":null,"issuer":{"type":"self"}}"#,
    );
    w.obj("items", |w| {
        w.field("object", "list");
        w.list("data", |w| w.item(|w| write_item(w, env, s)));
        w.fields(r#""has_more":false,"total_count":1"#);
        w.text(
            "url",
            &["/v1/subscription_items?subscription=", &s.id.to_string()],
        );
    });
    w.field("latest_invoice", s.latest_invoice);
    w.fields(r#""livemode":true,"metadata":{},"next_pending_invoice_item_invoice":null,"on_behalf_of":null"#);
    match s.pause {
        Some(pause) => w.obj("pause_collection", |w| {
            w.field("behavior", pause.behavior);
            w.field("resumes_at", pause.resumes_at);
        }),
        None => w.null("pause_collection"),
    }
    w.raw("payment_settings", r#"{"payment_method_options":null,"payment_method_types":null,"save_default_payment_method":"off"}"#);
    w.fields(
        r#""pending_invoice_item_interval":null,"pending_setup_intent":null,"pending_update":null"#,
    );
    if !env.is_basil() {
        w.obj("plan", |w| write_plan(w, s));
        w.field("quantity", s.quantity);
    }
    w.null("schedule");
    w.field("start_date", s.created_at);
    w.field("status", s.status.as_str());
    w.fields(r#""test_clock":null,"transfer_data":null"#);
    w.field("trial_end", s.trial_end);
    w.raw(
        "trial_settings",
        if s.status == Status::Paused || !s.has_card {
            r#"{"end_behavior":{"missing_payment_method":"pause"}}"#
        } else {
            r#"{"end_behavior":{"missing_payment_method":"create_invoice"}}"#
        },
    );
    w.field("trial_start", s.trial_end.map(|_| s.created_at));
}

pub(crate) fn price_id(s: &Subscription) -> Id {
    let salt =
        u64::try_from(s.plan).unwrap_or(0) * 16 + u64::try_from(s.unit_amount).unwrap_or(0) * 4_096;
    Id::new(Kind::Price, mix(salt ^ 0x5052_4943))
}

pub(crate) fn product_id(s: &Subscription) -> Id {
    Id::new(
        Kind::Product,
        mix(u64::try_from(s.plan).unwrap_or(0) ^ 0x5052_4f44),
    )
}

pub(crate) fn item_id(s: &Subscription) -> Id {
    s.id.part(Kind::SubscriptionItem, 1)
}

fn write_item(w: &mut Writer, env: &Env, s: &Subscription) {
    w.field("id", item_id(s));
    w.fields(r#""object":"subscription_item","billing_thresholds":null"#);
    w.field("created", s.created_at);
    if env.is_basil() {
        w.field("current_period_end", s.period_end);
        w.field("current_period_start", s.period_start);
        w.raw("discounts", "[]");
    }
    w.raw("metadata", "{}");
    if !env.is_basil() {
        w.obj("plan", |w| write_plan(w, s));
    }
    w.obj("price", |w| write_price(w, s));
    if !s.metered {
        w.field("quantity", s.quantity);
    }
    w.field("subscription", s.id);
    w.raw("tax_rates", "[]");
}

/// `interval` and `interval_count`, of a price's `recurring` or a plan.
fn write_interval(w: &mut Writer, s: &Subscription) {
    let (unit, count) = s.every.as_stripe();
    w.field("interval", unit);
    w.field("interval_count", count);
}

pub(crate) fn write_price(w: &mut Writer, s: &Subscription) {
    w.field("id", price_id(s));
    w.fields(r#""object":"price","active":true,"billing_scheme":"per_unit","created":1650000000"#);
    w.field("currency", s.currency.code());
    w.fields(r#""custom_unit_amount":null,"livemode":true,"lookup_key":null,"metadata":{},"nickname":null"#);
    w.field("product", product_id(s));
    w.obj("recurring", |w| {
        write_interval(w, s);
        w.null("trial_period_days");
        w.field("usage_type", if s.metered { "metered" } else { "licensed" });
    });
    w.fields(r#""tax_behavior":"exclusive","tiers_mode":null,"transform_quantity":null,"type":"recurring""#);
    w.field("unit_amount", s.unit_amount);
    w.field("unit_amount_decimal", s.unit_amount.to_string().as_str());
}

pub(crate) fn write_plan(w: &mut Writer, s: &Subscription) {
    w.field("id", price_id(s));
    w.fields(r#""object":"plan","active":true,"aggregate_usage":null"#);
    w.field("amount", s.unit_amount);
    w.field("amount_decimal", s.unit_amount.to_string().as_str());
    w.fields(r#""billing_scheme":"per_unit","created":1650000000"#);
    w.field("currency", s.currency.code());
    write_interval(w, s);
    w.fields(r#""livemode":true,"metadata":{},"nickname":null"#);
    w.field("product", product_id(s));
    w.fields(r#""tiers_mode":null,"transform_usage":null,"trial_period_days":null"#);
    w.field("usage_type", if s.metered { "metered" } else { "licensed" });
}

fn write_discount(w: &mut Writer, s: &Subscription) {
    w.field("id", discount_id(s.id));
    w.fields(r#""object":"discount","checkout_session":null"#);
    w.obj("coupon", |w| write_coupon(w, s.percent_off, s.created_at));
    w.field("customer", s.customer.id());
    w.fields(r#""end":null,"invoice":null,"invoice_item":null,"promotion_code":null"#);
    w.field("start", s.created_at);
    w.field("subscription", s.id);
}

pub(crate) fn discount_id(subscription: Id) -> Id {
    subscription.part(Kind::Discount, 1)
}

fn write_coupon(w: &mut Writer, percent_off: i64, created_at: i64) {
    w.field("id", Id::new(Kind::Coupon, mix(percent_off.unsigned_abs())));
    w.fields(r#""object":"coupon","amount_off":null"#);
    w.field("created", created_at);
    w.fields(r#""currency":null,"duration":"forever","duration_in_months":null,"livemode":true,"max_redemptions":null,"metadata":{}"#);
    w.text("name", &[&percent_off.to_string(), " % off"]);
    w.field("percent_off", percent_off);
    w.fields(r#""redeem_by":null,"times_redeemed":12,"valid":true"#);
}

/// `previous_attributes` of an update in which the period moved on.
pub(crate) fn write_previous_period(
    w: &mut Writer,
    env: &Env,
    before: &Subscription,
    after: &Subscription,
) {
    if env.is_basil() {
        w.obj("items", |w| {
            w.list("data", |w| w.item(|w| write_item(w, env, before)))
        });
    } else {
        w.field("current_period_end", before.period_end);
        w.field("current_period_start", before.period_start);
    }
    if before.latest_invoice != after.latest_invoice {
        w.field("latest_invoice", before.latest_invoice);
    }
    if before.status != after.status {
        w.field("status", before.status.as_str());
    }
}

/// `previous_attributes` of an update to another plan or quantity.
pub(crate) fn write_previous_plan(
    w: &mut Writer,
    env: &Env,
    before: &Subscription,
    after: &Subscription,
) {
    w.obj("items", |w| {
        w.list("data", |w| w.item(|w| write_item(w, env, before)));
    });
    if !env.is_basil() && before.plan != after.plan {
        w.obj("plan", |w| write_plan(w, before));
    }
    if !env.is_basil() && before.quantity != after.quantity {
        w.field("quantity", before.quantity);
    }
}
