//! The engine's own promises: counted once, scopes apart, time as an input, everything bounded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[path = "support/probe.rs"]
mod probe;

use billingwatch_core::alert::{
    Alert, AlertChange, AlertStatus, EVIDENCE_IDS_MAX, SUBJECTS_MAX, Severity,
};
use billingwatch_core::detector::{SettingValue, SettingValues};
use billingwatch_core::engine::{
    Applied, Engine, Input, OPEN_ALERTS_MAX, REOPEN_SPAN, Record, Registry, ResolveAlert,
    SCOPES_MAX, SettingsChange, SnapshotError, TICK,
};
use billingwatch_core::event::{Event, EventData, EventType};
use billingwatch_core::testing::{START, Step, check, records};
use billingwatch_core::time::{Span, Timestamp};

fn engine() -> Engine {
    Engine::new(probe::registry())
}

fn event(id: &str, event_type: &str, at: Timestamp) -> Record {
    Record {
        received_at: at,
        source: "default".into(),
        is_historical: false,
        input: Input::Event(Box::new(Event {
            id: id.into(),
            event_type: EventType::from(event_type),
            created: at,
            livemode: true,
            account: None,
            api_version: None,
            request: None,
            data: EventData::Other(Box::default()),
        })),
    }
}

fn from_source(mut record: Record, source: &str) -> Record {
    record.source = source.into();
    record
}

fn with_event(mut record: Record, change: impl FnOnce(&mut Event)) -> Record {
    if let Input::Event(event) = &mut record.input {
        change(event);
    }
    record
}

fn historical(mut record: Record) -> Record {
    record.is_historical = true;
    record
}

fn input(input: Input, at: Timestamp) -> Record {
    Record {
        received_at: at,
        source: "default".into(),
        is_historical: false,
        input,
    }
}

fn settings(name: &str, value: SettingValue, source: Option<&str>) -> SettingsChange {
    let mut values = SettingValues::new();
    values.set(name, value);
    SettingsChange {
        detector: "probe".to_owned(),
        source: source.map(str::to_owned),
        is_enabled: None,
        values,
    }
}

/// What one record changes.
fn changes(engine: &mut Engine, record: &Record) -> Vec<AlertChange> {
    engine.apply(record);
    engine.take_changes()
}

fn messages(engine: &mut Engine, record: &Record) -> Vec<String> {
    let told = changes(engine, record).into_iter();
    told.map(|change| change.alert.message).collect()
}

#[test]
fn an_event_id_counts_once_in_its_scope() {
    let mut engine = engine();
    let first = event("evt_1", "fire.low.k", START);
    assert_eq!(engine.apply(&first), Applied::New);
    assert_eq!(engine.apply(&first), Applied::Duplicate);
    let later = event("evt_1", "fire.low.k", START + Span::days(30));
    assert_eq!(engine.apply(&later), Applied::Duplicate);
    assert_eq!(engine.open_alerts().next().unwrap().count, 1);
    // The same id of another source, account or mode is another event.
    for other in [
        from_source(first.clone(), "eu"),
        with_event(first.clone(), |event| event.livemode = false),
        with_event(first.clone(), |event| event.account = Some("acct_1".into())),
    ] {
        assert_eq!(engine.apply(&other), Applied::New);
    }
    assert_eq!(engine.scopes().count(), 4);
    assert_eq!(engine.open_alerts().count(), 4);
}

#[test]
fn scopes_share_nothing() {
    // Two halves of a duplicate charge, each in its own scope, are no duplicate.
    let story = "
        +0s   charge.succeeded ch=ch_1 cus=cus_1 amt=2000
        +30s  charge.succeeded ch=ch_2 cus=cus_1 amt=2000
        +2s   wait
    ";
    let fired = |sources: [&str; 2]| {
        let mut engine = Engine::new(Registry::standard());
        let mut sources = sources.into_iter();
        for step in records(story) {
            match step {
                Step::Record(record) => {
                    let source = sources.next().unwrap();
                    engine.apply(&from_source(*record, source));
                }
                Step::Wait(until) => engine.advance_to(until),
            }
        }
        engine.advance_to(START + Span::hours(1));
        engine.take_changes().len()
    };
    assert_ne!(fired(["default", "default"]), 0);
    assert_eq!(fired(["default", "other"]), 0);
}

