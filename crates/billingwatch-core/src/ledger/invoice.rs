//! Invoices: what was billed, to which subscription, and whether it was paid.

use serde::{Deserialize, Serialize};

use crate::ids::Key;
use crate::time::Timestamp;

/// What is remembered of one invoice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceRecord {
    /// The subscription it bills.
    pub subscription: Option<Key>,
    /// Who owes it.
    pub customer: Option<Key>,
    /// Minor units, after discounts and taxes.
    pub total: Option<i64>,
    /// Minor units paid.
    pub amount_paid: i64,
    /// Minor units taken off by credit notes.
    pub amount_credited: i64,
    /// The end of the service it bills, by its lines that settle no change in mid-period.
    pub paid_through: Option<Timestamp>,
    /// It settles changes in mid-period alone: paying it extends no service.
    pub is_proration_only: bool,
    /// It is paid, by whatever means.
    pub is_paid: bool,
    /// It is void or given up: nothing more will come.
    pub is_closed: bool,
    pub(super) is_finalized_told: bool,
    pub(super) is_paid_told: bool,
}

impl InvoiceRecord {
    /// Whether it was finalised: it asks for money.
    pub(crate) const fn is_finalized(&self) -> bool {
        self.is_finalized_told
    }
}
