//! A process: its loops, when each makes its next step, how it dies, ends and comes back.
//!
//! The runtime gives each loop a thread; here the agenda gives each its turn. Between the two only
//! the threads differ: what a loop does in a step and how long it rests is the pipeline's own code.

mod traffic;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use billingwatch_alert::Outcome;
use billingwatch_core::engine::Registry;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::deliver::Sending;
use billingwatch_pipeline::loops::{DeliverBegun, DeliverLoop, Loops, PumpLoop, WriterLoop};
use billingwatch_pipeline::pump::CONSUMER;
use billingwatch_pipeline::spool::SpoolLoop;
use billingwatch_pipeline::supervise::{LoopControl, Next, Pace, Rest};
use billingwatch_pipeline::testing::{MemorySpool, probe_registry};
use billingwatch_pipeline::{Clock, DoubtingClock, Ingest, PipelineStore, Receipt, RuntimeOptions};
use billingwatch_store::Spooled;

use crate::audit;
use crate::host_clock::{HostClock, span_of};
use crate::plan::Story;
use crate::receivers::{CHANNELS, Wire};
use crate::spool::SimSpool;
use crate::store::SimStore;
use crate::world::{Happening, World, lock};

/// What a sleep without an end lasts: until it is woken.
const FOR_EVER: Duration = Duration::from_secs(30 * 86_400);

enum Actor {
    Writer(WriterLoop),
    Pump(Box<PumpLoop>),
    Channel(usize, DeliverLoop),
    Spool(SpoolLoop),
}

/// How an actor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the middle of a step, or of a send.
    Busy,
    /// Until its turn, or until it is woken.
    Asleep,
    /// Until its turn, or until it is asked to stop.
    Pausing,
    /// Until its turn.
    Due,
    Over,
}

struct Slot {
    actor: Option<Actor>,
    control: Arc<LoopControl>,
    pace: Pace,
    state: State,
    /// The turn on the agenda that counts; earlier ones were overtaken.
    ticket: u64,
    sending: Option<(Box<Sending>, Outcome)>,
}

/// How far an orderly end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Writer,
    Spool,
    /// With the journal's last row when the writer was done.
    Pump(i64),
    Channels,
}

/// An answer to come: to which attempt at which event.
struct Waiting {
    event: usize,
    attempt: u32,
    receipt: Receipt,
}

struct Life {
    number: u64,
    ingest: Ingest,
    slots: Vec<Slot>,
    /// Which of them empties the spool.
    spool: Option<usize>,
    waiting: Vec<Waiting>,
    stage: Stage,
    clock: Arc<DoubtingClock>,
}

/// A machine on which one process runs at a time.
pub(crate) struct Host {
    pub(crate) id: usize,
    clock: Arc<HostClock>,
    life: Mutex<Option<Life>>,
    lives: AtomicU64,
    /// The life that is just beginning, if any: it has no loops yet.
    starting: AtomicU64,
    /// It stands still until then: nothing happens in it, and what comes waits.
    frozen_until: AtomicI64,
    /// When rows were appended that a disk may not have yet, and the last row before them.
    unsynced: Mutex<Vec<(Timestamp, i64)>>,
    /// What waits on its disk.
    spool: Option<Arc<MemorySpool>>,
    /// As `unsynced`, of the spool.
    unspooled: Mutex<Vec<(Timestamp, i64)>>,
}

/// How long Linux keeps what nobody synced before it writes it to the disk.
const WRITTEN_BACK: Span = Span::secs(30);

const WRITER: usize = 0;
const PUMP: usize = 1;

impl Host {
    pub(crate) fn new(id: usize, now_ms: &Arc<AtomicI64>, spool: Option<usize>) -> Self {
        Self {
            id,
            clock: Arc::new(HostClock {
                now_ms: Arc::clone(now_ms),
                skew_ms: AtomicI64::new(0),
                leap_ms: AtomicI64::new(0),
            }),
            life: Mutex::default(),
            lives: AtomicU64::new(0),
            starting: AtomicU64::new(0),
            frozen_until: AtomicI64::new(0),
            unsynced: Mutex::default(),
            spool: spool.map(|entries_max| Arc::new(MemorySpool::new(entries_max))),
            unspooled: Mutex::default(),
        }
    }

