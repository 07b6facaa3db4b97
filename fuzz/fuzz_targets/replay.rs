//! A recording: whatever it holds is read to its end or refused, by every detector, and means the same
//! whether it is packed or not and whichever way its lines are looked at.
#![no_main]

use std::io::{Cursor, Write};

use billingwatch_core::alert::AlertChange;
use billingwatch_core::engine::Registry;
use billingwatch_core::stripe::payload::parse_event;
use billingwatch_core::time::Timestamp;
use billingwatch_pipeline::replay::lines::{Line, classify, classify_at_a_glance};
use billingwatch_pipeline::{Replay, ReplayOptions, ReplayReport};
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

fuzz_target!(|recording: &[u8]| {
    let plain = replay(recording);
    for line in recording.split(|byte| *byte == b'\n') {
        check_line(line.trim_ascii());
    }
    // What is packed already is not packed again.
    if recording.starts_with(&[0x1f, 0x8b]) || recording.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return;
    }
    let packed = match recording.len() % 2 {
        0 => gzip(recording),
        _ => zstd::bulk::compress(recording, 1).expect("packed"),
    };
    assert_eq!(replay(&packed), plain);
});

fn replay(recording: &[u8]) -> (ReplayReport, Vec<AlertChange>, bool) {
    let mut changes: Vec<AlertChange> = Vec::new();
    let options = ReplayOptions::default();
    let mut replay = Replay::new(Registry::standard(), &[], &options).expect("defaults are good");
    let read = replay.file("-", Cursor::new(recording.to_vec()), &mut changes);
    let report = replay.finish(&mut changes).expect("a vector takes all");
    (report, changes, read.is_ok())
}

/// The quick look at a line sees what the thorough one sees, or nothing.
fn check_line(line: &[u8]) {
    let Some(glanced) = classify_at_a_glance(line) else {
        let _ = classify(line);
        return;
    };
    let _ = glanced.received_bytes();
    // The thorough look takes text alone; a body may hold other bytes where nobody reads.
    if std::str::from_utf8(line).is_err() || parse_event(glanced.body, NOW).is_err() {
        return;
    }
    match classify(line) {
        // The caller asks again where the event outside names no object; else that is the one.
        Ok(Line::Event(inner)) if glanced.received_at.is_none() && inner != glanced => {
            assert!(inner.body.len() < glanced.body.len());
        }
        classified => assert_eq!(classified, Ok(Line::Event(glanced))),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("packed")
}
