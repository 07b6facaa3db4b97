//! The values that Stripe's fields have, each read leniently: amounts, times, references, lists.

use std::borrow::Cow;

use serde::de::{IgnoredAny, MapAccess, SeqAccess};

use crate::ids::AccountId;
use crate::money::Currency;
use crate::time::Timestamp;

use super::lenient::{Lenient, Shape, next_key, read, shape_of_map, skip, skip_rest};

/// The longest id kept, in characters. Stripe documents 255 as the most to provide for.
pub(super) const ID_CHARS_MAX: usize = 255;

/// The most entries of an embedded list that are kept; Stripe's pages have at most 100.
pub(super) const LIST_ITEMS_MAX: usize = 1000;

/// Stripe's own limit on metadata keys.
const METADATA_MAX: usize = 50;

/// Unix seconds of the years 1 and 9999: beyond them there is no calendar to print.
const SECONDS_RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

impl Shape<'_> for bool {
    fn of_bool(value: bool) -> Self {
        value
    }
}

impl Shape<'_> for Option<bool> {
    fn of_bool(value: bool) -> Self {
        Some(value)
    }
}

/// Amounts and counts. A string, a fraction or a number beyond `i64` is no amount.
impl Shape<'_> for Option<i64> {
    fn of_int(value: i64) -> Self {
        Some(value)
    }
}

impl<'de> Shape<'de> for Option<Cow<'de, str>> {
    fn of_text(text: Cow<'de, str>) -> Self {
        Some(text)
    }
}

impl<'de> Shape<'de> for Option<Box<str>> {
    fn of_text(text: Cow<'de, str>) -> Self {
        Some(text.into())
    }
}

impl<'de> Shape<'de> for Option<Currency> {
    fn of_text(text: Cow<'de, str>) -> Self {
        text.parse().ok()
    }
}

/// Unix seconds, or RFC 3339 text as thin events have it.
impl<'de> Shape<'de> for Option<Timestamp> {
    fn of_int(secs: i64) -> Self {
        SECONDS_RANGE
            .contains(&secs)
            .then(|| Timestamp::from_secs(secs))
    }

    fn of_text(text: Cow<'de, str>) -> Self {
        let time = chrono::DateTime::parse_from_rfc3339(&text).ok()?;
        SECONDS_RANGE
            .contains(&time.timestamp())
            .then(|| Timestamp::from_millis(time.timestamp_millis()))
    }
}

/// Whether a text can serve as an id: not empty, not endless, nothing in it that a database or a
/// terminal would choke on.
pub(super) fn is_id(text: &str) -> bool {
    // Plain ASCII has no control characters: told without taking characters apart.
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    !text.is_empty()
        && (text.len() <= ID_CHARS_MAX || text.chars().count() <= ID_CHARS_MAX)
        && (is_plain || !text.chars().any(char::is_control))
}

/// A reference: an id, or the object itself (expanded, or the stub of a deleted one).
#[derive(Default)]
pub(super) struct Ref(Option<Box<str>>);

impl Ref {
    pub(super) fn into_id<T: From<Box<str>>>(self) -> Option<T> {
        self.0.map(T::from)
    }
}

impl<'de> Shape<'de> for Ref {
    fn of_text(text: Cow<'de, str>) -> Self {
        Self(is_id(&text).then(|| text.into()))
    }

    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut id = None;
        while let Some(key) = next_key(&mut map)? {
            match key.as_bytes() {
                // Not a reference again: an id that is an object would nest without end.
                b"id" => id = read::<Option<Box<str>>, A>(&mut map)?.filter(|id| is_id(id)),
                _ => skip(&mut map)?,
            }
        }
        Ok(Self(id))
    }
}

/// The value of the key just read, as an id of the kind wanted.
pub(super) fn read_id<'de, T: From<Box<str>>, A: MapAccess<'de>>(
    map: &mut A,
) -> Result<Option<T>, A::Error> {
    Ok(read::<Ref, A>(map)?.into_id())
}

/// The value of the key just read, as the id of something that has no type of its own.
pub(super) fn read_text_id<'de, A: MapAccess<'de>>(
    map: &mut A,
) -> Result<Option<Box<str>>, A::Error> {
    Ok(read::<Ref, A>(map)?.0)
}

