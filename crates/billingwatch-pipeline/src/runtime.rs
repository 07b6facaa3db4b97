//! Starts and stops the loops: one thread for the journal's writer, one for the pump, one for each
//! channel. Every decision is in [`loops`](crate::loops) and below; here are only the threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use billingwatch_alert::Channel;
use billingwatch_core::alert::AlertChange;
use billingwatch_core::detector::SettingsError;
use billingwatch_core::engine::{Registry, SettingsChange};
use billingwatch_core::time::Timestamp;
use billingwatch_store::StoreError;
use tokio::sync::broadcast;

use crate::canary::CanaryLoop;
use crate::clock::Clock;
use crate::heartbeat::{Beat, HeartbeatCounters, HeartbeatLoop};
use crate::ingest::{Ingest, IngestOptions};
use crate::loops::{DeliverLoop, Loops, PumpLoop, WriterLoop};
use crate::operations::{OperationsLoop, Telling};
use crate::ports::PipelineStore;
use crate::pump::PumpOptions;
use crate::retention::{RetentionCounters, RetentionLoop};
use crate::settings_sync;
use crate::spool::{SpoolFile, Spooling};
use crate::status::{
    CanaryCounters, ChannelStatus, Counter, DeliveryCounters, PipelineStatus, PumpCounters, instant,
};
use crate::supervise::{LoopControl, Next};
use crate::system_clock::Stopwatch;
use crate::threads::{Gate, Prepare, spawn, spawn_behind};

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
    /// How often to look for [what goes wrong](crate::operations) with the watching itself; `None`
    /// for never.
    pub operations: Option<Duration>,
    /// Where events wait while the store is away.
    pub spool: Option<Arc<dyn SpoolFile>>,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            ingest: IngestOptions::default(),
            pump: PumpOptions::default(),
            settings: Vec::new(),
            poll_interval: Duration::from_secs(1),
            grace: Duration::from_secs(10),
            operations: None,
            spool: None,
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
    /// A start while the store is away needs a place for events to wait in.
    #[error("the store is away, and there is no spool in which events could wait")]
    NoSpool,
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
    watched: Watched,
    changes: broadcast::Sender<AlertChange>,
    operations: Option<Arc<LoopControl>>,
    grace: Duration,
}

