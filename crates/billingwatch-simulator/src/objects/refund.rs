//! The refund object, one per refund (the charge carries only their sum).

use super::Payment;
use crate::ids::{Id, Kind};
use crate::json::Writer;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Refund {
    pub(crate) id: Id,
    pub(crate) amount: i64,
    pub(crate) created_at: i64,
    pub(crate) reason: Option<&'static str>,
}

pub(crate) fn write(w: &mut Writer, payment: &Payment, refund: &Refund) {
    w.field("id", refund.id);
    w.field("object", "refund");
    w.field("amount", refund.amount);
    w.field(
        "balance_transaction",
        refund.id.part(Kind::BalanceTransaction, 2),
    );
    w.field("charge", payment.charge);
    w.field("created", refund.created_at);
    w.field("currency", payment.currency.code());
    w.raw("destination_details", r#"{"card":{"reference_status":"pending","reference_type":"acquirer_reference_number","type":"refund"},"type":"card"}"#);
    w.obj("metadata", |w| super::charge::write_metadata(w, payment));
    w.field("payment_intent", payment.intent);
    w.field("reason", refund.reason);
    w.fields(r#""receipt_number":null,"source_transfer_reversal":null,"status":"succeeded","transfer_reversal":null"#);
}
