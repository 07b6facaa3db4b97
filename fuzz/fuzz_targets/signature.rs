//! `header\nbody`: only what was signed verifies, and junk beside a signature does no harm.
#![no_main]

use billingwatch_core::stripe::signature::{
    HEADER_BYTES_MAX, SIGNATURES_MAX, Secret, Tolerance, sign, verify,
};
use billingwatch_core::time::Timestamp;
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fuzz_target!(|data: &[u8]| {
    let split = data.iter().position(|byte| *byte == b'\n');
    let (header, body) = data.split_at(split.unwrap_or(data.len()));
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    let secrets = [
        Secret::new("whsec_unknown_to_the_fuzzer_1"),
        Secret::new("whsec_unknown_to_the_fuzzer_2"),
    ];
    let check = |header: &[u8]| verify(Some(header), body, &secrets, Tolerance::DEFAULT, NOW);

    // Without the secret a signature would have to be guessed.
    assert!(check(header).is_err());
    if body.is_empty() {
        return;
    }

    let signed = sign(&secrets[1], NOW, body);
    let verified = check(signed.as_bytes()).expect("what was signed verifies");
    assert_eq!((verified.secret_index, verified.timestamp), (1, NOW));

    // Junk beside it is passed over, unless it is a second time or too much of it.
    let beside = [header, b",", signed.as_bytes()].concat();
    let items = || header.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let times_differ = items()
        .filter_map(|item| item.strip_prefix(b"t="))
        .any(|t| t != b"1700000000");
    let signatures = items().filter(|item| item.starts_with(b"v1=")).count();
    let is_refused = times_differ
        || signatures >= SIGNATURES_MAX
        || beside.trim_ascii().len() > HEADER_BYTES_MAX;
    assert_eq!(check(&beside).is_err(), is_refused);
});
