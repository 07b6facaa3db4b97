//! The course of a seed: a storm, then calm weather, then rest; and at the end a start over.

use std::sync::Arc;

use billingwatch_core::stripe::signature::sign;
use billingwatch_core::time::Span;
use billingwatch_pipeline::PipelineStore;
use billingwatch_pipeline::pump::CONSUMER;
use billingwatch_pipeline::testing::event_body;
use billingwatch_store::DeliveryState;

use crate::audit;
use crate::host::Host;
use crate::stripe::{ANSWER_TIMEOUT, Event, charge};
use crate::world::{Happening, SOURCE, World};

/// After the storm everything is settled within Stripe's three days, and our own.
const SETTLED_WITHIN: Span = Span::days(7);

/// How soon an event is seen by the engine, and told, in calm weather. Generous: a step or two.
const SEEN_WITHIN: Span = Span::secs(2);

/// How soon another process runs the engine after the death of the one that did.
const TAKEN_OVER_WITHIN: Span = Span::secs(10);

/// Events sent one by one in calm weather.
const CALM_EVENTS: i64 = 12;

/// How many times a process is ended under load.
const ENDS: usize = 24;

/// Plays a world to its end.
pub(crate) fn play(world: &Arc<World>) -> Result<(), String> {
    for host in 0..world.hosts.len() {
        world.after(Span::ZERO, Happening::Start(host));
    }
    for (index, event) in world.stripe().iter().enumerate() {
        world.at(event.first_at, Happening::Post(index));
    }
    world.brew();
    world.run_for(world.plan.storm);
    world.note(b'=', 0, || "the storm is over".to_owned());
    calm(world);
    settle(world)?;
    single_events(world)?;
    take_over(world, true)?;
    take_over(world, false)?;
    ends_under_load(world)?;
    start_over(world)
}

fn calm(world: &World) {
    let mut weather = world.weather();
    weather.is_calm = true;
    weather.laziness = 200;
    drop(weather);
    world.receivers().calm();
    for host in &world.hosts {
        host.set_skew(Span::ZERO);
        host.set_leap(Span::ZERO);
        host.thaw();
    }
    // An operator looks after the channels that were said to be gone.
    for (name, _) in crate::receivers::CHANNELS {
        world.db.enable_channel(name);
    }
}

/// Runs until nothing is left to do.
fn settle(world: &Arc<World>) -> Result<(), String> {
    let deadline = world.now() + SETTLED_WITHIN;
    loop {
        world.run_for(Span::minutes(20));
        world.verdict()?;
        let is_settled = is_settled(world);
        if is_settled || world.now() > deadline {
            break;
        }
    }
    world.note(b'=', 1, || "everything has come to rest".to_owned());
    audit::check_rest(world)
}

fn is_settled(world: &World) -> bool {
    let last_seq = world.db.head().map_or(0, |head| head.last_seq);
    let cursor = world.db.cursor(CONSUMER).ok().flatten().unwrap_or_default();
    world.stripe().iter().all(|event| event.is_over)
        && world.hosts.iter().all(Host::is_up)
        && world.hosts.iter().all(|host| host.spooled().is_empty())
        && cursor.seq == last_seq
        && is_all_told(world)
}

fn is_all_told(world: &World) -> bool {
    let deliveries = world.db.deliveries();
    deliveries
        .iter()
        .all(|(_, row)| row.state != DeliveryState::Pending)
}

/// A new event of Stripe's, posted at once; its index.
fn new_event(world: &World) -> usize {
    let at = world.now();
    let mut stripe = world.stripe();
    let index = stripe.len();
    let id = format!("evt_calm_{index}");
    let event_type = charge(&mut world.dice());
    let body = event_body(&id, event_type, at);
    stripe.push(Event::new(id, body, at));
    drop(stripe);
    world.after(Span::ZERO, Happening::Post(index));
    index
}

