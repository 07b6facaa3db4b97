//! The charge: one attempt to move money.

use super::{Decline, Env, Payment, Verdict};
use crate::ids::mix;
use crate::json::Writer;

/// The charge as it stands, after the attempt that ended in `verdict`.
pub(crate) fn write(w: &mut Writer, env: &Env, payment: &Payment, verdict: Verdict) {
    let (paid, pending) = (verdict == Verdict::Approved, verdict == Verdict::Pending);
    w.field("id", payment.charge);
    w.field("object", "charge");
    w.field("amount", payment.amount);
    w.field(
        "amount_captured",
        if (paid || pending) && payment.captured {
            payment.amount
        } else {
            0
        },
    );
    w.field("amount_refunded", payment.refunded);
    w.fields(r#""application":null,"application_fee":null,"application_fee_amount":null"#);
    let settled = (paid && payment.captured).then(|| payment.balance_transaction());
    w.field("balance_transaction", settled);
    w.obj("billing_details", |w| write_billing(w, payment));
    w.text("calculated_statement_descriptor", &[env.profile.name]);
    w.field("captured", (paid || pending) && payment.captured);
    w.field("created", payment.created_at);
    w.field("currency", payment.currency.code());
    w.field("customer", payment.customer.map(|c| c.id()));
    w.field("description", payment.description);
    w.fields(r#""destination":null,"dispute":null"#);
    w.field("disputed", payment.disputed);
    w.null("failure_balance_transaction");
    let (code, message) = failure(verdict);
    w.field("failure_code", code);
    w.field("failure_message", message);
    w.raw("fraud_details", "{}");
    if !env.is_basil() {
        w.field("invoice", payment.invoice);
    }
    w.field("livemode", true);
    w.obj("metadata", |w| write_metadata(w, payment));
    w.fields(r#""on_behalf_of":null,"order":null"#);
    w.obj("outcome", |w| write_outcome(w, payment, verdict));
    w.field("paid", paid);
    w.field("payment_intent", payment.intent);
    w.field("payment_method", payment.method());
    w.obj("payment_method_details", |w| {
        w.obj(payment.method_type(), |w| {
            if payment.debit {
                payment.card.write_bank(w, true);
            } else {
                write_card(w, payment, verdict);
            }
        });
        w.field("type", payment.method_type());
    });
    w.raw("radar_options", "{}");
    w.null("receipt_email");
    w.fields(r#""receipt_number":null,"receipt_url":"https://pay.stripe.com/receipts/payment/CAcaFwoVYWNjdF8xTGtCdzdXYXRjaA""#);
    w.field("refunded", payment.refunded >= payment.amount);
    w.fields(r#""review":null,"shipping":null,"source":null,"source_transfer":null,"statement_descriptor":null,"statement_descriptor_suffix":null"#);
    w.field(
        "status",
        match verdict {
            Verdict::Approved => "succeeded",
            Verdict::Pending => "pending",
            Verdict::Declined(_) | Verdict::Blocked => "failed",
        },
    );
    w.fields(r#""transfer_data":null,"transfer_group":null"#);
}

fn write_card(w: &mut Writer, payment: &Payment, verdict: Verdict) {
    if verdict == Verdict::Approved {
        w.field("amount_authorized", payment.amount);
        w.text(
            "authorization_code",
            &[&format!("{:06}", mix(payment.charge.n) % 1_000_000)],
        );
    }
    w.field(
        "capture_before",
        (!payment.captured).then_some(payment.created_at + 7 * 86_400),
    );
    payment.card.write(
        w,
        true,
        verdict != Verdict::Declined(Decline::INCORRECT_CVC),
    );
}

fn failure(verdict: Verdict) -> (Option<&'static str>, Option<&'static str>) {
    match verdict {
        Verdict::Approved | Verdict::Pending => (None, None),
        Verdict::Declined(decline) => (Some(decline.code), Some(decline.message)),
        Verdict::Blocked => (Some("card_declined"), Some("Your card was declined.")),
    }
}

pub(super) fn write_billing(w: &mut Writer, payment: &Payment) {
    w.obj("address", |w| {
        w.fields(r#""city":null"#);
        w.field("country", payment.card.country());
        w.fields(r#""line1":null,"line2":null,"postal_code":"94103","state":null"#);
    });
    match payment.customer {
        Some(customer) => {
            customer.write_email(w, "email");
            customer.write_name(w, "name");
        }
        None => w.fields(r#""email":null,"name":null"#),
    }
    w.null("phone");
}

pub(super) fn write_metadata(w: &mut Writer, payment: &Payment) {
    if let Some(order) = payment.order {
        order.write(w);
    }
}

fn write_outcome(w: &mut Writer, payment: &Payment, verdict: Verdict) {
    let ordinary_risk = i64::try_from(mix(payment.charge.n ^ 5) % 45).unwrap_or(0);
    match verdict {
        Verdict::Approved | Verdict::Pending => {
            w.fields(r#""network_advice_code":null,"network_decline_code":null,"network_status":"approved_by_network","reason":null,"risk_level":"normal""#);
            w.field("risk_score", ordinary_risk);
            w.fields(r#""seller_message":"Payment complete.","type":"authorized""#);
        }
        Verdict::Declined(decline) => {
            w.null("network_advice_code");
            w.field("network_decline_code", decline.network_code);
            w.field("network_status", "declined_by_network");
            w.field("reason", decline.decline_code);
            w.field("risk_level", "normal");
            w.field("risk_score", ordinary_risk);
            w.fields(
                r#""seller_message":"The bank declined the payment.","type":"issuer_declined""#,
            );
        }
        Verdict::Blocked => {
            w.fields(r#""network_advice_code":null,"network_decline_code":null,"network_status":"not_sent_to_network","reason":"highest_risk_level","risk_level":"highest""#);
            w.field("risk_score", 76 + ordinary_risk / 2);
            w.fields(
                r#""seller_message":"Stripe blocked this payment as too risky.","type":"blocked""#,
            );
        }
    }
}
