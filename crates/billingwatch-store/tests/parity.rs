//! One script over the whole API, run on both backends: the same answers, word for word.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod support;

use std::fmt::{Debug, Write};

use billingwatch_core::alert::{AlertStatus, Severity, Suppressed};
use billingwatch_core::detector::SettingValues;
use billingwatch_core::engine::{LiftMute, Mute, MuteTarget, ResolveAlert, SettingsChange};
use billingwatch_core::ids::Scope;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_store::testing::{self, TestStore};
use billingwatch_store::{
    AlertFilter, Attempt, AttemptOutcome, Cursor, EntryKind, EventFilter, MuteFilter, NewDelivery,
    NewEntry, Page, Step, StoreError, SuppressedFilter, TokenRole, Verdict, token_hash,
};

use support::{alert, at, change, entry};

/// What the store answered, line by line.
struct Transcript(String);

impl Transcript {
    fn heading(&mut self, text: &str) {
        writeln!(self.0, "\n# {text}").unwrap();
    }

    fn say(&mut self, what: &str, answer: impl Debug) {
        writeln!(self.0, "{what}: {answer:?}").unwrap();
    }

    fn list<T: Debug>(&mut self, what: &str, answers: impl IntoIterator<Item = T>) {
        writeln!(self.0, "{what}:").unwrap();
        for answer in answers {
            writeln!(self.0, "  {answer:?}").unwrap();
        }
    }
}

#[test]
fn both_backends_answer_alike() {
    testing::each_backend(|store| {
        let mut t = Transcript(String::new());
        journal(store, &mut t);
        settings(store, &mut t);
        mutes(store, &mut t);
        steps(store, &mut t);
        leases(store, &mut t);
        marks(store, &mut t);
        alert_lists(store, &mut t);
        outbox(store, &mut t);
        channels(store, &mut t);
        tokens(store, &mut t);
        insta::assert_snapshot!("store_api", t.0);
    });
}

fn journal(store: &TestStore, t: &mut Transcript) {
    t.heading("journal");
    t.say("empty head", store.head().unwrap());
    t.say("empty append", store.append(&[], at(0)).unwrap());
    let mut failed = entry("evt_1", "charge.failed");
    failed.customer_id = Some("cus_1".to_owned());
    failed.api_version = Some("2026-01-28.clover".to_owned());
    failed.body = vec![0, 159, 146, 150, b'{', b'}'];
    let batch = [
        failed.clone(),
        entry("evt_2", "invoice.paid"),
        failed.clone(),
    ];
    t.list(
        "append with a duplicate inside",
        store.append(&batch, at(10)).unwrap(),
    );
    let mut elsewhere = failed.clone();
    elsewhere.source = "eu".to_owned();
    elsewhere.account = Some("acct_1".to_owned());
    elsewhere.livemode = false;
    t.list(
        "append again, the clock set back, and from another source",
        store.append(&[failed, elsewhere], at(5)).unwrap(),
    );
    let mut old = entry("evt_old", "charge.succeeded");
    old.is_historical = true;
    old.received_at = Some(at(-86_400));
    let mut beyond = entry("evt_beyond", "charge.succeeded");
    beyond.is_historical = true;
    beyond.received_at = Some(at(86_400));
    let mut odd = entry("evt_\0odd", &"x".repeat(300));
    odd.object_id = Some("y".repeat(5000));
    odd.created_at = None;
    t.list(
        "historical ones, and odd keys",
        store.append(&[old, beyond, odd.clone()], at(20)).unwrap(),
    );
    t.list("the odd one again", store.append(&[odd], at(20)).unwrap());
    t.say("touched", store.touch_head(at(30)).unwrap());
    t.say(
        "touched with an earlier time",
        store.touch_head(at(1)).unwrap(),
    );
    t.say("head", store.head().unwrap());
    t.list("read after 0", store.read_after(0, 100).unwrap());
    let seqs = |after, limit| -> Vec<i64> {
        let entries = store.read_after(after, limit).unwrap();
        entries.iter().map(|entry| entry.seq).collect()
    };
    t.say("read after 2, two", seqs(2, 2));
    t.say("read after the end", seqs(99, 2));
    t.say("events", store.count_events().unwrap());
    t.list("by type", store.counts_by_type(None).unwrap());
    t.list(
        "by type since 20 s",
        store.counts_by_type(Some(at(20))).unwrap(),
    );
    t.say("last event", store.last_event_at().unwrap());
    t.say("get evt_2", store.get_event("evt_2").unwrap());
    t.say(
        "get evt_1",
        store.get_event("evt_1").unwrap().map(|entry| entry.seq),
    );
    t.say("get an unknown one", store.get_event("evt_99").unwrap());
    event_lists(store, t);
    let mut nameless = entry("evt_3", "charge.failed");
    nameless.event_id = None;
    let error = store.append(&[nameless], at(30)).unwrap_err();
    t.say("an event without id", error.to_string());
}

