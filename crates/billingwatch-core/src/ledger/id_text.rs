//! Ids that are remembered for long, as text.
//!
//! A record that lives for months and holds its ids in small pieces of memory of their own, made
//! amid the short life of an event's, leaves holes that nothing fits: four times the memory of the
//! records themselves, as the allocator of most Linux systems does it. So the text stands in the
//! record.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// The longest text that stands in place: Stripe's subscriptions have 28 bytes, customers 18.
const INLINE_BYTES_MAX: usize = 30;

/// An id, in 32 bytes; a longer one than Stripe makes takes memory of its own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Box<str>", into = "Box<str>")]
pub struct IdText(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Here {
        len: u8,
        bytes: [u8; INLINE_BYTES_MAX],
    },
    Elsewhere(Box<str>),
}

impl IdText {
    /// The id as Stripe wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Place::Here { len, bytes } => {
                let bytes = bytes.get(..usize::from(*len)).unwrap_or_default();
                // It was made from text.
                std::str::from_utf8(bytes).unwrap_or_default()
            }
            Place::Elsewhere(text) => text,
        }
    }
}

impl From<&str> for IdText {
    fn from(text: &str) -> Self {
        let mut bytes = [0; INLINE_BYTES_MAX];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(text.as_bytes());
                Self(Place::Here { len, bytes })
            }
            _ => Self(Place::Elsewhere(text.into())),
        }
    }
}

impl From<Box<str>> for IdText {
    fn from(text: Box<str>) -> Self {
        Self::from(&*text)
    }
}

impl From<IdText> for Box<str> {
    fn from(id: IdText) -> Self {
        id.as_str().into()
    }
}

impl Deref for IdText {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for IdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for IdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_text_of_any_length_comes_back_as_it_was() {
        assert_eq!(size_of::<Option<IdText>>(), 32);
        for text in [
            "",
            "sub_1PqkAA2eZvKYlo2CXXXXXXXX",
            "exactly_thirty_bytes_long_text",
            "thirty_one_bytes_long_this_text",
            "ünïcödé that ends beyond the thirtieth byte: ß",
        ] {
            let id = IdText::from(text);
            assert_eq!(&*id, text);
            let bytes = crate::snapshot::encode(&id).unwrap();
            assert_eq!(crate::snapshot::decode::<IdText>(&bytes).unwrap(), id);
            assert_eq!(bytes, crate::snapshot::encode(&text).unwrap());
        }
    }
}
