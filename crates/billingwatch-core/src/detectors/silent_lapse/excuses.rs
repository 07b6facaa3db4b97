//! What silences mean for a payment that is overdue, and which silences were the lapses' own.
//!
//! A silence whose events never came excuses what may have been paid in it. But where renewals stop,
//! few events are left, and that is a silence as well: so an excuse holds only for as long as nothing
//! says that the renewals of its silence did not run. Two things say so:
//!
//! - Of the turns nearest to it most were missed as well, and for these nothing was lost. A loss of
//!   deliveries begins and ends with no regard to renewals, so its neighbours pay as ever.
//! - Invoices alone were silent, charges were told meanwhile, and most who fell due have none.
//!
//! Both are looked at when something lapsed or was excused, as the neighbours may be judged later than
//! what was due in the silence.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use serde::{Deserialize, Serialize};

use crate::detector::Context;
use crate::event::Family;
use crate::event::subscription::{Interval, SubscriptionStatus};
use crate::ids::{Key, KeyMap};
use crate::intake::{Trouble, TroubleKind};
use crate::ledger::SubscriptionRecord;
use crate::time::{Span, Timestamp};

use super::super::words::as_f64;
use super::PENDING;
use super::groups::Groups;

/// A renewal is told within this time after its turn, if it is told at all: events that are missing
/// from it may have been its payment.
const TOLD: Span = Span::hours(3);

/// Stripe delivers again for so long what could not be delivered (Stripe docs: Receive Stripe events
/// in your webhook endpoint).
const REDELIVERED: Span = Span::days(3);

/// A payment is this likely, at least, to have been made in a silence whose events never came, for
/// nobody to be blamed: one active subscription in a few hundred lapses in a period.
pub(super) const UNSEEN_MIN: f64 = 0.01;

/// After a turn whose events are missing for good the next turn is awaited, at most so long: who
/// pays by the year has most likely done so.
const EXCUSED_MAX: Span = Span::days(400);

/// Months are no shorter, and the next may be so much longer.
const SHORTEST_MONTH: Span = Span::days(28);
const UNEVEN: Span = Span::days(3);

/// The usual period, where it is not known.
const PERIOD: Span = Span::days(31);

/// So many lapses are no chance, where no more than as many paid among them.
pub(super) const CAUSE: usize = 5;

/// Neighbours of a silence were due this soon before or after it.
const NEAR: Span = Span::days(1);

/// So long after a silence its neighbours' turns are known: then those who pay by the month have turned
/// again, and nobody can say who had paid.
const REMEMBERED: Span = Span::days(27);

/// What becomes of a bank debit is told within so many days as a rule: six business days, with a
/// holiday among them (Stripe docs: SEPA Direct Debit, ACH, Bacs).
const DECIDED: Span = Span::days(9);

/// Charges are told of where one was in so long a time before a silence of invoices.
const WITNESS: Span = Span::days(1);

/// What silences since its turn mean for a payment that is overdue.
pub(super) struct Outage<'a> {
    /// No verdict before: the grace stands still while nothing arrives, and what was lost is
    /// delivered again for days.
    pub(super) judged_at: Timestamp,
    /// A silence whose events never came, and in which it may have been paid.
    pub(super) unseen: Option<&'a Trouble>,
}

impl<'a> Outage<'a> {
    pub(super) fn of(
        record: &SubscriptionRecord,
        (due_at, deadline): (Timestamp, Timestamp),
        family: Family,
        ctx: &Context<'a>,
    ) -> Self {
        let turn = due_at - record.payment_term();
        let share = |from: Timestamp, back_at: Timestamp| {
            if record.payment_term() > Span::ZERO {
                return share_of(back_at.min(deadline).since(from), deadline.since(turn));
            }
            let known = ctx.ledger().renewals();
            let known = (family == Family::Invoice)
                .then(|| known.invoiced_share(turn, from, back_at))
                .flatten();
            known.unwrap_or(if from < turn + TOLD { 1.0 } else { 0.0 })
        };
        Self::between(family, (turn, due_at, deadline), ctx, share)
    }

