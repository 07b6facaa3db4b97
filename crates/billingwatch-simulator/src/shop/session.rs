//! Parking and charging sessions: a few fixed prices, paid when the session ends. Who drives off without
//! paying is charged by a job at night, mostly in vain.

use crate::objects::{Payment, Verdict};
use crate::task::Task;
use crate::world::{Request, World};

/// The local hour of the job, and how long it takes, in seconds.
const JOB_HOUR: i64 = 3;
const JOB_SECS: i64 = 1_500;
/// Attempts of the job that are declined.
const JOB_DECLINES_PPM: i64 = 650_000;
/// Nights on which it tries, before the debt is written off.
const NIGHTS: u32 = 3;

impl World {
    pub(super) fn park(
        &mut self,
        payment: &Payment,
        request: Request,
        unpaid_ppm: i64,
        again_ppm: i64,
    ) {
        if self.shop_dice.chance(unpaid_ppm) {
            return self.await_night(*payment, 0);
        }
        let declines_ppm = self.env.profile.declines_ppm;
        if self.sell(payment, request, declines_ppm) && self.shop_dice.chance(again_ppm) {
            let at_ms = self.now_ms + self.shop_dice.range(90_000, 840_000);
            self.schedule(at_ms, Task::ParkAgain(Box::new(*payment)));
        }
    }

    /// The same card at the same price: the other bay, the second car of a fleet.
    pub(crate) fn park_again(&mut self, before: &Payment) {
        let mut payment = self.another(before);
        payment.order = Some(self.new_order());
        let request = self.new_request();
        let declines_ppm = self.env.profile.declines_ppm;
        self.sell(&payment, request, declines_ppm);
    }

    fn await_night(&mut self, payment: Payment, nights: u32) {
        let rhythm = self.env.profile.rhythm;
        let job_at = rhythm.next_local_hour(self.now(), JOB_HOUR);
        let at_ms = job_at * 1_000 + self.shop_dice.below(JOB_SECS * 1_000);
        self.schedule(at_ms, Task::Collect(Box::new(payment), nights));
    }

    /// One attempt of the job: the first makes the intent, later ones confirm it again.
    pub(crate) fn collect_unpaid(&mut self, due: &Payment, nights: u32) {
        let request = self.new_request();
        let mut payment = self.another(due);
        if nights == 0 {
            self.emit_intent(&payment, request);
        } else {
            payment.intent = due.intent;
        }
        let verdict = self.attempt(&payment, JOB_DECLINES_PPM);
        self.emit_attempt(&payment, verdict, request, 900);
        if verdict == Verdict::Approved {
            self.foresee(&payment);
        } else if nights + 1 < NIGHTS {
            self.await_night(payment, nights + 1);
        }
    }
}
