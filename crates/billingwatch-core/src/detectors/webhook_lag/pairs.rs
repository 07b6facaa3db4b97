//! Types of events that come together, and one of them that gets lost.
//!
//! Stripe announces one thing by several events: a payment by `charge.succeeded` and
//! `payment_intent.succeeded`, a paid invoice by `invoice.paid` and `invoice.payment_succeeded`.
//! Where two have nearly always come together, one that comes alone again and again says that the
//! other gets lost on its way, wholly or in part, however few events that are.
//!
//! Of each pair what came in the last [`WAIT`] is kept, by the id of what it is about; whichever
//! came first. What has not found its partner by then counts as a miss of the partner's type, and
//! is held against the share that is usual at this endpoint. Misses are added up as logarithms of
//! how much likelier a loss makes them than the usual, and whole pairs taken off (a cumulative sum,
//! Page's test); the run since that sum left zero is what the exact binomial test is made on. So
//! there are a few numbers for each type, however many events come.
//!
//! An endpoint that is not subscribed to one of two misses all of it, and is not judged.

use serde::{Deserialize, Serialize};

use crate::detector::Context;
use crate::event::charge::ChargeStatus;
use crate::event::invoice::{Invoice, InvoiceStatus};
use crate::event::refund::RefundStatus;
use crate::event::{Event, EventData, EventType};
use crate::ids::{Key, KeyMap};
use crate::stats::binomial_tail;
use crate::time::{Span, Timestamp};

use super::super::words::as_f64;

/// How long what came alone waits for its partner.
const WAIT: Span = Span::minutes(5);

/// What waits, of one pair; what comes beyond it is not looked at.
const WAITING_MAX: usize = 4_096;

/// The types that come together. What they are about is what both name: the payment intent, the
/// invoice, the charge.
const PAIRS: [[&str; 2]; 9] = [
    ["charge.succeeded", INTENT],
    ["invoice.paid", "invoice.payment_succeeded"],
    [TIED, "invoice.paid"],
    // Before basil the charge names its invoice.
    ["charge.succeeded", "invoice.paid"],
    ["charge.refunded", "refund.created"],
    // Where the three above get lost together, as what drops one of them may drop all, nothing else
    // says so from basil on: no charge names its invoice there.
    [UPDATED, "invoice.paid"],
    [UPDATED, "invoice.payment_succeeded"],
    [UPDATED, TIED],
    // And where the first pair gets lost together, only what an invoice was paid by names the intent.
    [TIED, INTENT],
];

/// Whose loss is judged, of each of them: see [`TIED`] and [`UPDATED`].
const JUDGED: [[bool; 2]; PAIRS.len()] = [
    [true, true],
    [true, true],
    [true, true],
    [true, true],
    [true, true],
    [false, true],
    [false, true],
    [false, true],
    [false, true],
];

const INTENT: &str = "payment_intent.succeeded";

/// It ties a payment to an invoice. That it is missing beside an intent says nothing: a payment that is
/// no invoice's has none, and how many are changes with each sale.
const TIED: &str = "invoice_payment.paid";

/// It says of an invoice whatever changed, and so also that it is paid.
///
/// Its own loss is not judged: whether an invoice that is paid as soon as it is made changes at all
/// differs, and nothing is known by it alone.
const UPDATED: &str = "invoice.updated";

/// A change of an invoice so soon after it was paid is the payment; later ones are something else,
/// such as a credit note.
const PAID_JUST_NOW: Span = Span::minutes(1);

/// What a manual capture says instead of `charge.succeeded`.
const CAPTURED: &str = "charge.captured";

/// How many pairs must be known, and for how long, before one that is not whole means anything.
const KNOWN_MIN: f64 = 50.0;
/// See [`KNOWN_MIN`].
const KNOWN_SPAN: Span = Span::days(1);

/// Two come together "nearly always": one in twenty may come alone.
const ALONE_MAX: f64 = 0.05;

/// A type that has just begun to come belongs to the other after so many whole pairs in a row.
const WHOLE_MIN: u64 = 100;