/// What is read to say how the loops fare.
#[derive(Clone)]
struct Watched {
    clock: Arc<dyn Clock>,
    ingest: Ingest,
    pump_counters: Arc<PumpCounters>,
    channel_counters: Vec<(String, Arc<DeliveryCounters>)>,
    writer: Arc<LoopControl>,
    pump: Arc<LoopControl>,
    channels: Vec<Arc<LoopControl>>,
    spool: Option<(Arc<LoopControl>, Arc<Spooling>)>,
    retention: Option<(Arc<LoopControl>, Arc<RetentionCounters>)>,
    canary: Option<Arc<LoopControl>>,
    canary_counters: Arc<CanaryCounters>,
    heartbeat: Option<(Arc<LoopControl>, Arc<HeartbeatCounters>)>,
    /// The loop that opens the gate.
    preparing: Arc<LoopControl>,
    gate: Gate,
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
        let loops = Loops::new(
            Arc::clone(&store),
            registry,
            Arc::clone(&clock),
            channels,
            options,
        )?;
        Self::run(loops, store, clock, options, None)
    }

    /// As [`start`](Self::start), while the store is away: events go into the spool, and every other
    /// loop waits until `prepare` (which may migrate the store) has succeeded and the settings are
    /// entered. It is tried again until then.
    ///
    /// # Errors
    /// When there is no spool, two channels share a name, or a thread cannot be had.
    pub fn start_later(
        store: Arc<dyn PipelineStore>,
        registry: Registry,
        clock: Arc<dyn Clock>,
        channels: Vec<Box<dyn Channel>>,
        options: &RuntimeOptions,
        mut prepare: impl FnMut() -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Self, StartError> {
        let loops = Loops::wire(
            Arc::clone(&store),
            registry.clone(),
            Arc::clone(&clock),
            channels,
            options,
        )?;
        let spool = loops.spool.as_ref().ok_or(StartError::NoSpool)?;
        spool.spooling().begin(clock.now());
        let (asked, now) = (Arc::clone(&store), Arc::clone(&clock));
        let settings = options.settings.clone();
        let prepare = move || {
            prepare()?;
            settings_sync::sync(asked.as_ref(), &registry, &settings, now.now())?;
            Ok(())
        };
        Self::run(loops, store, clock, options, Some(Box::new(prepare)))
    }

    fn run(
        loops: Loops,
        store: Arc<dyn PipelineStore>,
        clock: Arc<dyn Clock>,
        options: &RuntimeOptions,
        prepare: Option<Prepare>,
    ) -> Result<Self, StartError> {
        let Loops {
            ingest,
            mut writer,
            pump,
            channels,
            spool,
            routes,
        } = loops;
        writer.limit_waits()?;
        let gate: Gate = Arc::new(AtomicBool::new(prepare.is_none()));
        let mut runtime = Self {
            changes: pump.publisher(),
            watched: Watched {
                clock,
                ingest,
                pump_counters: pump.counters(),
                channel_counters: channels
                    .iter()
                    .map(|channel| (channel.channel_name().to_owned(), channel.counters()))
                    .collect(),
                writer: writer.control(),
                pump: pump.control(),
                channels: channels.iter().map(DeliverLoop::control).collect(),
                spool: spool
                    .as_ref()
                    .map(|spool| (spool.control(), spool.spooling())),
                retention: None,
                canary: None,
                canary_counters: Arc::default(),
                heartbeat: None,
                preparing: LoopControl::new("start", Arc::default()),
                gate: Arc::clone(&gate),
            },
            operations: None,
            grace: options.grace,
        };
        let telling = Telling {
            routes,
            wakes: channels
                .iter()
                .map(|channel| Arc::clone(&channel.control().wake))
                .collect(),
            direct: channels.iter().map(DeliverLoop::direct).collect(),
        };
        for mut channel in channels {
            spawn_behind(&gate, channel.control(), move || channel.step())?;
        }
        spawn_pump(&gate, pump)?;
        if let Some(mut spool) = spool {
            spawn_behind(&gate, spool.control(), move || spool.step())?;
        }
        if let Some(prepare) = prepare {
            runtime.watched.prepare(prepare)?;
        }
        spawn_writer(writer)?;
        if let Some(interval) = options.operations {
            runtime.operations = Some(runtime.watched.look(store, telling, interval)?);
        }
        Ok(runtime)
    }

    /// Deletes what is older than it needs to be, beside all else.
    ///
    /// # Errors
    /// When a thread cannot be had.
    pub fn with_retention(mut self, mut retention: RetentionLoop) -> Result<Self, StartError> {
        self.watched.retention = Some((retention.control(), retention.counters()));
        let control = retention.control();
        spawn_behind(&self.watched.gate, control, move || retention.step())?;
        Ok(self)
    }

    /// Sends an entry through the whole path at every interval, and times it. To be called before
    /// [`with_heartbeat`](Self::with_heartbeat), which stops at a canary that does not come through.
    ///
    /// # Errors
    /// When a thread cannot be had.
    pub fn with_canary(mut self, interval: Duration) -> Result<Self, StartError> {
        let watched = &mut self.watched;
        let mut canary = CanaryLoop::new(
            watched.ingest.clone(),
            Arc::clone(&watched.pump_counters),
            Arc::clone(&watched.clock),
            Arc::clone(&watched.canary_counters),
            interval,
        );
        watched.canary = Some(canary.control());
        spawn(canary.control(), move || canary.step())?;
        Ok(self)
    }

    /// Sends a beat at every interval for as long as nothing is wrong. To be called last, for it
    /// looks at what was started before it.
    ///
    /// # Errors
    /// When a thread cannot be had.
    pub fn with_heartbeat(mut self, beat: Beat, interval: Duration) -> Result<Self, StartError> {
        let counters = Arc::<HeartbeatCounters>::default();
        let watched = self.watched.clone();
        let status = Box::new(move || watched.status());
        let mut heartbeat = HeartbeatLoop::new(beat, status, interval, Arc::clone(&counters));
        self.watched.heartbeat = Some((heartbeat.control(), counters));
        spawn(heartbeat.control(), move || heartbeat.step())?;
        Ok(self)
    }

    /// Where requests leave what they received.
    #[must_use]
    pub const fn ingest(&self) -> &Ingest {
        &self.watched.ingest
    }

    /// Alert changes as they are committed, from now on; see [`Pump::subscribe`](crate::pump::Pump::subscribe).
    #[must_use]
    pub fn alert_changes(&self) -> broadcast::Receiver<AlertChange> {
        self.changes.subscribe()
    }

    /// Everything at one look. Costs no query.
    #[must_use]
    pub fn status(&self) -> PipelineStatus {
        self.watched.status()
    }

    /// Takes nothing more, writes and answers what is queued, lets the engine see it, keeps a
    /// snapshot, and sends what is due; each within the grace. Blocks.
    pub fn shutdown(&self) -> ShutdownReport {
        self.stop()
    }

    /// A loop of a stopping process is no incident, and its silence is what a monitor should hear.
    fn end_watch(&self) {
        let heartbeat = self.watched.heartbeat.as_ref();
        let heartbeat = heartbeat.map(|(control, _)| control);
        let others = self.operations.iter().chain(&self.watched.canary);
        for control in others.chain(heartbeat) {
            control.stop();
        }
    }

    fn stop(&self) -> ShutdownReport {
        let mut report = ShutdownReport::default();
        let mut wait = |control: &LoopControl, grace: Duration| {
            if !control.wait_ended(grace) {
                report.abandoned.push(control.status().name);
            }
        };
        self.end_watch();
        if !self.watched.gate.load(Ordering::SeqCst) {
            self.watched.preparing.stop();
            wait(&self.watched.preparing, self.grace);
        }
        if let Some((control, _)) = &self.watched.retention {
            control.stop();
            wait(control, self.grace);
        }
        self.watched.ingest.close();
        self.watched.writer.stop();
        wait(&self.watched.writer, self.grace);
        if let Some((control, _)) = &self.watched.spool {
            control.stop();
            wait(control, self.grace);
        }
        self.watched.pump.stop();
        wait(&self.watched.pump, self.grace);
        for control in &self.watched.channels {
            control.stop();
        }
        let stopwatch = Stopwatch::start();
        for control in &self.watched.channels {
            wait(control, self.grace.saturating_sub(stopwatch.elapsed()));
        }
        report
    }
}

