//! The book of alerts: findings in, one alert per key out.
//!
//! A detector reports what it sees as often as it sees it. The book fires an alert at the first
//! finding under a key, lets it grow with the next, escalates it when it becomes more severe, and
//! resolves it at the all-clear. A finding soon after the end reopens the same alert, so that
//! what flickers is one incident. What a person muted or declared over is [kept quiet](super::quiet)
//! as long as no alert is open for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertChange, AlertStatus, Finding, SUBJECTS_MAX, Suppressed};
use crate::detector::Output;
use crate::ids::Scope;
use crate::time::{Span, Timestamp};

use super::mute::Mute;
use super::quiet::Quiet;

/// A finding this soon after an alert's end reopens it instead of firing a new one.
pub const REOPEN_SPAN: Span = Span::hours(2);

/// The most alerts one scope keeps open. Findings under further keys are suppressed, with the
/// reason `too_many_alerts`, until some resolve.
pub const OPEN_ALERTS_MAX: usize = 5_000;

/// Which detector speaks, and when.
pub(super) struct Verdict<'a> {
    pub(super) detector: &'static str,
    pub(super) scope: &'a Scope,
    pub(super) now: Timestamp,
    pub(super) is_historical: bool,
}

impl Verdict<'_> {
    fn suppress(&self, reason: &str, subject: Option<String>, message: String) -> Suppressed {
        Suppressed {
            at: self.now,
            detector: self.detector.to_owned(),
            scope: self.scope.clone(),
            reason: reason.to_owned(),
            subject,
            message,
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Book {
    /// By full key: open alerts, and those that ended within [`REOPEN_SPAN`].
    alerts: BTreeMap<String, Entry>,
    open_count: usize,
    quiet: Quiet,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    alert: Alert,
    is_grown: bool,
}

impl Entry {
    const fn is_open(&self) -> bool {
        self.alert.status.is_open()
    }
}

impl Book {
    /// Judges everything a detector put out in one call.
    pub(super) fn judge(
        &mut self,
        verdict: &Verdict<'_>,
        outputs: &mut Vec<Output>,
        changes: &mut Vec<AlertChange>,
        suppressed: &mut Vec<Suppressed>,
    ) {
        for output in outputs.drain(..) {
            match output {
                // What history shows is known to everybody: it teaches and never pages.
                Output::Fire(_) | Output::Suppress { .. } if verdict.is_historical => {}
                Output::Fire(finding) => self.fire(verdict, *finding, changes, suppressed),
                Output::Clear { key, reason } => {
                    let key = Alert::key_of(verdict.detector, verdict.scope, &key);
                    self.quiet.clear(&key);
                    self.resolve(&key, reason, verdict.now, changes);
                }
                Output::Suppress {
                    reason,
                    subject,
                    message,
                } => suppressed.push(verdict.suppress(reason, subject, message)),
            }
        }
    }

    fn fire(
        &mut self,
        verdict: &Verdict<'_>,
        finding: Finding,
        changes: &mut Vec<AlertChange>,
        suppressed: &mut Vec<Suppressed>,
    ) {
        let key = Alert::key_of(verdict.detector, verdict.scope, &finding.key);
        let is_open = self.alerts.get(&key).is_some_and(Entry::is_open);
        if !is_open
            && let Some(silenced) =
                self.quiet
                    .silence(verdict.detector, &key, &finding, verdict.now)
        {
            if silenced.is_first {
                let (reason, message) = (silenced.reason, silenced.message);
                suppressed.push(verdict.suppress(reason, finding.subject, message));
            }
            return;
        }
        let Some(entry) = self.alerts.get_mut(&key) else {
            if self.open_count >= OPEN_ALERTS_MAX {
                let (subject, message) = (finding.subject, finding.message);
                suppressed.push(verdict.suppress("too_many_alerts", subject, message));
                return;
            }
            let alert = begin(verdict, key.clone(), finding);
            changes.push(AlertChange {
                at: verdict.now,
                alert: alert.clone(),
            });
            self.alerts.insert(
                key,
                Entry {
                    alert,
                    is_grown: false,
                },
            );
            self.open_count += 1;
            return;
        };
        let alert = &mut entry.alert;
        let was_open = alert.status.is_open();
        let is_worse = finding.severity > alert.severity || finding.is_news;
        let is_more = finding.occurrences > 0;
        let was_seen = (alert.message.clone(), alert.amount_at_stake);
        grow(alert, finding, verdict.now);
        if !was_open {
            alert.status = AlertStatus::Firing;
            alert.resolved_at = None;
            alert.resolution = None;
            self.open_count += 1;
        } else if is_worse {
            alert.status = AlertStatus::Escalated;
        } else {
            // A repeated look that sees the same is not worth a write.
            entry.is_grown |= is_more || was_seen != (alert.message.clone(), alert.amount_at_stake);
            return;
        }
        alert.revision += 1;
        entry.is_grown = false;
        changes.push(AlertChange {
            at: verdict.now,
            alert: alert.clone(),
        });
    }

    fn resolve(
        &mut self,
        key: &str,
        reason: String,
        now: Timestamp,
        changes: &mut Vec<AlertChange>,
    ) {
        let Some(entry) = self.alerts.get_mut(key) else {
            return;
        };
        if !entry.alert.status.is_open() {
            return;
        }
        entry.alert.status = AlertStatus::Resolved;
        entry.alert.resolved_at = Some(now);
        entry.alert.resolution = Some(reason);
        entry.alert.revision += 1;
        entry.is_grown = false;
        self.open_count = self.open_count.saturating_sub(1);
        changes.push(AlertChange {
            at: now,
            alert: entry.alert.clone(),
        });
    }

    /// Ends the alert with this id by a person's word; false when it is not open here.
    pub(super) fn resolve_by_id(
        &mut self,
        id: &str,
        reason: &str,
        now: Timestamp,
        changes: &mut Vec<AlertChange>,
    ) -> bool {
        let is_it = |entry: &&Entry| entry.alert.id == id && entry.is_open();
        let Some(alert) = self.alerts.values().find(is_it).map(|entry| &entry.alert) else {
            return false;
        };
        self.quiet.close(alert, reason, now);
        let key = alert.key.clone();
        self.resolve(&key, reason.to_owned(), now, changes);
        true
    }

    /// Puts a mute in force; open alerts that it covers end with it.
    ///
    /// # Errors
    /// Why it is not taken.
    pub(super) fn mute(
        &mut self,
        mute: &Mute,
        now: Timestamp,
        changes: &mut Vec<AlertChange>,
    ) -> Result<(), String> {
        self.quiet.mute(mute.clone(), now)?;
        let is_covered = |entry: &&Entry| entry.is_open() && mute.covers_alert(&entry.alert);
        let covered: Vec<String> = self
            .alerts
            .values()
            .filter(is_covered)
            .map(|entry| entry.alert.key.clone())
            .collect();
        for key in covered {
            let reason = format!("muted by {} until {}", mute.by, mute.until);
            self.resolve(&key, reason, now, changes);
        }
        Ok(())
    }

    /// Ends a mute before its date; false when none with this id is in force here.
    pub(super) fn lift(&mut self, mute_id: &str) -> bool {
        self.quiet.lift(mute_id)
    }

    /// Forgets alerts that ended too long ago to reopen.
    pub(super) fn advance_to(&mut self, now: Timestamp) {
        self.quiet.advance_to(now);
        if self.open_count == self.alerts.len() {
            return;
        }
        self.alerts.retain(|_, entry| {
            entry
                .alert
                .resolved_at
                .is_none_or(|ended_at| now.since(ended_at) < REOPEN_SPAN)
        });
    }

    pub(super) fn take_updates(&mut self, updates: &mut Vec<Alert>) {
        for entry in self.alerts.values_mut().filter(|entry| entry.is_grown) {
            entry.is_grown = false;
            updates.push(entry.alert.clone());
        }
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &Alert> {
        self.alerts
            .values()
            .map(|entry| &entry.alert)
            .filter(|alert| alert.status.is_open())
    }
}

fn begin(verdict: &Verdict<'_>, key: String, finding: Finding) -> Alert {
    let mut alert = Alert {
        id: Alert::id_of(&key, verdict.now),
        key,
        detector: verdict.detector.to_owned(),
        scope: verdict.scope.clone(),
        status: AlertStatus::Firing,
        severity: finding.severity,
        anomaly_score: finding.anomaly_score,
        title: finding.title,
        message: finding.message,
        subject: finding.subject,
        subjects: finding.subjects,
        currency: finding.currency,
        amount_at_stake: finding.amount_at_stake,
        evidence: finding.evidence,
        count: finding.occurrences.max(1),
        revision: 1,
        fired_at: verdict.now,
        last_seen_at: verdict.now,
        resolved_at: None,
        resolution: None,
    };
    alert.subjects.truncate(SUBJECTS_MAX);
    alert.evidence.bound();
    alert
}

fn grow(alert: &mut Alert, finding: Finding, now: Timestamp) {
    alert.severity = alert.severity.max(finding.severity);
    alert.anomaly_score = alert.anomaly_score.max(finding.anomaly_score);
    alert.title = finding.title;
    alert.message = finding.message;
    alert.currency = finding.currency.or(alert.currency);
    alert.amount_at_stake = finding.amount_at_stake.or(alert.amount_at_stake);
    alert.evidence.merge(finding.evidence);
    alert.count = alert.count.saturating_add(finding.occurrences);
    alert.last_seen_at = now;
    for subject in finding.subjects {
        if alert.subjects.contains(&subject) {
            continue;
        }
        // Who was named first was told first: the newest are news.
        if alert.subjects.len() >= SUBJECTS_MAX {
            alert.subjects.remove(0);
        }
        alert.subjects.push(subject);
    }
}