    /// What waits in its spool, set aside or not.
    pub(crate) fn spooled(&self) -> Vec<Spooled> {
        self.spool.as_ref().map_or(Vec::new(), |spool| spool.all())
    }

    pub(crate) fn set_skew(&self, skew: Span) {
        self.clock.skew_ms.store(skew.as_millis(), Ordering::SeqCst);
    }

    pub(crate) fn set_leap(&self, leap: Span) {
        self.clock.leap_ms.store(leap.as_millis(), Ordering::SeqCst);
    }

    /// The machine's clock is put right, and the process sees it: its loops look at the clock every few seconds.
    /// Here they sleep longer than they ask for, and might see nothing but leap after leap.
    pub(crate) fn end_leap(&self) {
        self.set_leap(Span::ZERO);
        if let Some(life) = lock(&self.life).as_ref() {
            life.clock.now();
        }
    }

    /// Nothing happens in the process for so long.
    pub(crate) fn freeze(&self, world: &World, span: Span) {
        world.note(b'Z', 0, || {
            format!("process {} stands still for {span}", self.id)
        });
        let until = world.now() + span;
        self.frozen_until.store(until.as_millis(), Ordering::SeqCst);
        // What a channel is sending may be taken up by another process meanwhile.
        world.receivers().excuses += 3;
    }

    pub(crate) fn thaw(&self) {
        self.frozen_until.store(0, Ordering::SeqCst);
    }

