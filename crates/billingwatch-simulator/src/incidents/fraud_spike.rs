//! Fraud comes to light: within ten hours disputes and early fraud warnings arrive about purchases of
//! the days before, several times as many as this merchant usually has in a day.

use super::Step;
use crate::calendar::DAY;
use crate::config::IncidentPlan;
use crate::objects::Payment;
use crate::world::World;

const HOURS: i64 = 10;
/// Complaints at least, by strength.
const COMPLAINTS: (i64, i64, i64) = (6, 12, 30);
/// Complaints a day that are usual, per million payments; see the chances in `shop::attempt`.
const USUAL_PPM: i64 = 1_400;
/// Complaints by strength, as multiples of a usual day's.
const TIMES: (i64, i64, i64) = (3, 6, 15);

impl World {
    pub(super) fn plan_fraud_spike(&mut self, incident: usize, plan: &IncidentPlan) {
        let profile = self.env.profile;
        let payments = profile.purchases_per_day + profile.renewals_per_day();
        let times = plan.strength.pick(TIMES.0, TIMES.1, TIMES.2);
        let least = plan.strength.pick(COMPLAINTS.0, COMPLAINTS.1, COMPLAINTS.2);
        let complaints = least.max(payments * USUAL_PPM * times / 1_000_000);
        for _ in 0..complaints {
            // Days before; hours, where the world is no older; before it began, where it has just begun.
            let age = plan.at - self.config.start_at;
            let (least, most) = if age > 2 * 3_600 {
                ((age / 2).min(DAY), age.min(6 * DAY))
            } else {
                (DAY, 6 * DAY)
            };
            let bought_at = plan.at - self.incident_dice.range(least, most);
            if bought_at > self.config.start_at {
                self.plan_step(incident, bought_at, Step::Fraud);
            } else {
                let (mut payment, _) = self.fraud();
                payment.created_at = bought_at;
                self.conditions.frauds.push((incident, payment));
            }
        }
        self.plan_step(incident, plan.at, Step::Discovery);
        self.extend_label(incident, plan.at + HOURS * 3_600);
    }

    /// A purchase by somebody new, with somebody else's card.
    fn fraud(&mut self) -> (Payment, crate::world::Request) {
        let thief = self.new_customer();
        let currency = self.env.profile.currencies[0].0;
        let cents = self.incident_dice.pick(self.env.profile.baskets);
        let order = self.new_order();
        let request = self.new_request();
        let payment = Payment {
            charge: self.new_id(crate::ids::Kind::Charge),
            intent: self.new_id(crate::ids::Kind::PaymentIntent),
            customer: Some(thief),
            card: thief.card(),
            amount: currency.price(cents),
            currency,
            created_at: self.now(),
            captured: true,
            refunded: 0,
            disputed: false,
            invoice: None,
            debit: false,
            order: self.env.profile.order_ids.then_some(order),
            description: "One-time purchase",
        };
        (payment, request)
    }

    pub(super) fn commit_fraud(&mut self, incident: usize) {
        let (payment, request) = self.fraud();
        if let Some(customer) = payment.customer {
            self.emit("customer.created", 0, request, |w, env| {
                crate::objects::customer::write(w, env, customer, None, 0, payment.created_at);
            });
        }
        self.emit_sale(&payment, request);
        self.conditions.frauds.push((incident, payment));
    }

    pub(super) fn discover_fraud(&mut self, incident: usize) {
        let all = std::mem::take(&mut self.conditions.frauds);
        let (mine, others) = all.into_iter().partition(|(of, _)| *of == incident);
        self.conditions.frauds = others;
        let mine: Vec<(usize, Payment)> = mine;
        let count = i64::try_from(mine.len()).unwrap_or(1).max(1);
        for ((_, payment), nth) in mine.into_iter().zip(0..) {
            let slot_ms = HOURS * 3_600_000 / count;
            let at_ms = self.now_ms + nth * slot_ms + self.incident_dice.below(slot_ms.max(1));
            self.schedule(
                at_ms,
                crate::task::Task::Incident(incident, Step::Complaint(Box::new(payment))),
            );
        }
    }

    pub(super) fn complain(&mut self, incident: usize, payment: Payment) {
        self.tag = Some(incident);
        self.add_subject(incident, payment.charge);
        if payment.card.can_warn() && self.incident_dice.chance(400_000) {
            self.emit_warning(&payment);
        } else {
            self.dispute(payment, false);
        }
    }
}
