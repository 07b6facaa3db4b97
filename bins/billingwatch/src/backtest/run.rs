//! One run of a recording, and its score.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::{Context, ensure};
use billingwatch_core::alert::{Alert, AlertChange, AlertStatus};
use billingwatch_core::engine::{Registry, SettingsChange};
use billingwatch_core::time::Timestamp;
use billingwatch_pipeline::replay::{Replay, ReplayOptions, ReplayReport, ReplaySink};
use billingwatch_simulator::scoring::{FiredAlert, Score, is_of};
use billingwatch_simulator::{Label, Strength};
use billingwatch_store::Store;

/// The most alerts that are kept and scored; a run that makes more is refused.
const ALERTS_MAX: usize = 20_000;

/// An alert as it fired, and whose it is.
#[derive(Debug)]
pub(super) struct Found {
    /// The alert when it fired.
    pub(super) alert: Alert,
    /// The incidents it belongs to, by name; none: it is false.
    pub(super) incidents: Vec<String>,
}

/// What one detector did, over all strengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Precision {
    /// Alerts that fired.
    pub(super) alerts: u32,
    /// Of these, alerts that belong to no incident.
    pub(super) false_alarms: u32,
}

/// A run of a recording with one group of settings.
#[derive(Debug)]
pub(super) struct Run {
    /// What was read.
    pub(super) report: ReplayReport,
    /// From when on it is judged; from the first event when `None`.
    pub(super) since: Option<Timestamp>,
    /// In the order in which they fired.
    pub(super) found: Vec<Found>,
    /// By detector and strength.
    pub(super) scores: BTreeMap<(String, Strength), Score>,
    /// By detector.
    pub(super) precision: BTreeMap<String, Precision>,
    /// Names of the incidents without an alert of their own.
    pub(super) missed: Vec<String>,
}

/// What is run.
pub(super) enum Recording<'a> {
    /// A file, as `replay` reads it.
    File(&'a Path),
    /// The events that `serve` has stored.
    Stored(&'a Store),
}

struct Sink {
    since: Option<Timestamp>,
    fired: Vec<Alert>,
    more: u64,
}

impl ReplaySink for Sink {
    fn change(&mut self, change: &AlertChange) -> io::Result<()> {
        let is_before = self
            .since
            .is_some_and(|since| change.alert.fired_at < since);
        if change.alert.status != AlertStatus::Firing || is_before {
            return Ok(());
        }
        if self.fired.len() < ALERTS_MAX {
            self.fired.push(change.alert.clone());
        } else {
            self.more += 1;
        }
        Ok(())
    }
}

impl Run {
    /// Replays the recording and scores what fired, from `since` on.
    ///
    /// # Errors
    /// When it cannot be read, or fires more alerts than can be scored.
    pub(super) fn over(
        recording: &Recording<'_>,
        since: Option<Timestamp>,
        registry: &Registry,
        settings: &[SettingsChange],
        labels: Option<&[Label]>,
    ) -> anyhow::Result<Self> {
        let mut replay = Replay::new(registry.clone(), settings, &ReplayOptions::default())?;
        let mut sink = Sink {
            since,
            fired: Vec::new(),
            more: 0,
        };
        match recording {
            Recording::File(path) => {
                let file = File::open(path).with_context(|| path.display().to_string())?;
                replay.file(&path.display().to_string(), file, &mut sink)?;
            }
            Recording::Stored(store) => replay.journal(*store, &mut sink)?,
        }
        let report = replay.finish(&mut sink)?;
        ensure!(
            sink.more == 0,
            "more than {ALERTS_MAX} alerts fire: that many cannot be scored; turn a detector off \
             with --set NAME.enabled=false"
        );
        let labels = labels.unwrap_or_default();
        Ok(Self::scored(report, since, sink.fired, labels))
    }

    fn scored(
        report: ReplayReport,
        since: Option<Timestamp>,
        fired: Vec<Alert>,
        labels: &[Label],
    ) -> Self {
        let mut run = Self {
            report,
            since,
            found: Vec::with_capacity(fired.len()),
            scores: BTreeMap::new(),
            precision: BTreeMap::new(),
            missed: Vec::new(),
        };
        let mut own_fired_at: Vec<Vec<i64>> = vec![Vec::new(); labels.len()];
        for alert in fired {
            let fired_at = alert.fired_at.as_secs();
            let seen = FiredAlert {
                detector: &alert.detector,
                fired_at,
                subjects: &alert.subjects,
            };
            let mut incidents = Vec::new();
            for (label, own) in labels.iter().zip(&mut own_fired_at) {
                if is_of(seen, label) {
                    own.push(fired_at);
                    incidents.push(label.incident.clone());
                }
            }
            let precision = run.precision.entry(alert.detector.clone()).or_default();
            precision.alerts += 1;
            precision.false_alarms += u32::from(incidents.is_empty());
            run.found.push(Found { alert, incidents });
        }
        for (label, own) in labels.iter().zip(&own_fired_at) {
            let key = (label.detector.clone(), label.strength);
            run.scores.entry(key).or_default().add(label, own);
            if own.is_empty() {
                run.missed.push(label.incident.clone());
            }
        }
        run
    }

    /// How many days are judged, by receipt.
    pub(super) fn days(&self) -> f64 {
        let first_at = self.report.first_at.max(self.since);
        let span = first_at.zip(self.report.last_at.max(first_at));
        let secs = span.map_or(0, |(first, last)| last.since(first).as_secs());
        f64::from(i32::try_from(secs / 60).unwrap_or(i32::MAX)) / 1440.0
    }
}
