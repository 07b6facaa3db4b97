//! Ids that are remembered for long, as text.
//!
//! A record that lives for months and holds its ids in small pieces of memory of their own, made
//! amid the short life of an event's, leaves holes that nothing fits: four times the memory of the
//! records themselves, as the allocator of most Linux systems does it. So the text stands in the
//! record.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// An id, in two bytes more than `N`, the longest that stands in place: Stripe's charges,
/// subscriptions and events have up to 28 bytes, customers 18 or 21. A longer one takes memory of
/// its own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Box<str>", into = "Box<str>")]
pub struct IdText<const N: usize = 30>(Place<N>);

#[derive(Clone, PartialEq, Eq)]
enum Place<const N: usize> {
    Here { len: u8, bytes: [u8; N] },
    Elsewhere(Box<str>),
}

impl<const N: usize> IdText<N> {
    /// The id as Stripe wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // It was made from text.
            Place::Here { .. } => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Place::Elsewhere(text) => text,
        }
    }

    /// Its bytes: to compare, order and hash by, which needs no look at whether they are text.
    #[must_use]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Place::Here { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Place::Elsewhere(text) => text.as_bytes(),
        }
    }
}

impl<const N: usize> From<&str> for IdText<N> {
    fn from(text: &str) -> Self {
        let mut bytes = [0; N];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(text.as_bytes());
                Self(Place::Here { len, bytes })
            }
            _ => Self(Place::Elsewhere(text.into())),
        }
    }
}

impl<const N: usize> From<Box<str>> for IdText<N> {
    fn from(text: Box<str>) -> Self {
        Self::from(&*text)
    }
}

impl<const N: usize> From<IdText<N>> for Box<str> {
    fn from(id: IdText<N>) -> Self {
        id.as_str().into()
    }
}

impl<const N: usize> Deref for IdText<N> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize> fmt::Display for IdText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for IdText<N> {
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
        assert_eq!(size_of::<Option<IdText<22>>>(), 24);
        for text in [
            "",
            "sub_1PqkAA2eZvKYlo2CXXXXXXXX",
            "exactly_thirty_bytes_long_text",
            "thirty_one_bytes_long_this_text",
            "ünïcödé that ends beyond the thirtieth byte: ß",
        ] {
            let id: IdText = text.into();
            assert_eq!(&*IdText::<22>::from(text), text);
            assert_eq!(&*id, text);
            let bytes = crate::snapshot::encode(&id).unwrap();
            assert_eq!(crate::snapshot::decode::<IdText>(&bytes).unwrap(), id);
            assert_eq!(bytes, crate::snapshot::encode(&text).unwrap());
        }
    }
}
