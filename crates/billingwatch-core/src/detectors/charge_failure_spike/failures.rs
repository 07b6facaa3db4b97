//! The newest failures one by one: who failed, with which card, how. For evidence, and to count a
//! payer and a card once.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::{Event, EventData};
use crate::ids::Key;
use crate::ledger::Generations;
use crate::money::Currency;
use crate::time::{Span, Timestamp};

use super::super::words::charge_of;
use super::minutes::Hand;
use super::words_seen::WordsSeen;

/// The most failures remembered one by one. Counts go on beyond it; splits are then of the newest.
const FAILURES_MAX: usize = 2_000;

/// Who failed within this time, to twice it, fails again rather than anew.
const PAYER_HALF_LIFE: Span = Span::hours(1);

/// At most twice so many payers and cards are remembered as having failed.
const PAYERS_HALF_MAX: usize = 20_000;

/// The newest failures whose ids are kept for the evidence.
const IDS_MAX: usize = 20;

/// Failures of machines: nobody looked at the card (Stripe docs: Decline codes).
const TECHNICAL: [&str; 7] = [
    "issuer_not_available",
    "payment_method_provider_timeout",
    "processing_error",
    "reenter_transaction",
    "try_again_later",
    "api_error",
    "gateway_timeout",
];

/// A voucher that nobody paid at a till, or a form that nobody sent, in time: no attempt was refused
/// (Stripe docs: Error codes).
pub(super) const ATTEMPT_EXPIRED: &str = "payment_intent_payment_attempt_expired";

/// What issuers say to cards that are guessed, or reported stolen (Stripe docs: Decline codes; the
/// page on card testing names generic declines).
const GUESSED: [&str; 19] = [
    "card_declined",
    "card_velocity_exceeded",
    "do_not_honor",
    "fraudulent",
    "generic_decline",
    "incorrect_cvc",
    "incorrect_number",
    "incorrect_zip",
    "invalid_account",
    "invalid_cvc",
    "invalid_expiry_month",
    "invalid_expiry_year",
    "invalid_number",
    "lost_card",
    "pickup_card",
    "restricted_card",
    "security_violation",
    "stolen_card",
    "transaction_not_allowed",
];

pub(super) fn is_technical(code: &str) -> bool {
    TECHNICAL.contains(&code)
}

pub(super) fn is_guessed(code: &str) -> bool {
    GUESSED.contains(&code)
}

/// The charge an event is about, or the intent where none was made, or the invoice where that alone is told.
pub(super) fn object_of(event: &Event) -> &str {
    let intent = || match &event.data {
        EventData::PaymentIntent(intent) => Some(intent.id.as_str()),
        EventData::Invoice(invoice) => invoice.id.as_ref().map(|id| id.as_str()),
        _ => None,
    };
    charge_of(event).or_else(intent).unwrap_or_default()
}

/// How a card was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Refusal {
    /// By its issuer, or on the way there.
    Declined,
    /// By Radar.
    Blocked,
    /// Where it was to be saved without a payment.
    SetUp,
}

/// One failure.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) at: Timestamp,
    pub(super) hand: Hand,
    pub(super) refusal: Refusal,
    pub(super) amount: i64,
    pub(super) currency: Option<Currency>,
    pub(super) code: u16,
    pub(super) brand: u16,
    pub(super) country: u16,
    /// Neither this card nor this customer failed within the hour before.
    pub(super) is_new_payer: bool,
    /// This card did not.
    pub(super) is_new_card: bool,
}

/// The newest failures.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failures {
    newest: VecDeque<Failure>,
    pub(super) codes: WordsSeen,
    pub(super) brands: WordsSeen,
    pub(super) countries: WordsSeen,
    /// Cards and customers that failed.
    failed: Generations<()>,
    /// Event and object of the newest that counted.
    ids: VecDeque<(Box<str>, Box<str>)>,
}

