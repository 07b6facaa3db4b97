//! A refund 3, 8 or 25 times the largest ordinary amount, of a purchase about a day and a half before.

use super::Step;
use crate::calendar::HOUR;
use crate::config::IncidentPlan;
use crate::ids::Kind;
use crate::objects::refund::Refund;
use crate::objects::{self, Payment, Verdict};
use crate::world::World;

impl World {
    pub(super) fn plan_outsized_refund(&mut self, incident: usize, plan: &IncidentPlan) {
        let bought_at = (plan.at - 36 * HOUR).max(self.config.start_at);
        self.plan_step(incident, bought_at, Step::BigSale);
    }

    pub(super) fn big_sale(&mut self, incident: usize, plan: &IncidentPlan) {
        let (mut payment, request) = self.new_sale();
        let times = plan.strength.pick(3, 8, 25);
        payment.amount = payment
            .currency
            .price(self.env.profile.largest_cents() * times);
        payment.description = "Bulk order";
        self.emit_sale(&payment, request);
        self.plan_step(incident, plan.at, Step::BigRefund(Box::new(payment)));
    }

    pub(super) fn big_refund(&mut self, incident: usize, payment: &Payment) {
        self.tag = Some(incident);
        let mut payment = *payment;
        let request = self.new_request();
        let refund = Refund {
            id: self.new_id(Kind::Refund),
            amount: payment.amount,
            created_at: self.now(),
            reason: Some("requested_by_customer"),
        };
        payment.refunded = payment.amount;
        self.take(payment.currency, -payment.amount);
        // A second after the sale at the earliest, should both fall on the world's first instant.
        self.emit("refund.created", 3_000, request, |w, _| {
            objects::refund::write(w, &payment, &refund)
        });
        self.emit_update(
            "charge.refunded",
            3_020,
            request,
            |w, env| objects::charge::write(w, env, &payment, Verdict::Approved),
            |w, _| w.fields(r#""amount_refunded":0,"refunded":false"#),
        );
        self.add_subject(incident, payment.charge);
        if let Some(customer) = payment.customer {
            self.add_subject(incident, customer.id());
        }
        let now = self.now();
        self.extend_label(incident, now + 4);
    }
}
