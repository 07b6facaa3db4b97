//! Starts, wakes and stops the loops: one thread for the journal's writer, one for the pump, one for
//! each channel.
//!
//! Who wakes whom: a journal commit wakes the pump; a pump commit with deliveries wakes the
//! channels. Timers stand behind both, so a signal that never comes (another process wrote) costs a
//! second, not an alert. Every decision is in the steps; here is only when they run.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use billingwatch_alert::{Channel, Route};
use billingwatch_core::alert::AlertChange;
use billingwatch_core::detector::SettingsError;
use billingwatch_core::engine::{Registry, SettingsChange, TICK};
use billingwatch_core::time::Timestamp;
use billingwatch_store::StoreError;
use tokio::sync::broadcast;

use crate::clock::Clock;
use crate::deliver::{DeliverReport, Deliverer};
use crate::ingest::{Ingest, IngestOptions, IngestWriter};
use crate::ports::PipelineStore;
use crate::pump::{Pump, PumpOptions};
use crate::settings_sync;
use crate::status::{ChannelStatus, DeliveryCounters, PipelineStatus, PumpCounters};
use crate::supervise::{LoopControl, Next};
use crate::system_clock::Stopwatch;
use crate::wake::Wake;

/// How long the pump lets rows gather once it has read all there were. A lone event is seen at once;
/// in a stream, each commit of the pump, which holds up the journal's, is then for many rows.
const GATHER: Duration = Duration::from_millis(20);

/// How the loops are run.
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    /// Bounds of the ingest queue.
    pub ingest: IngestOptions,
    /// The pump's batches and snapshots.
    pub pump: PumpOptions,
    /// Settings of the config file; entered into the journal where they differ from those in force.
    pub settings: Vec<SettingsChange>,
    /// The longest the pump sleeps without a look at journal and clock.
    pub poll_interval: Duration,
    /// How long a shutdown waits for each stage: entries, then the engine, then deliveries.
    pub grace: Duration,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            ingest: IngestOptions::default(),
            pump: PumpOptions::default(),
            settings: Vec::new(),
            poll_interval: Duration::from_secs(1),
            grace: Duration::from_secs(10),
        }
    }
}

/// Why the loops did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The config file sets what cannot be set.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The machine gave no thread.
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
    /// Two channels have one name, by which the outbox tells them apart.
    #[error("two channels are named `{0}`")]
    ChannelTwice(String),
}

/// How a shutdown went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Loops that did not come to their end in time, such as a channel that hangs. What they held
    /// is durable and is taken up again at the next start.
    pub abandoned: Vec<String>,
}

/// The running loops.
pub struct Runtime {
    clock: Arc<dyn Clock>,
    ingest: Ingest,
    changes: broadcast::Sender<AlertChange>,
    pump_counters: Arc<PumpCounters>,
    channel_counters: Vec<(String, Arc<DeliveryCounters>)>,
    writer: Arc<LoopControl>,
    pump: Arc<LoopControl>,
    channels: Vec<Arc<LoopControl>>,
    grace: Duration,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

impl Runtime {
    /// Enters changed settings into the journal and starts the loops.
    ///
    /// # Errors
    /// When settings are out of bounds, the store fails, or a thread cannot be had.
    pub fn start(
        store: Arc<dyn PipelineStore>,
        registry: Registry,
        clock: Arc<dyn Clock>,
        channels: Vec<Box<dyn Channel>>,
        options: &RuntimeOptions,
    ) -> Result<Self, StartError> {
        let routes = routes_of(&channels)?;
        settings_sync::sync(store.as_ref(), &registry, &options.settings, clock.now())?;

        let pump_wake: Arc<Wake> = Arc::default();
        let (ingest, writer) = Ingest::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            options.ingest,
            Arc::clone(&pump_wake),
        );
        let writer_control = LoopControl::new("ingest", Arc::default());
        let pump_control = LoopControl::new("pump", pump_wake);

        let mut channel_controls = Vec::with_capacity(channels.len());
        let mut channel_counters = Vec::with_capacity(channels.len());
        for channel in channels {
            let deliverer = Deliverer::new(Arc::clone(&store), channel, Arc::clone(&clock));
            let name = deliverer.channel_name().to_owned();
            let control = LoopControl::new(format!("deliver:{name}"), Arc::default());
            channel_counters.push((name, deliverer.counters()));
            spawn_deliverer(deliverer, &control, options.grace)?;
            channel_controls.push(control);
        }
        let pump = Pump::new(store, Arc::clone(&clock), registry, routes, options.pump);
        let changes = pump.publisher();
        let pump_counters = pump.counters();
        let wakes = channel_controls
            .iter()
            .map(|control| Arc::clone(&control.wake))
            .collect();
        spawn_pump(pump, &pump_control, Arc::clone(&clock), wakes, options)?;
        spawn_writer(writer, &writer_control)?;
        Ok(Self {
            clock,
            ingest,
            changes,
            pump_counters,
            channel_counters,
            writer: writer_control,
            pump: pump_control,
            channels: channel_controls,
            grace: options.grace,
        })
    }