/// The share of those that come alone until it is known: 0.5 %, weighing as 200.
const PRIOR: (f64, f64) = (1.0, 200.0);

/// The least share that is taken for usual.
const USUAL_MIN: f64 = 0.002;

/// What is kept of the learned share from one day to the next.
const KEPT_A_DAY: f64 = 27.0 / 28.0;

/// The share of misses that the cumulative sum looks for, at least.
const LOSS: f64 = 0.25;

/// Misses before anything is said, and in how many different minutes: one hiccup costs all that was
/// sent in its minute.
const MISSED_MIN: u64 = 4;
/// See [`MISSED_MIN`].
const MINUTES_MIN: u32 = 3;

/// The share of misses that is worth a word: one in ten.
const MISSED_SHARE_MIN: f64 = 0.1;

/// A loss is over when what came since is a thousand times likelier without it.
const OVER: f64 = 6.9;

/// A loss that lasts for so long is how this endpoint is set up.
pub(super) const LASTING: Span = Span::days(7);

/// What came of one thing so far: a bit for each side.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Waiting {
    since: Timestamp,
    made_at: Timestamp,
    sides: u8,
}

/// One type's losses, by its partner.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Side {
    /// Learned: misses, and all, decaying; and since when.
    usual: (f64, f64),
    known_since: Option<Timestamp>,
    /// Whole pairs since the last miss.
    whole: u64,
    run: Run,
    /// Since when the loss is told.
    told_at: Option<Timestamp>,
    /// How much likelier what came since is without the loss, as a logarithm.
    over: f64,
    unreported: u64,
    /// It lasted until it was taken for how things are.
    is_lasting: bool,
    /// The newest charge was captured by hand.
    is_captured: bool,
}

/// What came since a first miss.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Run {
    since: Timestamp,
    missed: u64,
    all: u64,
    minutes: u32,
    score: f64,
}

/// Two types that come together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Pair {
    waiting: KeyMap<Waiting>,
    /// Since when the one that waits longest does, if any waits.
    waits_since: Timestamp,
    sides: [Side; 2],
}

/// All pairs of types of one scope.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pairs {
    pairs: [Pair; PAIRS.len()],
    day: i64,
    /// When the first of what waits has waited long enough, or sooner.
    #[serde(skip)]
    due_at: Timestamp,
}

/// A type that gets lost.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    pub(super) name: &'static str,
    /// The type that came without it.
    pub(super) other: &'static str,
    /// When the first that lacks it was made.
    pub(super) since: Timestamp,
    /// How many of all came without it, and what share of them usually does.
    pub(super) missed: u64,
    pub(super) all: u64,
    pub(super) usual: f64,
    pub(super) chance: f64,
}

/// What an event says of one pair.
struct Part {
    pair: usize,
    side: usize,
    key: Key,
    /// Whether its partner is to be expected.
    awaits: bool,
}

impl Pairs {
    /// An event arrived for the first time.
    pub(super) fn event(&mut self, event: &Event, ctx: &Context<'_>) {
        let (now, made_at) = (ctx.now(), ctx.event_at());
        let is_late = now.since(made_at) > WAIT;
        each_part(event, |part| {
            let pair = &mut self.pairs[part.pair];
            let bit = 1 << part.side;
            if let Some(waiting) = pair.waiting.get_mut(&part.key) {
                waiting.sides |= bit;
            } else if is_late {
                pair.sides[part.side].come_late(made_at);
            } else if part.awaits && pair.waiting.len() < WAITING_MAX {
                if pair.waiting.is_empty() {
                    pair.waits_since = now;
                    self.due_at = self.due_at.min(now + WAIT);
                }
                let waiting = Waiting {
                    since: now,
                    made_at,
                    sides: bit,
                };
                pair.waiting.push_new(part.key, waiting);
            }
            if part.pair == 0 && part.side == 0 {
                let is_captured = event.event_type == EventType::ChargeCaptured;
                pair.sides[0].is_captured = is_captured;
            }
        });
    }

