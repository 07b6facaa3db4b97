//! Customers and their cards, derived from a number: nothing about them needs to be kept.

use crate::ids::{Id, Kind, mix};
use crate::json::Writer;

/// A customer, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Customer {
    pub(crate) number: u64,
    /// Unix seconds; the world's begin for those who were there before.
    pub(crate) created_at: i64,
}

/// Tells a customer's bank account from a card.
const BANK: u64 = 0xba4c_0000_0000_0000;

/// A card: whose, and which of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Card {
    pub(crate) owner: u64,
    pub(crate) nth: u16,
}

const FIRST: [&str; 24] = [
    "Ada",
    "Björn",
    "Chioma",
    "Dmitri",
    "Elif",
    "Fatima",
    "Grace",
    "Hiroshi",
    "Inês",
    "Jamal",
    "Katarzyna",
    "Luca",
    "Mei",
    "Noor",
    "Oluwaseun",
    "Priya",
    "Quentin",
    "Rosa",
    "Søren",
    "Tomás",
    "Uma",
    "Valentina",
    "Wei",
    "Zoë",
];
const LAST: [&str; 24] = [
    "Abara",
    "Berg",
    "Castillo",
    "Dubois",
    "Eriksson",
    "Fischer",
    "García",
    "Haddad",
    "Ivanov",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Müller",
    "Nakamura",
    "O'Brien",
    "Papadopoulos",
    "Quispe",
    "Rossi",
    "Singh",
    "Tanaka",
    "Usman",
    "Vargas",
    "Wójcik",
    "Yilmaz",
];
const COUNTRIES: [&str; 10] = ["US", "US", "US", "US", "GB", "DE", "FR", "CA", "JP", "KW"];
const BRANDS: [&str; 8] = [
    "visa",
    "visa",
    "visa",
    "visa",
    "mastercard",
    "mastercard",
    "amex",
    "discover",
];
const FUNDINGS: [&str; 6] = ["credit", "credit", "credit", "debit", "debit", "prepaid"];

fn at<'a>(list: &[&'a str], n: u64) -> &'a str {
    let len = u64::try_from(list.len()).unwrap_or(1);
    usize::try_from(n % len)
        .ok()
        .and_then(|i| list.get(i))
        .copied()
        .unwrap_or("")
}

impl Customer {
    pub(crate) fn id(self) -> Id {
        Id::made(
            Kind::Customer,
            mix(self.number ^ 0xc057_0000_0000_0000),
            self.created_at,
        )
    }

    /// The customer's first card.
    pub(crate) fn card(self) -> Card {
        Card {
            owner: self.number,
            nth: 0,
        }
    }

    fn hash(self) -> u64 {
        mix(self.number ^ 0x4e41_4d45)
    }

    pub(crate) fn write_name(self, w: &mut Writer, key: &str) {
        w.text(
            key,
            &[at(&FIRST, self.hash()), " ", at(&LAST, self.hash() >> 8)],
        );
    }

    pub(crate) fn write_email(self, w: &mut Writer, key: &str) {
        let number = (self.number % 10_000_000).to_string();
        w.text(key, &["customer.", &number, "@example.com"]);
    }
}

impl Card {
    fn hash(self) -> u64 {
        mix(self
            .owner
            .wrapping_mul(64)
            .wrapping_add(u64::from(self.nth))
            ^ 0xca4d_0000_0000_0000)
    }

    /// The same card number has the same fingerprint, whoever pays with it.
    pub(crate) fn fingerprint(self) -> Id {
        Id::new(Kind::Fingerprint, self.hash())
    }

    pub(crate) fn payment_method(self) -> Id {
        Id::new(Kind::PaymentMethod, self.hash())
    }

    /// The bank account of the card's owner, as a payment method.
    pub(crate) fn bank_account(self) -> Id {
        Id::new(Kind::PaymentMethod, mix(self.owner ^ BANK))
    }

    /// `sepa_debit`, as charges carry it (with the mandate) and payment methods.
    pub(crate) fn write_bank(self, w: &mut Writer, on_charge: bool) {
        let account = mix(self.owner ^ BANK);
        w.fields(r#""bank_code":"37040044","branch_code":"""#);
        w.field("country", "DE");
        w.field("fingerprint", Id::new(Kind::Fingerprint, account));
        if !on_charge {
            w.raw("generated_from", r#"{"charge":null,"setup_attempt":null}"#);
        }
        w.field("last4", format!("{:04}", account % 10_000).as_str());
        if on_charge {
            w.text("mandate", &["mandate_1", &format!("{account:016x}")]);
        }
    }

    pub(crate) fn country(self) -> &'static str {
        at(&COUNTRIES, self.hash() >> 16)
    }

    pub(crate) fn brand(self) -> &'static str {
        at(&BRANDS, self.hash() >> 24)
    }

    /// Only these networks send early fraud warnings.
    pub(crate) fn can_warn(self) -> bool {
        matches!(self.brand(), "visa" | "mastercard")
    }

    /// `payment_method_details.card`, as charges carry it; less of it on a payment method.
    pub(crate) fn write(self, w: &mut Writer, on_charge: bool, code_right: bool) {
        let hash = self.hash();
        w.field("brand", self.brand());
        w.obj("checks", |w| {
            w.fields(r#""address_line1_check":null"#);
            w.field("address_postal_code_check", "pass");
            w.field("cvc_check", if code_right { "pass" } else { "fail" });
        });
        w.field("country", self.country());
        w.field("exp_month", i64::try_from(1 + hash % 12).unwrap_or(1));
        w.field("exp_year", i64::try_from(2027 + hash % 5).unwrap_or(2027));
        w.field("fingerprint", self.fingerprint());
        w.field("funding", at(&FUNDINGS, hash >> 32));
        w.field("last4", format!("{:04}", (hash >> 40) % 10_000).as_str());
        if on_charge {
            w.fields(r#""extended_authorization":{"status":"disabled"},"incremental_authorization":{"status":"unavailable"},"installments":null,"mandate":null,"multicapture":{"status":"unavailable"}"#);
            w.field("network", self.brand());
            w.fields(r#""network_token":{"used":false},"overcapture":{"maximum_amount_capturable":0,"status":"unavailable"},"three_d_secure":null,"wallet":null"#);
        } else {
            w.fields(
                r#""generated_from":null,"three_d_secure_usage":{"supported":true},"wallet":null"#,
            );
        }
    }
}