    /// Until when it stands still, if it does.
    pub(crate) fn frozen_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = Timestamp::from_millis(self.frozen_until.load(Ordering::SeqCst));
        (until > now).then_some(until)
    }

    pub(crate) fn is_alive(&self, number: u64) -> bool {
        self.starting.load(Ordering::SeqCst) == number
            || lock(&self.life)
                .as_ref()
                .is_some_and(|life| life.number == number)
    }

    pub(crate) fn is_up(&self) -> bool {
        lock(&self.life)
            .as_ref()
            .is_some_and(|life| life.stage == Stage::Running)
    }

    pub(crate) fn is_gone(&self) -> bool {
        lock(&self.life).is_none()
    }

    /// A new process: settings, loops, and every loop's first step.
    pub(crate) fn start(&self, world: &Arc<World>) {
        if !self.is_gone() {
            return;
        }
        let number = self.lives.fetch_add(1, Ordering::SeqCst) + 1;
        for (name, _) in CHANNELS {
            // A start is the operator's word that the target is there again.
            world.db.enable_channel(name);
        }
        let store = SimStore::new(world, self.id, number);
        let registry = match world.plan.story {
            Story::Probe => probe_registry(),
            Story::Merchant => Registry::standard(),
        };
        let channels = (0..CHANNELS.len())
            .map(|n| Box::new(Wire(n)) as _)
            .collect();
        let options = &RuntimeOptions {
            spool: self.spool.as_ref().map(|file| {
                file.reopen();
                SimSpool::new(world, self.id, number, file) as _
            }),
            ..world.plan.options.clone()
        };
        self.thaw();
        // The machine asks for the time before it starts a server.
        self.set_leap(Span::ZERO);
        let clock = Arc::new(DoubtingClock::new(self.clock.clone()));
        let looked_at = Arc::clone(&clock);
        self.starting.store(number, Ordering::SeqCst);
        let started = catch_unwind(AssertUnwindSafe(|| {
            Loops::new(store, registry, clock, channels, options)
        }));
        self.starting.store(0, Ordering::SeqCst);
        let Ok(Ok(loops)) = started else {
            world.after(Span::secs(1), Happening::Start(self.id));
            return;
        };
        world.note(b's', number, || format!("process {} starts", self.id));
        let mut slots = vec![
            Slot::new(loops.writer.control(), Actor::Writer(loops.writer)),
            Slot::new(loops.pump.control(), Actor::Pump(Box::new(loops.pump))),
        ];
        for (n, channel) in loops.channels.into_iter().enumerate() {
            slots.push(Slot::new(channel.control(), Actor::Channel(n, channel)));
        }
        let spool = loops.spool.map(|spool| {
            slots.push(Slot::new(spool.control(), Actor::Spool(spool)));
            slots.len() - 1
        });
        let len = slots.len();
        *lock(&self.life) = Some(Life {
            number,
            ingest: loops.ingest,
            slots,
            spool,
            waiting: Vec::new(),
            stage: Stage::Running,
            clock: looked_at,
        });
        for actor in 0..len {
            let wait = Span::millis(world.dice().below(20));
            self.schedule(world, actor, wait, State::Due);
        }
    }

    /// Puts an actor's next turn on the agenda.
    fn schedule(&self, world: &World, actor: usize, wait: Span, state: State) {
        let mut guard = lock(&self.life);
        let Some(life) = guard.as_mut() else { return };
        let slot = &mut life.slots[actor];
        slot.ticket += 1;
        slot.state = state;
        let turn = Happening::Step {
            host: self.id,
            life: life.number,
            actor,
            ticket: slot.ticket,
        };
        world.after(wait, turn);
    }

    /// An actor's turn.
    pub(crate) fn step(&self, world: &Arc<World>, life: u64, index: usize, ticket: u64) {
        if let Some(until) = self.frozen_until(world.now()) {
            let turn = Happening::Step {
                host: self.id,
                life,
                actor: index,
                ticket,
            };
            return world.at(until, turn);
        }
        let Some((mut actor, control)) = self.take(life, index, ticket) else {
            return;
        };
        let mut begun = None;
        let next = match &mut actor {
            Actor::Writer(writer) => guarded(&control, || {
                writer.write_queued();
                self.after_writing(life)
            }),
            Actor::Pump(pump) => guarded(&control, || pump.step()),
            Actor::Spool(spool) => guarded(&control, || spool.step()),
            Actor::Channel(_, channel) => guarded(&control, || match channel.begin() {
                DeliverBegun::Done(next) => next,
                DeliverBegun::Send(sending) => {
                    begun = Some(sending);
                    Next::Again
                }
            }),
        };
        match (begun, &actor) {
            (Some(sending), Actor::Channel(channel, _)) => {
                let channel = *channel;
                self.put_back(life, index, actor);
                self.send(world, life, index, channel, sending);
            }
            _ => {
                self.put_back(life, index, actor);
                self.rest(world, life, index, &next);
            }
        }
    }

    /// What the writer wants after it has written; the real one waits for entries by itself.
    fn after_writing(&self, number: u64) -> Next {
        let guard = lock(&self.life);
        match guard.as_ref().filter(|life| life.number == number) {
            Some(life) if life.ingest.queue_len() > 0 => Next::Again,
            Some(life) if life.stage != Stage::Running => Next::Done,
            _ => Next::Sleep(FOR_EVER),
        }
    }

    fn take(&self, number: u64, index: usize, ticket: u64) -> Option<(Actor, Arc<LoopControl>)> {
        let mut guard = lock(&self.life);
        let life = guard.as_mut().filter(|life| life.number == number)?;
        let slot = &mut life.slots[index];
        if slot.ticket != ticket {
            return None;
        }
        let actor = slot.actor.take()?;
        if slot.state == State::Pausing {
            // A pause swallows the signals that come while it lasts.
            slot.control.wake.take();
        }
        slot.state = State::Busy;
        Some((actor, Arc::clone(&slot.control)))
    }

    /// Unless the process died meanwhile, and the actor with it.
    fn put_back(&self, number: u64, index: usize, actor: Actor) {
        let mut guard = lock(&self.life);
        if let Some(life) = guard.as_mut().filter(|life| life.number == number) {
            life.slots[index].actor = Some(actor);
        }
    }

    /// After a step: how long until the next.
    fn rest(&self, world: &World, number: u64, index: usize, next: &Next) {
        let (rest, actor_name) = {
            let mut guard = lock(&self.life);
            let Some(life) = guard.as_mut().filter(|life| life.number == number) else {
                return;
            };
            let slot = &mut life.slots[index];
            let rest = slot.pace.rest_after(next, slot.control.is_stopping());
            if rest == Rest::Ended {
                slot.control.end();
                slot.state = State::Over;
            }
            (rest, index)
        };
        if let Next::Failed(error) = next {
            world.note(b'e', number, || {
                format!("process {} loop {actor_name}: {error}", self.id)
            });
        }
        let lazily = |duration| span_of(duration, world.weather().laziness);
        match rest {
            Rest::None => self.schedule(world, index, Span::ZERO, State::Due),
            Rest::Sleep(duration) => self.schedule(world, index, lazily(duration), State::Asleep),
            Rest::Pause(duration) => {
                self.schedule(world, index, span_of(duration, 1), State::Pausing)
            }
            Rest::Wait(duration) => self.schedule(world, index, span_of(duration, 1), State::Due),
            Rest::Ended => self.check_end(world, number, index, next),
        }
    }

    /// A pump that says it is done has seen everything that was answered before.
    fn check_end(&self, world: &World, number: u64, index: usize, next: &Next) {
        let Some(Stage::Pump(last_seq)) = lock(&self.life)
            .as_ref()
            .filter(|life| life.number == number)
            .map(|life| life.stage)
        else {
            return;
        };
        // One that another stands in for gives back no lease; what was answered there, the other sees.
        let has_led = !world.plan.is_shared || world.leases().was_given_back_by(self.id, number);
        if index == PUMP && matches!(next, Next::Done) && has_led {
            let cursor = world.db.cursor(CONSUMER).ok().flatten().unwrap_or_default();
            if cursor.seq < last_seq {
                world.accuse(format!(
                    "process {} ended in order at row {}, and row {last_seq} had been answered",
                    self.id, cursor.seq
                ));
            }
        }
    }

    /// Ends every sleep, so that the next ones are as long as sleeps then are.
    pub(crate) fn rouse(&self, world: &World) {
        let asleep: Vec<usize> = match lock(&self.life).as_ref() {
            Some(life) => (PUMP..life.slots.len())
                .filter(|index| life.slots[*index].state == State::Asleep)
                .collect(),
            None => Vec::new(),
        };
        for index in asleep {
            self.schedule(world, index, Span::ZERO, State::Due);
        }
    }

    /// What follows by itself: answers, wake-ups, the stages of an end.
    pub(crate) fn look_round(&self, world: &Arc<World>) {
        if self.frozen_until(world.now()).is_some() {
            return;
        }
        let mut turns = Vec::new();
        let mut answers = Vec::new();
        let mut is_over = false;
        {
            let mut guard = lock(&self.life);
            let Some(life) = guard.as_mut() else { return };
            let options = &world.plan.options.ingest;
            if life.ingest.queue_len() > options.queue_len {
                world.accuse(format!(
                    "{} entries wait in ingest",
                    life.ingest.queue_len()
                ));
            }
            life.collect(&mut answers);
            is_over |= life.advance_stage(world);
            for (index, slot) in life.slots.iter().enumerate() {
                let is_called = match slot.state {
                    State::Asleep if index == WRITER => {
                        life.ingest.queue_len() > 0 || life.stage != Stage::Running
                    }
                    State::Asleep => slot.control.wake.take(),
                    State::Pausing => slot.control.is_stopping(),
                    State::Busy | State::Due | State::Over => false,
                };
                if is_called {
                    turns.push(index);
                }
            }
        }
        for index in turns {
            let wait = Span::millis(world.dice().below(4));
            self.schedule(world, index, wait, State::Due);
        }
        for (event, attempt, is_kept) in answers {
            world.answer(event, attempt, if is_kept { 200 } else { 503 });
        }
        if is_over {
            world.note(b'x', 0, || format!("process {} has ended", self.id));
            self.vanish();
            let wait = Span::millis(world.dice().range(50, 5_000));
            world.after(wait, Happening::Start(self.id));
        }
    }

    /// Asks the process to end in order; it is started again then.
    pub(crate) fn stop(&self, world: &World) {
        let mut guard = lock(&self.life);
        if let Some(life) = guard.as_mut().filter(|life| life.stage == Stage::Running) {
            world.note(b'q', life.number, || {
                format!("process {} is asked to end", self.id)
            });
            life.stage = Stage::Writer;
            life.ingest.close();
            life.slots[WRITER].control.stop();
        }
    }

    /// The process is gone from one moment to the next, with everything it had not committed.
    pub(crate) fn die(&self, world: &Arc<World>) {
        if self.is_gone() {
            return;
        }
        world.note(b'D', 0, || format!("process {} dies", self.id));
        self.vanish();
        if let (Some(last_id), Some(spool)) = (
            first_of(&self.unspooled, world.now(), WRITTEN_BACK),
            &self.spool,
        ) {
            spool.lose_after(last_id);
        }
        let lost = first_of(&self.unsynced, world.now(), Span::secs(2));
        if let Some(seq) = lost {
            world.db.with_tables(|tables| tables.lose_rows_after(seq));
        }
        world.weather().deaths += 1;
        // Each channel may have been in the middle of a send.
        world.receivers().excuses += 3;
        world.expect(audit::check(world));
        let wait = Span::millis(world.dice().log(20, 60_000));
        world.after(wait, Happening::Start(self.id));
    }

    /// Drops the process and everything in it.
    pub(crate) fn vanish(&self) {
        let life = lock(&self.life).take();
        drop(life);
    }

    pub(crate) fn note_unsynced(&self, now: Timestamp, last_seq: i64) {
        lock(&self.unsynced).push((now, last_seq));
    }

    pub(crate) fn note_unspooled(&self, now: Timestamp, last_id: i64) {
        lock(&self.unspooled).push((now, last_id));
    }
}