/// `transfer_data` of a destination charge.
#[derive(Default)]
pub(super) struct TransferData {
    pub(super) destination: Option<AccountId>,
}

shape_of_map!(TransferData {
    b"destination" => |this, map| this.destination = read_id(map)?,
});

/// `payment_settings` of an invoice or a subscription.
#[derive(Default)]
pub(super) struct PaymentSettings {
    pub(super) types: Vec<Box<str>>,
}

shape_of_map!(PaymentSettings {
    b"payment_method_types" => |this, map| {
        let types: Vec<Option<Box<str>>> = read(map)?;
        this.types = types.into_iter().flatten().collect();
    },
});

/// An object of this shape, or none: for those whose absence means something.
pub(super) struct Perhaps<T>(pub(super) Option<T>);

impl<T> Default for Perhaps<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Shape<'de>> Shape<'de> for Perhaps<T> {
    fn of_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        T::of_map(map).map(|value| Self(Some(value)))
    }
}

/// Whether there is anything at all: not missing, not null, not `false`.
#[derive(Default)]
pub(super) struct Presence(pub(super) bool);

impl<'de> Shape<'de> for Presence {
    fn of_bool(value: bool) -> Self {
        Self(value)
    }

    fn of_int(_: i64) -> Self {
        Self(true)
    }

    fn of_text(text: Cow<'de, str>) -> Self {
        Self(!text.is_empty())
    }

    fn of_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        let mut is_present = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            is_present = true;
        }
        Ok(Self(is_present))
    }

    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        skip_rest(&mut map)?;
        Ok(Self(true))
    }
}

/// A plain array; entries beyond [`LIST_ITEMS_MAX`] are dropped.
impl<'de, T: Shape<'de>> Shape<'de> for Vec<T> {
    fn of_seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        let mut items = Self::new();
        while items.len() < LIST_ITEMS_MAX {
            match seq.next_element::<Lenient<T>>()? {
                Some(item) => items.push(item.0),
                None => return Ok(items),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(items)
    }
}

/// A list as Stripe embeds it, `{"data": […], "has_more": …}`; a plain array passes for one.
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
    pub(super) has_more: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            data: Vec::new(),
            has_more: false,
        }
    }
}

impl<'de, T: Shape<'de>> Shape<'de> for List<T> {
    fn of_seq<A: SeqAccess<'de>>(seq: A) -> Result<Self, A::Error> {
        let data = Vec::of_seq(seq)?;
        let has_more = data.len() == LIST_ITEMS_MAX;
        Ok(Self { data, has_more })
    }

    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut list = Self::default();
        while let Some(key) = next_key(&mut map)? {
            match key.as_bytes() {
                b"data" => list.data = read(&mut map)?,
                b"has_more" => list.has_more = read(&mut map)?,
                _ => skip(&mut map)?,
            }
        }
        list.has_more |= list.data.len() == LIST_ITEMS_MAX;
        Ok(list)
    }
}

/// The merchant's own keys and values: the first 50 that are text, in order of key.
#[derive(Default)]
pub(super) struct Metadata(pub(super) Vec<(Box<str>, Box<str>)>);

impl<'de> Shape<'de> for Metadata {
    fn of_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut entries: Vec<(Box<str>, Box<str>)> = Vec::new();
        while let Some(key) = next_key(&mut map)? {
            let Some(value) = read::<Option<Box<str>>, A>(&mut map)? else {
                continue;
            };
            if let Some(entry) = entries.iter_mut().find(|(known, _)| **known == *key) {
                entry.1 = value;
            } else if entries.len() < METADATA_MAX {
                entries.push((key.into(), value));
            }
        }
        entries.sort_unstable();
        Ok(Self(entries))
    }
}

/// A decimal number as text or number, in units of 10⁻ᴰ; `None` when it has more decimals.
#[derive(Default)]
pub(super) struct Decimal<const D: usize>(pub(super) Option<i64>);

impl<'de, const D: usize> Shape<'de> for Decimal<D> {
    fn of_int(value: i64) -> Self {
        Self::of_text(value.to_string().into())
    }

    /// Through the shortest text of the number, so that no binary fraction reaches an amount.
    fn of_float(value: f64) -> Self {
        Self::of_text(value.to_string().into())
    }

