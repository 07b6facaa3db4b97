//! Disputes, inquiries and early fraud warnings. None of them names the customer: they join on the charge.

use super::Payment;
use crate::ids::{Id, Kind};
use crate::json::Writer;

/// A dispute as it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dispute {
    pub(crate) id: Id,
    pub(crate) created_at: i64,
    pub(crate) reason: &'static str,
    /// An inquiry moves no money and counts nowhere.
    pub(crate) inquiry: bool,
    pub(crate) status: &'static str,
}

pub(crate) fn write(w: &mut Writer, payment: &Payment, dispute: &Dispute) {
    let taken = !dispute.inquiry && dispute.status != "won";
    w.field("id", dispute.id);
    w.field("object", "dispute");
    w.field("amount", payment.amount);
    w.list("balance_transactions", |w| {
        if taken {
            w.item(|w| {
                w.field("id", dispute.id.part(Kind::BalanceTransaction, 3));
                w.field("object", "balance_transaction");
                w.field("amount", -payment.amount);
                w.field("created", dispute.created_at);
                w.field("currency", payment.currency.code());
                w.fields(r#""description":"Chargeback withdrawal","fee":1500,"reporting_category":"dispute","status":"available","type":"adjustment""#);
            });
        }
    });
    w.field("charge", payment.charge);
    w.field("created", dispute.created_at);
    w.field("currency", payment.currency.code());
    w.fields(r#""enhanced_eligibility_types":[],"evidence":{"access_activity_log":null,"billing_address":null,"cancellation_policy":null,"cancellation_rebuttal":null,"customer_communication":null,"customer_email_address":null,"customer_name":null,"customer_purchase_ip":null,"duplicate_charge_id":null,"product_description":null,"receipt":null,"refund_policy":null,"refund_refusal_explanation":null,"service_date":null,"service_documentation":null,"shipping_carrier":null,"shipping_date":null,"uncategorized_text":null}"#);
    w.obj("evidence_details", |w| {
        w.field("due_by", dispute.created_at + 9 * 86_400);
        w.fields(r#""has_evidence":false,"past_due":false,"submission_count":0"#);
    });
    w.field("is_charge_refundable", dispute.inquiry);
    w.fields(r#""livemode":true,"metadata":{}"#);
    w.field("payment_intent", payment.intent);
    w.obj("payment_method_details", |w| {
        w.obj("card", |w| {
            w.field("brand", payment.card.brand());
            w.field(
                "case_type",
                if dispute.inquiry {
                    "inquiry"
                } else {
                    "chargeback"
                },
            );
            w.field(
                "network_reason_code",
                match payment.card.brand() {
                    "visa" => "10.4",
                    "mastercard" => "4837",
                    _ => "F29",
                },
            );
        });
        w.field("type", "card");
    });
    w.field("reason", dispute.reason);
    w.field("status", dispute.status);
}

/// An early fraud warning about a charge.
pub(crate) fn write_warning(w: &mut Writer, payment: &Payment, id: Id, created_at: i64) {
    w.field("id", id);
    w.field("object", "radar.early_fraud_warning");
    w.field(
        "actionable",
        !payment.disputed && payment.refunded < payment.amount,
    );
    w.field("charge", payment.charge);
    w.field("created", created_at);
    w.fields(r#""fraud_type":"unauthorized_use_of_card","livemode":true"#);
    w.field("payment_intent", payment.intent);
}
