//! The show itself: posts the live days at the pace asked for, prints each alert as it is recorded,
//! and says at the end who found what.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use billingwatch_core::alert::{AlertChange, AlertStatus};
use billingwatch_core::engine::TICK;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::{Clock, Runtime};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::clock::DemoClock;
use super::poster::Poster;
use super::world::{self, Merchant};
use crate::output::{self, Paint, Style};
use crate::words;

/// How often the show looks for new alerts while it waits.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// How long the engine may need to catch up with what was posted before the show gives up on it.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

/// Whether the server has ended, by Ctrl-C or by a failure.
type IsOver<'a> = dyn Fn() -> bool + 'a;

/// What has been seen so far.
pub(super) struct Show {
    runtime: Arc<Runtime>,
    clock: Arc<DemoClock>,
    changes: Receiver<AlertChange>,
    paint: Paint,
    live_from: Timestamp,
    posted: usize,
    fired: BTreeMap<String, Vec<Timestamp>>,
}

impl Show {
    /// A show that has not begun.
    pub(super) fn new(
        merchant: &Merchant,
        runtime: &Arc<Runtime>,
        clock: &Arc<DemoClock>,
        paint: Paint,
    ) -> Self {
        Self {
            runtime: Arc::clone(runtime),
            clock: Arc::clone(clock),
            changes: runtime.alert_changes(),
            paint,
            live_from: merchant.live_from,
            posted: 0,
            fired: BTreeMap::new(),
        }
    }

    /// Posts every live event at its moment.
    ///
    /// # Errors
    /// When the server does not take one, or standard output is closed.
    pub(super) fn play(
        &mut self,
        merchant: &Merchant,
        poster: &Poster,
        pace: Duration,
        is_over: &IsOver<'_>,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let length = merchant.ends_at.since(merchant.live_from);
        for event in &merchant.live {
            let at = Timestamp::from_millis(event.received_at_ms);
            let due = share(pace, at.since(merchant.live_from), length);
            while started.elapsed() < due && !is_over() {
                self.print_changes()?;
                thread::sleep(LOOK_INTERVAL.min(due.saturating_sub(started.elapsed())));
            }
            self.clock.advance_to(at);
            poster.post(&event.json, at)?;
            self.posted += 1;
            self.print_changes()?;
        }
        self.clock.advance_to(merchant.ends_at);
        self.wait_for_pump(is_over);
        self.print_changes()
    }

    /// Waits until the engine has seen all that is in the journal, up to the clock's minute.
    pub(super) fn wait_for_pump(&self, is_over: &IsOver<'_>) {
        let started = Instant::now();
        while !is_over() && started.elapsed() < CATCH_UP_MAX {
            let status = self.runtime.status();
            if status.is_caught_up && status.lag_rows == 0 && self.has_reached(status.engine_now) {
                return;
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// The engine crosses ticks up to the clock's, and no event need come for that.
    fn has_reached(&self, engine_now: Timestamp) -> bool {
        self.clock.now().since(engine_now) < TICK
    }

    fn print_changes(&mut self) -> anyhow::Result<()> {
        loop {
            match self.changes.try_recv() {
                Ok(change) => self.print(&change)?,
                // More alerts than a screen takes in: those that were passed over are in the store.
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(()),
            }
        }
    }

    fn print(&mut self, change: &AlertChange) -> anyhow::Result<()> {
        if change.alert.status == AlertStatus::Firing {
            self.fired
                .entry(change.alert.detector.clone())
                .or_default()
                .push(change.at);
        }
        output::say(&words::change(change, self.paint))
    }

    /// Says who found what; whether each detector found something.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(super) fn summary(&self) -> anyhow::Result<bool> {
        let title = self.paint.paint(Style::Bold, "What was found");
        output::say(&format!("\n{title} in {} signed events:", self.posted))?;
        let mut is_complete = true;
        for detector in world::expected() {
            let line = match self.fired.get(detector).map(Vec::as_slice) {
                Some([first, more @ ..]) => {
                    let after = first.since(self.live_from);
                    let more = if more.is_empty() {
                        String::new()
                    } else {
                        format!(", {} more", more.len())
                    };
                    let mark = self.paint.paint(Style::Green, "found ");
                    format!("  {mark}  {detector} (after {after}{more})")
                }
                _ => {
                    is_complete = false;
                    format!("  {}  {detector}", self.paint.paint(Style::Red, "MISSED"))
                }
            };
            output::say(&line)?;
        }
        Ok(is_complete)
    }
}

/// The part of `pace` that is due after `passed` of `length`.
fn share(pace: Duration, passed: Span, length: Span) -> Duration {
    let millis = i128::try_from(pace.as_millis()).unwrap_or(0) * i128::from(passed.as_millis())
        / i128::from(length.as_millis().max(1));
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
