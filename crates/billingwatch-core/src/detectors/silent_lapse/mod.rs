//! A subscription that is active and does not pay.
//!
//! Opens when an active subscription's next payment is `grace_secs` overdue: by its own schedule,
//! from the first period that no paid invoice covers. One alert per subscription, or one for all
//! that lapse [together](groups); it closes when each has paid, ended, paused, or is
//! called past due by Stripe itself.
//!
//! Nothing is expected (and nothing said) in a trial until it has [run out](trials), while collection is paused, of free, wholly
//! discounted or metered plans, within a sent invoice's days to pay, of subscriptions that end,
//! and on test clocks. Paid by hand counts as paid; [written off](write_offs) does where somebody tried to collect it. A payment under way (bank debits take days),
//! or an attempt that failed, is not silent. While events are missing nobody is blamed, nor
//! afterwards for a turn whose events never came, unless many lapsed around it. Past due is no silent matter either, as long as
//! [somebody tries](retries): the next attempt comes that Stripe promised, or, after a first one that names none, the second that
//! others have here. A tick looks only at subscriptions that are due.

mod asked;
mod describe;
mod drafts;
mod excuses;
mod groups;
mod late;
mod overdue;
mod past_due;
mod retries;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_asked;
#[cfg(test)]
mod tests_of_crowds;
#[cfg(test)]
mod tests_of_drafts;
#[cfg(test)]
mod tests_of_imports;
#[cfg(test)]
mod tests_of_late;
#[cfg(test)]
mod tests_of_moments;
#[cfg(test)]
mod tests_of_pauses;
#[cfg(test)]
mod tests_of_retries;
#[cfg(test)]
mod tests_of_silences;
#[cfg(test)]
mod tests_of_trials;
#[cfg(test)]
mod tests_of_uninvoiced;
#[cfg(test)]
mod tests_of_write_offs;
mod trials;
mod uninvoiced;
mod write_offs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::detector::{Context, Detector, DetectorSpec, FactoryOf, SettingValues, SettingsError};
use crate::event::charge::{Charge, ChargeStatus};
use crate::event::invoice::InvoiceStatus;
use crate::event::subscription::SubscriptionStatus;
use crate::event::{Event, EventData, EventType, Family, FamilySet};
use crate::ids::{Key, KeyMap};
use crate::intake::Trouble;
use crate::ledger::{Fact, NothingDue, SubscriptionRecord};

use crate::snapshot::{SnapshotError, decode, encode};
use crate::time::{Span, Timestamp};

use asked::Asked;
use drafts::Drafts;
use excuses::{Excuses, undecided};
use groups::{Ended, Groups, Lapse};
use late::Late;
use retries::Retries;
use trials::Trials;
use uninvoiced::Uninvoiced;
use write_offs::WriteOffs;

/// A renewal is paid, or fails, within this time after its turn: Stripe finalises the invoice
/// about an hour after the period turns. What came later than that is not needed for a verdict.
const SETTLED: Span = Span::days(1);

/// The events of one payment come in any order, and a repeat of one may take hours: after a failed
/// attempt, or when it is active again, a subscription is given this long.
const RECOVERY: Span = Span::days(1);

/// The events of one moment come within this time: a charge that failed is followed by its invoice and
/// its subscription.
const SIBLINGS: Span = Span::minutes(15);

/// How long a payment may be under way: SEPA debits fail up to 14 business days after they are
/// made (Stripe docs: SEPA Direct Debit).
const PENDING: Span = Span::days(21);

/// The most customers whose payment is under way; of further ones nothing is known.
const PENDING_MAX: usize = 200_000;

/// The most customers whose payment was just decided; of further ones nothing is awaited.
const DECIDED_MAX: usize = 20_000;

crate::settings! {
    /// How long after it is due a payment may come, in seconds. Three days: Stripe finalises about
    /// an hour after the period turns, and bank debits take days.
    grace_secs: i64 = 259_200, 3_600 => 7_776_000;
}

static SPEC: DetectorSpec = DetectorSpec {
    name: "silent_lapse",
    description: "An active subscription has not paid for its period plus 3 days.",
    listens: FamilySet::of(&[
        Family::Subscription,
        Family::Invoice,
        Family::InvoicePayment,
        Family::Charge,
        Family::PaymentIntent,
    ]),
    settings: Settings::SPECS,
};

