//! Card testing: in 40 minutes many stolen cards are tried, each once, with small amounts.

use super::Step;
use crate::config::IncidentPlan;
use crate::ids::Kind;
use crate::objects::{self, Decline, Payment, Verdict};
use crate::world::World;

const MINUTES: i64 = 40;
/// Tries at least, by strength; a busy merchant gets a multiple of its own hourly attempts instead.
const TRIES: (i64, i64, i64) = (40, 120, 400);
const SHARE_OF_HOUR_PERCENT: (i64, i64, i64) = (60, 150, 500);

impl World {
    pub(super) fn plan_card_testing(&mut self, incident: usize, plan: &IncidentPlan) {
        let least = plan.strength.pick(TRIES.0, TRIES.1, TRIES.2);
        let percent = plan.strength.pick(
            SHARE_OF_HOUR_PERCENT.0,
            SHARE_OF_HOUR_PERCENT.1,
            SHARE_OF_HOUR_PERCENT.2,
        );
        let tries = least.max(self.attempts_per_hour_milli() * percent / 100 / 1_000);
        let length_ms = MINUTES * 60_000;
        for nth in 0..tries {
            let at_ms = plan.at * 1_000 + nth * length_ms / tries;
            self.schedule(at_ms, crate::task::Task::Incident(incident, Step::TryCard));
        }
        self.extend_label(incident, plan.at + MINUTES * 60);
    }

    /// One card: most are declined by the bank, some blocked by Radar, a few tried without a payment,
    /// and very few good.
    pub(super) fn try_card(&mut self, incident: usize) {
        self.tag = Some(incident);
        let thief = self.new_customer();
        let currency = self.env.profile.currencies[0].0;
        let cents = self.incident_dice.pick(&[100, 100, 150, 199, 200]);
        let named = self.incident_dice.chance(300_000);
        let payment = Payment {
            charge: self.new_id(Kind::Charge),
            intent: self.new_id(Kind::PaymentIntent),
            customer: named.then_some(thief),
            card: thief.card(),
            amount: currency.price(cents),
            currency,
            created_at: self.now(),
            captured: true,
            refunded: 0,
            disputed: false,
            invoice: None,
            debit: false,
            order: None,
            description: "One-time purchase",
        };
        let request = self.new_request();
        if named {
            self.emit("customer.created", 0, request, |w, env| {
                objects::customer::write(w, env, thief, None, 0, payment.created_at);
            });
        }
        let decline = self.incident_dice.pick(&[
            Decline::GENERIC,
            Decline::GENERIC,
            Decline::INCORRECT_CVC,
            Decline::DO_NOT_HONOR,
        ]);
        let draw = self.incident_dice.below(100);
        if draw >= 90 {
            return self.emit("setup_intent.setup_failed", 200, request, |w, _| {
                objects::payment_intent::write_failed_setup(w, &payment, decline);
            });
        }
        let verdict = match draw {
            0..65 => Verdict::Declined(decline),
            65..86 => Verdict::Blocked,
            _ => Verdict::Approved,
        };
        self.emit("payment_intent.created", 60, request, |w, env| {
            objects::payment_intent::write(w, env, &payment, None);
        });
        self.emit_attempt(&payment, verdict, request, 700);
        if verdict == Verdict::Approved {
            self.take(currency, payment.amount);
        }
        self.add_subject(incident, payment.charge);
    }
}
