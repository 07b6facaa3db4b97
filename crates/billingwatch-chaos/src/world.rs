//! The world: its clock, its agenda, and everybody in it.
//!
//! One thread. What is to happen stands on the agenda; [`World::run_until`] takes it off in order of
//! time. A store call that takes time runs the agenda meanwhile, within itself: so other loops, other
//! processes and Stripe come between any two statements of a step that touch the store.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use billingwatch_core::stripe::signature::Secret;
use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::testing::MemoryStore;
use billingwatch_store::NewEntry;

use crate::Report;
use crate::bug::Bug;
use crate::dice::Dice;
use crate::faults::Weather;
use crate::host::Host;
use crate::lease::Leases;
use crate::plan::Plan;
use crate::receivers::Receivers;
use crate::stripe::{self, Event, START};
use crate::trace::Trace;

/// How deep store calls may nest: beyond, a call takes no time.
const DEPTH_MAX: usize = 3;

/// The most happenings within a second: a rebuild row by row makes some hundred. Beyond it a loop
/// spins.
const HAPPENINGS_MAX: u64 = 20_000;

/// The source through which Stripe posts.
pub(crate) const SOURCE: &str = "default";

/// Something that is to happen.
#[derive(Debug)]
pub(crate) enum Happening {
    /// Stripe posts an event.
    Post(usize),
    /// A post arrives at a process.
    Arrive {
        event: usize,
        attempt: u32,
        host: usize,
        header: String,
    },
    /// An answer arrives at Stripe.
    Answer {
        event: usize,
        attempt: u32,
        status: u16,
    },
    /// Stripe waits no longer.
    Expire { event: usize, attempt: u32 },
    /// A loop makes its next step.
    Step {
        host: usize,
        life: u64,
        actor: usize,
        ticket: u64,
    },
    /// A receiver takes a message.
    Taken {
        channel: usize,
        key: String,
        alert_id: String,
        revision: u32,
    },
    /// A receiver answers.
    Sent {
        host: usize,
        life: u64,
        actor: usize,
    },
    /// A process starts.
    Start(usize),
    /// Something goes wrong.
    Trouble(crate::faults::Trouble),
    /// A machine's clock is put right.
    Leapt(usize),
}

#[derive(Debug)]
struct Entry {
    at: Timestamp,
    order: u64,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

#[derive(Debug, Default)]
struct Agenda {
    entries: BinaryHeap<Reverse<Entry>>,
    order: u64,
}

/// An event that was kept for the first time, in the journal or in a spool.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) event_id: String,
    /// When it was received, where it went into a spool.
    pub(crate) spooled_at: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Keeping {
    known: BTreeSet<String>,
    in_order: Vec<Kept>,
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) bug: Option<Bug>,
    pub(crate) now_ms: Arc<AtomicI64>,
    pub(crate) db: MemoryStore,
    pub(crate) hosts: Vec<Host>,
    pub(crate) secret: Secret,
    dice: Mutex<Dice>,
    agenda: Mutex<Agenda>,
    depth: AtomicUsize,
    happenings: AtomicU64,
    /// The current second, and what happened in it so far.
    second: AtomicI64,
    in_second: AtomicU64,
    stripe: Mutex<Vec<Event>>,
    receivers: Mutex<Receivers>,
    weather: Mutex<Weather>,
    trace: Mutex<Trace>,
    kept: Mutex<Keeping>,
    leases: Mutex<Leases>,
    broken: Mutex<Option<String>>,
}

