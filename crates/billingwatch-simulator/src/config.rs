//! What a world is made of: merchant, API shape, incidents, delivery. Checks its own limits.
//!
//! Knows nothing of how any of it is simulated.

use serde::{Deserialize, Serialize};

/// The longest world that can be asked for, in days (ten years).
pub const MAX_DAYS: u32 = 3_660;
/// The most incidents one world may hold.
pub const MAX_INCIDENTS: usize = 10_000;
/// The earliest start: 2011-01-01, before which Stripe did not exist.
const EARLIEST_START_AT: i64 = 1_293_840_000;
/// The latest start: 2100-01-01.
const LATEST_START_AT: i64 = 4_102_444_800;

/// Writes an enum with its kebab-case names, the list of all, `Display` and `FromStr`.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The kebab-case name, as `FromStr` reads it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = ConfigError;

            fn from_str(text: &str) -> Result<Self, ConfigError> {
                Self::ALL.iter().copied().find(|known| known.as_str() == text).ok_or_else(|| {
                    ConfigError::UnknownName {
                        what: stringify!($name),
                        given: text.to_owned(),
                        known: Self::ALL.iter().map(|k| k.as_str()).collect::<Vec<_>>().join(", "),
                    }
                })
            }
        }
    };
}

named! {
    /// What kind of business is simulated, and so how many events a day it makes.
    MerchantKind {
        /// One person's product: about 70 subscriptions and a few sales, 20 to 60 events a day.
        Indie = "indie",
        /// About 700 subscriptions, some 300 events a day.
        SmallSaas = "small-saas",
        /// About 8,000 subscriptions with seats, annual contracts and net-30 invoices, some 3,000 events a day.
        Saas = "saas",
        /// One-off card payments only, some 20,000 events a day.
        Marketplace = "marketplace",
        /// Subscriptions and sales in USD, EUR, JPY and KWD, some 1,000 events a day.
        Multicurrency = "multicurrency",
        /// Prepaid plans by the day and the week beside monthly ones, in KWD, some 500 events a day.
        Telecom = "telecom",
        /// 420 boxes billed on the 15th within two hours, some 5,000 events a month and next to none between.
        Box = "box",
        /// Stays with deposit and balance: hundreds of events a day in winter, a handful in summer.
        Resort = "resort",
        /// Sessions at a few fixed prices, and a job at night that collects unpaid ones, some 350 events a day.
        Parking = "parking",
        /// Four-weekly memberships by bank debit, with freezes and a rush in January, some 120 events a day.
        Gym = "gym",
    }
}

named! {
    /// Where Stripe puts things: the API version the endpoint is pinned to.
    ApiShape {
        /// `2022-11-15`: `invoice.subscription`, `charge.invoice`, period on the subscription.
        Legacy = "legacy",
        /// `2025-03-31.basil` and later: `invoice.parent`, `invoice_payment.paid`, period on the items.
        Basil = "basil",
    }
}

impl ApiShape {
    /// The `api_version` that events of this shape carry.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Legacy => "2022-11-15",
            Self::Basil => "2025-03-31.basil",
        }
    }
}

named! {
    /// How far an incident stands out. What it means for each kind is in the crate's documentation.
    Strength {
        /// Only a careful test tells it from chance.
        Subtle = "subtle",
        /// A person looking at a chart would see it.
        Moderate = "moderate",
        /// Nobody could miss it.
        Clear = "clear",
    }
}

impl Strength {
    /// One of three values by strength.
    pub(crate) const fn pick<T: Copy>(self, subtle: T, moderate: T, clear: T) -> T {
        match self {
            Self::Subtle => subtle,
            Self::Moderate => moderate,
            Self::Clear => clear,
        }
    }
}

named! {
    /// What goes wrong.
    IncidentKind {
        /// A gateway or issuer outage raises the share of failed attempts for one to three hours.
        ChargeFailureSpike = "charge-failure-spike",
        /// Many stolen cards are tried with small amounts.
        CardTesting = "card-testing",
        /// One purchase is charged twice or more within five minutes.
        DuplicateCharge = "duplicate-charge",
        /// Disputes and early fraud warnings arrive in a burst.
        FraudSpike = "fraud-spike",
        /// An invoice is finalised with a total below zero that no proration explains.
        NegativeInvoice = "negative-invoice",
        /// A single refund many times the size of the ordinary ones.
        OutsizedRefund = "outsized-refund",
        /// For days, a share of the customers does not pay, and nothing fails.
        RevenueDrop = "revenue-drop",
        /// Subscriptions roll over and stay active, but are neither paid nor declined.
        SilentLapse = "silent-lapse",
        /// Deliveries of some hours arrive late.
        WebhookLag = "webhook-lag",
        /// Nothing arrives for hours; then the backlog drains.
        WebhookSilence = "webhook-silence",
    }
}

impl IncidentKind {
    /// The name of the detector that ought to find it.
    #[must_use]
    pub const fn detector(self) -> &'static str {
        match self {
            Self::ChargeFailureSpike | Self::CardTesting => "charge_failure_spike",
            Self::DuplicateCharge => "duplicate_charge",
            Self::FraudSpike => "fraud_spike",
            Self::NegativeInvoice | Self::OutsizedRefund => "negative_invoice",
            Self::RevenueDrop => "revenue_drop",
            Self::SilentLapse => "silent_lapse",
            Self::WebhookLag | Self::WebhookSilence => "webhook_lag",
        }
    }
}

named! {
    /// How events travel from Stripe to the endpoint.
    DeliveryModel {
        /// Each event once, in order, a quarter of a second after it happened.
        Perfect = "perfect",
        /// Uneven latency, so neighbours swap places; now and then twice, late, or under two ids.
        Realistic = "realistic",
    }
}