    /// What silences since the last word on a draft mean for one that should have been finalised by the deadline.
    pub(super) fn of_draft(seen_at: Timestamp, deadline: Timestamp, ctx: &Context<'a>) -> Self {
        let share = |from: Timestamp, _| if from < seen_at + TOLD { 1.0 } else { 0.0 };
        Self::between(Family::Invoice, (seen_at, seen_at, deadline), ctx, share)
    }

    /// The same for events of a family that were expected since a turn; `share` says how likely it is that they were made
    /// in a part of that time.
    fn between(
        family: Family,
        (turn, due_at, deadline): (Timestamp, Timestamp, Timestamp),
        ctx: &Context<'a>,
        share: impl Fn(Timestamp, Timestamp) -> f64,
    ) -> Self {
        let (mut judged_at, mut awaited_until) = (deadline, deadline);
        let mut unseen = None;
        for trouble in ctx.intake().silences(family, turn, ctx.now()) {
            let back_at = trouble.back_at.unwrap_or(ctx.now());
            let (from, to) = (trouble.since.max(due_at), back_at.min(deadline));
            judged_at = judged_at + to.since(from).max(Span::ZERO);
            if !trouble.is_lost() {
                continue;
            }
            if share(trouble.since.max(turn), back_at) >= UNSEEN_MIN {
                awaited_until = awaited_until.max(back_at + REDELIVERED);
                unseen = Some(trouble);
            }
        }
        Self {
            judged_at: judged_at.max(awaited_until),
            unseen,
        }
    }
}

/// A silence whose events never came and in which it may have been told what became of a charge that was
/// made then, and of which nothing was heard: a bank debit is decided on one of the days after it.
pub(super) fn undecided<'a>(asked_at: Timestamp, ctx: &Context<'a>) -> Option<&'a Trouble> {
    let until = asked_at + PENDING;
    let mut silences = ctx.intake().silences(Family::Invoice, asked_at, until);
    silences.find(|trouble| {
        let back_at = trouble.back_at.unwrap_or(until).min(until);
        let missed = back_at.since(trouble.since.max(asked_at));
        // Of invoices alone it would hide nothing: charges say as much.
        trouble.affects(Family::Charge)
            && trouble.is_lost()
            && share_of(missed, DECIDED) >= UNSEEN_MIN
    })
}

/// How long its next period will be, at most. That of a trial is as long as the trial, and months are up to
/// three days longer than others.
pub(super) fn usual_period(record: &SubscriptionRecord) -> Span {
    let count = i64::from(record.interval_count);
    let planned = match record.interval {
        Interval::Day => Some(Span::days(count)),
        Interval::Week => Some(Span::days(7 * count)),
        Interval::Month => Some(Span::days(31 * count)),
        Interval::Year => Some(Span::days(366 * count)),
        Interval::Unknown => None,
    };
    let last = record.period_end.zip(record.period_start);
    let last = last.map(|(end, start)| end.since(start));
    let last = last.filter(|_| record.status != SubscriptionStatus::Trialing);
    let longest = last.map(|last| {
        if last < SHORTEST_MONTH {
            last
        } else {
            last + UNEVEN
        }
    });
    // Of items with different intervals the one that ends first counts, and the plan of another may be known.
    let both = planned
        .zip(longest)
        .map(|(planned, last)| planned.min(last));
    both.or(planned).or(last).unwrap_or(PERIOD)
}

/// A turn whose payment may have been missed here.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Excuse {
    due_at: Timestamp,
    until: Timestamp,
    silence: Silence,
    /// The silence was an effect: it excuses no longer.
    is_void: bool,
}

/// The silence that excuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Silence {
    since: Timestamp,
    back_at: Timestamp,
    is_of_invoices: bool,
}

