//! A second chance for a body that serde refuses although nothing of its structure is wrong.
//!
//! Three things, each replaced by what loses least: bytes that are no UTF-8 and escaped surrogates
//! without their other half become U+FFFD, and a number too large even for a float becomes null.
//! Whether the rest is JSON is left to serde.

use std::borrow::Cow;

const REPLACEMENT: &[u8] = br"\ufffd";

/// The body as text that serde accepts, if it is JSON at all.
pub(super) fn clean(body: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(body);
    let Some(fixed) = fix(text.as_bytes()) else {
        return text;
    };
    // Whole characters are copied, and whole ASCII tokens replaced: it is UTF-8 still.
    Cow::Owned(String::from_utf8(fixed).unwrap_or_else(|_| text.into_owned()))
}

/// The text with its surrogates and numbers mended; `None` when there was nothing to mend.
fn fix(text: &[u8]) -> Option<Vec<u8>> {
    let mut fixed = Vec::new();
    let mut copied_to = 0;
    let mut at = 0;
    let mut in_string = false;
    while let Some(byte) = text.get(at) {
        let (len, replacement): (usize, Option<&[u8]>) = match (in_string, byte) {
            (_, b'"') => {
                in_string = !in_string;
                (1, None)
            }
            (true, b'\\') => measure_escape(&text[at..]),
            (false, b'-' | b'0'..=b'9') => measure_number(&text[at..]),
            _ => (1, None),
        };
        if let Some(replacement) = replacement {
            fixed.extend_from_slice(&text[copied_to..at]);
            fixed.extend_from_slice(replacement);
            copied_to = at + len;
        }
        at += len;
    }
    if copied_to == 0 {
        return None;
    }
    fixed.extend_from_slice(text.get(copied_to..).unwrap_or_default());
    Some(fixed)
}

fn measure_escape(text: &[u8]) -> (usize, Option<&'static [u8]>) {
    match unicode_escape(text) {
        Some(0xd800..=0xdbff) => match text.get(6..).and_then(unicode_escape) {
            Some(0xdc00..=0xdfff) => (12, None),
            _ => (6, Some(REPLACEMENT)),
        },
        Some(0xdc00..=0xdfff) => (6, Some(REPLACEMENT)),
        Some(_) => (6, None),
        None => (2, None),
    }
}

/// The code unit of a `\uXXXX` that the text begins with.
fn unicode_escape(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn measure_number(text: &[u8]) -> (usize, Option<&'static [u8]>) {
    let is_part = |b: &u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
    let len = text.iter().take_while(|b| is_part(b)).count();
    let is_too_large = std::str::from_utf8(&text[..len])
        .ok()
        .and_then(|number| number.parse::<f64>().ok())
        .is_some_and(f64::is_infinite);
    (len, is_too_large.then_some(b"null"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_serde_refuses_is_replaced() {
        for (body, expected) in [
            (br#"{"a":"b"}"#.as_slice(), r#"{"a":"b"}"#),
            (br#"{"a":"\ud83d\ude00"}"#, r#"{"a":"\ud83d\ude00"}"#),
            (br#"{"a":"\ud83d"}"#, r#"{"a":"\ufffd"}"#),
            (
                br#"{"a":"\ud83d\ud83d\ude00"}"#,
                r#"{"a":"\ufffd\ud83d\ude00"}"#,
            ),
            (br#"{"a":"\ude00x\\ud800"}"#, r#"{"a":"\ufffdx\\ud800"}"#),
            (
                br#"{"a":1e400,"b":-1e400,"c":1e2}"#,
                r#"{"a":null,"b":null,"c":1e2}"#,
            ),
            (br#"{"a":"1e400"}"#, r#"{"a":"1e400"}"#),
            (b"{\"a\":\"\xff\"}", "{\"a\":\"\u{fffd}\"}"),
            (br#"{"a":"\"#, r#"{"a":"\"#),
            (br#"{"a":"\ud8"#, r#"{"a":"\ud8"#),
        ] {
            assert_eq!(clean(body), expected);
        }
    }
}
