//! The event around the object, whatever is around the event.

use std::borrow::Cow;
use std::char::REPLACEMENT_CHARACTER;

use serde::Deserialize;
use serde::de::MapAccess;
use serde_json::value::RawValue;

use crate::event::Request;
use crate::time::Timestamp;

use super::lenient::{Lenient, Shape, next_key, read, shape_of_map, skip};
use super::values::is_id;
use super::{PayloadError, TYPE_UNKNOWN};

/// The keys of an event. `D` says how `data.object` is read.
#[derive(Default)]
pub(super) struct Fields<'de, D> {
    is_object: bool,
    id: Option<Cow<'de, str>>,
    object: Option<Cow<'de, str>>,
    event_type: Option<Cow<'de, str>>,
    pub(super) created: Option<Timestamp>,
    livemode: Option<bool>,
    account: Option<Cow<'de, str>>,
    context: Option<Cow<'de, str>>,
    api_version: Option<Cow<'de, str>>,
    pub(super) request: Option<Request>,
    pub(super) related: Related,
    pub(super) data: Data<D>,
    /// Has a key that only EventBridge (`detail`) or CloudEvents (`specversion`) write.
    is_wrapped: bool,
}

impl<D> Fields<'_, D> {
    pub(super) fn id(&self) -> Result<&str, PayloadError> {
        if !self.is_object {
            return Err(PayloadError::NotAnObject);
        }
        match self.id.as_deref() {
            None | Some("") => Err(PayloadError::NoId),
            Some(id) if is_id(id) && (id.is_ascii() || !id.contains(REPLACEMENT_CHARACTER)) => {
                Ok(id)
            }
            // Text that was no text was mended with U+FFFD, which makes different ids the same: the
            // second event would be acknowledged as a repeat of the first, and lost.
            Some(id)
                if id
                    .chars()
                    .any(|c| c.is_control() || c == REPLACEMENT_CHARACTER) =>
            {
                Err(PayloadError::IdUnprintable)
            }
            Some(_) => Err(PayloadError::IdTooLong),
        }
    }

    /// Its type; a text that could not be an id is no name for one either.
    pub(super) fn event_type(&self) -> &str {
        self.event_type
            .as_deref()
            .filter(|name| is_id(name))
            .unwrap_or(TYPE_UNKNOWN)
    }

    /// `account`; thin events say `context` instead, where organisations put a path to it.
    pub(super) fn account(&self) -> Option<&str> {
        let from_context = || {
            let last = self.context.as_deref()?.rsplit('/').next()?;
            last.starts_with("acct_").then_some(last)
        };
        self.account
            .as_deref()
            .or_else(from_context)
            .filter(|id| is_id(id))
    }

    /// Whether its money is real. Stripe says so of every event; what does not say it was made by hand, and an alert too many
    /// is better than one too few.
    pub(super) fn livemode(&self) -> bool {
        self.livemode.unwrap_or(true)
    }

    pub(super) fn api_version(&self) -> Option<&str> {
        self.api_version.as_deref().filter(|text| is_id(text))
    }

    pub(super) fn is_thin(&self) -> bool {
        self.object.as_deref() == Some("v2.core.event")
    }

    fn is_event(&self) -> bool {
        self.id().is_ok() && self.event_type.is_some()
    }
}

impl<'de, D: Deserialize<'de> + Default> Shape<'de> for Fields<'de, D> {
    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut this = Self {
            is_object: true,
            ..Self::default()
        };
        while let Some(key) = next_key(&mut map)? {
            let map = &mut map;
            match key.as_bytes() {
                b"id" => this.id = read(map)?,
                b"object" => this.object = read(map)?,
                b"type" => this.event_type = read(map)?,
                b"created" => this.created = read(map)?,
                b"livemode" => this.livemode = read(map)?,
                b"account" => this.account = read(map)?,
                b"context" => this.context = read(map)?,
                b"api_version" => this.api_version = read(map)?,
                b"request" => this.request = read(map)?,
                // Thin events nest the same under `reason`, and have no `request`.
                b"reason" => this.request = read::<Reason, A>(map)?.request.or(this.request),
                b"related_object" => this.related = read(map)?,
                b"data" => this.data = read(map)?,
                b"detail" | b"specversion" => {
                    this.is_wrapped = true;
                    skip(map)?;
                }
                _ => skip(map)?,
            }
        }
        Ok(this)
    }
}

/// Reads an event, taking it out of a cloud envelope if it is in one.
pub(super) fn read_fields<'de, D: Deserialize<'de> + Default>(
    json: &'de str,
) -> Result<Fields<'de, D>, serde_json::Error> {
    let outer = serde_json::from_str::<Lenient<Fields<'de, D>>>(json)?.0;
    if outer.is_wrapped {
        let wrapper = serde_json::from_str::<Lenient<Wrapper<'de>>>(json)?.0;
        for inner in [wrapper.detail, wrapper.data].into_iter().flatten() {
            let inner = serde_json::from_str::<Lenient<Fields<'de, D>>>(inner.get())?.0;
            if inner.is_event() {
                return Ok(inner);
            }
        }
    }
    Ok(outer)
}

/// `data` of an event.
#[derive(Default)]
pub(super) struct Data<D> {
    pub(super) object: D,
}

impl<'de, D: Deserialize<'de> + Default> Shape<'de> for Data<D> {
    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut this = Self::default();
        while let Some(key) = next_key(&mut map)? {
            match key.as_bytes() {
                b"object" => this.object = map.next_value()?,
                _ => skip(&mut map)?,
            }
        }
        Ok(this)
    }
}

/// `data.object` kept as text, to be read when everything around it is known.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct RawObject<'raw>(#[serde(borrow)] pub(super) Option<&'raw RawValue>);

/// The two places where clouds put Stripe's event.
#[derive(Default)]
struct Wrapper<'de> {
    detail: Option<&'de RawValue>,
    data: Option<&'de RawValue>,
}

impl<'de> Shape<'de> for Wrapper<'de> {
    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut this = Self::default();
        while let Some(key) = next_key(&mut map)? {
            match key.as_bytes() {
                b"detail" => this.detail = map.next_value::<RawObject<'de>>()?.0,
                b"data" => this.data = map.next_value::<RawObject<'de>>()?.0,
                _ => skip(&mut map)?,
            }
        }
        Ok(this)
    }
}

/// What a thin event is about.
#[derive(Default)]
pub(super) struct Related {
    pub(super) id: Option<Box<str>>,
    pub(super) object: Option<Box<str>>,
}

shape_of_map!(Related {
    b"id" => |this, map| this.id = read::<Option<Box<str>>, A>(map)?.filter(|id| is_id(id)),
    b"type" => |this, map| this.object = read(map)?,
});

/// An object, a bare request id (before 2017), or null. All null means the same as null.
impl<'de> Shape<'de> for Option<Request> {
    fn of_text(text: Cow<'de, str>) -> Self {
        is_id(&text).then(|| Request {
            id: Some(text.into()),
            idempotency_key: None,
        })
    }

    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut request = Request::default();
        while let Some(key) = next_key(&mut map)? {
            match key.as_bytes() {
                b"id" => request.id = read(&mut map)?,
                b"idempotency_key" => request.idempotency_key = read(&mut map)?,
                _ => skip(&mut map)?,
            }
        }
        Ok(Some(request).filter(|request| *request != Request::default()))
    }
}

#[derive(Default)]
struct Reason {
    request: Option<Request>,
}

shape_of_map!(Reason {
    b"request" => |this, map| this.request = read(map)?,
});