impl Default for Failures {
    fn default() -> Self {
        Self {
            newest: VecDeque::new(),
            codes: WordsSeen::default(),
            brands: WordsSeen::default(),
            countries: WordsSeen::default(),
            failed: Generations::new(PAYER_HALF_LIFE, PAYERS_HALF_MAX),
            ids: VecDeque::new(),
        }
    }
}

/// Who tried, and with what: as much of it as the event says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Who<'a> {
    card: Option<&'a str>,
    brand: Option<&'a str>,
    country: Option<&'a str>,
    customer: Option<Key>,
}

impl<'a> Who<'a> {
    pub(super) fn of(event: &'a Event) -> Self {
        match &event.data {
            EventData::Charge(charge) => {
                let card = charge.card.as_ref();
                Self {
                    card: card.and_then(|card| card.fingerprint.as_deref()),
                    brand: card.and_then(|card| card.brand.as_deref()),
                    country: card.and_then(|card| card.country.as_deref()),
                    customer: charge.customer.as_ref().map(|id| id.key()),
                }
            }
            EventData::PaymentIntent(intent) => Self {
                customer: intent.customer.as_ref().map(|id| id.key()),
                ..Self::default()
            },
            EventData::Invoice(invoice) => Self {
                customer: invoice.customer.as_ref().map(|id| id.key()),
                ..Self::default()
            },
            EventData::SetupIntent(intent) => Self {
                card: intent.card_fingerprint.as_deref(),
                customer: intent.customer.as_ref().map(|id| id.key()),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }

    /// Who is taken for one payer over days: the customer, or the card of one without a name.
    pub(super) fn payer(&self) -> Option<Key> {
        self.customer.or_else(|| self.card.map(Key::of))
    }

    /// The card, where one is named.
    pub(super) fn card(&self) -> Option<Key> {
        self.card.map(Key::of)
    }

    pub(super) fn brand(&self) -> &'a str {
        self.brand.unwrap_or("unknown")
    }

    pub(super) fn country(&self) -> &'a str {
        self.country.unwrap_or("unknown")
    }
}

impl Failures {
    /// Whether neither card nor customer failed lately, and whether the card did not. `object`
    /// stands for both where the event names neither.
    pub(super) fn meet(&mut self, who: &Who<'_>, object: Key) -> (bool, bool) {
        let card = who.card();
        let customer = who.customer;
        let object = (card.is_none() && customer.is_none()).then_some(object);
        let mut is_new = |key: Option<Key>| {
            let Some(key) = key else {
                return true;
            };
            let is_new = !self.failed.contains(key);
            if is_new {
                self.failed.insert(key, ());
            }
            is_new
        };
        let (is_new_card, is_new_customer) = (is_new(card.or(object)), is_new(customer));
        let is_new_payer = is_new_card && is_new_customer;
        (
            is_new_payer,
            if card.is_some() {
                is_new_card
            } else {
                is_new_payer
            },
        )
    }

    pub(super) fn push(&mut self, failure: Failure, event: &Event, object: &str) {
        if self.newest.len() >= FAILURES_MAX {
            self.newest.pop_front();
        }
        self.newest.push_back(failure);
        if failure.is_new_payer || failure.is_new_card {
            if self.ids.len() >= IDS_MAX {
                self.ids.pop_front();
            }
            self.ids
                .push_back((event.id.as_str().into(), object.into()));
        }
    }

    pub(super) fn advance_to(&mut self, now: Timestamp, from: Timestamp) {
        self.failed.advance_to(now);
        while self.newest.front().is_some_and(|oldest| oldest.at < from) {
            self.newest.pop_front();
        }
    }

    /// What failed since then, oldest arrival first.
    pub(super) fn since(&self, from: Timestamp) -> impl Iterator<Item = &Failure> + Clone {
        self.newest.iter().filter(move |failure| failure.at > from)
    }

    /// Event and object ids of the newest that counted and were not taken yet.
    pub(super) fn take_ids(&mut self) -> (Vec<String>, Vec<String>) {
        let ids = std::mem::take(&mut self.ids);
        ids.into_iter()
            .map(|(event, object)| (event.into(), object.into()))
            .unzip()
    }
}