    /// Time passed: what waited long enough is judged. While events of any kind are missing or late,
    /// what came alone says nothing.
    ///
    /// How many misses of losses that are told are new; `None` where none was judged: what is told has not changed then.
    pub(super) fn tick(&mut self, chance_max: f64, ctx: &Context<'_>) -> Option<u64> {
        let now = ctx.now();
        let intake = ctx.intake();
        let counts = intake.trouble().is_none();
        if counts && intake.complete_until(now) < now {
            return None;
        }
        let mut unreported = None;
        if now >= self.due_at {
            self.due_at = Timestamp::MAX;
            for (pair, judged) in self.pairs.iter_mut().zip(&JUDGED) {
                if pair.waits(now) {
                    pair.settle(now, counts, chance_max, *judged);
                    let more: u64 = pair.take_unreported();
                    unreported = Some(unreported.unwrap_or_default() + more);
                }
                if !pair.waiting.is_empty() {
                    self.due_at = self.due_at.min(pair.waits_since + WAIT);
                }
            }
        }
        if now.day() != self.day {
            self.day = now.day();
            for side in self.pairs.iter_mut().flat_map(|pair| &mut pair.sides) {
                side.usual.0 *= KEPT_A_DAY;
                side.usual.1 *= KEPT_A_DAY;
            }
        }
        unreported
    }

    /// The types that get lost now, each by the pair that says so most clearly.
    pub(super) fn losses(&self) -> Vec<Loss> {
        let mut losses: Vec<Loss> = Vec::new();
        for (pair, names) in self.pairs.iter().zip(PAIRS) {
            for side in 0..2 {
                let Some(loss) = pair.loss(side, names) else {
                    continue;
                };
                match losses.iter_mut().find(|known| known.name == loss.name) {
                    Some(known) if known.chance <= loss.chance => {}
                    Some(known) => *known = loss,
                    None => losses.push(loss),
                }
            }
        }
        losses
    }

    /// Whether any loss is told now.
    pub(super) fn is_any(&self) -> bool {
        let mut sides = self.pairs.iter().flat_map(|pair| &pair.sides);
        sides.any(|side| side.told_at.is_some())
    }

    /// Whether the loss that ended last did so because it had lasted.
    pub(super) fn is_lasting(&self) -> bool {
        let mut sides = self.pairs.iter().flat_map(|pair| &pair.sides);
        sides.any(|side| side.is_lasting)
    }
}

impl Pair {
    /// Whether anything has waited long enough.
    fn waits(&self, now: Timestamp) -> bool {
        !self.waiting.is_empty() && now.since(self.waits_since) >= WAIT
    }

    /// Misses since this was last asked, of losses that are told.
    fn take_unreported(&mut self) -> u64 {
        let sides = self.sides.iter_mut();
        sides.map(|side| std::mem::take(&mut side.unreported)).sum()
    }

    fn settle(&mut self, now: Timestamp, counts: bool, chance_max: f64, judged: [bool; 2]) {
        let (mut alone, mut together) = ([0_u64; 2], 0_u64);
        let mut first_alone = [Timestamp::MAX; 2];
        let mut waits_since = Timestamp::MAX;
        let waits_from = now - WAIT;
        self.waiting.retain(|_, waiting| {
            if waiting.since > waits_from {
                waits_since = waits_since.min(waiting.since);
                return true;
            }
            match waiting.sides {
                0b01 => {
                    alone[0] += 1;
                    first_alone[0] = first_alone[0].min(waiting.made_at);
                }
                0b10 => {
                    alone[1] += 1;
                    first_alone[1] = first_alone[1].min(waiting.made_at);
                }
                _ => together += 1,
            }
            false
        });
        self.waits_since = waits_since;
        if !counts {
            return;
        }
        for (side, other) in [(0, 1), (1, 0)] {
            if alone[other] + together > 0 && judged[side] {
                let first = first_alone[other];
                self.sides[side].take(now, alone[other], together, first, chance_max);
            }
        }
    }

