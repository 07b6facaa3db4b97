//! The subscriptions that live when the world begins, spread over their periods.

use super::model::{Pause, Status, Subscription};
use crate::calendar::{DAY, HOUR, next_first_of_month};
use crate::ids::Kind;
use crate::merchant::customer::Customer;
use crate::task::Task;
use crate::world::World;

/// With oddities: subscriptions that are free for ever.
const FREE_PPM: i64 = 15_000;
/// With oddities: subscriptions whose collection is paused at the start.
const PAUSED_PPM: i64 = 7_000;
/// Customers with a second subscription.
const SECOND_PPM: i64 = 40_000;

impl World {
    pub(crate) fn populate(&mut self) {
        let mut last: Option<Customer> = None;
        for _ in 0..self.env.profile.subscriptions {
            let mut subscription = self.new_subscription();
            if let Some(customer) = last.filter(|_| self.dice.chance(SECOND_PPM)) {
                subscription.customer = customer;
                subscription.card = customer.card();
                subscription.shared = true;
            }
            last = Some(subscription.customer);
            let length = subscription.every.days() * DAY;
            let ahead = self.dice.below(length);
            self.place(&mut subscription, ahead);
            if self.config.oddities && self.dice.chance(PAUSED_PPM) {
                let resumes_at = self.now() + self.dice.range(5, 60) * DAY;
                subscription.pause = Some(Pause {
                    behavior: "void",
                    resumes_at: Some(resumes_at),
                });
            }
            let resumes_at = subscription.pause.and_then(|p| p.resumes_at);
            let key = self.subscriptions.insert(subscription);
            if let Some(at) = resumes_at {
                self.schedule(at * 1_000, Task::Change(key, super::Change::Unpause));
            }
            self.plan_period(key);
        }
        if self.env.profile.subscriptions > 0 {
            self.schedule_signup();
        }
    }

    /// Gives a subscription a past, such that its period ends about `ahead` seconds from now.
    fn place(&mut self, s: &mut Subscription, ahead: i64) {
        let now = self.now();
        let mut end = now + ahead;
        // People subscribed at the hours they are awake.
        let rhythm = self.env.profile.rhythm;
        for _ in 0..20 {
            if self.dice.below(rhythm.max_ppm()) < rhythm.weight_ppm(end) {
                break;
            }
            end = end.max(now) / DAY * DAY + self.dice.below(24) * HOUR + self.dice.below(HOUR);
        }
        if self.dice.chance(self.env.profile.first_of_month_ppm) {
            end = next_first_of_month(end);
        }
        if let Some(run) = self.env.profile.run {
            end = run.next_turn(s.customer, end);
        }
        let periods = self
            .dice
            .range(1, if s.every.days() <= 30 { 24 } else { 3 });
        let periods = u32::try_from(periods).unwrap_or(1);
        s.end_period_at(end, periods);
        // Months differ in length: the period must hold the world's first instant.
        while s.period_start > now {
            s.end_period_at(s.period_start, periods);
        }
        while s.period_end <= now {
            s.next_period();
        }
        s.created_at = s.anchor_at;
    }

    /// A subscription with everything but a past.
    pub(crate) fn new_subscription(&mut self) -> Subscription {
        let profile = self.env.profile;
        let plan = self.dice.weighted(profile.plans.iter().map(|p| p.weight));
        let currency =
            profile.currencies[self.dice.weighted(profile.currencies.iter().map(|c| c.1))].0;
        let terms = profile.plans[plan];
        let quantity = if terms.seats {
            self.dice.range(2, 14)
        } else {
            1
        };
        let net30 = terms.cents * quantity >= 4_000 && self.dice.chance(profile.net30_ppm);
        let percent_off = if self.config.oddities && self.dice.chance(FREE_PPM) {
            100
        } else if self.dice.chance(profile.coupons_ppm) {
            self.dice.pick(&[10, 20, 25, 50])
        } else {
            0
        };
        let debit = profile.debits_ppm > 0 && self.dice.chance(profile.debits_ppm);
        let customer = self.new_customer();
        let now = self.now();
        Subscription {
            id: self.new_id(Kind::Subscription),
            customer,
            shared: false,
            card: customer.card(),
            plan,
            currency,
            quantity,
            unit_amount: currency.price(terms.cents),
            every: terms.every,
            metered: terms.metered,
            status: Status::Active,
            created_at: now,
            anchor_at: now,
            periods_done: 1,
            period_start: now,
            period_end: terms.every.after(now, 1),
            trial_end: None,
            net30,
            debit,
            has_card: true,
            percent_off,
            pause: None,
            cancel_at_period_end: false,
            canceled_at: None,
            ended_at: None,
            cancel_reason: None,
            latest_invoice: None,
            balance: 0,
            last_paid: 0,
            lapses: None,
            reserved: false,
        }
    }
}

impl Subscription {
    /// Sets the anchor so that the current period is the `periods`-th and ends about `end`.
    pub(crate) fn end_period_at(&mut self, end: i64, periods: u32) {
        self.periods_done = periods;
        self.anchor_at = self.every.before(end, periods);
        self.set_period();
    }

    pub(crate) fn next_period(&mut self) {
        self.periods_done += 1;
        self.set_period();
    }

    /// Counts the period from the anchor, so that the 31st comes back after February.
    pub(crate) fn set_period(&mut self) {
        self.period_start = self.every.after(self.anchor_at, self.periods_done - 1);
        self.period_end = self.every.after(self.anchor_at, self.periods_done);
    }
}
