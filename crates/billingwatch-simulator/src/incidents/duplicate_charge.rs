//! One purchase charged twice: same customer and amount, another intent and charge, no order of its own;
//! made by the merchant's own program, so without a second checkout page.

use super::Step;
use crate::config::{IncidentPlan, Strength};
use crate::objects::Payment;
use crate::world::World;

impl World {
    pub(super) fn first_charge(&mut self, incident: usize, plan: &IncidentPlan) {
        let (mut payment, request) = self.new_sale();
        while payment.customer.is_none() {
            (payment, _) = self.new_sale();
        }
        if plan.strength == Strength::Subtle {
            // No order id at all, where the others carry the same one twice.
            payment.order = None;
        }
        self.tag = Some(incident);
        self.emit_payment(&payment, request);
        if let Some(customer) = payment.customer {
            self.add_subject(incident, customer.id());
        }
        self.add_subject(incident, payment.charge);
        let more = u32::from(plan.strength == Strength::Clear);
        self.plan_surplus(incident, plan, payment, more);
    }

    /// Seconds from one charge to the next: a double click, a retried job, a second worker.
    fn plan_surplus(&mut self, incident: usize, plan: &IncidentPlan, payment: Payment, more: u32) {
        let gap = match plan.strength {
            Strength::Subtle => self.incident_dice.range(180, 290),
            Strength::Moderate => self.incident_dice.range(20, 120),
            Strength::Clear => self.incident_dice.range(2, 15),
        };
        let at_ms = self.now_ms + gap * 1_000;
        self.schedule(
            at_ms,
            crate::task::Task::Incident(incident, Step::Surplus(Box::new(payment), more)),
        );
    }

    pub(super) fn surplus(
        &mut self,
        incident: usize,
        plan: &IncidentPlan,
        first: &Payment,
        more: u32,
    ) {
        self.tag = Some(incident);
        let payment = self.another(first);
        let request = self.new_request();
        self.emit_payment(&payment, request);
        self.add_subject(incident, payment.charge);
        let now = self.now();
        self.extend_label(incident, now + 1);
        if more > 0 {
            self.plan_surplus(incident, plan, *first, more - 1);
        }
    }
}