#[test]
fn settings_change_where_their_record_stands() {
    let mut engine = engine();
    assert_eq!(
        messages(&mut engine, &event("evt_1", "fire.low.a", START)),
        ["level 1"]
    );
    let change = settings("level", SettingValue::Int(5), None);
    let record = input(Input::Settings(change), START);
    assert_eq!(engine.apply(&record), Applied::New);
    assert_eq!(
        messages(&mut engine, &event("evt_2", "fire.low.b", START)),
        ["level 5"]
    );
    // For one source only; the rest keeps what holds for all.
    let change = settings("level", SettingValue::Int(7), Some("eu"));
    engine.apply(&input(Input::Settings(change), START));
    let here = event("evt_3", "fire.low.c", START);
    let there = from_source(here.clone(), "eu");
    assert_eq!(messages(&mut engine, &here), ["level 5"]);
    assert_eq!(messages(&mut engine, &there), ["level 7"]);
    // What is refused changes nothing.
    let change = settings("level", SettingValue::Int(10), None);
    let refused = engine.apply(&input(Input::Settings(change), START));
    let reason = "`probe.level` must be from 0 to 9, not 10".to_owned();
    assert_eq!(refused, Applied::Refused(reason));
    assert_eq!(
        messages(&mut engine, &event("evt_4", "fire.low.d", START)),
        ["level 5"]
    );
    // Restarts keep them.
    let bytes = engine.snapshot().unwrap();
    let mut engine = Engine::restore(probe::registry(), &bytes).unwrap();
    assert_eq!(
        messages(&mut engine, &event("evt_5", "fire.low.e", START)),
        ["level 5"]
    );
}

#[test]
fn settings_of_a_source_must_fit_those_of_all() {
    let change = |source: Option<&str>, name: &str, value| SettingsChange {
        detector: "charge_failure_spike".to_owned(),
        ..settings(name, SettingValue::Int(value), source)
    };
    let all = change(None, "recovery_bps_max", 1_400);
    let eu = change(Some("eu"), "rate_bps_max", 1_200);
    // Each is fine alone. Together recovery would be easier than opening, in either order.
    for (first, second) in [(&all, &eu), (&eu, &all)] {
        let mut engine = Engine::new(Registry::standard());
        engine.apply(&from_source(event("evt_1", "hello", START), "eu"));
        engine.set(first).unwrap();
        let before = engine.snapshot().unwrap();
        let error = engine.set(second).unwrap_err().to_string();
        assert!(
            error.contains("recovery_bps_max must not be above"),
            "{error}"
        );
        assert!(
            engine.snapshot().unwrap() == before,
            "what is refused changes nothing"
        );
    }
}

#[test]
fn history_of_one_scope_is_history_beside_a_live_one() {
    let mut engine = engine();
    let change = settings("fires_on_ticks", SettingValue::Bool(true), None);
    engine.set(&change).unwrap();
    engine.apply(&event("evt_1", "hello", START));
    engine.apply(&historical(from_source(
        event("evt_1", "hello", START),
        "old",
    )));
    engine.advance_to(START + Span::minutes(1));
    let told = engine.take_changes();
    let sources: Vec<&str> = told
        .iter()
        .map(|change| &*change.alert.scope.source)
        .collect();
    assert_eq!(sources, ["default"]);
    // A restart does not make it live; its first live event does.
    let bytes = engine.snapshot().unwrap();
    let mut engine = Engine::restore(probe::registry(), &bytes).unwrap();
    engine.advance_to(START + Span::minutes(2));
    assert_eq!(engine.take_changes(), []);
    engine.apply(&from_source(
        event("evt_2", "hello", START + Span::minutes(3)),
        "old",
    ));
    engine.advance_to(START + Span::minutes(4));
    assert_eq!(engine.take_changes().len(), 1);
}

#[test]
fn a_detector_that_is_switched_off_is_silent() {
    let mut engine = engine();
    let switch = |is_enabled| {
        let change = SettingsChange {
            detector: "probe".to_owned(),
            source: None,
            is_enabled: Some(is_enabled),
            values: SettingValues::new(),
        };
        input(Input::Settings(change), START)
    };
    engine.apply(&switch(false));
    assert_eq!(
        changes(&mut engine, &event("evt_1", "fire.low.a", START)),
        []
    );
    engine.apply(&switch(true));
    assert_eq!(
        changes(&mut engine, &event("evt_2", "fire.low.a", START)).len(),
        1
    );
}

