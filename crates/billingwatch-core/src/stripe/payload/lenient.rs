//! Reading JSON that may be anything: a value of an unexpected kind is "not there", no error.
//!
//! Stripe's fields change kind between API versions (an id becomes an object, an object a list),
//! and a strict reader would lose the event for it. A [`Shape`] says what it makes of each kind of
//! JSON value; what it does not mention is skipped and yields the default. The only errors left
//! are broken JSON.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess};
use serde::de::{Error, Visitor};

/// What to make of each kind of JSON value.
pub(super) trait Shape<'de>: Default {
    /// `true` or `false`.
    fn of_bool(_: bool) -> Self {
        Self::default()
    }

    /// An integer that fits.
    fn of_int(_: i64) -> Self {
        Self::default()
    }

    /// A number with a fraction, an exponent, or beyond `i64`.
    fn of_float(_: f64) -> Self {
        Self::default()
    }

    /// A string; borrowed unless it has escapes.
    fn of_text(_: Cow<'de, str>) -> Self {
        Self::default()
    }

    /// An array.
    fn of_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }

    /// An object.
    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        skip_rest(&mut map)?;
        Ok(Self::default())
    }
}

/// A [`Shape`] in serde's clothes.
#[derive(Default)]
pub(super) struct Lenient<T>(pub(super) T);

impl<'de, T: Shape<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(ShapeVisitor(PhantomData))
            .map(Self)
    }
}

struct ShapeVisitor<T>(PhantomData<T>);

impl<'de, T: Shape<'de>> Visitor<'de> for ShapeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        Ok(T::of_bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        Ok(T::of_int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        Ok(i64::try_from(value).map_or_else(|_| T::default(), T::of_int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        Ok(T::of_float(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<T, E> {
        Ok(T::of_text(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
        Ok(T::of_text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
        T::of_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::of_map(map)
    }
}

/// Reads a key of an object; borrowed unless it has escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

/// The next key of an object.
pub(super) fn next_key<'de, A: MapAccess<'de>>(
    map: &mut A,
) -> Result<Option<Cow<'de, str>>, A::Error> {
    map.next_key_seed(Key)
}

/// The value of the key just read.
pub(super) fn read<'de, T: Shape<'de>, A: MapAccess<'de>>(map: &mut A) -> Result<T, A::Error> {
    Ok(map.next_value::<Lenient<T>>()?.0)
}

/// Skips the value of the key just read.
pub(super) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

/// Skips all that is left of an object.
pub(super) fn skip_rest<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// A [`Shape`] that reads an object by its keys and is empty for anything else.
///
/// `shape_of_map!(Type { b"key" => |this, map| …, … })`: a repeated key is read again, so the last
/// one wins; a key not named is skipped. Keys are matched as bytes, here and in every file of this
/// folder, because the compiler makes a decision tree of those and a row of comparisons of text:
/// a charge has 45 keys, and that row cost more than reading them.
macro_rules! shape_of_map {
    ($type:ty { $($key:literal => |$this:ident, $map:ident| $read:expr),+ $(,)? }) => {
        impl<'de> $crate::stripe::payload::lenient::Shape<'de> for $type {
            fn of_map<A: serde::de::MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
                let mut this = Self::default();
                while let Some(key) = $crate::stripe::payload::lenient::next_key(&mut map)? {
                    match key.as_bytes() {
                        $($key => {
                            let ($this, $map) = (&mut this, &mut map);
                            $read;
                        })+
                        _ => $crate::stripe::payload::lenient::skip(&mut map)?,
                    }
                }
                Ok(this)
            }
        }
    };
}

/// A [`Shape`] of an enum whose values are words; a word not named is the default.
macro_rules! shape_of_words {
    ($type:ty { $($word:literal => $variant:ident),+ $(,)? }) => {
        impl<'de> $crate::stripe::payload::lenient::Shape<'de> for $type {
            fn of_text(text: std::borrow::Cow<'de, str>) -> Self {
                match &*text {
                    $($word => Self::$variant,)+
                    _ => Self::default(),
                }
            }
        }
    };
}

pub(super) use {shape_of_map, shape_of_words};