/// The last place before the first of those that are no older than so much.
fn first_of(unsynced: &Mutex<Vec<(Timestamp, i64)>>, now: Timestamp, lost: Span) -> Option<i64> {
    let unsynced = std::mem::take(&mut *lock(unsynced));
    let mut recent = unsynced.into_iter().filter(|(at, _)| now.since(*at) < lost);
    recent.next().map(|(_, place)| place)
}

impl Slot {
    fn new(control: Arc<LoopControl>, actor: Actor) -> Self {
        Self {
            actor: Some(actor),
            control,
            pace: Pace::default(),
            state: State::Due,
            ticket: 0,
            sending: None,
        }
    }
}

impl Life {
    /// The answers that are there: (event, attempt, whether it is kept).
    fn collect(&mut self, answers: &mut Vec<(usize, u32, bool)>) {
        let mut context = Context::from_waker(Waker::noop());
        self.waiting.retain_mut(|waiting| {
            match Pin::new(&mut waiting.receipt).poll(&mut context) {
                Poll::Pending => true,
                Poll::Ready(answer) => {
                    answers.push((waiting.event, waiting.attempt, answer.is_ok()));
                    false
                }
            }
        });
    }

    /// As the runtime's `shutdown`: the writer, then the spool, then the pump, then the channels. Whether all is over.
    fn advance_stage(&mut self, world: &World) -> bool {
        let is_over = |slot: &Slot| slot.state == State::Over;
        match self.stage {
            Stage::Writer if is_over(&self.slots[WRITER]) => {
                self.stage = Stage::Spool;
                if let Some(spool) = self.spool {
                    self.slots[spool].control.stop();
                }
            }
            Stage::Spool if self.spool.is_none_or(|spool| is_over(&self.slots[spool])) => {
                let head = world.db.head().map_or(0, |head| head.last_seq);
                self.stage = Stage::Pump(head);
                self.slots[PUMP].control.stop();
            }
            Stage::Pump(_) if is_over(&self.slots[PUMP]) => {
                self.stage = Stage::Channels;
                for slot in &self.slots[PUMP + 1..] {
                    slot.control.stop();
                }
            }
            Stage::Channels => return self.slots.iter().all(is_over),
            Stage::Running | Stage::Writer | Stage::Spool | Stage::Pump(_) => {}
        }
        false
    }
}

/// A step under the runtime's guard. A process's death unwinds through it too; nobody hears of it.
fn guarded(control: &LoopControl, step: impl FnOnce() -> Next) -> Next {
    catch_unwind(AssertUnwindSafe(|| control.guard(step)))
        .unwrap_or_else(|_| Next::Failed("the guard let a panic through".to_owned()))
}
