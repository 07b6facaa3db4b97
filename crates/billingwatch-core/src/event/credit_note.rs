//! A credit note: a bill made smaller after the fact.

use crate::ids::{CreditNoteId, CustomerId, InvoiceId, RefundId};
use crate::money::Currency;
use crate::time::Timestamp;

/// A correction of an invoice, always positive. One that is paid out also makes a refund.
#[derive(Clone, Debug, PartialEq)]
pub struct CreditNote {
    /// `cn_…`.
    pub id: CreditNoteId,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The invoice it corrects.
    pub invoice: Option<InvoiceId>,
    /// Whose invoice.
    pub customer: Option<CustomerId>,
    /// Its currency.
    pub currency: Option<Currency>,
    /// Minor units, all taxes included.
    pub total: Option<i64>,
    /// Minor units it gave back of a paid invoice by other ways than `refunds`: to the customer's
    /// balance, or outside Stripe. As little as its fields are sure of.
    pub amount_beside_refunds: i64,
    /// `duplicate`, `fraudulent`, `order_change`, `product_unsatisfactory`.
    pub reason: Option<Box<str>>,
    /// Withdrawn.
    pub is_voided: bool,
    /// The refunds it was paid out by: they come as events of their own, and count once.
    pub refunds: Vec<RefundId>,
}
