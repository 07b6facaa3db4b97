//! Text that came from strangers, made fit to stand in a line of ours.
//!
//! Alerts quote what customers and merchants typed into Stripe. Each medium escapes for itself;
//! what all need, one line of bounded length that reads in the direction it is written, is here.

/// Appended where text was cut.
const ELLIPSIS: char = '…';

/// One line: control characters, line breaks and runs of white space become one space, and
/// characters that reorder or hide text are dropped.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut is_gap = false;
    for c in text.chars().filter(|c| !is_deceptive(*c)) {
        if c.is_whitespace() || c.is_control() {
            is_gap = !line.is_empty();
            continue;
        }
        if is_gap {
            line.push(' ');
            is_gap = false;
        }
        line.push(c);
    }
    line
}

/// Zero-width and bidirectional controls: they make a line look like another one.
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// At most `max` UTF-16 units, the last one an ellipsis when something was cut.
///
/// Units, because that is how chat services written in JavaScript count; no other count is larger.
pub(crate) fn cap(text: &str, max: usize) -> String {
    if len(text) <= max {
        return text.to_owned();
    }
    let mut left = max.saturating_sub(ELLIPSIS.len_utf16());
    let mut cut: String = text
        .chars()
        .take_while(|c| match left.checked_sub(c.len_utf16()) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .collect();
    if max > 0 {
        cut.push(ELLIPSIS);
    }
    cut
}

/// Length in UTF-16 units.
pub(crate) fn len(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// One line of at most `max` units.
pub(crate) fn line(text: &str, max: usize) -> String {
    cap(&one_line(text), max)
}

/// `failure_rate` → `failure rate`.
pub(crate) fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// `failure_rate` → `Failure rate`.
pub(crate) fn label(name: &str) -> String {
    let words = words(name);
    let mut chars = words.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_break_the_line() {
        assert_eq!(
            one_line("  a\r\nBcc: x@y.z\n\n\tb\u{2028}c\0d "),
            "a Bcc: x@y.z b c d"
        );
        assert_eq!(one_line("pay\u{202e}gpj\u{200b}.exe"), "paygpj.exe");
        assert_eq!(one_line("Zoë 日本 👍"), "Zoë 日本 👍");
    }

    #[test]
    fn cuts_are_counted_in_utf16_units_and_shown() {
        assert_eq!(cap("abcdef", 6), "abcdef");
        assert_eq!(cap("abcdefg", 6), "abcde…");
        assert_eq!(cap("👍👍👍", 4), "👍…");
        assert_eq!(cap("abc", 0), "");
        assert!(len(&cap(&"👍".repeat(500), 255)) <= 255);
    }

    #[test]
    fn names_become_words() {
        assert_eq!(label("charge_failure_spike"), "Charge failure spike");
        assert_eq!(label(""), "");
    }
}
