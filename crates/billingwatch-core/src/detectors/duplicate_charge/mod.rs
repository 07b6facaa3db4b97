//! The same customer charged the same amount twice within minutes.
//!
//! Opens when two payments (different charges, different purchases) of one customer (or one card,
//! where there is no customer), equal in amount and currency, were made within `window_secs` of
//! each other in event time, and nothing says that two things were bought. Grows with each further
//! charge; closes when the surplus is refunded, when something tells the charges apart after all,
//! or after [`HOLD`]. Different invoices are different things, unless they bill the same for the same
//! period. Three customers and more within an hour are [told as one](crowd).
//!
//! Payments are held against each other anew whenever more is known of one of them: its tie to an
//! invoice, its refund. So the order of arrival decides when something is said, not what in the
//! end. From basil on a charge does not name its invoice; where both may pay one, the pair waits
//! up to [`INVOICE_WAIT`] for the events that tie them.

mod bills;
mod crowd;
mod group;
mod habit;
mod neighbours;
mod orders;
mod paid;
mod telling;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::detector::{Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError};
use crate::event::charge::Charge;
use crate::event::credit_note::CreditNote;
use crate::event::invoice::{Invoice, InvoiceStatus};
use crate::event::{Event, EventData, Family, FamilySet};
use crate::few::Few;
use crate::ids::{Key, KeyMap};
use crate::ledger::{Fact, Generations, IdText, PaymentFact, RefundFact};
use crate::money::{Currency, Money};
use crate::snapshot::{SnapshotError, decode, encode};
use crate::time::{Span, Timestamp};

use bills::Bills;
use crowd::Crowds;
use group::{Group, Kind, Member, Set, alert_key_begin, describe, key_of};
use habit::Habit;
use orders::Orders;
use paid::{Paid, Verdict, invoice_of, of_charge, of_intent};

/// How long a payment waits for its twin, in engine time: pairs delivered late still meet.
const MEMORY: Span = Span::hours(6);

/// The most payments remembered. Beyond it the oldest are forgotten first.
const MEMORY_MAX: usize = 200_000;

/// How long a possible invoice payment waits for the event that names its invoice.
const INVOICE_WAIT: Span = Span::secs(120);

/// How long an alert waits for a refund before it ends by itself.
const HOLD: Span = Span::days(30);

/// The most payments on either side that one is held against: a customer who pays one amount by
/// the second is compared with its nearest.
const NEIGHBOURS_MAX: usize = 50;

/// The most invoices of one customer and amount that are remembered.
const INVOICES_MAX: usize = 8;

crate::settings! {
    /// How far apart two equal charges may be, in seconds of event time.
    window_secs: i64 = 300, 10 => 86_400;
    /// The smallest amount looked at, in minor units.
    amount_min: i64 = 1, 1 => 1_000_000_000;
    /// Whether Stripe's test mode is judged: one customer may be charged the same again and again there, on purpose.
    test_mode: bool = false;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "duplicate_charge",
    description: "The same customer was charged the same amount twice within 5 minutes.",
    listens: FamilySet::of(&[
        Family::Charge,
        Family::PaymentIntent,
        Family::Invoice,
        Family::InvoicePayment,
        Family::Subscription,
        Family::Refund,
        Family::CreditNote,
    ]),
    settings: Settings::SPECS,
};

/// Makes this detector.
pub(super) const FACTORY: FactoryOf<DuplicateCharge> = FactoryOf::new(&SPEC);

/// One scope's newest payments and open duplicates.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DuplicateCharge {
    #[serde(skip)]
    settings: Settings,
    /// Payments by payer, amount and currency.
    sets: KeyMap<Set>,
    set_of: KeyMap<Key>,
    /// When each charge was taken in, oldest first.
    order: VecDeque<(Timestamp, Key)>,
    /// Charges to be looked at again, and when: their invoices were waited for.
    waiting: BTreeSet<(Timestamp, Key)>,
    /// Invoices by customer, amount and currency.
    invoices: Generations<Few<Key>>,
    bills: Bills,
    orders: Orders,
    /// What was given back of a charge, and when the last of it was.
    refunds: Generations<(Timestamp, i64)>,
    groups: BTreeMap<String, Group>,
    group_of: KeyMap<String>,
    crowds: Crowds,
    habit: Habit,
    /// When the first alert ends by itself; the epoch while that was not asked.
    #[serde(skip)]
    expires_at: Timestamp,
    /// When the first of its memories is due to forget; the epoch while that was not asked.
    #[serde(skip)]
    forgets_at: Timestamp,
}

