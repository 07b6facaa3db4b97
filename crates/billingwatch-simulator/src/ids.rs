//! Object ids made as Stripe makes them: prefix, when it was made, then letters and digits, unique within a world.
//!
//! Stripe's ids begin with a time in base 62, counted from 2012-07-15: seconds where the account's letters stand inside,
//! minutes in the short ones. Every example of its API reference that shows `created` says so
//! (`evt_1NG8Du2eZvKYlo2CUI79vXWy` and 1686089970, `cus_NffrFeUfNV2Hib` and 1680893993), though no page promises it. It
//! matters to whoever keeps an index of ids: new ones come at its end.
//!
//! An id is a kind, a time and one mixed number; its text is written only when it goes out.

use std::fmt;
use std::num::NonZeroU32;

use crate::json::{Json, Writer};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Where the time in an id begins, in unix seconds: the examples' `created` less what their digits count.
const EPOCH: i64 = 1_342_389_380;

/// Digits of the time in seconds, and in minutes.
const SECONDS_DIGITS: usize = 5;
const MINUTES_DIGITS: usize = 4;

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

/// An id. Two ids of a kind are equal exactly when their numbers are; a number is made once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) kind: Kind,
    /// Seconds since [`EPOCH`]; none where nobody made it at a time, such as a price that is there from the beginning.
    secs: Option<NonZeroU32>,
    pub(crate) n: u64,
}

impl Id {
    /// An id without a time.
    pub(crate) const fn new(kind: Kind, n: u64) -> Self {
        Self {
            kind,
            secs: None,
            n,
        }
    }

    /// An id made at `created_at`, in unix seconds.
    pub(crate) fn made(kind: Kind, n: u64, created_at: i64) -> Self {
        let secs = u32::try_from(created_at - EPOCH).ok();
        Self {
            kind,
            secs: secs.and_then(NonZeroU32::new),
            n,
        }
    }

    /// The id of another object that was made with this one, such as a line of an invoice.
    pub(crate) const fn part(self, kind: Kind, salt: u64) -> Self {
        Self {
            kind,
            secs: self.secs,
            n: mix(self.n ^ salt.wrapping_mul(0xd1b5_4a32_d192_ed03)),
        }
    }

    /// Appends the text.
    pub(crate) fn push(self, out: &mut Vec<u8>) {
        let (prefix, long) = self.kind.shape();
        out.extend_from_slice(prefix.as_bytes());
        let mut digits = [0_u8; 14];
        write_digits(&mut digits[..11], self.n);
        write_digits(&mut digits[11..], mix(self.n));
        if let Some(secs) = self.secs.map(NonZeroU32::get).map(u64::from) {
            let (count, units) = if long {
                (SECONDS_DIGITS, secs)
            } else {
                (MINUTES_DIGITS, secs / 60)
            };
            let time = &mut digits[..count];
            write_digits(time, units);
            time.reverse();
        }
        if long {
            out.extend_from_slice(&digits[..SECONDS_DIGITS]);
            out.extend_from_slice(b"LkBw7Watch");
            out.extend_from_slice(&digits[SECONDS_DIGITS..13]);
        } else {
            out.extend_from_slice(&digits);
        }
    }
}

/// The lowest digits of a number, the lowest first.
fn write_digits(digits: &mut [u8], mut n: u64) {
    for digit in digits {
        *digit = letter(n % 62);
        n /= 62;
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
        assert_eq!(Id::new(Kind::Charge, 7).to_string().len(), 27);
        assert_eq!(Id::new(Kind::Customer, 7).to_string().len(), 18);
        for make in [Id::new, |kind, n| Id::made(kind, n, 1_750_000_000)] {
            let texts: BTreeSet<_> = (0..10_000)
                .map(|n| make(Kind::Event, mix(n)).to_string())
                .collect();
            assert_eq!(texts.len(), 10_000);
        }
    }

    #[test]
    fn ids_begin_with_the_time_as_stripes_examples_do() {
        for (kind, created_at, begin) in [
            (Kind::Event, 1_686_089_970, "evt_1NG8Du"),
            (Kind::PaymentIntent, 1_680_800_504, "pi_3MtwBw"),
            (Kind::Subscription, 1_679_609_767, "sub_1MowQV"),
            (Kind::Customer, 1_680_893_993, "cus_Nffr"),
        ] {
            let text = Id::made(kind, 7, created_at).to_string();
            assert!(text.starts_with(begin), "{text}");
        }
    }
}
