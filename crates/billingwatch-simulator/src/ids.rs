//! Object ids that look like Stripe's: prefix, then letters and digits, unique within a world.
//!
//! An id is a kind and one mixed number; its text is written only when it goes out.

use std::fmt;

use crate::json::{Json, Writer};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Mixes a number so that neighbours look unrelated; one to one (the finaliser of SplitMix64).
pub(crate) const fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// What an id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Event,
    PaymentEvent,
    Customer,
    Subscription,
    SubscriptionItem,
    Price,
    Product,
    Invoice,
    InvoiceLine,
    InvoiceItem,
    InvoicePayment,
    Charge,
    PaymentIntent,
    PaymentMethod,
    SetupIntent,
    BalanceTransaction,
    Refund,
    Dispute,
    FraudWarning,
    Payout,
    BankAccount,
    CheckoutSession,
    CreditNote,
    Coupon,
    Discount,
    Request,
    Fingerprint,
    Thing,
}

impl Kind {
    /// The prefix, and whether the account's own letters stand inside (ids of newer objects).
    const fn shape(self) -> (&'static str, bool) {
        match self {
            Self::Event => ("evt_1", true),
            Self::PaymentEvent => ("evt_3", true),
            Self::Customer => ("cus_", false),
            Self::Subscription => ("sub_1", true),
            Self::SubscriptionItem => ("si_", false),
            Self::Price => ("price_1", true),
            Self::Product => ("prod_", false),
            Self::Invoice => ("in_1", true),
            Self::InvoiceLine => ("il_1", true),
            Self::InvoiceItem => ("ii_1", true),
            Self::InvoicePayment => ("inpay_1", true),
            Self::Charge => ("ch_3", true),
            Self::PaymentIntent => ("pi_3", true),
            Self::PaymentMethod => ("pm_1", true),
            Self::SetupIntent => ("seti_1", true),
            Self::BalanceTransaction => ("txn_3", true),
            Self::Refund => ("re_3", true),
            Self::Dispute => ("du_1", true),
            Self::FraudWarning => ("issfr_1", true),
            Self::Payout => ("po_1", true),
            Self::BankAccount => ("ba_1", true),
            Self::CheckoutSession => ("cs_live_a1", true),
            Self::CreditNote => ("cn_1", true),
            Self::Coupon => ("", false),
            Self::Discount => ("di_1", true),
            Self::Request => ("req_", false),
            Self::Fingerprint => ("", false),
            Self::Thing => ("obj_1", true),
        }
    }
}

/// An id. Two ids of a kind are equal exactly when their numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) kind: Kind,
    pub(crate) n: u64,
}

impl Id {
    pub(crate) const fn new(kind: Kind, n: u64) -> Self {
        Self { kind, n }
    }

    /// The id of another object that belongs to this one, such as a line of an invoice.
    pub(crate) const fn part(self, kind: Kind, salt: u64) -> Self {
        Self {
            kind,
            n: mix(self.n ^ salt.wrapping_mul(0xd1b5_4a32_d192_ed03)),
        }
    }

    /// Appends the text: at least 14 characters after the prefix, of which 11 hold the whole number.
    pub(crate) fn push(self, out: &mut Vec<u8>) {
        let (prefix, long) = self.kind.shape();
        out.extend_from_slice(prefix.as_bytes());
        let mut digits = [0_u8; 14];
        let mut rest = self.n;
        for digit in &mut digits[..11] {
            *digit = letter(rest % 62);
            rest /= 62;
        }
        let mut extra = mix(self.n);
        for digit in &mut digits[11..] {
            *digit = letter(extra % 62);
            extra /= 62;
        }
        if long {
            out.extend_from_slice(&digits[..6]);
            out.extend_from_slice(b"LkBw7Watch");
            out.extend_from_slice(&digits[6..]);
        } else {
            out.extend_from_slice(&digits);
        }
    }
}

fn letter(index: u64) -> u8 {
    usize::try_from(index)
        .ok()
        .and_then(|i| ALPHABET.get(i))
        .copied()
        .unwrap_or(b'0')
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::with_capacity(40);
        self.push(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

impl Json for Id {
    fn write(&self, w: &mut Writer) {
        w.quoted(|out| self.push(out));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Id, Kind, mix};

    #[test]
    fn ids_look_like_stripes_and_differ() {
        assert!(Id::new(Kind::Charge, 7).to_string().starts_with("ch_3"));
        assert_eq!(Id::new(Kind::Charge, 7).to_string().len(), 28);
        assert_eq!(Id::new(Kind::Customer, 7).to_string().len(), 18);
        let texts: BTreeSet<_> = (0..10_000)
            .map(|n| Id::new(Kind::Event, mix(n)).to_string())
            .collect();
        assert_eq!(texts.len(), 10_000);
    }
}
