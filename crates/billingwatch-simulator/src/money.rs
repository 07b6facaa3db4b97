//! Currencies and their minor units.

/// A currency the simulated merchants take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Currency {
    Usd,
    Eur,
    /// No minor unit: 500 is five hundred yen.
    Jpy,
    /// Three decimals, the last of which Stripe wants to be 0.
    Kwd,
}

impl Currency {
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Usd => "usd",
            Self::Eur => "eur",
            Self::Jpy => "jpy",
            Self::Kwd => "kwd",
        }
    }

    /// A list price in this currency's minor units, from US cents, at a fixed rate and rounded as shops do.
    pub(crate) const fn price(self, cents: i64) -> i64 {
        match self {
            Self::Usd => cents,
            // As many euros as dollars, as most price lists have it.
            Self::Eur => cents,
            Self::Jpy => (cents * 3 / 2 + 9) / 10 * 10,
            Self::Kwd => (cents * 307 / 100 + 9) / 10 * 10,
        }
    }

    /// Cuts an amount to what Stripe accepts in this currency.
    pub(crate) const fn round(self, minor: i64) -> i64 {
        match self {
            Self::Kwd => minor / 10 * 10,
            _ => minor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Currency;

    #[test]
    fn prices_have_plausible_sizes() {
        assert_eq!(Currency::Usd.price(4_900), 4_900);
        assert_eq!(Currency::Jpy.price(4_900), 7_350);
        assert_eq!(Currency::Kwd.price(4_900), 15_050);
        assert_eq!(Currency::Kwd.round(15_057), 15_050);
    }
}
