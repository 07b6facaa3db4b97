//! `data.object`: which kind it is, and from there to the file of that kind.

use std::borrow::Cow;

use serde::de::value::CowStrDeserializer;
use serde::de::{DeserializeSeed, Error, MapAccess};
use serde_json::value::RawValue;

use crate::event::charge::ChargeStatus;
use crate::event::invoice::InvoiceStatus;
use crate::event::subscription::SubscriptionStatus;
use crate::event::{EventData, EventType, Family, OtherObject};

use super::charge::ChargeDraft;
use super::checkout_session::CheckoutSessionDraft;
use super::credit_note::CreditNoteDraft;
use super::dispute::{DisputeDraft, FraudWarningDraft};
use super::intent::{PaymentIntentDraft, SetupIntentDraft};
use super::invoice::{InvoiceDraft, InvoicePaymentDraft};
use super::lenient::{Lenient, Shape, next_key, read, shape_of_map, skip};
use super::refund::RefundDraft;
use super::subscription::SubscriptionDraft;
use super::values::{is_id, read_id};

const OBJECT_REPEATED: &str = "`object` is repeated";

/// An object of one kind while its keys come in, in any order.
pub(super) trait Draft: Default {
    /// Reads the value of this key, or skips it. `id` and `object` never come here.
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &[u8], map: &mut A) -> Result<(), A::Error>;

    /// The object, when it has the id it needs.
    fn finish(self, id: Option<Box<str>>) -> Option<EventData>;
}

/// The kinds that have a type of their own.
#[derive(Clone, Copy)]
enum Kind {
    Charge,
    PaymentIntent,
    SetupIntent,
    Invoice,
    InvoicePayment,
    Subscription,
    Refund,
    Dispute,
    FraudWarning,
    CreditNote,
    CheckoutSession,
}

impl Kind {
    /// By Stripe's word for the object.
    fn of_object(object: &str) -> Option<Self> {
        Some(match object {
            "charge" => Self::Charge,
            "payment_intent" => Self::PaymentIntent,
            "setup_intent" => Self::SetupIntent,
            "invoice" => Self::Invoice,
            "invoice_payment" => Self::InvoicePayment,
            "subscription" => Self::Subscription,
            "refund" => Self::Refund,
            "dispute" => Self::Dispute,
            "radar.early_fraud_warning" => Self::FraudWarning,
            "credit_note" => Self::CreditNote,
            "checkout.session" => Self::CheckoutSession,
            _ => return None,
        })
    }

    /// By what the event's type is about, for objects that do not say what they are.
    fn of_event(event_type: &EventType) -> Option<Self> {
        Some(match event_type.family() {
            Family::Charge => Self::Charge,
            Family::PaymentIntent => Self::PaymentIntent,
            Family::SetupIntent => Self::SetupIntent,
            Family::Invoice => Self::Invoice,
            Family::InvoicePayment => Self::InvoicePayment,
            Family::Subscription => Self::Subscription,
            Family::Refund => Self::Refund,
            Family::Dispute => Self::Dispute,
            Family::FraudWarning => Self::FraudWarning,
            Family::CreditNote => Self::CreditNote,
            Family::CheckoutSession => Self::CheckoutSession,
            Family::Other => return None,
        })
    }

    fn fill<'de, A: MapAccess<'de>>(self, head: Head<'_>, map: A) -> Result<EventData, A::Error> {
        match self {
            Self::Charge => fill::<ChargeDraft, A>(head, map),
            Self::PaymentIntent => fill::<PaymentIntentDraft, A>(head, map),
            Self::SetupIntent => fill::<SetupIntentDraft, A>(head, map),
            Self::Invoice => fill::<InvoiceDraft, A>(head, map),
            Self::InvoicePayment => fill::<InvoicePaymentDraft, A>(head, map),
            Self::Subscription => fill::<SubscriptionDraft, A>(head, map),
            Self::Refund => fill::<RefundDraft, A>(head, map),
            Self::Dispute => fill::<DisputeDraft, A>(head, map),
            Self::FraudWarning => fill::<FraudWarningDraft, A>(head, map),
            Self::CreditNote => fill::<CreditNoteDraft, A>(head, map),
            Self::CheckoutSession => fill::<CheckoutSessionDraft, A>(head, map),
        }
    }
}