fn event_lists(store: &TestStore, t: &mut Transcript) {
    let mut list = |what: &str, filter: EventFilter| {
        let page = store.list_events(&filter, &Page::default()).unwrap();
        let ids: Vec<_> = page
            .items
            .iter()
            .map(|row| (row.seq, &row.event_id))
            .collect();
        t.say(what, ids);
    };
    let all = EventFilter::default;
    list("all events", all());
    list(
        "two types",
        EventFilter {
            types: vec!["charge.failed".to_owned(), "invoice.paid".to_owned()],
            ..all()
        },
    );
    list(
        "of a customer",
        EventFilter {
            customer: Some("cus_1".to_owned()),
            ..all()
        },
    );
    list(
        "of an object",
        EventFilter {
            object: Some("y".repeat(5000)),
            ..all()
        },
    );
    list(
        "of an account",
        EventFilter {
            account: Some("acct_1".to_owned()),
            ..all()
        },
    );
    list(
        "in test mode",
        EventFilter {
            livemode: Some(false),
            ..all()
        },
    );
    list(
        "of a source",
        EventFilter {
            source: Some("eu".to_owned()),
            ..all()
        },
    );
    list(
        "created from, to",
        EventFilter {
            created_from: Some(Timestamp::from_millis(at(-1).as_millis() - 999)),
            created_to: Some(at(0)),
            ..all()
        },
    );
    list(
        "received from, to",
        EventFilter {
            received_from: Some(at(10)),
            received_to: Some(at(20)),
            ..all()
        },
    );
    let mut page = Page::first(4).unwrap();
    loop {
        let found = store.list_events(&EventFilter::default(), &page).unwrap();
        let seqs: Vec<i64> = found.items.iter().map(|row| row.seq).collect();
        t.say("page of four", (seqs, &found.next));
        match found.next {
            Some(next) => page = Page::new(Some(next), 4).unwrap(),
            None => break,
        }
    }
    let foreign = Page::new(Some("1.al_1".to_owned()), 4).unwrap();
    let error = store
        .list_events(&EventFilter::default(), &foreign)
        .unwrap_err();
    t.say("a foreign cursor", error.to_string());
}

fn settings(store: &TestStore, t: &mut Transcript) {
    t.heading("settings");
    let change = |source: Option<&str>, is_enabled| SettingsChange {
        detector: "webhook_lag".to_owned(),
        source: source.map(str::to_owned),
        is_enabled,
        values: SettingValues::new(),
    };
    t.say(
        "set",
        store
            .change_settings(&change(None, Some(false)), at(40))
            .unwrap(),
    );
    t.say(
        "for a source",
        store
            .change_settings(&change(Some("eu"), None), at(41))
            .unwrap(),
    );
    t.say(
        "set again",
        store
            .change_settings(&change(None, Some(true)), at(42))
            .unwrap(),
    );
    let resolve = ResolveAlert {
        alert_id: "al_1".to_owned(),
        reason: "paid by hand".to_owned(),
    };
    let mut nonsense = NewEntry::settings(&change(None, None)).unwrap();
    nonsense.body = b"nonsense".to_vec();
    t.list(
        "a resolve, and a body that is no change",
        store
            .append(&[NewEntry::resolve(&resolve).unwrap(), nonsense], at(43))
            .unwrap(),
    );
    t.list("overrides", store.list_settings().unwrap());
    let kinds: Vec<(i64, EntryKind, String)> = store
        .read_after(6, 100)
        .unwrap()
        .into_iter()
        .map(|entry| {
            (
                entry.seq,
                entry.kind,
                String::from_utf8_lossy(&entry.body).into_owned(),
            )
        })
        .collect();
    t.list("their entries", kinds);
    t.say("events", store.count_events().unwrap());
}

