//! One attempt to take money, and the events that tell of it.

use crate::calendar::DAY;
use crate::ids::Kind;
use crate::money::Currency;
use crate::objects::{self, Decline, Payment, Verdict};
use crate::task::Task;
use crate::world::{Request, World};

/// Attempts of buyers that Radar blocks, per million.
const BLOCKED_PPM: i64 = 2_000;
/// Payments disputed later, per million.
const DISPUTE_PPM: i64 = 700;
/// With oddities: payments asked about by an inquiry, per million.
const INQUIRY_PPM: i64 = 300;
/// Payments with an early fraud warning, per million.
const WARNING_PPM: i64 = 500;
const DAY_MS: i64 = DAY * 1_000;

impl World {
    /// How an attempt ends that is usually declined with this chance.
    pub(crate) fn attempt(&mut self, payment: &Payment, declines_ppm: i64) -> Verdict {
        if let Some((incident, decline)) = self.conditions.outage(self.now_ms) {
            let Some(decline) = decline else {
                return Verdict::Approved;
            };
            self.tag = Some(incident);
            self.add_subject(incident, payment.charge);
            return Verdict::Declined(decline);
        }
        if self.shop_dice.chance(declines_ppm) {
            return Verdict::Declined(self.shop_dice.pick(&Decline::ORDINARY));
        }
        if payment.invoice.is_none() && declines_ppm > 0 && self.shop_dice.chance(BLOCKED_PPM) {
            return Verdict::Blocked;
        }
        Verdict::Approved
    }

    /// Tells of an attempt: the charge, then its intent.
    pub(crate) fn emit_attempt(
        &mut self,
        payment: &Payment,
        verdict: Verdict,
        request: Request,
        offset_ms: i64,
    ) {
        let payment = *payment;
        let (charge, intent) = match verdict {
            Verdict::Approved if payment.captured => {
                ("charge.succeeded", "payment_intent.succeeded")
            }
            Verdict::Approved => (
                "charge.succeeded",
                "payment_intent.amount_capturable_updated",
            ),
            Verdict::Pending => ("charge.pending", "payment_intent.processing"),
            Verdict::Declined(_) | Verdict::Blocked => {
                ("charge.failed", "payment_intent.payment_failed")
            }
        };
        self.emit(charge, offset_ms, request, |w, env| {
            objects::charge::write(w, env, &payment, verdict);
        });
        self.emit(intent, offset_ms + 30, request, |w, env| {
            objects::payment_intent::write(w, env, &payment, Some(verdict));
        });
    }

    /// Decides what will come of money just taken.
    pub(crate) fn foresee(&mut self, payment: &Payment) {
        self.take(payment.currency, payment.amount);
        let draw = self.shop_dice.below(1_000_000);
        let later = |world: &mut Self, mean_days: i64, least_ms: i64| {
            world.now_ms + least_ms + world.shop_dice.wait(mean_days * DAY_MS)
        };
        let boxed = Box::new(*payment);
        // Two in five refunds are of a part.
        let refunds = self.env.profile.refunds_ppm;
        let inquiries = INQUIRY_PPM * i64::from(self.config.oddities);
        if draw < refunds {
            let whole = self.shop_dice.chance(600_000);
            let share = if whole {
                100
            } else {
                self.shop_dice.range(10, 80)
            };
            let amount = payment.currency.round(payment.amount * share / 100).max(1);
            let at_ms = later(self, 3, 600_000);
            self.schedule(
                at_ms,
                Task::Refund(boxed, amount, Some("requested_by_customer")),
            );
        } else if payment.debit {
            // Banks send no inquiries and no warnings of debits; their disputes are left out.
        } else if draw < refunds + DISPUTE_PPM {
            let at_ms = later(self, 12, DAY_MS);
            self.schedule(at_ms, Task::Dispute(boxed, false));
        } else if draw < refunds + DISPUTE_PPM + inquiries {
            let at_ms = later(self, 12, DAY_MS);
            self.schedule(at_ms, Task::Dispute(boxed, true));
        } else if draw < refunds + DISPUTE_PPM + inquiries + WARNING_PPM && payment.card.can_warn()
        {
            let at_ms = later(self, 5, DAY_MS / 4);
            self.schedule(at_ms, Task::Warning(boxed));
        }
    }

    /// Adds to the takings that the next payout brings to the bank.
    pub(crate) fn take(&mut self, currency: Currency, amount: i64) {
        let sum = self.takings.entry(currency).or_default();
        *sum = sum.saturating_add(amount);
    }

    /// A payment intent and charge for the same thing as `payment`, now.
    pub(crate) fn another(&mut self, payment: &Payment) -> Payment {
        Payment {
            charge: self.new_id(Kind::Charge),
            intent: self.new_id(Kind::PaymentIntent),
            created_at: self.now(),
            refunded: 0,
            disputed: false,
            ..*payment
        }
    }
}