/// Makes this detector.
pub(super) const FACTORY: FactoryOf<SilentLapse> = FactoryOf::new(&SPEC);

/// One scope's deadlines.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct SilentLapse {
    #[serde(skip)]
    settings: Settings,
    /// Next deadlines, earliest first.
    deadlines: BTreeSet<(Timestamp, Key)>,
    deadline_of: KeyMap<Timestamp>,
    /// Subscriptions with an open alert.
    lapsed: Groups,
    /// Attempts that are to come.
    retries: Retries,
    /// Whether the ends of trials are told.
    trials: Trials,
    /// Renewals that were written off untried.
    write_offs: WriteOffs,
    /// What customers pay where no invoice is told as paid.
    uninvoiced: Uninvoiced,
    /// Who pays late as a matter of course.
    late: Late,
    /// Invoices that are out.
    asked: Asked,
    /// Invoices that are drafts, of subscriptions that are known by their invoices alone.
    drafts: Drafts,
    /// Payments under way, by customer.
    pending: KeyMap<Pending>,
    /// Customers whose payment was just decided, and until when its other events are awaited.
    decided: BTreeMap<Key, Timestamp>,
    /// Turns whose payment may have been missed here.
    excuses: Excuses,
    /// Deadlines passed while events were missing: judged when they have arrived.
    is_held: bool,
}

/// A charge that is neither paid nor failed yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pending {
    charge: Key,
    since: Timestamp,
    /// Subscriptions that wait for it.
    waiting: Vec<Key>,
}

impl Detector for SilentLapse {
    fn configure(&mut self, values: &SettingValues) -> Result<(), SettingsError> {
        self.settings = Settings::read(values);
        Ok(())
    }

    fn event(&mut self, event: &Event, ctx: &mut Context<'_>) {
        if let EventData::Charge(charge) = &event.data {
            self.retries.note_charge(charge);
            self.note_charge(charge, ctx);
        }
        if let EventData::Invoice(invoice) = &event.data {
            let grace = Span::secs(self.settings.grace_secs);
            self.write_offs.note(event, invoice, grace, ctx.ledger());
            let tried = self.retries.note(event, invoice, ctx.ledger());
            // It settles what was told, or may be the lapse itself.
            let is_off = invoice.status == InvoiceStatus::Uncollectible;
            let written_off = invoice.subscription.as_ref().filter(|_| is_off);
            let written_off = written_off.map(|id| id.key());
            let asked = self.asked.note(event, invoice, grace, ctx.ledger());
            if let (Some(key), Some(id)) = (written_off, &invoice.id) {
                self.settle_asked(key, id.key(), None, ctx);
            }
            if let Some(key) = tried.or(written_off).or(asked) {
                self.look(key, Some(event), ctx);
            }
            self.note_draft(event, invoice, ctx);
        }
        if event.event_type == EventType::SubscriptionDeleted {
            self.trials.note_end();
        }
        for fact in ctx.facts() {
            match fact {
                Fact::TrialEnded { .. } => self.trials.note_told(),
                Fact::Payment(payment) => self.note_payment(payment, event, ctx),
                Fact::SubscriptionChanged { subscription } => {
                    self.look(*subscription, Some(event), ctx);
                }
                Fact::SubscriptionPaid {
                    subscription,
                    invoice,
                } => {
                    self.write_offs.note_paid(*subscription);
                    self.uninvoiced.note_told(ctx.event_at());
                    if let Some(due_at) = self.lapsed.due_of_few(*subscription) {
                        (self.late).note(*subscription, ctx.event_at().since(due_at));
                    }
                    let paid_at = Some(ctx.event_at());
                    self.settle_asked(*subscription, *invoice, paid_at, ctx);
                    self.note_draft_paid(*subscription, *invoice, event, ctx);
                    self.look(*subscription, Some(event), ctx);
                }
                _ => {}
            }
        }
    }