fn mutes(store: &TestStore, t: &mut Transcript) {
    t.heading("mutes");
    let mute = |alert_id: &str, until: i64| {
        let target = MuteTarget::Subject("cus_1".to_owned());
        Mute {
            id: Mute::id_of(alert_id, &target),
            by: "ada".to_owned(),
            until: at(until),
            detector: "duplicate_charge".to_owned(),
            scope: Scope::new("default", Some("acct_1"), true),
            target,
            severity_max: Severity::High,
            amount_judged: Some(1999),
            currency: Some("usd".parse().unwrap()),
            alert_id: alert_id.to_owned(),
            note: Some("a test customer".to_owned()),
        }
    };
    let say = |entry: Result<NewEntry, StoreError>, secs| {
        store.append(&[entry.unwrap()], at(secs)).unwrap()[0].seq
    };
    let first = mute("al_1", 100);
    t.say("first", say(NewEntry::mute(&first), 44));
    t.say("other", say(NewEntry::mute(&mute("al_2", 60)), 45));
    let lift = LiftMute {
        mute_id: first.id.clone(),
        by: "bob".to_owned(),
    };
    t.say("lifted", say(NewEntry::lift(&lift), 46));
    t.say("lifted again", say(NewEntry::lift(&lift), 47));
    let mut nonsense = NewEntry::lift(&lift).unwrap();
    nonsense.kind = EntryKind::Mute;
    t.say("no mute", say(Ok(nonsense), 47));
    let list = |filter: &MuteFilter, page: &Page| store.list_mutes(filter, page).unwrap();
    let all = MuteFilter::default();
    t.say("newest", list(&all, &Page::first(1).unwrap()));
    let rest = list(&all, &Page::new(Some("13".to_owned()), 10).unwrap());
    t.list("before it", rest.items);
    let in_force = |secs| MuteFilter {
        in_force_at: Some(at(secs)),
        ..MuteFilter::default()
    };
    let ids = |filter: &MuteFilter| {
        let rows = list(filter, &Page::default()).items.into_iter();
        rows.map(|row| row.mute.alert_id).collect::<Vec<_>>()
    };
    t.say("in force", ids(&in_force(50)));
    t.say("in force later", ids(&in_force(60)));
    t.say("how many", store.count_mutes(at(50)).unwrap());
    let other = MuteFilter {
        detector: Some("silent_lapse".to_owned()),
        ..MuteFilter::default()
    };
    t.say("another detector's", ids(&other));
    t.say("said anew", say(NewEntry::mute(&mute("al_1", 200)), 48));
    t.say("it holds again", store.get_mute(&first.id).unwrap());
    t.say("of an alert", store.alert_mutes("al_2").unwrap().len());
    t.say("of none", store.get_mute("mu_0").unwrap());
}

