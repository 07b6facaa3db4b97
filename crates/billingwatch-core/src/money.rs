//! Money as Stripe counts it: integer minor units of one currency.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest currency code kept, in bytes (ISO codes have 3, `usdc` has 4).
const CODE_BYTES_MAX: usize = 8;

/// Currencies whose minor unit is the unit itself.
///
/// Source: Stripe, "Supported currencies". ISK and UGX are written with two
/// decimals on the wire although they have none in life.
const ZERO_DECIMAL: [&str; 15] = [
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
    "xof", "xpf",
];

/// Currencies with a thousand minor units to the unit (same source).
const THREE_DECIMAL: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// A currency code, lower case as Stripe sends it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; CODE_BYTES_MAX]);

/// A text that is no currency code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a currency code: expected 3 to 8 ASCII letters or digits")]
pub struct CurrencyError(String);

impl Currency {
    /// US dollars.
    pub const USD: Self = Self(*b"usd\0\0\0\0\0");

    /// The code, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Its bytes: to hash by, which needs no look at whether they are text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|byte| *byte == 0);
        &self.0[..end.unwrap_or(CODE_BYTES_MAX)]
    }

    /// How many decimals its amounts have on Stripe's wire: 0, 2 or 3.
    #[must_use]
    pub fn decimals(&self) -> usize {
        let code = self.as_str();
        if ZERO_DECIMAL.contains(&code) {
            0
        } else if THREE_DECIMAL.contains(&code) {
            3
        } else {
            2
        }
    }
}

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(text: &str) -> Result<Self, CurrencyError> {
        let bytes = text.as_bytes();
        let valid = (3..=CODE_BYTES_MAX).contains(&bytes.len())
            && bytes.iter().all(u8::is_ascii_alphanumeric);
        if !valid {
            return Err(CurrencyError(text.chars().take(20).collect()));
        }
        let mut code = [0; CODE_BYTES_MAX];
        for (to, from) in code.iter_mut().zip(bytes) {
            *to = from.to_ascii_lowercase();
        }
        Ok(Self(code))
    }
}

impl TryFrom<String> for Currency {
    type Error = CurrencyError;
    fn try_from(text: String) -> Result<Self, CurrencyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Currency({})", self.as_str())
    }
}

impl fmt::Display for Currency {
    /// Upper case, as people write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str().to_ascii_uppercase())
    }
}

/// An amount of one currency.
///
/// ```
/// use billingwatch_core::money::Money;
/// let shown = |amount, code: &str| Money::new(amount, code.parse().unwrap()).to_string();
/// assert_eq!(shown(123_456, "usd"), "1,234.56 USD");
/// assert_eq!(shown(-5, "eur"), "-0.05 EUR");
/// assert_eq!(shown(123_456, "jpy"), "123,456 JPY");
/// assert_eq!(shown(1_234_560, "kwd"), "1,234.560 KWD");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; negative when owed to the customer.
    pub amount: i64,
    /// What they are units of.
    pub currency: Currency,
}

impl Money {
    /// So many minor units of a currency.
    #[must_use]
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.decimals();
        let digits = format!(
            "{:0>width$}",
            self.amount.unsigned_abs(),
            width = decimals + 1
        );
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        if self.amount < 0 {
            f.write_str("-")?;
        }
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index) % 3 == 0 {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        if decimals > 0 {
            write!(f, ".{fraction}")?;
        }
        write!(f, " {}", self.currency)
    }
}

/// `part` of `whole` in basis points (1 % = 100), rounded down; 0 when `whole` is 0 or less.
#[must_use]
pub fn share_bps(part: i64, whole: i64) -> i64 {
    if whole <= 0 {
        return 0;
    }
    // Nearly always it fits: to divide numbers twice as wide takes several times as long.
    if let Some(scaled) = part.checked_mul(10_000) {
        return scaled / whole;
    }
    let bps = i128::from(part) * 10_000 / i128::from(whole);
    i64::try_from(bps).unwrap_or(if bps < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn extremes_display_without_overflow() {
        assert_eq!(
            Money::new(i64::MIN, Currency::USD).to_string(),
            "-92,233,720,368,547,758.08 USD"
        );
        assert_eq!(Money::new(0, "krw".parse().unwrap()).to_string(), "0 KRW");
    }

    #[test]
    fn codes_are_checked_and_lowered() {
        assert_eq!("USDC".parse::<Currency>().unwrap().as_str(), "usdc");
        for bad in ["", "us", "us$", "toolongcode", "日本円"] {
            assert!(bad.parse::<Currency>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_round_down_and_survive_extremes() {
        assert_eq!(share_bps(1, 3), 3333);
        assert_eq!(share_bps(1, 0), 0);
        assert_eq!(share_bps(i64::MAX, i64::MAX), 10_000);
    }
}
