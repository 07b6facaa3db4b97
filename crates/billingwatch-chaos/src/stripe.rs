//! Stripe's side: events, each posted until it is answered with 200 or three days have passed.

use billingwatch_core::time::{Span, Timestamp};
use billingwatch_pipeline::testing::event_body;
use billingwatch_simulator::{
    ApiShape, DeliveryModel, IncidentKind, IncidentPlan, MerchantKind, Strength, World as Merchant,
    WorldConfig,
};

use crate::dice::Dice;
use crate::plan::{Plan, Story};

/// When every story begins: Monday 2024-03-04, 00:00 UTC.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_709_510_400);

/// How long Stripe tries (its documentation: up to three days in live mode).
const GIVE_UP_AFTER: Span = Span::days(3);

/// How long it waits for an answer. Not published; `stripe listen` waits 30 s.
pub(crate) const ANSWER_TIMEOUT: Span = Span::secs(20);

/// The waits between attempts: exponential, no table is published. Shorter at first than Stripe's,
/// so that a short storm sees several.
const FIRST_WAIT: Span = Span::secs(8);
const WAIT_MAX: Span = Span::hours(8);

/// One event, and how its delivery stands.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
    pub(crate) first_at: Timestamp,
    pub(crate) attempts: u32,
    /// The attempt whose answer is awaited.
    pub(crate) awaited: Option<u32>,
    /// We answered 200, whether or not that reached Stripe.
    pub(crate) is_acknowledged: bool,
    /// Stripe is done with it.
    pub(crate) is_over: bool,
}

impl Event {
    pub(crate) fn new(id: String, body: Vec<u8>, first_at: Timestamp) -> Self {
        Self {
            id,
            body,
            first_at,
            attempts: 0,
            awaited: None,
            is_acknowledged: false,
            is_over: false,
        }
    }

    /// When to post again after a failed attempt; `None` to give up.
    pub(crate) fn next_at(&self, now: Timestamp, dice: &mut Dice) -> Option<Timestamp> {
        let factor = 3_i64.saturating_pow(self.attempts.saturating_sub(1));
        let wait = Span::millis(FIRST_WAIT.as_millis().saturating_mul(factor)).min(WAIT_MAX);
        let jitter = Span::millis(dice.below(wait.as_millis() / 4 + 1));
        let next = now + wait + jitter;
        (next.since(self.first_at) <= GIVE_UP_AFTER).then_some(next)
    }
}

/// The events of a plan, in the order in which Stripe first posts them.
pub(crate) fn events(seed: u64, plan: &Plan) -> Vec<Event> {
    let mut dice = Dice::new(seed, 2);
    match plan.story {
        Story::Probe => probe(plan, &mut dice),
        Story::Merchant => merchant(seed, plan, &mut dice),
    }
}

/// Bursts with gaps between them.
fn probe(plan: &Plan, dice: &mut Dice) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut at = START + Span::secs(1);
    let gap = plan.storm.as_millis() / plan.events.max(1);
    for n in 0..plan.events {
        if n > 0 && dice.chance(80) {
            // A person presses "resend".
            let again = &events[usize::try_from(dice.below(n)).unwrap_or(0)];
            let again = Event::new(again.id.clone(), again.body.clone(), at);
            events.push(again);
        } else {
            let id = format!("evt_{n}");
            let body = event_body(&id, charge(dice), at);
            events.push(Event::new(id, body, at));
        }
        let wait = if dice.chance(700) {
            dice.below(2_000)
        } else {
            dice.below(gap * 5)
        };
        at = at + Span::millis(wait);
    }
    events
}

pub(crate) fn charge(dice: &mut Dice) -> &'static str {
    match dice.below(100) {
        0..55 => "charge.failed",
        55..75 => "charge.succeeded",
        75..88 => "charge.updated",
        88..94 => "customer.created",
        _ => "some.type.of.tomorrow",
    }
}

fn merchant(seed: u64, plan: &Plan, dice: &mut Dice) -> Vec<Event> {
    let days = plan.storm.as_secs() / 86_400;
    let kinds = [
        IncidentKind::DuplicateCharge,
        IncidentKind::NegativeInvoice,
        IncidentKind::OutsizedRefund,
        IncidentKind::CardTesting,
    ];
    let incident = |dice: &mut Dice| IncidentPlan {
        kind: dice.pick(&kinds),
        at: START.as_secs() + dice.range(3_600, days * 86_400 - 7_200),
        strength: Strength::Clear,
    };
    let config = WorldConfig {
        seed,
        merchant: MerchantKind::Indie,
        shape: dice.pick(ApiShape::ALL),
        start_at: START.as_secs(),
        days: u32::try_from(days).unwrap_or(1),
        incidents: vec![incident(dice), incident(dice)],
        oddities: true,
        delivery: DeliveryModel::Realistic,
    };
    let Ok(world) = Merchant::new(&config) else {
        return Vec::new();
    };
    world
        .map(|event| {
            let at = Timestamp::from_millis(event.received_at_ms);
            Event::new(event.id, event.json, at)
        })
        .collect()
}
