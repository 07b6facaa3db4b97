//! What goes wrong, a file each. Every incident makes its own evidence: it needs no luck in the stream
//! around it, so a quiet merchant at a quiet hour has it too.

mod card_testing;
mod charge_failure_spike;
mod duplicate_charge;
mod fraud_spike;
mod negative_invoice;
mod outsized_refund;
mod revenue_drop;
mod silent_lapse;
mod webhook_lag;

use crate::config::{IncidentKind, IncidentPlan};
use crate::objects::Payment;
use crate::task::Task;
use crate::world::World;

pub(crate) use charge_failure_spike::Outage;
pub(crate) use revenue_drop::Drop;

/// A step of an incident, at its own time.
#[derive(Debug)]
pub(crate) enum Step {
    /// An ordinary sale, so that there is something for the incident to show in.
    Sale,
    /// A stolen card is tried.
    TryCard,
    /// The purchase that will be charged twice.
    FirstCharge,
    /// The surplus charge; how many more follow.
    Surplus(Box<Payment>, u32),
    /// A purchase that will turn out to be fraud.
    Fraud,
    /// The fraud comes to light.
    Discovery,
    /// One dispute or warning of it.
    Complaint(Box<Payment>),
    /// The wrong invoice.
    Invoice,
    /// The purchase that will be refunded.
    BigSale,
    /// Its refund.
    BigRefund(Box<Payment>),
}

/// Incidents that change how everything else goes while they last.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) outages: Vec<Outage>,
    pub(crate) drops: Vec<Drop>,
    /// Fraudulent purchases that nobody has complained about yet, with their incident.
    pub(crate) frauds: Vec<(usize, Payment)>,
}

impl World {
    pub(crate) fn plan_incidents(&mut self) {
        let plans: Vec<IncidentPlan> = self.config.incidents.clone();
        for (incident, plan) in plans.iter().enumerate() {
            match plan.kind {
                IncidentKind::ChargeFailureSpike => self.plan_charge_failure_spike(incident, plan),
                IncidentKind::CardTesting => self.plan_card_testing(incident, plan),
                IncidentKind::DuplicateCharge => {
                    self.plan_step(incident, plan.at, Step::FirstCharge)
                }
                IncidentKind::FraudSpike => self.plan_fraud_spike(incident, plan),
                IncidentKind::NegativeInvoice => self.plan_step(incident, plan.at, Step::Invoice),
                IncidentKind::OutsizedRefund => self.plan_outsized_refund(incident, plan),
                IncidentKind::RevenueDrop => self.plan_revenue_drop(incident, plan),
                IncidentKind::SilentLapse => self.plan_silent_lapse(incident, plan),
                IncidentKind::WebhookLag => self.plan_webhook_lag(incident, plan),
                IncidentKind::WebhookSilence => self.plan_webhook_silence(incident, plan),
            }
        }
    }

    /// Plans a step at a unix second.
    pub(crate) fn plan_step(&mut self, incident: usize, at: i64, step: Step) {
        self.schedule(at * 1_000, Task::Incident(incident, step));
    }

    pub(crate) fn step(&mut self, incident: usize, step: Step) {
        let Some(plan) = self.config.incidents.get(incident).copied() else {
            return;
        };
        match step {
            Step::Sale => {
                let (payment, request) = self.new_sale();
                let declines_ppm = self.env.profile.declines_ppm;
                self.sell(&payment, request, declines_ppm);
            }
            Step::TryCard => self.try_card(incident),
            Step::FirstCharge => self.first_charge(incident, &plan),
            Step::Surplus(payment, more) => self.surplus(incident, &plan, &payment, more),
            Step::Fraud => self.commit_fraud(incident),
            Step::Discovery => self.discover_fraud(incident),
            Step::Complaint(payment) => self.complain(incident, *payment),
            Step::Invoice => self.wrong_invoice(incident, &plan),
            Step::BigSale => self.big_sale(incident, &plan),
            Step::BigRefund(payment) => self.big_refund(incident, &payment),
        }
    }

    /// Attempts to pay that this merchant sees in an hour, times a thousand.
    pub(crate) fn attempts_per_hour_milli(&self) -> i64 {
        let profile = self.env.profile;
        (profile.purchases_per_day + profile.renewals_per_day()) * 1_000 / 24
    }

    /// Adds sales to a time span until at least `wanted` attempts can be counted on in it.
    pub(crate) fn fill(&mut self, incident: usize, from: i64, until: i64, wanted: i64) {
        let rhythm = self.env.profile.rhythm;
        let hours = (until - from) / 3_600;
        let weights: i64 = (0..hours)
            .map(|hour| rhythm.weight_ppm(from + hour * 3_600))
            .sum();
        // Only half is counted on: the others may not come.
        let expected = self.attempts_per_hour_milli() * weights / 1_000_000 / 2_000;
        let missing = (wanted - expected).max(0);
        for nth in 0..missing {
            let slot = (until - from) / missing;
            let at = from + nth * slot + self.incident_dice.below(slot.max(1));
            self.plan_step(incident, at, Step::Sale);
        }
    }
}
