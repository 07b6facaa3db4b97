//! What goes wrong with the watching itself, told like any alert: `operations`.
//!
//! No detector: it reads this process and its machine, not the journal, so a replay knows nothing of
//! it and its alerts are none of a replay's. It keeps its own cursor and has its own source, fires
//! once for each condition, tells the end, and takes up after a restart what it had left open.
//! Each condition begins at one line and ends at another, so that it does not flap.

mod clock;
mod record;
mod rounds;
mod store;

use std::collections::{BTreeMap, VecDeque};

use billingwatch_core::alert::{
    Alert, AlertChange, AlertStatus, Evidence, Measure, Severity, Unit,
};
use billingwatch_core::ids::Scope;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_store::DiskSpace;

use crate::spool::Outage;
use crate::status::PipelineStatus;

pub(crate) use rounds::{OperationsLoop, Telling};

/// Stands where a detector's name does, and is the source of its alerts' scope.
pub const OPERATIONS: &str = "operations";

/// Free space below which a disk is nearly full, a quarter of a million events' worth; a tenth of a
/// disk on which that would be more.
const DISK_LOW_BYTES: u64 = 512 * 1024 * 1024;

/// Where a disk is nearly full, and an eighth of which is a matter of minutes.
fn disk_line(disk: DiskSpace) -> u64 {
    DISK_LOW_BYTES.min(disk.size_bytes / 10)
}

/// Whether so little is free that somebody should make room.
#[must_use]
pub fn is_nearly_full(disk: DiskSpace) -> bool {
    disk.free_bytes < disk_line(disk)
}

/// Bad signatures within [`SIGNATURE_WINDOW`] that are no accident. Stripe sends each event again
/// for three days, so a rolled secret gathers as many within minutes on any busy account.
const BAD_SIGNATURES_MIN: u64 = 10;

/// How far back bad signatures are counted.
const SIGNATURE_WINDOW: Span = Span::minutes(10);

/// So far behind, the detectors no longer speak of the present.
pub const LAG_SECS_MAX: i64 = 60;

/// So far behind, they have caught up.
const LAG_SECS_WELL: i64 = 10;

/// A pump may be behind for so long before it is told: a start with a backlog is no incident.
const LAG_PATIENCE: Span = Span::minutes(2);

/// Failed attempts in a row after which a channel is said to fail.
pub const CHANNEL_FAILURES_MIN: i64 = 3;

/// How long they must have lasted: a receiver's restart is no incident.
const CHANNEL_PATIENCE: Span = Span::minutes(5);

/// Events that waited in the spool for less than this are no incident: a restart of the database.
const SPOOL_PATIENCE: Span = Span::minutes(1);

/// How long an outage that is over is told of: while it lasted nothing could be told.
const SPOOL_AFTERMATH: Span = Span::minutes(5);

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Reading {
    /// When.
    pub at: Timestamp,
    /// How the loops fare.
    pub status: PipelineStatus,
    /// Room on the database's disk, where that can be told.
    pub disk: Option<DiskSpace>,
}

/// A condition as it is now.
struct Condition {
    key: String,
    severity: Severity,
    title: &'static str,
    message: String,
    subject: Option<String>,
    measure: Measure,
    /// What it looks like, and what to do.
    advice: &'static str,
}

/// What is known of one condition now.
enum Now {
    /// It holds.
    Bad(Box<Condition>),
    /// Neither: between the lines, or not for long enough.
    Unsure,
    /// It does not hold.
    Well { key: String, reason: &'static str },
}

/// Counts of bad signatures at the looks of the last while.
type Counts = VecDeque<(Timestamp, u64)>;

/// The conditions that hold, and what is remembered to judge them.
#[derive(Debug, Default)]
pub struct Operations {
    open: BTreeMap<String, Alert>,
    signatures: BTreeMap<String, Counts>,
    lagging_since: Option<Timestamp>,
    /// When something was seen to have been refused last.
    refused_at: Option<Timestamp>,
    /// Since when the journal's time is ahead of the clock.
    ahead_since: Option<Timestamp>,
}

impl Operations {
    /// Takes up what is recorded as open, in place of what was believed to be.
    pub fn take_up(&mut self, alerts: impl IntoIterator<Item = Alert>) {
        let ours = alerts.into_iter().filter(|a| a.detector == OPERATIONS);
        self.open = ours.map(|alert| (alert.key.clone(), alert)).collect();
    }

    /// Judges a reading: what began, became worse or ended since the last.
    pub fn look(&mut self, reading: &Reading) -> Vec<AlertChange> {
        let mut judged = self.signatures(reading);
        judged.extend(disk(reading));
        judged.extend(spool(reading));
        judged.push(self.store(reading));
        judged.push(self.clock(reading));
        judged.push(self.pump(reading));
        judged.extend(channels(reading));
        let changes = judged.into_iter();
        changes
            .filter_map(|now| self.judge(now, reading.at))
            .collect()
    }

