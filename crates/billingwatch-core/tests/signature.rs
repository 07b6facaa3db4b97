//! Every case that Stripe's own SDKs test, and those in which they differ.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use billingwatch_core::stripe::signature::{
    HEADER_BYTES_MAX, SIGNATURES_MAX, Secret, SignatureError, Tolerance, Verified, sign, verify,
};
use billingwatch_core::time::{Span, Timestamp};

const BODY: &[u8] = br#"{"id":"evt_test_webhook","object":"event"}"#;
const SECRET: &str = "whsec_test_secret";
const ROLLED: &str = "whsec_test_secret_rolled_key";
const BY_SECRET: &str = "d95c6b7477fbd7e9f90b1b0ef5f9c7ac25abca5382460e0d988c2b2a5b71b990";
const BY_ROLLED: &str = "7548122dce5e2b728b67327c07959ace6ce459f5ca13822932dac476fc4e0005";
const T: Timestamp = Timestamp::from_secs(1_700_000_000);
const OK: Verified = Verified {
    secret_index: 0,
    timestamp: T,
};
const MISMATCH: SignatureError = SignatureError::Mismatch {
    secret_has_whitespace: false,
};

fn check(header: &str) -> Result<Verified, SignatureError> {
    check_at(header, Tolerance::DEFAULT, T)
}

fn check_at(
    header: &str,
    tolerance: Tolerance,
    now: Timestamp,
) -> Result<Verified, SignatureError> {
    let secrets = [Secret::new(SECRET)];
    verify(Some(header.as_bytes()), BODY, &secrets, tolerance, now)
}

fn check_with(header: &str, secrets: &[Secret]) -> Result<usize, SignatureError> {
    verify(
        Some(header.as_bytes()),
        BODY,
        secrets,
        Tolerance::DEFAULT,
        T,
    )
    .map(|verified| verified.secret_index)
}

fn signed() -> String {
    format!("t=1700000000,v1={BY_SECRET}")
}

#[test]
fn the_published_algorithm_gives_the_test_vector() {
    assert_eq!(sign(&Secret::new(SECRET), T, BODY), signed());
    assert_eq!(
        sign(&Secret::new(ROLLED), T, BODY),
        format!("t=1700000000,v1={BY_ROLLED}")
    );
    assert_eq!(check(&signed()), Ok(OK));
}

#[test]
fn the_body_counts_byte_for_byte_and_need_not_be_json() {
    let secrets = [Secret::new(SECRET)];
    let bodies: [&[u8]; 4] = [b"not JSON", b"\xff\xfe\x00", b"{\n  \"id\": 1\n}", b"{}"];
    for body in bodies {
        let header = sign(&secrets[0], T, body);
        let header = Some(header.as_bytes());
        let check = |body: &[u8]| verify(header, body, &secrets, Tolerance::DEFAULT, T);
        assert_eq!(check(body), Ok(OK));
        assert_eq!(check(&[body, b"\n"].concat()), Err(MISMATCH));
        assert_eq!(check(b""), Err(SignatureError::NoPayload));
    }
}

#[test]
fn a_missing_header_is_named() {
    let secrets = [Secret::new(SECRET)];
    for header in [None, Some(&b""[..]), Some(b"  ")] {
        let answer = verify(header, BODY, &secrets, Tolerance::DEFAULT, T);
        assert_eq!(answer, Err(SignatureError::Missing));
    }
}

#[test]
fn a_malformed_header_is_named() {
    let headers = [
        "bad_header".to_owned(),
        "I'm not even a real signature header".to_owned(),
        format!("v1={BY_SECRET}"),
        format!("t=,v1={BY_SECRET}"),
        format!("t,v1={BY_SECRET}"),
        format!("t=now,v1={BY_SECRET}"),
        format!("t=-1700000000,v1={BY_SECRET}"),
        format!("t=+1700000000,v1={BY_SECRET}"),
        format!("t=1.7e9,v1={BY_SECRET}"),
        format!("t=99999999999999999999,v1={BY_SECRET}"),
        format!("t=1700000000,t=1700000001,v1={BY_SECRET}"),
        format!("{},x={}", signed(), "x".repeat(HEADER_BYTES_MAX)),
        "x".repeat(1 << 20),
        format!("{}{}", "v1=0,".repeat(SIGNATURES_MAX), signed()),
    ];
    for header in headers {
        let shown: String = header.chars().take(80).collect();
        assert!(
            matches!(check(&header), Err(SignatureError::Malformed(_))),
            "{shown}"
        );
    }
    // Go refuses this one for its first item; here its time is read, and there is no signature.
    assert_eq!(check("v1,t=1"), Err(SignatureError::NoExpectedScheme));
}

#[test]
fn bytes_that_are_no_text_are_no_time() {
    let secrets = [Secret::new(SECRET)];
    let header = [b"t=\xff\xfe,v1=".as_slice(), BY_SECRET.as_bytes()].concat();
    let answer = verify(Some(&header), BODY, &secrets, Tolerance::DEFAULT, T);
    assert!(matches!(answer, Err(SignatureError::Malformed(_))));
}

#[test]
fn only_v1_counts() {
    for scheme in ["v0", "v2", "V1", "v10"] {
        let header = format!("t=1700000000,{scheme}={BY_SECRET}");
        assert_eq!(check(&header), Err(SignatureError::NoExpectedScheme));
    }
    let with_fake = format!("t=1700000000,v1={BY_SECRET},v0=6ffbb59b2300aae63f272406069a9788");
    assert_eq!(check(&with_fake), Ok(OK));
    let downgraded = format!("t=1700000000,v1={BY_ROLLED},v0={BY_SECRET}");
    assert_eq!(check(&downgraded), Err(MISMATCH));
}

