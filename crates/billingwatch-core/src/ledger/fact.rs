//! Facts: what an event newly taught the ledger. Each is told once, whatever announces it.

use crate::ids::Key;
use crate::money::Currency;
use crate::time::Timestamp;

/// Something of the world, learned for the first time. The event at hand has the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// An attempt to take money ended, well or badly; once per charge.
    Attempt(AttemptFact),
    /// Money came in; once per charge, when it is captured.
    Payment(PaymentFact),
    /// Money was given back; once per refund. Releases of authorisations are none.
    Refund(RefundFact),
    /// A refund came back or was called off.
    RefundReversed(RefundFact),
    /// An issuer disputes a charge; once per dispute. Inquiries are none until they escalate.
    Dispute(DisputeFact),
    /// An issuer warns of fraud; once per warning.
    FraudWarning(DisputeFact),
    /// An invoice was finalised; once per invoice.
    InvoiceFinalized {
        /// The invoice.
        invoice: Key,
    },
    /// An invoice was corrected; once per credit note.
    CreditNote {
        /// The credit note.
        credit_note: Key,
    },
    /// A subscription is heard of for the first time, whenever it was made; told before what is known of it.
    SubscriptionMet {
        /// The subscription.
        subscription: Key,
    },
    /// What is known of a subscription changed.
    SubscriptionChanged {
        /// The subscription.
        subscription: Key,
    },
    /// A subscription's trial ran out, and it was told what became of it: it goes on, or is paused, or over.
    TrialEnded {
        /// The subscription.
        subscription: Key,
    },
    /// An invoice of a subscription was paid, if only with zero; once per invoice.
    SubscriptionPaid {
        /// The subscription.
        subscription: Key,
        /// The invoice.
        invoice: Key,
    },
}

/// An attempt to take money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptFact {
    /// The charge.
    pub charge: Key,
    /// What is being paid: the intent, or the charge where there is none.
    pub purchase: Key,
    /// The card, or the customer, or the charge itself: who tried.
    pub payer: Key,
    /// When it was made.
    pub at: Timestamp,
    /// It failed.
    pub is_failed: bool,
    /// Radar stopped it before an issuer saw it.
    pub is_blocked: bool,
    /// The same purchase failed before: dunning, or a buyer trying again.
    pub is_retry: bool,
    /// Nothing is known of a charge: it failed before any was made, as by 3-D Secure, and `charge` is the intent then; or its
    /// invoice alone tells of it, and `charge` may be that.
    pub is_uncharged: bool,
    /// Minor units.
    pub amount: i64,
    /// Their currency.
    pub currency: Currency,
}

/// Money that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentFact {
    /// The charge, or what stands in for it where no charge is announced.
    pub charge: Key,
    /// When it was taken.
    pub at: Timestamp,
    /// Minor units.
    pub amount: i64,
    /// Their currency.
    pub currency: Currency,
    /// Who paid.
    pub customer: Option<Key>,
}

/// Money that was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefundFact {
    /// The refund.
    pub refund: Key,
    /// The charge it gives back, when known.
    pub charge: Option<Key>,
    /// When it was made.
    pub at: Timestamp,
    /// Minor units.
    pub amount: i64,
    /// Their currency.
    pub currency: Currency,
    /// What the charge had taken, minor units, when known.
    pub amount_collected: Option<i64>,
    /// All refunds of the charge so far, this one included.
    pub amount_refunded: i64,
}

/// What an issuer says against a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisputeFact {
    /// The charge, or the dispute itself where it names none.
    pub charge: Key,
    /// When it was made.
    pub at: Timestamp,
    /// Minor units: of the dispute, or of the payment; 0 when neither is known.
    pub amount: i64,
    /// Their currency, when known.
    pub currency: Option<Currency>,
    /// When the charge was paid, if the ledger remembers it.
    pub paid_at: Option<Timestamp>,
    /// The same charge was warned of or disputed before.
    pub is_known_charge: bool,
}
