//! Stays: a deposit when booked, the balance some weeks later, a security held on arrival; and those
//! who cancel, refunded by the night's job.

use crate::calendar::{DAY, HOUR};
use crate::objects::{Order, Part, Payment};
use crate::task::Task;
use crate::world::{Request, World};

/// Bookings that are cancelled between deposit and balance, and between balance and stay.
const CANCELLED_PPM: i64 = 120_000;
/// Stays for which a security is held.
const SECURED_PPM: i64 = 450_000;
/// What is held, in US cents.
const SECURITY_CENTS: i64 = 25_000;
/// The local hour of the job that makes all refunds of a day, and how long it takes, in seconds.
const JOB_HOUR: i64 = 2;
const JOB_SECS: i64 = 1_200;

impl World {
    pub(super) fn book(&mut self, whole: &Payment, request: Request, deposit_percent: i64) {
        let currency = whole.currency;
        let mut deposit = *whole;
        deposit.amount = currency.round(whole.amount * deposit_percent / 100).max(1);
        deposit.description = "Deposit";
        let days = self.shop_dice.range(5, 35);
        let due_ms = self.now_ms + days * DAY * 1_000;
        if self.is_cancelled() {
            return self.sell_and_cancel(&deposit, request, due_ms);
        }
        let declines_ppm = self.env.profile.declines_ppm;
        if !self.sell(&deposit, request, declines_ppm) {
            return;
        }
        let mut balance = *whole;
        balance.amount = whole.amount - deposit.amount;
        balance.order = whole.order.map(|order| order.part(Part::Balance));
        balance.description = "Balance";
        self.schedule(due_ms, Task::Balance(Box::new(balance)));
    }

    /// The merchant's own program charges the card on file.
    pub(crate) fn collect_balance(&mut self, due: &Payment) {
        if let Some(incident) = self.conditions.due_lost(self.now_ms) {
            if let Some(customer) = due.customer {
                self.add_subject(incident, customer.id());
            }
            let wait_ms = self.incident_dice.range(50 * HOUR, 70 * HOUR) * 1_000;
            return self.schedule(self.now_ms + wait_ms, Task::Balance(Box::new(*due)));
        }
        let payment = self.another(due);
        let request = self.new_request();
        let arrives_at_ms = self.now_ms + self.shop_dice.range(3, 10) * DAY * 1_000;
        if self.is_cancelled() {
            return self.sell_and_cancel(&payment, request, arrives_at_ms);
        }
        let declines_ppm = self.env.profile.declines_ppm;
        if !self.sell(&payment, request, declines_ppm) {
            return;
        }
        if self.shop_dice.chance(SECURED_PPM) {
            let mut security = payment;
            security.amount = payment.currency.price(SECURITY_CENTS);
            security.order = payment.order.map(|order| order.part(Part::Security));
            security.description = "Security deposit";
            self.schedule(arrives_at_ms, Task::Hold(Box::new(security)));
        }
    }

    pub(crate) fn hold_security(&mut self, due: &Payment) {
        let payment = self.another(due);
        let request = self.new_request();
        self.authorise(payment, request);
    }

    /// Whether what is sold now will be given back. Not in an outage, whose share of failures is kept exactly.
    fn is_cancelled(&mut self) -> bool {
        self.shop_dice.chance(CANCELLED_PPM) && !self.conditions.is_out(self.now_ms)
    }

    /// Cancelled some time before it would have gone on, and paid back in the night that follows. Nothing
    /// else must come of a payment that is refunded whole.
    fn sell_and_cancel(&mut self, payment: &Payment, request: Request, before_ms: i64) {
        self.emit_sale(payment, request);
        let asked_at = (self.now_ms + self.shop_dice.below(before_ms - self.now_ms)) / 1_000;
        let rhythm = self.env.profile.rhythm;
        let job_at = rhythm.next_local_hour(asked_at, JOB_HOUR);
        let at_ms = job_at * 1_000 + self.shop_dice.below(JOB_SECS * 1_000);
        let task = Task::Refund(
            Box::new(*payment),
            payment.amount,
            Some("requested_by_customer"),
        );
        self.schedule(at_ms, task);
    }
}

impl Order {
    fn part(self, part: Part) -> Self {
        match self {
            Self::Booking(number, _) => Self::Booking(number, part),
            other => other,
        }
    }
}
