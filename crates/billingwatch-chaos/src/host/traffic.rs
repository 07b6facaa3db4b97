//! What goes in and out of a process: posts that arrive, messages that leave, and what becomes of them.

use std::sync::Arc;

use billingwatch_core::stripe::payload::read_envelope;
use billingwatch_core::stripe::signature::{Tolerance, verify};
use billingwatch_pipeline::deliver::Sending;
use billingwatch_pipeline::supervise::Next;
use billingwatch_pipeline::{Clock, event_entry};

use super::{Actor, Host, Waiting, guarded};
use crate::bug::Bug;
use crate::receivers::CHANNELS;
use crate::world::{Happening, SOURCE, World, lock};

impl Host {
    /// A message leaves; the receiver decides.
    pub(super) fn send(
        &self,
        world: &World,
        life: u64,
        actor: usize,
        channel: usize,
        sending: Box<Sending>,
    ) {
        let message = &sending.message;
        let alert = &message.change.alert;
        let now = world.now();
        let reaction = {
            let mut dice = world.dice();
            world.receivers().react(channel, message, now, &mut dice)
        };
        let key = match world.bug {
            Some(Bug::KeyPerAttempt) => format!("{}-{}", message.delivery_id, message.attempt),
            Some(Bug::KeyPerProcess) => format!("{}-{}-{life}", message.delivery_id, self.id),
            _ => message.delivery_id.clone(),
        };
        world.note(b'd', u64::from(message.attempt), || {
            format!(
                "process {} sends {key} to {}, attempt {}: {}",
                self.id,
                CHANNELS[channel].0,
                message.attempt,
                reaction.outcome.detail()
            )
        });
        if let Some(after) = reaction.taken_after {
            let taken = Happening::Taken {
                channel,
                key,
                alert_id: alert.id.clone(),
                revision: alert.revision,
            };
            world.after(after, taken);
        }
        let mut guard = lock(&self.life);
        if let Some(alive) = guard.as_mut().filter(|alive| alive.number == life) {
            alive.slots[actor].sending = Some((sending, reaction.outcome));
            let host = self.id;
            world.after(
                reaction.answered_after,
                Happening::Sent { host, life, actor },
            );
        }
    }

    /// The receiver answered: the delivery is settled.
    pub(crate) fn sent(&self, world: &Arc<World>, number: u64, index: usize) {
        if let Some(until) = self.frozen_until(world.now()) {
            let answer = Happening::Sent {
                host: self.id,
                life: number,
                actor: index,
            };
            return world.at(until, answer);
        }
        let (mut actor, control, sending, outcome) = {
            let mut guard = lock(&self.life);
            let Some(life) = guard.as_mut().filter(|life| life.number == number) else {
                return;
            };
            let slot = &mut life.slots[index];
            let (Some((sending, outcome)), Some(actor)) = (slot.sending.take(), slot.actor.take())
            else {
                return;
            };
            (actor, Arc::clone(&slot.control), sending, outcome)
        };
        let next = match &mut actor {
            Actor::Channel(_, channel) => guarded(&control, || channel.end(*sending, &outcome)),
            Actor::Writer(_) | Actor::Pump(_) | Actor::Spool(_) => Next::Again,
        };
        self.put_back(number, index, actor);
        self.rest(world, number, index, &next);
    }

    /// A post arrives: what the server's handler does, without HTTP. The status, unless it comes later.
    pub(crate) fn receive(
        &self,
        world: &World,
        event: usize,
        attempt: u32,
        body: &[u8],
        header: &str,
    ) -> Option<u16> {
        let mut guard = lock(&self.life);
        // Nobody listens: the connection is refused.
        let Some(life) = guard.as_mut() else {
            return Some(0);
        };
        let secrets = std::slice::from_ref(&world.secret);
        let now = self.clock.now();
        let verified = verify(
            Some(header.as_bytes()),
            body,
            secrets,
            Tolerance::DEFAULT,
            now,
        );
        let (Ok(verified), Ok(envelope)) = (verified, read_envelope(body)) else {
            return Some(400);
        };
        life.ingest.note_signed(verified.timestamp);
        let entry = event_entry(SOURCE, envelope, body.to_vec());
        match life.ingest.submit(entry) {
            Ok(receipt) => {
                life.waiting.push(Waiting {
                    event,
                    attempt,
                    receipt,
                });
                None
            }
            Err(_) => Some(503),
        }
    }
}
