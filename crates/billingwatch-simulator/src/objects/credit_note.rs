//! The credit note: an issued invoice, taken back in part or whole, paid out by a refund.

use super::Payment;
use super::refund::Refund;
use crate::ids::{Id, Kind};
use crate::json::Writer;

/// A credit note against `invoice`, settled by `refund`.
pub(crate) fn write(w: &mut Writer, basil: bool, payment: &Payment, invoice: Id, refund: &Refund) {
    let id = refund.id.part(Kind::CreditNote, 1);
    w.field("id", id);
    w.field("object", "credit_note");
    w.field("amount", refund.amount);
    w.field("amount_shipping", 0_i64);
    w.field("created", refund.created_at);
    w.field("currency", payment.currency.code());
    w.field("customer", payment.customer.map(|c| c.id()));
    w.fields(r#""customer_balance_transaction":null,"discount_amount":0,"discount_amounts":[]"#);
    w.field("effective_at", refund.created_at);
    w.field("invoice", invoice);
    w.fields(r#""livemode":true,"memo":null,"metadata":{}"#);
    w.text("number", &["CN-", &format!("{:08X}", id.n % 0xffff_ffff)]);
    w.fields(r#""out_of_band_amount":null,"pdf":"https://pay.stripe.com/credit_notes/acct_1LkBw7Watch/pdf","pre_payment_amount":0"#);
    w.field("post_payment_amount", refund.amount);
    w.field("reason", "product_unsatisfactory");
    if basil {
        w.list("refunds", |w| {
            w.item(|w| {
                w.field("amount_refunded", refund.amount);
                w.field("refund", refund.id);
            });
        });
        w.raw("total_taxes", "[]");
    } else {
        w.field("refund", refund.id);
        w.raw("tax_amounts", "[]");
    }
    w.field("status", "issued");
    w.field("subtotal", refund.amount);
    w.field("subtotal_excluding_tax", refund.amount);
    w.field("total", refund.amount);
    w.field("total_excluding_tax", refund.amount);
    w.fields(r#""type":"post_payment","voided_at":null"#);
}