#[test]
fn a_wrong_signature_matches_nothing() {
    for signature in [
        "bad_signature",
        "",
        &BY_SECRET.replacen('d', "e", 1),
        &BY_SECRET[..63],
        &BY_SECRET[..62],
        &format!("{BY_SECRET}00"),
        &BY_SECRET.to_uppercase(),
        BY_ROLLED,
    ] {
        let header = format!("t=1700000000,v1={signature}");
        assert_eq!(check(&header), Err(MISMATCH), "{signature}");
    }
    // The time is signed too, as text.
    for time in ["1700000001", "01700000000"] {
        assert_eq!(check(&format!("t={time},v1={BY_SECRET}")), Err(MISMATCH));
    }
}

#[test]
fn junk_beside_a_right_signature_is_passed_over() {
    for header in [
        format!("t=1700000000,v1=bad_signature,v1={BY_SECRET}"),
        format!("t=1700000000,v1={BY_SECRET},v1=potato"),
        format!("t=1700000000,v1=zz{},v1={BY_SECRET}", &BY_SECRET[2..]),
        format!("junk,t=1700000000,=,,a=b=c,v1={BY_SECRET},"),
        format!("v1={BY_SECRET},t=1700000000"),
        format!("t=1700000000,t=1700000000,v1={BY_SECRET}"),
        format!("  t=1700000000, v1={BY_SECRET} "),
    ] {
        assert_eq!(check(&header), Ok(OK), "{header}");
    }
}

#[test]
fn during_a_roll_either_secret_verifies_and_is_named() {
    let header = format!("t=1700000000,v1={BY_ROLLED},v1={BY_SECRET}");
    for secret in [SECRET, ROLLED] {
        assert_eq!(check_with(&header, &[Secret::new(secret)]), Ok(0));
    }
    let all = [SECRET, "whsec_other", ROLLED].map(Secret::new);
    let by_rolled = format!("t=1700000000,v1={BY_ROLLED}");
    assert_eq!(check_with(&by_rolled, &all), Ok(2));
    assert_eq!(check_with(&header, &all[1..2]), Err(MISMATCH));
}

#[test]
fn age_is_bounded_both_ways_to_the_millisecond() {
    let ten = Tolerance::within(Span::secs(10)).unwrap();
    let at = |tolerance, ms| check_at(&signed(), tolerance, T + Span::millis(ms));
    let too_old = |ms| {
        Err(SignatureError::TooOld {
            age: Span::millis(ms),
        })
    };
    assert_eq!(at(ten, 9_000), Ok(OK));
    assert_eq!(at(ten, 15_000), too_old(15_000));
    assert_eq!(at(Tolerance::DEFAULT, 299_000), Ok(OK));
    assert_eq!(at(Tolerance::DEFAULT, 300_000), Ok(OK));
    assert_eq!(at(Tolerance::DEFAULT, 300_001), too_old(300_001));
    assert_eq!(at(Tolerance::DEFAULT, -300_000), Ok(OK));
    assert_eq!(
        at(Tolerance::DEFAULT, -301_000),
        Err(SignatureError::InFuture {
            ahead: Span::secs(301)
        })
    );
}

#[test]
fn an_ancient_time_passes_only_where_age_is_unchecked() {
    let ancient = Timestamp::from_secs(12_345);
    let header = sign(&Secret::new(SECRET), ancient, BODY);
    assert_eq!(check(&header).unwrap_err().code(), "too_old");
    let verified = check_at(&header, Tolerance::UNCHECKED, T).unwrap();
    assert_eq!(verified.timestamp, ancient);
}

#[test]
fn a_tolerance_is_never_zero() {
    assert!(Tolerance::within(Span::secs(-1)).is_err());
    assert_eq!(
        Tolerance::within(Span::ZERO).unwrap_err().to_string(),
        "a signature tolerance of 0 s makes no sense: it has to be more than zero"
    );
}

#[test]
fn a_forged_stale_header_is_a_mismatch_and_not_stale() {
    assert_eq!(check(&format!("t=12345,v1={BY_SECRET}")), Err(MISMATCH));
}

#[test]
fn without_a_secret_nothing_verifies() {
    let by_empty_key = sign(&Secret::new(""), T, BODY);
    for secrets in [vec![], vec![Secret::new(""), Secret::new("  ")]] {
        let answer = check_with(&by_empty_key, &secrets);
        assert_eq!(answer, Err(SignatureError::NoSecret));
    }
    let with_a_real_one = [Secret::new(""), Secret::new(SECRET)];
    assert_eq!(check_with(&by_empty_key, &with_a_real_one), Err(MISMATCH));
    assert_eq!(check_with(&signed(), &with_a_real_one), Ok(1));
}

#[test]
fn a_badly_pasted_secret_is_hinted_at_and_never_shown() {
    let pasted = Secret::new(format!("{SECRET}\n"));
    assert!(pasted.has_whitespace() && pasted.has_prefix());
    assert_eq!(format!("{pasted:?}"), "Secret(redacted)");
    assert_eq!(
        check_with(&signed(), &[pasted]).unwrap_err().to_string(),
        "no signature matches the payload; a configured signing secret contains white space, \
         which Stripe's never do"
    );
    assert_eq!(MISMATCH.to_string(), "no signature matches the payload");
}

#[test]
fn every_code_is_listed_once() {
    let span = Span::ZERO;
    let all = [
        SignatureError::Missing,
        SignatureError::NoPayload,
        SignatureError::Malformed(""),
        SignatureError::NoExpectedScheme,
        SignatureError::NoSecret,
        MISMATCH,
        SignatureError::TooOld { age: span },
        SignatureError::InFuture { ahead: span },
    ];
    assert_eq!(all.map(|error| error.code()), SignatureError::CODES);
}
