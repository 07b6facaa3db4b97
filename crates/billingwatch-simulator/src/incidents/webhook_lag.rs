//! Deliveries of two hours arrive 15 to 30, 30 to 60 or 60 to 90 minutes late; or nothing arrives for
//! hours, and the backlog drains within twenty minutes afterwards.

use crate::config::{IncidentPlan, MerchantKind};
use crate::delivery::{Delay, Hold};
use crate::world::World;

const LAG_HOURS: i64 = 2;
const DRAIN_MS: i64 = 20 * 60_000;
const MINUTE_MS: i64 = 60_000;
/// Sales that happen in the meantime, at least: lag cannot be seen in nothing.
const SALES: i64 = 6;

impl World {
    pub(super) fn plan_webhook_lag(&mut self, incident: usize, plan: &IncidentPlan) {
        let until = plan.at + LAG_HOURS * 3_600;
        let (min, max) = plan.strength.pick((15, 30), (30, 60), (60, 90));
        let how = Delay::Lag {
            min_ms: min * MINUTE_MS,
            max_ms: max * MINUTE_MS,
        };
        self.hold(incident, plan.at, until, how);
        self.extend_label(incident, until + max * 60);
    }

    pub(super) fn plan_webhook_silence(&mut self, incident: usize, plan: &IncidentPlan) {
        // How long it takes until silence says anything depends on how much there usually is to hear.
        let hours = match self.config.merchant {
            MerchantKind::Indie | MerchantKind::Box => plan.strength.pick(18, 30, 48),
            MerchantKind::Gym => plan.strength.pick(12, 20, 36),
            MerchantKind::SmallSaas | MerchantKind::Resort | MerchantKind::Parking => {
                plan.strength.pick(6, 12, 24)
            }
            MerchantKind::Telecom => plan.strength.pick(5, 10, 20),
            MerchantKind::Multicurrency => plan.strength.pick(4, 8, 16),
            MerchantKind::Saas => plan.strength.pick(3, 6, 12),
            MerchantKind::Marketplace => plan.strength.pick(2, 4, 8),
        };
        let until = plan.at + hours * 3_600;
        self.hold(
            incident,
            plan.at,
            until,
            Delay::Silence { drain_ms: DRAIN_MS },
        );
        self.extend_label(incident, until + DRAIN_MS / 1_000);
    }

    fn hold(&mut self, incident: usize, from: i64, until: i64, how: Delay) {
        self.outbox.add_hold(Hold {
            incident,
            from_ms: from * 1_000,
            until_ms: until * 1_000,
            how,
        });
        self.fill(incident, from, until, SALES);
    }
}
