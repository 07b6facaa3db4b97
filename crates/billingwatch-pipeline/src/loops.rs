//! The loops, a step at a time: the journal's writer, the pump, and a deliverer for each channel.
//!
//! Who wakes whom: a journal commit wakes the pump; a pump commit with deliveries wakes the
//! channels. Timers stand behind both, so a signal that never comes (another process wrote) costs a
//! second, not an alert. No threads here: the [runtime](crate::runtime) gives each loop one, and the
//! simulation takes the steps of all of them in one.

use std::sync::Arc;
use std::time::Duration;

use billingwatch_alert::{Channel, Outcome, Route};
use billingwatch_core::alert::AlertChange;
use billingwatch_core::engine::{Registry, TICK};
use tokio::sync::broadcast;

use crate::clock::Clock;
use crate::deliver::{Begun, DeliverReport, Deliverer, Sending};
use crate::direct::Direct;
use crate::error::DeliverError;
use crate::ingest::{Ingest, IngestWriter};
use crate::leadership::{self, Leadership, Standing};
use crate::planted::{Planted, is_planted};
use crate::ports::PipelineStore;
use crate::pump::Pump;
use crate::runtime::{RuntimeOptions, StartError};
use crate::settings_sync;
use crate::spool::{HeldClock, SpoolLoop, Spooling};
use crate::status::{DeliveryCounters, PumpCounters};
use crate::supervise::{LoopControl, Next};
use crate::system_clock::Stopwatch;
use crate::wake::Wake;

/// How long the pump lets rows gather once it has read all there were. A lone event is seen at once;
/// in a stream, each commit of the pump, which holds up the journal's, is then for many rows.
const GATHER: Duration = Duration::from_millis(20);

/// How long the pump sleeps at most where other processes take events in too: nothing wakes it when
/// they commit.
const SHARED_POLL: Duration = Duration::from_millis(250);

/// All loops of one process, wired and not yet running.
#[derive(Debug)]
pub struct Loops {
    /// Where requests leave what they received.
    pub ingest: Ingest,
    /// The journal's writer.
    pub writer: WriterLoop,
    /// The pump.
    pub pump: PumpLoop,
    /// One for each channel.
    pub channels: Vec<DeliverLoop>,
    /// What empties the spool, where there is one.
    pub spool: Option<SpoolLoop>,
    /// Which severities each channel wants.
    pub routes: Vec<Route>,
}

impl Loops {
    /// Enters changed settings into the journal and wires the loops.
    ///
    /// # Errors
    /// When settings are out of bounds, the store fails, or two channels share a name.
    pub fn new(
        store: Arc<dyn PipelineStore>,
        registry: Registry,
        clock: Arc<dyn Clock>,
        channels: Vec<Box<dyn Channel>>,
        options: &RuntimeOptions,
    ) -> Result<Self, StartError> {
        settings_sync::sync(store.as_ref(), &registry, &options.settings, clock.now())?;
        Self::wire(store, registry, clock, channels, options)
    }

    /// Wires the loops, and asks nothing of the store: the settings are then for the caller to
    /// [enter](settings_sync::sync), before any step but the writer's.
    ///
    /// # Errors
    /// When two channels share a name.
    pub fn wire(
        store: Arc<dyn PipelineStore>,
        registry: Registry,
        clock: Arc<dyn Clock>,
        channels: Vec<Box<dyn Channel>>,
        options: &RuntimeOptions,
    ) -> Result<Self, StartError> {
        let routes = routes_of(&channels)?;
        let pump_wake: Arc<Wake> = Arc::default();
        let (ingest, mut writer) = Ingest::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            options.ingest,
            Arc::clone(&pump_wake),
        );
        let spooling = options
            .spool
            .clone()
            .map(|file| Arc::new(Spooling::new(file, clock.now())));
        let spool = spooling.clone().map(|spooling| {
            writer.spool_into(Arc::clone(&spooling));
            SpoolLoop::new(
                spooling,
                Arc::clone(&store),
                Arc::clone(&clock),
                Arc::clone(&pump_wake),
                ingest.counters(),
            )
        });
        let pump_clock: Arc<dyn Clock> = match spooling {
            Some(spooling) => Arc::new(HeldClock::new(Arc::clone(&clock), spooling)),
            None => Arc::clone(&clock),
        };
        let tail = writer.tail();
        let writer = WriterLoop {
            writer,
            control: LoopControl::new("ingest", Arc::default()),
        };
        let channels: Vec<DeliverLoop> = channels
            .into_iter()
            .map(|channel| {
                let deliverer = Deliverer::new(Arc::clone(&store), channel, Arc::clone(&clock));
                DeliverLoop::new(deliverer, Arc::clone(&clock), options.grace)
            })
            .collect();
        let mut pump = Pump::new(store, pump_clock, registry, routes.clone(), options.pump);
        pump.follow(tail);
        let control = LoopControl::new("pump", pump_wake);
        let wakes = channels
            .iter()
            .map(|channel| Arc::clone(&channel.control.wake))
            .collect();
        let pump = PumpLoop::new(pump, control, clock, wakes, options);
        Ok(Self {
            ingest,
            writer,
            pump,
            channels,
            spool,
            routes,
        })
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

/// The journal's writer.
#[derive(Debug)]
pub struct WriterLoop {
    writer: IngestWriter,
    control: Arc<LoopControl>,
}

impl WriterLoop {
    /// What it shares with those who watch and stop it.
    #[must_use]
    pub fn control(&self) -> Arc<LoopControl> {
        Arc::clone(&self.control)
    }

