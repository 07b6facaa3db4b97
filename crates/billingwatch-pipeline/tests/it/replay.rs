//! Recorded events: every form they are kept in, bad lines, and the journal as a recording.

use std::io::Write;

use billingwatch_core::alert::AlertChange;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::replay::lines::LINE_MAX_BYTES;
use billingwatch_pipeline::replay::{BadLine, ReplayError};
use billingwatch_pipeline::testing::{event_body, probe_registry};
use billingwatch_pipeline::{
    AlertLine, Replay, ReplayOptions, ReplayReport, ReplaySink, replay_journal,
};

use crate::support::{START, STORY, World, brief, line};

#[derive(Default)]
struct Sink {
    changes: Vec<AlertChange>,
    bad: Vec<String>,
}

impl ReplaySink for Sink {
    fn change(&mut self, change: &AlertChange) -> std::io::Result<()> {
        self.changes.push(change.clone());
        Ok(())
    }

    fn bad_line(&mut self, bad: &BadLine) {
        self.bad.push(bad.to_string());
    }
}

fn replay(input: impl Into<Vec<u8>>) -> (ReplayReport, Sink) {
    let mut sink = Sink::default();
    let mut replay = Replay::new(probe_registry(), &[], &ReplayOptions::default()).unwrap();
    let input = std::io::Cursor::new(input.into());
    replay.file("events.jsonl", input, &mut sink).unwrap();
    (replay.finish(&mut sink).unwrap(), sink)
}

fn failed(n: i64) -> String {
    let body = event_body(&format!("evt_{n}"), "charge.failed", START + Span::secs(n));
    String::from_utf8(body).unwrap()
}