    fn loss(&self, side: usize, names: [&'static str; 2]) -> Option<Loss> {
        let lost = &self.sides[side];
        lost.told_at?;
        let name_of = |side: usize| {
            let is_captured = self.sides[side].is_captured;
            if is_captured { CAPTURED } else { names[side] }
        };
        Some(Loss {
            name: name_of(side),
            other: name_of(1 - side),
            since: lost.run.since,
            missed: lost.run.missed,
            all: lost.run.all,
            usual: lost.usual_share(),
            chance: lost.chance(),
        })
    }
}

impl Side {
    /// So many came without this type, and so many with it.
    fn take(
        &mut self,
        now: Timestamp,
        missed: u64,
        whole: u64,
        first_missed: Timestamp,
        chance_max: f64,
    ) {
        self.known_since.get_or_insert(now);
        self.whole = if missed > 0 { 0 } else { self.whole + whole };
        if self.told_at.is_some() {
            self.follow(now, missed, whole);
            return;
        }
        if !self.is_known(now) {
            self.learn(missed, missed + whole);
            if self.whole >= WHOLE_MIN && self.alone_share() > ALONE_MAX {
                self.usual = (0.0, as_f64(self.whole));
            }
            return;
        }
        if missed == 0 && self.run.all == 0 {
            // Whole pairs alone begin no run: the sum would be below zero at once.
            self.learn(0, whole);
            return;
        }
        let usual = self.usual_share();
        let loss = LOSS.max(3.0 * usual);
        if self.run.missed == 0 && missed > 0 {
            self.run.since = first_missed;
        }
        let run = &mut self.run;
        run.missed += missed;
        run.all += missed + whole;
        run.minutes += u32::from(missed > 0);
        run.score += as_f64(missed) * (loss / usual).ln();
        run.score += as_f64(whole) * ((1.0 - loss) / (1.0 - usual)).ln();
        if run.score <= 0.0 {
            let run = std::mem::take(run);
            self.learn(run.missed, run.all);
            return;
        }
        let is_much = as_f64(run.missed) >= MISSED_SHARE_MIN * as_f64(run.all);
        if run.missed >= MISSED_MIN
            && run.minutes >= MINUTES_MIN
            && is_much
            && self.chance() <= chance_max
        {
            self.told_at = Some(now);
            self.is_lasting = false;
            self.over = 0.0;
            self.unreported = self.run.missed;
        }
    }

    /// A loss that is told goes on, or is over.
    fn follow(&mut self, now: Timestamp, missed: u64, whole: u64) {
        self.run.missed += missed;
        self.run.all += missed + whole;
        self.unreported += missed;
        let usual = self.usual_share();
        let share = as_f64(self.run.missed) / as_f64(self.run.all.max(1));
        let loss = share.clamp(2.0 * usual, 0.9);
        let gain = as_f64(whole) * ((1.0 - usual) / (1.0 - loss)).ln()
            - as_f64(missed) * (loss / usual).ln();
        self.over = (self.over + gain).max(0.0);
        if self.over >= OVER {
            self.end();
        } else if self.told_at.is_some_and(|at| now.since(at) >= LASTING) {
            self.end();
            self.is_lasting = true;
            self.usual = (0.0, 0.0);
            self.known_since = None;
        }
    }

    fn end(&mut self) {
        self.told_at = None;
        self.is_lasting = false;
        self.run = Run::default();
        self.unreported = 0;
    }

    /// One came in the end, long after its partner.
    fn come_late(&mut self, made_at: Timestamp) {
        if made_at < self.run.since - WAIT || self.run.missed == 0 {
            return;
        }
        self.run.missed -= 1;
        if self.run.missed == 0 {
            self.end();
        }
    }

    fn learn(&mut self, missed: u64, all: u64) {
        self.usual.0 += as_f64(missed);
        self.usual.1 += as_f64(all);
    }

    fn is_known(&self, now: Timestamp) -> bool {
        self.usual.1 >= KNOWN_MIN
            && self.alone_share() <= ALONE_MAX
            && self
                .known_since
                .is_some_and(|since| now.since(since) >= KNOWN_SPAN)
    }

    fn alone_share(&self) -> f64 {
        self.usual.0 / self.usual.1.max(1.0)
    }

