//! What a person muted or declared over stays quiet, visibly, and only as far as was judged.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[path = "support/probe.rs"]
mod probe;

use billingwatch_core::alert::{Alert, AlertStatus, Severity};
use billingwatch_core::engine::{
    Applied, Engine, Input, LiftMute, MUTES_MAX, Mute, MuteTarget, REOPEN_SPAN, RESOLVE_HOLD,
    Record, ResolveAlert, TICK,
};
use billingwatch_core::event::{Event, EventData, EventType};
use billingwatch_core::ids::Scope;
use billingwatch_core::testing::START;
use billingwatch_core::time::{Span, Timestamp};

/// An engine and a story told to it, with everything it says as lines.
struct Story {
    engine: Engine,
    count: u32,
}

const fn at(minutes: i64) -> Timestamp {
    Timestamp::from_millis(START.as_millis() + minutes * 60_000)
}

fn record(input: Input, at: Timestamp) -> Record {
    Record {
        received_at: at,
        source: "default".into(),
        is_historical: false,
        input,
    }
}

fn mute(target: MuteTarget, until: Timestamp) -> Mute {
    Mute {
        id: "mu_1".to_owned(),
        by: "ada".to_owned(),
        until,
        detector: "probe".to_owned(),
        scope: Scope::new("default", None, true),
        target,
        severity_max: Severity::Medium,
        amount_judged: None,
        currency: None,
        alert_id: "al_1".to_owned(),
        note: None,
    }
}

fn subject(id: &str) -> MuteTarget {
    MuteTarget::Subject(id.to_owned())
}

impl Story {
    fn new() -> Self {
        Self {
            engine: Engine::new(probe::registry()),
            count: 0,
        }
    }

    /// An event of this type `minutes` after the start, and what came of it.
    fn event(&mut self, minutes: i64, event_type: &str) -> Vec<String> {
        self.count += 1;
        let event = Event {
            id: format!("evt_{}", self.count).as_str().into(),
            event_type: EventType::from(event_type),
            created: at(minutes),
            livemode: true,
            account: None,
            api_version: None,
            request: None,
            data: EventData::Other(Box::default()),
        };
        self.say(minutes, Input::Event(Box::new(event)))
    }

    fn say(&mut self, minutes: i64, input: Input) -> Vec<String> {
        self.engine.apply(&record(input, at(minutes)));
        self.heard()
    }

    fn heard(&mut self) -> Vec<String> {
        let changes = self.engine.take_changes().into_iter().map(|change| {
            let Alert {
                status, severity, ..
            } = change.alert;
            format!("{} {}", status.as_str(), severity.as_str())
        });
        let mut lines: Vec<String> = changes.collect();
        let suppressed = self.engine.take_suppressed().into_iter();
        lines.extend(suppressed.map(|one| format!("{}: {}", one.reason, one.message)));
        lines
    }