fn steps(store: &TestStore, t: &mut Transcript) {
    t.heading("steps");
    t.say("cursor", store.cursor("pump").unwrap());
    t.say("snapshot", store.snapshot("pump").unwrap());
    let fired = alert("al_1", "duplicate_charge", AlertStatus::Firing, 1);
    let mut escalated = alert("al_1", "duplicate_charge", AlertStatus::Escalated, 2);
    escalated.severity = Severity::Critical;
    let mut grown = escalated.clone();
    grown.count = 9;
    grown.subjects.push("cus_9".to_owned());
    let changes = [change(&fired, 50), change(&escalated, 51)];
    let delivery = |alert_id: &str, revision, channel: &str| NewDelivery {
        channel: channel.to_owned(),
        alert_id: alert_id.to_owned(),
        revision,
        body: format!("{{\"revision\": {revision}}}"),
    };
    let deliveries = [
        delivery("al_1", 1, "email"),
        delivery("al_1", 1, "webhook"),
        delivery("al_1", 2, "email"),
        delivery("al_1", 2, "email"),
    ];
    let harmless = |subject: &str| Suppressed {
        at: at(50),
        detector: "duplicate_charge".to_owned(),
        scope: Scope::new("default", None, true),
        reason: "dunning_retry".to_owned(),
        subject: Some(subject.to_owned()),
        message: "The same invoice, tried again".to_owned(),
    };
    let suppressed = [harmless("cus_1"), harmless("cus_2")];
    let end = Cursor { seq: 6, at: at(52) };
    let step = Step {
        changes: &changes,
        updates: std::slice::from_ref(&grown),
        suppressed: &suppressed,
        deliveries: &deliveries,
        snapshot: Some(b"one"),
        ..Step::new("pump", Cursor::START, end)
    };
    store.commit_step(&step).unwrap();
    t.say("cursor", store.cursor("pump").unwrap());
    let error = store.commit_step(&step).unwrap_err();
    assert!(matches!(error, StoreError::CursorMoved { .. }));
    t.say("the same step again", error.to_string());
    let mut expected = end;
    for (seq, snapshot) in [(7, b"two".as_slice()), (8, b"three"), (8, b"again")] {
        let cursor = Cursor { seq, at: at(60) };
        let step = Step {
            snapshot: Some(snapshot),
            ..Step::new("pump", expected, cursor)
        };
        store.commit_step(&step).unwrap();
        expected = cursor;
    }
    t.list("snapshots", store.snapshots("pump").unwrap());
    t.say("another consumer's", store.cursor("report").unwrap());
    let resolved = alert("al_2", "revenue_drop", AlertStatus::Resolved, 2);
    let other = alert("al_2", "revenue_drop", AlertStatus::Firing, 1);
    let changes = [change(&other, 70), change(&resolved, 71)];
    let step = Step {
        changes: &changes,
        deliveries: &[delivery("al_2", 1, "email"), delivery("al_2", 2, "email")],
        ..Step::new("pump", expected, Cursor { seq: 9, at: at(72) })
    };
    store.commit_step(&step).unwrap();
    t.list(
        "suppressed",
        suppressed_of(store, &SuppressedFilter::default()),
    );
    t.list(
        "suppressed of a subject",
        suppressed_of(
            store,
            &SuppressedFilter {
                subject: Some("cus_2".to_owned()),
                detector: Some("duplicate_charge".to_owned()),
                reason: Some("dunning_retry".to_owned()),
                source: Some("default".to_owned()),
                livemode: Some(true),
            },
        ),
    );
}

fn suppressed_of(store: &TestStore, filter: &SuppressedFilter) -> Vec<Suppressed> {
    store
        .list_suppressed(filter, &Page::default())
        .unwrap()
        .items
}

fn leases(store: &TestStore, t: &mut Transcript) {
    t.heading("leases");
    let long = Span::hours(1);
    let take = |holder: &str, ttl| store.acquire_lease("engine", holder, ttl).unwrap();
    let first = take("one", long).unwrap();
    t.say("taken", &first);
    t.say("renewed", take("one", long));
    t.say("held by another", take("two", long));
    let of_another = store.acquire_lease("other", "two", long).unwrap();
    t.say("of another name", of_another);
    // One that has ended: whoever comes first has it.
    take("one", Span::ZERO).unwrap();
    let second = take("two", long).unwrap();
    t.say("taken over", &second);
    let step = |lease, expected, seq| {
        let cursor = Cursor { seq, at: at(60) };
        store.commit_step(&Step {
            lease: Some(lease),
            ..Step::new("leased", expected, cursor)
        })
    };
    let end = Cursor { seq: 1, at: at(60) };
    t.say("a step under it", step(&second, Cursor::START, 1));
    t.say("a step under the old one", step(&first, end, 2));
    store.release_lease(&first).unwrap();
    t.say("an old one given back", take("one", long));
    store.release_lease(&second).unwrap();
    t.say("given back", take("one", long));
    t.say("cursor", store.cursor("leased").unwrap());
}