impl Watched {
    /// Starts the loop that looks at the others.
    fn look(
        &self,
        store: Arc<dyn PipelineStore>,
        telling: Telling,
        interval: Duration,
    ) -> Result<Arc<LoopControl>, StartError> {
        let control = LoopControl::new("operations", Arc::default());
        let watched = self.clone();
        let status = Box::new(move || watched.status());
        let clock = Arc::clone(&self.clock);
        let mut looking = OperationsLoop::new(store, clock, telling, status, interval);
        let asked = Arc::clone(&control);
        spawn_behind(&self.gate, Arc::clone(&control), move || {
            if asked.is_stopping() {
                Next::Done
            } else {
                looking.step()
            }
        })?;
        Ok(control)
    }

    /// Starts the loop that makes the store ready, and then lets the others go.
    fn prepare(&self, mut prepare: Prepare) -> Result<(), StartError> {
        let (control, gate) = (Arc::clone(&self.preparing), Arc::clone(&self.gate));
        spawn(Arc::clone(&control), move || match prepare() {
            Ok(()) => {
                tracing::info!("the store is there: the detectors start");
                gate.store(true, Ordering::SeqCst);
                Next::Done
            }
            Err(_) if control.is_stopping() => Next::Done,
            Err(error) => Next::Failed(error.to_string()),
        })
    }

