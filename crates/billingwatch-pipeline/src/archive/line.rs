//! One event as a line.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use billingwatch_store::JournalEntry;

/// The source that a line does not name.
pub const DEFAULT_SOURCE: &str = "default";

/// Writes an event as a line, its end included.
///
/// # Errors
/// When it cannot be written.
pub fn write_line(out: &mut dyn Write, entry: &JournalEntry) -> io::Result<()> {
    let millis = entry.received_at.as_millis();
    write!(
        out,
        "{{\"received_at\": {}.{:03}, ",
        millis.div_euclid(1000),
        millis.rem_euclid(1000)
    )?;
    if entry.source != DEFAULT_SOURCE {
        let source = serde_json::to_string(&entry.source)?;
        write!(out, "\"source\": {source}, ")?;
    }
    let body = &entry.body;
    match Fit::of(body) {
        Fit::AsIs => {
            out.write_all(b"\"event\": ")?;
            out.write_all(body)?;
        }
        Fit::TabsForNewlines => {
            out.write_all(b"\"newlines\": \"tabs\", \"event\": ")?;
            out.write_all(&mapped(body, |byte| byte == b'\n', b'\t'))?;
        }
        Fit::Beside => {
            let text = BASE64.encode(body);
            write!(out, "\"body_base64\": \"{text}\", \"event\": ")?;
            let readable = String::from_utf8_lossy(body);
            let is_break = |byte| matches!(byte, b'\n' | b'\r' | b'\t');
            out.write_all(&mapped(readable.trim().as_bytes(), is_break, b' '))?;
        }
    }
    out.write_all(b"}\n")
}

/// How a body gets into one line.
#[derive(Debug, PartialEq, Eq)]
enum Fit {
    AsIs,
    TabsForNewlines,
    Beside,
}

impl Fit {
    fn of(body: &[u8]) -> Self {
        // A reader takes the value from its first to its last character, and nothing around it.
        let is_object = body.starts_with(b"{") && body.ends_with(b"}");
        if !is_object || std::str::from_utf8(body).is_err() || body.contains(&b'\r') {
            return Self::Beside;
        }
        match (body.contains(&b'\n'), body.contains(&b'\t')) {
            (false, _) => Self::AsIs,
            (true, false) => Self::TabsForNewlines,
            (true, true) => Self::Beside,
        }
    }
}