fn marks(store: &TestStore, t: &mut Transcript) {
    t.heading("marks");
    let acknowledge = |id: &str, note| store.acknowledge(id, "ada", note, at(80)).unwrap();
    t.say("acknowledge", acknowledge("al_1", Some("looking\0")));
    t.say("acknowledge again", acknowledge("al_1", None));
    t.say("acknowledge an unknown one", acknowledge("al_9", None));
    let judge = |id: &str, verdict| {
        store
            .set_verdict(id, verdict, "bob", Some("a test order"), at(81))
            .unwrap()
    };
    t.say("judge", judge("al_1", Verdict::FalsePositive));
    t.say("judge the same", judge("al_1", Verdict::FalsePositive));
    t.say("judge otherwise", judge("al_1", Verdict::TruePositive));
    t.list("judged", store.verdict_counts().unwrap());
    t.list("harmless", store.suppressed_counts().unwrap());
    t.say("judge an unknown one", judge("al_9", Verdict::TruePositive));
    t.say("al_1", store.get_alert("al_1").unwrap());
    t.say("al_9", store.get_alert("al_9").unwrap());
    let history = store.alert_history("al_1").unwrap();
    t.list(
        "history",
        history.iter().map(|entry| (entry.at, entry.what.as_str())),
    );
    t.list("its last entries", &history[2..]);
    t.list("an unknown one's", store.alert_history("al_9").unwrap());
}

fn alert_lists(store: &TestStore, t: &mut Transcript) {
    t.heading("alert lists");
    let mut list = |what: &str, filter: AlertFilter| {
        let page = store.list_alerts(&filter, &Page::default()).unwrap();
        let ids: Vec<_> = page.items.into_iter().map(|row| row.alert.id).collect();
        t.say(what, ids);
    };
    let all = AlertFilter::default;
    list("all", all());
    list(
        "of a detector",
        AlertFilter {
            detector: Some("revenue_drop".to_owned()),
            ..all()
        },
    );
    list(
        "escalated",
        AlertFilter {
            status: Some(AlertStatus::Escalated),
            ..all()
        },
    );
    list(
        "critical",
        AlertFilter {
            severity_min: Some(Severity::Critical),
            ..all()
        },
    );
    list(
        "high or worse",
        AlertFilter {
            severity_min: Some(Severity::High),
            ..all()
        },
    );
    list(
        "about cus_9",
        AlertFilter {
            subject: Some("cus_9".to_owned()),
            ..all()
        },
    );
    list(
        "about nobody known",
        AlertFilter {
            subject: Some("cus_0".to_owned()),
            ..all()
        },
    );
    list(
        "of a source, live",
        AlertFilter {
            source: Some("default".to_owned()),
            livemode: Some(true),
            ..all()
        },
    );
    list(
        "of an account",
        AlertFilter {
            account: Some("acct_1".to_owned()),
            ..all()
        },
    );
    list(
        "open",
        AlertFilter {
            open_only: true,
            ..all()
        },
    );
    list(
        "judged right",
        AlertFilter {
            verdict: Some(Verdict::TruePositive),
            ..all()
        },
    );
    list(
        "since, until",
        AlertFilter {
            since: Some(at(0)),
            until: Some(at(60)),
            ..all()
        },
    );
    let first = store.list_alerts(&all(), &Page::first(1).unwrap()).unwrap();
    t.say("page of one", (&first.items[0].alert.id, &first.next));
    let second = store
        .list_alerts(&all(), &Page::new(first.next, 1).unwrap())
        .unwrap();
    t.say("the next", (&second.items[0].alert.id, &second.next));
    t.list("counts", store.alert_counts().unwrap());
}