    /// Waits for entries and writes a batch of them; over when the queue is closed and drained.
    pub fn step(&mut self) -> Next {
        if self.writer.run_once() {
            Next::Again
        } else {
            Next::Done
        }
    }

    /// With a spool: waits for the journal no longer than a sender should, on a thread more.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub fn limit_waits(&mut self) -> std::io::Result<()> {
        self.writer.limit_waits()
    }

    /// Writes what is queued, without waiting for any; how many entries there were.
    pub fn write_queued(&mut self) -> usize {
        self.writer.step()
    }
}

/// The pump, and whom it wakes.
pub struct PumpLoop {
    pump: Pump,
    control: Arc<LoopControl>,
    clock: Arc<dyn Clock>,
    channels: Vec<Arc<Wake>>,
    poll_interval: Duration,
    batch_rows: usize,
    drain: Drain,
    /// Where a lease decides who pumps.
    leadership: Option<Leadership>,
}

impl std::fmt::Debug for PumpLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PumpLoop").finish_non_exhaustive()
    }
}

impl PumpLoop {
    pub(crate) fn new(
        pump: Pump,
        control: Arc<LoopControl>,
        clock: Arc<dyn Clock>,
        channels: Vec<Arc<Wake>>,
        options: &RuntimeOptions,
    ) -> Self {
        let leadership = pump
            .is_shared()
            .then(|| Leadership::new(pump.store(), Arc::clone(&clock)));
        let poll_interval = match leadership {
            Some(_) => options.poll_interval.min(SHARED_POLL),
            None => options.poll_interval,
        };
        Self {
            pump,
            drain: Drain::new(Arc::clone(&control), options.grace),
            leadership,
            control,
            clock,
            channels,
            poll_interval,
            batch_rows: usize::from(options.pump.batch_rows),
        }
    }

    /// What it shares with those who watch and stop it.
    #[must_use]
    pub fn control(&self) -> Arc<LoopControl> {
        Arc::clone(&self.control)
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Arc<PumpCounters> {
        self.pump.counters()
    }

    /// Where changes are published.
    #[must_use]
    pub fn publisher(&self) -> broadcast::Sender<AlertChange> {
        self.pump.publisher()
    }

    /// One step of the pump; wakes the channels when there may be something to tell.
    pub fn step(&mut self) -> Next {
        if self.drain.is_over() {
            return self.finish();
        }
        // Asked before the step: a step that found nothing before the stop was asked for proves
        // nothing about what the writer committed in between.
        let mut is_draining = self.drain.is_begun();
        if let Some(next) = self.stand_back(is_draining) {
            return next;
        }
        let report = match self.pump.step() {
            Ok(report) => {
                self.pump.counters().refusals.note_taken();
                report
            }
            Err(error) => {
                if error.is_refusal() {
                    self.note_refused();
                }
                if let Some(leadership) = &mut self.leadership
                    && error.is_overtaken()
                {
                    leadership.doubt();
                }
                return Next::Failed(error.to_string());
            }
        };
        if is_planted(Planted::DrainAskedAfterTheStep) {
            is_draining = self.drain.is_begun();
        }
        // After a rebuild too: a commit that was reported as failed may have queued some.
        if report.deliveries > 0 || report.is_rebuilding {
            self.channels.iter().for_each(|wake| wake.notify());
        }
        if (1..self.batch_rows).contains(&report.rows) && !is_draining {
            Next::Pause(GATHER)
        } else if !report.is_idle {
            Next::Again
        } else if is_draining {
            self.finish()
        } else {
            Next::Sleep(sleep_to_tick(self.clock.as_ref(), self.poll_interval))
        }
    }

    /// What to do instead of a step while another process pumps; `None` for the one that may.
    fn stand_back(&mut self, is_draining: bool) -> Option<Next> {
        let standing = self.leadership.as_mut()?.look();
        if standing.is_err() {
            self.note_refused();
        }
        let leadership = self.leadership.as_mut()?;
        match standing {
            Ok(Standing::Leads) => None,
            Ok(Standing::LeadsAnew) => {
                tracing::info!("this process runs the detectors now");
                self.pump.reset();
                self.pump.set_lease(leadership.lease().cloned());
                None
            }
            // What was taken in here, the other process pumps.
            Ok(Standing::Follows) if is_draining => Some(Next::Done),
            Ok(Standing::Follows) => Some(match self.pump.observe() {
                Ok(()) => Next::Pause(leadership::follow_interval()),
                Err(error) => Next::Failed(error.to_string()),
            }),
            Err(error) => Some(Next::Failed(error.to_string())),
        }
    }

    fn note_refused(&self) {
        let counters = self.pump.counters();
        counters.refusals.note_refused(self.clock.steady());
    }

    fn finish(&mut self) -> Next {
        if let Err(error) = self.pump.flush() {
            // The next start reads more of the journal again, that is all.
            tracing::warn!(error = %error, "no snapshot was kept at shutdown");
        }
        if let Some(leadership) = &mut self.leadership {
            leadership.resign();
        }
        Next::Done
    }
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

/// One channel's deliverer.
pub struct DeliverLoop {
    deliverer: Deliverer,
    clock: Arc<dyn Clock>,
    /// What is told past the outbox.
    direct: Arc<Direct>,
    control: Arc<LoopControl>,
    drain: Drain,
    /// Asked before the step under way, for the reason given at the pump.
    is_draining: bool,
}

impl std::fmt::Debug for DeliverLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeliverLoop")
            .field("channel", &self.channel_name())
            .finish_non_exhaustive()
    }
}

