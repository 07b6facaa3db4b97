//! The payment intent: one payment, however many attempts it takes.

use super::{Env, Payment, Verdict, charge};
use crate::ids::mix;
use crate::json::Writer;

/// The intent before its first attempt (`None`) or after one.
pub(crate) fn write(w: &mut Writer, env: &Env, payment: &Payment, after: Option<Verdict>) {
    let paid = after == Some(Verdict::Approved);
    let received = if paid && payment.captured {
        payment.amount
    } else {
        0
    };
    w.field("id", payment.intent);
    w.field("object", "payment_intent");
    w.field("amount", payment.amount);
    w.field(
        "amount_capturable",
        if paid { payment.amount - received } else { 0 },
    );
    w.raw("amount_details", r#"{"tip":{}}"#);
    w.field("amount_received", received);
    w.fields(r#""application":null,"application_fee_amount":null,"automatic_payment_methods":null,"canceled_at":null,"cancellation_reason":null"#);
    w.field(
        "capture_method",
        if payment.captured {
            "automatic"
        } else {
            "manual"
        },
    );
    w.text(
        "client_secret",
        &[&payment.intent.to_string(), "_secret_redacted"],
    );
    w.field("confirmation_method", "automatic");
    w.field("created", payment.created_at);
    w.field("currency", payment.currency.code());
    w.field("customer", payment.customer.map(|c| c.id()));
    w.field("description", payment.description);
    if !env.is_basil() {
        w.field("invoice", payment.invoice);
    }
    match after {
        Some(Verdict::Declined(decline)) => w.obj("last_payment_error", |w| {
            w.field("charge", payment.charge);
            w.field("code", decline.code);
            w.field("decline_code", decline.decline_code);
            w.field("message", decline.message);
            w.obj("payment_method", |w| write_method(w, payment));
            w.field("type", "card_error");
        }),
        Some(Verdict::Blocked) => w.obj("last_payment_error", |w| {
            w.field("charge", payment.charge);
            w.fields(r#""code":"card_declined","decline_code":"fraudulent","message":"Your card was declined.""#);
            w.obj("payment_method", |w| write_method(w, payment));
            w.field("type", "card_error");
        }),
        _ => w.null("last_payment_error"),
    }
    w.field("latest_charge", after.map(|_| payment.charge));
    w.field("livemode", true);
    w.obj("metadata", |w| charge::write_metadata(w, payment));
    w.fields(r#""next_action":null,"on_behalf_of":null"#);
    let kept = paid || payment.invoice.is_some();
    w.field("payment_method", kept.then(|| payment.method()));
    if payment.debit {
        w.raw("payment_method_options", r#"{"sepa_debit":{}}"#);
    } else {
        w.raw("payment_method_options", r#"{"card":{"installments":null,"mandate_options":null,"network":null,"request_three_d_secure":"automatic"}}"#);
    }
    w.list("payment_method_types", |w| w.bare(payment.method_type()));
    w.fields(r#""processing":null,"receipt_email":null,"review":null"#);
    w.field(
        "setup_future_usage",
        payment.is_on_file().then_some("off_session"),
    );
    w.fields(r#""shipping":null,"source":null,"statement_descriptor":null,"statement_descriptor_suffix":null"#);
    w.field(
        "status",
        match after {
            Some(Verdict::Approved) if payment.captured => "succeeded",
            Some(Verdict::Approved) => "requires_capture",
            Some(Verdict::Pending) => "processing",
            None if payment.invoice.is_some() => "requires_confirmation",
            _ => "requires_payment_method",
        },
    );
    w.fields(r#""transfer_data":null,"transfer_group":null"#);
}

fn write_method(w: &mut Writer, payment: &Payment) {
    w.field("id", payment.method());
    w.field("object", "payment_method");
    w.obj("billing_details", |w| charge::write_billing(w, payment));
    w.obj(payment.method_type(), |w| {
        if payment.debit {
            payment.card.write_bank(w, false);
        } else {
            payment.card.write(w, false, true);
        }
    });
    w.field("created", payment.created_at);
    w.field("customer", payment.customer.map(|c| c.id()));
    w.fields(r#""livemode":true,"metadata":{}"#);
    w.field("type", payment.method_type());
}

/// A setup intent that failed: how card testers try a card without a payment.
pub(crate) fn write_failed_setup(w: &mut Writer, payment: &Payment, decline: super::Decline) {
    let id = payment.intent.part(crate::ids::Kind::SetupIntent, 1);
    w.field("id", id);
    w.fields(r#""object":"setup_intent","application":null,"attach_to_self":false,"automatic_payment_methods":null,"cancellation_reason":null"#);
    w.text("client_secret", &[&id.to_string(), "_secret_redacted"]);
    w.field("created", payment.created_at);
    w.field("customer", payment.customer.map(|c| c.id()));
    w.fields(r#""description":null,"flow_directions":null"#);
    w.obj("last_setup_error", |w| {
        w.field("code", decline.code);
        w.field("decline_code", decline.decline_code);
        w.field("message", decline.message);
        w.obj("payment_method", |w| write_method(w, payment));
        w.field("type", "card_error");
    });
    w.text(
        "latest_attempt",
        &["setatt_", &format!("{:016x}", mix(payment.intent.n))],
    );
    w.fields(r#""livemode":true,"mandate":null,"metadata":{},"next_action":null,"on_behalf_of":null,"payment_method":null,"payment_method_types":["card"],"single_use_mandate":null,"status":"requires_payment_method","usage":"off_session""#);
}
