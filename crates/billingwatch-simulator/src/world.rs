//! The world itself: a clock, an agenda of things to come, and the events on their way.
//!
//! It is a discrete event simulation. A task runs at its time, emits events and puts later tasks on the
//! agenda; an event leaves once no task can emit one that would arrive before it. What is kept grows
//! with the live subscriptions and what is under way, never with the days that passed.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};

use crate::billing::Subscriptions;
use crate::config::{ConfigError, WorldConfig};
use crate::delivery::{Outbox, SimulatedEvent};
use crate::ids::{Id, Kind, mix};
use crate::incidents::Conditions;
use crate::json::Writer;
use crate::label::Label;
use crate::merchant::customer::Customer;
use crate::merchant::{Profile, Selling};
use crate::money::Currency;
use crate::objects::{Env, Order, Part};
use crate::rng::Dice;
use crate::shop::Regulars;
use crate::task::Task;

/// The API call that caused an event; `None` when Stripe acted by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request(Option<u64>);

impl Request {
    /// Stripe's own automation: renewals, retries, disputes.
    pub(crate) const AUTOMATIC: Self = Self(None);
}

/// Sessions before the world began.
const FIRST_SESSION: u64 = 48_000;

#[derive(Debug)]
struct Entry {
    at_ms: i64,
    order: u64,
    task: Task,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ms, self.order) == (other.at_ms, other.order)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at_ms, self.order).cmp(&(other.at_ms, other.order))
    }
}

/// A simulated merchant: an iterator over its events in the order of receipt.
#[derive(Debug)]
pub struct World {
    pub(crate) env: Env,
    pub(crate) config: WorldConfig,
    /// Chance for subscriptions and their customers.
    pub(crate) dice: Dice,
    /// Chance for one-off purchases.
    pub(crate) shop_dice: Dice,
    /// Chance for incidents.
    pub(crate) incident_dice: Dice,
    /// The running task's time, in unix milliseconds.
    pub(crate) now_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) regulars: Regulars,
    pub(crate) conditions: Conditions,
    /// Money taken since the last payout.
    pub(crate) takings: BTreeMap<Currency, i64>,
    pub(crate) labels: Vec<Label>,
    /// The incident to which the running task's events belong.
    pub(crate) tag: Option<usize>,
    pub(crate) outbox: Outbox,
    agenda: BinaryHeap<Reverse<Entry>>,
    scheduled: u64,
    made: u64,
    customers: u64,
    orders: u64,
}

impl World {
    /// Builds the merchant as it is at the start, with its incidents planned.
    ///
    /// # Errors
    ///
    /// When the configuration breaks a limit; see [`WorldConfig::validate`].
    pub fn new(config: &WorldConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let seed = config.seed;
        let mut world = Self {
            env: Env {
                shape: config.shape,
                profile: Profile::of(config.merchant),
            },
            config: config.clone(),
            dice: Dice::new(seed, 1),
            shop_dice: Dice::new(seed, 2),
            incident_dice: Dice::new(seed, 3),
            now_ms: config.start_at * 1_000,
            end_ms: config.end_at() * 1_000,
            subscriptions: Subscriptions::default(),
            regulars: Regulars::default(),
            conditions: Conditions::default(),
            takings: BTreeMap::new(),
            labels: config
                .incidents
                .iter()
                .enumerate()
                .map(|(n, p)| Label::new(n, p))
                .collect(),
            tag: None,
            outbox: Outbox::new(config.delivery, Dice::new(seed, 4)),
            agenda: BinaryHeap::new(),
            scheduled: 0,
            made: 0,
            customers: 0,
            orders: 0,
        };
        world.populate();
        world.open_shop();
        world.plan_incidents();
        Ok(world)
    }

    /// The incidents of this world, in the order of the configuration. Their events, subjects and ends
    /// are complete once the iterator is exhausted.
    #[must_use]
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The running task's time, in unix seconds.
    pub(crate) fn now(&self) -> i64 {
        self.now_ms / 1_000
    }

    /// Puts a task on the agenda, unless its time lies beyond the world's end. Incidents are played to
    /// their own end, or one that begins in the last hour would have a label and no events.
    pub(crate) fn schedule(&mut self, at_ms: i64, task: Task) {
        let at_ms = at_ms.max(self.now_ms);
        if at_ms < self.end_ms || matches!(task, Task::Incident(..)) {
            self.scheduled += 1;
            self.agenda.push(Reverse(Entry {
                at_ms,
                order: self.scheduled,
                task,
            }));
        }
    }

    /// A number no other object of this world has.
    fn fresh(&mut self) -> u64 {
        self.made += 1;
        mix(self.config.seed.rotate_left(32) ^ self.made)
    }

    pub(crate) fn new_id(&mut self, kind: Kind) -> Id {
        Id::made(kind, self.fresh(), self.now())
    }