/// Nobody panics while holding a lock, save on purpose.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(crate) fn new(seed: u64, plan: Plan, bug: Option<Bug>, with_trace: bool) -> Arc<Self> {
        let now_ms = Arc::new(AtomicI64::new(START.as_millis()));
        let hosts = (0..plan.processes)
            .map(|id| Host::new(id, &now_ms, plan.spool))
            .collect();
        Arc::new(Self {
            bug,
            db: MemoryStore::new(),
            hosts,
            secret: Secret::new("whsec_simulated"),
            dice: Mutex::new(Dice::new(seed, 3)),
            agenda: Mutex::default(),
            depth: AtomicUsize::new(0),
            happenings: AtomicU64::new(0),
            second: AtomicI64::new(0),
            in_second: AtomicU64::new(0),
            stripe: Mutex::new(stripe::events(seed, &plan)),
            receivers: Mutex::new(Receivers::new(&plan)),
            weather: Mutex::new(Weather::new(&plan)),
            trace: Mutex::new(Trace::new(with_trace)),
            kept: Mutex::default(),
            leases: Mutex::default(),
            broken: Mutex::default(),
            now_ms,
            plan,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms.load(Ordering::SeqCst))
    }

    pub(crate) fn dice(&self) -> MutexGuard<'_, Dice> {
        lock(&self.dice)
    }

    pub(crate) fn stripe(&self) -> MutexGuard<'_, Vec<Event>> {
        lock(&self.stripe)
    }

    pub(crate) fn receivers(&self) -> MutexGuard<'_, Receivers> {
        lock(&self.receivers)
    }

    pub(crate) fn weather(&self) -> MutexGuard<'_, Weather> {
        lock(&self.weather)
    }

    pub(crate) fn leases(&self) -> MutexGuard<'_, Leases> {
        lock(&self.leases)
    }

    /// An event of Stripe's is durable, somewhere.
    pub(crate) fn note_kept(&self, entry: &NewEntry, spooled_at: Option<Timestamp>) {
        let Some(event_id) = entry.event_id.as_ref().filter(|_| !entry.is_historical) else {
            return;
        };
        let mut kept = lock(&self.kept);
        if kept.known.insert(event_id.clone()) {
            kept.in_order.push(Kept {
                event_id: event_id.clone(),
                spooled_at,
            });
        }
    }

    /// Events in the order in which they were first kept.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        lock(&self.kept).in_order.clone()
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    pub(crate) fn note(&self, kind: u8, of: u64, words: impl FnOnce() -> String) {
        lock(&self.trace).note(self.now(), kind, of, words);
    }

    /// A promise was broken; the first is kept.
    pub(crate) fn accuse(&self, reason: String) {
        self.note(b'!', 0, || format!("BROKEN: {reason}"));
        lock(&self.broken).get_or_insert(reason);
    }

    /// Takes an audit's finding.
    pub(crate) fn expect(&self, found: Result<(), String>) {
        if let Err(reason) = found {
            self.accuse(reason);
        }
    }

    pub(crate) fn verdict(&self) -> Result<(), String> {
        lock(&self.broken).clone().map_or(Ok(()), Err)
    }

    /// Puts something on the agenda, so long from now.
    pub(crate) fn after(&self, wait: Span, what: Happening) {
        self.at(self.now() + wait.max(Span::ZERO), what);
    }

    pub(crate) fn at(&self, at: Timestamp, what: Happening) {
        let mut agenda = lock(&self.agenda);
        agenda.order += 1;
        let order = agenda.order;
        agenda.entries.push(Reverse(Entry { at, order, what }));
    }

    fn next_before(&self, until: Timestamp) -> Option<Entry> {
        let mut agenda = lock(&self.agenda);
        if agenda.entries.peek()?.0.at > until {
            return None;
        }
        agenda.entries.pop().map(|Reverse(entry)| entry)
    }

    /// Lets happen what is to happen up to an instant. Stops at a broken promise.
    pub(crate) fn run_until(self: &Arc<Self>, until: Timestamp) {
        // Within a step, what it did so far has woken somebody, perhaps.
        self.look_round();
        while self.verdict().is_ok() {
            let Some(entry) = self.next_before(until) else {
                break;
            };
            self.now_ms
                .fetch_max(entry.at.as_millis(), Ordering::SeqCst);
            self.count(&entry.what);
            self.happen(entry.what);
            self.look_round();
        }
        self.now_ms.fetch_max(until.as_millis(), Ordering::SeqCst);
    }

    fn count(&self, what: &Happening) {
        self.happenings.fetch_add(1, Ordering::SeqCst);
        let second = self.now().as_secs();
        if self.second.swap(second, Ordering::SeqCst) != second {
            self.in_second.store(0, Ordering::SeqCst);
        }
        if self.in_second.fetch_add(1, Ordering::SeqCst) == HAPPENINGS_MAX {
            self.accuse(format!("a loop spins: {what:?}"));
        }
    }

    pub(crate) fn run_for(self: &Arc<Self>, span: Span) {
        self.run_until(self.now() + span);
    }

    /// Time that a store call takes: everything else goes on.
    pub(crate) fn pass(self: &Arc<Self>, span: Span) {
        if span > Span::ZERO && self.depth.load(Ordering::SeqCst) < DEPTH_MAX {
            self.depth.fetch_add(1, Ordering::SeqCst);
            self.run_for(span);
            self.depth.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn happen(self: &Arc<Self>, what: Happening) {
        match what {
            Happening::Post(event) => self.post(event),
            Happening::Arrive {
                event,
                attempt,
                host,
                header,
            } => {
                self.arrive(event, attempt, host, &header);
            }
            Happening::Answer {
                event,
                attempt,
                status,
            } => {
                self.answered(event, attempt, status);
            }
            Happening::Expire { event, attempt } => self.answered(event, attempt, 0),
            Happening::Step {
                host,
                life,
                actor,
                ticket,
            } => {
                self.hosts[host].step(self, life, actor, ticket);
            }
            Happening::Taken {
                channel,
                key,
                alert_id,
                revision,
            } => {
                self.note(b'k', u64::from(revision), || {
                    format!("channel {channel} takes {key}")
                });
                self.receivers().take(channel, key, alert_id, revision);
            }
            Happening::Sent { host, life, actor } => self.hosts[host].sent(self, life, actor),
            Happening::Start(host) => self.hosts[host].start(self),
            Happening::Trouble(trouble) => self.trouble(trouble),
            Happening::Leapt(host) => self.hosts[host].end_leap(),
        }
    }

    /// What follows by itself from anything that happened.
    fn look_round(self: &Arc<Self>) {
        for host in &self.hosts {
            host.look_round(self);
        }
    }

    pub(crate) fn report(&self) -> Report {
        let weather = self.weather();
        let trace = lock(&self.trace);
        let stripe = self.stripe();
        let acknowledged = stripe.iter().filter(|event| event.is_acknowledged).count();
        Report {
            fingerprint: trace.fingerprint(),
            trace: trace.lines(),
            acknowledged: u64::try_from(acknowledged).unwrap_or(0),
            deaths: weather.deaths,
            store_failures: weather.store_failures,
            changes: u64::try_from(self.db.recorded_changes().len()).unwrap_or(0),
            messages: self.receivers().messages(),
            happenings: self.happenings.load(Ordering::SeqCst),
            simulated_secs: self.now().since(START).as_secs(),
        }
    }

    /// Lets go of everybody, who hold the world in turn.
    pub(crate) fn end(&self) {
        for host in &self.hosts {
            host.vanish();
        }
    }
}
