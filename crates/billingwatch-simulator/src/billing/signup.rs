//! Somebody subscribes: with a trial, by card or by invoice.

use super::model::{Status, SubKey, Subscription};
use crate::calendar::DAY;
use crate::objects;
use crate::task::Task;
use crate::world::{Request, World};

/// With oddities: trials that ask for no card.
const CARDLESS_PPM: i64 = 150_000;

impl World {
    /// Waits for the next sign-up, by the rhythm of the week.
    pub(crate) fn schedule_signup(&mut self) {
        let per_day_milli = self.env.profile.signups_per_day_milli().max(1);
        let rhythm = self.env.profile.rhythm;
        // Candidates come at the highest rate there is; some are passed over when the hour is quieter.
        let gap_ms = 86_400_000 * 1_000_000 / rhythm.max_ppm() * 1_000 / per_day_milli;
        let mut at_ms = self.now_ms;
        while at_ms < self.end_ms {
            at_ms += self.dice.wait(gap_ms);
            if self.dice.below(rhythm.max_ppm()) < rhythm.weight_ppm(at_ms / 1_000) {
                break;
            }
        }
        self.schedule(at_ms, Task::Signup);
    }

    pub(crate) fn signup(&mut self) {
        self.schedule_signup();
        let mut subscription = self.new_subscription();
        let profile = self.env.profile;
        let first_of_month = subscription.net30 && self.dice.chance(profile.first_of_month_ppm);
        let trial = !subscription.net30 && !first_of_month && self.dice.chance(profile.trials_ppm);
        if trial {
            let days = self.dice.pick(&[7, 14, 14, 30]);
            let trial_end = self.now() + days * DAY;
            subscription.status = Status::Trialing;
            subscription.trial_end = Some(trial_end);
            subscription.period_end = trial_end;
            subscription.has_card = !(self.config.oddities && self.dice.chance(CARDLESS_PPM));
        }
        if let Some(run) = profile.run {
            // Billed with everybody else from the next run on; until then for a part of a period.
            subscription.anchor_at = run.next_turn(subscription.customer, self.now());
            subscription.periods_done = 0;
            subscription.period_end = subscription.anchor_at;
        }
        let request = self.new_request();
        self.emit_customer(&subscription, request);
        if trial {
            self.start_trial(subscription, request)
        } else {
            self.start(subscription, request)
        }
    }

    fn emit_customer(&mut self, s: &Subscription, request: Request) {
        let (customer, card, created_at) = (s.customer, s.card, self.now());
        self.emit("customer.created", 0, request, |w, env| {
            objects::customer::write(w, env, customer, None, 0, created_at);
        });
        if s.has_card && !s.net30 {
            self.emit("payment_method.attached", 40, request, |w, _| {
                objects::customer::write_method(w, customer, card, created_at);
            });
        }
    }

    fn start_trial(&mut self, mut s: Subscription, request: Request) {
        let mut invoice = self.new_invoice(&s, "subscription_create");
        invoice.lines = [Some(s.trial_line()), None];
        invoice.discount = 0;
        s.latest_invoice = Some(invoice.id);
        let (trial_end, key) = (s.period_end, self.subscriptions.insert(s));
        self.emit("customer.subscription.created", 600, request, |w, env| {
            objects::subscription::write(w, env, &s);
        });
        self.emit_invoice("invoice.created", 620, request, &invoice, Some(&s));
        self.open_invoice(key, &mut invoice, 650, request);
        self.collect(key, Box::new(invoice), request, 0, 700);
        self.schedule((trial_end - 3 * DAY) * 1_000, Task::TrialWillEnd(key));
        self.schedule(trial_end * 1_000, Task::Renew(key));
    }

    fn start(&mut self, mut s: Subscription, request: Request) {
        let mut invoice = self.new_invoice(&s, "subscription_create");
        if s.metered {
            invoice.lines = [Some(s.usage_line(0)), None];
            invoice.discount = 0;
        }
        s.latest_invoice = Some(invoice.id);
        let waits = !s.net30 && invoice.amount_due() > 0;
        s.status = if waits {
            Status::Incomplete
        } else {
            Status::Active
        };
        let key = self.subscriptions.insert(s);
        self.emit("customer.subscription.created", 600, request, |w, env| {
            objects::subscription::write(w, env, &s);
        });
        self.emit_invoice("invoice.created", 620, request, &invoice, Some(&s));
        if s.net30 {
            let at_ms = self.now_ms + 3_600_000;
            self.schedule(at_ms, Task::Finalize(key, Box::new(invoice)));
        } else {
            self.open_invoice(key, &mut invoice, 650, request);
            let declines_ppm = self.env.profile.declines_ppm;
            self.collect(key, Box::new(invoice), request, declines_ppm, 900);
        }
        self.plan_period(key);
    }

    pub(crate) fn trial_will_end(&mut self, key: SubKey) {
        let Some(s) = self.subscriptions.get(key).copied() else {
            return;
        };
        if s.status == Status::Trialing {
            self.emit(
                "customer.subscription.trial_will_end",
                0,
                Request::AUTOMATIC,
                |w, env| {
                    objects::subscription::write(w, env, &s);
                },
            );
        }
    }
}