    pub(crate) fn new_customer(&mut self) -> Customer {
        self.customers += 1;
        Customer {
            number: (self.config.seed % 8_999 + 1_000) * 10_000_000 + self.customers,
            created_at: self.now(),
        }
    }

    pub(crate) fn new_order(&mut self) -> Order {
        self.orders += 1;
        let apart = self.config.seed.wrapping_mul(1_000_003);
        let number = apart.wrapping_add(self.orders);
        match self.env.profile.selling {
            Selling::AtOnce => Order::Shop(number),
            Selling::Bookings { .. } => Order::Booking(number, Part::Deposit),
            Selling::Sessions { .. } => Order::Session(FIRST_SESSION + self.orders),
        }
    }

    /// A new API call.
    pub(crate) fn new_request(&mut self) -> Request {
        Request(Some(self.fresh()))
    }

    /// Emits an event `offset_ms` after the running task's time.
    pub(crate) fn emit(
        &mut self,
        event_type: &'static str,
        offset_ms: i64,
        request: Request,
        object: impl FnOnce(&mut Writer, &Env),
    ) {
        self.emit_event(
            event_type,
            offset_ms,
            request,
            object,
            None::<fn(&mut Writer, &Env)>,
        );
    }

    /// Emits an event that tells what was before.
    pub(crate) fn emit_update(
        &mut self,
        event_type: &'static str,
        offset_ms: i64,
        request: Request,
        object: impl FnOnce(&mut Writer, &Env),
        previous: impl FnOnce(&mut Writer, &Env),
    ) {
        self.emit_event(event_type, offset_ms, request, object, Some(previous));
    }

    fn emit_event(
        &mut self,
        event_type: &'static str,
        offset_ms: i64,
        request: Request,
        object: impl FnOnce(&mut Writer, &Env),
        previous: Option<impl FnOnce(&mut Writer, &Env)>,
    ) {
        let about_payment =
            event_type.starts_with("charge.") || event_type.starts_with("payment_intent.");
        let kind = if about_payment {
            Kind::PaymentEvent
        } else {
            Kind::Event
        };
        let at_ms = self.now_ms + offset_ms;
        let created = at_ms.div_euclid(1_000);
        let id = Id::made(kind, self.fresh(), created);
        let env = &self.env;
        let mut w = Writer::with_capacity(3_584);
        w.item(|w| {
            w.field("id", id);
            w.fields(r#""object":"event""#);
            w.field("api_version", env.shape.api_version());
            w.field("created", created);
            w.obj("data", |w| {
                w.obj("object", |w| object(w, env));
                if let Some(previous) = previous {
                    w.obj("previous_attributes", |w| previous(w, env));
                }
            });
            w.fields(r#""livemode":true,"pending_webhooks":1"#);
            w.obj("request", |w| {
                w.field("id", request.0.map(|n| Id::new(Kind::Request, n)));
                match request.0 {
                    Some(n) => w.text("idempotency_key", &[&uuid(n)]),
                    None => w.null("idempotency_key"),
                }
            });
            w.field("type", event_type);
        });
        let id = id.to_string();
        if let Some(label) = self.tag.and_then(|incident| self.labels.get_mut(incident)) {
            label.add_event(&id);
        }
        let event = SimulatedEvent {
            received_at_ms: 0,
            created,
            id: id.clone(),
            event_type,
            json: w.into_bytes(),
        };
        let held_by = self.outbox.push(at_ms, event);
        if let Some(label) = held_by.and_then(|incident| self.labels.get_mut(incident)) {
            label.add_event(&id);
        }
    }

    /// Adds a subject to an incident's label.
    pub(crate) fn add_subject(&mut self, incident: usize, subject: Id) {
        if let Some(label) = self.labels.get_mut(incident) {
            label.add_subject(subject.to_string());
        }
    }

    /// Stretches an incident's label to a later end, in unix seconds.
    pub(crate) fn extend_label(&mut self, incident: usize, ends_at: i64) {
        if let Some(label) = self.labels.get_mut(incident) {
            label.ends_at = label.ends_at.max(ends_at);
        }
    }
}

/// An idempotency key as client libraries make them.
fn uuid(n: u64) -> String {
    let (a, b) = (mix(n), mix(n ^ 0x6b65_7900));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}

impl Iterator for World {
    type Item = SimulatedEvent;

    fn next(&mut self) -> Option<SimulatedEvent> {
        loop {
            let limit_ms = self
                .agenda
                .peek()
                .map_or(i64::MAX, |Reverse(next)| next.at_ms);
            if let Some(event) = self.outbox.pop_until(limit_ms) {
                return Some(event);
            }
            let Reverse(Entry { at_ms, task, .. }) = self.agenda.pop()?;
            self.now_ms = at_ms;
            self.tag = None;
            self.run(task);
        }
    }
}