    fn status(&self) -> PipelineStatus {
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
        // Once it has opened the gate its end is no news.
        let preparing = (!self.gate.load(Ordering::SeqCst)).then_some(&self.preparing);
        let loops = [&self.writer, &self.pump]
            .into_iter()
            .chain(preparing)
            .chain(&self.channels)
            .chain(self.spool.iter().map(|(control, _)| control))
            .chain(self.retention.iter().map(|(control, _)| control))
            .chain(&self.canary)
            .chain(self.heartbeat.iter().map(|(control, _)| control))
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
                failures_in_row: counters.failures_in_row.get(),
                failing_since: instant(counters.failing_since_ms.get()),
                is_disabled: counters.is_disabled.get() == 1,
                send_time: counters.send_time.read(),
            })
            .collect();
        PipelineStatus {
            received: ingest.received.get(),
            duplicates: ingest.duplicates.get(),
            refused: ingest.refused.get(),
            failed: ingest.failed.get(),
            events_refused: ingest.refusals.read(self.clock.steady()),
            steps_refused: pump.refusals.read(self.clock.steady()),
            bad_signatures: ingest.bad_signatures(),
            queue_len: self.ingest.queue_len(),
            spool: self
                .spool
                .as_ref()
                .map(|(_, spool)| spool.status(self.clock.now())),
            ingest_commit_time: ingest.commit_time.read(),
            last_seq,
            cursor_seq,
            lag_rows,
            lag_secs,
            engine_now,
            last_event_at: instant(pump.last_event_at_ms.get()),
            is_caught_up: pump.is_ready.get() == 1,
            is_leader: pump.is_following.get() == 0,
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
            deleted_events: self.deleted(|counters| &counters.events),
            deleted_alerts: self.deleted(|counters| &counters.alerts),
            canary: self.canary_counters.read(),
            heartbeat: self.heartbeat.as_ref().map(|(_, counters)| {
                let counters = counters.as_ref();
                (
                    counters.sent.get(),
                    counters.failed.get(),
                    counters.withheld.get(),
                )
            }),
            loops,
        }
    }

    fn deleted(&self, which: impl Fn(&RetentionCounters) -> &Counter) -> u64 {
        self.retention
            .as_ref()
            .map_or(0, |(_, counters)| which(counters).get())
    }
}

impl Drop for Runtime {
    /// Asks the loops to end without waiting for them.
    fn drop(&mut self) {
        self.end_watch();
        self.watched.preparing.stop();
        if let Some((control, _)) = &self.watched.retention {
            control.stop();
        }
        self.watched.ingest.close();
        if let Some((control, _)) = &self.watched.spool {
            control.stop();
        }
        self.watched.pump.stop();
        for control in &self.watched.channels {
            control.stop();
        }
    }
}

fn spawn_writer(mut writer: WriterLoop) -> Result<(), StartError> {
    spawn(writer.control(), move || writer.step())
}

fn spawn_pump(gate: &Gate, mut pump: PumpLoop) -> Result<(), StartError> {
    spawn_behind(gate, pump.control(), move || pump.step())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::clock::ManualClock;
    use crate::ingest::event_entry;
    use crate::pump::Pump;
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
        let pump = PumpLoop::new(pump, Arc::clone(&control), clock, Vec::new(), &options);
        spawn_pump(&Arc::new(AtomicBool::new(true)), pump).unwrap();
        assert!(control.wait_ended(Duration::from_secs(60)));
        let cursor = PipelineStore::cursor(&store, "engine").unwrap().unwrap();
        assert_eq!(cursor.seq, 1);
    }
}