/// What is known of a silence that excuses.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Known {
    /// Subscriptions that it excuses, or did until it was seen to be an effect.
    count: u32,
    /// How many these were when payments were looked through for it.
    asked_of: u32,
    /// The one that is one too many for an effect, of the neighbours that paid, was so near when all
    /// subscriptions were looked through for it. Who has paid has paid: it can only have come nearer.
    paid_within: Option<Span>,
    /// Its neighbours lapsed as well: it excuses nobody.
    is_effect: bool,
}

/// The excuses of a scope, by subscription.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Excuses {
    of: KeyMap<Excuse>,
    /// The silences that excuse any.
    silences: BTreeMap<Silence, Known>,
    /// Some were excused since the last review.
    is_fresh: bool,
}

impl Excuses {
    /// Whether this subscription was excused for the turn that is due.
    pub(super) fn contains(&self, key: Key) -> bool {
        self.of.contains_key(&key)
    }

    pub(super) fn forget(&mut self, key: Key) {
        if let Some(excuse) = self.of.swap_remove(&key)
            && let Entry::Occupied(mut known) = self.silences.entry(excuse.silence)
        {
            known.get_mut().count -= 1;
            if known.get().count == 0 {
                known.remove();
            }
        }
    }

    /// Whether this silence excuses nobody, because renewals that did not run made it.
    pub(super) fn is_effect(&self, trouble: &Trouble, now: Timestamp) -> bool {
        let known = self.silences.get(&Silence::of(trouble, now));
        known.is_some_and(|known| known.is_effect)
    }

    /// Until when what is due then is excused; forgets the excuse for another turn.
    pub(super) fn until(&mut self, key: Key, due_at: Timestamp) -> Option<Timestamp> {
        let excuse = self.of.get(&key)?;
        if excuse.due_at != due_at {
            self.forget(key);
            return None;
        }
        Some(excuse.until).filter(|_| !excuse.is_void)
    }

    /// Leaves what was due in a silence to the next turn after it: until when.
    pub(super) fn excuse(
        &mut self,
        key: Key,
        record: &SubscriptionRecord,
        due_at: Timestamp,
        trouble: &Trouble,
        (grace, now): (Span, Timestamp),
    ) -> Timestamp {
        let silence = Silence::of(trouble, now);
        let period = usual_period(record).clamp(Span::days(1), EXCUSED_MAX);
        let turn = due_at - record.payment_term();
        // Where its period was seen to turn, the next turn is known.
        let known = record.period_end;
        let known = known.filter(|end| *end > turn + record.boundary_slack());
        let turn = known.unwrap_or(turn + period);
        let mut turn = turn + record.payment_term();
        while turn < silence.back_at {
            turn = turn + period;
        }
        let until = turn + grace;
        let excuse = Excuse {
            due_at,
            until,
            silence,
            is_void: false,
        };
        self.forget(key);
        self.of.insert(key, excuse);
        self.silences.entry(silence).or_default().count += 1;
        self.is_fresh = true;
        until
    }

    /// Whether anything was excused since the last review.
    pub(super) const fn has_fresh(&self) -> bool {
        self.is_fresh
    }

