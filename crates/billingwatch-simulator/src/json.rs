//! Writes JSON front to back into one buffer. No tree is built: the benches feed on this crate.
//!
//! Keys are the crate's own literals and are not escaped; values are.

use std::io::Write as _;

/// A value that can write itself.
pub(crate) trait Json {
    fn write(&self, w: &mut Writer);
}

/// The buffer, and whether the next field needs a comma.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
    comma: bool,
}

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
            comma: false,
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
    }

    fn key(&mut self, key: &str) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn braced(&mut self, ends: [u8; 2], inside: impl FnOnce(&mut Self)) {
        self.out.push(ends[0]);
        self.comma = false;
        inside(self);
        self.out.push(ends[1]);
        self.comma = true;
    }

    /// The outermost object, or an object within a list.
    pub(crate) fn item(&mut self, inside: impl FnOnce(&mut Self)) {
        self.separate();
        self.braced(*b"{}", inside);
    }

    pub(crate) fn field(&mut self, key: &str, value: impl Json) {
        self.key(key);
        value.write(self);
    }

    pub(crate) fn null(&mut self, key: &str) {
        self.raw(key, "null");
    }

    pub(crate) fn obj(&mut self, key: &str, inside: impl FnOnce(&mut Self)) {
        self.key(key);
        self.braced(*b"{}", inside);
    }

    pub(crate) fn list(&mut self, key: &str, inside: impl FnOnce(&mut Self)) {
        self.key(key);
        self.braced(*b"[]", inside);
    }

    /// A value that is JSON already.
    pub(crate) fn raw(&mut self, key: &str, json: &str) {
        self.key(key);
        self.out.extend_from_slice(json.as_bytes());
    }

    /// A value within a list.
    pub(crate) fn bare(&mut self, value: impl Json) {
        self.separate();
        value.write(self);
    }

    /// Several fields that are JSON already, without the outer commas.
    pub(crate) fn fields(&mut self, json: &str) {
        self.separate();
        self.out.extend_from_slice(json.as_bytes());
    }

    /// A string whose text needs no escaping.
    pub(crate) fn quoted(&mut self, text: impl FnOnce(&mut Vec<u8>)) {
        self.out.push(b'"');
        text(&mut self.out);
        self.out.push(b'"');
    }

    /// A string in pieces, each escaped.
    pub(crate) fn text(&mut self, key: &str, pieces: &[&str]) {
        self.key(key);
        self.out.push(b'"');
        for piece in pieces {
            escape(&mut self.out, piece);
        }
        self.out.push(b'"');
    }
}

fn escape(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            // Writing to a vector does not fail.
            0..=0x1f => drop(write!(out, "\\u{byte:04x}")),
            _ => out.push(byte),
        }
    }
}

impl Json for str {
    fn write(&self, w: &mut Writer) {
        w.out.push(b'"');
        escape(&mut w.out, self);
        w.out.push(b'"');
    }
}

impl Json for bool {
    fn write(&self, w: &mut Writer) {
        w.out
            .extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl Json for i64 {
    fn write(&self, w: &mut Writer) {
        // Writing to a vector does not fail.
        drop(write!(w.out, "{self}"));
    }
}

impl<T: Json + ?Sized> Json for &T {
    fn write(&self, w: &mut Writer) {
        (**self).write(w);
    }
}

impl<T: Json> Json for Option<T> {
    fn write(&self, w: &mut Writer) {
        match self {
            Some(value) => value.write(w),
            None => w.out.extend_from_slice(b"null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Writer;

    #[test]
    fn commas_nesting_and_escapes_are_right() {
        let mut w = Writer::with_capacity(64);
        w.item(|w| {
            w.field("a", 1_i64);
            w.obj("b", |w| w.field("c", "say \"ü\"\n\\"));
            w.list("d", |w| {
                w.item(|w| w.field("e", true));
                w.item(|w| w.null("f"));
            });
            w.fields(r#""g":[],"h":{}"#);
            w.text("i", &["x", "\"y"]);
            w.field("j", None::<i64>);
        });
        let text = String::from_utf8(w.into_bytes()).unwrap_or_default();
        assert_eq!(
            text,
            r#"{"a":1,"b":{"c":"say \"ü\"\u000a\\"},"d":[{"e":true},{"f":null}],"g":[],"h":{},"i":"x\"y","j":null}"#
        );
    }
}
