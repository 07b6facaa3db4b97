//! A period ends: the subscription rolls over and is invoiced, or ends, or is paused.

use super::Change;
use super::model::{Invoice, Line, Status, SubKey, Subscription};
use crate::calendar::{DAY, HOUR};
use crate::ids::Kind;
use crate::objects::{self, invoice::View};
use crate::task::Task;
use crate::world::{Request, World};

/// Trials that end without becoming a subscription.
const TRIAL_LOST_PPM: i64 = 330_000;
/// So short a time before the first whole period is not charged for, nor would card networks like so small a charge.
const FREE_SECS: i64 = 2 * DAY;

impl Subscription {
    pub(crate) fn line(&self, description: &'static str) -> Line {
        Line {
            amount: self.for_this_period(self.unit_amount * self.quantity),
            quantity: self.quantity,
            plan: self.plan,
            unit_amount: self.unit_amount,
            description,
            proration: false,
            manual: false,
            from: self.period_start,
            to: self.period_end,
        }
    }

    /// The price of the current period: whole, or before the first whole one its share; a day or two are free.
    fn for_this_period(&self, price: i64) -> i64 {
        let length = self.period_end - self.period_start;
        match self.periods_done {
            1.. => price,
            0 if length < FREE_SECS => 0,
            0 => {
                let whole = self.anchor_at - self.every.before(self.anchor_at, 1);
                self.currency.round(price * length / whole.max(1))
            }
        }
    }

    pub(crate) fn trial_line(&self) -> Line {
        Line {
            amount: 0,
            ..self.line("Trial period")
        }
    }

    pub(crate) fn usage_line(&self, units: i64) -> Line {
        Line {
            amount: units * self.unit_amount,
            quantity: units,
            ..self.line("Usage")
        }
    }
}

impl World {
    /// Awaits the end of the current period, and what the customer does before.
    pub(crate) fn plan_period(&mut self, key: SubKey) {
        let Some(s) = self.subscriptions.get(key).copied() else {
            return;
        };
        let announced_at = s.period_end - 3 * DAY;
        if announced_at > self.now() {
            self.schedule(announced_at * 1_000, Task::Upcoming(key));
        } else {
            self.schedule(s.period_end * 1_000, Task::Renew(key));
        }
        self.plan_changes(key, &s);
    }

    pub(crate) fn announce(&mut self, key: SubKey) {
        let Some(s) = self.subscriptions.get(key).copied() else {
            return;
        };
        if s.status == Status::Active && !s.cancel_at_period_end && s.pause.is_none() {
            let mut next = s;
            next.next_period();
            let invoice = self.new_invoice(&next, "upcoming");
            self.emit("invoice.upcoming", 0, Request::AUTOMATIC, |w, env| {
                objects::invoice::write(w, env, &invoice, Some(&next), View::Upcoming);
            });
        }
        self.schedule(s.period_end * 1_000, Task::Renew(key));
    }

    /// A draft for the subscription's current period, created now.
    pub(crate) fn new_invoice(
        &mut self,
        s: &Subscription,
        billing_reason: &'static str,
    ) -> Invoice {
        let line = s.line(self.env.profile.plans[s.plan].name);
        let now = self.now();
        Invoice {
            id: self.new_id(Kind::Invoice),
            customer: s.customer,
            subscription: Some(s.id),
            currency: s.currency,
            billing_reason,
            status: "draft",
            lines: [Some(line), None],
            percent_off: s.percent_off,
            discount: s.discount(line.amount),
            starting_balance: s.balance,
            ending_balance: None,
            amount_paid: 0,
            attempts: 0,
            next_attempt_at: None,
            created_at: now,
            period_start: s.period_start,
            period_end: s.period_start,
            finalized_at: None,
            paid_at: None,
            uncollectible_at: None,
            voided_at: None,
            due_at: None,
            net30: s.net30,
            debit: s.debit && billing_reason != "subscription_create",
            auto_advance: true,
            out_of_band: false,
            card: s.card,
            intent: None,
            charge: None,
        }
    }