/// How a step of a [`DeliverLoop`] began.
#[derive(Debug)]
pub enum DeliverBegun {
    /// It is over.
    Done(Next),
    /// This is to be sent, and then to be [ended](DeliverLoop::end).
    Send(Box<Sending>),
}

impl DeliverLoop {
    fn new(deliverer: Deliverer, clock: Arc<dyn Clock>, grace: Duration) -> Self {
        let name = format!("deliver:{}", deliverer.channel_name());
        let control = LoopControl::new(name, Arc::default());
        Self {
            deliverer,
            clock,
            direct: Arc::default(),
            drain: Drain::new(Arc::clone(&control), grace),
            control,
            is_draining: false,
        }
    }

    /// What it shares with those who watch and stop it.
    #[must_use]
    pub fn control(&self) -> Arc<LoopControl> {
        Arc::clone(&self.control)
    }

    /// The channel's name.
    #[must_use]
    pub fn channel_name(&self) -> &str {
        self.deliverer.channel_name()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Arc<DeliveryCounters> {
        self.deliverer.counters()
    }

    pub(crate) fn direct(&self) -> Arc<Direct> {
        Arc::clone(&self.direct)
    }

    /// One attempt at what is due.
    pub fn step(&mut self) -> Next {
        self.direct.send_due(&self.deliverer, self.clock.as_ref());
        match self.begin() {
            DeliverBegun::Done(next) => next,
            DeliverBegun::Send(sending) => {
                let outcome = self.deliverer.send(&sending);
                self.end(*sending, &outcome)
            }
        }
    }

    /// The first part of a step: up to the send, which a simulation lets take its time.
    pub fn begin(&mut self) -> DeliverBegun {
        if self.drain.is_over() {
            return DeliverBegun::Done(Next::Done);
        }
        self.is_draining = self.drain.is_begun();
        match self.deliverer.begin() {
            Ok(Begun::Send(sending)) => DeliverBegun::Send(sending),
            Ok(Begun::Done(report)) => DeliverBegun::Done(self.next(Ok(report))),
            Err(error) => DeliverBegun::Done(self.next(Err(error))),
        }
    }

    /// The last part of a step: records what came of the send.
    pub fn end(&mut self, sending: Sending, outcome: &Outcome) -> Next {
        let report = self.deliverer.end(sending, outcome);
        self.next(report)
    }

    fn next(&self, report: Result<DeliverReport, DeliverError>) -> Next {
        match report {
            Err(error) => Next::Failed(error.to_string()),
            Ok(DeliverReport::Sent { .. }) => Next::Again,
            Ok(DeliverReport::Idle { .. }) if self.is_draining => Next::Done,
            Ok(DeliverReport::Idle { next_due_at }) => {
                Next::Sleep(self.deliverer.sleep_for(next_due_at))
            }
        }
    }
}

/// The time a loop has left for what is still to do once it was asked to stop.
#[derive(Debug)]
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
