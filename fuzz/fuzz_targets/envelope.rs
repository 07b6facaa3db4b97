//! What is kept beside a body fits its column, and a cloud envelope around it changes nothing.
#![no_main]

use billingwatch_core::stripe::payload::{Envelope, TYPE_UNKNOWN, read_envelope};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(envelope) = read_envelope(body) else {
        return;
    };
    check_columns(&envelope);
    let wrapped = [br#"{"id":"outer","detail":"#, body, b"}"].concat();
    let wrapped = read_envelope(&wrapped).expect("around JSON it is JSON");
    // What has no type is not taken for an event inside an envelope.
    if envelope.event_type != TYPE_UNKNOWN {
        assert!(wrapped == envelope || body_is_wrapped(body));
    }
});

fn check_columns(envelope: &Envelope) {
    let optional = [
        &envelope.account,
        &envelope.api_version,
        &envelope.object_id,
        &envelope.customer_id,
    ];
    let texts = [&envelope.id, &envelope.event_type]
        .into_iter()
        .chain(optional.into_iter().flatten());
    for text in texts {
        assert!((1..=255).contains(&text.chars().count()));
        assert!(!text.chars().any(char::is_control));
    }
}

/// It is an envelope itself, of which only one is opened.
fn body_is_wrapped(body: &[u8]) -> bool {
    let has = |word: &[u8]| body.windows(word.len()).any(|window| window == word);
    has(b"detail") || has(b"specversion") || has(b"\\u")
}