    pub(crate) fn renew(&mut self, key: SubKey) {
        let Some(before) = self.subscriptions.get(key).copied() else {
            return;
        };
        match before.status {
            _ if before.cancel_at_period_end => {
                return self.end_subscription(key, "cancellation_requested", Request::AUTOMATIC);
            }
            Status::Trialing if !before.has_card => return self.pause_trial(key),
            Status::Trialing if self.dice.chance(TRIAL_LOST_PPM) => {
                return self.end_subscription(key, "cancellation_requested", Request::AUTOMATIC);
            }
            Status::Active | Status::PastDue | Status::Trialing => {}
            // An incomplete subscription expires, a paused one is resumed or ended, elsewhere.
            Status::Incomplete | Status::IncompleteExpired | Status::Canceled | Status::Paused => {
                return;
            }
        }
        let mut after = before;
        if before.status == Status::Trialing {
            after.status = Status::Active;
            after.anchor_at = before.period_end;
            after.periods_done = 1;
            after.set_period();
        } else {
            after.next_period();
        }
        self.roll_over(key, &before, after);
        self.plan_period(key);
    }

    /// Moves a subscription to its next period and makes the invoice for it.
    fn roll_over(&mut self, key: SubKey, before: &Subscription, mut after: Subscription) {
        let invoiced = after.pause.is_none();
        let mut invoice = self.new_invoice(&after, "subscription_cycle");
        (invoice.period_start, invoice.period_end) = (before.period_start, before.period_end);
        if after.metered {
            invoice.lines = [Some(self.usage(before)), None];
            invoice.discount = after.discount(invoice.subtotal());
        }
        if invoiced {
            after.latest_invoice = Some(invoice.id);
        }
        let lapses = after
            .lapses
            .filter(|lapse| before.period_end >= lapse.from)
            .map(|l| l.incident);
        if lapses.is_some() {
            after.lapses = None;
        }
        if let Some(kept) = self.subscriptions.get_mut(key) {
            *kept = after;
        }
        self.tag = lapses;
        self.emit_update(
            "customer.subscription.updated",
            0,
            Request::AUTOMATIC,
            |w, env| objects::subscription::write(w, env, &after),
            |w, env| objects::subscription::write_previous_period(w, env, before, &after),
        );
        if !invoiced {
            // Stripe tells nothing of the invoices of a paused collection.
            return;
        }
        if let Some(incident) = lapses {
            // Somebody's integration switched auto-advance off: the draft stays a draft for ever.
            invoice.auto_advance = false;
            self.note_lapse(incident, &after);
        }
        self.emit_invoice(
            "invoice.created",
            120,
            Request::AUTOMATIC,
            &invoice,
            Some(&after),
        );
        self.tag = None;
        if lapses.is_none() {
            let wait_ms = match self.withheld(&invoice) {
                Some(incident) => {
                    self.add_subject(incident, after.customer.id());
                    self.dice.range(50 * HOUR, 70 * HOUR) * 1_000
                }
                None => 3_600_000 + self.dice.range(0, 900_000),
            };
            self.schedule(
                self.now_ms + wait_ms,
                Task::Finalize(key, Box::new(invoice)),
            );
        }
    }

    /// What a metered subscription used in the period that ended; with oddities sometimes nothing.
    fn usage(&mut self, ended: &Subscription) -> Line {
        let idle = self.config.oddities && self.dice.chance(80_000);
        let units = if idle { 0 } else { self.dice.range(300, 4_000) };
        ended.usage_line(units)
    }

    /// A trial without a card ends: Stripe pauses the subscription.
    fn pause_trial(&mut self, key: SubKey) {
        let Some(s) = self.subscriptions.get_mut(key) else {
            return;
        };
        s.status = Status::Paused;
        let s = *s;
        self.emit_update(
            "customer.subscription.updated",
            0,
            Request::AUTOMATIC,
            |w, env| objects::subscription::write(w, env, &s),
            |w, _| w.field("status", "trialing"),
        );
        self.emit(
            "customer.subscription.paused",
            30,
            Request::AUTOMATIC,
            |w, env| {
                objects::subscription::write(w, env, &s);
            },
        );
        let change = if self.dice.chance(400_000) {
            Change::Resume
        } else {
            Change::CancelNow
        };
        let at_ms = self.now_ms + self.dice.range(2, 20) * DAY * 1_000;
        self.schedule(at_ms, Task::Change(key, change));
    }

    /// Ends a subscription and forgets it.
    pub(crate) fn end_subscription(&mut self, key: SubKey, reason: &'static str, request: Request) {
        let now = self.now();
        let Some(s) = self.subscriptions.get_mut(key) else {
            return;
        };
        s.status = Status::Canceled;
        s.canceled_at = s.canceled_at.or(Some(now));
        s.ended_at = Some(now);
        s.cancel_reason = Some(reason);
        s.cancel_at_period_end = false;
        let s = *s;
        self.subscriptions.remove(key);
        self.emit("customer.subscription.deleted", 60, request, |w, env| {
            objects::subscription::write(w, env, &s);
        });
    }
}
