//! Bytes → [`Event`]: the only code that knows Stripe's field names.
//!
//! It reads what any API version since 2014 sends, and keeps an event whose fields it does not
//! understand: a field of an unexpected kind is `None`, an unknown word is `Unknown`, an unknown
//! type is [`EventData::Other`]. Refused is only what cannot be journalled under an id, see
//! [`PayloadError`].
//!
//! There is one pass over the bytes when `data.object` names its kind in its first two keys, as
//! Stripe writes it. Any other order of keys, and text that serde will not have (lone surrogates,
//! invalid UTF-8, numbers beyond a float), takes a second, slower way to the same result.
//!
//! An event inside an EventBridge (`detail`) or CloudEvents (`data`) envelope is taken out of it.
//! List pages are not read here, and thin events are kept as the reference they are.

mod charge;
mod checkout_session;
mod clean;
mod credit_note;
mod dispute;
mod envelope;
mod intent;
mod invoice;
mod lenient;
mod object;
mod refund;
mod subscription;
mod values;

use crate::event::{Event, EventData, EventType, OtherObject};
use crate::ids::{AccountId, EventId};
use crate::time::{Span, Timestamp};

use envelope::{Fields, RawObject, read_fields};
use lenient::Lenient;
use object::{FastObject, ObjectKeys};

/// What an event without a readable `type` is called.
pub const TYPE_UNKNOWN: &str = "unknown";

/// No Stripe event is older: 2001-09-09, the first second of ten digits, as the oldest fixtures of
/// Stripe's own SDKs have it (2009) and well before Stripe itself.
const CREATED_MIN: Timestamp = Timestamp::from_secs(1_000_000_000);

/// How far Stripe's clock may be ahead of ours before `created` is held for nonsense.
const CREATED_AHEAD_MAX: Span = Span::days(1);

/// Why bytes are no event. Everything else about an event may be odd; these cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Nothing in it.
    #[error("the body is empty")]
    Empty,
    /// Not JSON.
    #[error("the body is not JSON (line {line}, column {column})")]
    NotJson {
        /// Counted from one.
        line: usize,
        /// Counted from one, in bytes.
        column: usize,
    },
    /// JSON, but an array, a string, a number, a boolean or null.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// No `id`, or one that is not a text.
    #[error("the event has no id")]
    NoId,
    /// An `id` beyond the 255 characters that Stripe tells everyone to provide for.
    #[error("the event's id is too long: at most 255 characters")]
    IdTooLong,
    /// An `id` with control characters, which a text column cannot hold, or with what is no text
    /// at all (invalid UTF-8, half a surrogate pair), by which events could not be told apart.
    #[error("the event's id has characters that are not text")]
    IdUnprintable,
}

impl PayloadError {
    /// A short fixed word for it, for answers, counters and logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_body",
            Self::NotJson { .. } => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::NoId => "no_id",
            Self::IdTooLong => "id_too_long",
            Self::IdUnprintable => "id_unprintable",
        }
    }
}

