//! Conditions begin, become worse and end; each once.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::*;
use crate::spool::SpoolStatus;
use crate::status::{ChannelStatus, RefusalRun};

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A reading so many minutes after the start, with nothing wrong.
fn well(minutes: i64) -> Reading {
    Reading {
        at: START + Span::minutes(minutes),
        status: PipelineStatus::default(),
        disk: Some(disk(10_000)),
    }
}

fn reading(minutes: i64, change: impl FnOnce(&mut Reading)) -> Reading {
    let mut reading = well(minutes);
    change(&mut reading);
    reading
}

/// What a look says: status, key's end and severity.
fn told(operations: &mut Operations, reading: &Reading) -> Vec<String> {
    let changes = operations.look(reading).into_iter();
    changes
        .map(|change| {
            let alert = change.alert;
            let key = alert.key.rsplit(':').next().unwrap_or_default().to_owned();
            format!("{} {key} {}", alert.status.as_str(), alert.severity)
        })
        .collect()
}

const NOTHING: [&str; 0] = [];

/// A large disk with so much free.
const fn disk(free_mebibytes: u64) -> DiskSpace {
    DiskSpace {
        free_bytes: free_mebibytes * 1024 * 1024,
        size_bytes: 100_000 * 1024 * 1024,
    }
}

#[test]
fn a_small_disk_is_nearly_full_at_a_tenth() {
    let with = |free_bytes| DiskSpace {
        free_bytes,
        size_bytes: 1_000,
    };
    assert!(!is_nearly_full(with(100)));
    assert!(is_nearly_full(with(99)));
}

#[test]
fn a_full_disk_is_told_once_at_each_severity_and_ends_above_the_line() {
    let mut operations = Operations::default();
    let mut at = |minutes, mebibytes: u64| {
        let reading = reading(minutes, |reading| {
            reading.disk = Some(disk(mebibytes));
        });
        told(&mut operations, &reading)
    };
    assert_eq!(at(0, 513), NOTHING);
    assert_eq!(at(1, 511), ["firing disk high"]);
    assert_eq!(at(2, 400), NOTHING);
    assert_eq!(at(3, 63), ["escalated disk critical"]);
    // Between the lines it goes on, and never becomes harmless meanwhile.
    assert_eq!(at(4, 600), NOTHING);
    assert_eq!(at(5, 500), NOTHING);
    assert_eq!(at(6, 768), ["resolved disk critical"]);
    assert_eq!(at(7, 768), NOTHING);
}

#[test]
fn a_run_of_bad_signatures_is_one_alert_for_its_source() {
    let mut operations = Operations::default();
    let mut at = |minutes, total: u64| {
        let reading = reading(minutes, |reading| {
            let counts = &mut reading.status.bad_signatures;
            counts.insert("eu".to_owned(), total);
            counts.insert("default".to_owned(), 1);
        });
        told(&mut operations, &reading)
    };
    // One now and then is the internet.
    assert_eq!(at(0, 3), NOTHING);
    assert_eq!(at(9, 9), NOTHING);
    assert_eq!(at(15, 12), NOTHING);
    assert_eq!(at(16, 19), ["firing bad_signatures/eu high"]);
    assert_eq!(at(17, 5_000), NOTHING);
    assert_eq!(at(26, 5_000), NOTHING);
    assert_eq!(at(40, 5_000), ["resolved bad_signatures/eu high"]);
}

#[test]
fn a_pump_must_be_behind_for_a_while() {
    let mut operations = Operations::default();
    let mut at = |minutes, secs: i64| {
        let reading = reading(minutes, |reading| reading.status.lag_secs = secs);
        told(&mut operations, &reading)
    };
    assert_eq!(at(0, 61), NOTHING);
    assert_eq!(at(1, 120), NOTHING);
    // A gap in it begins the wait anew.
    assert_eq!(at(2, 5), NOTHING);
    assert_eq!(at(3, 61), NOTHING);
    assert_eq!(at(5, 61), ["firing pump high"]);
    assert_eq!(at(6, 30), NOTHING);
    assert_eq!(at(7, 10), ["resolved pump high"]);
}