    /// Where requests leave what they received.
    #[must_use]
    pub const fn ingest(&self) -> &Ingest {
        &self.ingest
    }

    /// Alert changes as they are committed, from now on; see [`Pump::subscribe`].
    #[must_use]
    pub fn alert_changes(&self) -> broadcast::Receiver<AlertChange> {
        self.changes.subscribe()
    }

    /// Everything at one look. Costs no query.
    #[must_use]
    pub fn status(&self) -> PipelineStatus {
        let ingest = self.ingest.counters();
        let pump = &self.pump_counters;
        let cursor_seq = pump.cursor_seq.get();
        let last_seq = pump.head_seq.get().max(ingest.last_seq.get());
        let engine_now = Timestamp::from_millis(pump.cursor_at_ms.get());
        let lag_rows = (last_seq - cursor_seq).max(0);
        let lag_secs = if lag_rows > 0 {
            self.clock.now().since(engine_now).as_secs().max(0)
        } else {
            0
        };
        let last_event_at_ms = pump.last_event_at_ms.get();
        let loops = [&self.writer, &self.pump]
            .into_iter()
            .chain(&self.channels)
            .map(|control| control.status())
            .collect();
        let channels = self
            .channel_counters
            .iter()
            .map(|(name, counters)| ChannelStatus {
                name: name.clone(),
                delivered: counters.delivered.get(),
                retried: counters.retried.get(),
                gave_up: counters.gave_up.get(),
                send_time: counters.send_time.read(),
            })
            .collect();
        PipelineStatus {
            received: ingest.received.get(),
            duplicates: ingest.duplicates.get(),
            refused: ingest.refused.get(),
            failed: ingest.failed.get(),
            queue_len: self.ingest.queue_len(),
            ingest_commit_time: ingest.commit_time.read(),
            last_seq,
            cursor_seq,
            lag_rows,
            lag_secs,
            engine_now,
            last_event_at: (last_event_at_ms > 0).then(|| Timestamp::from_millis(last_event_at_ms)),
            is_caught_up: pump.is_ready.get() == 1,
            rows: pump.rows.get(),
            duplicate_changes: pump.duplicates.get(),
            unreadable: pump.unreadable.get(),
            rejected: pump.rejected.get(),
            suppressed: pump.suppressed.get(),
            rebuilds: pump.rebuilds.get(),
            snapshots: pump.snapshots.get(),
            changes: pump.changes(),
            engine_time: pump.engine_time.read(),
            pump_commit_time: pump.commit_time.read(),
            channels,
            loops,
        }
    }

    /// Takes nothing more, writes and answers what is queued, lets the engine see it, keeps a
    /// snapshot, and sends what is due; each within the grace. Blocks.
    pub fn shutdown(&self) -> ShutdownReport {
        self.stop()
    }

    fn stop(&self) -> ShutdownReport {
        let mut report = ShutdownReport::default();
        let mut wait = |control: &LoopControl, grace: Duration| {
            if !control.wait_ended(grace) {
                report.abandoned.push(control.status().name);
            }
        };
        self.ingest.close();
        self.writer.stop();
        wait(&self.writer, self.grace);
        self.pump.stop();
        wait(&self.pump, self.grace);
        for control in &self.channels {
            control.stop();
        }
        let stopwatch = Stopwatch::start();
        for control in &self.channels {
            wait(control, self.grace.saturating_sub(stopwatch.elapsed()));
        }
        report
    }
}

impl Drop for Runtime {
    /// Asks the loops to end without waiting for them.
    fn drop(&mut self) {
        self.ingest.close();
        self.pump.stop();
        for control in &self.channels {
            control.stop();
        }
    }
}

fn routes_of(channels: &[Box<dyn Channel>]) -> Result<Vec<Route>, StartError> {
    let mut routes: Vec<Route> = Vec::with_capacity(channels.len());
    for channel in channels {
        if routes.iter().any(|route| route.channel == channel.name()) {
            return Err(StartError::ChannelTwice(channel.name().to_owned()));
        }
        routes.push(Route::of(channel.as_ref()));
    }
    Ok(routes)
}

fn spawn(
    control: &Arc<LoopControl>,
    step: impl FnMut() -> Next + Send + 'static,
) -> Result<(), StartError> {
    let name = control.status().name;
    let control = Arc::clone(control);
    // Detached on purpose: a thread that hangs in a send must not keep the process from ending.
    // `LoopControl::wait_ended` is how an orderly end is seen.
    let _detached = thread::Builder::new()
        .name(name)
        .spawn(move || control.run(step))?;
    Ok(())
}

fn spawn_writer(mut writer: IngestWriter, control: &Arc<LoopControl>) -> Result<(), StartError> {
    spawn(control, move || {
        if writer.run_once() {
            Next::Again
        } else {
            Next::Done
        }
    })
}