impl From<serde_json::Error> for PayloadError {
    fn from(error: serde_json::Error) -> Self {
        Self::NotJson {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// What the journal stores beside the raw body, to find it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// `evt_…`: 1 to 255 characters, none of them a control character.
    pub id: String,
    /// Stripe's name for what happened; [`TYPE_UNKNOWN`] when it has none that can be read.
    pub event_type: String,
    /// When Stripe made it, as sent; `None` when that is no time.
    pub created: Option<Timestamp>,
    /// Live money; `false` when not said.
    pub livemode: bool,
    /// The connected account it is about.
    pub account: Option<String>,
    /// The API version its body is written in.
    pub api_version: Option<String>,
    /// The id of `data.object`, or of the object a thin event names.
    pub object_id: Option<String>,
    /// The customer that object belongs to, or is.
    pub customer_id: Option<String>,
    /// It carries no object (`v2.core.event`).
    pub is_thin: bool,
}

/// Reads the keys for the journal, and nothing else: about half the work of [`parse_event`].
///
/// # Errors
///
/// See [`PayloadError`].
pub fn read_envelope(body: &[u8]) -> Result<Envelope, PayloadError> {
    let cleaned;
    let as_sent = std::str::from_utf8(body).ok();
    let fields: Fields<'_, Lenient<ObjectKeys>> = match as_sent.map(read_fields) {
        Some(Ok(fields)) => fields,
        _ if body.trim_ascii().is_empty() => return Err(PayloadError::Empty),
        _ => {
            cleaned = clean::clean(body);
            read_fields(&cleaned)?
        }
    };
    let id = fields.id()?.to_owned();
    let keys = &fields.data.object.0;
    let object_id = if fields.is_thin() {
        fields.related.id.as_deref()
    } else {
        keys.id.as_deref()
    };
    Ok(Envelope {
        event_type: fields.event_type().to_owned(),
        created: fields.created,
        livemode: fields.livemode(),
        account: fields.account().map(Into::into),
        api_version: fields.api_version().map(Into::into),
        object_id: object_id.map(Into::into),
        customer_id: keys.customer().map(Into::into),
        is_thin: fields.is_thin(),
        id,
    })
}

/// Reads a whole event.
///
/// `received_at` stands in for a `created` that is missing or cannot be: before 2001, or more than
/// a day after it was received. It succeeds whenever [`read_envelope`] does.
///
/// # Errors
///
/// See [`PayloadError`].
pub fn parse_event(body: &[u8], received_at: Timestamp) -> Result<Event, PayloadError> {
    if let Ok(text) = std::str::from_utf8(body) {
        if let Ok(mut fields) = read_fields::<Lenient<FastObject>>(text) {
            let data = fields.data.object.0.0.take();
            return into_event(&mut fields, received_at, data);
        }
        if let Ok((mut fields, Ok(data))) = read_slowly(text) {
            return into_event(&mut fields, received_at, data);
        }
    }
    if body.trim_ascii().is_empty() {
        return Err(PayloadError::Empty);
    }
    let cleaned = clean::clean(body);
    let (mut fields, data) = read_slowly(&cleaned)?;
    let data = data.unwrap_or_else(|error| Some(object::not_read(&error.to_string())));
    into_event(&mut fields, received_at, data)
}

/// The object read after the event around it, so that their keys may come in any order.
fn read_slowly(json: &str) -> Result<Slow<'_>, serde_json::Error> {
    let fields: Fields<'_, RawObject<'_>> = read_fields(json)?;
    let event_type = EventType::from(fields.event_type());
    let read = |raw| object::read_raw(raw, &event_type);
    let data = fields.data.object.0.map(read).transpose();
    Ok((fields, data))
}

/// The event, and the object in it or why that cannot be read.
type Slow<'a> = (
    Fields<'a, RawObject<'a>>,
    Result<Option<EventData>, serde_json::Error>,
);

fn into_event<D>(
    fields: &mut Fields<'_, D>,
    received_at: Timestamp,
    data: Option<EventData>,
) -> Result<Event, PayloadError> {
    let id = EventId::from(fields.id()?);
    let event_type = EventType::from(fields.event_type());
    let data = match data.filter(|_| !fields.is_thin()) {
        Some(mut data) => {
            object::infer_status(&mut data, &event_type);
            data
        }
        None => EventData::Other(Box::new(OtherObject {
            object: fields.related.object.take(),
            id: fields.related.id.take(),
            is_thin: fields.is_thin(),
            unreadable: None,
        })),
    };
    let is_plausible =
        |created: &Timestamp| (CREATED_MIN..=received_at + CREATED_AHEAD_MAX).contains(created);
    Ok(Event {
        id,
        event_type,
        created: fields.created.filter(is_plausible).unwrap_or(received_at),
        livemode: fields.livemode(),
        account: fields.account().map(AccountId::from),
        api_version: fields.api_version().map(Into::into),
        request: fields.request.take(),
        data,
    })
}