impl Default for DuplicateCharge {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            sets: KeyMap::default(),
            set_of: KeyMap::default(),
            order: VecDeque::new(),
            waiting: BTreeSet::new(),
            invoices: Generations::new(MEMORY, MEMORY_MAX / 2),
            bills: Bills::default(),
            orders: Orders::default(),
            refunds: Generations::new(MEMORY, MEMORY_MAX / 2),
            groups: BTreeMap::new(),
            group_of: KeyMap::default(),
            crowds: Crowds::default(),
            habit: Habit::default(),
            expires_at: Timestamp::EPOCH,
            forgets_at: Timestamp::EPOCH,
        }
    }
}

impl Detector for DuplicateCharge {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        self.settings = Settings::read(values);
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        debug_assert!(ctx.scope().livemode || self.settings.test_mode);
        let mut is_taken = false;
        for fact in ctx.facts() {
            match fact {
                Fact::Payment(payment) if payment.amount >= self.settings.amount_min => {
                    self.take(payment, event, ctx);
                    is_taken = true;
                }
                Fact::Refund(refund) | Fact::RefundReversed(refund) => self.refund(refund, ctx),
                _ => {}
            }
        }
        match &event.data {
            EventData::Charge(charge) => {
                self.hear_of_refunds(charge, ctx);
                if !is_taken {
                    self.hear_of(charge, event, ctx);
                }
            }
            EventData::Invoice(invoice) => self.hear_of_invoice(invoice, ctx),
            EventData::Subscription(known) => self.bills.hear_of_subscription(known),
            EventData::CreditNote(note) => self.hear_of_credit(note, ctx),
            EventData::InvoicePayment(tie) => {
                let of_intent = || {
                    ctx.ledger()
                        .charge_of_intent(tie.payment_intent.as_ref()?.key())
                };
                let charge = tie.charge.as_ref().map(|id| id.key()).or_else(of_intent);
                if let Some(charge) = charge {
                    self.judge(charge, false, ctx);
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        if now >= self.forgets_at {
            let refunds = self.refunds.advance_to(now);
            self.forgets_at = (self.invoices.advance_to(now).min(refunds))
                .min(self.bills.advance_to(now))
                .min(self.orders.advance_to(now));
        }
        while let Some((until, charge)) = self.waiting.first().copied()
            && until <= now
        {
            self.waiting.pop_first();
            self.judge(charge, true, ctx);
        }
        while let Some((taken_at, _)) = self.order.front().copied()
            && now.since(taken_at) >= MEMORY
        {
            self.forget_oldest();
        }
        self.expire(ctx);
        if !self.crowds.is_empty() {
            let news = self.crowds.take_news(&self.groups, now);
            news.into_iter().for_each(|finding| ctx.fire(finding));
        }
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        encode(self)
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let settings = std::mem::take(&mut self.settings);
        *self = Self {
            settings,
            ..decode(bytes)?
        };
        Ok(())
    }
}

impl DuplicateCharge {
    fn take(&mut self, payment: &PaymentFact, event: &Event, ctx: &mut Context<'_>) {
        // Money known from invoices alone: each invoice is a purchase of its own.
        let read = match &event.data {
            EventData::Charge(charge) => of_charge(charge, event, ctx),
            EventData::PaymentIntent(intent) => of_intent(intent, event, ctx),
            _ => None,
        };
        let Some((payer_id, paid)) = read else {
            return;
        };
        if self.order.len() >= MEMORY_MAX {
            self.forget_oldest();
        }
        self.order.push_back((ctx.now(), paid.charge));
        let (charge, at) = (paid.charge, paid.at);
        if self.put(&payer_id, paid, (payment.amount, payment.currency)) > 1 {
            self.judge(charge, true, ctx);
            self.learn_habit(charge, ctx);
        } else {
            self.habit.note(at, None);
        }
    }

    /// Puts a payment beside the equal ones of its payer; how many they are.
    fn put(
        &mut self,
        own_id: &IdText,
        mut paid: Paid,
        (amount, currency): (i64, Currency),
    ) -> usize {
        let other = self.orders.payer(own_id, &paid, (amount, currency));
        paid.is_as_other = other.is_some();
        let payer_id = other.unwrap_or_else(|| own_id.clone());
        let key = key_of(payer_id.as_bytes(), amount, currency);
        self.set_of.insert(paid.charge, key);
        let set = self.sets.entry(key).or_insert_with(|| Set {
            payer_id,
            amount,
            currency,
            paid: Few::None,
        });
        set.insert(paid);
        set.paid.len()
    }

    /// What was given back of a charge, by its own running total.
    fn hear_of_refunds(&mut self, charge: &Charge, ctx: &mut Context<'_>) {
        if let Some(total) = charge.amount_refunded.filter(|total| *total > 0) {
            self.learn_return(charge.id.key(), total);
            self.note_refund(charge.id.key(), ctx.event_at(), total);
            self.judge(charge.id.key(), false, ctx);
        }
    }

    /// What a further event of a known charge adds: first known from its intent, it is now known in
    /// full.
    fn hear_of(&mut self, charge: &Charge, event: &Event, ctx: &mut Context<'_>) {
        let key = charge.id.key();
        let Some(of) = self.set_of.get(&key).copied() else {
            return;
        };
        let Some(set) = self.sets.get_mut(&of) else {
            return;
        };
        if let Some(place) = set.place(key).filter(|place| set.paid[*place].is_sketch)
            && let Some((payer_id, paid)) = of_charge(charge, event, ctx)
            && payer_id == set.payer_id
        {
            set.paid.remove(place);
            let worth = (set.amount, set.currency);
            self.put(&payer_id, paid, worth);
            if self.sets.get(&of).is_some_and(|set| set.paid.is_empty()) {
                self.sets.swap_remove(&of);
            }
            self.judge(key, false, ctx);
        }
    }

    /// Invoices over an amount are what charges of that amount may pay.
    fn hear_of_invoice(&mut self, invoice: &Invoice, ctx: &mut Context<'_>) {
        let is_billed = matches!(invoice.status, InvoiceStatus::Open | InvoiceStatus::Paid);
        let (Some(id), Some(customer), Some(currency)) =
            (&invoice.id, &invoice.customer, invoice.currency)
        else {
            return;
        };
        let Some(amount) = invoice.amount_due.or(invoice.total).filter(|due| *due > 0) else {
            return;
        };
        if !is_billed {
            return;
        }
        let key = key_of(customer.as_str().as_bytes(), amount, currency);
        let known = self.invoices.entry(key, Few::default);
        if known.len() < INVOICES_MAX && !known.contains(&id.key()) {
            known.push(id.key());
        }
        self.bills.hear_of_invoice(id.key(), invoice);
        let Some(set) = self.sets.get(&key).filter(|set| set.paid.len() > 1) else {
            return;
        };
        // All of them may be tied to it now.
        let charges: Vec<Key> = set.paid.iter().map(|paid| paid.charge).collect();
        for charge in charges.into_iter().rev().take(NEIGHBOURS_MAX) {
            self.judge(charge, false, ctx);
        }
    }

    /// An invoice that is credited as a whole is given back, by refund or otherwise.
    fn hear_of_credit(&mut self, note: &CreditNote, ctx: &mut Context<'_>) {
        let (Some(customer), Some(currency), Some(total)) =
            (&note.customer, note.currency, note.total)
        else {
            return;
        };
        let begin = alert_key_begin(customer.as_str(), total, currency);
        let names = self.groups.range(begin.clone()..);
        let names = names.take_while(|(name, _)| name.starts_with(&begin));
        let names: Vec<String> = names.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.settle(&name, None, ctx);
        }
    }

    fn refund(&mut self, refund: &RefundFact, ctx: &mut Context<'_>) {
        let Some(charge) = refund.charge else { return };
        self.learn_return(charge, refund.amount_refunded);
        self.note_refund(charge, refund.at, refund.amount_refunded);
        self.judge(charge, false, ctx);
    }

    fn note_refund(&mut self, charge: Key, at: Timestamp, total: i64) {
        let known = self.refunds.entry(charge, || (at, total));
        if total > known.1 {
            *known = (at.max(known.0), total);
        } else if total == known.1 {
            known.0 = known.0.min(at);
        }
    }

    /// Holds one payment against the others of its set, and its group to what is known now.
    fn judge(&mut self, charge: Key, is_told: bool, ctx: &mut Context<'_>) {
        let known = self.group_of.get(&charge).cloned();
        let found = self
            .set_of
            .get(&charge)
            .and_then(|key| Some((*key, self.sets.get(key)?)));
        let Some((key, set)) = found else {
            // Forgotten as a payment; its alert still waits for the refund.
            if let Some(name) = known {
                self.settle(&name, None, ctx);
            }
            return;
        };
        let Some(place) = set.place(charge) else {
            return;
        };
        let mut reason = None;
        let mut quiet = Vec::new();
        let mut wait_until = None;
        for near in self.neighbours(set, place) {
            match self.compare(set, key, &set.paid[place], &set.paid[near], ctx) {
                Verdict::Twins => {}
                Verdict::Open => {
                    let until = set.paid[place].settles_at.max(set.paid[near].settles_at);
                    wait_until = wait_until.max(Some(until));
                }
                Verdict::Apart(word, message) => {
                    reason = Some(message.clone());
                    quiet.push((word, message));
                }
            }
        }
        let mut components = self.components(set, key, place, known.as_deref(), ctx);
        let known = match known {
            None if !components.is_empty() && !self.groups.is_empty() => {
                // Another pair of the same day belongs to the same alert.
                let name = set.alert_key(set.paid[components[0][0]].at);
                let is_open = self.groups.contains_key(&name);
                if is_open {
                    components = self.components(set, key, place, Some(&name), ctx);
                }
                is_open.then_some(name)
            }
            known => known,
        };
        if is_told {
            let charge_id = set.paid[place].charge_id.clone();
            for (word, message) in quiet {
                ctx.suppress(word, Some(&charge_id), message);
            }
        }
        if let Some(until) = wait_until {
            self.waiting.insert((until, charge));
        }
        self.regroup(key, components, known, reason, is_told, ctx);
    }

    /// Makes the alert what the components are.
    fn regroup(
        &mut self,
        key: Key,
        components: Vec<Vec<usize>>,
        known: Option<String>,
        reason: Option<String>,
        is_told: bool,
        ctx: &mut Context<'_>,
    ) {
        let Some(set) = self.sets.get(&key) else {
            return;
        };
        let firsts: BTreeSet<usize> = components
            .iter()
            .filter_map(|members| members.first().copied())
            .collect();
        let mut places: Vec<usize> = components.into_iter().flatten().collect();
        places.sort_unstable();
        let members: Vec<&Paid> = places.iter().map(|place| &set.paid[*place]).collect();
        let Some(first) = members.first() else {
            if let Some(name) = known {
                // Members forgotten as payments cannot be judged anew.
                let is_whole = self.groups.get(&name).is_some_and(|group| {
                    let is_here = |member: &Member| set.place(member.charge).is_some();
                    group.members.iter().all(is_here)
                });
                let reason = reason.filter(|_| is_whole);
                self.settle(&name, reason, ctx);
            }
            return;
        };
        let of_members = members
            .iter()
            .find_map(|paid| self.group_of.get(&paid.charge));
        let name = known
            .or_else(|| of_members.cloned())
            .unwrap_or_else(|| set.alert_key(first.at));
        let old = self.groups.get(&name);
        // Those forgotten as payments since stay in the alert.
        let is_forgotten = |member: &&Member| set.place(member.charge).is_none();
        let old_members = old.map_or(&[][..], |group| &group.members);
        let mut kept: Vec<Member> = old_members.iter().filter(is_forgotten).cloned().collect();
        kept.extend(places.iter().map(|place| Member {
            charge: set.paid[*place].charge,
            charge_id: set.paid[*place].charge_id.clone(),
            is_surplus: !firsts.contains(place),
        }));
        let extra = kept.iter().filter(|member| member.is_surplus).count();
        let surplus = i64::try_from(extra)
            .unwrap_or(i64::MAX)
            .saturating_mul(set.amount);
        let group = Group {
            kind: self.kind_of(&members, ctx),
            members: kept,
            surplus,
            currency: set.currency,
            payer_id: set.payer_id.clone(),
            at: old.map_or(first.at, |group| group.at.min(first.at)),
            opened_at: old.map_or(ctx.now(), |group| group.opened_at),
        };
        let refunded = group.refunded(ctx);
        let is_open = old.is_some();
        if refunded >= surplus {
            let back = Money::new(refunded, group.currency);
            let message = format!("{back} of the surplus was refunded");
            if is_open {
                self.end(&name, message, ctx);
            } else if is_told {
                ctx.suppress("surplus_refunded", Some(&first.charge_id), message);
            }
            return;
        }
        if old.is_some_and(|old| old.members == group.members) {
            return;
        }
        let finding = describe(&name, &group, set, &members);
        self.close(&name);
        for member in &group.members {
            self.group_of.insert(member.charge, name.clone());
        }
        self.groups.insert(name.clone(), group);
        self.tell(&name, finding, ctx);
    }

    /// What these payments, taken for one, pay twice.
    fn kind_of(&self, members: &[&Paid], ctx: &Context<'_>) -> Kind {
        let ties = members.iter().filter_map(|paid| invoice_of(paid, ctx));
        let ties: BTreeSet<Key> = ties.collect();
        let Some(first) = ties.first().filter(|_| ties.len() > 1) else {
            return Kind::Purchase;
        };
        let others = ties.iter().skip(1);
        let mut periods = others.filter_map(|other| self.bills.billed_twice(*first, *other));
        let period = periods.next();
        period.map_or(Kind::Signup, |(from, to)| Kind::Service { from, to })
    }

    fn forget_oldest(&mut self) {
        let Some((_, charge)) = self.order.pop_front() else {
            return;
        };
        let Some(key) = self.set_of.swap_remove(&charge) else {
            return;
        };
        if let Some(set) = self.sets.get_mut(&key) {
            set.paid.retain(|paid| paid.charge != charge);
            if set.paid.is_empty() {
                self.sets.discard(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod tests_of_invoices;

#[cfg(test)]
mod tests_of_habits;