/// What every object begins with.
#[derive(Default)]
struct Head<'de> {
    id: Option<Cow<'de, str>>,
    object: Option<Cow<'de, str>>,
}

impl Head<'_> {
    fn into_other(self, unreadable: Option<&str>) -> EventData {
        EventData::Other(Box::new(OtherObject {
            object: self.object.map(Into::into),
            id: self.id.filter(|id| is_id(id)).map(Into::into),
            is_thin: false,
            unreadable: unreadable.map(Into::into),
        }))
    }
}

fn fill<'de, T: Draft, A: MapAccess<'de>>(
    mut head: Head<'_>,
    mut map: A,
) -> Result<EventData, A::Error> {
    let mut draft = T::default();
    while let Some(key) = next_key(&mut map)? {
        match key.as_bytes() {
            b"id" => head.id = read::<Option<Cow<'de, str>>, A>(&mut map)?.map(own),
            // Seen already. The last one counts, and only the slow way can still turn round.
            b"object" => return Err(A::Error::custom(OBJECT_REPEATED)),
            key => draft.field(key, &mut map)?,
        }
    }
    let id = head.id.as_deref().filter(|id| is_id(id)).map(Into::into);
    Ok(draft
        .finish(id)
        .unwrap_or_else(|| head.into_other(Some("it has no readable id"))))
}

fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// An object that nothing here looks into.
fn pass_over<'de, A: MapAccess<'de>>(
    mut head: Head<'de>,
    mut map: A,
) -> Result<EventData, A::Error> {
    while let Some(key) = next_key(&mut map)? {
        match key.as_bytes() {
            b"id" => head.id = read(&mut map)?,
            b"object" => return Err(A::Error::custom(OBJECT_REPEATED)),
            _ => skip(&mut map)?,
        }
    }
    Ok(head.into_other(None))
}

/// The object in one pass, for the order Stripe writes: `object` first, or after `id`.
///
/// Any other order is an error, upon which the caller goes the slow way.
#[derive(Default)]
pub(super) struct FastObject(pub(super) Option<EventData>);

impl<'de> Shape<'de> for FastObject {
    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut head = Head::default();
        while let Some(key) = next_key(&mut map)? {
            match key.as_bytes() {
                b"id" => head.id = read(&mut map)?,
                b"object" => {
                    head.object = read(&mut map)?;
                    break;
                }
                _ => break,
            }
        }
        let Some(object) = head.object.as_deref() else {
            return Err(A::Error::custom("`object` is not among the first keys"));
        };
        let data = match Kind::of_object(object) {
            Some(kind) => kind.fill(head, map),
            None => pass_over(head, map),
        };
        data.map(|data| Self(Some(data)))
    }
}

/// The object in two passes, whatever the order of its keys.
///
/// # Errors
///
/// Text that serde refuses, somewhere in it.
pub(super) fn read_raw(
    raw: &RawValue,
    event_type: &EventType,
) -> Result<EventData, serde_json::Error> {
    let entries = serde_json::from_str::<Lenient<Entries<'_>>>(raw.get())?.0;
    let Some(entries) = entries.0 else {
        return Ok(not_read("it is not a JSON object"));
    };
    let head = Head {
        id: last_text(&entries, "id")?,
        object: last_text(&entries, "object")?,
    };
    let kind = match head.object.as_deref() {
        Some(object) => Kind::of_object(object),
        None => Kind::of_event(event_type),
    };
    let Some(kind) = kind else {
        return Ok(head.into_other(None));
    };
    let rest = EntryAccess {
        entries: entries.into_iter(),
        value: None,
    };
    kind.fill(head, rest)
}