fn pretty(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

/// All forms of the same three events find the same alert at the same time.
#[test]
fn every_form_of_a_recording_is_read() {
    let [one, two, three] = [1, 2, 3].map(failed);
    let wrapped = |n: i64, event: &str| {
        let at = START.as_secs() + n;
        format!("{{\"received_at\": {at}.0, \"event\": {event}}}")
    };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(format!("{one}\n{two}\n{three}\n").as_bytes())
        .unwrap();
    let gzip = gzip.finish().unwrap();
    let forms: Vec<(&str, Vec<u8>)> = vec![
        ("lines", format!("{one}\n{two}\n{three}\n").into()),
        ("no last newline", format!("{one}\n{two}\n{three}").into()),
        ("windows", format!("\u{feff}{one}\r\n\r\n{two}\r\n{three}\r\n").into()),
        (
            "wrapped",
            format!("{}\n{}\n{}", wrapped(1, &one), wrapped(2, &two), wrapped(3, &three)).into(),
        ),
        (
            "wrapped the other way round",
            [(1, &one), (2, &two), (3, &three)]
                .map(|(n, event)| {
                    let at = START.as_secs() + n;
                    format!("{{\"note\":[],\"event\":{event},\"received_at\":{at}}}\n")
                })
                .concat()
                .into(),
        ),
        (
            "rows of a table",
            [(1, &one), (2, &two), (3, &three)]
                .map(|(n, event)| {
                    let at = START.as_secs() + n;
                    format!(
                        "{{\"id\":\"row_{n}\",\"type\":\"charge.failed\",\"created\":{at},\"event\":{event}}}\n"
                    )
                })
                .concat()
                .into(),
        ),
        (
            "a tail after the event",
            [(1, &one), (2, &two), (3, &three)]
                .map(|(n, event)| {
                    let at = START.as_secs() + n;
                    format!("{{\"received_at\":{at},\"event\":{event},\"more\":{{}}}}\n")
                })
                .concat()
                .into(),
        ),
        (
            "list pages, newest first",
            format!(
                "{{\"object\":\"list\",\"data\":[{three},{two}],\"has_more\":true}}\n{{\"object\":\"list\",\"data\":[{one}]}}"
            )
            .into(),
        ),
        (
            "a pretty list page",
            pretty(&format!("{{\"object\":\"list\",\"data\":[{three},{two},{one}]}}")).into(),
        ),
        ("an array", format!("[{one},{two},{three}]").into()),
        (
            "pretty documents",
            format!("{}\n{}\n\n{}", pretty(&one), pretty(&two), pretty(&three)).into(),
        ),
        ("gzip", gzip),
    ];
    let (_, expected) = replay(forms[0].1.clone());
    assert_eq!(expected.changes.len(), 1);
    assert_eq!(
        brief(&expected.changes[0]),
        "+3 firing medium failures r1 n1"
    );
    for (name, input) in forms {
        let (report, sink) = replay(input);
        assert_eq!(sink.bad, Vec::<String>::new(), "{name}");
        assert_eq!((report.events, report.out_of_order), (3, 0), "{name}");
        assert_eq!(sink.changes, expected.changes, "{name}");
    }
}

#[test]
fn received_at_goes_before_created_and_keeps_its_decimals() {
    let (report, sink) = replay(format!(
        "{{\"received_at\": {}.25, \"event\": {}}}",
        START.as_secs() + 100,
        failed(1)
    ));
    assert_eq!(sink.bad, Vec::<String>::new());
    let expected = START + Span::millis(100_250);
    assert_eq!(report.first_at, Some(expected));
}

#[test]
fn a_bad_line_is_told_by_number_and_the_rest_is_read() {
    let mut too_long = vec![b'x'; LINE_MAX_BYTES + 10];
    too_long.push(b'\n');
    let implausible = |created: i64| {
        format!(
            "{{\"id\":\"evt_x\",\"type\":\"charge.failed\",\"created\":{created},\"data\":{{\"object\":{{}}}}}}"
        )
    };
    let mut input: Vec<u8> = [
        failed(1),
        "not JSON".to_owned(),
        String::new(),
        failed(2)[..50].to_owned(),
        "[1, 2]".to_owned(),
        "17".to_owned(),
        "{\"type\":\"charge.failed\"}".to_owned(),
        implausible(-2_208_988_800),
        implausible(253_402_300_799),
        "{\"id\":\"evt_y\",\"type\":\"charge.failed\"}".to_owned(),
        format!("{{\"received_at\": \"soon\", \"event\": {}}}", failed(9)),
        format!("{{\"received_at\": 1e300, \"event\": {}}}", failed(9)),
        "{\"object\":\"list\",\"data\":7}".to_owned(),
        failed(2),
    ]
    .join("\n")
    .into_bytes();
    input.push(b'\n');
    input.extend(&too_long);
    input.extend(b"\xff\xfe\n");
    input.extend(failed(3).as_bytes());
    let (report, sink) = replay(input);
    insta::assert_snapshot!(sink.bad.join("\n"), @r"
    events.jsonl:2: not JSON, at column 2
    events.jsonl:4: not JSON, at column 50
    events.jsonl:5: the body is not a JSON object
    events.jsonl:5: the body is not a JSON object
    events.jsonl:6: the body is not a JSON object
    events.jsonl:7: the event has no id
    events.jsonl:8: no `received_at`, and `created` is not a time between the years 2010 and 2100
    events.jsonl:9: no `received_at`, and `created` is not a time between the years 2010 and 2100
    events.jsonl:10: no `received_at`, and `created` is not a time between the years 2010 and 2100
    events.jsonl:11: `received_at` must be Unix seconds between the years 2010 and 2100
    events.jsonl:12: `received_at` must be Unix seconds between the years 2010 and 2100
    events.jsonl:13: a list page whose `data` is not an array
    events.jsonl:15: longer than may be read
    events.jsonl:16: not JSON, at column 1
    ");
    assert_eq!(report.events, 3);
    assert_eq!(report.bad_lines, u64::try_from(sink.bad.len()).unwrap());
    assert_eq!(sink.changes.len(), 1, "the good lines around them count");
}

#[test]
fn an_event_within_a_recording_twice_counts_once() {
    let (report, sink) = replay([failed(1), failed(1), failed(1), failed(2)].join("\n"));
    assert_eq!((report.events, report.duplicates), (4, 2));
    assert_eq!(sink.changes.len(), 0);
}

#[test]
fn lines_out_of_order_are_counted_and_time_stands_still() {
    let (report, _) = replay([failed(500), failed(1), failed(600)].join("\n"));
    assert_eq!(report.out_of_order, 1);
    assert_eq!(report.last_at, Some(START + Span::secs(600)));
}

#[test]
fn a_gzip_file_cut_off_ends_with_an_error_and_what_came_before_it() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    for n in 1..=2000 {
        writeln!(gzip, "{}", failed(n)).unwrap();
    }
    let mut bytes = gzip.finish().unwrap();
    bytes.truncate(bytes.len() / 2);
    let mut sink = Sink::default();
    let mut replay = Replay::new(probe_registry(), &[], &ReplayOptions::default()).unwrap();
    let outcome = replay.file("cut.gz", std::io::Cursor::new(bytes), &mut sink);
    assert!(
        matches!(outcome, Err(ReplayError::Read { .. })),
        "{outcome:?}"
    );
    assert!(replay.finish(&mut sink).unwrap().events > 100);
}

#[test]
fn time_can_run_on_after_the_last_event() {
    let options = ReplayOptions {
        run_on: Span::minutes(30),
        ..ReplayOptions::default()
    };
    let mut sink = Sink::default();
    let mut replay = Replay::new(probe_registry(), &[], &options).unwrap();
    let input = std::io::Cursor::new(failed(1));
    replay.file("-", input, &mut sink).unwrap();
    let report = replay.finish(&mut sink).unwrap();
    assert_eq!(brief(&sink.changes[0]), "+660 firing low quiet r1 n1");
    assert_eq!(report.open_at_end, 1);
}

/// The journal's replay is the live run, byte for byte, however the live run went.
#[test]
fn a_replay_of_the_journal_finds_what_the_live_run_found() {
    let mut world = World::new();
    let mut live = world.pump.subscribe();
    world.play_live();
    let mut told = Vec::new();
    while let Ok(change) = live.try_recv() {
        told.push(line(&change));
    }
    let mut sink = Sink::default();
    let report = replay_journal(&world.store, probe_registry(), &mut sink).unwrap();
    let replayed: Vec<String> = sink.changes.iter().map(line).collect();
    assert_eq!(replayed, told);
    assert_eq!(replayed, world.outcome().changes);
    assert_eq!(report.events, 13);
}

/// The same, from a file with the times of receipt.
#[test]
fn a_replay_of_a_file_finds_what_the_live_run_found() {
    let mut world = World::new();
    world.play_live();
    let lines: Vec<String> = STORY
        .iter()
        .filter(|(_, id, _)| !id.is_empty())
        .map(|(secs, id, event_type)| {
            let at = START + Span::secs(*secs);
            let body = String::from_utf8(event_body(id, event_type, at)).unwrap();
            format!("{{\"received_at\":{},\"event\":{body}}}", at.as_secs())
        })
        .collect();
    let mut sink = Sink::default();
    let last = STORY.last().unwrap().0 - 3700;
    let options = ReplayOptions {
        run_on: Span::secs(last),
        ..ReplayOptions::default()
    };
    let mut replay = Replay::new(probe_registry(), &[], &options).unwrap();
    let input = std::io::Cursor::new(lines.join("\n"));
    replay.file("events.jsonl", input, &mut sink).unwrap();
    replay.finish(&mut sink).unwrap();
    let replayed: Vec<String> = sink.changes.iter().map(line).collect();
    assert_eq!(replayed, world.outcome().changes);
}

#[test]
fn an_alert_line_is_as_promised() {
    let (_, sink) = replay([1, 2, 3].map(failed).join("\n"));
    let written = |change| AlertLine::of(change).to_json().unwrap();
    insta::assert_snapshot!(written(&sink.changes[0]), @r#"{"at":1709510403,"detector":"probe","severity":"medium","status":"firing","subject":null,"subjects":[],"key":"probe:default/-/live:failures","title":"Charges fail","message":"3 charges failed","currency":null,"amount_at_stake":null,"evidence":{"event_ids":["evt_3"],"object_ids":[],"measures":[],"reasons":[],"details":{}}}"#);
    let mut change = sink.changes[0].clone();
    change.at = Timestamp::from_millis(1_709_599_200_250);
    assert!(written(&change).starts_with("{\"at\":1709599200.25,"));
}

#[test]
fn a_broken_pretty_document_is_told_by_the_line_it_begins_on() {
    let whole = pretty(&failed(1));
    let lines = whole.lines().count();
    let (report, sink) = replay(format!("\n{whole}\n\n{}", &whole[..whole.len() / 2]));
    assert_eq!(report.events, 1);
    assert_eq!(sink.bad.len(), 1);
    let place = format!("events.jsonl:{}: ", lines + 3);
    assert!(sink.bad[0].starts_with(&place), "{} {place}", sink.bad[0]);
}

#[test]
fn nothing_at_all_is_no_error() {
    for input in ["", "\n\n", "\u{feff}"] {
        let (report, sink) = replay(input);
        assert_eq!((report.lines, report.bad_lines), (0, 0), "{input:?}");
        assert_eq!(sink.changes, []);
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writeln!(gzip, "{}", failed(1)).unwrap();
    let mut twice = gzip.finish().unwrap();
    twice.extend(twice.clone());
    assert_eq!(replay(twice).0.events, 2, "gzip files may be joined");
}

/// It opens a bracket too, but no pretty-printed file would break off there.
#[test]
fn a_first_line_cut_off_does_not_take_the_file_with_it() {
    let (report, sink) = replay(format!("{}\n{}", &failed(1)[..70], failed(2)));
    assert_eq!((report.events, sink.bad.len()), (1, 1));
}
