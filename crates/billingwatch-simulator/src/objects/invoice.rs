//! The invoice and the invoice payment: where the subscription and the payment stand differs most by version.

use super::Env;
use super::subscription::{discount_id, item_id, price_id, product_id, write_plan, write_price};
use crate::billing::{Invoice, Line, Subscription};
use crate::ids::{Id, Kind, mix};
use crate::json::Writer;

/// Which part of an invoice's life is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    Whole,
    /// `invoice.upcoming` has no id: the invoice does not exist yet.
    Upcoming,
}

/// The invoice, with the subscription it is for (lines repeat its price).
pub(crate) fn write(w: &mut Writer, env: &Env, i: &Invoice, s: Option<&Subscription>, view: View) {
    let upcoming = view == View::Upcoming;
    let paid = i.status == "paid";
    if !upcoming {
        w.field("id", i.id);
    }
    w.fields(r#""object":"invoice","account_country":"US""#);
    w.field("account_name", env.profile.name);
    w.null("account_tax_ids");
    w.field("amount_due", i.amount_due());
    if env.is_basil() {
        w.field("amount_overpaid", 0_i64);
    }
    // Money paid outside of Stripe counts as paid; only these flags tell it apart.
    w.field("amount_paid", i.amount_paid);
    if env.is_basil() && i.out_of_band {
        w.field("amount_paid_off_stripe", i.amount_paid);
    }
    w.field("amount_remaining", i.amount_due() - i.amount_paid);
    w.fields(r#""amount_shipping":0,"application":null"#);
    if !env.is_basil() {
        w.null("application_fee_amount");
    }
    w.field("attempt_count", i.attempts);
    w.field("attempted", i.attempts > 0 || (paid && !i.out_of_band));
    w.field(
        "auto_advance",
        i.auto_advance && i.status == "draft" || i.status == "open" && !i.net30,
    );
    w.raw(
        "automatic_tax",
        r#"{"enabled":false,"liability":null,"status":null}"#,
    );
    w.field(
        "billing_reason",
        if upcoming {
            "upcoming"
        } else {
            i.billing_reason
        },
    );
    if !env.is_basil() {
        w.field("charge", i.charge);
    }
    w.field(
        "collection_method",
        if i.net30 {
            "send_invoice"
        } else {
            "charge_automatically"
        },
    );
    w.field("created", i.created_at);
    w.field("currency", i.currency.code());
    w.fields(r#""custom_fields":null"#);
    w.field("customer", i.customer.id());
    w.null("customer_address");
    i.customer.write_email(w, "customer_email");
    i.customer.write_name(w, "customer_name");
    w.fields(r#""customer_phone":null,"customer_shipping":null,"customer_tax_exempt":"none","customer_tax_ids":[],"default_payment_method":null,"default_source":null,"default_tax_rates":[],"description":null"#);
    write_discounts(w, env, i);
    w.field("due_date", i.due_at);
    w.field("ending_balance", i.ending_balance);
    w.null("footer");
    match i.finalized_at {
        Some(_) => {
            w.text(
                "hosted_invoice_url",
                &[
                    "https://invoice.stripe.com/i/acct_1LkBw7Watch/",
                    &i.id.to_string(),
                ],
            );
            w.text(
                "invoice_pdf",
                &[
                    "https://pay.stripe.com/invoice/acct_1LkBw7Watch/",
                    &i.id.to_string(),
                    "/pdf",
                ],
            );
            w.text(
                "number",
                &[&format!(
                    "{:08X}-{:04}",
                    i.customer.id().n % 0xffff_ffff,
                    mix(i.id.n) % 10_000
                )],
            );
        }
        None => w.fields(r#""hosted_invoice_url":null,"invoice_pdf":null,"number":null"#),
    }
    w.fields(r#""last_finalization_error":null,"latest_revision":null"#);
    w.obj("lines", |w| {
        w.field("object", "list");
        w.list("data", |w| {
            for (line, salt) in i.lines.iter().zip(1..) {
                if let Some(line) = line {
                    w.item(|w| write_line(w, env, i, line, salt, s));
                }
            }
        });
        w.field("has_more", false);
        w.field(
            "total_count",
            i64::try_from(i.lines.iter().flatten().count()).unwrap_or(0),
        );
        w.text("url", &["/v1/invoices/", &i.id.to_string(), "/lines"]);
    });
    w.fields(r#""livemode":true,"metadata":{}"#);
    w.field("next_payment_attempt", i.next_attempt_at);
    w.null("on_behalf_of");
    if env.is_basil() {
        write_parent(w, i);
    } else {
        w.field("paid", paid);
        w.field("paid_out_of_band", i.out_of_band);
        w.field("payment_intent", i.intent);
    }
    w.raw(
        "payment_settings",
        r#"{"default_mandate":null,"payment_method_options":null,"payment_method_types":null}"#,
    );
    w.field("period_end", i.period_end);
    w.field("period_start", i.period_start);
    w.fields(r#""post_payment_credit_notes_amount":0,"pre_payment_credit_notes_amount":0"#);
    if !env.is_basil() {
        w.null("quote");
    }
    w.fields(
        r#""receipt_number":null,"rendering":null,"shipping_cost":null,"shipping_details":null"#,
    );
    w.field("starting_balance", i.starting_balance);
    w.null("statement_descriptor");
    w.field("status", if upcoming { "draft" } else { i.status });
    w.obj("status_transitions", |w| {
        w.field("finalized_at", i.finalized_at);
        w.field("marked_uncollectible_at", i.uncollectible_at);
        w.field("paid_at", i.paid_at);
        w.field("voided_at", i.voided_at);
    });
    if !env.is_basil() {
        w.field("subscription", i.subscription);
    }
    w.field("subtotal", i.subtotal());
    w.field("subtotal_excluding_tax", i.subtotal());
    if !env.is_basil() {
        w.null("tax");
    }
    w.null("test_clock");
    w.field("total", i.total());
    w.list("total_discount_amounts", |w| {
        if let (true, Some(subscription)) = (i.discount != 0, i.subscription) {
            w.item(|w| {
                w.field("amount", i.discount);
                w.field("discount", discount_id(subscription));
            });
        }
    });
    w.field("total_excluding_tax", i.total());
    w.raw(
        if env.is_basil() {
            "total_taxes"
        } else {
            "total_tax_amounts"
        },
        "[]",
    );
    if !env.is_basil() {
        w.null("transfer_data");
    }
    w.field(
        "webhooks_delivered_at",
        (i.status != "draft" && !upcoming).then_some(i.created_at + 1),
    );
}

fn write_discounts(w: &mut Writer, env: &Env, i: &Invoice) {
    let discount = i
        .subscription
        .filter(|_| i.percent_off > 0)
        .map(discount_id);
    if !env.is_basil() {
        match discount {
            Some(id) => w.obj("discount", |w| {
                w.field("id", id);
                w.fields(r#""object":"discount""#);
                w.obj("coupon", |w| {
                    w.field("id", Id::new(Kind::Coupon, mix(i.percent_off.unsigned_abs())));
                    w.fields(r#""object":"coupon","amount_off":null,"currency":null,"duration":"forever""#);
                    w.field("percent_off", i.percent_off);
                    w.field("valid", true);
                });
                w.field("customer", i.customer.id());
                w.null("end");
            }),
            None => w.null("discount"),
        }
    }
    w.list("discounts", |w| {
        if let Some(id) = discount {
            w.bare(id);
        }
    });
}

fn write_parent(w: &mut Writer, i: &Invoice) {
    match i.subscription {
        Some(subscription) => w.obj("parent", |w| {
            w.null("quote_details");
            w.obj("subscription_details", |w| {
                w.raw("metadata", "{}");
                w.field("subscription", subscription);
            });
            w.field("type", "subscription_details");
        }),
        None => w.null("parent"),
    }
}

fn write_line(
    w: &mut Writer,
    env: &Env,
    i: &Invoice,
    line: &Line,
    salt: u64,
    s: Option<&Subscription>,
) {
    let discount = if i.percent_off > 0 {
        i.currency.round(line.amount * i.percent_off / 100)
    } else {
        0
    };
    w.field("id", i.id.part(Kind::InvoiceLine, salt));
    w.field("object", "line_item");
    w.field("amount", line.amount);
    w.field("currency", i.currency.code());
    w.field("description", line.description);
    w.list("discount_amounts", |w| {
        if let (true, Some(subscription)) = (discount != 0, i.subscription) {
            w.item(|w| {
                w.field("amount", discount);
                w.field("discount", discount_id(subscription));
            });
        }
    });
    w.fields(r#""discountable":true,"discounts":[]"#);
    w.field("invoice", i.id);
    w.fields(r#""livemode":true,"metadata":{}"#);
    let item = i.id.part(Kind::InvoiceItem, salt);
    let sold = s.map(|s| Subscription {
        plan: line.plan,
        unit_amount: line.unit_amount,
        ..*s
    });
    let subscription = i.subscription.zip(sold.as_ref());
    if env.is_basil() {
        w.obj("parent", |w| match subscription {
            Some((id, s)) if !line.manual => {
                w.null("invoice_item_details");
                w.obj("subscription_item_details", |w| {
                    w.field("invoice_item", line.proration.then_some(item));
                    w.field("proration", line.proration);
                    w.raw("proration_details", r#"{"credited_items":null}"#);
                    w.field("subscription", id);
                    w.field("subscription_item", item_id(s));
                });
                w.field("type", "subscription_item_details");
            }
            _ => {
                w.obj("invoice_item_details", |w| {
                    w.field("invoice_item", item);
                    w.field("proration", false);
                    w.raw("proration_details", r#"{"credited_items":null}"#);
                    w.field("subscription", i.subscription);
                });
                w.null("subscription_item_details");
                w.field("type", "invoice_item_details");
            }
        });
    } else if let Some((_, s)) = subscription.filter(|_| !line.manual) {
        w.obj("plan", |w| write_plan(w, s));
        w.obj("price", |w| write_price(w, s));
        w.field("proration", line.proration);
        w.raw("proration_details", r#"{"credited_items":null}"#);
    } else {
        w.fields(r#""invoice_item":null,"plan":null,"price":null,"proration":false,"proration_details":{"credited_items":null}"#);
    }
    w.obj("period", |w| {
        w.field("end", line.to);
        w.field("start", line.from);
    });
    if env.is_basil() {
        match subscription.filter(|_| !line.manual) {
            Some((_, s)) => w.obj("pricing", |w| {
                w.obj("price_details", |w| {
                    w.field("price", price_id(s));
                    w.field("product", product_id(s));
                });
                w.field("type", "price_details");
                w.field("unit_amount_decimal", s.unit_amount.to_string().as_str());
            }),
            None => w.null("pricing"),
        }
    }
    w.field("quantity", line.quantity);
    w.field("subscription", i.subscription);
    if env.is_basil() {
        w.raw("taxes", "[]");
    } else {
        w.field(
            "subscription_item",
            subscription
                .filter(|_| !line.manual)
                .map(|(_, s)| item_id(s)),
        );
        w.fields(r#""tax_amounts":[],"tax_rates":[]"#);
        w.field(
            "type",
            if line.manual || line.proration {
                "invoiceitem"
            } else {
                "subscription"
            },
        );
    }
}

/// The invoice payment that joins an invoice to its payment intent (Basil).
pub(crate) fn write_payment(w: &mut Writer, i: &Invoice, intent: Id, created_at: i64) {
    w.field("id", i.id.part(Kind::InvoicePayment, 1));
    w.field("object", "invoice_payment");
    w.field("amount_paid", i.amount_due());
    w.field("amount_requested", i.amount_due());
    w.field("created", created_at);
    w.field("currency", i.currency.code());
    w.field("invoice", i.id);
    w.fields(r#""is_default":true,"livemode":true"#);
    w.obj("payment", |w| {
        w.field("payment_intent", intent);
        w.field("type", "payment_intent");
    });
    w.field("status", "paid");
    w.obj("status_transitions", |w| {
        w.null("canceled_at");
        w.field("paid_at", created_at);
    });
}