fn spooling(since: Option<i64>, last: Option<(i64, i64)>) -> SpoolStatus {
    let at = |minutes| START + Span::minutes(minutes);
    SpoolStatus {
        spooling_since: since.map(at),
        last_outage: last.map(|(from, to)| Outage {
            began_at: at(from),
            ended_at: at(to),
            events: 7,
        }),
        ..SpoolStatus::default()
    }
}

#[test]
fn a_database_that_was_away_is_told_once_it_is_back() {
    let mut operations = Operations::default();
    let mut at = |minutes, spool: SpoolStatus| {
        let reading = reading(minutes, |reading| reading.status.spool = Some(spool));
        told(&mut operations, &reading)
    };
    assert_eq!(at(0, spooling(None, None)), NOTHING);
    // A restart is no incident, neither while it lasts nor afterwards.
    assert_eq!(at(1, spooling(Some(1), None)), NOTHING);
    assert_eq!(at(2, spooling(None, Some((1, 1)))), NOTHING);
    // Most of the time it is over before anything can be told.
    assert_eq!(
        at(20, spooling(None, Some((10, 19)))),
        ["firing spool high"]
    );
    assert_eq!(at(23, spooling(None, Some((10, 19)))), NOTHING);
    assert_eq!(
        at(24, spooling(None, Some((10, 19)))),
        ["resolved spool high"]
    );
    // Where the database can be told and takes no events all the same.
    assert_eq!(
        at(31, spooling(Some(30), Some((10, 19)))),
        ["firing spool high"]
    );
    assert_eq!(at(32, spooling(None, Some((30, 32)))), NOTHING);
    assert_eq!(
        at(37, spooling(None, Some((30, 32)))),
        ["resolved spool high"]
    );
}

fn channel(failures_in_row: i64, since_minutes: Option<i64>, is_disabled: bool) -> ChannelStatus {
    ChannelStatus {
        name: "webhook".to_owned(),
        failures_in_row,
        failing_since: since_minutes.map(|minutes| START + Span::minutes(minutes)),
        is_disabled,
        ..ChannelStatus::default()
    }
}

#[test]
fn a_channel_must_fail_often_and_for_a_while_or_be_gone() {
    let mut operations = Operations::default();
    let mut at = |minutes, channel: ChannelStatus| {
        let reading = reading(minutes, |reading| reading.status.channels.push(channel));
        told(&mut operations, &reading)
    };
    assert_eq!(at(4, channel(9, Some(0), false)), NOTHING);
    assert_eq!(at(6, channel(2, Some(0), false)), NOTHING);
    let failing = ["firing channel/webhook high"];
    assert_eq!(at(7, channel(3, Some(0), false)), failing);
    assert_eq!(at(8, channel(4, Some(0), false)), NOTHING);
    assert_eq!(
        at(9, channel(0, None, false)),
        ["resolved channel/webhook high"]
    );
    assert_eq!(at(10, channel(1, Some(10), true)), failing);
}

#[test]
fn a_restart_takes_up_what_was_open_and_tells_its_end() {
    let mut before = Operations::default();
    let low = reading(0, |reading| reading.disk = Some(disk(0)));
    let fired = before.look(&low).remove(0).alert;
    let mut foreign = fired.clone();
    foreign.detector = "revenue_drop".to_owned();
    let mut after = Operations::default();
    after.take_up([fired.clone(), foreign]);
    assert_eq!(told(&mut after, &low), NOTHING);
    let ended = after.look(&well(1)).remove(0).alert;
    assert_eq!(
        (&ended.id, ended.revision, ended.status),
        (&fired.id, 2, AlertStatus::Resolved)
    );
}