fn spawn_pump(
    mut pump: Pump,
    control: &Arc<LoopControl>,
    clock: Arc<dyn Clock>,
    channels: Vec<Arc<Wake>>,
    options: &RuntimeOptions,
) -> Result<(), StartError> {
    let poll_interval = options.poll_interval;
    let batch_rows = usize::from(options.pump.batch_rows);
    let mut drain = Drain::new(Arc::clone(control), options.grace);
    spawn(control, move || {
        if drain.is_over() {
            return finish_pump(&mut pump);
        }
        // Asked before the step: a step that found nothing before the stop was asked for proves
        // nothing about what the writer committed in between.
        let is_draining = drain.is_begun();
        let report = match pump.step() {
            Ok(report) => report,
            Err(error) => return Next::Failed(error.to_string()),
        };
        // After a rebuild too: a commit that was reported as failed may have queued some.
        if report.deliveries > 0 || report.is_rebuilding {
            channels.iter().for_each(|wake| wake.notify());
        }
        if (1..batch_rows).contains(&report.rows) && !is_draining {
            Next::Pause(GATHER)
        } else if !report.is_idle {
            Next::Again
        } else if is_draining {
            finish_pump(&mut pump)
        } else {
            Next::Sleep(sleep_to_tick(clock.as_ref(), poll_interval))
        }
    })
}

fn finish_pump(pump: &mut Pump) -> Next {
    if let Err(error) = pump.flush() {
        // The next start reads more of the journal again, that is all.
        tracing::warn!(error = %error, "no snapshot was kept at shutdown");
    }
    Next::Done
}

/// Until the next tick of the clock, and not longer than the poll interval.
fn sleep_to_tick(clock: &dyn Clock, poll_interval: Duration) -> Duration {
    let now = clock.now();
    let to_tick = (now.floor_to(TICK) + TICK).since(now);
    clock.real_duration(to_tick).clamp(
        Duration::from_millis(10),
        poll_interval.max(Duration::from_millis(10)),
    )
}

fn spawn_deliverer(
    mut deliverer: Deliverer,
    control: &Arc<LoopControl>,
    grace: Duration,
) -> Result<(), StartError> {
    let mut drain = Drain::new(Arc::clone(control), grace);
    spawn(control, move || {
        if drain.is_over() {
            return Next::Done;
        }
        // Before the step, for the reason given at the pump.
        let is_draining = drain.is_begun();
        match deliverer.step() {
            Err(error) => Next::Failed(error.to_string()),
            Ok(DeliverReport::Sent { .. }) => Next::Again,
            Ok(DeliverReport::Idle { .. }) if is_draining => Next::Done,
            Ok(DeliverReport::Idle { next_due_at }) => {
                Next::Sleep(deliverer.sleep_for(next_due_at))
            }
        }
    })
}

/// The time a loop has left for what is still to do once it was asked to stop.
struct Drain {
    control: Arc<LoopControl>,
    grace: Duration,
    begun: Option<Stopwatch>,
}

impl Drain {
    const fn new(control: Arc<LoopControl>, grace: Duration) -> Self {
        Self {
            control,
            grace,
            begun: None,
        }
    }

    fn is_begun(&mut self) -> bool {
        if self.begun.is_none() && self.control.is_stopping() {
            self.begun = Some(Stopwatch::start());
        }
        self.begun.is_some()
    }

    fn is_over(&mut self) -> bool {
        self.is_begun()
            && self
                .begun
                .is_some_and(|stopwatch| stopwatch.elapsed() >= self.grace)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::clock::ManualClock;
    use crate::ingest::event_entry;
    use crate::testing::{FaultyStore, Op, event_body, probe_registry};
    use billingwatch_core::stripe::payload::read_envelope;
    use billingwatch_core::time::Timestamp;
    use billingwatch_store::{Store, StoreOptions};

    /// The writer commits, and the stop is asked for, between the pump's read and its end.
    #[test]
    fn a_row_committed_behind_the_last_read_is_drained_too() {
        let store = Store::open(&StoreOptions::new("sqlite::memory:".to_owned())).unwrap();
        store.migrate().unwrap();
        let faulty = FaultyStore::new(Arc::new(store.clone()));
        let now = Timestamp::from_secs(1_700_000_000);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(now));
        let options = RuntimeOptions::default();
        let mut pump = Pump::new(
            faulty.clone(),
            Arc::clone(&clock),
            probe_registry(),
            Vec::new(),
            options.pump,
        );
        while !pump.step().unwrap().is_idle {}
        let control = LoopControl::new("pump", Arc::default());
        let (writer, stopping) = (store.clone(), Arc::clone(&control));
        faulty.after_next(Op::ReadAfter, move || {
            let body = event_body("evt_1", "charge.failed", now);
            let entry = event_entry("stripe", read_envelope(&body).unwrap(), body);
            writer.append(&[entry], now).unwrap();
            stopping.stop();
        });
        spawn_pump(pump, &control, clock, Vec::new(), &options).unwrap();
        assert!(control.wait_ended(Duration::from_secs(60)));
        let cursor = PipelineStore::cursor(&store, "engine").unwrap().unwrap();
        assert_eq!(cursor.seq, 1);
    }
}
