//! A gateway or issuer outage: for one to three hours 30, 50 or 90 in a hundred attempts are declined.

use super::Conditions;
use crate::config::IncidentPlan;
use crate::objects::Decline;
use crate::world::World;

/// Attempts an hour during the outage, at least: fewer would show nothing to anybody.
const ATTEMPTS_PER_HOUR: i64 = 14;

/// An outage and how many failures it still owes.
#[derive(Debug)]
pub(crate) struct Outage {
    incident: usize,
    from_ms: i64,
    until_ms: i64,
    share_ppm: i64,
    owed_ppm: i64,
    decline: Decline,
}

impl World {
    pub(super) fn plan_charge_failure_spike(&mut self, incident: usize, plan: &IncidentPlan) {
        let hours = self.incident_dice.range(1, 3);
        let until = plan.at + hours * 3_600;
        let decline = self
            .incident_dice
            .pick(&[Decline::PROCESSING_ERROR, Decline::ISSUER_NOT_AVAILABLE]);
        self.conditions.outages.push(Outage {
            incident,
            from_ms: plan.at * 1_000,
            until_ms: until * 1_000,
            share_ppm: plan.strength.pick(300_000, 500_000, 900_000),
            owed_ppm: 0,
            decline,
        });
        self.fill(incident, plan.at, until, ATTEMPTS_PER_HOUR * hours);
        self.extend_label(incident, until);
    }
}

impl Conditions {
    /// Whether there is an outage.
    pub(crate) fn is_out(&self, now_ms: i64) -> bool {
        let holds = |o: &Outage| (o.from_ms..o.until_ms).contains(&now_ms);
        self.outages.iter().any(holds)
    }

    /// How the attempt made now ends, if there is an outage: its incident, and the decline if it is one.
    /// The share is kept exactly, not by chance, so that a short outage is as strong as it says.
    pub(crate) fn outage(&mut self, now_ms: i64) -> Option<(usize, Option<Decline>)> {
        let outage = self
            .outages
            .iter_mut()
            .find(|o| (o.from_ms..o.until_ms).contains(&now_ms))?;
        outage.owed_ppm += outage.share_ppm;
        let declined = outage.owed_ppm >= 1_000_000;
        if declined {
            outage.owed_ppm -= 1_000_000;
        }
        Some((outage.incident, declined.then_some(outage.decline)))
    }
}
