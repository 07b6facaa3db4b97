//! The database refuses what is written. Judged by refusals, with the times at which they were, and
//! by nothing that would need the database.

use std::time::Duration;

use billingwatch_core::alert::{Measure, Severity, Unit};
use billingwatch_core::time::Span;

use super::{Condition, Now, Operations, Reading};
use crate::spool::SpoolStatus;
use crate::status::RefusalRun;

/// The database may refuse what is written for so long, from the first refusal to the last with
/// nothing taken in between: another process's lock, a restart.
const STORE_PATIENCE: Span = Span::secs(20);

/// A refusal longer ago than this says nothing of now.
const STORE_RECENT: Duration = Duration::from_secs(60);

/// So long after the last refusal, with something taken since, it is over: it would flap otherwise
/// where a full disk takes a small event now and then.
const STORE_AFTERMATH: Span = Span::minutes(1);

/// The same where nothing was taken since, because nobody sends: Stripe comes back within hours.
const STORE_SILENCE: Duration = Duration::from_secs(3_600);

impl Operations {
    /// Whether the database takes what is written: events, and what the detectors find.
    pub(super) fn store(&mut self, reading: &Reading) -> Now {
        let key = "store".to_owned();
        let status = &reading.status;
        let (events, mut steps) = (status.events_refused, status.steps_refused);
        let is_spooling = |spool: SpoolStatus| spool.spooling_since.is_some();
        if status.spool.is_some_and(is_spooling) {
            // What waits in the spool has a condition of its own, unless that is full too.
            steps = None;
            if events.is_none() {
                return Now::Unsure;
            }
        }
        let recent = |run: &RefusalRun| run.ago < STORE_RECENT;
        let lasted = |run: Option<RefusalRun>| run.filter(recent).map(|run| run.lasted);
        let (events_for, steps_for) = (lasted(events), lasted(steps));
        let Some(longest) = events_for.max(steps_for) else {
            // That nobody sends any more proves nothing, for a while.
            let mut runs = [events, steps].into_iter().flatten();
            let is_open = runs.any(|run| run.ago < STORE_SILENCE);
            let is_recent = |at| reading.at.since(at) < STORE_AFTERMATH;
            if is_open || self.refused_at.is_some_and(is_recent) {
                return Now::Unsure;
            }
            return Now::Well {
                key,
                reason: "the database takes what is written again",
            };
        };
        self.refused_at = Some(reading.at);
        let secs = i64::try_from(longest.as_secs()).unwrap_or(i64::MAX);
        if secs < STORE_PATIENCE.as_secs() {
            return Now::Unsure;
        }
        let mut loops = status.loops.iter();
        let pump_error = loops
            .find(|one| one.name == "pump")
            .and_then(|pump| pump.last_error.as_deref());
        let reason = pump_error.map_or(String::new(), |error| format!(" ({error})"));
        let harm = if events_for.is_some() {
            "events are refused with 503, and Stripe sends them again for three days"
        } else if status.spool.is_some() {
            "no alert can be recorded, and events wait in the local spool"
        } else {
            "no alert can be recorded, and events may be refused with 503"
        };
        Now::Bad(Box::new(Condition {
            key,
            severity: Severity::Critical,
            title: "The database refuses what is written",
            message: format!("for {secs} s the database has taken nothing{reason}: {harm}"),
            subject: None,
            measure: Measure::new("lasted", secs, Unit::Seconds)
                .threshold(STORE_PATIENCE.as_secs()),
            advice: "its disk is full, its file is locked or read-only, or its server is away; while \
                nothing can be recorded this is told past the database",
        }))
    }
}