    fn open_id(&self) -> String {
        let mut open = self.engine.open_alerts();
        open.next().expect("an open alert").id.clone()
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_muted_finding_is_a_suppressed_one_that_says_by_whom_and_until_when() {
    let mut story = Story::new();
    story.event(0, "fire.medium.a.cus_1");
    // The mute ends the alert it was said of.
    let mute = mute(subject("cus_1"), at(600));
    assert_eq!(story.say(1, Input::Mute(mute)), ["resolved medium"]);
    assert_eq!(
        story.event(2, "fire.medium.b.cus_1"),
        ["muted: muted by ada until 2024-03-04T10:00:00Z: level 1"]
    );
    // The same incident again is the same story; another one is told of.
    assert_eq!(story.event(3, "fire.low.b.cus_1"), NOTHING);
    assert_eq!(story.event(4, "fire.low.c.cus_1").len(), 1);
    // Another subject speaks, and so does the same one to whom it ends, once it ended.
    assert_eq!(story.event(5, "fire.medium.d.cus_2"), ["firing medium"]);
    assert_eq!(story.event(600, "fire.medium.b.cus_1"), ["firing medium"]);
}

#[test]
fn a_pattern_covers_every_subject_and_a_key_one_incident() {
    let mut story = Story::new();
    let pattern = MuteTarget::Pattern("Fired".to_owned());
    story.say(0, Input::Mute(mute(pattern, at(60))));
    assert!(story.event(1, "fire.low.a.cus_1")[0].starts_with("muted"));
    assert!(story.event(1, "fire.low.b.cus_2")[0].starts_with("muted"));
    assert_eq!(story.event(1, "ticks"), ["firing low"]);

    let mut story = Story::new();
    let key = Alert::key_of("probe", &Scope::new("default", None, true), "a");
    let key = MuteTarget::AlertKey(key);
    story.say(0, Input::Mute(mute(key, at(60))));
    assert!(story.event(1, "fire.low.a.cus_1")[0].starts_with("muted"));
    assert_eq!(story.event(1, "fire.low.b.cus_1"), ["firing low"]);
}

#[test]
fn what_goes_beyond_what_was_judged_speaks() {
    let mut story = Story::new();
    let judged = Mute {
        amount_judged: Some(500),
        ..mute(subject("cus_1"), at(600))
    };
    story.say(0, Input::Mute(judged));
    assert!(story.event(1, "fire.medium.a.cus_1.999")[0].starts_with("muted"));
    assert_eq!(
        story.event(2, "fire.medium.a.cus_1.1000"),
        ["firing medium"]
    );
    // Once told it lives on as any other alert.
    assert_eq!(story.event(3, "fire.low.a.cus_1.10"), NOTHING);
    assert_eq!(story.event(4, "clear.a"), ["resolved medium"]);
    assert!(story.event(5, "fire.low.a.cus_1.10")[0].starts_with("muted"));
    assert_eq!(story.event(6, "fire.high.a.cus_1.10"), ["firing high"]);
}

#[test]
fn a_worse_alert_is_not_ended_by_a_mute() {
    let mut story = Story::new();
    story.event(0, "fire.critical.a.cus_1");
    assert_eq!(
        story.say(1, Input::Mute(mute(subject("cus_1"), at(60)))),
        NOTHING
    );
    assert_eq!(story.engine.open_alerts().count(), 1);
}

#[test]
fn a_lifted_mute_is_over_at_once() {
    let mut story = Story::new();
    story.say(0, Input::Mute(mute(subject("cus_1"), at(600))));
    story.event(1, "fire.low.a.cus_1");
    let lift = || {
        Input::Lift(LiftMute {
            mute_id: "mu_1".to_owned(),
            by: "bob".to_owned(),
        })
    };
    let again = record(lift(), at(2));
    assert_eq!(story.engine.apply(&again), Applied::New);
    assert_eq!(story.engine.apply(&again), Applied::Duplicate);
    assert_eq!(story.event(3, "fire.low.a.cus_1"), ["firing low"]);
}

#[test]
fn a_mute_holds_in_its_own_scope_and_detector() {
    let mut story = Story::new();
    let elsewhere = Mute {
        scope: Scope::new("default", None, false),
        ..mute(subject("cus_1"), at(600))
    };
    story.say(0, Input::Mute(elsewhere));
    let other = Mute {
        id: "mu_2".to_owned(),
        detector: "other".to_owned(),
        ..mute(subject("cus_1"), at(600))
    };
    story.say(0, Input::Mute(other));
    assert_eq!(story.event(1, "fire.low.a.cus_1"), ["firing low"]);
}

#[test]
fn mutes_are_bounded_and_said_again_they_replace() {
    let mut engine = Engine::new(probe::registry());
    let numbered = |n: usize| Mute {
        id: format!("mu_{n}"),
        ..mute(subject("cus_1"), at(600))
    };
    for n in 0..MUTES_MAX {
        let applied = engine.apply(&record(Input::Mute(numbered(n)), at(0)));
        assert_eq!(applied, Applied::New);
    }
    let one_more = record(Input::Mute(numbered(MUTES_MAX)), at(0));
    assert_eq!(
        engine.apply(&one_more),
        Applied::Refused("more than 1000 mutes in force".to_owned())
    );
    let again = record(Input::Mute(numbered(0)), at(0));
    assert_eq!(engine.apply(&again), Applied::New);
    // One that ended before it came changes nothing.
    let past = record(Input::Mute(mute(subject("cus_2"), at(0))), at(0));
    assert!(matches!(engine.apply(&past), Applied::Refused(_)));
    // Those that ended make room.
    engine.advance_to(at(600) + TICK);
    let fresh = Mute {
        until: at(9_000),
        ..numbered(MUTES_MAX)
    };
    let fresh = record(Input::Mute(fresh), at(602));
    assert_eq!(engine.apply(&fresh), Applied::New);
}

#[test]
fn a_snapshot_keeps_what_is_quiet() {
    let mut story = Story::new();
    story.say(0, Input::Mute(mute(subject("cus_1"), at(600))));
    story.event(1, "fire.low.a.cus_1");
    story.event(1, "fire.low.b");
    let resolve = ResolveAlert {
        alert_id: story.open_id(),
        reason: "resolved by ada".to_owned(),
    };
    story.say(2, Input::Resolve(resolve));
    let bytes = story.engine.snapshot().unwrap();
    story.engine = Engine::restore(probe::registry(), &bytes).unwrap();
    assert_eq!(story.event(3, "fire.low.a.cus_1"), NOTHING);
    assert!(story.event(3, "look.low.b")[0].starts_with("resolved_by_hand"));
}

/// What a person declared over: the rolling window still holds what was mended.
#[test]
fn declared_over_is_held_for_a_while_and_visibly() {
    let mut story = Story::new();
    story.event(0, "fire.medium.a");
    let id = story.open_id();
    let resolve = ResolveAlert {
        alert_id: id.clone(),
        reason: "resolved by ada: gateway is back".to_owned(),
    };
    story.say(10, Input::Resolve(resolve));
    assert_eq!(
        story.event(11, "fire.medium.a"),
        ["resolved_by_hand: resolved by ada: gateway is back; still seen: level 1"]
    );
    assert_eq!(story.event(12, "look.medium.a"), NOTHING);
    let hold = RESOLVE_HOLD.as_secs() / 60;
    // What is new to the detector itself was not declared over.
    let mut other = Story::new();
    other.event(0, "fire.medium.a");
    let resolve = ResolveAlert {
        alert_id: other.open_id(),
        reason: "resolved by ada".to_owned(),
    };
    other.say(10, Input::Resolve(resolve));
    assert_eq!(other.event(11, "news.medium.a"), ["firing medium"]);
    assert_eq!(story.event(10 + hold - 1, "fire.medium.a"), NOTHING);
    // It goes on all the same: the person was wrong, and hears of it under the same alert.
    assert_eq!(story.event(10 + hold, "fire.medium.a"), ["firing medium"]);
    assert_eq!(story.open_id(), id);
}

#[test]
fn declared_over_and_worse_speaks_at_once() {
    let mut story = Story::new();
    story.event(0, "fire.medium.a.cus_1.500");
    let resolve = |story: &Story| {
        Input::Resolve(ResolveAlert {
            alert_id: story.open_id(),
            reason: "resolved by ada".to_owned(),
        })
    };
    let order = resolve(&story);
    story.say(1, order);
    assert_eq!(story.event(2, "fire.high.a.cus_1.500"), ["firing high"]);
    let order = resolve(&story);
    story.say(3, order);
    assert_eq!(story.event(4, "fire.high.a.cus_1.1000"), ["firing high"]);
}

#[test]
fn a_state_that_merely_lasts_stays_quiet_until_it_ends_and_begins_again() {
    let mut story = Story::new();
    story.event(0, "fire.medium.a");
    let resolve = ResolveAlert {
        alert_id: story.open_id(),
        reason: "resolved by ada: she pays by wire".to_owned(),
    };
    story.say(1, Input::Resolve(resolve));
    // Seen again every hour for a day, with nothing new in it.
    let told: Vec<String> = (1..24)
        .flat_map(|hour| story.event(1 + hour * 60, "look.medium.a"))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    // The detector saw it end: what begins then is news.
    assert_eq!(story.event(1_450, "clear.a"), NOTHING);
    assert_eq!(story.event(1_451, "fire.medium.a"), ["firing medium"]);
    let open: Vec<_> = story.engine.open_alerts().collect();
    assert_eq!(open[0].status, AlertStatus::Firing);
}

#[test]
fn what_was_declared_over_and_is_seen_no_more_is_forgotten() {
    let mut story = Story::new();
    story.event(0, "fire.medium.a");
    let resolve = ResolveAlert {
        alert_id: story.open_id(),
        reason: "resolved by ada".to_owned(),
    };
    story.say(1, Input::Resolve(resolve));
    let later = 1 + (REOPEN_SPAN + Span::minutes(1)).as_secs() / 60;
    assert_eq!(story.event(later, "look.medium.a"), ["firing medium"]);
}