    fn judge(&mut self, now: Now, at: Timestamp) -> Option<AlertChange> {
        let alert = match now {
            Now::Unsure => return None,
            Now::Well { key, reason } => {
                let mut alert = self.open.remove(&full_key(&key))?;
                alert.status = AlertStatus::Resolved;
                alert.resolved_at = Some(at);
                alert.resolution = Some(reason.to_owned());
                alert.revision += 1;
                alert
            }
            Now::Bad(condition) => {
                let key = full_key(&condition.key);
                let alert = match self.open.get(&key) {
                    Some(open) if condition.severity <= open.severity => return None,
                    Some(open) => condition.escalated(open, at),
                    None => condition.begun(key.clone(), at),
                };
                self.open.insert(key, alert.clone());
                alert
            }
        };
        Some(AlertChange { at, alert })
    }

    fn signatures(&mut self, reading: &Reading) -> Vec<Now> {
        let mut judged = Vec::new();
        for (source, total) in &reading.status.bad_signatures {
            // At its first post there were none: counts begin with the process.
            let counts = self
                .signatures
                .entry(source.clone())
                .or_insert_with(|| Counts::from([(reading.at, 0)]));
            let oldest = reading.at - SIGNATURE_WINDOW;
            // One look beyond the window stays: the count is against it.
            while counts.get(1).is_some_and(|(at, _)| *at <= oldest) {
                counts.pop_front();
            }
            let before = counts.front().map_or(0, |(_, count)| *count);
            counts.push_back((reading.at, *total));
            let recent = total.saturating_sub(before);
            let key = format!("bad_signatures/{source}");
            judged.push(if recent >= BAD_SIGNATURES_MIN {
                Now::Bad(Box::new(Condition {
                    key,
                    severity: Severity::High,
                    title: "Webhooks arrive with bad signatures",
                    message: format!(
                        "{recent} posts to source {source} failed their signature check within {SIGNATURE_WINDOW}: their events are not taken in"
                    ),
                    subject: Some(source.clone()),
                    measure: measure("bad_signatures", recent, BAD_SIGNATURES_MIN, Unit::Count),
                    advice: "a signing secret was rolled in Stripe and not here, another endpoint \
                        posts to this address, this machine's clock is wrong, or somebody forges \
                        events; the log names each reason",
                }))
            } else if recent == 0 {
                Now::Well {
                    key,
                    reason: "no signature failed for ten minutes",
                }
            } else {
                Now::Unsure
            });
        }
        judged
    }

