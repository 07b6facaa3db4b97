//! The customer, and the card attached to one.

use super::Env;
use crate::json::Writer;
use crate::merchant::customer::{Card, Customer};
use crate::money::Currency;

/// A customer with a credit balance (negative is in the customer's favour).
pub(crate) fn write(
    w: &mut Writer,
    env: &Env,
    customer: Customer,
    currency: Option<Currency>,
    balance: i64,
    created_at: i64,
) {
    w.field("id", customer.id());
    w.field("object", "customer");
    w.null("address");
    w.field("balance", balance);
    w.field("created", created_at);
    w.field("currency", currency.map(Currency::code));
    w.fields(r#""default_source":null,"delinquent":false,"description":null,"discount":null"#);
    customer.write_email(w, "email");
    w.text(
        "invoice_prefix",
        &[&format!("{:08X}", customer.id().n % 0xffff_ffff)],
    );
    w.obj("invoice_settings", |w| {
        w.null("custom_fields");
        w.field(
            "default_payment_method",
            currency.map(|_| customer.card().payment_method()),
        );
        w.fields(r#""footer":null,"rendering_options":null"#);
    });
    w.fields(r#""livemode":true,"metadata":{}"#);
    customer.write_name(w, "name");
    w.fields(r#""next_invoice_sequence":1,"phone":null,"preferred_locales":["en"],"shipping":null,"tax_exempt":"none","test_clock":null"#);
    if env.is_basil() {
        w.null("customer_account");
    }
}

/// The payment method of a card.
pub(crate) fn write_method(w: &mut Writer, customer: Customer, card: Card, created_at: i64) {
    w.field("id", card.payment_method());
    w.field("object", "payment_method");
    w.fields(r#""allow_redisplay":"limited""#);
    w.obj("billing_details", |w| {
        w.obj("address", |w| {
            w.null("city");
            w.field("country", card.country());
            w.fields(r#""line1":null,"line2":null,"postal_code":"94103","state":null"#);
        });
        customer.write_email(w, "email");
        customer.write_name(w, "name");
        w.fields(r#""phone":null,"tax_id":null"#);
    });
    w.obj("card", |w| card.write(w, false, true));
    w.field("created", created_at);
    w.field("customer", customer.id());
    w.fields(r#""livemode":true,"metadata":{},"type":"card""#);
}
