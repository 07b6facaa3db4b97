//! Objects that no detector uses: checkout sessions, the balance, and types nobody has heard of.

use super::{Env, Payment, charge};
use crate::ids::{Id, Kind};
use crate::json::Writer;

/// A completed checkout session around a payment.
pub(crate) fn write_session(w: &mut Writer, env: &Env, payment: &Payment) {
    let id = payment.intent.part(Kind::CheckoutSession, 1);
    w.field("id", id);
    w.fields(r#""object":"checkout.session","adaptive_pricing":{"enabled":false},"after_expiration":null,"allow_promotion_codes":null"#);
    w.field("amount_subtotal", payment.amount);
    w.field("amount_total", payment.amount);
    w.fields(r#""automatic_tax":{"enabled":false,"liability":null,"status":null},"billing_address_collection":null,"cancel_url":"https://shop.example.com/cart","client_reference_id":null,"consent":null"#);
    w.field("created", payment.created_at - 140);
    w.field("currency", payment.currency.code());
    w.field("customer", payment.customer.map(|c| c.id()));
    w.obj("customer_details", |w| charge::write_billing(w, payment));
    w.field("expires_at", payment.created_at - 140 + 86_400);
    w.fields(r#""invoice":null,"livemode":true,"locale":null"#);
    w.obj("metadata", |w| charge::write_metadata(w, payment));
    w.field("mode", "payment");
    w.field("payment_intent", payment.intent);
    w.fields(r#""payment_link":null,"payment_method_collection":"if_required","payment_method_types":["card"],"payment_status":"paid","setup_intent":null,"shipping_cost":null,"status":"complete","submit_type":null,"subscription":null,"success_url":"https://shop.example.com/thanks""#);
    if env.is_basil() {
        w.null("origin_context");
    }
    w.raw(
        "total_details",
        r#"{"amount_discount":0,"amount_shipping":0,"amount_tax":0}"#,
    );
    w.fields(r#""ui_mode":"hosted","url":null"#);
}

/// An object of a kind that came after this crate was written.
pub(crate) fn write_unknown(w: &mut Writer, id: Id, object: &str, created_at: i64) {
    w.field("id", id);
    w.field("object", object);
    w.field("created", created_at);
    w.fields(r#""active":true,"description":"Anything at all","livemode":true,"metadata":{"note":"kept \"as is\""},"nested":{"list":[1,2.5,null,{"deep":[]}]},"updated":null,"url":null"#);
}