    fn pump(&mut self, reading: &Reading) -> Now {
        let key = "pump".to_owned();
        let (secs, rows) = (reading.status.lag_secs, reading.status.lag_rows);
        if secs <= LAG_SECS_MAX {
            self.lagging_since = None;
            return if secs > LAG_SECS_WELL {
                Now::Unsure
            } else {
                Now::Well {
                    key,
                    reason: "the detectors have caught up",
                }
            };
        }
        let since = *self.lagging_since.get_or_insert(reading.at);
        if reading.at.since(since) < LAG_PATIENCE {
            return Now::Unsure;
        }
        Now::Bad(Box::new(Condition {
            key,
            severity: Severity::High,
            title: "The detectors are behind",
            message: format!(
                "the detectors are {secs} s and {rows} events behind: events are kept, and judged late"
            ),
            subject: None,
            measure: Measure::new("lag", secs, Unit::Seconds).threshold(LAG_SECS_MAX),
            advice: "the machine or its database is too slow, or the pump fails; the log says which",
        }))
    }
}

fn disk(reading: &Reading) -> Option<Now> {
    let disk = reading.disk?;
    let (free, line) = (disk.free_bytes, disk_line(disk));
    let key = "disk".to_owned();
    // Half as much again: a log that is cut back and grows would flap otherwise.
    if free >= line + line / 2 {
        return Some(Now::Well {
            key,
            reason: "there is room on the disk again",
        });
    }
    if !is_nearly_full(disk) {
        return Some(Now::Unsure);
    }
    let severity = if free < line / 8 {
        Severity::Critical
    } else {
        Severity::High
    };
    Some(Now::Bad(Box::new(Condition {
        key,
        severity,
        title: "The database's disk is nearly full",
        message: format!(
            "{} MiB are free where the database lies: once it is full, events are refused with 503",
            free / (1024 * 1024)
        ),
        subject: None,
        measure: measure(
            "free_mebibytes",
            free / (1024 * 1024),
            line / (1024 * 1024),
            Unit::Count,
        ),
        advice: "make room, or move the database to a larger disk",
    })))
}

/// What was taken in while the database was away is told once the database can be told: most of the
/// time after the fact.
fn spool(reading: &Reading) -> Option<Now> {
    let spool = reading.status.spool?;
    let at = reading.at;
    let recent = |outage: &Outage| at.since(outage.ended_at) < SPOOL_AFTERMATH;
    let (lasted, events, is_over) = match (spool.spooling_since, spool.last_outage) {
        (Some(since), _) => (at.since(since), spool.usage.entries, false),
        (None, Some(outage)) if recent(&outage) => (outage.duration(), outage.events, true),
        (None, _) => {
            return Some(Now::Well {
                key: "spool".to_owned(),
                reason: "events go into the database again",
            });
        }
    };
    if lasted < SPOOL_PATIENCE {
        return Some(Now::Unsure);
    }
    let minutes = lasted.as_secs() / 60;
    let message = if is_over {
        format!(
            "the database took no events for {minutes} min; {events} waited in the local spool, and all are in the journal now"
        )
    } else {
        format!(
            "the database has taken no events for {minutes} min; {events} wait in the local spool"
        )
    };
    Some(Now::Bad(Box::new(Condition {
        key: "spool".to_owned(),
        severity: Severity::High,
        title: "The database takes no events",
        message,
        subject: None,
        measure: Measure::new("lasted", lasted.as_secs(), Unit::Seconds)
            .threshold(SPOOL_PATIENCE.as_secs()),
        advice: "the database was down, out of reach, too slow or full; events were answered all \
            the same, and judged late",
    })))
}

fn channels(reading: &Reading) -> impl Iterator<Item = Now> {
    let at = reading.at;
    reading.status.channels.iter().map(move |channel| {
        let key = channel_key(&channel.name);
        let Some(since) = channel.failing_since else {
            return Now::Well {
                key,
                reason: "the channel delivers again",
            };
        };
        let failures = channel.failures_in_row;
        let lasts = failures >= CHANNEL_FAILURES_MIN && at.since(since) >= CHANNEL_PATIENCE;
        if !lasts && !channel.is_disabled {
            return Now::Unsure;
        }
        let name = &channel.name;
        let message = if channel.is_disabled {
            format!(
                "channel {name} is disabled until the next start: its target says that it is gone"
            )
        } else {
            format!("channel {name} has failed {failures} times in a row since {since}")
        };
        Now::Bad(Box::new(Condition {
            key,
            severity: Severity::High,
            title: "An alert channel keeps failing",
            message,
            subject: Some(name.clone()),
            measure: Measure::new("failed_attempts", failures, Unit::Count)
                .threshold(CHANNEL_FAILURES_MIN),
            advice: "the log and the alerts' deliveries say what its target answered",
        }))
    })
}

/// The key of the condition that a channel fails; it is told through the others.
fn channel_key(name: &str) -> String {
    format!("channel/{name}")
}

/// Whether an alert says that this channel fails.
pub(crate) fn is_failure_of(channel: &str, alert: &Alert) -> bool {
    alert.key == full_key(&channel_key(channel))
}

fn scope() -> Scope {
    Scope::new(OPERATIONS, None, true)
}

fn full_key(key: &str) -> String {
    Alert::key_of(OPERATIONS, &scope(), key)
}

fn measure(name: &str, observed: u64, threshold: u64, unit: Unit) -> Measure {
    let int = |value| i64::try_from(value).unwrap_or(i64::MAX);
    Measure::new(name, int(observed), unit).threshold(int(threshold))
}

impl Condition {
    fn evidence(&self) -> Evidence {
        Evidence {
            measures: vec![self.measure.clone()],
            reasons: vec![self.advice.to_owned()],
            ..Evidence::default()
        }
    }

    fn begun(&self, key: String, at: Timestamp) -> Alert {
        Alert {
            id: Alert::id_of(&key, at),
            key,
            detector: OPERATIONS.to_owned(),
            scope: scope(),
            status: AlertStatus::Firing,
            severity: self.severity,
            anomaly_score: 1.0,
            title: self.title.to_owned(),
            message: self.message.clone(),
            subject: self.subject.clone(),
            subjects: self.subject.iter().cloned().collect(),
            currency: None,
            amount_at_stake: None,
            evidence: self.evidence(),
            count: 1,
            revision: 1,
            fired_at: at,
            last_seen_at: at,
            resolved_at: None,
            resolution: None,
        }
    }

    fn escalated(&self, open: &Alert, at: Timestamp) -> Alert {
        Alert {
            status: AlertStatus::Escalated,
            severity: self.severity,
            message: self.message.clone(),
            evidence: self.evidence(),
            revision: open.revision + 1,
            last_seen_at: at,
            ..open.clone()
        }
    }
}

#[cfg(test)]
mod tests;
