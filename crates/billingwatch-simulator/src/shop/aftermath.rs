//! What comes of a payment later: refunds, disputes, inquiries, fraud warnings, payouts.

use crate::calendar::DAY;
use crate::ids::Kind;
use crate::objects::dispute::Dispute;
use crate::objects::refund::Refund;
use crate::objects::{self, Payment, Verdict};
use crate::task::Task;
use crate::world::{Request, World};

/// Refunds of invoices that are done by a credit note.
const CREDIT_NOTE_PPM: i64 = 300_000;
/// Partial refunds that are followed by another.
const SECOND_REFUND_PPM: i64 = 250_000;
/// Early fraud warnings that the merchant answers with a refund, and that become a dispute.
const WARNED_REFUND_PPM: i64 = 400_000;
const WARNED_DISPUTE_PPM: i64 = 350_000;

impl World {
    /// Gives back `amount`, or what is left of the charge.
    pub(crate) fn refund(
        &mut self,
        mut payment: Payment,
        amount: i64,
        reason: Option<&'static str>,
    ) {
        let amount = amount.min(payment.amount - payment.refunded);
        if amount <= 0 || payment.disputed {
            return;
        }
        let request = self.new_request();
        let refund = Refund {
            id: self.new_id(Kind::Refund),
            amount,
            created_at: self.now(),
            reason,
        };
        let before = payment.refunded;
        payment.refunded += amount;
        self.take(payment.currency, -amount);
        self.emit("refund.created", 0, request, |w, _| {
            objects::refund::write(w, &payment, &refund)
        });
        self.emit_update(
            "charge.refunded",
            20,
            request,
            |w, env| objects::charge::write(w, env, &payment, Verdict::Approved),
            |w, _| {
                w.field("amount_refunded", before);
                if payment.refunded >= payment.amount {
                    w.field("refunded", false);
                }
            },
        );
        if let Some(invoice) = payment.invoice
            && self.shop_dice.chance(CREDIT_NOTE_PPM)
        {
            self.emit("credit_note.created", 60, request, |w, env| {
                objects::credit_note::write(w, env.is_basil(), &payment, invoice, &refund);
            });
        }
        let left = payment.amount - payment.refunded;
        if left > 0 && self.shop_dice.chance(SECOND_REFUND_PPM) {
            let at_ms = self.now_ms + self.shop_dice.range(600, 2 * DAY) * 1_000;
            let share = payment.currency.round(left / 2).max(1);
            self.schedule(at_ms, Task::Refund(Box::new(payment), share, reason));
        }
    }

    /// A dispute, or an inquiry that only asks.
    pub(crate) fn dispute(&mut self, mut payment: Payment, inquiry: bool) {
        let reason = match inquiry {
            true => "general",
            false => self.shop_dice.pick(&[
                "fraudulent",
                "fraudulent",
                "product_not_received",
                "subscription_canceled",
            ]),
        };
        let dispute = Dispute {
            id: self.new_id(Kind::Dispute),
            created_at: self.now(),
            reason,
            inquiry,
            status: if inquiry {
                "warning_needs_response"
            } else {
                "needs_response"
            },
        };
        payment.disputed = true;
        self.emit("charge.dispute.created", 0, Request::AUTOMATIC, |w, _| {
            objects::dispute::write(w, &payment, &dispute);
        });
        if !inquiry {
            self.take(payment.currency, -payment.amount);
            self.emit(
                "charge.dispute.funds_withdrawn",
                300,
                Request::AUTOMATIC,
                |w, _| {
                    objects::dispute::write(w, &payment, &dispute);
                },
            );
        }
        let at_ms = self.now_ms + self.shop_dice.range(20, 70) * DAY * 1_000;
        self.schedule(
            at_ms,
            Task::CloseDispute(Box::new(payment), Box::new(dispute)),
        );
    }

    pub(crate) fn close_dispute(&mut self, payment: &Payment, mut dispute: Dispute) {
        let won = self.shop_dice.chance(300_000);
        let before = dispute.status;
        dispute.status = match (dispute.inquiry, won) {
            (true, _) => "warning_closed",
            (false, true) => "won",
            (false, false) => "lost",
        };
        if !dispute.inquiry && won {
            self.take(payment.currency, payment.amount);
            self.emit(
                "charge.dispute.funds_reinstated",
                0,
                Request::AUTOMATIC,
                |w, _| {
                    objects::dispute::write(w, payment, &dispute);
                },
            );
        }
        self.emit_update(
            "charge.dispute.closed",
            60,
            Request::AUTOMATIC,
            |w, _| objects::dispute::write(w, payment, &dispute),
            |w, _| w.field("status", before),
        );
    }

    pub(crate) fn warn(&mut self, payment: Payment) {
        self.emit_warning(&payment);
        let at_ms = self.now_ms + self.shop_dice.range(3_600, 3 * DAY) * 1_000;
        let draw = self.shop_dice.below(1_000_000);
        if draw < WARNED_REFUND_PPM {
            self.schedule(
                at_ms,
                Task::Refund(Box::new(payment), payment.amount, Some("fraudulent")),
            );
        } else if draw < WARNED_REFUND_PPM + WARNED_DISPUTE_PPM {
            let at_ms = at_ms + self.shop_dice.range(3, 20) * DAY * 1_000;
            self.schedule(at_ms, Task::Dispute(Box::new(payment), false));
        }
    }

    pub(crate) fn emit_warning(&mut self, payment: &Payment) {
        let (id, created_at) = (self.new_id(Kind::FraudWarning), self.now());
        self.emit(
            "radar.early_fraud_warning.created",
            0,
            Request::AUTOMATIC,
            |w, _| {
                objects::dispute::write_warning(w, payment, id, created_at);
            },
        );
    }

    /// Each day what was taken goes to the bank; two days later it is expected there.
    pub(crate) fn pay_out(&mut self) {
        self.schedule(self.now_ms + 86_400_000, Task::Payout);
        let takings = std::mem::take(&mut self.takings);
        for (currency, amount) in takings {
            if amount <= 0 {
                self.take(currency, amount);
                continue;
            }
            // Stripe keeps its fee of about three in a hundred.
            let amount = currency.round(amount * 97 / 100).max(1);
            let (id, created_at) = (self.new_id(Kind::Payout), self.now());
            self.emit("payout.created", 0, Request::AUTOMATIC, |w, _| {
                objects::payout::write(w, id, amount, currency, created_at, "in_transit");
            });
            self.schedule(
                self.now_ms + 2 * 86_400_000,
                Task::PayoutPaid(id, amount, currency, created_at),
            );
        }
    }

    pub(crate) fn payout_paid(
        &mut self,
        id: crate::ids::Id,
        amount: i64,
        currency: crate::money::Currency,
        created_at: i64,
    ) {
        self.emit_update(
            "payout.paid",
            0,
            Request::AUTOMATIC,
            |w, _| objects::payout::write(w, id, amount, currency, created_at, "paid"),
            |w, _| w.field("status", "in_transit"),
        );
    }
}
