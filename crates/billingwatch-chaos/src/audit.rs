//! What was promised, checked against what is committed. After every death, and at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use billingwatch_core::alert::{Alert, AlertChange, AlertStatus, Suppressed};
use billingwatch_core::engine::Registry;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::pump::CONSUMER;
use billingwatch_pipeline::testing::probe_registry;
use billingwatch_pipeline::{PipelineStore, ReplaySink, replay_journal};
use billingwatch_store::cursors::SNAPSHOTS_MAX;
use billingwatch_store::{DeliveryState, Spooled};

use crate::host::Host;
use crate::plan::Story;
use crate::receivers::CHANNELS;
use crate::world::{SOURCE, World};

/// The largest snapshot of a story. The probe's are some hundred bytes and a few for each event id
/// it remembers; the merchant has a hundred customers.
const SNAPSHOT_SIZE_BYTES_MAX: usize = 2 << 20;

/// A delivery is tried some 20 times in three days; each death and failure may add one.
const ATTEMPTS_MAX: usize = 200;

/// How far the engine may have come while an append was tried that then failed.
const RECEIPT_LATE_MAX: Span = Span::secs(10);

/// What small steps of a clock, each believed at once, may add up to. A leap of an hour is far beyond.
const SLACK: Span = Span::minutes(15);

/// Everything that holds at any moment.
pub(crate) fn check(world: &World) -> Result<(), String> {
    journal(world)?;
    order(world)?;
    if !is_spared(world) {
        replay(world)?;
    }
    outbox(world)?;
    bounds(world)?;
    world.receivers().check(world.plan.has_true_clocks())
}

/// A merchant's days under seven detectors take a second to replay: after many deaths not at each.
fn is_spared(world: &World) -> bool {
    let weather = world.weather();
    let is_merchant = world.plan.story == Story::Merchant;
    is_merchant && !weather.is_calm && weather.deaths > 20 && !weather.deaths.is_multiple_of(50)
}

/// Nothing acknowledged is lost; every event is there once; numbers have no gap, time does not go
/// back.
fn journal(world: &World) -> Result<(), String> {
    let rows = world.db.journal();
    let mut ids: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut received_at = Timestamp::EPOCH;
    for (row, seq) in rows.iter().zip(1_i64..) {
        if row.seq != seq {
            return Err(format!("the journal has row {} in place of {seq}", row.seq));
        }
        if row.received_at < received_at {
            return Err(format!("row {seq} was received before the row before it"));
        }
        received_at = row.received_at;
        if received_at > world.now() + world.plan.faults.skew + SLACK {
            return Err(format!(
                "row {seq} was received at {received_at}, and it is {} yet",
                world.now()
            ));
        }
        if let Some(id) = &row.event_id
            && !ids.insert((&row.source, id))
        {
            return Err(format!("{id} is in the journal twice"));
        }
    }
    let spooled: Vec<Spooled> = world.hosts.iter().flat_map(Host::spooled).collect();
    for one in &spooled {
        if let Some(id) = &one.entry.event_id {
            ids.insert((SOURCE, id));
        }
    }
    for event in world.stripe().iter().filter(|event| event.is_acknowledged) {
        if !ids.contains(&(SOURCE, &event.id)) {
            return Err(format!("{} was acknowledged and is lost", event.id));
        }
    }
    Ok(())
}

/// With one process, events stand in the journal in the order in which they were first kept, there or
/// in the spool; and as long as nobody else moves the journal's time, as received when they were.
fn order(world: &World) -> Result<(), String> {
    if world.plan.spool.is_none() || world.plan.processes > 1 {
        return Ok(());
    }
    let rows = world.db.journal();
    let places: BTreeMap<&str, (i64, Timestamp)> = rows
        .iter()
        .filter_map(|row| Some((row.event_id.as_deref()?, (row.seq, row.received_at))))
        .collect();
    let mut before: Option<(i64, String)> = None;
    for kept in world.kept() {
        let Some((seq, received_at)) = places.get(kept.event_id.as_str()).copied() else {
            continue;
        };
        if let Some((last_seq, last_id)) = &before
            && *last_seq > seq
        {
            return Err(format!(
                "{} was received after {last_id} and stands before it",
                kept.event_id
            ));
        }
        let late = kept
            .spooled_at
            .map_or(Span::ZERO, |at| received_at.since(at));
        if world.plan.keeps_receipt_times() && late > RECEIPT_LATE_MAX {
            return Err(format!(
                "{} waited in the spool and seems to have been received {late} later",
                kept.event_id
            ));
        }
        before = Some((seq, kept.event_id));
    }
    Ok(())
}

/// What an undisturbed run finds.
#[derive(Default)]
struct Findings {
    changes: Vec<AlertChange>,
    suppressed: Vec<Suppressed>,
}

impl ReplaySink for Findings {
    fn change(&mut self, change: &AlertChange) -> io::Result<()> {
        self.changes.push(change.clone());
        Ok(())
    }

    fn suppressed(&mut self, suppressed: &Suppressed) {
        self.suppressed.push(suppressed.clone());
    }
}