#[test]
fn a_refund_delivered_before_its_charge_is_not_lost() {
    // Bought, refunded, bought again; the refund overtakes the charge it gives back.
    let story = |back: i64| {
        format!(
            "
            +0s  refund.created re=re_1 ch=ch_1 amt={back}
            +1s  charge.succeeded ch=ch_2 cus=cus_1 amt=2000
            +1s  charge.succeeded ch=ch_1 cus=cus_1 amt=2000 made=-3m
            +1h  wait
        "
        )
    };
    assert!(!check("duplicate_charge", &story(2_000)).contains("firing"));
    // Given back in part it is still a duplicate.
    let told = check("duplicate_charge", &story(500));
    assert!(told.contains("firing"), "{told}");
}

#[test]
fn a_person_may_declare_an_alert_over() {
    let mut engine = engine();
    let fired = changes(&mut engine, &event("evt_1", "fire.high.a", START));
    let order = ResolveAlert {
        alert_id: fired[0].alert.id.clone(),
        reason: "refunded by hand".to_owned(),
    };
    let record = input(Input::Resolve(order), START + Span::minutes(5));
    let told = changes(&mut engine, &record);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].alert.status, AlertStatus::Resolved);
    assert_eq!(
        told[0].alert.resolution.as_deref(),
        Some("refunded by hand")
    );
    assert_eq!(told[0].alert.resolved_at, Some(START + Span::minutes(5)));
    assert_eq!(engine.open_alerts().count(), 0);
    // Said twice, or of an alert that nobody knows, it changes nothing.
    assert_eq!(engine.apply(&record), Applied::Duplicate);
    let order = ResolveAlert {
        alert_id: "al_0".to_owned(),
        reason: String::new(),
    };
    assert_eq!(
        engine.apply(&input(Input::Resolve(order), START)),
        Applied::Duplicate
    );
    assert_eq!(engine.take_changes(), []);
}

#[test]
fn history_teaches_and_never_pages() {
    let mut engine = engine();
    let record = historical(event("evt_1", "fire.high.a", START));
    assert_eq!(engine.apply(&record), Applied::New);
    engine.apply(&historical(event("evt_2", "suppress", START)));
    assert_eq!(engine.take_changes(), []);
    assert_eq!(engine.take_suppressed(), []);
    // It counts as seen: the same event live is a repeat.
    assert_eq!(
        engine.apply(&event("evt_1", "fire.high.a", START)),
        Applied::Duplicate
    );
    // What is learned from it is used: a purchase that history knows to be paid.
    let quiet = records(
        "
        +0s  charge.succeeded ch=ch_1 cus=cus_1 amt=2000 historical
        +30s charge.succeeded ch=ch_2 cus=cus_1 amt=2000 historical
    ",
    );
    let mut engine = Engine::new(Registry::standard());
    for step in quiet {
        if let Step::Record(record) = step {
            engine.apply(&record);
        }
    }
    assert_eq!(engine.take_changes(), []);
}

#[test]
fn a_record_from_the_past_makes_time_stand_still() {
    let mut engine = engine();
    let noon = START + Span::hours(12);
    engine.apply(&event("evt_1", "fire.low.a", noon));
    let told = changes(&mut engine, &event("evt_2", "fire.low.b", START));
    assert_eq!(engine.now(), noon);
    assert_eq!(told[0].at, noon);
    engine.advance_to(START);
    assert_eq!(engine.now(), noon);
    let told = messages(&mut engine, &event("evt_3", "ticks", noon));
    assert_eq!(told, ["0"], "no tick is crossed twice");
}

#[test]
fn ticks_stand_on_a_fixed_grid() {
    let ticks_by = |steps: &[Span]| {
        let mut engine = engine();
        engine.apply(&event("evt_1", "hello", START + Span::secs(30)));
        for step in steps {
            engine.advance_to(START + *step);
        }
        messages(
            &mut engine,
            &event("evt_2", "ticks", START + Span::minutes(10)),
        )
    };
    assert_eq!(ticks_by(&[]), ["10"]);
    assert_eq!(
        ticks_by(&[Span::secs(59), Span::secs(60), Span::secs(61)]),
        ["10"]
    );
    let every_second: Vec<Span> = (30..600).map(Span::secs).collect();
    assert_eq!(ticks_by(&every_second), ["10"]);
}

