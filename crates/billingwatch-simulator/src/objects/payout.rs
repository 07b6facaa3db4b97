//! The payout to the merchant's bank.

use crate::ids::{Id, Kind};
use crate::json::Writer;
use crate::money::Currency;

pub(crate) fn write(
    w: &mut Writer,
    id: Id,
    amount: i64,
    currency: Currency,
    created_at: i64,
    status: &str,
) {
    w.field("id", id);
    w.field("object", "payout");
    w.field("amount", amount);
    w.fields(r#""application_fee":null,"application_fee_amount":null"#);
    w.field("arrival_date", created_at + 2 * 86_400);
    w.field("automatic", true);
    w.field("balance_transaction", id.part(Kind::BalanceTransaction, 4));
    w.field("created", created_at);
    w.field("currency", currency.code());
    w.field("description", "STRIPE PAYOUT");
    w.field("destination", Id::new(Kind::BankAccount, 1));
    w.fields(r#""failure_balance_transaction":null,"failure_code":null,"failure_message":null,"livemode":true,"metadata":{},"method":"standard","original_payout":null,"payout_method":null,"reconciliation_status":"in_progress","reversed_by":null,"source_type":"card","statement_descriptor":null"#);
    w.field("status", status);
    w.raw("trace_id", r#"{"status":"pending","value":null}"#);
    w.field("type", "bank_account");
}