/// Alerts, and what was recognised as harmless, equal those of an undisturbed run over the journal,
/// up to what is committed.
fn replay(world: &World) -> Result<(), String> {
    let recorded = world.db.recorded_changes();
    let cursor = world
        .db
        .cursor(CONSUMER)
        .map_err(|error| error.to_string())?;
    let mut found = Findings::default();
    if cursor.is_some() {
        let registry = match world.plan.story {
            Story::Probe => probe_registry(),
            Story::Merchant => Registry::standard(),
        };
        replay_journal(&world.db, registry, &mut found).map_err(|error| error.to_string())?;
    }
    for (n, change) in recorded.iter().enumerate() {
        match found.changes.get(n) {
            Some(expected) if expected == change => {}
            Some(expected) => {
                return Err(format!(
                    "change {n} is {}, an undisturbed run has {}",
                    brief(change),
                    brief(expected)
                ));
            }
            None => return Err(format!("{} has no cause in the journal", brief(change))),
        }
    }
    if let Some(missed) = found.changes.get(recorded.len()) {
        return Err(format!("{} is missing", brief(missed)));
    }
    if world.db.suppressed() != found.suppressed {
        return Err("suppressed findings differ from those of an undisturbed run".to_owned());
    }
    Ok(())
}

fn brief(change: &AlertChange) -> String {
    let alert = &change.alert;
    format!(
        "{} r{} {} at {} (n {})",
        alert.id,
        alert.revision,
        alert.status.as_str(),
        change.at,
        alert.count
    )
}

/// Each change is queued once for each channel that is to hear of it, and for no other.
fn outbox(world: &World) -> Result<(), String> {
    let mut expected: BTreeSet<(String, u32, String)> = BTreeSet::new();
    let mut told: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for change in world.db.recorded_changes() {
        let Alert {
            id,
            revision,
            severity,
            status,
            ..
        } = change.alert;
        let told = told.entry(id.clone()).or_default();
        for (name, min_severity) in CHANNELS {
            let is_end = status == AlertStatus::Resolved;
            if severity >= min_severity && (!is_end || told.contains(name)) {
                told.insert(name);
                expected.insert((id.clone(), revision, name.to_owned()));
            }
        }
    }
    let queued: BTreeSet<(String, u32, String)> = world
        .db
        .deliveries()
        .into_iter()
        .map(|(alert_id, row)| (alert_id, row.revision, row.channel))
        .collect();
    if let Some((alert, revision, channel)) = expected.difference(&queued).next() {
        return Err(format!(
            "{alert} r{revision} was never queued for {channel}"
        ));
    }
    if let Some((alert, revision, channel)) = queued.difference(&expected).next() {
        return Err(format!(
            "{alert} r{revision} was queued for {channel}, without cause"
        ));
    }
    Ok(())
}

/// Nothing grows beyond its bound.
fn bounds(world: &World) -> Result<(), String> {
    let snapshots = world.db.snapshots(CONSUMER).unwrap_or_default();
    if snapshots.len() > SNAPSHOTS_MAX {
        return Err(format!("{} snapshots are kept", snapshots.len()));
    }
    for snapshot in &snapshots {
        if snapshot.bytes.len() > SNAPSHOT_SIZE_BYTES_MAX {
            return Err(format!("a snapshot has {} bytes", snapshot.bytes.len()));
        }
    }
    for (alert_id, row) in world.db.deliveries() {
        if row.attempts.len() > ATTEMPTS_MAX {
            return Err(format!("{alert_id} was tried {} times", row.attempts.len()));
        }
    }
    Ok(())
}

/// What holds once everything has come to rest: all of it was taken in, seen and told.
pub(crate) fn check_rest(world: &World) -> Result<(), String> {
    check(world)?;
    for event in world.stripe().iter() {
        let is_given_up = world.now().since(event.first_at) >= Span::days(2);
        if !event.is_acknowledged && !is_given_up {
            return Err(format!("{} was never taken in", event.id));
        }
    }
    if let Some(host) = world.hosts.iter().find(|host| !host.spooled().is_empty()) {
        return Err(format!(
            "events still wait in the spool of process {}",
            host.id
        ));
    }
    let last_seq = world.db.head().map_or(0, |head| head.last_seq);
    let cursor = world.db.cursor(CONSUMER).ok().flatten().unwrap_or_default();
    if cursor.seq != last_seq {
        return Err(format!(
            "the engine stands at row {} of {last_seq}",
            cursor.seq
        ));
    }
    let receivers = world.receivers();
    for (alert_id, row) in world.db.deliveries() {
        let Some(channel) = CHANNELS.iter().position(|(name, _)| *name == row.channel) else {
            continue;
        };
        let what = format!("{alert_id} r{} to {}", row.revision, row.channel);
        match row.state {
            DeliveryState::Pending => return Err(format!("{what} is still waiting")),
            DeliveryState::Delivered if !receivers.has_taken(channel, &alert_id, row.revision) => {
                return Err(format!("{what} counts as delivered and was never taken"));
            }
            DeliveryState::GaveUp => {
                let first_at = row.attempts.first().map(|attempt| attempt.at);
                let last_at = row.attempts.last().map(|attempt| attempt.at);
                let tried = last_at
                    .zip(first_at)
                    .map_or(Span::ZERO, |(last, first)| last.since(first));
                let is_refused = receivers.has_refused(channel, &alert_id, row.revision);
                if !is_refused && tried < Span::days(2) {
                    return Err(format!("{what} was given up after {tried}"));
                }
            }
            DeliveryState::Delivered => {}
        }
    }
    Ok(())
}