    fn of_text(text: Cow<'de, str>) -> Self {
        Self(parse_decimal(&text, D))
    }
}

fn parse_decimal(text: &str, decimals: usize) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let is_number = !whole.is_empty()
        && fraction.len() <= decimals
        && whole
            .bytes()
            .chain(fraction.bytes())
            .all(|b| b.is_ascii_digit());
    if !is_number {
        return None;
    }
    let padding = "0".repeat(decimals - fraction.len());
    let value: i64 = format!("{whole}{fraction}{padding}").parse().ok()?;
    Some(sign * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'de, T: Shape<'de>>(json: &'de str) -> T {
        serde_json::from_str::<Lenient<T>>(json).unwrap().0
    }

    #[test]
    fn amounts_are_integers_or_nothing() {
        for (json, expected) in [
            ("1999", Some(1999)),
            ("-5", Some(-5)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("1e3", None),
            ("19.99", None),
            ("\"1999\"", None),
            ("null", None),
            ("true", None),
            ("[1]", None),
            ("{\"a\":1}", None),
        ] {
            assert_eq!(of::<Option<i64>>(json), expected, "{json}");
        }
    }

    #[test]
    fn references_are_ids_or_objects() {
        for (json, expected) in [
            (r#""cus_1""#, Some("cus_1")),
            (r#"{"object":"customer","id":"cus_1"}"#, Some("cus_1")),
            (r#"{"id":"cus_1","deleted":true}"#, Some("cus_1")),
            (r#"{"id":"cus_0","id":"cus_1"}"#, Some("cus_1")),
            (r#"{"id":{"id":"cus_1"}}"#, None),
            (r#""""#, None),
            (r#""a\u0000b""#, None),
            ("7", None),
            ("null", None),
        ] {
            let id: Option<Box<str>> = of::<Ref>(json).into_id();
            assert_eq!(id.as_deref(), expected, "{json}");
        }
        let longest = "x".repeat(ID_CHARS_MAX);
        assert!(is_id(&longest) && !is_id(&format!("{longest}x")));
    }

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        let secs = |json| of::<Option<Timestamp>>(json).map(Timestamp::as_secs);
        assert_eq!(secs("1700000000"), Some(1_700_000_000));
        assert_eq!(secs("-2208988800"), Some(-2_208_988_800));
        assert_eq!(secs(r#""2023-11-14T22:13:20.000Z""#), Some(1_700_000_000));
        assert_eq!(secs("9223372036854775807"), None);
        assert_eq!(secs(r#""yesterday""#), None);
        assert_eq!(secs("1700000000.5"), None);
    }

    #[test]
    fn decimals_are_exact_or_nothing() {
        for (json, cents, bps) in [
            (r#""1999""#, Some(1999), Some(199_900)),
            (r#""1999.000000000000""#, Some(1999), Some(199_900)),
            (r#""0.5""#, None, Some(50)),
            ("12.5", None, Some(1250)),
            ("33.33", None, Some(3333)),
            ("-3", Some(-3), Some(-300)),
            (r#""""#, None, None),
            (r#"".5""#, None, None),
            (r#""1e3""#, None, None),
            (r#""99999999999999999999""#, None, None),
        ] {
            assert_eq!(of::<Decimal<0>>(json).0, cents, "{json}");
            assert_eq!(of::<Decimal<2>>(json).0, bps, "{json}");
        }
    }

    #[test]
    fn metadata_is_sorted_bounded_text() {
        let pairs = (0..60)
            .map(|n| format!(r#""k{n:02}":"v{n}""#))
            .collect::<Vec<_>>()
            .join(",");
        let entries = of::<Metadata>(&format!(r#"{{"z":1,{pairs},"k00":"again"}}"#)).0;
        assert_eq!(entries.len(), METADATA_MAX);
        assert_eq!(entries[0], ("k00".into(), "again".into()));
        assert!(entries.is_sorted());
    }

    #[test]
    fn lists_are_bounded() {
        let json = format!("[{}]", vec!["1"; LIST_ITEMS_MAX + 5].join(","));
        let list = of::<List<Option<i64>>>(&json);
        assert_eq!((list.data.len(), list.has_more), (LIST_ITEMS_MAX, true));
        assert!(of::<List<Option<i64>>>("null").data.is_empty());
    }
}
