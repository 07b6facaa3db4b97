//! Harmless things that look wrong: the same thing bought twice on purpose, an authorisation that is
//! captured later or lapses, and events of types nobody knows.

use crate::calendar::DAY;
use crate::ids::Kind;
use crate::objects::{self, Payment, Verdict};
use crate::task::Task;
use crate::world::{Request, World};

/// Each kind of odd sale happens about every third day, or to three sales in a thousand.
const ODD_PER_DAY_PPM: i64 = 300_000;
const ODD_LEAST_PPM: i64 = 3_000;
const TYPES: [(&str, &str); 8] = [
    ("product.updated", "product"),
    ("price.created", "price"),
    ("tax.settings.updated", "tax.settings"),
    ("billing_portal.session.created", "billing_portal.session"),
    ("customer.tax_id.created", "tax_id"),
    (
        "entitlements.active_entitlement_summary.updated",
        "entitlements.active_entitlement_summary",
    ),
    ("terminal.reader.action_succeeded", "terminal.reader"),
    ("orbital.transfer.acknowledged", "orbital.transfer"),
];

impl World {
    /// Makes a sale an odd one now and then. True when it did, and the sale is done.
    pub(crate) fn odd_sale(&mut self, payment: &Payment, request: Request) -> bool {
        let per_day = self.env.profile.purchases_per_day.max(1);
        let each = (ODD_PER_DAY_PPM / per_day).max(ODD_LEAST_PPM);
        let draw = self.shop_dice.below(1_000_000);
        if draw < each {
            self.second_seat(*payment, request);
        } else if draw < 2 * each {
            self.refund_and_retry(payment, request);
        } else if draw < 3 * each {
            self.authorise(*payment, request);
        } else {
            return false;
        }
        true
    }

    /// Two seats, or two gifts: the same amount minutes apart, each with its own order id.
    fn second_seat(&mut self, mut payment: Payment, request: Request) {
        payment.order = Some(self.new_order());
        let declines_ppm = self.env.profile.declines_ppm;
        if self.sell(&payment, request, declines_ppm) {
            let mut second = payment;
            second.order = Some(self.new_order());
            let at_ms = self.now_ms + self.shop_dice.range(70_000, 280_000);
            self.schedule(at_ms, Task::BuyAgain(Box::new(second)));
        }
    }

    /// Bought, refunded at once, and bought again.
    fn refund_and_retry(&mut self, payment: &Payment, request: Request) {
        // Nothing else must come of a payment that is refunded whole.
        self.emit_sale(payment, request);
        let at_ms = self.now_ms + self.shop_dice.range(40_000, 90_000);
        let task = Task::Refund(
            Box::new(*payment),
            payment.amount,
            Some("requested_by_customer"),
        );
        self.schedule(at_ms, task);
        let again_ms = at_ms + self.shop_dice.range(20_000, 150_000);
        self.schedule(again_ms, Task::BuyAgain(Box::new(*payment)));
    }

    /// A sale that succeeds, with the events of one, and nothing foreseen.
    pub(crate) fn emit_sale(&mut self, payment: &Payment, request: Request) {
        self.emit_payment(payment, request);
        self.emit_session(payment, request);
    }

    /// The same by an API call, without a checkout page.
    pub(crate) fn emit_payment(&mut self, payment: &Payment, request: Request) {
        self.emit_intent(payment, request);
        self.emit_attempt(payment, Verdict::Approved, request, 900);
        self.take(payment.currency, payment.amount);
    }

    pub(crate) fn buy_again(&mut self, payment: &Payment) {
        let again = self.another(payment);
        let request = self.new_request();
        self.emit_sale(&again, request);
    }

    /// Authorised now; captured or let go days later.
    pub(super) fn authorise(&mut self, mut payment: Payment, request: Request) {
        payment.captured = false;
        let declines_ppm = self.env.profile.declines_ppm;
        if self.sell(&payment, request, declines_ppm) {
            let lets_go = self.shop_dice.chance(200_000);
            let days = if lets_go {
                7
            } else {
                self.shop_dice.range(1, 4)
            };
            self.schedule(
                self.now_ms + days * DAY * 1_000,
                Task::Capture(Box::new(payment)),
            );
        }
    }

    pub(crate) fn capture(&mut self, mut payment: Payment) {
        if self.now() - payment.created_at >= 7 * DAY {
            return self.let_go(payment);
        }
        let request = self.new_request();
        payment.captured = true;
        self.emit_update(
            "charge.captured",
            0,
            request,
            |w, env| objects::charge::write(w, env, &payment, Verdict::Approved),
            |w, _| w.fields(r#""amount_captured":0,"captured":false"#),
        );
        self.emit("payment_intent.succeeded", 40, request, |w, env| {
            objects::payment_intent::write(w, env, &payment, Some(Verdict::Approved));
        });
        self.foresee(&payment);
    }

    /// Stripe releases an authorisation after seven days; it tells so as a refund of money never taken.
    fn let_go(&mut self, mut payment: Payment) {
        let created_at = self.now();
        let id = self.new_id(Kind::Refund);
        let refund = objects::refund::Refund {
            id,
            amount: payment.amount,
            created_at,
            reason: Some("expired_uncaptured_charge"),
        };
        payment.refunded = payment.amount;
        self.emit("charge.expired", 0, Request::AUTOMATIC, |w, env| {
            objects::charge::write(w, env, &payment, Verdict::Approved);
        });
        self.emit("refund.created", 20, Request::AUTOMATIC, |w, _| {
            objects::refund::write(w, &payment, &refund);
        });
    }

    pub(crate) fn schedule_noise(&mut self) {
        let profile = self.env.profile;
        let per_day = 1 + profile.purchases_per_day / 200 + profile.subscriptions / 300;
        let at_ms = self.now_ms + self.shop_dice.wait(86_400_000 / per_day);
        self.schedule(at_ms, Task::Noise);
    }

    pub(crate) fn noise(&mut self) {
        self.schedule_noise();
        let (event_type, object) = self.shop_dice.pick(&TYPES);
        let id = self.new_id(Kind::Thing);
        let (request, created_at) = (self.new_request(), self.now());
        self.emit(event_type, 0, request, |w, _| {
            objects::misc::write_unknown(w, id, object, created_at);
        });
    }
}
