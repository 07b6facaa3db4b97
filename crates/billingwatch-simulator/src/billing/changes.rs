//! What customers do within a period: leave, change seats or plan, pause, come back.

use super::model::{Line, Pause, Status, SubKey, Subscription};
use crate::calendar::{DAY, HOUR};
use crate::objects;
use crate::task::Task;
use crate::world::World;

/// A change to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    CancelAtPeriodEnd,
    CancelNow,
    Upgrade,
    Downgrade,
    Pause,
    Unpause,
    Resume,
}

/// Chances of a change within a month.
const UPGRADE_PPM: i64 = 20_000;
const DOWNGRADE_PPM: i64 = 16_000;

impl World {
    /// Decides what this customer does before the period's end, if anything.
    pub(crate) fn plan_changes(&mut self, key: SubKey, s: &Subscription) {
        if s.reserved || s.status != Status::Active || s.periods_done == 0 {
            return;
        }
        let in_period = |monthly_ppm: i64| monthly_ppm * s.every.days() / 30;
        let churn = in_period(self.env.profile.churn_ppm);
        let odd = i64::from(self.config.oddities);
        let changes = [
            (Change::CancelAtPeriodEnd, churn * 7 / 10),
            (Change::CancelNow, churn * 3 / 10),
            (Change::Upgrade, in_period(UPGRADE_PPM)),
            (Change::Downgrade, in_period(DOWNGRADE_PPM) * odd),
            (Change::Pause, in_period(self.env.profile.pauses_ppm) * odd),
        ];
        let mut draw = self.dice.below(1_000_000);
        for (change, chance) in changes {
            if draw < chance {
                // Nobody leaves while the bank is still to answer.
                let settled_in = if s.debit { 8 * DAY } else { 2 * HOUR };
                let from = self.now().max(s.period_start) + settled_in;
                let at = self.dice.range(from, (s.period_end - 2 * HOUR).max(from));
                return self.schedule(at * 1_000, Task::Change(key, change));
            }
            draw -= chance;
        }
    }

    pub(crate) fn change(&mut self, key: SubKey, change: Change) {
        let Some(s) = self.subscriptions.get(key).copied() else {
            return;
        };
        let settled = s.status == Status::Active && s.pause.is_none() && !s.cancel_at_period_end;
        match change {
            Change::CancelNow if !s.reserved => {
                let request = self.new_request();
                self.end_subscription(key, "cancellation_requested", request);
            }
            Change::CancelAtPeriodEnd if settled && !s.reserved => self.cancel_later(key),
            Change::Upgrade | Change::Downgrade if settled && !s.reserved && !s.metered => {
                self.change_plan(key, change == Change::Upgrade);
            }
            Change::Pause if settled && !s.reserved && !s.net30 => self.pause(key),
            Change::Unpause if s.pause.is_some() => self.set_pause(key, None),
            Change::Resume if s.status == Status::Paused => self.resume(key),
            _ => {}
        }
    }

    fn cancel_later(&mut self, key: SubKey) {
        let now = self.now();
        let Some(s) = self.subscriptions.get_mut(key) else {
            return;
        };
        s.cancel_at_period_end = true;
        s.canceled_at = Some(now);
        s.cancel_reason = Some("cancellation_requested");
        let s = *s;
        let request = self.new_request();
        self.emit_update(
            "customer.subscription.updated",
            0,
            request,
            |w, env| objects::subscription::write(w, env, &s),
            |w, _| w.fields(r#""cancel_at":null,"cancel_at_period_end":false,"canceled_at":null,"cancellation_details":{"reason":null}"#),
        );
    }

    fn pause(&mut self, key: SubKey) {
        let behavior = self
            .dice
            .pick(&["void", "mark_uncollectible", "keep_as_draft"]);
        let resumes_at = self.now() + self.dice.range(20, 75) * DAY;
        self.set_pause(
            key,
            Some(Pause {
                behavior,
                resumes_at: Some(resumes_at),
            }),
        );
        self.schedule(resumes_at * 1_000, Task::Change(key, Change::Unpause));
    }

    fn set_pause(&mut self, key: SubKey, pause: Option<Pause>) {
        let Some(s) = self.subscriptions.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut s.pause, pause);
        let s = *s;
        let request = self.new_request();
        self.emit_update(
            "customer.subscription.updated",
            0,
            request,
            |w, env| objects::subscription::write(w, env, &s),
            |w, _| match before {
                Some(pause) => w.obj("pause_collection", |w| {
                    w.field("behavior", pause.behavior);
                    w.field("resumes_at", pause.resumes_at);
                }),
                None => w.null("pause_collection"),
            },
        );
    }

