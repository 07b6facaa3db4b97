//! One, three or six subscriptions roll over and stay active, but their invoice stays a draft: nothing
//! is paid and nothing fails. They paid before (when the world is old enough) and will again a month on.

use crate::billing::{Lapse, Subscription};
use crate::calendar::{DAY, Interval};
use crate::config::IncidentPlan;
use crate::world::World;

impl World {
    pub(super) fn plan_silent_lapse(&mut self, incident: usize, plan: &IncidentPlan) {
        let count = plan.strength.pick(1, 3, 6);
        let monthly = self
            .env
            .profile
            .plans
            .iter()
            .position(|p| p.every == Interval::MONTH && !p.metered)
            .unwrap_or(0);
        for _ in 0..count {
            let mut s = self.new_subscription();
            let terms = self.env.profile.plans[monthly];
            s.plan = monthly;
            s.every = terms.every;
            s.metered = false;
            s.quantity = 1;
            s.unit_amount = s.currency.price(terms.cents);
            s.percent_off = 0;
            s.net30 = false;
            s.reserved = true;
            let ends_at = (plan.at + self.incident_dice.below(7_200)).min(self.config.end_at() - 1);
            // A year of months before, so that the day exists; on 29 February the period ends a day early.
            s.end_period_at(ends_at, 12);
            s.created_at = s.anchor_at;
            s.periods_done = 1;
            s.set_period();
            while s.period_end <= self.config.start_at {
                s.next_period();
            }
            s.lapses = Some(Lapse {
                incident,
                from: plan.at - DAY,
            });
            let key = self.subscriptions.insert(s);
            self.plan_period(key);
        }
    }

    /// Notes that a subscription lapsed now, at the start of a period that nobody will pay.
    pub(crate) fn note_lapse(&mut self, incident: usize, after: &Subscription) {
        self.add_subject(incident, after.id);
        self.extend_label(incident, after.period_end);
    }
}