fn outbox(store: &TestStore, t: &mut Transcript) {
    t.heading("outbox");
    t.say("next due", store.next_due_at("email").unwrap());
    t.say(
        "next due of a stranger",
        store.next_due_at("pager").unwrap(),
    );
    let lease = |now| -> Vec<(String, u32, u32)> {
        let leased = store
            .lease_due("email", at(now), Span::secs(30), 10)
            .unwrap();
        let show = |d: billingwatch_store::Delivery| (d.alert_id, d.revision, d.attempt);
        leased.into_iter().map(show).collect()
    };
    t.say("leased: the first change of each alert", lease(100));
    t.say("leased by another", lease(100));
    t.say("next due", store.next_due_at("email").unwrap());
    t.say("the lease ran out", lease(130));
    let ids = |alert: &str| -> Vec<i64> {
        let deliveries = store.alert_deliveries(alert).unwrap();
        deliveries
            .into_iter()
            .filter(|d| d.channel == "email")
            .map(|d| d.id)
            .collect()
    };
    let attempt = |number, outcome| Attempt {
        number,
        at: at(131),
        duration_ms: 250,
        outcome,
        status_code: Some(451),
        detail: "mailbox busy".to_owned(),
    };
    let (one, two) = (ids("al_1"), ids("al_2"));
    let retry = AttemptOutcome::Retry;
    let next = Some(at(200));
    t.say(
        "a late word on the first try",
        store
            .settle(one[0], &attempt(1, retry), Some(at(900)))
            .unwrap(),
    );
    t.say(
        "again later",
        store.settle(one[0], &attempt(2, retry), next).unwrap(),
    );
    t.say(
        "delivered",
        store
            .settle(two[0], &attempt(2, AttemptOutcome::Delivered), None)
            .unwrap(),
    );
    t.say(
        "delivered twice",
        store
            .settle(two[0], &attempt(2, AttemptOutcome::Delivered), None)
            .unwrap(),
    );
    t.say(
        "unknown",
        store.settle(-1, &attempt(1, retry), None).unwrap(),
    );
    t.say("next due", store.next_due_at("email").unwrap());
    t.say("leased: what waited behind", lease(132));
    t.say("leased: the one tried again", lease(200));
    t.say(
        "given up",
        store.settle(one[0], &attempt(3, retry), None).unwrap(),
    );
    t.say("leased: its successor", lease(201));
    let mut deliveries = store.alert_deliveries("al_1").unwrap();
    deliveries.iter_mut().for_each(|delivery| delivery.id = 0);
    t.list("al_1 was told to", deliveries);
    t.list("an unknown one", store.alert_deliveries("al_9").unwrap());
}

fn channels(store: &TestStore, t: &mut Transcript) {
    t.heading("channels");
    t.say(
        "disable",
        store.disable_channel("email", "410 Gone", at(300)).unwrap(),
    );
    t.say(
        "disable again",
        store.disable_channel("email", "410 Gone", at(301)).unwrap(),
    );
    t.list("channels", store.channels().unwrap());
    t.say("next due", store.next_due_at("email").unwrap());
    let leased = store
        .lease_due("email", at(999), Span::secs(30), 10)
        .unwrap();
    t.say("leased", leased.len());
    t.say("enable", store.enable_channel("email").unwrap());
    t.say("enable again", store.enable_channel("email").unwrap());
    t.say("next due", store.next_due_at("email").unwrap());
    t.say(
        "disable once more",
        store.disable_channel("email", "410 Gone", at(302)).unwrap(),
    );
}

fn tokens(store: &TestStore, t: &mut Transcript) {
    t.heading("tokens");
    let hash = token_hash("s3cret");
    t.say("hash", &hash);
    let insert = || {
        store
            .insert_token("ci", &hash, TokenRole::Operator, at(400))
            .unwrap()
    };
    t.say("insert", insert());
    t.say("insert again", insert());
    let found = store.find_token_by_hash(&hash).unwrap();
    t.say("find", &found);
    let id = found.unwrap().id;
    t.say(
        "find another",
        store.find_token_by_hash(&token_hash("x")).unwrap(),
    );
    t.say("revoke", store.revoke_token(id, at(401)).unwrap());
    t.say("revoke again", store.revoke_token(id, at(402)).unwrap());
    t.say(
        "revoke an unknown one",
        store.revoke_token(-1, at(402)).unwrap(),
    );
    t.say("find", store.find_token_by_hash(&hash).unwrap());
    t.list("all", store.list_tokens().unwrap());
}