#[test]
fn no_gap_is_too_long() {
    // A year is crossed minute by minute, by all detectors.
    let mut engine = Engine::new(Registry::standard());
    engine.apply(&event("evt_1", "hello", START));
    engine.advance_to(START + Span::days(366));
    assert_eq!(engine.now(), START + Span::days(366));
    // From before the epoch to the end of time: at most 600,000 ticks.
    let mut engine = self::engine();
    engine.apply(&event(
        "evt_1",
        "hello",
        Timestamp::from_secs(-62_135_596_800),
    ));
    engine.apply(&event("evt_2", "hello", START));
    engine.advance_to(Timestamp::MAX);
    assert_eq!(engine.now(), Timestamp::MAX);
    let told = messages(&mut engine, &event("evt_3", "ticks", Timestamp::MAX));
    let ticks: u64 = told[0].parse().unwrap();
    assert!((1..=1_200_000).contains(&ticks), "{ticks}");
    // And nothing panics there.
    engine.apply(&event("evt_4", "fire.low.a", Timestamp::MAX));
    let mut engine = Engine::new(Registry::standard());
    engine.apply(&event("evt_1", "hello", START));
    engine.advance_to(START + Span::days(36_500));
    engine.apply(&event("evt_2", "hello", START + Span::days(36_500)));
}

#[test]
fn the_first_record_crosses_no_ticks() {
    let mut engine = engine();
    assert_eq!(
        messages(&mut engine, &event("evt_1", "ticks", START)),
        ["0"]
    );
}

#[test]
fn one_key_is_one_alert_that_grows_escalates_and_ends() {
    let mut engine = engine();
    let at = |minutes| START + Span::minutes(minutes);
    let fired = changes(&mut engine, &event("evt_1", "fire.low.a", at(0)));
    let steps = |told: &[AlertChange]| -> Vec<(AlertStatus, Severity, u32, u64)> {
        let step = |alert: &Alert| (alert.status, alert.severity, alert.revision, alert.count);
        told.iter().map(|change| step(&change.alert)).collect()
    };
    assert_eq!(steps(&fired), [(AlertStatus::Firing, Severity::Low, 1, 1)]);
    // More of the same is an update, told by nobody.
    assert_eq!(
        changes(&mut engine, &event("evt_2", "fire.low.a", at(1))),
        []
    );
    let updates = engine.take_updates();
    assert_eq!((updates.len(), updates[0].count), (1, 2));
    assert_eq!(engine.take_updates(), []);
    let told = changes(&mut engine, &event("evt_3", "fire.high.a", at(2)));
    assert_eq!(
        steps(&told),
        [(AlertStatus::Escalated, Severity::High, 2, 3)]
    );
    // An escalation carries what grew: no update besides.
    assert_eq!(engine.take_updates(), []);
    // It never becomes harmless again while it lasts.
    assert_eq!(
        changes(&mut engine, &event("evt_4", "fire.low.a", at(3))),
        []
    );
    let told = changes(&mut engine, &event("evt_5", "clear.a", at(4)));
    assert_eq!(
        steps(&told),
        [(AlertStatus::Resolved, Severity::High, 3, 4)]
    );
    assert_eq!(changes(&mut engine, &event("evt_6", "clear.a", at(5))), []);
    let ids = &told[0].alert.evidence.event_ids;
    assert_eq!(ids, &["evt_1", "evt_2", "evt_3", "evt_4"]);
}

#[test]
fn what_flickers_is_one_incident() {
    let mut engine = engine();
    let first = changes(&mut engine, &event("evt_1", "fire.low.a", START));
    engine.apply(&event("evt_2", "clear.a", START));
    let soon = START + REOPEN_SPAN - Span::secs(61);
    engine.take_changes();
    let again = changes(&mut engine, &event("evt_3", "fire.low.a", soon));
    assert_eq!(again[0].alert.id, first[0].alert.id);
    assert_eq!(again[0].alert.status, AlertStatus::Firing);
    assert_eq!(
        (again[0].alert.revision, again[0].alert.resolved_at),
        (3, None)
    );
    // Later it is another incident of the same key.
    engine.apply(&event("evt_4", "clear.a", soon));
    engine.take_changes();
    let late = soon + REOPEN_SPAN + TICK;
    let other = changes(&mut engine, &event("evt_5", "fire.low.a", late));
    assert_ne!(other[0].alert.id, first[0].alert.id);
    assert_eq!(other[0].alert.key, first[0].alert.key);
    assert_eq!((other[0].alert.revision, other[0].alert.count), (1, 1));
}