/// In calm weather an event is seen and told at once, not at the next poll.
fn single_events(world: &Arc<World>) -> Result<(), String> {
    world.weather().laziness = 1;
    for host in &world.hosts {
        host.rouse(world);
    }
    world.run_for(Span::secs(10));
    for _ in 0..CALM_EVENTS {
        let wait = Span::millis(world.dice().below(3_000));
        world.run_for(wait);
        let index = new_event(world);
        world.run_for(SEEN_WITHIN);
        world.verdict()?;
        let (id, is_acknowledged) = {
            let stripe = world.stripe();
            (stripe[index].id.clone(), stripe[index].is_acknowledged)
        };
        if !is_acknowledged {
            return Err(format!("{id} was not taken in within {SEEN_WITHIN}"));
        }
        let seq = world.db.seq_of(SOURCE, &id).unwrap_or(i64::MAX);
        let cursor = world.db.cursor(CONSUMER).ok().flatten().unwrap_or_default();
        if cursor.seq < seq {
            return Err(format!(
                "{id} was not seen within {SEEN_WITHIN}: a lost wake-up"
            ));
        }
        if !is_all_told(world) {
            return Err(format!(
                "what {id} changed was not told within {SEEN_WITHIN}"
            ));
        }
    }
    audit::check(world)
}

/// Whoever runs the engine dies or stands still: another runs it within ten seconds, and has then
/// seen what was acknowledged meanwhile.
///
/// Of an event that was on its way to the one that died nothing is promised until it is acknowledged:
/// Stripe hears no answer and sends it again after seconds, here or to another, perhaps just before the ten
/// are over. So what counts is what was acknowledged early enough to be seen by then.
fn take_over(world: &Arc<World>, is_dead: bool) -> Result<(), String> {
    let before = world.leases().leader();
    let Some((leader, _)) = before.filter(|_| world.hosts.len() > 1) else {
        return Ok(());
    };
    let how = if is_dead { "died" } else { "stood still" };
    // Some reach a process that lives.
    let first = new_event(world);
    if is_dead {
        world.hosts[leader].die(world);
    } else {
        world.hosts[leader].freeze(world, Span::minutes(1));
    }
    for _ in 0..8 {
        new_event(world);
    }
    let to_be_seen = world.now() + TAKEN_OVER_WITHIN;
    world.run_until(to_be_seen - SEEN_WITHIN);
    let acknowledged: Vec<String> = world.stripe()[first..]
        .iter()
        .filter(|event| event.is_acknowledged)
        .map(|event| event.id.clone())
        .collect();
    world.run_until(to_be_seen);
    world.verdict()?;
    if world.leases().leader() == before {
        return Err(format!(
            "nobody runs the engine {TAKEN_OVER_WITHIN} after process {leader} {how}"
        ));
    }
    let cursor = world.db.cursor(CONSUMER).ok().flatten().unwrap_or_default();
    for id in acknowledged {
        if cursor.seq < world.db.seq_of(SOURCE, &id).unwrap_or(i64::MAX) {
            return Err(format!(
                "{id} was not seen within {TAKEN_OVER_WITHIN} after process {leader} {how}"
            ));
        }
    }
    settle(world)
}

/// A process that is ended under load leaves nothing behind that it answered.
fn ends_under_load(world: &Arc<World>) -> Result<(), String> {
    for n in 0..ENDS {
        for _ in 0..4 {
            new_event(world);
            let wait = Span::millis(world.dice().below(12));
            world.run_for(wait);
        }
        let host = &world.hosts[n % world.hosts.len()];
        host.stop(world);
        world.run_for(Span::secs(15));
        world.verdict()?;
        if !host.is_up() {
            return Err(format!("process {} did not end and come back", host.id));
        }
    }
    world.run_for(Span::minutes(30));
    audit::check_rest(world)
}