    fn usual_share(&self) -> f64 {
        ((self.usual.0 + PRIOR.0) / (self.usual.1 + PRIOR.1)).max(USUAL_MIN)
    }

    fn chance(&self) -> f64 {
        binomial_tail(self.run.missed, self.run.all, self.usual_share())
    }
}

/// What an event says of the pairs; of most there is nothing to say.
fn each_part(event: &Event, mut take: impl FnMut(Part)) {
    let mut part = |pair, side, key: Key, awaits| {
        take(Part {
            pair,
            side,
            key,
            awaits,
        });
    };
    match (&event.event_type, &event.data) {
        (EventType::ChargeSucceeded | EventType::ChargeCaptured, EventData::Charge(charge)) => {
            // An authorisation is not yet a payment.
            if !charge.captured || charge.status != ChargeStatus::Succeeded {
                return;
            }
            if let Some(intent) = &charge.payment_intent {
                part(0, 0, intent.key(), true);
            }
            if let Some(invoice) = &charge.invoice {
                part(3, 0, invoice.key(), true);
            }
        }
        (EventType::PaymentIntentSucceeded, EventData::PaymentIntent(intent)) => {
            part(0, 1, intent.id.key(), true);
            part(8, 1, intent.id.key(), true);
        }
        (EventType::InvoicePaid, EventData::Invoice(invoice)) => {
            let Some(key) = invoice.id.as_ref().map(|id| id.key()) else {
                return;
            };
            let is_payment = is_payment(invoice);
            part(1, 0, key, is_payment);
            part(2, 1, key, is_payment);
            part(3, 1, key, is_payment && invoice.charge.is_some());
            part(5, 1, key, is_payment);
        }
        (EventType::InvoicePaymentSucceeded, EventData::Invoice(invoice)) => {
            let Some(key) = invoice.id.as_ref().map(|id| id.key()) else {
                return;
            };
            let is_payment = is_payment(invoice);
            part(1, 1, key, is_payment);
            part(6, 1, key, is_payment);
        }
        (EventType::InvoicePaymentPaid, EventData::InvoicePayment(payment)) => {
            let Some(key) = payment.invoice.as_ref().map(|id| id.key()) else {
                return;
            };
            part(2, 0, key, payment.is_paid);
            part(7, 1, key, payment.is_paid);
            if let Some(intent) = &payment.payment_intent {
                part(8, 0, intent.key(), payment.is_paid);
            }
        }
        (EventType::InvoiceUpdated, EventData::Invoice(invoice)) => {
            let is_now = |paid_at: Timestamp| event.created.since(paid_at) <= PAID_JUST_NOW;
            let is_payment = is_payment(invoice)
                && invoice.status == InvoiceStatus::Paid
                && invoice.paid_at.is_some_and(is_now);
            if let Some(id) = invoice.id.as_ref().filter(|_| is_payment) {
                for pair in 5..=7 {
                    part(pair, 0, id.key(), true);
                }
            }
        }
        // An authorisation that is let go moves no money.
        (EventType::ChargeRefunded, EventData::Charge(charge)) => {
            part(4, 0, charge.id.key(), charge.captured);
        }
        (EventType::RefundCreated, EventData::Refund(refund)) => {
            // One that waits, for a bank or for a balance, is announced by the charge later.
            let is_done = refund.status == RefundStatus::Succeeded && !refund.is_auth_release();
            if let Some(charge) = &refund.charge {
                part(4, 1, charge.key(), is_done);
            }
        }
        _ => {}
    }
}

/// Whether a paid invoice was paid by a payment: those marked as paid by hand, and those with nothing
/// to pay, announce none.
fn is_payment(invoice: &Invoice) -> bool {
    !invoice.is_paid_out_of_band && invoice.amount_paid > Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_losses_are_judged_but_those_that_say_nothing() {
        for (names, judged) in PAIRS.into_iter().zip(JUDGED) {
            let is_tie = names == [TIED, INTENT];
            let expected = [names[0] != UPDATED && !is_tie, names[1] != UPDATED];
            assert_eq!(judged, expected, "{names:?}");
        }
    }
}