/// What is left of an object that cannot be read.
pub(super) fn not_read(reason: &str) -> EventData {
    Head::default().into_other(Some(reason))
}

/// All entries of an object, values as text; `None` for what is no object.
#[derive(Default)]
struct Entries<'de>(Option<Vec<(Cow<'de, str>, &'de RawValue)>>);

impl<'de> Shape<'de> for Entries<'de> {
    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = next_key(&mut map)? {
            entries.push((key, map.next_value()?));
        }
        Ok(Self(Some(entries)))
    }
}

fn last_text<'de>(
    entries: &[(Cow<'de, str>, &'de RawValue)],
    key: &str,
) -> Result<Option<Cow<'de, str>>, serde_json::Error> {
    match entries.iter().rev().find(|(name, _)| name == key) {
        Some((_, raw)) => Ok(serde_json::from_str::<Lenient<_>>(raw.get())?.0),
        None => Ok(None),
    }
}

/// Kept entries, read as the map they came from; without `id` and `object`, which are known.
struct EntryAccess<'de> {
    entries: std::vec::IntoIter<(Cow<'de, str>, &'de RawValue)>,
    value: Option<&'de RawValue>,
}

impl<'de> MapAccess<'de> for EntryAccess<'de> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Self::Error> {
        let is_known = |key: &str| key == "id" || key == "object";
        let Some((key, raw)) = self.entries.find(|(key, _)| !is_known(key)) else {
            return Ok(None);
        };
        self.value = Some(raw);
        seed.deserialize(CowStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Self::Error> {
        let raw = self.value.take().map_or("null", RawValue::get);
        seed.deserialize(&mut serde_json::Deserializer::from_str(raw))
    }
}

/// What the journal wants of an object.
#[derive(Default)]
pub(super) struct ObjectKeys {
    pub(super) id: Option<Box<str>>,
    is_customer: bool,
    customer: Option<Box<str>>,
    customer_account: Option<Box<str>>,
}

impl ObjectKeys {
    /// The customer it belongs to, or is.
    pub(super) fn customer(&self) -> Option<&str> {
        self.customer
            .as_deref()
            .or(self.customer_account.as_deref())
            .or_else(|| self.id.as_deref().filter(|_| self.is_customer))
    }
}

shape_of_map!(ObjectKeys {
    b"id" => |this, map| this.id = read_id(map)?,
    b"object" => |this, map| {
        this.is_customer = read::<Option<Cow<'de, str>>, A>(map)?.as_deref() == Some("customer");
    },
    b"customer" => |this, map| this.customer = read_id(map)?,
    b"customer_account" => |this, map| this.customer_account = read_id(map)?,
});

/// What the type of an event says of its object, where the object itself is silent.
pub(super) fn infer_status(data: &mut EventData, event_type: &EventType) {
    match data {
        EventData::Charge(charge) if charge.status == ChargeStatus::Unknown => {
            charge.status = match event_type {
                EventType::ChargeSucceeded | EventType::ChargeCaptured => ChargeStatus::Succeeded,
                EventType::ChargeFailed => ChargeStatus::Failed,
                EventType::ChargePending => ChargeStatus::Pending,
                _ => ChargeStatus::Unknown,
            };
        }
        EventData::Invoice(invoice) if invoice.status == InvoiceStatus::Unknown => {
            invoice.status = match event_type {
                EventType::InvoicePaid | EventType::InvoicePaymentSucceeded => InvoiceStatus::Paid,
                EventType::InvoicePaymentFailed => InvoiceStatus::Open,
                EventType::InvoiceVoided => InvoiceStatus::Void,
                EventType::InvoiceMarkedUncollectible => InvoiceStatus::Uncollectible,
                _ => InvoiceStatus::Unknown,
            };
        }
        EventData::Subscription(subscription)
            if subscription.status == SubscriptionStatus::Unknown
                && *event_type == EventType::SubscriptionDeleted =>
        {
            subscription.status = SubscriptionStatus::Canceled;
        }
        _ => {}
    }
}