/// Every process dies at once and starts over: nothing new comes of it.
fn start_over(world: &Arc<World>) -> Result<(), String> {
    for host in &world.hosts {
        host.die(world);
    }
    world.run_for(Span::minutes(10));
    world.verdict()?;
    audit::check_rest(world)
}

impl World {
    /// Stripe posts an event: signed anew, to any of the processes, over a bad network.
    pub(crate) fn post(self: &Arc<Self>, index: usize) {
        let (attempt, header) = {
            let mut stripe = self.stripe();
            let event = &mut stripe[index];
            if event.is_over {
                return;
            }
            event.attempts += 1;
            event.awaited = Some(event.attempts);
            let header = sign(&self.secret, self.now(), &event.body);
            (event.attempts, header)
        };
        self.after(
            ANSWER_TIMEOUT,
            Happening::Expire {
                event: index,
                attempt,
            },
        );
        let copies = self.copies();
        for (host, delay) in copies {
            let header = header.clone();
            let arrival = Happening::Arrive {
                event: index,
                attempt,
                host,
                header,
            };
            self.after(delay, arrival);
        }
    }

    /// Where a post arrives, and when: usually once.
    fn copies(&self) -> Vec<(usize, Span)> {
        let is_calm = self.weather().is_calm;
        let faults = &self.plan.faults;
        let mut dice = self.dice();
        let len = match dice.below(1000) {
            _ if is_calm => 1,
            draw if draw < faults.lose_post => 0,
            draw if draw < faults.lose_post + faults.repeat => 2,
            _ => 1,
        };
        let most = if is_calm {
            10
        } else {
            faults.delay.as_millis()
        };
        let hosts: Vec<usize> = (0..self.hosts.len()).collect();
        (0..len)
            .map(|_| {
                // Mostly swift, with a long tail.
                let most = if dice.chance(800) { most.min(20) } else { most };
                let delay = Span::millis(dice.range(1, most.max(1)));
                (dice.pick(&hosts), delay)
            })
            .collect()
    }

    pub(crate) fn arrive(self: &Arc<Self>, index: usize, attempt: u32, host: usize, header: &str) {
        if let Some(until) = self.hosts[host].frozen_until(self.now()) {
            // The machine takes it, and the process finds it then.
            let arrival = Happening::Arrive {
                event: index,
                attempt,
                host,
                header: header.to_owned(),
            };
            return self.at(until, arrival);
        }
        let body = self.stripe()[index].body.clone();
        if let Some(status) = self.hosts[host].receive(self, index, attempt, &body, header) {
            self.answer(index, attempt, status);
        }
    }

    /// A process answers. What it promises by that holds, whether or not the answer arrives.
    pub(crate) fn answer(&self, index: usize, attempt: u32, status: u16) {
        self.note(b'a', u64::from(status), || {
            format!("{} is answered {status}", self.stripe()[index].id)
        });
        if status == 200 {
            self.stripe()[index].is_acknowledged = true;
        }
        let is_calm = self.weather().is_calm;
        let (is_lost, delay) = {
            let mut dice = self.dice();
            let is_lost = !is_calm && dice.chance(self.plan.faults.lose_answer);
            (is_lost, Span::millis(dice.range(1, 50)))
        };
        if !is_lost {
            self.after(
                delay,
                Happening::Answer {
                    event: index,
                    attempt,
                    status,
                },
            );
        }
    }

    /// Stripe hears an answer, or none in time (status 0).
    pub(crate) fn answered(&self, index: usize, attempt: u32, status: u16) {
        let mut dice = self.dice();
        let mut stripe = self.stripe();
        let event = &mut stripe[index];
        if event.is_over || (event.awaited != Some(attempt) && status != 200) {
            return;
        }
        event.awaited = None;
        if status == 200 {
            event.is_over = true;
            return;
        }
        match event.next_at(self.now(), &mut dice) {
            Some(at) => self.at(at, Happening::Post(index)),
            None => event.is_over = true,
        }
    }
}