/// An incident to inject: what, when, how strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentPlan {
    /// What goes wrong.
    pub kind: IncidentKind,
    /// When it begins, in unix seconds; must lie within the world.
    pub at: i64,
    /// How far it stands out.
    pub strength: Strength,
}

/// Everything that determines a world: the same configuration yields the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldConfig {
    /// The seed of all chance.
    pub seed: u64,
    /// The kind of business.
    pub merchant: MerchantKind,
    /// The API version's shape.
    pub shape: ApiShape,
    /// When the world begins, in unix seconds.
    pub start_at: i64,
    /// How many days it lasts, 1 to [`MAX_DAYS`]. Late deliveries may arrive after the last one.
    pub days: u32,
    /// What goes wrong, in any order.
    pub incidents: Vec<IncidentPlan>,
    /// Whether the harmless things that look wrong happen too.
    pub oddities: bool,
    /// How events travel.
    pub delivery: DeliveryModel,
}

impl WorldConfig {
    /// When the world ends, in unix seconds.
    #[must_use]
    pub fn end_at(&self) -> i64 {
        self.start_at
            .saturating_add(i64::from(self.days).saturating_mul(86_400))
    }

    /// Checks the limits.
    ///
    /// # Errors
    ///
    /// Names the first limit that is broken.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=MAX_DAYS).contains(&self.days) {
            return Err(ConfigError::Days { given: self.days });
        }
        if !(EARLIEST_START_AT..=LATEST_START_AT).contains(&self.start_at) {
            return Err(ConfigError::StartAt {
                given: self.start_at,
            });
        }
        if self.incidents.len() > MAX_INCIDENTS {
            return Err(ConfigError::TooManyIncidents {
                given: self.incidents.len(),
            });
        }
        match self
            .incidents
            .iter()
            .find(|plan| plan.at < self.start_at || plan.at >= self.end_at())
        {
            Some(plan) => Err(ConfigError::IncidentOutsideWorld {
                kind: plan.kind,
                at: plan.at,
                start_at: self.start_at,
                end_at: self.end_at(),
            }),
            None => Ok(()),
        }
    }
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The number of days is out of range.
    #[error("days must be between 1 and {MAX_DAYS}, not {given}")]
    Days {
        /// What was asked for.
        given: u32,
    },
    /// The start lies before Stripe existed or after the year 2100.
    #[error("start_at must be a unix time between 2011 and 2100, not {given}")]
    StartAt {
        /// What was asked for, in unix seconds.
        given: i64,
    },
    /// More incidents than a world may hold.
    #[error("at most {MAX_INCIDENTS} incidents fit in a world, not {given}")]
    TooManyIncidents {
        /// How many were asked for.
        given: usize,
    },
    /// An incident would begin before the world does, or after its end.
    #[error("the {kind} at {at} lies outside the world, which lasts from {start_at} to {end_at}")]
    IncidentOutsideWorld {
        /// The incident's kind.
        kind: IncidentKind,
        /// When it was to begin, in unix seconds.
        at: i64,
        /// When the world begins.
        start_at: i64,
        /// When the world ends.
        end_at: i64,
    },
    /// A name that is not in the list.
    #[error("`{given}` is no {what}; known are {known}")]
    UnknownName {
        /// The type that was to be read.
        what: &'static str,
        /// What was given.
        given: String,
        /// All names there are.
        known: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> WorldConfig {
        WorldConfig {
            seed: 1,
            merchant: MerchantKind::Indie,
            shape: ApiShape::Basil,
            start_at: 1_709_078_400,
            days: 2,
            incidents: Vec::new(),
            oddities: false,
            delivery: DeliveryModel::Perfect,
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for kind in IncidentKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(*kind));
            assert_eq!(
                serde_json::to_string(kind).ok(),
                Some(format!("\"{kind}\"")),
                "serde agrees"
            );
        }
        for kind in MerchantKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(*kind));
        }
        let error = "shop".parse::<MerchantKind>().err().map(|e| e.to_string());
        assert_eq!(
            error.as_deref(),
            Some(
                "`shop` is no MerchantKind; known are indie, small-saas, saas, marketplace, multicurrency, telecom, box, resort, parking, gym"
            )
        );
    }

    #[test]
    fn limits_are_kept() {
        assert_eq!(good().validate(), Ok(()));
        for days in [0, MAX_DAYS + 1] {
            let config = WorldConfig { days, ..good() };
            assert_eq!(config.validate(), Err(ConfigError::Days { given: days }));
        }
        for start_at in [i64::MIN, 0, LATEST_START_AT + 1, i64::MAX] {
            let config = WorldConfig { start_at, ..good() };
            assert_eq!(
                config.validate(),
                Err(ConfigError::StartAt { given: start_at })
            );
        }
        let plan = |at| IncidentPlan {
            kind: IncidentKind::FraudSpike,
            at,
            strength: Strength::Clear,
        };
        for (at, fits) in [
            (-1, false),
            (0, true),
            (2 * 86_400 - 1, true),
            (2 * 86_400, false),
        ] {
            let incidents = vec![plan(good().start_at + at)];
            assert_eq!(
                WorldConfig {
                    incidents,
                    ..good()
                }
                .validate()
                .is_ok(),
                fits,
                "{at}"
            );
        }
        let incidents = vec![plan(good().start_at); MAX_INCIDENTS + 1];
        assert_eq!(
            WorldConfig {
                incidents,
                ..good()
            }
            .validate(),
            Err(ConfigError::TooManyIncidents {
                given: MAX_INCIDENTS + 1
            })
        );
    }
}