    fn tick(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now();
        if !self.decided.is_empty() {
            self.decided.retain(|_, until| *until > now);
        }
        self.retries.advance_to(now);
        let complete_until = ctx.intake().complete_until(ctx.now());
        let grace = Span::secs(self.settings.grace_secs);
        if ctx.intake().trouble_of(Family::Invoice).is_none() {
            self.is_held = false;
        }
        while let Some((deadline, key)) = self.deadlines.first().copied() {
            if deadline > ctx.now() {
                break;
            }
            if let Some(trouble) = ctx.intake().trouble_of(Family::Invoice) {
                self.hold(trouble, ctx);
                return;
            }
            if complete_until < deadline - grace.max(SETTLED) + SETTLED {
                return;
            }
            self.deadlines.pop_first();
            self.deadline_of.swap_remove(&key);
            self.look(key, None, ctx);
            if self.deadlines.first().is_none_or(|(next, _)| *next > now) {
                self.review_excuses(ctx);
            }
        }
        if self.lapsed.is_empty() {
            return;
        }
        for (mut finding, single) in self.lapsed.take_news(ctx.now()) {
            if let Some(of_one) = single.and_then(|lapse| self.describe(&lapse, ctx)) {
                finding = of_one;
            }
            ctx.fire(finding);
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

impl SilentLapse {
    /// Looks at one subscription: sets its deadline, opens or closes its alert.
    fn look(&mut self, key: Key, event: Option<&Event>, ctx: &mut Context<'_>) {
        self.drop_deadline(key);
        if self.look_draft(key, event, ctx) {
            return;
        }
        let Some(record) = ctx.ledger().subscription(key) else {
            self.excuses.forget(key);
            self.write_offs.forget(key);
            self.uninvoiced.forget(key);
            self.late.forget(key);
            // An invoice may be heard of before its subscription is.
            if !event.is_some_and(|event| matches!(event.data, EventData::Invoice(_))) {
                self.retries.forget(key);
                self.asked.forget(key);
            }
            self.close(key, "the subscription ended", ctx);
            return;
        };
        if self.look_overdue(key, record, event, ctx) {
            return;
        }
        self.look_due(key, record, event, ctx);
        if let Some(overdue_at) = self.overdue_after(key)
            && (self.deadline_of.get(&key)).is_none_or(|deadline| overdue_at < *deadline)
            && !self.lapsed.contains(key)
        {
            self.drop_deadline(key);
            self.set_deadline(key, overdue_at.max(ctx.now()));
        }
    }

    /// Looks at what a subscription owes next.
    fn look_due(
        &mut self,
        key: Key,
        record: &SubscriptionRecord,
        event: Option<&Event>,
        ctx: &mut Context<'_>,
    ) {
        let is_in_trial = record.status == SubscriptionStatus::Trialing;
        let due_at = match self.due_of(key, record, ctx) {
            Ok(due_at) => due_at,
            Err(NothingDue::NotActive)
                if record.status == SubscriptionStatus::PastDue && !record.is_paused =>
            {
                self.write_offs.forget(key);
                self.look_past_due(key, record, event, ctx);
                return;
            }
            Err(nothing) => {
                self.write_offs.forget(key);
                if event.is_none() {
                    let message = "a deadline passed for which nothing is due any more";
                    ctx.suppress(nothing.as_str(), Some(&record.id), message);
                }
                let reason = format_args!("nothing is due any more: {}", nothing.as_str());
                self.close(key, reason, ctx);
                return;
            }
        };
        self.retries.settle(key, record.seen_at, ctx.now());
        // What was written off untried is due still, though nothing is asked for it any more.
        let write_off = self.write_offs.get(key);
        let due_at = write_off.map_or(due_at, |it| it.turn);
        let written_off_at = write_off.map(|it| it.at);
        let grace = Span::secs(self.settings.grace_secs);
        let unasked = (written_off_at.is_none())
            .then(|| self.unasked_since(key, record, due_at, ctx))
            .flatten();
        let due_at = unasked.unwrap_or_else(|| {
            let asked = self.asked.due_at(key, record, due_at);
            due_at.max(asked.unwrap_or(due_at))
        });
        let mut deadline = due_at + grace;
        if let Some(at) = written_off_at {
            deadline = deadline.max(at + RECOVERY);
        }
        if deadline > ctx.now() {
            let state = self.state_of(key, record, due_at);
            self.close(key, format_args!("{state}; next due {due_at}"), ctx);
        }
        if let Some(until) = self.excuses.until(key, due_at) {
            deadline = deadline.max(until);
        }
        // Looked up when it is due: what is announced by then decides.
        if written_off_at.is_none() && unasked.is_none() {
            if deadline <= ctx.now() {
                let debit = ctx.ledger().unannounced_debit(record, ctx.now());
                deadline = deadline.max(due_at + debit.max(self.late.patience(key)));
            }
            if let Some(unrest_at) = record.unrest_at {
                deadline = deadline.max(unrest_at + RECOVERY);
            }
            // Of two invoices in dunning one is paid: the other is tried on, and that is not silent.
            if let Some(next_at) = self.retries.next_at(key) {
                deadline = deadline.max(next_at + RECOVERY);
            }
        }
        // Whether it is asked for is known by then, if not yet now.
        let asked_by = due_at - record.payment_term() + grace;
        if record.payment_term() > Span::ZERO && asked_by > ctx.now() {
            deadline = deadline.min(asked_by);
        }
        if deadline > ctx.now() {
            self.set_deadline(key, deadline);
        } else if self.lapsed.contains(key) {
            // Told already.
        } else if event.is_some() {
            // Judged by the next tick, so that a burst of late events is read to its end first.
            self.set_deadline(key, ctx.now());
        } else if unasked.is_some() {
            self.lapsed.add(key, Lapse::new(record, due_at), ctx.now());
        } else if self.is_excused(key, record, due_at, ctx) {
            // Looked at again.
        } else if !is_in_trial && self.is_untold(key, record, due_at, ctx) {
            self.look_due(key, record, event, ctx);
        } else if is_in_trial && !self.trials.is_odd() {
            let message = format!("its trial ended {due_at}, and here that is not always told");
            ctx.suppress("trial_end_untold", Some(&record.id), message);
        } else if written_off_at.is_some()
            && let Some(why) = self.write_offs.excuse(key, record, ctx.ledger())
        {
            let message = format!("what was due {due_at} was written off untried: {why}");
            ctx.suppress("written_off", Some(&record.id), message);
            self.write_offs.forget(key);
            // The next period is due as ever.
            self.look_due(key, record, event, ctx);
        } else {
            self.lapsed.add(key, Lapse::new(record, due_at), ctx.now());
        }
    }

    /// Whether what is due may be under way, or paid without our knowing; sets the next deadline.
    fn is_excused(
        &mut self,
        key: Key,
        record: &SubscriptionRecord,
        due_at: Timestamp,
        ctx: &mut Context<'_>,
    ) -> bool {
        if self.is_under_way(key, record, ctx) {
            return true;
        }
        let deadline = due_at + Span::secs(self.settings.grace_secs);
        let outage = self.outage_of(record, (due_at, deadline), ctx);
        if outage.judged_at > ctx.now() {
            let message = format!(
                "what was due {due_at} is judged {}: its events may still be delivered",
                outage.judged_at
            );
            ctx.suppress("events_missing", Some(&record.id), message);
            self.set_deadline(key, outage.judged_at);
            return true;
        }
        let may_excuse = |trouble: &&Trouble| {
            !self.excuses.contains(key) && !self.excuses.is_effect(trouble, ctx.now())
        };
        let customer = customer_of(record);
        let pending = customer.and_then(|customer| self.pending.get(&customer));
        let asked_at = pending.map(|pending| pending.since);
        let turn = due_at - record.payment_term();
        let asked_at = asked_at.filter(|at| *at + SETTLED >= turn);
        let unseen = outage.unseen.filter(may_excuse);
        let unseen = unseen.or_else(|| {
            asked_at
                .and_then(|at| undecided(at, ctx))
                .filter(may_excuse)
        });
        if let Some(trouble) = unseen {
            let message = format!("what was due {due_at} may have been paid unseen: {trouble}");
            ctx.suppress(trouble.reason(), Some(&record.id), message);
            let times = (Span::secs(self.settings.grace_secs), ctx.now());
            let until = self.excuses.excuse(key, record, due_at, trouble, times);
            self.set_deadline(key, until.max(ctx.now() + SETTLED));
            return true;
        }
        false
    }

    /// Whether a payment of its customer is under way, or was just decided; sets the next deadline.
    fn is_under_way(
        &mut self,
        key: Key,
        record: &SubscriptionRecord,
        ctx: &mut Context<'_>,
    ) -> bool {
        let customer = customer_of(record);
        if let Some(pending) = customer.and_then(|customer| self.pending.get_mut(&customer)) {
            let until = pending.since + PENDING;
            if until > ctx.now() {
                if !pending.waiting.contains(&key) {
                    pending.waiting.push(key);
                }
                let message = format!("a payment made {} is under way", pending.since);
                ctx.suppress("payment_pending", Some(&record.id), message);
                self.set_deadline(key, until);
                return true;
            }
        }
        if let Some(until) = customer.and_then(|customer| self.decided.get(&customer)) {
            let message = "a payment was decided just now: what it did to the subscription follows";
            ctx.suppress("payment_pending", Some(&record.id), message);
            self.set_deadline(key, *until);
            return true;
        }
        false
    }

    /// What lapsed meanwhile may say that a silence was no loss: what it excused is due then.
    fn review_excuses(&mut self, ctx: &Context<'_>) {
        if !self.lapsed.take_fresh() && !self.excuses.has_fresh() {
            return;
        }
        for key in self.excuses.review(&self.lapsed, ctx) {
            self.drop_deadline(key);
            self.set_deadline(key, ctx.now());
        }
    }

    fn drop_deadline(&mut self, key: Key) {
        if let Some(old) = self.deadline_of.swap_remove(&key) {
            self.deadlines.remove(&(old, key));
        }
    }

    fn set_deadline(&mut self, key: Key, deadline: Timestamp) {
        self.deadlines.insert((deadline, key));
        self.deadline_of.insert(key, deadline);
    }

    /// A payment begins to be under way, or is no longer.
    fn note_charge(&mut self, charge: &Charge, ctx: &Context<'_>) {
        let Some(customer) = charge.customer.as_ref().map(|id| id.key()) else {
            return;
        };
        let id = charge.id.key();
        if charge.status == ChargeStatus::Pending {
            let is_settled = ctx
                .ledger()
                .payment(id)
                .is_some_and(|payment| payment.amount_collected > 0);
            if !is_settled
                && (self.pending.len() < PENDING_MAX || self.pending.contains_key(&customer))
            {
                let since = ctx.event_at();
                let waiting = self.pending.swap_remove(&customer);
                let waiting = waiting.map_or_else(Vec::new, |pending| pending.waiting);
                let pending = Pending {
                    charge: id,
                    since,
                    waiting,
                };
                self.pending.insert(customer, pending);
            }
        } else if self
            .pending
            .get(&customer)
            .is_some_and(|pending| pending.charge == id)
            && let Some(pending) = self.pending.swap_remove(&customer)
        {
            // The invoice and the subscription say what came of it, in their own time, and each of
            // them may bring another look.
            self.await_siblings(customer, ctx.now() + RECOVERY);
            for key in pending.waiting {
                self.drop_deadline(key);
                self.set_deadline(key, ctx.now() + RECOVERY);
            }
        } else if charge.status == ChargeStatus::Failed
            && ctx.now().since(ctx.event_at()) < SIBLINGS
        {
            self.await_siblings(customer, ctx.now() + SIBLINGS);
        }
    }

    fn await_siblings(&mut self, customer: Key, until: Timestamp) {
        if self.decided.len() < DECIDED_MAX || self.decided.contains_key(&customer) {
            self.decided.insert(customer, until);
        }
    }

    fn hold(&mut self, trouble: &Trouble, ctx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.is_held, true) {
            let message = format!("subscriptions fall due, and are judged later: {trouble}");
            ctx.suppress(trouble.reason(), None, message);
        }
    }

    /// The reason is put into words only where something is open, which is rare.
    fn close(&mut self, key: Key, reason: impl Display, ctx: &mut Context<'_>) {
        match self.lapsed.remove(key, ctx.now()) {
            Ended::Nothing => {}
            Ended::Smaller(finding) => ctx.fire(*finding),
            Ended::Over(anchor, 1) => ctx.clear(&*anchor, reason.to_string()),
            Ended::Over(anchor, count) => ctx.clear(
                &*anchor,
                format!("none of {count} is unpaid any more; the last: {reason}"),
            ),
        }
    }
}

fn customer_of(record: &SubscriptionRecord) -> Option<Key> {
    record.customer.as_ref().map(|id| Key::of(id))
}