#[test]
fn the_book_keeps_a_bounded_number_open() {
    let mut engine = engine();
    for n in 0..OPEN_ALERTS_MAX {
        engine.apply(&event(
            &format!("evt_{n}"),
            &format!("fire.low.k{n}"),
            START,
        ));
    }
    assert_eq!(engine.take_changes().len(), OPEN_ALERTS_MAX);
    assert_eq!(
        changes(&mut engine, &event("evt_x", "fire.low.x", START)),
        []
    );
    let quiet = engine.take_suppressed();
    assert_eq!(quiet.len(), 1);
    assert_eq!(quiet[0].reason, "too_many_alerts");
    // What is open goes on, and an end makes room.
    assert_eq!(
        changes(&mut engine, &event("evt_y", "fire.high.k7", START)).len(),
        1
    );
    engine.apply(&event("evt_z", "clear.k7", START));
    engine.take_changes();
    assert_eq!(
        changes(&mut engine, &event("evt_w", "fire.low.x", START)).len(),
        1
    );
    assert_eq!(engine.open_alerts().count(), OPEN_ALERTS_MAX);
}

#[test]
fn an_alert_lists_a_bounded_number_of_things() {
    let mut engine = engine();
    for n in 0..1_000 {
        engine.apply(&event(&format!("evt_{n}"), "fire.low.a", START));
    }
    let alert = engine.open_alerts().next().unwrap();
    assert_eq!(alert.count, 1_000);
    assert_eq!(alert.subjects.len(), SUBJECTS_MAX);
    assert_eq!(alert.subjects[SUBJECTS_MAX - 1], "evt_999");
    assert_eq!(alert.evidence.event_ids.len(), EVIDENCE_IDS_MAX);
    assert_eq!(alert.evidence.event_ids[0], "evt_0");
    assert_eq!(alert.evidence.event_ids[EVIDENCE_IDS_MAX - 1], "evt_999");
}

#[test]
fn suppressed_findings_that_nobody_takes_are_bounded() {
    let mut engine = engine();
    for n in 0..10_050 {
        let at = START + Span::millis(n);
        engine.apply(&event(&format!("evt_{n}"), "suppress", at));
    }
    let quiet = engine.take_suppressed();
    assert_eq!(quiet.len(), 10_000);
    assert_eq!(
        quiet[9_999].at,
        START + Span::millis(10_049),
        "the newest are kept"
    );
}

#[test]
fn scopes_are_bounded_and_the_known_ones_go_on() {
    let mut engine = Engine::new(Registry::new(Vec::new()));
    let of_account = |n: usize, id: &str| {
        with_event(event(id, "hello", START), |event| {
            event.account = Some(format!("acct_{n}").into());
        })
    };
    for n in 0..SCOPES_MAX {
        assert_eq!(engine.apply(&of_account(n, "evt_1")), Applied::New);
    }
    let refused = engine.apply(&of_account(SCOPES_MAX, "evt_1"));
    assert!(matches!(refused, Applied::Refused(_)), "{refused:?}");
    assert_eq!(engine.apply(&of_account(0, "evt_2")), Applied::New);
}

#[test]
fn a_snapshot_of_something_else_is_refused() {
    let mut engine = engine();
    engine.apply(&event("evt_1", "fire.low.a", START));
    let bytes = engine.snapshot().unwrap();
    let restore = |bytes: &[u8]| Engine::restore(probe::registry(), bytes).map(|_| ());
    assert!(restore(&bytes).is_ok());
    assert!(matches!(
        Engine::restore(Registry::standard(), &bytes).map(|_| ()),
        Err(SnapshotError::Detectors)
    ));
    let mut newer = bytes.clone();
    newer[0] += 1;
    assert!(matches!(
        restore(&newer),
        Err(SnapshotError::Version { .. })
    ));
    assert!(matches!(
        restore(&[]),
        Err(SnapshotError::Version { found: 0 })
    ));
    for cut in 0..bytes.len() {
        assert!(
            restore(&bytes[..cut]).is_err(),
            "{cut} bytes were taken for whole"
        );
    }
    // Whatever bytes a broken disk returns, the answer is an error or an engine, never a panic.
    for index in 4..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut broken = bytes.clone();
            broken[index] ^= flip;
            let _ = restore(&broken);
        }
    }
}