/// A restart counts from zero: the totals before it are not held against it.
#[test]
fn a_count_that_went_back_is_no_run() {
    let mut operations = Operations::default();
    let with = |minutes, total: u64| {
        reading(minutes, |reading| {
            reading
                .status
                .bad_signatures
                .insert("default".to_owned(), total);
        })
    };
    operations.look(&with(0, 9));
    assert_eq!(told(&mut operations, &with(1, 2)), NOTHING);
}

#[test]
fn a_journal_ahead_of_the_clock_is_told_when_that_lasts_and_ends_when_the_clock_is_there() {
    let mut operations = Operations::default();
    let mut at = |minutes: i64, ahead: i64| {
        let reading = reading(minutes, |reading| {
            reading.status.engine_now = reading.at + Span::minutes(ahead);
        });
        told(&mut operations, &reading)
    };
    assert_eq!(at(0, 0), NOTHING);
    assert_eq!(at(1, 60), NOTHING);
    assert_eq!(at(10, 51), NOTHING);
    assert_eq!(at(11, 50), ["firing clock high"]);
    assert_eq!(at(57, 4), NOTHING);
    assert_eq!(at(60, 1), ["resolved clock high"]);
    // Behind for a moment.
    assert_eq!(at(-20, 80), NOTHING);
    assert_eq!(at(-11, 71), NOTHING);
    assert_eq!(at(60, 0), NOTHING);
    assert_eq!(at(61, 60), NOTHING);
}

const fn run(lasted_secs: u64, ago_secs: u64) -> Option<RefusalRun> {
    Some(RefusalRun {
        lasted: Duration::from_secs(lasted_secs),
        ago: Duration::from_secs(ago_secs),
    })
}

#[test]
fn a_database_that_refuses_is_told_after_a_while_and_ends_a_while_after_it_takes_something() {
    let mut operations = Operations::default();
    let mut at = |secs: i64, events, steps| {
        let reading = reading(0, |reading| {
            reading.at = START + Span::secs(secs);
            reading.status.events_refused = events;
            reading.status.steps_refused = steps;
        });
        told(&mut operations, &reading)
    };
    // A lock of a moment, and another.
    assert_eq!(at(0, run(0, 5), None), NOTHING);
    assert_eq!(at(10, run(0, 15), run(19, 0)), NOTHING);
    assert_eq!(at(20, None, None), NOTHING);
    assert_eq!(at(300, run(19, 59), None), NOTHING);
    // What was refused long ago says nothing of now.
    assert_eq!(at(400, run(30, 60), run(30, 60)), NOTHING);
    assert_eq!(at(500, None, run(20, 3)), ["firing store critical"]);
    assert_eq!(at(510, run(0, 1), run(30, 3)), NOTHING);
    // A small event went through, and the next does not.
    assert_eq!(at(520, None, None), NOTHING);
    assert_eq!(at(530, run(0, 1), None), NOTHING);
    // Nobody sends any more: that is neither.
    assert_eq!(at(700, run(0, 171), None), NOTHING);
    assert_eq!(at(710, None, None), ["resolved store critical"]);
    // Somebody comes back after hours, or nobody.
    assert_eq!(at(800, run(25, 0), None), ["firing store critical"]);
    assert_eq!(at(4_399, run(25, 3_599), None), NOTHING);
    assert_eq!(at(4_400, run(25, 3_600), None), ["resolved store critical"]);
}

#[test]
fn what_waits_in_the_spool_is_not_refused_until_the_spool_is_full() {
    let mut operations = Operations::default();
    let with = |events, steps| {
        reading(0, |reading| {
            reading.status.events_refused = events;
            reading.status.steps_refused = steps;
            reading.status.spool = Some(SpoolStatus {
                spooling_since: Some(START),
                ..SpoolStatus::default()
            });
        })
    };
    assert_eq!(told(&mut operations, &with(None, run(50, 1))), NOTHING);
    let changes = operations.look(&with(run(21, 1), run(50, 1)));
    assert_eq!(
        changes[0].alert.message,
        "for 21 s the database has taken nothing: events are refused with 503, and Stripe sends them again for three days"
    );
}