fn mapped(body: &[u8], is_one: impl Fn(u8) -> bool, to: u8) -> Vec<u8> {
    body.iter()
        .map(|byte| if is_one(*byte) { to } else { *byte })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use billingwatch_core::time::Timestamp;
    use billingwatch_store::EntryKind;
    use proptest::prelude::*;

    use super::*;
    use crate::replay::lines::{Line, Lines, classify, classify_at_a_glance};

    fn entry(source: &str, body: &[u8]) -> JournalEntry {
        JournalEntry {
            seq: 1,
            kind: EntryKind::Event,
            source: source.to_owned(),
            event_id: Some("evt_1".to_owned()),
            event_type: "charge.failed".to_owned(),
            object_id: None,
            customer_id: None,
            created_at: None,
            received_at: Timestamp::from_millis(1_709_599_200_250),
            account: None,
            livemode: true,
            api_version: None,
            is_historical: false,
            body: body.to_vec(),
        }
    }

    fn line(source: &str, body: &[u8]) -> Vec<u8> {
        let mut line = Vec::new();
        write_line(&mut line, &entry(source, body)).unwrap();
        line
    }

    /// Source and bytes as a reader of the line finds them.
    fn read_back(line: &[u8]) -> (Option<String>, Vec<u8>) {
        let Some((body, b'\n')) = line.split_last().map(|(last, body)| (body, *last)) else {
            panic!("no end of line");
        };
        assert!(!body.contains(&b'\n') && !body.contains(&b'\r'));
        assert!(std::str::from_utf8(body).is_ok());
        let Ok(Line::Event(slow)) = classify(body) else {
            panic!("not one event");
        };
        if let Some(fast) = classify_at_a_glance(body) {
            assert_eq!(fast, slow);
        }
        assert_eq!(
            slow.received_at,
            Some(Timestamp::from_millis(1_709_599_200_250))
        );
        (
            slow.source.as_deref().map(str::to_owned),
            slow.received_bytes().unwrap().into_owned(),
        )
    }

    #[test]
    fn each_kind_of_body_is_one_line() {
        let shown = |source, body: &str| String::from_utf8(line(source, body.as_bytes())).unwrap();
        assert_eq!(
            shown("default", "{\"id\": \"evt_1\"}"),
            "{\"received_at\": 1709599200.250, \"event\": {\"id\": \"evt_1\"}}\n"
        );
        assert_eq!(
            shown("eu", "{\n  \"id\": \"evt_1\"\n}"),
            "{\"received_at\": 1709599200.250, \"source\": \"eu\", \"newlines\": \"tabs\", \
             \"event\": {\t  \"id\": \"evt_1\"\t}}\n"
        );
        assert_eq!(
            shown("default", "{\r\n\t\"id\": \"evt_1\"}\n"),
            "{\"received_at\": 1709599200.250, \"body_base64\": \"ew0KCSJpZCI6ICJldnRfMSJ9Cg==\", \
             \"event\": {   \"id\": \"evt_1\"}}\n"
        );
    }

    #[test]
    fn common_lines_are_read_at_a_glance() {
        for (source, body) in [
            ("default", "{\"id\": \"evt_1\"}"),
            ("eu-west", "{\n  \"id\": \"evt_1\"\n}"),
        ] {
            let line = line(source, body.as_bytes());
            assert!(classify_at_a_glance(line.trim_ascii()).is_some());
        }
    }

    #[test]
    fn lines_of_other_hands_keep_their_tabs() {
        let line = b"{\"received_at\": 1709599200.250, \"event\": {\t\"id\": \"evt_1\"}}\n";
        assert_eq!(read_back(line).1, b"{\t\"id\": \"evt_1\"}");
    }

    #[test]
    fn a_glance_takes_nothing_that_is_no_json() {
        let with = |from, to| {
            let line = r#"{"received_at": 1709599200.25, "source": "eu", "event": {"id": "e"} }"#;
            line.replace(from, to)
        };
        assert!(classify_at_a_glance(with("", "").as_bytes()).is_some());
        for (from, to) in [
            ("eu", "e\u{8}\0u"),
            (".25", "."),
            ("1709", "+1709"),
            ("1709", "01709"),
            (": {", ":\u{c}{"),
            ("} }", "}\u{c}}"),
        ] {
            let odd = with(from, to);
            assert_eq!(classify_at_a_glance(odd.as_bytes()), None, "{odd:?}");
        }
    }

    #[test]
    fn an_unknown_layout_or_broken_base64_is_said() {
        let odd = br#"{"received_at": 1709599200, "newlines": "bells", "event": {"id": "evt_1"}}"#;
        assert!(classify_at_a_glance(odd).is_none());
        assert!(classify(odd).unwrap_err().contains("newlines"));
        let broken = br#"{"received_at": 1709599200, "body_base64": "?", "event": {"id": "e"}}"#;
        let Ok(Line::Event(raw)) = classify(broken) else {
            panic!("not one event");
        };
        assert!(raw.received_bytes().unwrap_err().contains("Base64"));
    }

    /// Bodies that say the same in every way that JSON can be laid out, and some that are no text.
    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let blank = proptest::collection::vec(prop::sample::select(b" \t\n\r".to_vec()), 0..4);
        let inner = prop::sample::select(vec![
            b"a \\n \\t text".to_vec(),
            b"\xf0\x9f\x92\xb6 \\u0000".to_vec(),
            b"\xff\xfe".to_vec(),
        ]);
        (blank.clone(), blank.clone(), blank, inner).prop_map(|(one, two, three, inner)| {
            let (open, key, quote): (&[u8], &[u8], &[u8]) = (b"{", b"\"id\":", b"\"");
            [
                &one, open, &two, key, quote, &inner, quote, &three, b"}", &one,
            ]
            .concat()
        })
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(body in bodies(), source in "[a-z\"\\\\é]{1,8}") {
            let (named, bytes) = read_back(&line(&source, &body));
            prop_assert_eq!(named, Some(source));
            prop_assert_eq!(bytes, body);
        }
    }

    #[test]
    fn zstd_is_read_like_plain_lines() {
        let plain = [line("default", b"{\"id\": \"evt_1\"}"), line("eu", b"{\n}")];
        // Two frames, as a file that was written in two sittings has them.
        let packed: Vec<u8> = plain
            .iter()
            .flat_map(|line| zstd::stream::encode_all(line.as_slice(), 0).unwrap())
            .collect();
        let mut lines = Lines::open(io::Cursor::new(packed)).unwrap();
        let mut count = 0;
        while lines.next_chunk().unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 2);
    }
}
