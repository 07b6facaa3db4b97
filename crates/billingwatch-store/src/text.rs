//! Texts that are kept in columns of their own: keys to find a row by, and people's words.
//!
//! What a sender writes may be anything. PostgreSQL refuses a NUL in text and an index entry of more
//! than about 2,700 bytes, SQLite takes both: here both are made the same, so that no event can be
//! refused for its looks. The raw body always keeps what was sent.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// The longest key kept as it is, in bytes. Stripe's own limit for ids is 255 characters.
pub(crate) const KEY_BYTES_MAX: usize = 255;

/// How much of a longer key stays readable before its hash.
const KEY_BYTES_SHOWN: usize = 180;

/// The longest note or name a person may leave, in bytes; the rest is cut.
pub(crate) const NOTE_BYTES_MAX: usize = 4000;

/// A key as it is stored and as it is looked up: two that differ stay different.
pub(crate) fn key(text: &str) -> Cow<'_, str> {
    let clean = without_nul(text);
    if clean.len() <= KEY_BYTES_MAX {
        return clean;
    }
    let hash = hex::encode(Sha256::digest(text.as_bytes()));
    Cow::Owned(format!("{}…{hash}", cut(&clean, KEY_BYTES_SHOWN)))
}

/// A key that may be absent.
pub(crate) fn optional_key(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(key)
}

/// A person's words.
pub(crate) fn note(text: &str) -> Cow<'_, str> {
    match without_nul(text) {
        Cow::Borrowed(text) => Cow::Borrowed(cut(text, NOTE_BYTES_MAX)),
        Cow::Owned(text) => Cow::Owned(cut(&text, NOTE_BYTES_MAX).to_owned()),
    }
}

/// SHA-256 in lower-case hex: how tokens are stored.
pub(crate) fn sha256_hex(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_keys_stay_and_odd_ones_stay_apart() {
        assert_eq!(key("evt_1"), "evt_1");
        assert_eq!(key("a\0b"), "a\u{fffd}b");
        let (one, two) = ("é".repeat(5000) + "1", "é".repeat(5000) + "2");
        assert_ne!(key(&one), key(&two));
        assert!(key(&one).len() <= KEY_BYTES_MAX);
        assert_eq!(key(&one), key(&one));
        assert_eq!(note(&"é".repeat(5000)).len(), NOTE_BYTES_MAX);
    }
}