    /// The subscriptions whose excuse is none any more.
    ///
    /// Looks at the silences that excuse, which are few. What is long is looked through seldom: all
    /// payments when those excused by a silence of invoices are [`CAUSE`], and when they have doubled;
    /// all subscriptions when [`CAUSE`] lapses are nearer to a silence than all that are known to have
    /// paid, which either ends its excuses or makes it known that others paid nearer.
    pub(super) fn review(&mut self, lapsed: &Groups, ctx: &Context<'_>) -> Vec<Key> {
        self.is_fresh = false;
        let mut void = Vec::new();
        for (silence, known) in &mut self.silences {
            let all = || {
                let all = self.of.iter();
                all.filter(|(_, excuse)| excuse.silence == *silence)
            };
            let excused = |(key, excuse): (&Key, &Excuse)| (!excuse.is_void).then_some(*key);
            if known.is_effect {
                continue;
            }
            if silence.is_effect_of(lapsed, &mut known.paid_within, ctx) {
                known.is_effect = true;
                void.extend(all().filter_map(excused));
                continue;
            }
            let is_worth_it = usize::try_from(known.count).is_ok_and(|count| count >= CAUSE)
                && known.count >= 2 * known.asked_of;
            if !silence.is_of_invoices || !is_worth_it {
                continue;
            }
            known.asked_of = known.count;
            let Some(payers) = silence.payers(ctx) else {
                continue;
            };
            let unpaid = || all().filter(|(key, _)| is_unpaid(**key, &payers, ctx));
            // Most of all that it excuses made no charge in it.
            if unpaid().count() >= CAUSE && unpaid().count() * 2 > all().count() {
                void.extend(unpaid().filter_map(excused));
            }
        }
        for key in &void {
            if let Some(excuse) = self.of.get_mut(key) {
                excuse.is_void = true;
            }
        }
        void
    }
}

impl Silence {
    fn of(trouble: &Trouble, now: Timestamp) -> Self {
        Self {
            since: trouble.since,
            back_at: trouble.back_at.unwrap_or(now),
            is_of_invoices: trouble.kind == TroubleKind::FamilySilence(Family::Invoice),
        }
    }

    /// Whether of the turns nearest to it most lapsed: those of [`CAUSE`] lapses, and no more that
    /// were paid in the same time.
    fn is_effect_of(
        self,
        lapsed: &Groups,
        paid_within: &mut Option<Span>,
        ctx: &Context<'_>,
    ) -> bool {
        if ctx.now().since(self.back_at) > REMEMBERED {
            return false;
        }
        let Some(reach) = lapsed.due_near((self.since, self.back_at), CAUSE, NEAR) else {
            return false;
        };
        if paid_within.is_some_and(|paid| paid <= reach) {
            return false;
        }
        let distance = |at: Timestamp| {
            let before = self.since.since(at);
            before.max(at.since(self.back_at)).max(Span::ZERO)
        };
        let renewed = ctx.ledger().subscriptions().filter_map(|(_, record)| {
            let turn = record.renewed_at()?;
            Some(distance(turn + record.payment_term())).filter(|far| *far <= reach)
        });
        let mut nearest = BinaryHeap::with_capacity(CAUSE + 2);
        for far in renewed {
            nearest.push(far);
            if nearest.len() > CAUSE + 1 {
                nearest.pop();
            }
        }
        if nearest.len() <= CAUSE {
            return true;
        }
        *paid_within = nearest.peek().copied();
        false
    }

    /// The customers that paid something while invoices were silent; `None` where charges are not
    /// told, or may be missing as well.
    fn payers(self, ctx: &Context<'_>) -> Option<BTreeSet<Key>> {
        let until = self.back_at + TOLD;
        let mut silences = ctx.intake().silences(Family::Charge, self.since, until);
        if silences.next().is_some() {
            return None;
        }
        let mut is_told = false;
        let mut payers = BTreeSet::new();
        for payment in ctx.ledger().payments() {
            is_told |= (self.since - WITNESS..self.since).contains(&payment.at);
            if (self.since..until).contains(&payment.at) {
                payers.extend(payment.customer);
            }
        }
        is_told.then_some(payers)
    }
}

/// Whether no charge of its customer says that it was paid; of invoices that are sent, charges say
/// nothing.
fn is_unpaid(key: Key, payers: &BTreeSet<Key>, ctx: &Context<'_>) -> bool {
    let record = ctx.ledger().subscription(key);
    record.is_some_and(|record| {
        let customer = record.customer.as_ref().map(|id| Key::of(id));
        record.payment_term() == Span::ZERO && customer.is_some_and(|id| !payers.contains(&id))
    })
}

pub(super) fn share_of(part: Span, all: Span) -> f64 {
    let secs = |span: Span| as_f64(span.as_secs().max(0).unsigned_abs());
    secs(part) / secs(all).max(1.0)
}