    /// A paused trial user gives a card: the first period begins now.
    fn resume(&mut self, key: SubKey) {
        let now = self.now();
        let request = self.new_request();
        let Some(s) = self.subscriptions.get_mut(key) else {
            return;
        };
        s.status = Status::Active;
        s.has_card = true;
        s.anchor_at = now;
        s.periods_done = 1;
        s.set_period();
        let mut resumed = *s;
        let mut invoice = self.new_invoice(&resumed, "subscription_cycle");
        resumed.latest_invoice = Some(invoice.id);
        if resumed.metered {
            invoice.lines = [Some(resumed.usage_line(0)), None];
            invoice.discount = 0;
        }
        if let Some(s) = self.subscriptions.get_mut(key) {
            *s = resumed;
        }
        self.emit("payment_method.attached", 0, request, |w, _| {
            objects::customer::write_method(w, resumed.customer, resumed.card, now);
        });
        self.emit_invoice("invoice.created", 200, request, &invoice, Some(&resumed));
        self.open_invoice(key, &mut invoice, 230, request);
        self.emit("customer.subscription.resumed", 300, request, |w, env| {
            objects::subscription::write(w, env, &resumed);
        });
        let declines_ppm = self.env.profile.declines_ppm;
        self.collect(key, Box::new(invoice), request, declines_ppm, 400);
        self.plan_period(key);
    }

    /// More or fewer seats, or another plan of the same interval. None when there is nothing to move to.
    fn changed(&mut self, s: &Subscription, up: bool) -> Option<Subscription> {
        let plans = self.env.profile.plans;
        let mut after = *s;
        if plans.get(s.plan)?.seats {
            let by = if up { self.dice.range(1, 2) } else { -1 };
            after.quantity += by;
            return (after.quantity > 1).then_some(after);
        }
        let other = plans.iter().position(|p| {
            let amount = s.currency.price(p.cents);
            let fits = p.every == s.every && !p.metered && !p.seats;
            fits && if up {
                amount > s.unit_amount
            } else {
                amount < s.unit_amount
            }
        })?;
        after.plan = other;
        after.unit_amount = s.currency.price(plans.get(other)?.cents);
        Some(after)
    }

    /// What remains of the period is settled at once; below zero it becomes the customer's credit.
    fn change_plan(&mut self, key: SubKey, up: bool) {
        let Some(before) = self.subscriptions.get(key).copied() else {
            return;
        };
        let Some(mut after) = self.changed(&before, up) else {
            return;
        };
        let left = before.period_end - self.now();
        let length = (before.period_end - before.period_start).max(1);
        let share = |amount: i64| before.currency.round(amount * left / length);
        let line = |s: &Subscription, amount, description| Line {
            amount,
            quantity: s.quantity,
            plan: s.plan,
            unit_amount: s.unit_amount,
            description,
            proration: true,
            manual: false,
            from: self.now(),
            to: before.period_end,
        };
        let old = line(
            &before,
            -share(before.unit_amount * before.quantity),
            "Unused time",
        );
        let new = line(
            &after,
            share(after.unit_amount * after.quantity),
            "Remaining time",
        );
        let mut invoice = self.new_invoice(&after, "subscription_update");
        invoice.lines = [Some(old), Some(new)];
        invoice.discount = after.discount(invoice.subtotal());
        // A credit must be covered by what this subscription paid, and one customer has one balance.
        let credit = -invoice.total();
        if before.net30 || (credit > 0 && (before.shared || credit > before.last_paid)) {
            return;
        }
        after.latest_invoice = Some(invoice.id);
        if let Some(s) = self.subscriptions.get_mut(key) {
            *s = after;
        }
        let request = self.new_request();
        self.emit_update(
            "customer.subscription.updated",
            0,
            request,
            |w, env| objects::subscription::write(w, env, &after),
            |w, env| {
                objects::subscription::write_previous_plan(w, env, &before, &after);
                w.field("latest_invoice", before.latest_invoice);
            },
        );
        self.emit_invoice("invoice.created", 100, request, &invoice, Some(&after));
        self.open_invoice(key, &mut invoice, 140, request);
        if credit > 0 {
            self.emit_balance(&after, before.balance, invoice.balance_after(), request);
        }
        let declines_ppm = self.env.profile.declines_ppm;
        self.collect(key, Box::new(invoice), request, declines_ppm, 500);
    }

    /// Tells that the customer's credit balance changed.
    pub(crate) fn emit_balance(
        &mut self,
        s: &Subscription,
        before: i64,
        after: i64,
        request: crate::world::Request,
    ) {
        let (customer, currency, created_at) = (s.customer, s.currency, s.created_at);
        self.emit_update(
            "customer.updated",
            160,
            request,
            |w, env| objects::customer::write(w, env, customer, Some(currency), after, created_at),
            |w, _| w.field("balance", before),
        );
    }
}
